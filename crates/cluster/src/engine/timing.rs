//! The times of the control plane, all derived from one: how soon after the death of a primary its slots are writable
//! again. Must not know: clocks.

/// Shortest time of a failover that may be asked for, in milliseconds: below it a tick is too short to be kept.
pub const MIN_FAILOVER_MS: u64 = 200;

/// Ticks between heartbeats of the leader, and between two statuses of a node.
pub(crate) const HEARTBEAT_TICKS: usize = 2;
/// Ticks without a leader after which a voter may vote for another, and a leader without its voters steps down.
pub(crate) const ELECTION_TICKS: usize = 10;
/// The randomized part of the time until a voter asks for votes.
pub(crate) const ELECTION_SPREAD: usize = 8;
/// Heartbeats of the leader that a learner gets: one in so many. Its statuses and their answers tell it the rest.
pub(crate) const LEARNER_HEARTBEATS: u64 = 10;

/// Times in milliseconds.
///
/// ```text
/// primary dies   |---- lease runs out ----|- proposal, commit -| writable           0.5 failover_ms
/// leader too     |-- election --|-- rest of the lease by evidence --| commit | writable   up to 0.9 failover_ms
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// One tick of the engine. It must be ticked this often.
    pub tick_ms: u64,
    /// A primary serves for so long after it sent the status that its leader answered.
    pub lease_ms: u64,
    /// A leader grants leases for so long after it sent what a majority of voters has answered.
    pub leader_lease_ms: u64,
    /// What the leader waits until a lease is over by any clock that runs up to a tenth slower than its own, also if its own
    /// has jumped ahead meanwhile: the patient clock takes a tick of that.
    pub lease_over_ms: u64,
    /// A voter that is silent for so long is replaced.
    pub replace_voter_ms: u64,
    /// A snapshot of which its receiver says nothing for so long is sent again.
    pub snapshot_ms: u64,
    /// A leader whose disk has written nothing for so long hands over.
    pub stuck_ms: u64,
    /// A proposal whose fate is not known after so long is answered so.
    pub proposal_ms: u64,
}

impl Timing {
    /// The times for a failover within `failover_ms` (at least [`MIN_FAILOVER_MS`]).
    pub fn new(failover_ms: u64) -> Self {
        let whole = failover_ms.max(MIN_FAILOVER_MS);
        let lease_ms = whole * 9 / 20;
        Self {
            tick_ms: whole / 40,
            lease_ms,
            leader_lease_ms: whole / 5,
            lease_over_ms: lease_ms * 11 / 10 + whole / 40,
            replace_voter_ms: whole * 5,
            snapshot_ms: whole * 5,
            stuck_ms: whole,
            proposal_ms: whole * 5,
        }
    }
}

/// Time as a node's engine counts it, in milliseconds. Both follow the monotonic clock that is passed in; where that clock
/// jumps, each errs to its safe side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    raw: u64,
    /// Never slower than time: for what this node itself may do until. It goes on by a tick for each tick, also when
    /// the clock stands still or jumps back.
    pub eager: u64,
    /// Never faster than time: for what this node waits for. It goes on by a few ticks for each tick at most, also
    /// when the clock jumps ahead.
    pub patient: u64,
    eager_tick: u64,
    patient_tick: u64,
}

/// What the patient clock may go on for one tick, in ticks: a machine under load ticks late.
const PATIENCE: u64 = 2;

impl Clock {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            raw: now_ms,
            ..Self::default()
        }
    }

    /// Follows the clock that is passed in; `ticked` if a tick has come.
    pub(crate) fn advance(&mut self, now_ms: u64, ticked: bool, timing: &Timing) {
        let passed = now_ms.saturating_sub(self.raw);
        self.raw = now_ms;
        self.eager += passed;
        self.patient = (self.patient + passed).min(self.patient_tick + PATIENCE * timing.tick_ms);
        if ticked {
            self.eager = self.eager.max(self.eager_tick + timing.tick_ms * 9 / 10);
            self.eager_tick = self.eager;
            self.patient_tick = self.patient;
        }
    }

    /// What the eager clock will say when the clock that is passed in says `now_ms`.
    pub(crate) fn eager_at(&self, now_ms: u64) -> u64 {
        self.eager + now_ms.saturating_sub(self.raw)
    }

    /// What the clock that is passed in says when the eager one says `eager`.
    pub(crate) fn raw_at(&self, eager: u64) -> u64 {
        (self.raw + eager).saturating_sub(self.eager)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_taken_to_the_safe_side() {
        let timing = Timing::new(1000);
        let mut clock = Clock::new(1_000_000);
        clock.advance(1_000_025, true, &timing);
        assert_eq!((clock.eager, clock.patient), (25, 25));
        clock.advance(1_090_025, true, &timing);
        assert_eq!(
            (clock.eager, clock.patient),
            (90_025, 75),
            "ahead: a lease ends, a wait does not"
        );
        clock.advance(5, true, &timing);
        assert!(clock.eager > 90_025, "back: a lease goes on to its end");
        assert_eq!(clock.raw_at(clock.eager + 10), 15);
        assert_eq!(clock.eager_at(15), clock.eager + 10);
    }

    #[test]
    fn times_fit_each_other() {
        for failover_ms in [0, 200, 1000, 5000] {
            let t = Timing::new(failover_ms);
            let heartbeat = t.tick_ms * HEARTBEAT_TICKS as u64;
            assert!(
                heartbeat * 3 < t.leader_lease_ms,
                "a leader keeps its lease when a heartbeat is lost"
            );
            assert!(
                t.leader_lease_ms < t.tick_ms * ELECTION_TICKS as u64,
                "a vote comes after the leader's lease"
            );
            assert!(t.lease_over_ms + 2 * heartbeat < failover_ms.max(MIN_FAILOVER_MS));
        }
    }
}
