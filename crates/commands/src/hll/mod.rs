//! HyperLogLogs.

mod counting;
mod debug;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[
    &counting::PFADD,
    &counting::PFCOUNT,
    &counting::PFMERGE,
    &debug::PFDEBUG,
    &debug::PFSELFTEST,
];
