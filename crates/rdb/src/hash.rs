//! Hashes.

use std::io::{self, Write};

use holdfast_storage::types::hash::{Hash, HashLimits};

use crate::error::RdbError;
use crate::input::Input;
use crate::read;
use crate::types::Type;
use crate::value::{count, pack, read_listpack};
use crate::write::Writer;
use crate::ziplist::Ziplist;
use crate::zipmap::Zipmap;

pub(crate) fn write<W: Write>(w: &mut Writer<W>, hash: &Hash) -> io::Result<()> {
    if let Some(pack) = hash.as_listpack() {
        return w.string(pack.as_bytes());
    }
    w.len(hash.len() as u64)?;
    hash.iter().try_for_each(|(field, value)| {
        w.item(field)?;
        w.item(value)
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
        _ => {
            debug_assert_eq!(ty, Type::Hash);
            let count = count(input)?;
            let (mut hash, mut field, mut value) = (Hash::new(), Vec::new(), Vec::new());
            hash.expect(usize::try_from(count).unwrap_or(usize::MAX), limits);
            for _ in 0..count {
                read::string_into(input, &mut field)?;
                read::string_into(input, &mut value)?;
                if !hash.set(&field, &value, limits) {
                    return Err(RdbError::Duplicate);
                }
            }
            Ok(hash)
        }
    }
}

fn of_listpack(
    pack: holdfast_storage::encoding::listpack::Listpack,
    limits: &HashLimits,
) -> Result<Hash, RdbError> {
    if !pack.len().is_multiple_of(2) {
        return Err(RdbError::OddPairs);
    }
    Hash::from_listpack(pack, limits).ok_or(RdbError::Duplicate)
}
