//! The replication log: every change of the process as bytes, in one order.
//!
//! Moves bytes and offsets, never a value: this crate knows no type, no command and no key.

#![forbid(unsafe_code)]

mod log;

pub use log::{Record, ReplicationLog};
