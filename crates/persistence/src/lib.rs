//! What is kept in files: RDB, the append-only file, encryption at rest, the file system underneath.

#![forbid(unsafe_code)]

pub mod aof;
pub mod encryption;
pub mod fs;
pub mod rdb;

/// What `appendfsync` may say: when the append-only file is forced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before any reply to a write leaves.
    Always,
    /// Once a second.
    EverySecond,
    /// When the system likes.
    No,
}

/// Oldest and newest RDB versions of the Redis family that are meant to be read.
pub const RDB_VERSIONS: std::ops::RangeInclusive<u32> = 1..=12;
