//! The sparse form of a HyperLogLog: runs of equal registers. Knows no header but that one lies before it.
//!
//! ```text
//! 00llllll           l + 1 registers (1 to 64) that are 0
//! 01llllll llllllll  l + 1 registers (1 to 16384) that are 0
//! 1vvvvvll           l + 1 registers (1 to 4) that are v + 1 (1 to 32)
//! ```
//!
//! The bytes after each change are Redis's, whose files and replicas carry them; so the places where runs are
//! joined, and where they are not, follow it.

use crate::hll::{HEADER_LEN, HllError, REGISTERS};

/// The runs of an empty HyperLogLog: 16384 zeros.
pub(crate) const EMPTY: [u8; 2] = [0x7f, 0xff];

/// Largest value of a register that the form can hold.
const MAX_VALUE: u8 = 32;
/// Longest run of a value that is not 0.
const MAX_VALUE_RUN: u16 = 4;
/// Longest run of zeros that takes one byte.
const MAX_SHORT_ZEROS: u16 = 64;
/// Runs that are looked at, from the one before a change on, to join what has become equal.
const JOIN_SCAN: usize = 5;

/// Some registers that hold the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub value: u8,
    /// Number of registers.
    pub len: u16,
}

/// What became of [`raise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raised {
    /// The register was as high already.
    No,
    /// The register was lower.
    Yes,
    /// The value or the length does not fit the form, and nothing changed.
    TooLarge,
}

/// Decodes the run at the start of `bytes`; returns its length in bytes too, or `None` if there is none.
fn first_run(bytes: &[u8]) -> Option<(Run, usize)> {
    match *bytes {
        [byte, ..] if byte & 0x80 != 0 => Some((
            Run {
                value: (byte >> 2 & 31) + 1,
                len: u16::from(byte & 3) + 1,
            },
            1,
        )),
        [high, low, ..] if high & 0x40 != 0 => Some((
            Run {
                value: 0,
                len: (u16::from(high & 0x3f) << 8 | u16::from(low)) + 1,
            },
            2,
        )),
        [byte, ..] if byte & 0x40 == 0 => Some((
            Run {
                value: 0,
                len: u16::from(byte) + 1,
            },
            1,
        )),
        _ => None,
    }
}

impl Run {
    /// Appends the run, unless it is empty.
    fn push_to(self, out: &mut Vec<u8>) {
        let Some(last) = self.len.checked_sub(1) else {
            return;
        };
        if self.value > 0 {
            debug_assert!(self.value <= MAX_VALUE && self.len <= MAX_VALUE_RUN);
            out.push(0x80 | (self.value - 1) << 2 | last as u8);
        } else if self.len > MAX_SHORT_ZEROS {
            out.extend_from_slice(&[0x40 | (last >> 8) as u8, last as u8]);
        } else {
            out.push(last as u8);
        }
    }
}

/// Calls `f` with each run and the index of its first register.
///
/// # Errors
/// If the runs are not those of all registers. `f` never sees a run beyond the last register.
pub(crate) fn each_run(body: &[u8], mut f: impl FnMut(usize, Run)) -> Result<(), HllError> {
    let mut rest = body;
    let mut first = 0;
    while !rest.is_empty() {
        let (run, bytes) = first_run(rest).ok_or(HllError::Corrupted)?;
        let next = first + usize::from(run.len);
        if next > REGISTERS {
            return Err(HllError::Corrupted);
        }
        f(first, run);
        first = next;
        rest = &rest[bytes..];
    }
    if first == REGISTERS {
        Ok(())
    } else {
        Err(HllError::Corrupted)
    }
}

/// Writes the runs as PFDEBUG DECODE does: `z` and `Z` for zeros in one and two bytes, `v:value,length`.
pub(crate) fn describe(body: &[u8]) -> Result<String, HllError> {
    let mut parts = Vec::new();
    each_run(body, |_, run| {
        parts.push(match run {
            Run { value: 0, len } if len > MAX_SHORT_ZEROS => format!("Z:{len}"),
            Run { value: 0, len } => format!("z:{len}"),
            Run { value, len } => format!("v:{value},{len}"),
        });
    })?;
    Ok(parts.join(" "))
}

/// Raises register `index` to `value` in `hll`, whose runs start behind its header. Rather than to grow beyond
/// `max_bytes`, header included, nothing changes.
///
/// # Errors
/// If no run holds the register.
pub(crate) fn raise(
    hll: &mut Vec<u8>,
    index: usize,
    value: u8,
    max_bytes: usize,
) -> Result<Raised, HllError> {
    if value > MAX_VALUE {
        return Ok(Raised::TooLarge);
    }
    let Found {
        at,
        before,
        first,
        run,
        bytes,
    } = find(hll, index)?;
    if run.value >= value {
        return Ok(Raised::No);
    }
    let left = (index - first) as u16;
    let right = run.len - 1 - left;
    let mut runs = Vec::with_capacity(5);
    Run { len: left, ..run }.push_to(&mut runs);
    Run { value, len: 1 }.push_to(&mut runs);
    Run { len: right, ..run }.push_to(&mut runs);
    if runs.len() > bytes && hll.len() + runs.len() - bytes > max_bytes {
        return Ok(Raised::TooLarge);
    }
    hll.splice(at..at + bytes, runs);
    join(hll, before);
    Ok(Raised::Yes)
}

