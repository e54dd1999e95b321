//! The doors to strings: reading them however they are stored, setting them, changing them in place.
//!
//! Must not know: commands, replies, the log.

use std::ops::Range;

use bytes::Bytes;

use super::text::edit_text;
use super::{Data, Expiry, WrongType, discard, keep_state, note_touched};
use crate::effects::{Effects, Event};
use crate::encoding::entry::{Entry, INLINE_MAX};
use crate::encoding::table::Pos;
use crate::keyspace::Shard;
use crate::numeric;
use crate::value::{HeapStr, Kind, Value, ValueMut, ValueRef};

/// A string, however stored.
#[derive(Clone, Copy, Debug)]
pub enum StrRef<'a> {
    /// An integer.
    Int(i64),
    /// Bytes inside the entry.
    Bytes(&'a [u8]),
    /// Bytes with an allocation of their own.
    Heap(&'a HeapStr),
}

impl StrRef<'_> {
    /// Length of the text in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(i) => itoa::Buffer::new().format(*i).len(),
            Self::Bytes(b) => b.len(),
            Self::Heap(h) => h.as_slice().len(),
        }
    }

    /// True for the empty string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lends the text.
    pub fn with<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Int(i) => f(itoa::Buffer::new().format(*i).as_bytes()),
            Self::Bytes(b) => f(b),
            Self::Heap(h) => f(h.as_slice()),
        }
    }

    /// Copies the text.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with(<[u8]>::to_vec)
    }
}

/// A string lent to be changed in place. Nothing is recorded unless [`EditStr::finish`] is called.
#[derive(Debug)]
pub struct EditStr<'d> {
    shard: &'d mut Shard,
    effects: &'d mut Effects,
    db: u32,
    pos: Pos,
    key: &'d [u8],
    /// Bytes that may change, of those that are there.
    touches: Range<usize>,
}

impl Data<'_, '_> {
    /// A string to read.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> Result<Option<StrRef<'_>>, WrongType> {
        as_string(self.get(key))
    }

    /// A string that is about to be overwritten.
    pub fn string_for_write(&mut self, key: &[u8]) -> Result<Option<StrRef<'_>>, WrongType> {
        as_string(self.get_for_write(key))
    }

    /// Sets a string, as `SET` does: text that is an integer is stored as one.
    pub fn set_string(&mut self, key: &[u8], value: &[u8], expiry: Expiry, event: Event) {
        if value.len() <= 20
            && let Some(i) = numeric::parse_i64(value)
        {
            return self.set_with(
                key,
                expiry,
                event,
                |e, at| e.replace_int(i, at),
                |at| Entry::new(key, Value::Int(i), at),
            );
        }
        if value.len() <= INLINE_MAX {
            return self.set_with(
                key,
                expiry,
                event,
                |e, at| e.replace_str(value, at, false),
                |at| Entry::new_str(key, value, at, false),
            );
        }
        self.set(
            key,
            Value::Heap(Box::new(HeapStr::from(Bytes::copy_from_slice(value)))),
            expiry,
            event,
        );
    }

    /// Sets a string that came as a shared buffer: long ones are kept by reference, not copied.
    pub fn set_shared(&mut self, key: &[u8], value: Bytes, expiry: Expiry, event: Event) {
        if value.len() <= INLINE_MAX {
            return self.set_string(key, &value, expiry, event);
        }
        self.set(key, Value::Heap(Box::new(HeapStr::from(value))), expiry, event);
    }

    /// Replaces the string at a key by an integer that `change` makes of it (None: there is no such key) and keeps
    /// the expiry. Nothing happens if `change` fails.
    pub fn update_int<E: From<WrongType>>(
        &mut self,
        key: &[u8],
        event: Event,
        change: impl FnOnce(Option<StrRef<'_>>) -> Result<i64, E>,
    ) -> Result<i64, E> {
        let Some((s, pos)) = self.find(key) else {
            let new = change(None)?;
            self.insert_made(self.db, key, Entry::new(key, Value::Int(new), None));
            self.announce_new(self.db, key);
            self.changed(self.db, key, event);
            return Ok(new);
        };
        let new = change(as_string(self.lend(s, pos))?)?;
        let db = self.db as usize;
        let shard = self.locked.shard(s);
        keep_state(shard, self.db, pos);
        let entry = shard.dbs[db].table.get_mut(pos);
        let (access, at) = (entry.access(), entry.expire_at_ms());
        let old = entry.replace_int(new, at);
        entry.set_access(access);
        if let Some(old) = old {
            discard(self.effects, old);
        }
        self.changed(self.db, key, event);
        Ok(new)
    }

    /// A string to be changed in place: it gets a growable buffer. None if the key does not exist.
    pub fn edit_string<'d>(&'d mut self, key: &'d [u8]) -> Result<Option<EditStr<'d>>, WrongType> {
        match self.get_for_write(key) {
            None => return Ok(None),
            Some(v) if v.kind() == Kind::String => {}
            Some(_) => return Err(WrongType),
        }
        let Some((s, pos)) = self.find(key) else {
            return Ok(None);
        };
        let db = self.db;
        let shard = self.locked.shard(s);
        Ok(Some(EditStr {
            shard,
            effects: self.effects,
            db,
            pos,
            key,
            touches: 0..usize::MAX,
        }))
    }
}

impl EditStr<'_> {
    /// Nothing outside of these bytes will change, but the string may grow. A snapshot then keeps no more than these.
    pub fn within(mut self, bytes: Range<usize>) -> Self {
        self.touches = bytes;
        self
    }

    /// The string as it is.
    pub fn get(&self) -> StrRef<'_> {
        match as_string(Some(self.shard.dbs[self.db as usize].table.get(self.pos).value())) {
            Ok(Some(s)) => s,
            Ok(None) | Err(WrongType) => unreachable!("the kind was checked at the door"),
        }
    }

    /// Changes it and records the change. The string is `raw` from now on.
    pub fn finish<R>(self, event: Event, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.finish_if(Some(event), |text| (true, change(text)))
    }

    /// The same where only `change` can tell whether it changes anything: its first answer. None: nobody is told.
    pub fn finish_if<R>(self, event: Option<Event>, change: impl FnOnce(&mut Vec<u8>) -> (bool, R)) -> R {
        keep_state(self.shard, self.db, self.pos);
        let entry = self.shard.dbs[self.db as usize].table.get_mut(self.pos);
        if let ValueMut::Heap(text) = entry.value_mut() {
            text.note(&self.touches);
        }
        let (changed, result) = edit_text(entry, change).expect("the kind was checked at the door");
        if changed {
            self.shard.touch(self.db, self.key);
            note_touched(self.effects, self.db, self.key);
            self.effects.dirty += 1;
            if let Some(event) = event {
                self.effects.event(self.db, event, self.key);
            }
        }
        result
    }
}

#[inline]
fn as_string(value: Option<ValueRef<'_>>) -> Result<Option<StrRef<'_>>, WrongType> {
    match value {
        None => Ok(None),
        Some(ValueRef::Int(i)) => Ok(Some(StrRef::Int(i))),
        Some(ValueRef::Str { bytes, .. }) => Ok(Some(StrRef::Bytes(bytes))),
        Some(ValueRef::Heap(h)) => Ok(Some(StrRef::Heap(h))),
        Some(
            ValueRef::List(_)
            | ValueRef::Set(_)
            | ValueRef::Hash(_)
            | ValueRef::Zset(_)
            | ValueRef::Stream(_),
        ) => Err(WrongType),
    }
}
