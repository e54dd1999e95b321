//! Everything that a data command may answer in place of a reply. The text, with Redis's code word in front, is in one
//! place here; a text that only one command uses is built with [`CmdError::msg`].

use std::borrow::Cow;

use holdfast_storage::data::WrongType;

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmdError {
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// Words that do not belong together.
    #[error("ERR syntax error")]
    Syntax,
    /// No 64-bit signed integer.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// A number outside of what makes sense here.
    #[error("ERR value is out of range")]
    OutOfRange,
    /// A negative number where only others make sense.
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    /// No number.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// The key must exist.
    #[error("ERR no such key")]
    NoSuchKey,
    /// A list index beyond its ends.
    #[error("ERR index out of range")]
    IndexOutOfRange,
    /// The stored text is no integer, for hash fields.
    #[error("ERR hash value is not an integer")]
    HashNotInteger,
    /// The stored text is no number, for hash fields.
    #[error("ERR hash value is not a float")]
    HashNotFloat,
    /// The sum does not fit in 64 bits.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// The sum is no number.
    #[error("ERR increment would produce NaN or Infinity")]
    NanOrInfinity,
    /// A score that is no number came out of a sum.
    #[error("ERR resulting score is not a number (NaN)")]
    ScoreNan,
    /// Expiry beyond the representable times, or not positive.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// No number of a bit that the longest string could have.
    #[error("ERR bit offset is not an integer or out of range")]
    BitOffset,
    /// `proto-max-bulk-len` is exceeded.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// Score ranges.
    #[error("ERR min or max is not a float")]
    MinMaxNotFloat,
    /// Lexicographical ranges.
    #[error("ERR min or max not valid string range item")]
    MinMaxNotLex,
    /// A timeout that is no number.
    #[error("ERR timeout is not a float or out of range")]
    TimeoutNotFloat,
    /// A timeout below 0.
    #[error("ERR timeout is negative")]
    TimeoutNegative,
    /// A number of arguments that the command finds wrong only after looking at them.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    /// A database number that does not exist.
    #[error("ERR DB index is out of range")]
    DbIndex,
    /// A cursor that is no number.
    #[error("ERR invalid cursor")]
    InvalidCursor,
    /// Any other text, code word included.
    #[error("{0}")]
    Other(Cow<'static, str>),
}

impl CmdError {
    /// A text of one's own; it begins with the code word (`ERR `...).
    pub fn msg(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Other(text.into())
    }
}

impl From<WrongType> for CmdError {
    fn from(_: WrongType) -> Self {
        Self::WrongType
    }
}
