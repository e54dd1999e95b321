//! Choosing what to evict: samples of random shards, the best candidates kept in a small pool, as Redis's
//! approximated LRU and LFU do.
//!
//! Must not know: how much memory is used, or what an eviction is told to.

use rand::Rng;

use crate::access;
use crate::keyspace::Keyspace;

/// `maxmemory-policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Policy {
    NoEviction,
    AllKeysLru,
    AllKeysLfu,
    AllKeysRandom,
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
}

impl Policy {
    /// Only keys with an expiry may go.
    pub const fn volatile_only(self) -> bool {
        match self {
            Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl => true,
            Self::NoEviction | Self::AllKeysLru | Self::AllKeysLfu | Self::AllKeysRandom => false,
        }
    }

    /// Accesses are counted, not dated.
    pub const fn is_lfu(self) -> bool {
        matches!(self, Self::AllKeysLfu | Self::VolatileLfu)
    }
}

/// A key that may be evicted; the higher the score, the sooner.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Score: idle ms, or 255 - frequency, or closeness of the expiry.
    pub score: u64,
    /// Database.
    pub db: u32,
    /// Key.
    pub key: Box<[u8]>,
}

const POOL: usize = 16;
/// Shards that one choice looks at, at most, to find a key at all.
const TRIES: usize = 64;

/// The best candidates seen so far.
#[derive(Debug, Default)]
pub struct Pool {
    /// Ascending score.
    best: Vec<Candidate>,
}

impl Pool {
    /// Samples keys and takes the best candidate; None if there is no key that may go. No lock may be held.
    pub fn choose(
        &mut self,
        keyspace: &Keyspace,
        policy: Policy,
        samples: usize,
        lfu_decay_minutes: u32,
        now_ms: i64,
        rng: &mut impl Rng,
    ) -> Option<Candidate> {
        if policy == Policy::NoEviction {
            return None;
        }
        let shards = keyspace.shard_count();
        let start = rng.random_range(0..shards);
        // A random shard per sample, so that the pool is not filled from one place; if few shards have keys, all
        // shards are walked through once.
        let mut found = 0;
        for step in 0..shards.max(TRIES) {
            if found >= samples.max(1) {
                break;
            }
            let shard = if step < TRIES {
                rng.random_range(0..shards)
            } else {
                (start + step) % shards
            };
            found += self.sample(keyspace, shard as u16, policy, lfu_decay_minutes, now_ms, rng);
        }
        self.best.pop()
    }

    fn sample(
        &mut self,
        keyspace: &Keyspace,
        shard: u16,
        policy: Policy,
        lfu_decay_minutes: u32,
        now_ms: i64,
        rng: &mut impl Rng,
    ) -> usize {
        let mut locked = keyspace.lock_one(shard);
        let mut found = 0;
        for (db, d) in locked.shard(shard).dbs.iter().enumerate() {
            let Some(entry) = d.table.random(rng, policy.volatile_only()) else {
                continue;
            };
            found += 1;
            let score = match policy {
                Policy::AllKeysLru | Policy::VolatileLru => access::lru_idle_ms(entry.access(), now_ms),
                Policy::AllKeysLfu | Policy::VolatileLfu => {
                    255 - u64::from(access::lfu_counter(entry.access(), now_ms, lfu_decay_minutes))
                }
                Policy::VolatileTtl => u64::MAX - entry.expire_at_ms().unwrap_or(i64::MAX).max(0) as u64,
                Policy::AllKeysRandom | Policy::VolatileRandom | Policy::NoEviction => rng.random(),
            };
            self.offer(Candidate {
                score,
                db: db as u32,
                key: entry.key().into(),
            });
        }
        found
    }

    fn offer(&mut self, c: Candidate) {
        if self.best.iter().any(|b| b.db == c.db && b.key == c.key) {
            return;
        }
        let at = self.best.partition_point(|b| b.score < c.score);
        if self.best.len() < POOL {
            self.best.insert(at, c);
        } else if at > 0 {
            self.best.remove(0);
            self.best.insert(at - 1, c);
        }
    }
}
