//! Why a stream of commands cannot be read any further, in Redis's words.

use crate::encode::Reply;

/// A violation of the protocol; the texts are those of Redis 7.0, without the `ERR` code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The number behind `*` is not a canonical integer, or does not fit in a C `int`.
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// The number behind `$` is not a canonical integer, negative, or above `proto-max-bulk-len`.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// An argument does not begin with `$` but with this byte.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedDollar(u8),
    /// More than 10 arguments before AUTH.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// An argument of more than 16 KiB before AUTH.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// An inline command without a line end in its first 64 KiB.
    #[error("Protocol error: too big inline request")]
    TooBigInline,
    /// A `*` line without an end in its first 64 KiB.
    #[error("Protocol error: too big mbulk count string")]
    TooBigMultibulkCount,
    /// A `$` line without an end in its first 64 KiB.
    #[error("Protocol error: too big bulk count string")]
    TooBigBulkCount,
    /// An inline command with an open quote, or with text right behind a closing one.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The command is longer than `client-query-buffer-limit`. Redis closes such a client without a word.
    #[error("Protocol error: query buffer limit exceeded")]
    QueryBufferLimit,
}

impl ProtocolError {
    /// Appends the `-ERR Protocol error: ...` line that precedes the close. False where Redis sends none.
    pub fn write_reply(&self, reply: &mut Reply) -> bool {
        match self {
            Self::QueryBufferLimit => return false,
            Self::ExpectedDollar(byte) => {
                // Not through Display: the byte goes back as it came, it need not be UTF-8.
                reply.error_bytes(&[b"ERR Protocol error: expected '$', got '", &[*byte][..], b"'"].concat());
            }
            Self::InvalidMultibulkLength
            | Self::InvalidBulkLength
            | Self::UnauthenticatedMultibulkLength
            | Self::UnauthenticatedBulkLength
            | Self::TooBigInline
            | Self::TooBigMultibulkCount
            | Self::TooBigBulkCount
            | Self::UnbalancedQuotes => reply.error(&format!("ERR {self}")),
        }
        true
    }
}
