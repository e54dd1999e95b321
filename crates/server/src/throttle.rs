//! Holding writers back: who falls behind (the disk, a snapshot, a replica) says so, and commands that may write wait at
//! the session's door, before they lock anything, until it has caught up. Reads go on.
//!
//! Must not know: why somebody is behind, or when that is too far.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use holdfast_storage::snapshot::Pressure;

use crate::client::Clients;

/// Who is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The append-only file: the disk is slower than the writers.
    AppendOnlyFile,
    /// A snapshot: its images fill half of their share of memory. Who has waited for a moment may go on.
    Snapshot,
    /// A replica in a full synchronization: the log is kept for it.
    FullSync,
    /// A snapshot: its images fill their share of memory.
    SnapshotFull,
}

const CAUSES: usize = 4;
/// How long who is held back waits until he looks by himself, in ms: a snapshot catches up at once, others wake him.
const TICK_MS: u64 = 1;
const SELDOM_MS: u64 = 50;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Throttle {
    on: AtomicU8,
    times: [AtomicU64; CAUSES],
}

const fn bit(cause: Cause) -> u8 {
    1 << cause as u8
}

impl Throttle {
    /// Whether writers wait.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed) != 0
    }

    /// Whether writers wait even if they have done so just now.
    #[inline]
    pub fn stops(&self) -> bool {
        self.on.load(Ordering::Relaxed) & !bit(Cause::Snapshot) != 0
    }

    /// Milliseconds after which who is held back looks by himself.
    pub fn tick_ms(&self) -> u64 {
        let snapshot = bit(Cause::Snapshot) | bit(Cause::SnapshotFull);
        if self.on.load(Ordering::Relaxed) & !snapshot == 0 {
            TICK_MS
        } else {
            SELDOM_MS
        }
    }

    /// Holds writers back as the images of a snapshot demand. Nobody is woken: who waits looks often enough.
    pub fn set_snapshot(&self, pressure: Pressure) {
        for (cause, on) in [
            (Cause::Snapshot, pressure >= Pressure::Some),
            (Cause::SnapshotFull, pressure == Pressure::Full),
        ] {
            if !on {
                self.on.fetch_and(!bit(cause), Ordering::Relaxed);
            } else if self.on.fetch_or(bit(cause), Ordering::Relaxed) & bit(cause) == 0 {
                self.times[cause as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How often writers had to wait for this cause.
    pub fn times(&self, cause: Cause) -> u64 {
        self.times[cause as usize].load(Ordering::Relaxed)
    }

    /// Begins to hold writers back, or ends it; both may be said again.
    pub fn set(&self, clients: &Clients, cause: Cause, on: bool) {
        let bit = bit(cause);
        if on {
            if self.on.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
                self.times[cause as usize].fetch_add(1, Ordering::Relaxed);
            }
        } else if self.on.load(Ordering::Relaxed) & bit != 0
            && self.on.fetch_and(!bit, Ordering::Relaxed) == bit
        {
            for client in clients.all() {
                client.waker.wake();
            }
        }
    }
}
