//! The doors that work on whole databases, and those between databases: FLUSHDB, FLUSHALL, SWAPDB, MOVE, COPY.
//!
//! Must not know: commands, replies, the log.

use super::Data;
use crate::effects::{Event, Garbage};
use crate::value::{Kind, Value};

impl Data<'_, '_> {
    /// A copy of a key's value, and its expiry. Long strings share their bytes with the original until one of the two
    /// is changed.
    pub fn duplicate(&mut self, key: &[u8]) -> Option<(Value, Option<i64>)> {
        let (s, pos) = self.find(key)?;
        let entry = self.entry(s, pos);
        Some((entry.value().duplicate(), entry.expire_at_ms()))
    }

    /// A further key that the command changed: as [`Data::changed`], but counted with the change that is recorded
    /// there.
    pub fn also_changed(&mut self, db: u32, key: &[u8], event: Event) {
        let before = self.effects.dirty;
        self.changed(db, key, event);
        self.effects.dirty = before;
    }

    /// Removes all keys of one database, or of every one, in the locked shards, which must be all of them. Returns how
    /// many there were. The tables are garbage, to be freed off the locks; watchers of keys that existed are told. The
    /// command is propagated even if there was nothing.
    pub fn flush(&mut self, db: Option<u32>) -> u64 {
        debug_assert!(self.locked.holds_all(), "a flush takes every shard");
        let databases = match db {
            Some(db) => db..db + 1,
            None => 0..self.keyspace().databases(),
        };
        let keyspace = self.keyspace();
        let mut removed = self.remove_walked(databases.clone());
        for (_, shard) in self.locked.each() {
            for db in databases.clone() {
                let table = &shard.dbs[db as usize].table;
                if table.is_empty() {
                    continue;
                }
                shard.touch_all(db, |key| table.find(keyspace.table_hash(key), key).is_some());
                let gone = shard.awaited(db).filter(|key| {
                    let at = table.find(keyspace.table_hash(key), key);
                    at.is_some_and(|at| table.get(at).kind() == Kind::Stream)
                });
                self.effects.ready.extend(gone.map(|key| (db, key.into())));
                let table = keyspace.take_table(&mut shard.dbs[db as usize]);
                removed += table.len() as u64;
                match &shard.snapshot {
                    Some(cut) if shard.dbs[db as usize].unwalked.is_some() => {
                        cut.emptied(shard.dbs[db as usize].cut_db, table);
                    }
                    Some(_) | None => self.effects.garbage.push(Garbage::Table(table)),
                }
            }
        }
        self.effects.dirty += removed.max(1);
        self.effects.flushed = true;
        removed
    }

    /// Takes the collections out that a snapshot is in the middle of: its walk ends with them. Returns how many.
    fn remove_walked(&mut self, databases: std::ops::Range<u32>) -> u64 {
        let (keyspace, mut removed) = (self.keyspace(), 0);
        let Some(cut) = keyspace.running_cut() else {
            return 0;
        };
        for db in databases {
            for (_, key) in cut.bigs_of(db) {
                let h = keyspace.hash(&key);
                let s = keyspace.shard_of(h.slot);
                if let Some(pos) = self.locked.shard(s).dbs[db as usize].table.find(h.hash, &key) {
                    let value = self.remove_at(db, s, pos, &key).0;
                    super::discard(self.effects, value);
                    removed += 1;
                }
            }
        }
        removed
    }

