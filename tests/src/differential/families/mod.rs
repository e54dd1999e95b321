//! The families of commands and what makes a random command of each.

mod acl;
mod bitmaps;
mod generic;
mod geo;
mod hashes;
mod lists;
mod lookups;
mod scripts;
mod sets;
mod sketches;
mod sorted_sets;
mod streams;
mod strings;

use std::str::FromStr;

use super::pool::{Command, Pool};
pub(super) use acl::USERS;
pub(super) use generic::DATABASES;

/// A function that makes one command.
type Maker = fn(&mut Pool) -> Command;

/// A family of commands, as `--families` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// SET, GET, INCR and their kin.
    Strings,
    /// LPUSH, LRANGE, BLPOP and their kin.
    Lists,
    /// HSET, HGETALL and their kin.
    Hashes,
    /// SADD, SINTERSTORE, SPOP and their kin.
    Sets,
    /// ZADD, ZRANGE, ZUNIONSTORE and their kin.
    SortedSets,
    /// XADD, XREADGROUP, XCLAIM and their kin.
    Streams,
    /// SETBIT, BITFIELD and their kin.
    Bitmaps,
    /// PFADD, PFCOUNT, PFMERGE.
    Sketches,
    /// GEOADD, GEOSEARCH and their kin.
    Geo,
    /// Keys as such: DEL, RENAME, COPY, SORT, OBJECT and databases.
    Generic,
    /// Times to live.
    Expiry,
    /// Users, their rules, and what they may do.
    Acl,
    /// EVAL and its kin.
    Scripts,
}

/// Every family, under the name that selects it.
pub const FAMILIES: [(Family, &str); 13] = [
    (Family::Strings, "strings"),
    (Family::Lists, "lists"),
    (Family::Hashes, "hashes"),
    (Family::Sets, "sets"),
    (Family::SortedSets, "zsets"),
    (Family::Streams, "streams"),
    (Family::Bitmaps, "bitmaps"),
    (Family::Sketches, "hll"),
    (Family::Geo, "geo"),
    (Family::Generic, "generic"),
    (Family::Expiry, "expiry"),
    (Family::Acl, "acl"),
    (Family::Scripts, "scripts"),
];

impl Family {
    /// A random command of this family, valid more often than not.
    pub fn command(self, pool: &mut Pool) -> Command {
        let makers: &[Maker] = match self {
            Family::Strings => strings::MAKERS,
            Family::Lists => lists::MAKERS,
            Family::Hashes => hashes::MAKERS,
            Family::Sets => sets::MAKERS,
            Family::SortedSets => sorted_sets::MAKERS,
            Family::Streams => streams::MAKERS,
            Family::Bitmaps => bitmaps::MAKERS,
            Family::Sketches => sketches::MAKERS,
            Family::Geo => geo::MAKERS,
            Family::Generic => generic::MAKERS,
            Family::Expiry => generic::EXPIRY_MAKERS,
            Family::Acl => acl::MAKERS,
            Family::Scripts => scripts::MAKERS,
        };
        pool.one_of(makers)(pool)
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(name: &str) -> Result<Family, String> {
        let known = || FAMILIES.map(|(_, name)| name).join(", ");
        let found = FAMILIES.into_iter().find(|(_, candidate)| *candidate == name);
        found
            .map(|(family, _)| family)
            .ok_or_else(|| format!("no family `{name}`; there are {}", known()))
    }
}
