//! The doors to the data: every read and every change of a key goes through [`Data`], which expires lazily, notes
//! accesses, tells watchers and records [`Effects`]. A change that no door recorded is not possible: values are only
//! lent as [`Edit`] guards, which count as a change unless they are given back as unchanged.
//!
//! Must not know: commands, replies, the log; the clock (it is passed in).

mod databases;
mod fields;
mod text;

pub use text::raw_string;

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use rand::rngs::SmallRng;

use crate::access::AccessPolicy;
use crate::effects::{Class, Effects, Event, Garbage, Gone, Removal};
use crate::encoding::entry::{Entry, INLINE_MAX};
use crate::encoding::table::Pos;
use crate::keyspace::{Db, KeyHash, Keyspace, Locked, Shard};
use crate::numeric;
use crate::snapshot;
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::Stream;
use crate::types::zset::Zset;
use crate::value::{HeapStr, Kind, Value, ValueMut, ValueRef};

/// The key holds a value of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Operation against a key holding the wrong kind of value")]
pub struct WrongType;

/// What happens to the expiry when a value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The key lives for ever.
    Clear,
    /// As it was.
    Keep,
    /// Unix time in milliseconds.
    At(i64),
}

/// What a look-up does with a key whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExpired {
    /// Remove it (a primary).
    Remove,
    /// Answer as if it were not there (a replica: its primary decides).
    Hide,
    /// Answer as if its time were not over (loading, applying the primary's stream).
    Ignore,
}

/// Locked data as one command sees it.
#[derive(Debug)]
pub struct Data<'a, 'k> {
    locked: &'a mut Locked<'k>,
    /// Selected database.
    pub db: u32,
    /// Unix time in milliseconds, the same for the whole command.
    pub now_ms: i64,
    /// What the command does.
    pub effects: &'a mut Effects,
    /// How accesses are noted.
    pub access: AccessPolicy,
    /// What happens to keys whose time is over.
    pub on_expired: OnExpired,
    /// Randomness.
    pub rng: &'a mut SmallRng,
    /// Hash of the key that dispatch has looked at already: (address, length) of the argument.
    known: (usize, usize, KeyHash),
}

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

/// A collection that an [`Edit`] can lend.
pub trait Collection: Sized {
    /// Its kind.
    const KIND: Kind;
    /// An empty one.
    fn empty() -> Self;
    /// True if nothing is left: the key is then removed.
    fn is_empty(&self) -> bool;
    /// As a value.
    fn into_value(self) -> Value;
    /// Out of a value; None if it is of another kind.
    fn from_value(value: Value) -> Option<Self>;
    /// Out of a borrowed value.
    fn of(value: ValueRef<'_>) -> Option<&Self>;
    /// Out of a value lent to be changed.
    fn of_mut(value: ValueMut<'_>) -> Option<&mut Self>;
}

macro_rules! collection {
    ($t:ident) => {
        impl Collection for $t {
            const KIND: Kind = Kind::$t;
            fn empty() -> Self {
                Self::new()
            }
            fn is_empty(&self) -> bool {
                self.len() == 0
            }
            fn into_value(self) -> Value {
                Value::$t(self)
            }
            fn from_value(value: Value) -> Option<Self> {
                if let Value::$t(v) = value {
                    Some(v)
                } else {
                    None
                }
            }
            fn of(value: ValueRef<'_>) -> Option<&Self> {
                if let ValueRef::$t(v) = value {
                    Some(v)
                } else {
                    None
                }
            }
            fn of_mut(value: ValueMut<'_>) -> Option<&mut Self> {
                if let ValueMut::$t(v) = value {
                    Some(v)
                } else {
                    None
                }
            }
        }
    };
}
collection!(List);
collection!(Set);
collection!(Hash);
collection!(Zset);

impl Collection for Stream {
    const KIND: Kind = Kind::Stream;
    fn empty() -> Self {
        Self::new()
    }
    /// The key of a stream without entries stays.
    fn is_empty(&self) -> bool {
        false
    }
    fn into_value(self) -> Value {
        Value::Stream(self)
    }
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Stream(v) = value {
            Some(v)
        } else {
            None
        }
    }
    fn of(value: ValueRef<'_>) -> Option<&Self> {
        if let ValueRef::Stream(v) = value {
            Some(v)
        } else {
            None
        }
    }
    fn of_mut(value: ValueMut<'_>) -> Option<&mut Self> {
        if let ValueMut::Stream(v) = value {
            Some(v)
        } else {
            None
        }
    }
}

impl<'a, 'k> Data<'a, 'k> {
    /// Data of database `db` in the locked shards at time `now_ms`.
    pub fn new(
        locked: &'a mut Locked<'k>,
        db: u32,
        now_ms: i64,
        effects: &'a mut Effects,
        rng: &'a mut SmallRng,
    ) -> Self {
        Self {
            locked,
            db,
            now_ms,
            effects,
            access: AccessPolicy::default(),
            on_expired: OnExpired::Remove,
            rng,
            known: (0, 0, KeyHash { slot: 0, hash: 0 }),
        }
    }

