//! Strings.

mod append;
mod counter;
mod expiry;
mod get;
mod getset;
mod lcs;
mod range;
pub(crate) mod raw;
mod set;
mod setex;
mod several;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[
    &append::APPEND,
    &append::STRLEN,
    &counter::DECR,
    &counter::DECRBY,
    &counter::INCR,
    &counter::INCRBY,
    &counter::INCRBYFLOAT,
    &get::GET,
    &getset::GETDEL,
    &getset::GETEX,
    &getset::GETSET,
    &lcs::LCS,
    &range::GETRANGE,
    &range::SETRANGE,
    &range::SUBSTR,
    &set::SET,
    &setex::PSETEX,
    &setex::SETEX,
    &setex::SETNX,
    &several::MGET,
    &several::MSET,
    &several::MSETNX,
];
