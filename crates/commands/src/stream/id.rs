//! Stream ids in arguments and replies. A number may be written as C's `strtoull` reads it (`+7`, ` 08`), as Redis
//! lets it.
//!
//! Must not know: streams.

use std::io::Write as _;

use holdfast_resp::Reply;
use holdfast_storage::numeric;
use holdfast_storage::types::stream::StreamId;
use smallvec::SmallVec;

use crate::error::CmdError;

/// The text of an id, as in replies and in the log.
pub(super) type IdText = SmallVec<[u8; 64]>;

/// An argument that is no id.
pub(super) fn invalid() -> CmdError {
    CmdError::msg("ERR Invalid stream ID specified as stream command argument")
}

/// The text of an id.
pub(super) fn text(id: StreamId) -> IdText {
    let mut text = IdText::new();
    let mut number = itoa::Buffer::new();
    text.extend_from_slice(number.format(id.ms).as_bytes());
    text.push(b'-');
    text.extend_from_slice(number.format(id.seq).as_bytes());
    text
}

/// Writes an id as a string.
pub(super) fn write(reply: &mut Reply, id: StreamId) {
    reply.bulk(&text(id));
}

/// `ms` or `ms-seq`; `missing_seq` stands for a sequence number that is left out.
pub(super) fn strict(argument: &[u8], missing_seq: u64) -> Result<StreamId, CmdError> {
    match parse(argument, missing_seq)? {
        Given::Id(id) => Ok(id),
        Given::Ms(_) => Err(invalid()),
    }
}

/// What XADD takes besides `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// An id.
    Id(StreamId),
    /// `ms-*`: the sequence number is to be chosen.
    Ms(u64),
}

/// An id, or one whose sequence number is `*`.
pub(super) fn given(argument: &[u8]) -> Result<Given, CmdError> {
    parse(argument, 0)
}

/// Longest text of an id that is looked at.
const LONGEST: usize = 127;

fn parse(argument: &[u8], missing_seq: u64) -> Result<Given, CmdError> {
    if argument.len() > LONGEST {
        return Err(invalid());
    }
    // C's strings end at a zero byte.
    let argument = argument.split(|byte| *byte == 0).next().unwrap_or(argument);
    let mut halves = argument.splitn(2, |byte| *byte == b'-');
    let ms = halves.next().and_then(number).ok_or_else(invalid)?;
    match halves.next() {
        None => Ok(Given::Id(StreamId::new(ms, missing_seq))),
        Some(b"*") => Ok(Given::Ms(ms)),
        Some(seq) => Ok(Given::Id(StreamId::new(ms, number(seq).ok_or_else(invalid)?))),
    }
}

/// A number as `strtoull` reads it, where it is not written as a negative one plainly is.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(number) = numeric::parse_i64(text) {
        return u64::try_from(number).ok();
    }
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// One end of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The lower one.
    Start,
    /// The upper one.
    End,
}

/// An end of an interval: an id, `-`, `+`, or an id that is itself left out (`(id`).
pub(super) fn interval(argument: &[u8], end: End) -> Result<StreamId, CmdError> {
    let missing_seq = match end {
        End::Start => 0,
        End::End => u64::MAX,
    };
    let id = match argument {
        b"-" => return Ok(StreamId::ZERO),
        b"+" => return Ok(StreamId::MAX),
        [b'(', id @ ..] if !id.is_empty() => strict(id, missing_seq)?,
        id => return strict(id, missing_seq),
    };
    match end {
        End::Start => id
            .next()
            .ok_or(CmdError::msg("ERR invalid start ID for the interval")),
        End::End => id
            .prev()
            .ok_or(CmdError::msg("ERR invalid end ID for the interval")),
    }
}

/// An error text that quotes arguments, cut as C's strings are at a zero byte.
pub(super) fn quoting(parts: &[&[u8]]) -> CmdError {
    let mut text = Vec::new();
    for part in parts {
        let part = part.split(|byte| *byte == 0).next().unwrap_or(part);
        text.write_all(part).expect("a vector takes any bytes");
    }
    CmdError::msg(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_strtoull_reads_them() {
        let max = u64::MAX;
        for (text, ms, seq) in [
            ("0", 0, 9),
            ("5-3", 5, 3),
            ("+5-+3", 5, 3),
            (" 08- 01", 8, 1),
            ("9--0", 9, 0),
            ("9--9223372036854775809", 9, 9_223_372_036_854_775_807),
            ("18446744073709551615-18446744073709551615", max, max),
        ] {
            assert_eq!(strict(text.as_bytes(), 9), Ok(StreamId::new(ms, seq)), "{text}");
        }
        for text in [
            "",
            "-",
            "+",
            "x",
            "1-",
            "-1",
            "1-x",
            "1-1-1",
            "1--1",
            "1-*",
            "*",
            "$",
            "1 -1",
            "18446744073709551616",
            "1.0",
        ] {
            assert_eq!(strict(text.as_bytes(), 9), Err(invalid()), "{text}");
        }
        assert_eq!(given(b"7-*"), Ok(Given::Ms(7)));
        assert_eq!(strict(&[b'1'; 128], 0), Err(invalid()));
    }

    #[test]
    fn ends_of_intervals() {
        assert_eq!(interval(b"-", End::End), Ok(StreamId::ZERO));
        assert_eq!(interval(b"5", End::End), Ok(StreamId::new(5, u64::MAX)));
        assert_eq!(interval(b"(5", End::Start), Ok(StreamId::new(5, 1)));
        assert_eq!(interval(b"(5", End::End), Ok(StreamId::new(5, u64::MAX - 1)));
        for wrong in ["(", "(-", "(+", "(("] {
            assert_eq!(interval(wrong.as_bytes(), End::Start), Err(invalid()), "{wrong}");
        }
        assert!(interval(b"(0-0", End::End).is_err());
    }
}
