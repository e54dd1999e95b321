//! Hashes. One whose fields expire is written in the form of Valkey 9 or, by default, of Redis 7.4:
//!
//! ```text
//!   earliest time (8 bytes) | count | then each: time, field, value        time: 0 never, else 1 + time - earliest
//! ```
//!
//! Release candidates of 7.4 lack the earliest time and write times as they are; Valkey puts 8 bytes with the time or
//! -1 behind each value; a listpack holds field, value and time (or 0) in turn.

use std::io::{self, Write};

use holdfast_storage::encoding::listpack::{Item, Listpack};
use holdfast_storage::types::hash::{FIELD_EXPIRY_MAX_MS, Hash, HashLimits};

use crate::error::RdbError;
use crate::input::Input;
use crate::read;
use crate::types::{Dialect, Type};
use crate::value::{count, pack, read_listpack};
use crate::write::Writer;
use crate::ziplist::Ziplist;
use crate::zipmap::Zipmap;

/// The time of a field that does not expire, for Valkey.
pub(crate) const NEVER: i64 = -1;

pub(crate) fn write<W: Write>(w: &mut Writer<W>, hash: &Hash, dialect: Dialect) -> io::Result<()> {
    if let Some(pack) = hash.as_listpack() {
        return w.string(pack.as_bytes());
    }
    if let Some(earliest) = hash.next_expiry_ms() {
        return match dialect {
            Dialect::Redis => write_timed(w, hash, earliest),
            Dialect::Valkey => write_timed_for_valkey(w, hash),
        };
    }
    w.len(hash.len() as u64)?;
    hash.iter().try_for_each(|(field, value)| {
        w.item(field)?;
        w.item(value)
    })
}

/// Fields whose time is over are written, too: who reads them knows the time better.
fn write_timed<W: Write>(w: &mut Writer<W>, hash: &Hash, earliest: i64) -> io::Result<()> {
    w.millis(earliest)?;
    w.len(hash.iter_all().count() as u64)?;
    hash.iter_all().try_for_each(|(field, value, at_ms)| {
        let time = at_ms.map_or(0, |at| at.abs_diff(earliest).saturating_add(1));
        w.len(time)?;
        w.item(field)?;
        w.item(value)
    })
}

fn write_timed_for_valkey<W: Write>(w: &mut Writer<W>, hash: &Hash) -> io::Result<()> {
    w.len(hash.iter_all().count() as u64)?;
    hash.iter_all().try_for_each(|(field, value, at_ms)| {
        w.item(field)?;
        w.item(value)?;
        w.millis(at_ms.unwrap_or(NEVER))
    })
}

pub(crate) fn read(input: &mut impl Input, ty: Type, limits: &HashLimits) -> Result<Hash, RdbError> {
    match ty {
        Type::HashListpack => of_listpack(read_listpack(input)?, limits),
        Type::HashZiplist => {
            let bytes = read::string(input)?;
            of_listpack(pack(Ziplist::new(&bytes)?)?, limits)
        }
        Type::HashZipmap => {
            let bytes = read::string(input)?;
            let mut hash = Hash::new();
            for (field, value) in Zipmap::new(&bytes)? {
                if !hash.set(field, value, limits) {
                    return Err(RdbError::Duplicate);
                }
            }
            if hash.is_empty() {
                return Err(RdbError::Empty);
            }
            Ok(hash)
        }
        Type::HashMetadata | Type::HashMetadataEarly => {
            let earliest = if ty == Type::HashMetadata {
                read::millis(input)?
            } else {
                1
            };
            let earliest = u64::try_from(earliest).map_err(|_| RdbError::FieldExpiry)?;
            read_fields(input, limits, |input, field, value| {
                let time = read::len(input)?;
                read::string_into(input, field)?;
                read::string_into(input, value)?;
                match time.checked_sub(1) {
                    None => Ok(None),
                    Some(after) => Ok(Some(earliest.saturating_add(after))),
                }
            })
        }
        Type::HashValkey => read_fields(input, limits, |input, field, value| {
            read::string_into(input, field)?;
            read::string_into(input, value)?;
            match read::millis(input)? {
                NEVER => Ok(None),
                at => u64::try_from(at).map(Some).map_err(|_| RdbError::FieldExpiry),
            }
        }),
        Type::HashListpackEx | Type::HashListpackExEarly => {
            if ty == Type::HashListpackEx {
                let _earliest = read::millis(input)?; // found in the fields
            }
            of_timed_listpack(&read_listpack(input)?, limits)
        }
        _ => {
            debug_assert_eq!(ty, Type::Hash);
            read_fields(input, limits, |input, field, value| {
                read::string_into(input, field)?;
                read::string_into(input, value)?;
                Ok(None)
            })
        }
    }
}

/// Reads fields one by one: `one` reads a field and its value and tells when it expires.
fn read_fields<I: Input>(
    input: &mut I,
    limits: &HashLimits,
    one: impl Fn(&mut I, &mut Vec<u8>, &mut Vec<u8>) -> Result<Option<u64>, RdbError>,
) -> Result<Hash, RdbError> {
    let count = count(input)?;
    let (mut hash, mut field, mut value) = (Hash::new(), Vec::new(), Vec::new());
    hash.expect(usize::try_from(count).unwrap_or(usize::MAX), limits);
    for _ in 0..count {
        let at_ms = one(input, &mut field, &mut value)?;
        add(&mut hash, &field, &value, at_ms, limits)?;
    }
    Ok(hash)
}

fn add(
    hash: &mut Hash,
    field: &[u8],
    value: &[u8],
    at_ms: Option<u64>,
    limits: &HashLimits,
) -> Result<(), RdbError> {
    if !hash.set(field, value, limits) {
        return Err(RdbError::Duplicate);
    }
    if let Some(at) = at_ms {
        let at = i64::try_from(at)
            .ok()
            .filter(|at| *at <= FIELD_EXPIRY_MAX_MS)
            .ok_or(RdbError::FieldExpiry)?;
        hash.set_expiry_ms(field, Some(at));
    }
    Ok(())
}

fn of_timed_listpack(pack: &Listpack, limits: &HashLimits) -> Result<Hash, RdbError> {
    let (mut hash, mut items) = (Hash::new(), pack.iter());
    while let Some(field) = items.next() {
        let (Some(value), Some(at_ms)) = (items.next(), items.next()) else {
            return Err(RdbError::OddPairs);
        };
        let at_ms = match at_ms {
            Item::Int(at) => u64::try_from(at).map_err(|_| RdbError::FieldExpiry)?,
            Item::Bytes(_) => return Err(RdbError::FieldExpiry),
        };
        field.with_bytes(|field| {
            value.with_bytes(|value| add(&mut hash, field, value, Some(at_ms).filter(|at| *at > 0), limits))
        })?;
    }
    Ok(hash)
}

fn of_listpack(pack: Listpack, limits: &HashLimits) -> Result<Hash, RdbError> {
    if !pack.len().is_multiple_of(2) {
        return Err(RdbError::OddPairs);
    }
    Hash::from_listpack(pack, limits).ok_or(RdbError::Duplicate)
}
