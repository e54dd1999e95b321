//! Sorted sets.

mod add;
mod bounds;
mod look;
mod range;
mod remove;
mod reply;
mod scan;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[
    &add::ZADD,
    &add::ZINCRBY,
    &look::ZCARD,
    &look::ZCOUNT,
    &look::ZLEXCOUNT,
    &look::ZMSCORE,
    &look::ZRANK,
    &look::ZREVRANK,
    &look::ZSCORE,
    &range::ZRANGE,
    &range::ZRANGEBYLEX,
    &range::ZRANGEBYSCORE,
    &range::ZRANGESTORE,
    &range::ZREVRANGE,
    &range::ZREVRANGEBYLEX,
    &range::ZREVRANGEBYSCORE,
    &remove::ZREM,
    &remove::ZREMRANGEBYLEX,
    &remove::ZREMRANGEBYRANK,
    &remove::ZREMRANGEBYSCORE,
    &scan::ZSCAN,
];
