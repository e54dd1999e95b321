//! The doors to the data: every read and every change of a key goes through [`Data`], which expires lazily, notes
//! accesses, tells watchers and records [`Effects`]. A change that no door recorded is not possible: values are only
//! lent as [`Edit`] guards, which count as a change unless they are given back as unchanged.
//!
//! Must not know: commands, replies, the log; the clock (it is passed in).

mod collection;
mod databases;
mod edit;
mod fields;
mod load;
mod read;
mod string;
mod text;

pub use collection::Collection;
pub use edit::Edit;
pub use load::NewValue;
pub use string::{EditStr, StrRef};
pub use text::raw_string;

use rand::rngs::SmallRng;

use crate::access::AccessPolicy;
use crate::effects::{Class, Effects, Event, Garbage, Gone, Removal};
use crate::encoding::entry::Entry;
use crate::encoding::table::Pos;
use crate::keyspace::{Db, KeyHash, Keyspace, Locked, Shard};
use crate::snapshot;
use crate::value::{Kind, Value, ValueMut};

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
