//! When a string of bytes is a 64-bit integer written the one way that gives the same bytes back: what packed
//! encodings store as a number.

pub use crate::numeric::parse_i64 as parse_canonical;

/// Longest text of an `i64`: `-9223372036854775808`.
pub const MAX_INTEGER_TEXT: usize = 20;