/// The run that holds a register.
struct Found {
    /// Where it is.
    at: usize,
    /// Where the run before it is, or it itself if it is the first.
    before: usize,
    /// Index of its first register.
    first: usize,
    run: Run,
    /// Its length in bytes.
    bytes: usize,
}

fn find(hll: &[u8], index: usize) -> Result<Found, HllError> {
    let (mut at, mut before, mut first) = (HEADER_LEN, HEADER_LEN, 0);
    loop {
        let (run, bytes) = first_run(&hll[at..]).ok_or(HllError::Corrupted)?;
        let next = first + usize::from(run.len);
        if index < next {
            return Ok(Found {
                at,
                before,
                first,
                run,
                bytes,
            });
        }
        (before, at, first) = (at, at + bytes, next);
    }
}

/// Joins neighbouring runs of one value other than 0, as far as a run may be long, among the runs from `at` on.
fn join(hll: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_SCAN {
        let Some((run, bytes)) = hll.get(at..).and_then(first_run) else {
            return;
        };
        let next = first_run(&hll[at + bytes..]).map(|(next, _)| next);
        match next {
            Some(next) if run.value > 0 && next.value == run.value && run.len + next.len <= MAX_VALUE_RUN => {
                let mut joined = Vec::with_capacity(1);
                Run {
                    len: run.len + next.len,
                    ..run
                }
                .push_to(&mut joined);
                // Stays here: the joined run may be joined again.
                hll.splice(at..at + 2, joined);
            }
            Some(_) | None => at += bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hll::new_sparse;
    use proptest::prelude::*;

    fn text(hll: &[u8]) -> String {
        describe(&hll[HEADER_LEN..]).unwrap()
    }

    #[test]
    fn runs_split_and_join() {
        let mut hll = new_sparse();
        for (index, value, after) in [
            (100, 3, "Z:100 v:3,1 Z:16283"),
            (0, 3, "v:3,1 Z:99 v:3,1 Z:16283"),
            (1, 3, "v:3,2 Z:98 v:3,1 Z:16283"),
            (3, 3, "v:3,2 z:1 v:3,1 Z:96 v:3,1 Z:16283"),
            (2, 3, "v:3,4 Z:96 v:3,1 Z:16283"),
            (4, 3, "v:3,4 v:3,1 Z:95 v:3,1 Z:16283"),
            (1, 5, "v:3,1 v:5,1 v:3,3 Z:95 v:3,1 Z:16283"),
            (16383, 32, "v:3,1 v:5,1 v:3,3 Z:95 v:3,1 Z:16282 v:32,1"),
        ] {
            assert_eq!(raise(&mut hll, index, value, 3000), Ok(Raised::Yes), "{index}");
            assert_eq!(text(&hll), after, "{index}");
        }
        assert_eq!(raise(&mut hll, 16383, 32, 3000), Ok(Raised::No));
        assert_eq!(raise(&mut hll, 16383, 33, 3000), Ok(Raised::TooLarge));
    }

    #[test]
    fn grows_no_further_than_allowed() {
        let mut hll = new_sparse();
        assert_eq!(raise(&mut hll, 100, 1, 20), Ok(Raised::TooLarge));
        assert_eq!(hll, new_sparse());
        assert_eq!(raise(&mut hll, 100, 1, 21), Ok(Raised::Yes));
        assert_eq!(hll.len(), 21);
        assert_eq!(raise(&mut hll, 100, 2, 0), Ok(Raised::Yes));
    }

    proptest! {
        #[test]
        fn registers_are_what_was_raised(
            steps in prop::collection::vec((0usize..40, 1u8..6), 0..120),
            base in 0usize..16344,
        ) {
            let mut hll = new_sparse();
            let mut naive = vec![0u8; REGISTERS];
            for (index, value) in steps {
                let expected = if naive[base + index] < value { Raised::Yes } else { Raised::No };
                prop_assert_eq!(raise(&mut hll, base + index, value, 20_000), Ok(expected));
                naive[base + index] = naive[base + index].max(value);
            }
            let mut ours = Vec::new();
            each_run(&hll[HEADER_LEN..], |_, run| ours.resize(ours.len() + usize::from(run.len), run.value)).unwrap();
            prop_assert_eq!(ours, naive);
        }
    }
}
