//! Conditions on the string that a key holds: IFEQ, IFNE, IFDEQ and IFDNE of SET and DELEX, and the digest that the last
//! two compare (XXH3, 64 bits, as DIGEST shows it).

use holdfast_storage::data::StrRef;
use twox_hash::XxHash3_64;

use crate::args::Cursor;
use crate::error::CmdError;

/// What must be true of the string at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition<'a> {
    /// IFEQ: it is this text.
    Equal(&'a [u8]),
    /// IFNE: it is another, or there is none.
    NotEqual(&'a [u8]),
    /// IFDEQ: it has this digest.
    DigestEqual(u64),
    /// IFDNE: it has another, or there is none.
    DigestNotEqual(u64),
}

impl<'a> Condition<'a> {
    /// Takes one of the four words and what follows it, if they come next.
    pub(crate) fn take(rest: &mut Cursor<'a>) -> Result<Option<Self>, CmdError> {
        if rest.left() < 2 {
            return Ok(None);
        }
        Ok(Some(if rest.accept("IFEQ") {
            Self::Equal(rest.word()?)
        } else if rest.accept("IFNE") {
            Self::NotEqual(rest.word()?)
        } else if rest.accept("IFDEQ") {
            Self::DigestEqual(parse(rest.word()?)?)
        } else if rest.accept("IFDNE") {
            Self::DigestNotEqual(parse(rest.word()?)?)
        } else {
            return Ok(None);
        }))
    }

    /// Whether it is true of what is stored.
    pub(crate) fn holds(self, stored: Option<StrRef<'_>>) -> bool {
        let equals = |text: &[u8]| stored.is_some_and(|stored| stored.with(|stored| stored == text));
        let has = |wanted: u64| stored.is_some_and(|stored| stored.with(digest) == wanted);
        match self {
            Self::Equal(text) => equals(text),
            Self::NotEqual(text) => !equals(text),
            Self::DigestEqual(wanted) => has(wanted),
            Self::DigestNotEqual(wanted) => !has(wanted),
        }
    }
}

/// The digest of a text.
pub(crate) fn digest(text: &[u8]) -> u64 {
    XxHash3_64::oneshot(text)
}

/// A digest as DIGEST writes it: 16 hexadecimal digits, here in any case.
fn parse(text: &[u8]) -> Result<u64, CmdError> {
    let digits = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit()));
    digits
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or(CmdError::msg("ERR must be exactly 16 hexadecimal characters"))
}
