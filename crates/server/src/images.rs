//! What the images of a snapshot may take of memory, and what happens when writers leave more of them than the walk takes.
//!
//! ```text
//!   up to half of the limit   nothing
//!   up to the limit           a batch that writes waits for a tick of the timer, once: the walk gets the processor
//!   from the limit on         writers wait until there is room
//!   for longer than `snapshot-hold-timeout`   the snapshot is given up: writers go on, and it has failed
//! ```
//!
//! Must not know: sessions; what the snapshot is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_storage::snapshot::{Cut, Pressure, PressureWatcher};
use parking_lot::Mutex;

use crate::config::Param;
use crate::memory;
use crate::server::Server;
use crate::snapshots::Purpose;
use crate::throttle::Throttle;

/// Without `snapshot-buffer-limit`: so many bytes, and such a part of the memory in use at the cut.
const FIXED: u64 = 40 << 20;
const PART: u64 = 25;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Images {
    current: Mutex<Option<Arc<Cut>>>,
    full_since: Arc<Mutex<Option<Instant>>>,
    given_up: AtomicU64,
}

/// Holds writers back for a cut.
#[derive(Debug)]
struct Brake {
    throttle: Arc<Throttle>,
    full_since: Arc<Mutex<Option<Instant>>>,
}

impl PressureWatcher for Brake {
    fn set(&self, pressure: Pressure) {
        self.throttle.set_snapshot(pressure);
        *self.full_since.lock() = (pressure == Pressure::Full).then(Instant::now);
    }
}

impl Images {
    /// From now on `cut` is watched.
    pub fn begin(&self, server: &Server, cut: &Arc<Cut>) {
        let brake = Brake {
            throttle: Arc::clone(&server.throttle),
            full_since: Arc::clone(&self.full_since),
        };
        cut.watch(limit(server) as usize, Arc::new(brake));
        *self.current.lock() = Some(Arc::clone(cut));
    }

    /// The walk is over. Returns the most bytes that its images took.
    pub fn end(&self) -> u64 {
        let cut = self.current.lock().take();
        cut.map_or(0, |cut| cut.peak_bytes() as u64)
    }

    /// Bytes that images take now, and the most that they took since the cut.
    pub fn bytes(&self) -> (u64, u64) {
        let current = self.current.lock();
        current.as_ref().map_or((0, 0), |cut| {
            (cut.waiting_bytes() as u64, cut.peak_bytes() as u64)
        })
    }

    /// How many snapshots were given up.
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }
}

/// Bytes that images may take.
pub fn limit(server: &Server) -> u64 {
    match server.config.int(Param::SnapshotBufferLimit) as u64 {
        0 => FIXED + memory::used() / PART,
        bytes => bytes,
    }
}

/// With every tick: a snapshot that has held writers back for too long is given up.
pub fn cron(server: &Server) {
    let images = &server.snapshots.images;
    let timeout_ms = server.config.int(Param::SnapshotHoldTimeout) as u64;
    let since = *images.full_since.lock();
    let (Some(since), true) = (since, timeout_ms > 0) else {
        return;
    };
    let paced = [Purpose::FullSync, Purpose::SlotMigration];
    if server.snapshots.running_for(&paced).is_some() {
        // Replicas, or the target, set its pace; one that stands still is dropped instead, and would only ask again.
        return;
    }
    if since.elapsed() < Duration::from_millis(timeout_ms) {
        return;
    }
    let Some(cut) = images.current.lock().clone() else {
        return;
    };
    let (held, limit) = (since.elapsed().as_millis(), limit(server));
    *images.full_since.lock() = None;
    images.given_up.fetch_add(1, Ordering::Relaxed);
    cut.give_up();
    tracing::warn!(
        "The snapshot is given up: it has held writers back for {held} ms, with {limit} bytes of changed keys that it \
         could not write. The disk is too slow for the writers, or stands still. See snapshot-buffer-limit and \
         snapshot-hold-timeout."
    );
}
