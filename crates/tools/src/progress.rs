//! How far it has come, on standard error, once a second, for what takes more than one.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);
/// Calls between two looks at the clock.
const CALLS: u32 = 256;

/// See the module's documentation.
#[derive(Debug)]
pub struct Progress {
    total: u64,
    shown: Instant,
    calls: u32,
}

impl Progress {
    /// Of `total` bytes.
    pub fn new(total: u64) -> Self {
        Self {
            total,
            shown: Instant::now(),
            calls: 0,
        }
    }

    /// So many bytes, and so many of `what`, are done.
    pub fn at(&mut self, bytes: u64, count: u64, what: &str) {
        self.calls = self.calls.wrapping_add(1);
        if self.calls.is_multiple_of(CALLS) && self.shown.elapsed() >= EVERY {
            self.shown = Instant::now();
            let percent = 100.0 * bytes as f64 / self.total.max(1) as f64;
            eprintln!(
                "{:5.1} %  {count} {what}, {} of {} MB",
                percent.min(100.0),
                bytes >> 20,
                self.total >> 20
            );
        }
    }
}
