//! Strings.

mod expiry;
mod get;
mod set;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[&get::GET, &set::SET];