    /// Swaps two databases in the locked shards, which must be all of them. Watchers of keys that exist in one of the
    /// two are told, unless a key comes whose time is over where there was none; keys that clients wait for and that exist now are ready.
    pub fn swap_databases(&mut self, a: u32, b: u32) {
        debug_assert!(self.locked.holds_all(), "a swap takes every shard");
        self.effects.dirty += 1;
        if a == b {
            return;
        }
        self.effects.flushed = true;
        let (keyspace, now_ms) = (self.keyspace(), self.now_ms);
        if let Some(cut) = keyspace.running_cut() {
            cut.swapped(a, b);
        }
        for (_, shard) in self.locked.each() {
            let in_db = |db: u32, key: &[u8], since_ms: i64| {
                let table = &shard.dbs[db as usize].table;
                let entry = table.find(keyspace.table_hash(key), key).map(|at| table.get(at));
                entry.is_some_and(|e| e.expire_at_ms().is_none_or(|at| at > since_ms))
            };
            for (db, other) in [(a, b), (b, a)] {
                shard.touch_all(db, |key| in_db(db, key, i64::MIN) || in_db(other, key, now_ms));
            }
            shard.dbs.swap(a as usize, b as usize);
            for db in [a, b] {
                let table = &shard.dbs[db as usize].table;
                let ready = shard
                    .awaited(db)
                    .filter(|key| table.find(keyspace.table_hash(key), key).is_some())
                    .map(|key| (db, key.into()));
                self.effects.ready.extend(ready);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use crate::data::{Data, Expiry};
    use crate::effects::{Effects, Event};
    use crate::keyspace::{Keyspace, ShardSet, WatchFlag};

    fn with_data<R>(keyspace: &Keyspace, effects: &mut Effects, f: impl FnOnce(&mut Data<'_, '_>) -> R) -> R {
        let mut locked = keyspace.lock(&ShardSet::All);
        let mut rng = SmallRng::seed_from_u64(1);
        f(&mut Data::new(&mut locked, 0, 1_000, effects, &mut rng))
    }

    fn set(d: &mut Data<'_, '_>, db: u32, key: &[u8]) {
        d.db = db;
        d.set_string(key, b"v", Expiry::Clear, Event::SET);
    }

    fn watch(d: &mut Data<'_, '_>, db: u32, key: &[u8]) -> WatchFlag {
        let flag = Arc::new(AtomicBool::new(false));
        let shard = d.keyspace().shard_of(d.keyspace().hash(key).slot);
        d.locked().shard(shard).watch(db, key, &flag);
        flag
    }

    #[test]
    fn a_flush_empties_the_database_and_tells_watchers_of_what_was_there() {
        let (keyspace, mut effects) = (Keyspace::new(4, 8), Effects::default());
        with_data(&keyspace, &mut effects, |d| {
            (0..50).for_each(|i| set(d, 1, format!("k{i}").as_bytes()));
            set(d, 2, b"other");
            let (there, absent, elsewhere) =
                (watch(d, 1, b"k1"), watch(d, 1, b"none"), watch(d, 2, b"other"));
            d.effects.clear();
            assert_eq!(d.flush(Some(1)), 50);
            assert_eq!(d.effects.dirty, 50);
            assert_eq!(
                [&there, &absent, &elsewhere].map(|f| f.load(Ordering::Relaxed)),
                [true, false, false]
            );
            assert!(!d.exists_in(1, b"k1") && d.exists_in(2, b"other"));
            assert_eq!((d.flush(None), d.flush(None)), (1, 0));
            assert!(elsewhere.load(Ordering::Relaxed));
            assert_eq!(d.effects.dirty, 52);
        });
    }

    #[test]
    fn a_swap_wakes_those_who_wait_for_keys_of_the_other_database() {
        let (keyspace, mut effects) = (Keyspace::new(4, 8), Effects::default());
        with_data(&keyspace, &mut effects, |d| {
            set(d, 1, b"k");
            let shard = d.keyspace().shard_of(d.keyspace().hash(b"k").slot);
            d.locked().shard(shard).wait_for(0, b"k");
            let (here, there, none) = (watch(d, 0, b"k"), watch(d, 1, b"k"), watch(d, 0, b"none"));
            d.effects.clear();
            d.swap_databases(0, 1);
            assert_eq!(d.effects.ready, [(0, Box::from(&b"k"[..]))]);
            assert_eq!(
                [&here, &there, &none].map(|f| f.load(Ordering::Relaxed)),
                [true, true, false]
            );
            assert!(d.exists_in(0, b"k") && !d.exists_in(1, b"k"));
        });
    }

    #[test]
    fn a_copy_is_independent_of_the_original() {
        let (keyspace, mut effects) = (Keyspace::new(1, 8), Effects::default());
        with_data(&keyspace, &mut effects, |d| {
            let long = vec![b'x'; 5_000];
            d.set_string(b"a", &long, Expiry::At(5_000), Event::SET);
            let (value, at) = d.duplicate(b"a").expect("set above");
            assert_eq!(at, Some(5_000));
            d.put(0, b"b", value, at);
            let edit = d.edit_string(b"a").expect("a string").expect("set above");
            edit.finish(Event::SET, |text| text.push(b'y'));
            let length = |d: &mut Data<'_, '_>, key: &[u8]| d.string(key).expect("a string").map(|s| s.len());
            assert_eq!((length(d, b"a"), length(d, b"b")), (Some(5_001), Some(5_000)));
        });
    }
}
