//! Keys of slots that this node does not serve and that must not stay: of slots that it has lost, and of slots that have
//! come half. One shard is looked through at a time, and a few keys are removed under one lock.
//!
//! Must not know: why the keys are not wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdfast_cluster::SlotSet;
use holdfast_storage::keyspace::Keyspace;
use holdfast_storage::slot::key_slot;

use crate::execute;
use crate::server::Server;
use crate::worker::Worker;

/// Keys that are removed under one lock.
const BATCH: usize = 64;
/// One turn takes no longer than this, and a batch.
const TURN: Duration = Duration::from_millis(5);

/// Keys that were found in one shard and are to be removed.
#[derive(Debug, Default)]
pub struct Found {
    shard: u16,
    keys: Vec<(u32, Box<[u8]>)>,
}

/// The keys of these slots in one shard.
fn find(keyspace: &Keyspace, shard: u16, slots: &SlotSet) -> Found {
    let locked = keyspace.lock_one(shard);
    let mut keys = Vec::new();
    for (db, data) in (0..).zip(&locked.look(shard).dbs) {
        let all = data.table.iter().map(|entry| entry.key());
        keys.extend(
            all.filter(|key| slots.contains(key_slot(key)))
                .map(|key| (db, key.into())),
        );
    }
    Found { shard, keys }
}

/// Removes some of what was found. `wanted` is asked for each key's slot with the shard locked: true, and the key stays.
fn remove(server: &Server, w: &mut Worker, found: &mut Found, wanted: impl Fn(u16) -> bool) {
    let Some((db, _)) = found.keys.last() else { return };
    let db = *db;
    let first = found.keys.len().saturating_sub(BATCH);
    let mut batch = found.keys.split_off(first);
    let other = batch.iter().rposition(|(d, _)| *d != db).map_or(0, |at| at + 1);
    let mine = batch.split_off(other);
    found.keys.append(&mut batch);
    let mut locked = server.keyspace.lock_one(found.shard);
    let keys: Vec<&[u8]> = mine
        .iter()
        .map(|(_, key)| &**key)
        .filter(|key| !wanted(key_slot(key)))
        .collect();
    w.note_trackers();
    execute::delete_keys(w, db, &keys, &mut locked);
    drop(locked);
    execute::after_unlock(w);
}

/// A search that is cut into turns: keys of slots that were lost.
#[derive(Debug, Default)]
pub struct Search {
    found: Found,
    next_shard: usize,
    /// The slots that the round is about, and whether all their keys are gone when it ends.
    round: SlotSet,
}

impl Search {
    /// Begins anew with the next turn: there are more slots, or the same once more.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// One turn. `slots`: those whose keys are to go; `wanted` as in [`remove`]. Returns the slots that have no keys any more.
    pub fn turn(
        &mut self,
        server: &Server,
        w: &mut Worker,
        slots: &SlotSet,
        wanted: impl Fn(u16) -> bool,
    ) -> Option<SlotSet> {
        let began = Instant::now();
        while began.elapsed() < TURN {
            if !self.found.keys.is_empty() {
                remove(server, w, &mut self.found, &wanted);
                continue;
            }
            let shards = server.keyspace.shard_count();
            if self.next_shard == 0 {
                self.round.clone_from(slots);
            }
            if self.next_shard >= shards {
                self.next_shard = 0;
                return Some(std::mem::take(&mut self.round)).filter(|round| !round.is_empty());
            }
            self.found = find(&server.keyspace, self.next_shard as u16, &self.round);
            self.next_shard += 1;
        }
        None
    }
}

/// Removes all keys of these slots, unless `over` is raised. The connections beside it have their turn.
pub async fn purge(server: Arc<Server>, slots: Arc<SlotSet>, over: Arc<AtomicBool>) {
    for shard in 0..server.keyspace.shard_count() as u16 {
        let mut found = find(&server.keyspace, shard, &slots);
        while !found.keys.is_empty() {
            if over.load(Ordering::Acquire) {
                return;
            }
            Worker::with(|w, _| {
                w.begin_batch();
                remove(&server, w, &mut found, |_| over.load(Ordering::Acquire));
                w.end_batch();
            });
            tokio::task::yield_now().await;
        }
    }
}
