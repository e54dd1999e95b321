//! LZF, the compression of long strings in RDB (Marc Lehmann's liblzf, format as its documentation describes it).
//!
//! ```text
//!   000lllll  + l+1 bytes                literal run of 1..=32 bytes
//!   lllooooo oooooooo                    copy of l+2 (3..=8) bytes from 1..=8192 bytes back
//!   111ooooo llllllll oooooooo           copy of l+9 (9..=264) bytes
//! ```

/// Longest literal run.
const MAX_LITERAL: usize = 32;
/// Longest copy.
const MAX_COPY: usize = 264;
/// Farthest copy.
const MAX_OFFSET: usize = 8192;
/// Entries of the table of places: strings in RDB are mostly short, so it is small enough to clear quickly.
const HASH_BITS: u32 = 13;

/// The most bytes that `len` compressed bytes can unfold to: three bytes give 264.
pub(crate) fn unfolds_to_at_most(len: u64) -> u64 {
    len.saturating_mul(MAX_COPY as u64 / 3)
}

/// Table of places, to be used for many strings.
#[derive(Clone)]
pub(crate) struct Compressor {
    /// Where three bytes with this hash stood last, plus one and plus `base`.
    places: Vec<u32>,
    /// Places of former strings are below it.
    base: u32,
}

impl Compressor {
    pub(crate) fn new() -> Self {
        Self {
            places: Vec::new(),
            base: 0,
        }
    }

    /// Appends the compressed form of `input` to `out`, if that takes at most `budget` bytes. If not, `out` is as before.
    pub(crate) fn compress(&mut self, input: &[u8], budget: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let Some(room) = u32::try_from(input.len()).ok().filter(|len| *len <= u32::MAX / 2) else {
            return false; // longer than 2 GiB: not worth the wider table
        };
        if self.places.is_empty() {
            self.places = vec![0; 1 << HASH_BITS];
        } else if self.base > u32::MAX - room - 1 {
            self.places.fill(0);
            self.base = 0;
        }
        let base = self.base;
        self.base += room + 1;
        let (mut at, mut literal) = (0, 0);
        while at + 2 < input.len() {
            let slot = &mut self.places[hash(&input[at..at + 3])];
            let seen = std::mem::replace(slot, base + at as u32 + 1);
            let back = (seen > base)
                .then(|| at - (seen - base - 1) as usize)
                .filter(|back| (1..=MAX_OFFSET).contains(back));
            let Some(back) = back.filter(|back| input[at - back..at - back + 3] == input[at..at + 3]) else {
                at += 1;
                // What does not compress well is given up soon enough.
                if out.len() - start + (at - literal) > budget {
                    break;
                }
                continue;
            };
            let most = MAX_COPY.min(input.len() - at);
            let len = (3..most)
                .find(|&n| input[at + n] != input[at + n - back])
                .unwrap_or(most);
            put_literals(out, &input[literal..at]);
            put_copy(out, back - 1, len - 2);
            at += len;
            literal = at;
            if out.len() - start > budget {
                break;
            }
        }
        put_literals(out, &input[literal..]);
        if out.len() - start > budget {
            out.truncate(start);
            return false;
        }
        true
    }
}

fn hash(three: &[u8]) -> usize {
    let word = u32::from_le_bytes([three[0], three[1], three[2], 0]);
    (word.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize
}

fn put_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(MAX_LITERAL) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn put_copy(out: &mut Vec<u8>, offset: usize, len: usize) {
    let high = (offset >> 8) as u8;
    if len < 7 {
        out.push((len as u8) << 5 | high);
    } else {
        out.push(7 << 5 | high);
        out.push((len - 7) as u8);
    }
    out.push(offset as u8);
}

/// Unfolds `input` to exactly `len` bytes, which the caller has compared with [`unfolds_to_at_most`]. None: it is no LZF
/// or unfolds to another length.
pub(crate) fn decompress(input: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(len);
    let mut rest = input;
    while let Some((&control, tail)) = rest.split_first() {
        rest = tail;
        if control < 32 {
            let (literal, tail) = rest.split_at_checked(usize::from(control) + 1)?;
            if out.len() + literal.len() > len {
                return None;
            }
            out.extend_from_slice(literal);
            rest = tail;
            continue;
        }
        let mut copy = usize::from(control >> 5) + 2;
        if control >> 5 == 7 {
            let (&more, tail) = rest.split_first()?;
            copy += usize::from(more);
            rest = tail;
        }
        let (&low, tail) = rest.split_first()?;
        rest = tail;
        let back = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
        let from = out.len().checked_sub(back)?;
        if out.len() + copy > len {
            return None;
        }
        if back >= copy {
            out.extend_from_within(from..from + copy);
        } else {
            // It repeats what it is about to write.
            for k in from..from + copy {
                out.push(out[k]);
            }
        }
    }
    (out.len() == len).then_some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(text: &[u8]) -> Option<usize> {
        let mut out = b"before".to_vec();
        let packed = Compressor::new().compress(text, text.len().saturating_sub(4), &mut out);
        assert!(out.starts_with(b"before"));
        if !packed {
            assert_eq!(out, b"before");
            return None;
        }
        assert_eq!(decompress(&out[6..], text.len()).as_deref(), Some(text));
        Some(out.len() - 6)
    }

    #[test]
    fn repetitions_shrink_and_noise_stays() {
        assert!(round_trip(&[b'a'; 1000]).is_some_and(|n| n < 30));
        let pairs: Vec<u8> = (0..5000u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        assert!(round_trip(&pairs).is_some_and(|n| n < 20_000));
        assert_eq!(round_trip(b"abcdefghijklmnopqrstuvwxyz"), None);
    }

    #[test]
    fn damaged_input_is_refused() {
        for (bytes, len) in [
            (&b"\x01a"[..], 2),    // the run is longer than the input
            (b"\x00a\x20\x05", 4), // a copy from before the beginning
            (b"\x00a\x20", 4),     // no offset
            (b"\x00a\xe0", 10),    // no length
            (b"\x00a\x20\x00", 3), // unfolds to more
            (b"\x00a\x20\x00", 5), // and to less
            (b"", 1),
        ] {
            assert_eq!(decompress(bytes, len), None, "{bytes:?}");
        }
        assert_eq!(decompress(b"\x00a\x20\x00", 4).as_deref(), Some(&b"aaaa"[..]));
    }

    proptest! {
        #[test]
        fn what_is_packed_unfolds(texts in prop::collection::vec(prop::collection::vec(0_u8..4, 0..2000), 1..4)) {
            let mut compressor = Compressor::new();
            for text in texts {
                let mut out = Vec::new();
                if compressor.compress(&text, text.len(), &mut out) {
                    prop_assert!(out.len() <= text.len());
                    prop_assert_eq!(decompress(&out, text.len()), Some(text));
                }
            }
        }

        #[test]
        fn bytes_of_any_origin_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), len in 0_usize..5000) {
            if let Some(out) = decompress(&bytes, len) {
                prop_assert!(out.len() as u64 <= unfolds_to_at_most(bytes.len() as u64));
            }
        }
    }
}
