//! Values as a whole: which type they are written as, and who reads and writes it.

use std::io::{self, Write};

use bytes::Bytes;
use holdfast_storage::encoding::entry::INLINE_MAX;
use holdfast_storage::encoding::integer::{MAX_INTEGER_TEXT, parse_canonical};
use holdfast_storage::encoding::listpack::{self, Item, Listpack};
use holdfast_storage::types::hash::HashLimits;
use holdfast_storage::types::list::ListLimits;
use holdfast_storage::types::set::SetLimits;
use holdfast_storage::types::zset::ZsetLimits;
use holdfast_storage::value::{HeapStr, Value, ValueRef};

use crate::error::RdbError;
use crate::input::Input;
use crate::read::{self, Text};
use crate::types::{Dialect, Type};
use crate::write::Writer;
use crate::{hash, list, set, stream, zset};

/// Configured sizes, which decide the encodings of what is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// `list-max-listpack-size`.
    pub list: ListLimits,
    /// `set-max-*`.
    pub set: SetLimits,
    /// `hash-max-listpack-*`.
    pub hash: HashLimits,
    /// `zset-max-listpack-*`.
    pub zset: ZsetLimits,
}

/// The type that a value is written as: the one that Redis 7.0 reads, wherever there is one.
pub fn type_of(value: ValueRef<'_>, dialect: Dialect) -> Type {
    match value {
        ValueRef::Int(_) | ValueRef::Str { .. } | ValueRef::Heap(_) => Type::String,
        ValueRef::List(_) => Type::ListQuicklist2,
        ValueRef::Set(set) if set.as_intset().is_some() => Type::SetIntset,
        ValueRef::Set(_) => Type::Set,
        ValueRef::Hash(hash) if hash.as_listpack().is_some() => Type::HashListpack,
        ValueRef::Hash(hash) if hash.expiring_len() > 0 => dialect.timed_hash(),
        ValueRef::Hash(_) => Type::Hash,
        ValueRef::Zset(zset) if zset.as_listpack().is_some() => Type::ZsetListpack,
        ValueRef::Zset(_) => Type::Zset2,
        ValueRef::Stream(_) => Type::StreamListpacks2,
    }
}

/// The version of RDB that a reader must know to read a value as it is written.
pub fn version_of(value: ValueRef<'_>, dialect: Dialect) -> u16 {
    match value {
        ValueRef::Hash(hash) if hash.expiring_len() > 0 => dialect.timed_version(),
        ValueRef::Int(_)
        | ValueRef::Str { .. }
        | ValueRef::Heap(_)
        | ValueRef::List(_)
        | ValueRef::Set(_)
        | ValueRef::Hash(_)
        | ValueRef::Zset(_)
        | ValueRef::Stream(_) => 10,
    }
}

/// Writes a value, without the type byte: the bytes of [`type_of`].
///
/// # Errors
/// Those of the medium.
pub fn write_value<W: Write>(w: &mut Writer<W>, value: ValueRef<'_>, dialect: Dialect) -> io::Result<()> {
    match value {
        ValueRef::Int(int) => w.int(int),
        ValueRef::Str { bytes, .. } => w.string(bytes),
        ValueRef::Heap(text) => w.string(text.as_slice()),
        ValueRef::List(value) => list::write(w, value),
        ValueRef::Set(value) => set::write(w, value),
        ValueRef::Hash(value) => hash::write(w, value, dialect),
        ValueRef::Zset(value) => zset::write(w, value),
        ValueRef::Stream(value) => stream::write(w, value),
    }
}

/// Reads a value of a type. A collection in it has at least one element, but for a stream.
///
/// # Errors
/// The bytes are not such a value; what is wrong with them, or [`RdbError::Empty`].
pub fn read_value(input: &mut impl Input, ty: Type, limits: &Limits) -> Result<Value, RdbError> {
    match ty {
        Type::String => read_string(input),
        Type::List | Type::ListZiplist | Type::ListQuicklist | Type::ListQuicklist2 => {
            list::read(input, ty, &limits.list).map(Value::List)
        }
        Type::Set | Type::SetIntset | Type::SetListpack => set::read(input, ty, &limits.set).map(Value::Set),
        Type::Zset | Type::Zset2 | Type::ZsetZiplist | Type::ZsetListpack => {
            zset::read(input, ty, &limits.zset).map(Value::Zset)
        }
        Type::Hash
        | Type::HashZipmap
        | Type::HashZiplist
        | Type::HashListpack
        | Type::HashMetadataEarly
        | Type::HashListpackExEarly
        | Type::HashMetadata
        | Type::HashListpackEx
        | Type::HashValkey => hash::read(input, ty, &limits.hash).map(Value::Hash),
        Type::StreamListpacks | Type::StreamListpacks2 | Type::StreamListpacks3 => {
            stream::read(input, ty).map(Value::Stream)
        }
        Type::Module | Type::Module2 => Err(RdbError::Module(module_name(read::len(input)?))),
    }
}

fn read_string(input: &mut impl Input) -> Result<Value, RdbError> {
    Ok(match read::text(input)? {
        Text::Int(int) => Value::Int(int),
        Text::Bytes(text) if text.len() <= MAX_INTEGER_TEXT => match parse_canonical(&text) {
            Some(int) => Value::Int(int),
            None => Value::Str(text.into()),
        },
        Text::Bytes(text) if text.len() <= INLINE_MAX => Value::Str(text.into()),
        Text::Bytes(text) => Value::Heap(Box::new(HeapStr::Shared(Bytes::from(text)))),
    })
}

/// The name in a module type's number: nine letters of six bits each, above ten bits of a version.
pub(crate) fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9)
        .map(|k| char::from(LETTERS[(id >> (58 - 6 * k)) as usize & 63]))
        .collect()
}

/// A listpack that came as a string. One without entries is [`RdbError::Empty`].
pub(crate) fn read_listpack(input: &mut impl Input) -> Result<Listpack, RdbError> {
    let bytes = read::string(input)?;
    check_packed_size(bytes.len())?;
    let pack = Listpack::from_bytes(&bytes)?;
    if pack.is_empty() {
        return Err(RdbError::Empty);
    }
    Ok(pack)
}

/// A listpack of elements that came in another form.
pub(crate) fn pack<'a>(items: impl Iterator<Item = Item<'a>>) -> Result<Listpack, RdbError> {
    let mut pack = Listpack::new();
    for item in items {
        if !pack.has_room(item.byte_len() + 14) {
            return Err(RdbError::TooLarge(listpack::MAX_BYTES));
        }
        match item {
            Item::Int(int) => pack.push_back_int(int),
            Item::Bytes(bytes) => pack.push_back(bytes),
        }
    }
    if pack.is_empty() {
        return Err(RdbError::Empty);
    }
    Ok(pack)
}

fn check_packed_size(len: usize) -> Result<(), RdbError> {
    if len > listpack::MAX_BYTES {
        return Err(RdbError::TooLarge(listpack::MAX_BYTES));
    }
    Ok(())
}

/// The number of elements in front of a collection.
pub(crate) fn count(input: &mut impl Input) -> Result<u64, RdbError> {
    match read::len(input)? {
        0 => Err(RdbError::Empty),
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests;
