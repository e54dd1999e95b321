//! The ziplist, in which Redis before 7.0 kept small lists, hashes and sorted sets. Only read.
//!
//! ```text
//!   +-------------+-----------------+-----------+---------+-----+------+
//!   | bytes u32   | last entry u32  | count u16 | entry 0 | ... | 0xFF |
//!   +-------------+-----------------+-----------+---------+-----+------+
//!   entry: length of the entry before (1 byte, or 0xFE and 4 bytes), head, body
//!   head   00llllll, 01llllll llllllll (big-endian), 10...... + 4 bytes (big-endian)     string
//!          0xC0, 0xD0, 0xE0, 0xF0, 0xFE    integer of 2, 4, 8, 3, 1 bytes (little-endian)
//!          0xF1..=0xFD                     the integers 0..=12
//! ```

use holdfast_storage::encoding::listpack::Item;

use crate::error::RdbError;

const HEADER: usize = 10;
const END: u8 = 0xFF;

/// The entries of a ziplist that has been checked as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Ziplist<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Ziplist<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, RdbError> {
        let word = |at: usize| {
            let four = bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize)
        };
        let count = bytes.get(8..HEADER).map(|c| u16::from_le_bytes([c[0], c[1]]));
        let (Some(total), Some(tail), Some(count)) = (word(0), word(4), count) else {
            return Err(RdbError::Ziplist(0));
        };
        if total != bytes.len() || bytes.len() <= HEADER || bytes[bytes.len() - 1] != END {
            return Err(RdbError::Ziplist(0));
        }
        let (mut at, mut seen, mut last, mut before) = (HEADER, 0_usize, HEADER, 0_usize);
        while at < bytes.len() - 1 {
            let (announced, head) = previous_len(bytes, at).ok_or(RdbError::Ziplist(at))?;
            let (_, end) = entry(bytes, head).ok_or(RdbError::Ziplist(at))?;
            if announced != before || end > bytes.len() - 1 {
                return Err(RdbError::Ziplist(at));
            }
            (last, before) = (at, end - at);
            at = end;
            seen += 1;
        }
        if tail != last {
            return Err(RdbError::Ziplist(4));
        }
        if count != u16::MAX && usize::from(count) != seen {
            return Err(RdbError::Ziplist(8));
        }
        Ok(Self { bytes, at: HEADER })
    }
}

impl<'a> Iterator for Ziplist<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.at >= self.bytes.len() - 1 {
            return None;
        }
        let (_, head) = previous_len(self.bytes, self.at)?;
        let (item, end) = entry(self.bytes, head)?;
        self.at = end;
        Some(item)
    }
}

/// The length of the entry before, and where the head is.
fn previous_len(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    match *bytes.get(at)? {
        0xFE => {
            let four = bytes.get(at + 1..at + 5)?;
            Some((
                u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize,
                at + 5,
            ))
        }
        END => None,
        len => Some((usize::from(len), at + 1)),
    }
}

