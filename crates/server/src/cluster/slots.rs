//! The keys of hash slots. A shard has the keys of a few slots, so they are found by walking through one shard.
//! Must not know: who owns a slot.

use holdfast_storage::keyspace::{Keyspace, Locked};
use holdfast_storage::slot::key_slot;

/// Number of keys of a slot in all databases. Its shard is locked.
pub fn count(keyspace: &Keyspace, locked: &Locked<'_>, slot: u16) -> usize {
    let shard = locked.look(keyspace.shard_of(slot));
    shard
        .dbs
        .iter()
        .map(|db| {
            db.table
                .iter()
                .filter(|entry| key_slot(entry.key()) == slot)
                .count()
        })
        .sum()
}

/// Up to `most` keys of a slot in a database. Its shard is locked.
pub fn keys(keyspace: &Keyspace, locked: &Locked<'_>, db: u32, slot: u16, most: usize) -> Vec<Box<[u8]>> {
    let shard = locked.look(keyspace.shard_of(slot));
    shard.dbs[db as usize]
        .table
        .iter()
        .map(|entry| entry.key())
        .filter(|key| key_slot(key) == slot)
        .take(most)
        .map(Box::from)
        .collect()
}

/// Number of keys of every slot, one shard locked at a time.
pub fn count_all(keyspace: &Keyspace) -> Box<[u64]> {
    let mut counts = vec![0u64; usize::from(holdfast_cluster::SLOTS)].into_boxed_slice();
    for shard in 0..keyspace.shard_count() {
        let locked = keyspace.lock_one(shard as u16);
        for db in &locked.look(shard as u16).dbs {
            for entry in db.table.iter() {
                counts[usize::from(key_slot(entry.key()))] += 1;
            }
        }
    }
    counts
}

/// The same where all shards are locked.
pub fn count_locked(keyspace: &Keyspace, locked: &Locked<'_>) -> Box<[u64]> {
    let mut counts = vec![0u64; usize::from(holdfast_cluster::SLOTS)].into_boxed_slice();
    for shard in 0..keyspace.shard_count() {
        for db in &locked.look(shard as u16).dbs {
            for entry in db.table.iter() {
                counts[usize::from(key_slot(entry.key()))] += 1;
            }
        }
    }
    counts
}

/// Whether there is any key. One shard is locked at a time.
pub fn is_empty(keyspace: &Keyspace) -> bool {
    (0..keyspace.shard_count()).all(|shard| {
        let locked = keyspace.lock_one(shard as u16);
        locked.look(shard as u16).dbs.iter().all(|db| db.table.is_empty())
    })
}
