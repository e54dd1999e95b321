//! `maxmemory`: whether there is room, and making some.
//!
//! Must not know: which key goes; see [`holdfast_storage::evict`].

use std::sync::atomic::Ordering;
use std::time::Instant;

use holdfast_storage::evict::Policy;

use super::Server;
use crate::config::Param;
use crate::execute;
use crate::memory;
use crate::observe::latency::Event;
use crate::worker::Worker;

impl Server {
    /// True if more memory is in use than `maxmemory`, without what does not count for it: evicting keys for a replica that is
    /// slow would write more to the log that it has not read, and so on until there are none.
    #[inline]
    pub fn is_over(&self, maxmemory: u64) -> bool {
        let used = memory::used();
        used > maxmemory && used.saturating_sub(self.not_counted()) > maxmemory
    }

    /// Bytes that do not count for `maxmemory`: what the log keeps beyond `repl-backlog-size` for those who have yet to read
    /// it.
    #[cold]
    pub fn not_counted(&self) -> u64 {
        self.log.extent().held
    }

    /// Evicts until there is room. False if there is not. No lock may be held.
    pub fn make_room(&self, w: &mut Worker) -> bool {
        memory::publish(w.id);
        if !self.is_over(w.maxmemory) {
            return true;
        }
        if self.replication.is_replica() && self.config.flag(Param::ReplicaIgnoreMaxmemory) {
            return true; // the primary decides what goes
        }
        if w.import_mode || self.is_paused_at(w.now_ms) {
            // The data stands still; what would use more memory is held back, or let in as before.
            return true;
        }
        if w.policy == Policy::NoEviction {
            self.stats.note_exceeded(true, w.now_ms);
            return false;
        }
        self.evicting.store(true, Ordering::Relaxed);
        let began = Instant::now();
        let cycle = self.observe.begin_event(&self.config);
        let samples = self.config.int(Param::MaxmemorySamples) as usize;
        let limit_us = eviction_limit_us(self.config.int(Param::MaxmemoryEvictionTenacity));
        let mut done = false;
        for round in 0u32.. {
            memory::publish(w.id);
            if !self.is_over(w.maxmemory) {
                done = true;
                break;
            }
            if round.is_multiple_of(16) && limit_us.is_some_and(|us| began.elapsed().as_micros() as u64 > us)
            {
                // Over the time: the command may go on, the next one will evict further.
                self.stats.note_exceeded(true, w.now_ms);
                done = true;
                break;
            }
            if !self.evict_one(w, samples) {
                break;
            }
        }
        self.evicting.store(false, Ordering::Relaxed);
        self.observe.end_event(Event::EvictionCycle, cycle, w.now_ms);
        w.meter.skip(); // it is not the command's time
        done
    }

    fn evict_one(&self, w: &mut Worker, samples: usize) -> bool {
        let decay = w.access.lfu_decay_minutes;
        for _ in 0..32 {
            let chosen = w
                .pool
                .choose(&self.keyspace, w.policy, samples, decay, w.now_ms, &mut w.rng);
            let Some(candidate) = chosen else { return false };
            let began = self.observe.begin_event(&self.config);
            if execute::evict(w, candidate.db, &candidate.key) {
                self.observe.end_event(Event::EvictionDel, began, w.now_ms);
                return true;
            }
        }
        // All candidates were gone already: others evict as well.
        true
    }
}

/// `maxmemory-eviction-tenacity` as a time limit: 500 us up to 10, then growing by 15 % a step, none at 100.
fn eviction_limit_us(tenacity: i64) -> Option<u64> {
    match tenacity {
        ..=10 => Some(50 * tenacity.max(0) as u64),
        100.. => None,
        t => Some((500.0 * 1.15f64.powi(t as i32 - 10)) as u64),
    }
}
