//! The doors that only look: values, entries and expiries, with or without a trace of the look-up.
//!
//! Must not know: commands, replies, the log.

use super::{Collection, Data, OnExpired, WrongType};
use crate::effects::Event;
use crate::encoding::entry::Entry;
use crate::encoding::table::Pos;
use crate::value::ValueRef;

impl Data<'_, '_> {
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
    pub(super) fn lend(&mut self, s: u16, pos: Pos) -> Option<ValueRef<'_>> {
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

    /// A collection to read: `data.read::<List>(key)?`.
    pub fn read<T: Collection>(&mut self, key: &[u8]) -> Result<Option<&T>, WrongType> {
        match self.get(key) {
            None => Ok(None),
            Some(v) => T::of(v).map(Some).ok_or(WrongType),
        }
    }
}
