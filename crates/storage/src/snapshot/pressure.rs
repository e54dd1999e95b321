//! How much memory the images of a snapshot take, and whom to tell when that is too much.
//!
//! ```text
//!   0 ........ limit/2 ........ limit ....
//!     none       some             full        told at each change; back to a lower one 256 KiB below the mark
//! ```
//!
//! Must not know: what is done about it.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

/// How full the share of memory for images is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// There is room.
    #[default]
    None,
    /// More than half of it is taken.
    Some,
    /// All of it is.
    Full,
}

/// Is told of pressure. Called with shards locked: it must not wait, and must not lock shards.
pub trait PressureWatcher: Send + Sync + Debug {
    /// From now on it is this one.
    fn set(&self, pressure: Pressure);
}

/// So many bytes below a mark the mark counts as left: few enough that who waits for it does not wait long.
const SLACK: usize = if cfg!(test) { 64 } else { 256 << 10 };

#[derive(Debug, Default)]
pub(super) struct Gauge {
    bytes: AtomicUsize,
    peak: AtomicUsize,
    watched: OnceLock<Watched>,
    /// The last that was told; None: nobody is told any more.
    told: Mutex<Option<Pressure>>,
    /// It was not [`Pressure::None`].
    pressed: AtomicBool,
}

#[derive(Debug)]
struct Watched {
    limit: usize,
    watcher: Arc<dyn PressureWatcher>,
}

impl Gauge {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    pub(super) fn watch(&self, limit: usize, watcher: Arc<dyn PressureWatcher>) {
        let first = self.watched.set(Watched { limit, watcher });
        debug_assert!(first.is_ok(), "a cut has one watcher");
        *self.told.lock() = Some(Pressure::None);
    }

    pub(super) fn add(&self, bytes: usize) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let now = before + bytes;
        if now > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(now, Ordering::Relaxed);
        }
        if let Some(Watched { limit, .. }) = self.watched.get()
            && [limit / 2, *limit]
                .iter()
                .any(|&mark| before < mark && now >= mark)
        {
            self.tell();
        }
    }

    pub(super) fn sub(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Called by the walk with every step: there may be less pressure now.
    pub(super) fn look(&self) {
        if self.pressed.load(Ordering::Relaxed) {
            self.tell();
        }
    }

    #[cold]
    fn tell(&self) {
        let Some(Watched { limit, watcher }) = self.watched.get() else {
            return;
        };
        // Who tells holds this, so that the last word is about the last state.
        let mut told = self.told.lock();
        let Some(before) = *told else { return };
        let bytes = self.bytes();
        let over = |mark: usize, was: bool| bytes >= if was { mark.saturating_sub(SLACK) } else { mark };
        let now = if over(*limit, before == Pressure::Full) {
            Pressure::Full
        } else if over(limit / 2, before >= Pressure::Some) {
            Pressure::Some
        } else {
            Pressure::None
        };
        if now != before {
            *told = Some(now);
            self.pressed.store(now != Pressure::None, Ordering::Relaxed);
            watcher.set(now);
        }
    }

    /// The snapshot is over: there is no pressure, and nobody is told any more.
    pub(super) fn close(&self) {
        let before = self.told.lock().take();
        if let (Some(before), Some(watched)) = (before, self.watched.get())
            && before != Pressure::None
        {
            watched.watcher.set(Pressure::None);
        }
        self.pressed.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<Pressure>>);

    impl PressureWatcher for Heard {
        fn set(&self, pressure: Pressure) {
            self.0.lock().push(pressure);
        }
    }

    #[test]
    fn marks_are_told_once_and_left_with_some_slack() {
        let (gauge, heard) = (Gauge::default(), Arc::new(Heard::default()));
        gauge.watch(1_000, Arc::clone(&heard) as Arc<dyn PressureWatcher>);
        gauge.add(499);
        gauge.look();
        assert!(heard.0.lock().is_empty());
        gauge.add(1);
        gauge.add(400);
        gauge.add(600);
        for _ in 0..15 {
            gauge.sub(100);
            gauge.look();
        }
        use Pressure::{Full, None, Some};
        assert_eq!(*heard.0.lock(), [Some, Full, Some, None]);
        assert_eq!((gauge.bytes(), gauge.peak()), (0, 1_500));
        gauge.add(5_000);
        gauge.close();
        gauge.add(5_000);
        gauge.look();
        assert_eq!(*heard.0.lock(), [Some, Full, Some, None, Full, None]);
    }
}
