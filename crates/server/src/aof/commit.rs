//! Syncing in place, with `appendfsync always`: the worker that is about to sleep while replies of its clients wait writes
//! and syncs by itself what the log has. Others that come meanwhile wait for it for a moment, and mostly find that it has
//! been done for them. That saves the way to the writer's thread and back, which costs more than a quick disk.
//!
//! A worker that syncs serves nobody. So this is done while the disk is quick; else, and whenever there is more to it than
//! a write and a sync, the writer's thread is left to do it.
//!
//! Must not know: who waits, and for what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::writer::Writer;
use super::{Aof, State};
use crate::config::Appendfsync;
use crate::server::Server;

/// Syncs that take longer than this on the average are left to the thread. Of 50 clients without pipeline on two cores, in
/// thousand writes a second, in place and by the thread: 61 and 48 with syncs of 115 us, 34 and 39 with 415 us.
const QUICK: Duration = Duration::from_micros(300);
/// A single sync counts as this at most: after a hiccup of the disk its usual time shows again within some syncs.
const WORST: Duration = Duration::from_millis(8);
/// So much of the average is the last sync: one part in eight.
const WEIGHT: u32 = 8;
/// For so long whoever comes waits for the one who syncs.
const PATIENCE: Duration = Duration::from_millis(1);
/// More bytes than this are left to the thread.
const MOST: u64 = 1 << 20;
/// A worker that does not come to sleep syncs when so many of its clients wait.
pub const CROWD: u32 = 64;

/// How long syncs take, on the average of the last ones.
#[derive(Clone, Copy, Debug)]
pub struct Pace(Duration);

impl Default for Pace {
    /// Nothing is known: the thread finds out.
    fn default() -> Self {
        Self(QUICK)
    }
}

impl Pace {
    /// A sync has taken this.
    pub fn note(&mut self, took: Duration) {
        self.0 = self.0 * (WEIGHT - 1) / WEIGHT + took.min(WORST) / WEIGHT;
    }

    /// The average.
    pub fn usual(self) -> Duration {
        self.0
    }

    /// Whether a worker may sync by itself.
    pub fn is_quick(self) -> bool {
        self.0 < QUICK
    }
}

/// What workers and the writer's thread know of each other.
#[derive(Debug, Default)]
pub struct Commits {
    quick: AtomicBool,
    usual_ns: AtomicU64,
    visits: AtomicU64,
    called: AtomicBool,
}

impl Commits {
    /// How long syncs take. Workers may sync by themselves while that is not long.
    pub fn set_pace(&self, pace: Pace) {
        let usual = u64::try_from(pace.usual().as_nanos()).unwrap_or(u64::MAX);
        self.usual_ns.store(usual, Ordering::Relaxed);
        self.quick.store(pace.is_quick(), Ordering::Release);
    }

    /// How often workers came to sync.
    pub fn visits(&self) -> u64 {
        self.visits.load(Ordering::Acquire)
    }

    /// Whether a worker has left something to the thread.
    pub fn take_call(&self) -> bool {
        self.called.swap(false, Ordering::AcqRel)
    }
}

impl Aof {
    /// How long a sync takes, on the average; zero while workers do not sync by themselves.
    pub fn usual_sync(&self) -> Duration {
        match self.commits.quick.load(Ordering::Acquire) {
            true => Duration::from_nanos(self.commits.usual_ns.load(Ordering::Relaxed)),
            false => Duration::ZERO,
        }
    }

    /// Clients of this thread wait for the log's synced end to reach `offset`: brings it about, or leaves it to the writer's
    /// thread.
    pub fn commit(&self, server: &Server, offset: u64) {
        if self.state() != State::On
            || !self.commits.quick.load(Ordering::Acquire)
            || self.safe.load(Ordering::Acquire) >= offset
        {
            return;
        }
        let Some((writer, thread)) = self.running.lock().as_ref().map(|running| {
            let thread = running.thread.thread().clone();
            (running.writer.clone(), thread)
        }) else {
            return;
        };
        self.commits.visits.fetch_add(1, Ordering::AcqRel);
        let done = writer.upgrade().is_some_and(|writer: Arc<_>| {
            let writer = writer.try_lock_for(PATIENCE);
            writer.is_some_and(|mut writer| writer.commit(offset))
        });
        if !done {
            self.commits.called.store(true, Ordering::Release);
            thread.unpark();
        }
        debug_assert!(
            !done || self.safe.load(Ordering::Acquire) >= offset || server.aof.write_error().is_some()
        );
    }
}

impl Writer {
    /// Writes and syncs what there is. False: that is for the thread to do.
    fn commit(&mut self, offset: u64) -> bool {
        if self.safe.offset >= offset {
            return true;
        }
        let aof = &self.server.aof;
        let is_simple = self.trouble.is_none() && self.ending.is_none() && self.syncing.is_none();
        let unwritten = self.server.log.end_offset().saturating_sub(self.written.offset);
        if !is_simple || self.file.is_none() || unwritten > MOST || self.policy() != Appendfsync::Always {
            return false;
        }
        let Ok(chunk) = self.reader.read_changes(self.written.offset, MOST as usize) else {
            return false;
        };
        // As the thread does: who has read what is behind a rotation's place sees the rotation.
        if aof.rotates.load(Ordering::Acquire) {
            return false;
        }
        let synced = self
            .write_chunk(&chunk.pieces, chunk.end)
            .and_then(|()| self.sync_now());
        match synced {
            Ok(()) => {
                let aof = &self.server.aof;
                aof.note_len(self.written.len);
                aof.balance(&self.server);
                self.safe.offset >= offset
            }
            Err(failure) => {
                self.fail(&failure);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_quick_when_its_syncs_are_and_again_soon_after_a_hiccup() {
        let mut pace = Pace::default();
        assert!(!pace.is_quick(), "nothing is known");
        pace.note(QUICK / 5);
        assert!(pace.is_quick());
        pace.note(Duration::from_secs(5));
        assert!(!pace.is_quick());
        let quick_again = (1..100).find(|_| {
            pace.note(QUICK / 5);
            pace.is_quick()
        });
        assert!(quick_again.is_some_and(|syncs| syncs < 25), "{quick_again:?}");
        for _ in 0..100 {
            pace.note(QUICK * 2);
        }
        assert!(!pace.is_quick());
    }
}
