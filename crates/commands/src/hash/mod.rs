//! Hashes.

mod expire;
mod field_args;
mod get;
mod incr;
mod look;
#[cfg(test)]
mod properties;
mod random;
mod scan;
mod set;
mod set_get_ex;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_expiry;
mod ttl;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[
    &expire::HEXPIRE,
    &expire::HEXPIREAT,
    &expire::HPEXPIRE,
    &expire::HPEXPIREAT,
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
    &set_get_ex::HGETDEL,
    &set_get_ex::HGETEX,
    &set_get_ex::HSETEX,
    &ttl::HEXPIRETIME,
    &ttl::HPERSIST,
    &ttl::HPEXPIRETIME,
    &ttl::HPTTL,
    &ttl::HTTL,
];
