//! Strings.

mod append;
mod condition;
mod counter;
mod delex;
mod expiry;
mod get;
mod getset;
mod increx;
mod lcs;
mod msetex;
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
    &delex::DELEX,
    &delex::DELIFEQ,
    &delex::DIGEST,
    &get::GET,
    &getset::GETDEL,
    &getset::GETEX,
    &getset::GETSET,
    &increx::INCREX,
    &lcs::LCS,
    &msetex::MSETEX,
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