    /// Tells that `key` (this very slice) has this hash, so that it need not be computed again.
    #[inline]
    pub fn know(&mut self, key: &[u8], hash: KeyHash) {
        self.known = (key.as_ptr().addr(), key.len(), hash);
    }

    /// The keyspace.
    pub fn keyspace(&self) -> &'k Keyspace {
        self.locked.keyspace()
    }

    /// The locked shards, for commands that work on whole databases.
    pub fn locked(&mut self) -> &mut Locked<'k> {
        self.locked
    }

    /// For commands that walk over all shards without stopping the others: see [`Locked::roam`].
    pub fn roam(&mut self, shard: u16) {
        self.locked.roam(shard);
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> KeyHash {
        if (key.as_ptr().addr(), key.len()) == (self.known.0, self.known.1) && !key.is_empty() {
            return self.known.2;
        }
        self.keyspace().hash(key)
    }

    /// Finds a live key. A key whose time is over is dealt with as `on_expired` says.
    #[inline]
    fn find(&mut self, key: &[u8]) -> Option<(u16, Pos)> {
        self.find_in(self.db, key)
    }

    #[inline]
    fn find_in(&mut self, db: u32, key: &[u8]) -> Option<(u16, Pos)> {
        let h = self.hash(key);
        let s = self.keyspace().shard_of(h.slot);
        let d = &self.locked.shard(s).dbs[db as usize];
        let pos = d.table.find(h.hash, key)?;
        match d.table.get(pos).expire_at_ms() {
            Some(at) if at <= self.now_ms => self.expired(db, s, pos, key),
            Some(_) | None if d.fields.is_due(self.now_ms) => self.expire_fields(db, s, pos, key),
            Some(_) | None => Some((s, pos)),
        }
    }

    #[cold]
    fn expired(&mut self, db: u32, s: u16, pos: Pos, key: &[u8]) -> Option<(u16, Pos)> {
        match self.on_expired {
            OnExpired::Ignore => Some((s, pos)),
            OnExpired::Hide => None,
            OnExpired::Remove => {
                self.remove_silently(db, s, pos, Gone::Expired, key);
                None
            }
        }
    }

    fn remove_silently(&mut self, db: u32, s: u16, pos: Pos, why: Gone, key: &[u8]) {
        let keyspace = self.keyspace();
        let shard = self.locked.shard(s);
        keep_state(shard, db, pos);
        let entry = remove_entry(keyspace, &mut shard.dbs[db as usize], pos);
        shard.touch(db, key);
        note_gone(self.effects, shard, db, key, &entry);
        discard(self.effects, entry.into_value());
        self.effects.removals.push(Removal {
            db,
            key: key.into(),
            why,
        });
        note_touched(self.effects, db, key);
        match why {
            Gone::Expired => self.effects.event(db, Event::EXPIRED, key),
            Gone::Evicted => self.effects.event(db, Event::EVICTED, key),
            Gone::Emptied => self.tell_emptied(db, key),
        }
    }

    fn entry(&mut self, s: u16, pos: Pos) -> &Entry {
        let db = self.db as usize;
        self.locked.shard(s).dbs[db].table.get(pos)
    }

    // ---- reading ----

    /// The value of a key, counted as an access.
    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Option<ValueRef<'_>> {
        let Some((s, pos)) = self.find(key) else {
            self.effects.misses += 1;
            self.effects.event(self.db, Event::KEYMISS, key);
            return None;
        };
        self.effects.hits += 1;
        self.lend(s, pos)
    }

    /// The values of several keys at once, each look-up counted as [`Data::get`] counts it; a key that is named twice
    /// is lent twice.
    pub fn get_all<'q>(&mut self, keys: impl Iterator<Item = &'q [u8]> + Clone) -> Vec<Option<ValueRef<'_>>> {
        for key in keys.clone() {
            self.get(key);
        }
        keys.map(|key| self.look(key)).collect()
    }

    /// The value of a key if it is live; the look-up leaves no trace.
    fn look(&self, key: &[u8]) -> Option<ValueRef<'_>> {
        let h = self.hash(key);
        let shard = self.locked.look(self.keyspace().shard_of(h.slot));
        let table = &shard.dbs[self.db as usize].table;
        let entry = table.get(table.find(h.hash, key)?);
        let over = entry.expire_at_ms().is_some_and(|at| at <= self.now_ms);
        (!over || self.on_expired == OnExpired::Ignore).then(|| entry.value())
    }

    /// Like [`Data::get`], as part of a write: no hit or miss is counted.
    #[inline]
    pub fn get_for_write(&mut self, key: &[u8]) -> Option<ValueRef<'_>> {
        let (s, pos) = self.find(key)?;
        self.lend(s, pos)
    }

    #[inline]
    fn lend(&mut self, s: u16, pos: Pos) -> Option<ValueRef<'_>> {
        let (access, now_ms, db) = (self.access, self.now_ms, self.db as usize);
        let entry = self.locked.shard(s).dbs[db].table.get_mut(pos);
        let clock = entry.access();
        let touched = access.touched(clock, now_ms, self.rng);
        if touched != clock {
            entry.set_access(touched);
        }
        Some(entry.value())
    }

    /// The value of a key without noting an access.
    pub fn peek(&mut self, key: &[u8]) -> Option<ValueRef<'_>> {
        let (s, pos) = self.find(key)?;
        Some(self.entry(s, pos).value())
    }

    /// The same, counted as hit or miss (EXISTS, TYPE, TTL).
    pub fn peek_counted(&mut self, key: &[u8]) -> Option<ValueRef<'_>> {
        match self.find(key) {
            Some((s, pos)) => {
                self.effects.hits += 1;
                Some(self.entry(s, pos).value())
            }
            None => {
                self.effects.misses += 1;
                self.effects.event(self.db, Event::KEYMISS, key);
                None
            }
        }
    }

    /// The whole entry of a key, for introspection; no access is noted.
    pub fn peek_entry(&mut self, key: &[u8]) -> Option<&Entry> {
        let (s, pos) = self.find(key)?;
        Some(self.entry(s, pos))
    }

    /// True if the key exists; no access is noted.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    /// True if the key exists in another database.
    pub fn exists_in(&mut self, db: u32, key: &[u8]) -> bool {
        self.find_in(db, key).is_some()
    }

    /// None: no such key. Some(None): it does not expire. Some(ms): when it expires.
    pub fn expire_at_ms(&mut self, key: &[u8]) -> Option<Option<i64>> {
        let (s, pos) = self.find(key)?;
        Some(self.entry(s, pos).expire_at_ms())
    }

    /// A string to read.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> Result<Option<StrRef<'_>>, WrongType> {
        as_string(self.get(key))
    }

    /// A string that is about to be overwritten.
    pub fn string_for_write(&mut self, key: &[u8]) -> Result<Option<StrRef<'_>>, WrongType> {
        as_string(self.get_for_write(key))
    }

    /// A collection to read: `data.read::<List>(key)?`.
    pub fn read<T: Collection>(&mut self, key: &[u8]) -> Result<Option<&T>, WrongType> {
        match self.get(key) {
            None => Ok(None),
            Some(v) => T::of(v).map(Some).ok_or(WrongType),
        }
    }

    // ---- changing ----

    /// A collection to change, if the key exists.
    pub fn edit<'d, T: Collection>(&'d mut self, key: &'d [u8]) -> Result<Option<Edit<'d, T>>, WrongType> {
        let Some((s, pos)) = self.find_whole(key) else {
            return Ok(None);
        };
        self.check_kind::<T>(s, pos)?;
        Ok(Some(self.guard(s, pos, key, false)))
    }

    /// A collection to change; an empty one if the key does not exist. If it stays empty, no key comes into being.
    pub fn edit_or_create<'d, T: Collection>(&'d mut self, key: &'d [u8]) -> Result<Edit<'d, T>, WrongType> {
        match self.find_whole(key) {
            None => {
                let (s, pos) = self.insert_entry(self.db, key, T::empty().into_value(), None);
                Ok(self.guard(s, pos, key, true))
            }
            Some((s, pos)) => {
                self.check_kind::<T>(s, pos)?;
                Ok(self.guard(s, pos, key, false))
            }
        }
    }

    /// Notes the access and checks the type of what is about to be changed.
    #[inline]
    fn check_kind<T: Collection>(&mut self, s: u16, pos: Pos) -> Result<(), WrongType> {
        match self.lend(s, pos) {
            Some(v) if v.kind() == T::KIND => Ok(()),
            Some(_) | None => Err(WrongType),
        }
    }

    fn guard<'d, T: Collection>(&'d mut self, s: u16, pos: Pos, key: &'d [u8], new: bool) -> Edit<'d, T> {
        let keyspace = self.keyspace();
        let db = self.db;
        let shard = self.locked.shard(s);
        let next_expiry_ms = shard.dbs[db as usize].table.get(pos).next_field_expiry_ms();
        Edit {
            keyspace,
            shard,
            effects: self.effects,
            next_expiry_ms,
            db,
            pos,
            key,
            new,
            done: false,
            kind: PhantomData,
        }
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

    /// Sets any value.
    pub fn set(&mut self, key: &[u8], value: Value, expiry: Expiry, event: Event) {
        let slot = std::cell::Cell::new(Some(value));
        let take = || slot.take().expect("only one of the two closures runs");
        self.set_with(
            key,
            expiry,
            event,
            |e, at| e.replace(take(), at),
            |at| Entry::new(key, take(), at),
        );
    }

    fn set_with(
        &mut self,
        key: &[u8],
        expiry: Expiry,
        event: Event,
        replace: impl FnOnce(&mut Entry, Option<i64>) -> Option<Value>,
        create: impl FnOnce(Option<i64>) -> Entry,
    ) {
        let db = self.db;
        match self.find(key) {
            Some((s, pos)) => {
                let (access, now_ms, keyspace) = (self.access, self.now_ms, self.keyspace());
                let shard = self.locked.shard(s);
                keep_state(shard, db, pos);
                let d = &mut shard.dbs[db as usize];
                let table = &mut d.table;
                let entry = table.get_mut(pos);
                let had = entry.expire_at_ms();
                let next_field = entry.next_field_expiry_ms();
                let at = match expiry {
                    Expiry::Clear => None,
                    Expiry::Keep => had,
                    Expiry::At(ms) => Some(ms),
                };
                let old_kind = entry.kind();
                let old = replace(entry, at);
                entry.set_access(access.touched(entry.access(), now_ms, self.rng));
                let changed_kind = entry.kind() != old_kind;
                let new_next_field = entry.next_field_expiry_ms();
                if at != had {
                    table.note_expiry(pos);
                }
                keyspace.note_fields(d, key, next_field, new_next_field);
                if changed_kind && shard.is_awaited(db, key) {
                    self.effects.ready.push((db, key.into()));
                }
                if let Some(old) = old {
                    discard(self.effects, old);
                }
                // A string that is replaced because it has been counted up or lengthened is still the same value.
                if event.0 != Class::String || event == Event::SET {
                    self.effects.overwritten(db, key, changed_kind);
                }
            }
            None => {
                let at = match expiry {
                    Expiry::Clear | Expiry::Keep => None,
                    Expiry::At(ms) => Some(ms),
                };
                self.insert_made(db, key, create(at));
                self.announce_new(db, key);
            }
        }
        self.changed(db, key, event);
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
        }))
    }

    /// Deletes a key. False: there was none.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let Some((s, pos)) = self.find(key) else {
            return false;
        };
        let value = self.remove_at(self.db, s, pos, key).0;
        discard(self.effects, value);
        self.changed(self.db, key, Event::DEL);
        true
    }

    /// Takes a key out with its expiry, as part of a change that the caller records with [`Data::changed`].
    pub fn take(&mut self, key: &[u8]) -> Option<(Value, Option<i64>)> {
        let (s, pos) = self.find(key)?;
        Some(self.remove_at(self.db, s, pos, key))
    }

    fn remove_at(&mut self, db: u32, s: u16, pos: Pos, key: &[u8]) -> (Value, Option<i64>) {
        let keyspace = self.keyspace();
        let shard = self.locked.shard(s);
        keep_state(shard, db, pos);
        let entry = remove_entry(keyspace, &mut shard.dbs[db as usize], pos);
        shard.touch(db, key);
        note_gone(self.effects, shard, db, key, &entry);
        let at = entry.expire_at_ms();
        (entry.into_value(), at)
    }

    /// Puts a value under a key of any database, replacing what was there; the caller records the change with
    /// [`Data::changed`].
    pub fn put(&mut self, db: u32, key: &[u8], value: Value, expire_at_ms: Option<i64>) {
        let mut old_kind = None;
        if let Some((s, pos)) = self.find_in(db, key) {
            old_kind = Some(self.locked.shard(s).dbs[db as usize].table.get(pos).kind());
            let old = self.remove_at(db, s, pos, key).0;
            discard(self.effects, old);
        }
        let mut value = value;
        if let Some(big) = ValueMut::of(&mut value).into_undoable_open()
            && let Some(origin) = big.origin()
        {
            origin.cut.moved(origin.id, db, key);
        }
        let (s, pos) = self.insert_entry(db, key, value, expire_at_ms);
        if let Some(old_kind) = old_kind {
            let kind = self.locked.shard(s).dbs[db as usize].table.get(pos).kind();
            self.effects.overwritten(db, key, kind != old_kind);
        }
        self.announce_new(db, key);
    }

    fn insert_entry(&mut self, db: u32, key: &[u8], value: Value, expire_at_ms: Option<i64>) -> (u16, Pos) {
        self.insert_made(db, key, Entry::new(key, value, expire_at_ms))
    }

    fn insert_made(&mut self, db: u32, key: &[u8], mut entry: Entry) -> (u16, Pos) {
        entry.set_access(self.access.fresh(self.now_ms));
        let h = self.hash(key);
        let keyspace = self.keyspace();
        let s = keyspace.shard_of(h.slot);
        let shard = self.locked.shard(s);
        entry.set_epoch(shard.epoch);
        let d = &mut shard.dbs[db as usize];
        keyspace.note_fields(d, key, None, entry.next_field_expiry_ms());
        let pos = d.table.insert(h.hash, entry, |k| keyspace.table_hash(k));
        (s, pos)
    }

    fn announce_new(&mut self, db: u32, key: &[u8]) {
        let h = self.hash(key);
        let s = self.keyspace().shard_of(h.slot);
        if self.locked.shard(s).is_awaited(db, key) {
            self.effects.ready.push((db, key.into()));
        }
        self.effects.event(db, Event::NEW, key);
    }

    /// Sets (Some, Unix ms) or removes (None) the expiry. False: no such key. No event is recorded: several
    /// commands do this under different names; they call [`Data::changed`].
    pub fn set_expire_at_ms(&mut self, key: &[u8], at: Option<i64>) -> bool {
        let Some((s, pos)) = self.find(key) else {
            return false;
        };
        let db = self.db as usize;
        let shard = self.locked.shard(s);
        keep_state(shard, self.db, pos);
        let table = &mut shard.dbs[db].table;
        table.get_mut(pos).set_expire_at_ms(at);
        table.note_expiry(pos);
        true
    }

    /// Sets the access clock (RESTORE, OBJECT FREQ tests).
    pub fn set_access(&mut self, key: &[u8], clock: u32) {
        if let Some((s, pos)) = self.find(key) {
            let db = self.db as usize;
            self.locked.shard(s).dbs[db].table.get_mut(pos).set_access(clock);
        }
    }

    /// Records one change of a key: watchers are told, the event is noted, the command will be propagated.
    pub fn changed(&mut self, db: u32, key: &[u8], event: Event) {
        let h = self.hash(key);
        let s = self.keyspace().shard_of(h.slot);
        self.locked.shard(s).touch(db, key);
        note_touched(self.effects, db, key);
        self.effects.dirty += 1;
        self.effects.event(db, event, key);
    }

    /// Removes a key because memory is short; `volatile_only`: unless it has no expiry (it may have lost it since it was
    /// chosen). False: it is gone already, or stays.
    pub fn evict(&mut self, key: &[u8], volatile_only: bool) -> bool {
        let Some((s, pos)) = self.find(key) else {
            return false;
        };
        if volatile_only && self.entry(s, pos).expire_at_ms().is_none() {
            return false;
        }
        self.remove_silently(self.db, s, pos, Gone::Evicted, key);
        true
    }

    /// Removes a key if its time is over.
    pub fn expire_if_due(&mut self, key: &[u8]) {
        let _gone = self.find(key);
    }
}

