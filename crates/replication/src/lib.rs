//! The replication log: every change of the process as bytes, in one order; and the rules by which others follow it.
//!
//! Moves bytes and offsets, never a value: this crate knows no type, no command, no key and no socket.

#![forbid(unsafe_code)]

mod door;
mod history;
mod log;
mod peer;
pub mod replica;

pub use door::{Door, Look};
pub use history::{Answer, Ask, History, ReplId, Second, Why, first_wanted};
pub use log::{Chunk, Extent, Gone, LogReader, Record, ReplicationLog};
pub use peer::{Content, Introduction, Misfit, Said};
