//! The shared keyspace: hash slot -> shard -> lock -> databases. Any thread may lock any shards and work on them.
//!
//! Order of locks: ascending shard number, all at once, by [`Keyspace::lock`]; nobody holds a shard and asks for
//! another, so there is no deadlock. One exception: a script that finds out too late that it needs more, see
//! [`Locked::extend_to_all`]. A lock is never held across an await: [`Locked`] is not Send.
//!
//! Must not know: commands, time, effects.

mod exchange;
mod hidden;
mod locks;
mod shard;

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

pub use hidden::Hidden;
pub use locks::{Locked, ShardSet};
use parking_lot::Mutex;
pub use shard::{Db, Shard, WatchFlag};

use crate::encoding::prefetch::Stage;
use crate::encoding::table::Table;
use crate::slot;
use crate::snapshot::Cut;
use crate::value::ValueRef;

/// Hash slot and table hash of a key, computed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash {
    /// Redis Cluster hash slot.
    pub slot: u16,
    /// Hash for the table.
    pub hash: u64,
}

#[repr(align(128))]
#[derive(Debug, Default)]
struct Padded(Mutex<Shard>);

/// All data of the process.
#[derive(Debug)]
pub struct Keyspace {
    shards: Box<[Padded]>,
    hasher: foldhash::fast::RandomState,
    databases: u32,
    /// How often a lock was taken by somebody else when it was asked for.
    contended: AtomicU64,
    /// Hashes whose fields expire, everywhere.
    timed_hashes: AtomicIsize,
    /// Slots whose keys are on their way here, and not shown.
    pub hidden: Hidden,
    /// The last snapshot that was begun.
    cut: Mutex<Weak<Cut>>,
    /// Somebody holds some shards and takes the others: who waits with shards in hand gives them back.
    extending: AtomicBool,
    /// Held by that somebody, so that the others can wait for the end.
    extension: Mutex<()>,
}

impl Keyspace {
    /// Number of shards of a server: enough that sixteen threads seldom meet, few enough to lock all of them in
    /// microseconds.
    pub const SHARDS: usize = 512;

    /// An empty keyspace.
    ///
    /// # Panics
    /// If `shards` is not a power of two from 1 to 16384.
    pub fn new(databases: u32, shards: usize) -> Self {
        assert!(shards.is_power_of_two() && shards <= slot::SLOTS as usize);
        let shard = || Padded(Mutex::new(Shard::new(databases)));
        Self {
            shards: (0..shards).map(|_| shard()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            databases,
            contended: AtomicU64::new(0),
            timed_hashes: AtomicIsize::new(0),
            hidden: Hidden::default(),
            cut: Mutex::new(Weak::new()),
            extending: AtomicBool::new(false),
            extension: Mutex::new(()),
        }
    }

    /// The snapshot that is not over.
    pub(crate) fn running_cut(&self) -> Option<Arc<Cut>> {
        self.cut.lock().upgrade().filter(|cut| !cut.is_over())
    }

    pub(crate) fn set_cut(&self, cut: &Arc<Cut>) {
        *self.cut.lock() = Arc::downgrade(cut);
    }

    /// Number of databases.
    pub fn databases(&self) -> u32 {
        self.databases
    }

    /// Number of shards.
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// How often a lock was taken by somebody else when it was asked for.
    pub fn contended(&self) -> u64 {
        self.contended.load(Ordering::Relaxed)
    }

    /// True if fields of some hash expire.
    pub fn has_timed_hashes(&self) -> bool {
        self.timed_hashes.load(Ordering::Relaxed) > 0
    }

    /// The next time at which a field of a key's hash expires was `before` and is `after`: see
    /// [`crate::field_expiry::FieldIndex::note`].
    #[inline]
    pub(crate) fn note_fields(&self, db: &mut Db, key: &[u8], before: Option<i64>, after: Option<i64>) {
        if before != after {
            let more = db.fields.note(key, before, after);
            self.timed_hashes.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Empties a database's part in one shard and gives its keys.
    pub(crate) fn take_table(&self, db: &mut Db) -> Table {
        let fields = std::mem::take(&mut db.fields);
        self.timed_hashes
            .fetch_sub(fields.len() as isize, Ordering::Relaxed);
        std::mem::take(&mut db.table)
    }

    /// Slot and hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash {
            slot: slot::key_slot(key),
            hash: self.table_hash(key),
        }
    }

    /// Hash of a key for the tables.
    #[inline]
    pub fn table_hash(&self, key: &[u8]) -> u64 {
        let mut h = self.hasher.build_hasher();
        h.write(key);
        h.finish()
    }

    /// The shard of a slot.
    #[inline]
    pub fn shard_of(&self, slot: u16) -> u16 {
        slot & (self.shards.len() - 1) as u16
    }

    /// Asks the processor for what a look-up of this key will read first: its bucket. A hint for a key that will be used
    /// soon; nothing happens if somebody else holds the shard.
    #[inline]
    pub fn prefetch_bucket(&self, db: u32, key: KeyHash) {
        if let Some(shard) = self.shards[self.shard_of(key.slot) as usize].0.try_lock() {
            shard.dbs[db as usize].table.prefetch_bucket(key.hash);
        }
    }

    /// The same for what it will read next: its entry.
    #[inline]
    pub fn prefetch_entry(&self, db: u32, key: KeyHash) {
        if let Some(shard) = self.shards[self.shard_of(key.slot) as usize].0.try_lock() {
            shard.dbs[db as usize].table.prefetch_entry(key.hash);
        }
    }

    /// The same for elements of one collection, which several commands in a row will look up: first what tells where
    /// they are, then they themselves.
    pub fn prefetch_elements<'e>(
        &self,
        db: u32,
        key: (&[u8], KeyHash),
        elements: impl Iterator<Item = &'e [u8]> + Clone,
    ) {
        let (key, hash) = key;
        let Some(shard) = self.shards[self.shard_of(hash.slot) as usize].0.try_lock() else {
            return;
        };
        let table = &shard.dbs[db as usize].table;
        let Some(entry) = table.find(hash.hash, key).map(|pos| table.get(pos)) else {
            return;
        };
        for stage in [Stage::Slot, Stage::Element] {
            for element in elements.clone() {
                match entry.value() {
                    ValueRef::Hash(hash) => hash.prefetch(element, stage),
                    ValueRef::Set(set) => set.prefetch(element, stage),
                    ValueRef::Zset(zset) => zset.prefetch(element, stage),
                    ValueRef::Int(_)
                    | ValueRef::Str { .. }
                    | ValueRef::Heap(_)
                    | ValueRef::List(_)
                    | ValueRef::Stream(_) => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
