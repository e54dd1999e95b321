//! What one lock protects: the keys of some slots, and who watches or awaits them.
//!
//! Must not know: the other shards, commands, time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::encoding::table::Table;
use crate::field_expiry::FieldIndex;
use crate::snapshot::Cut;

/// One database's part in one shard.
#[derive(Debug, Default)]
pub struct Db {
    /// The keys.
    pub table: Table,
    /// Hashes whose fields expire.
    pub fields: FieldIndex,
    /// Number of this database when the running snapshot was begun.
    pub(crate) cut_db: u32,
    /// Where the running snapshot goes on; None: it has seen the table.
    pub(crate) unwalked: Option<u64>,
}

/// A flag that WATCH hands out: set when a watched key changes.
pub type WatchFlag = Arc<AtomicBool>;

type KeyMap<T> = std::collections::HashMap<(u32, Box<[u8]>), T, foldhash::fast::RandomState>;

/// What one lock protects: the keys of some hash slots, in all databases, and who watches or awaits them.
#[derive(Debug, Default)]
pub struct Shard {
    /// One for each database.
    pub dbs: Vec<Db>,
    /// Watched keys and whom to tell.
    watched: KeyMap<Vec<WatchFlag>>,
    /// Keys that blocked clients wait for, and how many.
    pub(super) awaited: KeyMap<usize>,
    /// The snapshot that has not seen all of this shard.
    pub(crate) snapshot: Option<Arc<Cut>>,
    /// Entries of an older epoch have not been seen by it.
    pub(crate) epoch: u8,
    /// Snapshots that ended early, since the last that did not.
    pub(crate) unfinished: u8,
}

impl Shard {
    /// An empty one.
    pub(super) fn new(databases: u32) -> Self {
        Self {
            dbs: (0..databases).map(|_| Db::default()).collect(),
            ..Self::default()
        }
    }

    /// Asks to have `flag` set when the key changes.
    pub fn watch(&mut self, db: u32, key: &[u8], flag: &WatchFlag) {
        self.watched
            .entry((db, key.into()))
            .or_default()
            .push(Arc::clone(flag));
    }

    /// Takes the wish back.
    pub fn unwatch(&mut self, db: u32, key: &[u8], flag: &WatchFlag) {
        let id = (db, Box::from(key));
        if let Some(flags) = self.watched.get_mut(&id) {
            flags.retain(|f| !Arc::ptr_eq(f, flag));
            if flags.is_empty() {
                self.watched.remove(&id);
            }
        }
    }

    /// A key has changed: tells its watchers.
    #[inline]
    pub fn touch(&self, db: u32, key: &[u8]) {
        if !self.watched.is_empty() {
            self.touch_slow(db, key);
        }
    }

    #[cold]
    fn touch_slow(&self, db: u32, key: &[u8]) {
        if let Some(flags) = self.watched.get(&(db, Box::from(key))) {
            flags.iter().for_each(|f| f.store(true, Ordering::Release));
        }
    }

    /// All keys of a database change (FLUSHDB, SWAPDB). Watchers of keys that exist neither before nor after
    /// are left alone, as Redis does: `exists` tells.
    pub fn touch_all(&self, db: u32, exists: impl Fn(&[u8]) -> bool) {
        for ((d, key), flags) in &self.watched {
            if *d == db && exists(key) {
                flags.iter().for_each(|f| f.store(true, Ordering::Release));
            }
        }
    }

    /// One more client waits for the key.
    pub fn wait_for(&mut self, db: u32, key: &[u8]) {
        *self.awaited.entry((db, key.into())).or_default() += 1;
    }

    /// One client fewer waits for the key.
    pub fn stop_waiting(&mut self, db: u32, key: &[u8]) {
        let id = (db, Box::from(key));
        if let Some(n) = self.awaited.get_mut(&id) {
            *n -= 1;
            if *n == 0 {
                self.awaited.remove(&id);
            }
        }
    }

    /// True if a client waits for the key.
    #[inline]
    pub fn is_awaited(&self, db: u32, key: &[u8]) -> bool {
        !self.awaited.is_empty() && self.awaited.contains_key(&(db, Box::from(key)))
    }

    /// The awaited keys of a database.
    pub fn awaited(&self, db: u32) -> impl Iterator<Item = &[u8]> {
        self.awaited
            .keys()
            .filter(move |(d, _)| *d == db)
            .map(|(_, k)| &**k)
    }

    /// Number of watched and of awaited keys.
    pub fn interest(&self) -> (usize, usize) {
        (self.watched.len(), self.awaited.len())
    }
}