/// The element whose head is at `at`, and where it ends.
fn entry(bytes: &[u8], at: usize) -> Option<(Item<'_>, usize)> {
    let first = *bytes.get(at)?;
    let string = |head: usize, len: usize| {
        let from = at + head;
        let end = from.checked_add(len)?;
        Some((Item::Bytes(bytes.get(from..end)?), end))
    };
    let int = |len: usize| {
        let body = bytes.get(at + 1..at + 1 + len)?;
        // The highest byte carries the sign.
        let mut le = [if body[len - 1] & 0x80 == 0 { 0 } else { 0xFF }; 8];
        le[..len].copy_from_slice(body);
        Some((Item::Int(i64::from_le_bytes(le)), at + 1 + len))
    };
    match first {
        0x00..=0x3F => string(1, usize::from(first)),
        0x40..=0x7F => string(
            2,
            usize::from(first & 0x3F) << 8 | usize::from(*bytes.get(at + 1)?),
        ),
        0x80 => {
            let four = bytes.get(at + 1..at + 5)?;
            string(
                5,
                u32::from_be_bytes([four[0], four[1], four[2], four[3]]) as usize,
            )
        }
        0xC0 => int(2),
        0xD0 => int(4),
        0xE0 => int(8),
        0xF0 => int(3),
        0xFE => int(1),
        0xF1..=0xFD => Some((Item::Int(i64::from(first & 0x0F) - 1), at + 1)),
        0x81..=0xBF | 0xC1..=0xCF | 0xD1..=0xDF | 0xE1..=0xEF | 0xFF => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes one as Redis before 7.0 did.
    pub(crate) fn ziplist(elements: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        let (mut last, mut before) = (HEADER, 0);
        for element in elements {
            last = bytes.len();
            if before < 254 {
                bytes.push(before as u8);
            } else {
                bytes.push(0xFE);
                bytes.extend_from_slice(&(before as u32).to_le_bytes());
            }
            put_element(&mut bytes, element);
            before = bytes.len() - last;
        }
        bytes.push(END);
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..8].copy_from_slice(&(last as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&(elements.len().min(0xFFFF) as u16).to_le_bytes());
        bytes
    }

    fn put_element(bytes: &mut Vec<u8>, element: &[u8]) {
        let int: Option<i64> = std::str::from_utf8(element).ok().and_then(|t| t.parse().ok());
        if let Some(int) = int.filter(|i| i.to_string().as_bytes() == element) {
            let le = int.to_le_bytes();
            match int {
                0..=12 => bytes.push(0xF1 + int as u8),
                -0x80..=0x7F => bytes.extend([0xFE, le[0]]),
                -0x8000..=0x7FFF => bytes.extend([0xC0, le[0], le[1]]),
                -0x80_0000..=0x7F_FFFF => bytes.extend([0xF0, le[0], le[1], le[2]]),
                -0x8000_0000..=0x7FFF_FFFF => bytes.extend([0xD0, le[0], le[1], le[2], le[3]]),
                _ => {
                    bytes.push(0xE0);
                    bytes.extend(le);
                }
            }
            return;
        }
        match element.len() {
            len @ 0..0x40 => bytes.push(len as u8),
            len @ 0x40..0x4000 => bytes.extend([0x40 | (len >> 8) as u8, len as u8]),
            len => {
                bytes.push(0x80);
                bytes.extend((len as u32).to_be_bytes());
            }
        }
        bytes.extend_from_slice(element);
    }

    fn elements(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let list = Ziplist::new(bytes).map_err(|e| e.to_string())?;
        Ok(list.map(|item| item.to_vec()).collect())
    }

    #[test]
    fn every_form_of_an_entry_is_read() {
        let long = vec![b'x'; 300];
        let longer = vec![b'y'; 20_000];
        let all: Vec<&[u8]> = vec![
            b"a",
            b"",
            b"0",
            b"12",
            b"13",
            b"-1",
            b"-129",
            b"40000",
            b"-8388608",
            b"70000000",
            b"-9223372036854775808",
            &long,
            b"after the long one",
            &longer,
            b"z",
        ];
        assert_eq!(
            elements(&ziplist(&all)),
            Ok(all.iter().map(|e| e.to_vec()).collect())
        );
        assert_eq!(elements(&ziplist(&[])), Ok(vec![]));
    }

    #[test]
    fn damage_is_found() {
        let good = ziplist(&[b"abc", b"1000", b"x"]);
        for (at, byte) in [
            (0, 0),
            (4, 10),
            (8, 2),
            (10, 1),
            (11, 0x3F),
            (11, 0x81),
            (15, 4),
            (good.len() - 1, 0),
        ] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(elements(&bad).is_err(), "byte {at}");
        }
        for len in 0..good.len() {
            assert!(elements(&good[..len]).is_err());
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_origin_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 11..60), count in 0_u16..6) {
            let total = bytes.len() as u32;
            bytes[..4].copy_from_slice(&total.to_le_bytes());
            bytes[4..8].copy_from_slice(&10_u32.to_le_bytes());
            bytes[8..10].copy_from_slice(&count.to_le_bytes());
            bytes[10] = 0;
            *bytes.last_mut().unwrap() = END;
            let _either = elements(&bytes);
        }
    }
}
