//! The ends of ranges as they are written: `(1.5`, `-inf`, `[member`, `+`.
//!
//! Must not know: which command asks.

use holdfast_storage::numeric;
use holdfast_storage::types::zset::{LexBound, ScoreRange};

use crate::error::CmdError;

/// A range of scores from its two ends; `(` in front of one leaves the score itself out.
pub(super) fn scores(min: &[u8], max: &[u8]) -> Result<ScoreRange, CmdError> {
    let (min, min_excl) = score(min)?;
    let (max, max_excl) = score(max)?;
    Ok(ScoreRange {
        min,
        min_excl,
        max,
        max_excl,
    })
}

fn score(text: &[u8]) -> Result<(f64, bool), CmdError> {
    let (number, excluded) = match text.strip_prefix(b"(") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    match numeric::parse_score_bound(number) {
        Some(score) => Ok((score, excluded)),
        None => Err(CmdError::MinMaxNotFloat),
    }
}

/// A range of members from its two ends.
pub(super) fn members<'a>(min: &'a [u8], max: &'a [u8]) -> Result<(LexBound<'a>, LexBound<'a>), CmdError> {
    Ok((member(min)?, member(max)?))
}

fn member(text: &[u8]) -> Result<LexBound<'_>, CmdError> {
    match text {
        b"-" => Ok(LexBound::NegInf),
        b"+" => Ok(LexBound::PosInf),
        [b'[', member @ ..] => Ok(LexBound::Incl(member)),
        [b'(', member @ ..] => Ok(LexBound::Excl(member)),
        _ => Err(CmdError::MinMaxNotLex),
    }
}

/// Ranks from `start` to `stop`, both inside, negative ones counted from the end of `len` members; cut to what exists.
pub(super) fn ranks(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let absolute = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
    let first = absolute(start).max(0);
    let end = absolute(stop).min(len - 1) + 1;
    if first >= end {
        return 0..0;
    }
    first as usize..end as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_from_both_ends() {
        for (start, stop, want) in [
            (0, -1, 0..5),
            (1, 2, 1..3),
            (-2, -1, 3..5),
            (-100, 100, 0..5),
            (3, 2, 0..0),
            (5, 9, 0..0),
            (0, -6, 0..0),
            (i64::MIN, i64::MAX, 0..5),
            (i64::MAX, i64::MIN, 0..0),
        ] {
            assert_eq!(ranks(start, stop, 5), want, "{start} {stop}");
        }
        assert_eq!(ranks(0, -1, 0), 0..0);
    }

    #[test]
    fn ends() {
        let range = scores(b"(1", b"+inf").unwrap();
        assert!(range.min_excl && !range.max_excl && range.min == 1.0 && range.max == f64::INFINITY);
        assert_eq!(scores(b"a", b"1"), Err(CmdError::MinMaxNotFloat));
        assert_eq!(scores(b"1", b"nan"), Err(CmdError::MinMaxNotFloat));
        assert_eq!(
            members(b"[a", b"(b"),
            Ok((LexBound::Incl(b"a"), LexBound::Excl(b"b")))
        );
        for bad in [&b""[..], b"a", b"+a", b"-a"] {
            assert_eq!(members(bad, b"+"), Err(CmdError::MinMaxNotLex));
        }
    }
}
