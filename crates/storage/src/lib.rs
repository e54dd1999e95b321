//! The keyspace, its types and their encodings, expiry and eviction.
//!
//! No I/O, no clock, no RESP: time and randomness are passed in.

pub mod bitfield;
pub mod bitops;
pub mod digest;
pub mod encoding;
mod floattext;
pub mod glob;
pub mod longdouble;
pub mod numeric;
pub mod slot;
pub mod types;
