//! Commands about commands: which keys does this one have?

use crate::differential::pool::{Command, Pool, cmd};

use super::{FAMILIES, Family};

/// COMMAND GETKEYS of a command of another family.
pub(super) fn get_keys(p: &mut Pool) -> Command {
    let (family, _) = p.one_of(&FAMILIES);
    // The generic family would come back here.
    let family = if matches!(family, Family::Generic | Family::Acl) {
        Family::Strings
    } else {
        family
    };
    let inner = family.command(p);
    cmd("COMMAND").arg("GETKEYS").args(inner.0)
}
