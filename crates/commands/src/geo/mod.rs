//! Points on the earth, kept as scores of sorted sets.

mod add;
mod point;
mod radius;
mod search;
#[cfg(test)]
mod tests;
mod words;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[
    &add::GEOADD,
    &point::GEODIST,
    &point::GEOHASH,
    &point::GEOPOS,
    &radius::GEORADIUS,
    &radius::GEORADIUSBYMEMBER,
    &radius::GEORADIUSBYMEMBER_RO,
    &radius::GEORADIUS_RO,
    &radius::GEOSEARCH,
    &radius::GEOSEARCHSTORE,
];
