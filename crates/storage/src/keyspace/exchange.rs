//! A second keyspace that is filled aside and takes the place of the first when it is whole: a replica's new data.

use std::sync::Weak;
use std::sync::atomic::Ordering;

use super::{Keyspace, Locked, ShardSet};
use crate::effects::{Effects, Garbage};
use crate::snapshot::SnapshotError;
use crate::value::Kind;

impl Keyspace {
    /// An empty keyspace whose data can take the place of this one's, see [`Locked::exchange`].
    pub fn twin(&self) -> Self {
        Self {
            // Keys keep the places that their hashes give them.
            hasher: self.hasher.clone(),
            ..Self::new(self.databases, self.shards.len())
        }
    }
}

impl Locked<'_> {
    /// Puts the data of a twin in the place of this keyspace's, which become garbage. All shards must be locked, and no
    /// snapshot may be going on: one that is nevertheless fails, and nothing else.
    ///
    /// Watchers of keys that were there or are there now are told; who waits for a key that is there now, or for a stream
    /// that has gone, is ready; whoever remembers what clients read is told to forget everything.
    ///
    /// # Panics
    /// If a shard is not locked, or `twin` is no twin of this keyspace.
    pub fn exchange(&mut self, twin: Keyspace, effects: &mut Effects) {
        let keyspace = self.keyspace();
        assert!(self.holds_all(), "an exchange takes every shard");
        assert!(
            twin.shards.len() == keyspace.shards.len()
                && twin.databases == keyspace.databases
                && twin.table_hash(b"twin") == keyspace.table_hash(b"twin"),
            "the keys of a stranger would not be found"
        );
        if let Some(cut) = keyspace.running_cut() {
            cut.fail(SnapshotError::Replaced);
            *keyspace.cut.lock() = Weak::new();
        }
        let timed = twin.timed_hashes.load(Ordering::Relaxed);
        keyspace.timed_hashes.store(timed, Ordering::Relaxed);
        let mut new = twin.lock(&ShardSet::All);
        for (number, shard) in self.each() {
            let new = new.shard(number);
            for db in 0..keyspace.databases {
                let (before, after) = (&shard.dbs[db as usize].table, &new.dbs[db as usize].table);
                let kind_in = |table: &crate::encoding::table::Table, key: &[u8]| {
                    let at = table.find(keyspace.table_hash(key), key);
                    at.map(|at| table.get(at).kind())
                };
                shard.touch_all(db, |key| {
                    kind_in(before, key).is_some() || kind_in(after, key).is_some()
                });
                let ready = shard.awaited(db).filter(|key| {
                    kind_in(after, key).is_some() || kind_in(before, key) == Some(Kind::Stream)
                });
                effects.ready.extend(ready.map(|key| (db, key.into())));
            }
            let old = std::mem::replace(&mut shard.dbs, std::mem::take(&mut new.dbs));
            (shard.epoch, shard.unfinished, shard.snapshot) = (new.epoch, new.unfinished, None);
            let tables = old
                .into_iter()
                .map(|db| db.table)
                .filter(|table| !table.is_empty());
            effects.garbage.extend(tables.map(Garbage::Table));
        }
        effects.flushed = true;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::data::{Data, Expiry};
    use crate::effects::Event;
    use crate::snapshot::{Element, Meta, Progress, Sink, Walker};
    use crate::value::ValueRef;

    /// Counts keys.
    struct Keys(usize);

    impl Sink for Keys {
        fn value(&mut self, _: &Meta<'_>, _: ValueRef<'_>) {
            self.0 += 1;
        }
        fn begin(&mut self, _: &Meta<'_>, _: Kind, _: usize) {
            self.0 += 1;
        }
        fn element(&mut self, _: Element<'_>) {}
        fn end(&mut self) {}
        fn written(&self) -> usize {
            self.0
        }
    }

    fn set(keyspace: &Keyspace, db: u32, key: &str) {
        let (mut effects, mut rng) = (Effects::default(), SmallRng::seed_from_u64(1));
        let mut locked = keyspace.lock(&ShardSet::All);
        let mut data = Data::new(&mut locked, db, 1_000, &mut effects, &mut rng);
        data.set_string(key.as_bytes(), b"v", Expiry::Clear, Event::SET);
    }

    fn exists(keyspace: &Keyspace, db: u32, key: &str) -> bool {
        let (mut effects, mut rng) = (Effects::default(), SmallRng::seed_from_u64(1));
        let mut locked = keyspace.lock(&ShardSet::All);
        Data::new(&mut locked, db, 1_000, &mut effects, &mut rng).exists(key.as_bytes())
    }

    #[test]
    fn the_new_data_are_there_and_the_old_are_garbage() {
        let keyspace = Keyspace::new(2, 8);
        let twin = keyspace.twin();
        (0..100).for_each(|i| set(&keyspace, 0, &format!("old{i}")));
        (0..200).for_each(|i| set(&twin, 1, &format!("new{i}")));
        set(&keyspace, 0, "both");
        set(&twin, 0, "both");
        let watch = |db: u32, key: &str| {
            let flag = Arc::new(AtomicBool::new(false));
            let shard = keyspace.shard_of(keyspace.hash(key.as_bytes()).slot);
            keyspace
                .lock_one(shard)
                .shard(shard)
                .watch(db, key.as_bytes(), &flag);
            flag
        };
        let flags = [
            watch(0, "old1"),
            watch(1, "new1"),
            watch(0, "both"),
            watch(0, "none"),
        ];
        let shard = keyspace.shard_of(keyspace.hash(b"new7").slot);
        keyspace.lock_one(shard).shard(shard).wait_for(1, b"new7");
        let mut effects = Effects::default();
        keyspace.lock(&ShardSet::All).exchange(twin, &mut effects);
        assert!((0..100).all(|i| !exists(&keyspace, 0, &format!("old{i}"))));
        assert!((0..200).all(|i| exists(&keyspace, 1, &format!("new{i}"))));
        assert_eq!(
            flags.map(|f| f.load(Ordering::Relaxed)),
            [true, true, true, false]
        );
        assert_eq!(effects.ready, [(1, Box::from(&b"new7"[..]))]);
        assert!(effects.flushed && !effects.garbage.is_empty());
    }

    #[test]
    fn a_snapshot_that_is_going_on_fails_and_the_next_is_whole() {
        let keyspace = Keyspace::new(1, 8);
        (0..500).for_each(|i| set(&keyspace, 0, &format!("old{i}")));
        let mut walker = Walker::begin(&mut keyspace.lock(&ShardSet::All)).unwrap();
        let mut sink = Keys(0);
        walker.step(&mut sink).unwrap();
        let twin = keyspace.twin();
        (0..500).for_each(|i| set(&twin, 0, &format!("new{i}")));
        keyspace
            .lock(&ShardSet::All)
            .exchange(twin, &mut Effects::default());
        assert!(walker.step(&mut sink).is_err());
        drop(walker);
        for _ in 0..3 {
            let mut walker = Walker::begin(&mut keyspace.lock(&ShardSet::All)).unwrap();
            let mut sink = Keys(0);
            while walker.step(&mut sink).unwrap() == Progress::More {}
            assert_eq!(sink.0, 500);
        }
    }
}
