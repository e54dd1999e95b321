//! Sets.

mod add;
mod card;
mod combine;
mod diff;
mod inter;
mod look;
mod pop;
#[cfg(test)]
mod properties;
mod random;
mod scan;
mod smove;
#[cfg(test)]
mod tests;
mod union;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[
    &add::SADD,
    &card::SDIFFCARD,
    &card::SUNIONCARD,
    &add::SREM,
    &diff::SDIFF,
    &diff::SDIFFSTORE,
    &inter::SINTER,
    &inter::SINTERCARD,
    &inter::SINTERSTORE,
    &look::SCARD,
    &look::SISMEMBER,
    &look::SMEMBERS,
    &look::SMISMEMBER,
    &pop::SPOP,
    &random::SRANDMEMBER,
    &scan::SSCAN,
    &smove::SMOVE,
    &union::SUNION,
    &union::SUNIONSTORE,
];
