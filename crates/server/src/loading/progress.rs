//! How far a load is: for INFO, for the log, and to have it stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The log is told of a load's progress so often.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// A shorter sleep is kept for later: none is as short as it is meant to be.
const LEAST_SLEEP: Duration = Duration::from_micros(200);
/// After so much sleep a load that is slowed down looks whether it still is.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// See the module's documentation.
#[derive(Debug)]
pub struct LoadProgress {
    began: Instant,
    /// Unix ms of the beginning.
    pub began_ms: i64,
    total: u64,
    bytes: AtomicU64,
    keys: AtomicU64,
    used_mem: AtomicU64,
    cancelled: AtomicBool,
    /// `key-load-delay`, as it is now.
    pub(super) key_delay: Arc<AtomicI64>,
}

impl LoadProgress {
    /// A load begins. `total`: bytes to be read, 0 if that is not known.
    pub fn new(now_ms: i64, total: u64) -> Self {
        Self {
            began: Instant::now(),
            began_ms: now_ms,
            total,
            bytes: AtomicU64::new(0),
            keys: AtomicU64::new(0),
            used_mem: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            key_delay: Arc::default(),
        }
    }

    /// Has the load stop: it ends with [`super::LoadError::Cancelled`] at its next batch of bytes. A reader that waits for a
    /// socket has to be woken by other means.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// True if it was told to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes to be read, 0 if that is not known.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Keys loaded so far.
    pub fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Bytes that the data took where they were saved.
    pub fn used_mem(&self) -> u64 {
        self.used_mem.load(Ordering::Relaxed)
    }

    /// How much of the whole was read, in percent.
    pub fn percent(&self) -> f64 {
        100.0 * self.bytes() as f64 / self.total.max(self.bytes()).max(1) as f64
    }

    /// Seconds that the rest will take if it goes on as it did.
    pub fn eta_s(&self) -> u64 {
        let (bytes, seconds) = (self.bytes(), self.began.elapsed().as_secs_f64());
        if bytes == 0 {
            return 1; // Redis's answer
        }
        (seconds * self.total.saturating_sub(bytes) as f64 / bytes as f64) as u64
    }

    /// Seconds since the beginning.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub(crate) fn note_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_keys(&self, keys: u64) {
        self.keys.fetch_add(keys, Ordering::Relaxed);
    }

    pub(super) fn note_used_mem(&self, bytes: u64) {
        self.used_mem.store(bytes, Ordering::Relaxed);
    }
}

/// Slows a load down, for tests (`key-load-delay`).
#[derive(Debug, Default)]
pub(crate) struct Brake {
    owed: Duration,
}

impl Brake {
    /// A key, or a command of an append-only file, has been loaded. True if the load is slowed down: who looks at it is to
    /// see each key.
    pub(crate) fn key(&mut self, progress: &LoadProgress) -> bool {
        let wait = match progress.key_delay.load(Ordering::Relaxed) {
            0 => return false,
            us @ 1.. => Duration::from_micros(us as u64),
            // As in Redis: a microsecond for each so many keys.
            keys => Duration::from_nanos(1000 / keys.unsigned_abs()),
        };
        self.owed += wait;
        while self.owed >= LEAST_SLEEP && !progress.is_cancelled() {
            if progress.key_delay.load(Ordering::Relaxed) == 0 {
                self.owed = Duration::ZERO;
                break;
            }
            let began = Instant::now();
            std::thread::sleep(self.owed.min(LOOK_EVERY));
            self.owed = self.owed.saturating_sub(began.elapsed());
        }
        true
    }
}

/// Tells the log once a second how far a load is.
#[derive(Debug)]
pub(crate) struct Teller {
    told: Instant,
}

impl Teller {
    pub(crate) fn new() -> Self {
        Self { told: Instant::now() }
    }

    pub(crate) fn look(&mut self, progress: &LoadProgress) {
        if self.told.elapsed() < TELL_EVERY {
            return;
        }
        self.told = Instant::now();
        let (bytes, keys) = (progress.bytes(), progress.keys());
        if progress.total() > 0 {
            let percent = progress.percent();
            tracing::info!("Loading DB: {percent:.1}%, {bytes} bytes, {keys} keys");
        } else {
            tracing::info!("Loading DB: {bytes} bytes, {keys} keys");
        }
    }
}
