//! Keys of any type, and databases.

mod databases;
mod del;
mod dump;
mod exists;
mod expire;
mod flush;
mod keys;
mod object;
mod rename;
mod restore;
pub(crate) mod scan;
mod sort;
mod ttl;

#[cfg(test)]
mod tests;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[
    &databases::COPY,
    &databases::MOVE,
    &del::DEL,
    &del::UNLINK,
    &dump::DUMP,
    &exists::EXISTS,
    &exists::TOUCH,
    &exists::TYPE,
    &expire::EXPIRE,
    &expire::EXPIREAT,
    &expire::PEXPIRE,
    &expire::PEXPIREAT,
    &flush::FLUSHALL,
    &flush::FLUSHDB,
    &flush::SWAPDB,
    &keys::DBSIZE,
    &keys::KEYS,
    &keys::RANDOMKEY,
    &object::OBJECT,
    &object::OBJECT_ENCODING,
    &object::OBJECT_FREQ,
    &object::OBJECT_HELP,
    &object::OBJECT_IDLETIME,
    &object::OBJECT_REFCOUNT,
    &rename::RENAME,
    &rename::RENAMENX,
    &restore::RESTORE,
    &restore::RESTORE_ASKING,
    &scan::SCAN,
    &sort::SORT,
    &sort::SORT_RO,
    &ttl::EXPIRETIME,
    &ttl::PERSIST,
    &ttl::PEXPIRETIME,
    &ttl::PTTL,
    &ttl::TTL,
];
