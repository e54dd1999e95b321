//! Streams.

mod ack;
mod add;
mod claim;
mod del;
mod events;
mod group;
mod id;
mod idempotence;
mod info;
mod logged;
mod look;
mod pending;
mod read;
mod read_args;
mod read_group;
mod reply;
mod setid;
mod trim;
mod trim_args;

#[cfg(test)]
mod tests;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[
    &ack::XACK,
    &ack::XACKDEL,
    &ack::XNACK,
    &add::XADD,
    &claim::XAUTOCLAIM,
    &claim::XCLAIM,
    &del::XDEL,
    &del::XDELEX,
    &group::XGROUP,
    &group::XGROUP_CREATE,
    &group::XGROUP_CREATECONSUMER,
    &group::XGROUP_DELCONSUMER,
    &group::XGROUP_DESTROY,
    &group::XGROUP_HELP,
    &group::XGROUP_SETID,
    &idempotence::XCFGSET,
    &idempotence::XIDMPRECORD,
    &info::XINFO,
    &info::XINFO_CONSUMERS,
    &info::XINFO_GROUPS,
    &info::XINFO_HELP,
    &info::XINFO_STREAM,
    &look::XLEN,
    &look::XRANGE,
    &look::XREVRANGE,
    &pending::XPENDING,
    &read::XREAD,
    &read_group::XREADGROUP,
    &setid::XSETID,
    &trim::XTRIM,
];
