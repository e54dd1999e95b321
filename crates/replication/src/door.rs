//! How fast writers may go on while replicas are given a snapshot: what such a replica has yet to be sent is kept, and that
//! is not to become more than a bound.
//!
//! ```text
//!   held   0 ............ half ........................ bound
//!   rate   as they like    |  (bound - held) / 5 s, per second
//! ```
//!
//! So writers are slowed the more, the less room is left, and a full synchronization comes to its end with the log that it
//! needs, however slow the replica is: it does not end in the next one. A replica that takes nothing at all is dropped
//! (`repl-timeout`), so this cannot last.
//!
//! Must not know: clocks, what is written, whose writes they are.

/// Time in which what is left would be used up, if the rate stayed.
const TIME_LEFT_MS: u64 = 5_000;
/// What the writers have not used of their rate is theirs for this time.
const SAVED_MS: u64 = 20;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Door {
    looked_ms: u64,
    end: u64,
    /// Bytes that may be written; below 0: what was written in excess of the rate.
    room: i64,
    slow: bool,
}

/// What is looked at, every few ms.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// A clock that does not go back, in ms.
    pub now_ms: u64,
    /// Bytes that are held because of replicas on their way.
    pub held: u64,
    /// Bytes that may be held.
    pub bound: u64,
    /// Offset of the log's end.
    pub end: u64,
}

impl Door {
    /// Whether writers may go on until the next look.
    pub fn is_open(&mut self, look: Look) -> bool {
        let passed_ms = look.now_ms.saturating_sub(self.looked_ms);
        let grown = i64::try_from(look.end.saturating_sub(self.end)).unwrap_or(i64::MAX);
        (self.looked_ms, self.end) = (look.now_ms, look.end);
        if look.held < look.bound / 2 {
            (self.room, self.slow) = (0, false);
            return true;
        }
        if !std::mem::replace(&mut self.slow, true) {
            // What was written before was nobody's excess.
            self.room = 0;
            return false;
        }
        let left = look.bound.saturating_sub(look.held);
        let rate = |ms: u64| i64::try_from(left.saturating_mul(ms) / TIME_LEFT_MS).unwrap_or(i64::MAX);
        let room = self.room.saturating_sub(grown).saturating_add(rate(passed_ms));
        self.room = room.min(rate(SAVED_MS));
        self.room > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: u64 = 64 << 20;
    const LOOK_EVERY_MS: u64 = 2;

    /// Writers that would write `rate` bytes in a ms, a replica that takes `drain` in a ms. What was held at most, and what
    /// was written.
    fn run(ms: u64, rate: u64, drain: u64) -> (u64, u64) {
        let mut door = Door::default();
        let (mut end, mut place, mut most, mut open) = (0, 0, 0, true);
        for now_ms in 0..ms {
            place = (place + drain).min(end);
            if now_ms.is_multiple_of(LOOK_EVERY_MS) {
                let held = end - place;
                let bound = BOUND;
                open = door.is_open(Look {
                    now_ms,
                    held,
                    bound,
                    end,
                });
            }
            end += if open { rate } else { 0 };
            most = most.max(end - place);
        }
        (most, end)
    }

    #[test]
    fn who_holds_little_slows_nobody() {
        let (most, written) = run(2_000, 50_000, 50_000);
        assert_eq!(written, 2_000 * 50_000);
        assert!(most <= 100_000, "{most}");
    }

    #[test]
    fn a_replica_that_takes_nothing_does_not_fill_the_memory() {
        let (most, written) = run(60_000, 100_000, 0);
        assert!(most <= BOUND + 200_000, "{most}");
        assert!(written > BOUND / 10 * 9, "writers go on, slower: {written}");
    }

    #[test]
    fn writers_come_to_go_as_fast_as_the_replica() {
        let (most, written) = run(60_000, 100_000, 10_000);
        assert!(most <= BOUND, "{most}");
        let taken = 60_000 * 10_000;
        let most = taken + BOUND + (1 << 20);
        assert!((taken..most).contains(&written), "{written} of {taken}");
    }

    /// Whatever the rates are, no more is written beyond the bound than between two looks.
    #[test]
    fn many_seeds_stay_below_the_bound() {
        for seed in 0..200u64 {
            let mix = |n: u64| {
                (seed + 1)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(n as u32)
                    % 100_000
            };
            let rate = 100 + mix(7);
            let (most, _) = run(3_000, rate, mix(23));
            assert!(most <= BOUND + rate * LOOK_EVERY_MS, "seed {seed}: {most}");
        }
    }
}
