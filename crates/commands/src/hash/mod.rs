//! Hashes.

mod get;
mod incr;
mod look;
#[cfg(test)]
mod properties;
mod random;
mod scan;
mod set;
#[cfg(test)]
mod tests;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[
    &get::HGET,
    &get::HGETALL,
    &get::HKEYS,
    &get::HMGET,
    &get::HVALS,
    &incr::HINCRBY,
    &incr::HINCRBYFLOAT,
    &look::HEXISTS,
    &look::HLEN,
    &look::HSTRLEN,
    &random::HRANDFIELD,
    &scan::HSCAN,
    &set::HDEL,
    &set::HMSET,
    &set::HSET,
    &set::HSETNX,
];
