//! Reading what objects are made of: lengths, strings, numbers.
//!
//! ```text
//!   00llllll                           length of 6 bits
//!   01llllll llllllll                  length of 14 bits
//!   10000000 + 4 bytes, 10000001 + 8   length, big-endian
//!   11000000 + 1, 11000001 + 2, 11000010 + 4   integer in the place of a string, little-endian
//!   11000011 + two lengths + bytes     string compressed with LZF: its length, and that of the text
//! ```

use holdfast_storage::encoding::entry::INLINE_MAX;
use holdfast_storage::encoding::integer::{MAX_INTEGER_TEXT, parse_canonical};
use holdfast_storage::numeric::parse_f64;

use crate::error::RdbError;
use crate::input::Input;
use crate::lzf;

/// The longest string that is read: what Redis allows, and a listpack or a key cannot be longer.
pub const MAX_STRING: u64 = 4 << 30;

/// A length, or the number of a special encoding in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Plain(u64),
    Special(u8),
}

fn length(input: &mut impl Input) -> Result<Length, RdbError> {
    let first = byte(input)?;
    let low = first & 0x3F;
    Ok(match first >> 6 {
        0 => Length::Plain(u64::from(low)),
        1 => Length::Plain(u64::from(low) << 8 | u64::from(byte(input)?)),
        2 if first == 0x80 => Length::Plain(u64::from(u32::from_be_bytes(bytes(input)?))),
        2 if first == 0x81 => Length::Plain(u64::from_be_bytes(bytes(input)?)),
        2 => return Err(RdbError::Length),
        _ => Length::Special(low),
    })
}

/// Reads `N` bytes.
pub fn bytes<const N: usize>(input: &mut impl Input) -> Result<[u8; N], RdbError> {
    let mut bytes = [0; N];
    input.fill(&mut bytes)?;
    Ok(bytes)
}

/// Reads one byte.
pub fn byte(input: &mut impl Input) -> Result<u8, RdbError> {
    Ok(bytes::<1>(input)?[0])
}

/// Reads a length or a number.
pub fn len(input: &mut impl Input) -> Result<u64, RdbError> {
    match length(input)? {
        Length::Plain(len) => Ok(len),
        Length::Special(_) => Err(RdbError::Length),
    }
}

/// Reads the time in milliseconds of an expiry: 8 bytes, little-endian.
pub fn millis(input: &mut impl Input) -> Result<i64, RdbError> {
    Ok(i64::from_le_bytes(bytes(input)?))
}

/// Reads a score of the newer kind: a double in 8 bytes, little-endian.
pub fn binary_double(input: &mut impl Input) -> Result<f64, RdbError> {
    Ok(f64::from_le_bytes(bytes(input)?))
}

/// Reads a score of the older kind: text behind one byte of length; three lengths stand for NaN and the infinities.
pub fn text_double(input: &mut impl Input) -> Result<f64, RdbError> {
    let mut text = [0; 252];
    Ok(match byte(input)? {
        255 => f64::NEG_INFINITY,
        254 => f64::INFINITY,
        253 => f64::NAN,
        len => {
            let text = &mut text[..usize::from(len)];
            input.fill(text)?;
            parse_f64(text).ok_or(RdbError::Score)?
        }
    })
}

/// Reads a string.
pub fn string(input: &mut impl Input) -> Result<Vec<u8>, RdbError> {
    let mut out = Vec::new();
    string_into(input, &mut out)?;
    Ok(out)
}

/// A string as it stands in the bytes.
#[derive(Debug)]
pub(crate) enum Text {
    Int(i64),
    Bytes(Vec<u8>),
}

/// Reads a string without turning integers into text.
pub(crate) fn text(input: &mut impl Input) -> Result<Text, RdbError> {
    let mut out = Vec::new();
    Ok(match text_into(input, &mut out)? {
        Some(int) => Text::Int(int),
        None => Text::Bytes(out),
    })
}

/// Takes a string that stands as it is, is short enough to stand inside an entry, and is no integer. None: it is another one,
/// and nothing was taken.
pub(crate) fn short_text<'b>(input: &mut &'b [u8]) -> Option<&'b [u8]> {
    let mut rest = *input;
    let Ok(Length::Plain(len)) = length(&mut rest) else {
        return None;
    };
    let (text, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    if text.len() > INLINE_MAX || (text.len() <= MAX_INTEGER_TEXT && parse_canonical(text).is_some()) {
        return None;
    }
    *input = rest;
    Some(text)
}

/// Reads a string into `out`, whose old contents are lost.
pub fn string_into(input: &mut impl Input, out: &mut Vec<u8>) -> Result<(), RdbError> {
    if let Some(int) = text_into(input, out)? {
        out.extend_from_slice(itoa::Buffer::new().format(int).as_bytes());
    }
    Ok(())
}

