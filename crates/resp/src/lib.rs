//! RESP2 and RESP3: commands in, replies out.
//!
//! This crate turns bytes into argument vectors and replies into bytes. It must not know what a command means,
//! what a key is, or where the bytes come from: no I/O, no clock, no types of the other crates.
//!
//! | what | where |
//! |---|---|
//! | commands from a stream of bytes | [`CommandDecoder`], [`Frame`], [`OwnedFrame`] |
//! | replies | [`Reply`], [`Proto`] |
//! | commands as bytes (replication log, AOF) | [`encode_command`] |
//! | texts of numbers | [`format_double`], [`parse_i64`] |
//! | quoting rules of inline commands and config files | [`split_args`] |
//! | replies as values, for tests and tools | [`Value`], [`decode_value`] |

#![forbid(unsafe_code)]

mod decode;
mod encode;
mod number;
mod value;

pub use decode::{
    BigRead, CommandDecoder, DecodeLimits, DecodeScratch, Frame, OwnedFrame, ProtocolError, split_args,
};
pub use encode::{Deferred, Mark, Proto, Reply, encode_command};
pub use number::{format_double, parse_i64};
pub use value::{MAX_DEPTH, Value, ValueError, decode_value};
