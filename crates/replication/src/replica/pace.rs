//! When a broken link is tried again.

use std::time::Duration;

/// How far the last try came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no link, or the primary sent it away.
    Link,
    /// A snapshot was begun in vain: it cost the primary much.
    Sync,
}

/// Waits that grow: the first is short, so that a replica that lost its link for a moment is back at once; then up to a
/// second, as Redis tries once a second. After a snapshot in vain even the first is not that short.
#[derive(Debug, Default)]
pub struct Pace {
    failures: u32,
    syncs: u32,
}

const FIRST_MS: u64 = 20;
const SYNC_FIRST_MS: u64 = 100;
const LONGEST_MS: u64 = 1_000;

impl Pace {
    /// The link is up, and the stream flows.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// How long to wait before the next try. `chance`: any number, so that many replicas do not come at once.
    pub fn failed(&mut self, failure: Failure, chance: u32) -> Duration {
        let (count, first) = match failure {
            Failure::Link => (&mut self.failures, FIRST_MS),
            Failure::Sync => (&mut self.syncs, SYNC_FIRST_MS),
        };
        *count = count.saturating_add(1);
        let ms = first.saturating_mul(1 << (*count - 1).min(16)).min(LONGEST_MS);
        // Up to an eighth less.
        Duration::from_millis(ms - ms / 8 * u64::from(chance % 8) / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_again() {
        let mut pace = Pace::default();
        let waits: Vec<u128> = (0..40)
            .map(|_| pace.failed(Failure::Link, 0).as_millis())
            .collect();
        assert_eq!(waits[..7], [20, 40, 80, 160, 320, 640, 1000]);
        assert!(waits[6..].iter().all(|ms| *ms == 1000));
        let syncs: Vec<u128> = (0..40)
            .map(|_| pace.failed(Failure::Sync, 7).as_millis())
            .collect();
        assert!(syncs.is_sorted() && syncs[0] > 80 && syncs[39] > 800 && syncs[39] <= 1_000);
        pace.succeeded();
        assert_eq!(pace.failed(Failure::Link, 0).as_millis(), 20);
    }
}