/// Reads a string: an integer is returned, and `out` is empty; else `out` holds the bytes.
fn text_into(input: &mut impl Input, out: &mut Vec<u8>) -> Result<Option<i64>, RdbError> {
    out.clear();
    let encoding = match length(input)? {
        Length::Plain(len) => {
            check_size(len)?;
            input.append(len, out)?;
            return Ok(None);
        }
        Length::Special(encoding) => encoding,
    };
    Ok(match encoding {
        0 => Some(i64::from(i8::from_le_bytes(bytes(input)?))),
        1 => Some(i64::from(i16::from_le_bytes(bytes(input)?))),
        2 => Some(i64::from(i32::from_le_bytes(bytes(input)?))),
        3 => {
            let packed_len = len(input)?;
            let text_len = len(input)?;
            check_size(text_len)?;
            if text_len > lzf::unfolds_to_at_most(packed_len) {
                return Err(RdbError::Lzf);
            }
            let mut packed = Vec::new();
            input.append(packed_len, &mut packed)?;
            *out = lzf::decompress(&packed, text_len as usize).ok_or(RdbError::Lzf)?;
            None
        }
        other => return Err(RdbError::StringEncoding(other)),
    })
}

/// Reads what stands before a string's bytes and tells how many bytes follow.
pub(crate) fn string_size(input: &mut impl Input) -> Result<u64, RdbError> {
    match length(input)? {
        Length::Plain(len) => {
            check_size(len)?;
            Ok(len)
        }
        Length::Special(encoding @ 0..=2) => Ok(1 << encoding),
        Length::Special(3) => {
            let packed_len = len(input)?;
            let _text_len = len(input)?;
            Ok(packed_len)
        }
        Length::Special(other) => Err(RdbError::StringEncoding(other)),
    }
}

fn check_size(len: u64) -> Result<(), RdbError> {
    if len > MAX_STRING {
        return Err(RdbError::TooLarge(MAX_STRING as usize));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a, T>(
        mut bytes: &'a [u8],
        f: impl Fn(&mut &'a [u8]) -> Result<T, RdbError>,
    ) -> Result<T, String> {
        let value = f(&mut bytes).map_err(|e| e.to_string())?;
        assert!(bytes.is_empty(), "all was read");
        Ok(value)
    }

    #[test]
    fn strings_come_in_every_encoding() {
        let text = |bytes: &[u8]| read(bytes, string).map(|s| s.escape_ascii().to_string());
        for (bytes, expected) in [
            (&b"\x03abc"[..], "abc"),
            (b"\x00", ""),
            (b"\x40\x02ab", "ab"),
            (b"\x80\0\0\0\x02ab", "ab"),
            (b"\x81\0\0\0\0\0\0\0\x02ab", "ab"),
            (b"\xc0\xff", "-1"),
            (b"\xc1\x00\x80", "-32768"),
            (b"\xc2\xff\xff\xff\x7f", "2147483647"),
            (b"\xc3\x04\x04\x00a\x20\x00", "aaaa"),
        ] {
            assert_eq!(text(bytes).as_deref(), Ok(expected), "{bytes:?}");
        }
        for (bytes, expected) in [
            (&b""[..], "unexpected end of the data"),
            (b"\x03ab", "unexpected end of the data"),
            (b"\x40", "unexpected end of the data"),
            (b"\x82", "invalid length encoding"),
            (b"\xc4", "unknown string encoding 4"),
            (b"\xc3\x04\x05\x00a\x20\x00", "invalid LZF compressed string"),
            (
                b"\xc3\x04\x80\x00\x01\x00\x00\x00a\x20\x00",
                "invalid LZF compressed string",
            ),
            (b"\xc3\xc0\x01", "invalid length encoding"),
            (b"\x81\xff\0\0\0\0\0\0\0", "a value of more than 4294967296 bytes"),
            (b"\x80\xff\0\0\0", "unexpected end of the data"),
        ] {
            assert_eq!(text(bytes), Err(expected.to_owned()), "{bytes:?}");
        }
    }

    #[test]
    fn doubles_come_as_text_and_as_bytes() {
        assert_eq!(read(b"\x033.5", text_double), Ok(3.5));
        assert_eq!(read(b"\xfe", text_double), Ok(f64::INFINITY));
        assert_eq!(read(b"\xff", text_double), Ok(f64::NEG_INFINITY));
        assert!(read(b"\xfd", text_double).unwrap().is_nan());
        assert_eq!(read(b"\x01x", text_double), Err("invalid score".into()));
        assert_eq!(read(b"\0\0\0\0\0\0\xf8\x3f", binary_double), Ok(1.5));
    }
}