/// Before an entry changes or goes: a running snapshot that has not seen it gets its state.
#[inline]
fn keep_state(shard: &mut Shard, db: u32, pos: Pos) {
    if let Some(cut) = &shard.snapshot {
        let Db { table, cut_db, .. } = &mut shard.dbs[db as usize];
        let entry = table.get_mut(pos);
        if entry.epoch() != shard.epoch {
            snapshot::keep(cut, entry, shard.epoch, db, *cut_db);
        }
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

/// Takes an entry out of a database's table, and out of the index of fields that expire.
fn remove_entry(keyspace: &Keyspace, db: &mut Db, pos: Pos) -> Entry {
    let entry = db.table.remove(pos, |k| keyspace.table_hash(k));
    keyspace.note_fields(db, entry.key(), entry.next_field_expiry_ms(), None);
    entry
}

fn note_touched(effects: &mut Effects, db: u32, key: &[u8]) {
    if effects.want_touched {
        effects.touched.push((db, key.into()));
    }
}

/// Who waits for a stream as a member of a group is told that it has gone: there is no group any more.
fn note_gone(effects: &mut Effects, shard: &Shard, db: u32, key: &[u8], entry: &Entry) {
    if entry.kind() == Kind::Stream && shard.is_awaited(db, key) {
        effects.ready.push((db, key.into()));
    }
}

/// Values that are slow to free are handed to whoever frees garbage; others are freed here.
const FREE_EFFORT: usize = 64;

fn discard(effects: &mut Effects, mut value: Value) {
    if let Some(big) = ValueMut::of(&mut value).into_undoable_open()
        && let Some(origin) = big.origin().cloned()
    {
        return origin.cut.removed(&origin, value);
    }
    if value.free_effort() > FREE_EFFORT || matches!(&value, Value::Heap(h) if h.as_slice().len() > 1 << 20) {
        effects.garbage.push(Garbage::Value(value));
    }
}

/// A collection lent to be changed. End it with [`Edit::finish`] or [`Edit::unchanged`]; an empty collection's key is
/// removed then.
#[derive(Debug)]
pub struct Edit<'d, T: Collection> {
    keyspace: &'d Keyspace,
    shard: &'d mut Shard,
    effects: &'d mut Effects,
    db: u32,
    pos: Pos,
    key: &'d [u8],
    new: bool,
    done: bool,
    /// When the next field expired before the change.
    next_expiry_ms: Option<i64>,
    kind: PhantomData<T>,
}

impl<T: Collection> Edit<'_, T> {
    /// True if the key did not exist before.
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// The value was changed by `changes` steps (the amount by which `rdb_changes_since_last_save` grows); `event`
    /// names it.
    pub fn finish(mut self, event: Event, changes: u64) {
        self.record(Some(event), changes.max(1));
    }

    /// Like [`Edit::finish`], and a further event.
    pub fn finish2(mut self, first: Event, second: Event, changes: u64) {
        self.effects.event(self.db, first, self.key);
        self.record(Some(second), changes.max(1));
    }

    /// What stands beside the value (a stream's groups) was changed by `changes` steps: they are logged, but those who
    /// watch or cache the value are not told. Events are noted before, with [`Edit::note`].
    pub fn finish_quietly(mut self, changes: u64) {
        if self.new {
            return self.record(None, changes.max(1));
        }
        self.done = true;
        self.effects.dirty += changes.max(1);
    }

    /// Notes an event before the change is finished.
    pub fn note(&mut self, event: Event) {
        self.effects.event(self.db, event, self.key);
    }

    /// Clients that wait for the key are to look at it once more, although it is not new.
    pub fn wake(&mut self) {
        if !self.new && self.shard.is_awaited(self.db, self.key) {
            self.effects.ready.push((self.db, self.key.into()));
        }
    }

    /// Puts another value in the place of the whole and gives the old one back.
    pub fn replace(&mut self, new: T) -> T {
        let old = std::mem::replace(&mut **self, new);
        let mut value = old.into_value();
        if let Some(origin) = ValueMut::of(&mut value)
            .into_undoable_open()
            .and_then(|big| big.origin().cloned())
        {
            // The snapshot's walk goes on with the old value; the copy for the caller costs what the change costs.
            let copy = value.as_ref().duplicate();
            origin.cut.removed(&origin, std::mem::replace(&mut value, copy));
        }
        T::from_value(value).unwrap_or_else(T::empty)
    }

    /// Nothing was changed.
    pub fn unchanged(mut self) {
        self.done = true;
        if self.new || self.is_empty() {
            self.remove();
        }
    }

    fn record(&mut self, event: Option<Event>, changes: u64) {
        self.done = true;
        self.effects.dirty += changes;
        self.shard.touch(self.db, self.key);
        note_touched(self.effects, self.db, self.key);
        let db = &mut self.shard.dbs[self.db as usize];
        let next_expiry_ms = db.table.get(self.pos).next_field_expiry_ms();
        self.keyspace
            .note_fields(db, self.key, self.next_expiry_ms, next_expiry_ms);
        if self.new && !self.is_empty() {
            if self.shard.is_awaited(self.db, self.key) {
                self.effects.ready.push((self.db, self.key.into()));
            }
            self.effects.event(self.db, Event::NEW, self.key);
        }
        // Who waits for a list may wait for it to grow (BLMOVEM EXACTLY).
        if T::KIND == Kind::List {
            self.wake();
        }
        if let Some(event) = event {
            self.effects.event(self.db, event, self.key);
        }
        if self.is_empty() {
            self.remove();
            if !self.new {
                self.effects.event(self.db, Event::DEL, self.key);
            }
        }
    }

    fn remove(&mut self) {
        keep_state(self.shard, self.db, self.pos);
        let entry = remove_entry(self.keyspace, &mut self.shard.dbs[self.db as usize], self.pos);
        discard(self.effects, entry.into_value());
    }
}

impl<T: Collection> Deref for Edit<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        T::of(self.shard.dbs[self.db as usize].table.get(self.pos).value())
            .expect("the kind was checked at the door")
    }
}

impl<T: Collection> DerefMut for Edit<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        keep_state(self.shard, self.db, self.pos);
        T::of_mut(
            self.shard.dbs[self.db as usize]
                .table
                .get_mut(self.pos)
                .value_mut(),
        )
        .expect("the kind was checked at the door")
    }
}

impl<T: Collection> Drop for Edit<'_, T> {
    fn drop(&mut self) {
        if !self.done {
            debug_assert!(
                std::thread::panicking(),
                "an Edit must be finished or given back as unchanged"
            );
            self.record(None, 1);
        }
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
}

impl EditStr<'_> {
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
        let (changed, result) = text::edit_text(entry, change).expect("the kind was checked at the door");
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
