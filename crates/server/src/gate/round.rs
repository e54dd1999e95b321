//! Whether to wait for the clients that were answered last before the next sync is begun: most clients write again as soon as
//! they have their answer, and a sync for all of them costs what one for a few does. The rule of a group commit's delay
//! (PostgreSQL's `commit_delay`, <https://www.postgresql.org/docs/current/wal-configuration.html>), with a look at whether it
//! pays.
//!
//! Must not know: threads, files.

use std::time::{Duration, Instant};

/// Fewer clients are not worth waiting for.
const FEWEST: u32 = 4;
/// Of so many clients one need not be back.
const PART: u32 = 8;
/// Waits in vain, one after the other, before there are none for a while.
const PATIENCE: u32 = 3;
/// So many rounds that is.
const REST: u32 = 200;

/// Clients that were let go together.
#[derive(Debug, Default)]
pub(super) struct Round {
    number: u32,
    answered: u32,
    back: u32,
    since: Option<Instant>,
    waited: bool,
    vain: u32,
    rest: u32,
}

impl Round {
    /// A client asks that was let go in this round, or in another.
    pub(super) fn came(&mut self, let_go_in: u32) {
        self.back += u32::from(let_go_in == self.number);
    }

    /// So many clients are let go: a new round, and its number, which is not 0.
    pub(super) fn begin(&mut self, answered: usize, now: Instant) -> u32 {
        if self.waited {
            let pays = self.back >= self.answered / 2;
            self.vain = if pays { 0 } else { self.vain + 1 };
        }
        self.rest = self.rest.saturating_sub(1);
        if self.vain == PATIENCE {
            (self.vain, self.rest) = (0, REST);
        }
        self.number = self.number.wrapping_add(1).max(1);
        self.answered = u32::try_from(answered).unwrap_or(u32::MAX);
        (self.back, self.since, self.waited) = (0, Some(now), false);
        self.number
    }

    /// Whether to wait for those who are not back yet, `longest` after they were let go at most.
    pub(super) fn waits(&mut self, now: Instant, longest: Duration) -> bool {
        let missing = self.answered.saturating_sub(self.back);
        let waits = self.rest == 0
            && self.answered >= FEWEST
            && missing > self.answered / PART
            && self
                .since
                .is_some_and(|since| now.saturating_duration_since(since) < longest);
        self.waited |= waits;
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(100);

    /// One round of so many clients, of which `back` come back.
    fn round(round: &mut Round, answered: usize, back: u32, now: Instant) -> bool {
        let number = round.begin(answered, now);
        let waits = round.waits(now, LONGEST);
        (0..back).for_each(|_| round.came(number));
        waits
    }

    #[test]
    fn who_was_answered_is_waited_for_and_not_for_ever() {
        let (mut r, now) = (Round::default(), Instant::now());
        assert!(!r.waits(now, LONGEST), "nobody was answered");
        let number = r.begin(16, now);
        assert!(r.waits(now, LONGEST));
        (0..13).for_each(|_| r.came(number));
        r.came(number - 1);
        assert!(r.waits(now, LONGEST), "three are missing");
        r.came(number);
        assert!(!r.waits(now, LONGEST), "two do not count");
        r.begin(16, now);
        assert!(!r.waits(now + LONGEST, LONGEST), "they take too long");
        r.begin(FEWEST as usize - 1, now);
        assert!(!r.waits(now, LONGEST), "few are not waited for");
    }

    #[test]
    fn waits_in_vain_end_for_a_while() {
        let (mut r, now) = (Round::default(), Instant::now());
        for _ in 0..PATIENCE {
            assert!(round(&mut r, 10, 4, now));
        }
        let without = (0..1000).take_while(|_| !round(&mut r, 10, 4, now)).count();
        assert_eq!(without, REST as usize);
        // One that pays is forgiven the others.
        for _ in 0..10 {
            assert!(round(&mut r, 10, 5, now));
            assert!(round(&mut r, 10, 4, now));
        }
    }
}
