//! WATCH: the keys that a connection watches, and whether one of them has changed.
//!
//! Must not know: what EXEC does with that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::Vacant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_storage::keyspace::{Locked, WatchFlag};

use super::Session;
use crate::execute;
use crate::worker::Worker;

/// Watched keys.
#[derive(Debug, Default)]
pub struct Watching {
    /// Keys by database, and when each was watched first (Unix ms).
    pub keys: BTreeMap<(u32, Box<[u8]>), i64>,
    /// Set when one of them changes.
    pub dirty: Option<WatchFlag>,
}

impl Session {
    /// Begins to watch keys of the selected database. Takes its locks by itself. A key whose time is over goes away
    /// before: that it does so later would look like a change.
    ///
    /// # Errors
    /// A script is over its time and keeps a key locked; the text is a reply.
    pub fn watch(&mut self, w: &mut Worker, keys: &[&[u8]]) -> Result<(), &'static str> {
        let dirty = Arc::clone(
            self.watching
                .dirty
                .get_or_insert_with(|| Arc::new(AtomicBool::new(false))),
        );
        *self.client.watch_flag.lock() = Some(Arc::clone(&dirty));
        let busy = &self.server.scripts.busy;
        for key in keys {
            let keyspace = &self.server.keyspace;
            let shard = keyspace.shard_of(keyspace.hash(key).slot);
            if keyspace.lock_one_unless(shard, &busy.flag).is_none() {
                return Err(busy.text_now());
            }
            if let Vacant(place) = self.watching.keys.entry((self.db, Box::from(*key))) {
                place.insert(w.now_ms);
                self.client.note_interest(key, true);
                execute::expire(w, self.db, key);
                keyspace.lock_one(shard).shard(shard).watch(self.db, key, &dirty);
            }
        }
        self.client
            .watched
            .store(self.watching.keys.len(), Ordering::Relaxed);
        Ok(())
    }

    /// True if a watched key has changed, or its time has come since. The keys' shards are locked.
    pub fn watched_changed(&self, locked: &mut Locked<'_>, now_ms: i64) -> bool {
        if self
            .watching
            .dirty
            .as_ref()
            .is_some_and(|d| d.load(Ordering::Acquire))
        {
            return true;
        }
        let keyspace = locked.keyspace();
        self.watching.keys.iter().any(|((db, key), since_ms)| {
            let hash = keyspace.hash(key);
            let table = &locked.shard(keyspace.shard_of(hash.slot)).dbs[*db as usize].table;
            let at = table
                .find(hash.hash, key)
                .and_then(|pos| table.get(pos).expire_at_ms());
            // What was over already when it was watched has not changed.
            at.is_some_and(|at| at <= now_ms && at > *since_ms)
        })
    }

    /// Stops watching all keys. No lock may be held.
    pub fn unwatch(&mut self) {
        let Watching { keys, dirty } = std::mem::take(&mut self.watching);
        if let Some(dirty) = dirty {
            *self.client.watch_flag.lock() = None;
            let mut left = Vec::new();
            for (db, key) in keys.into_keys() {
                self.client.note_interest(&key, false);
                let keyspace = &self.server.keyspace;
                let shard = keyspace.shard_of(keyspace.hash(&key).slot);
                match keyspace.lock_one_unless(shard, &self.server.scripts.busy.flag) {
                    Some(mut locked) => locked.shard(shard).unwatch(db, &key, &dirty),
                    None => left.push((db, key, shard)),
                }
            }
            if !left.is_empty() {
                // A script is over its time. This thread must not wait for it: it may be the one that serves SCRIPT KILL.
                let server = Arc::clone(&self.server);
                std::thread::spawn(move || {
                    for (db, key, shard) in left {
                        let mut locked = server.keyspace.lock_one(shard);
                        locked.shard(shard).unwatch(db, &key, &dirty);
                    }
                });
            }
        }
        self.client.watched.store(0, Ordering::Relaxed);
    }
}
