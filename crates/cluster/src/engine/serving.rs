//! May this node serve its slots? As the primary of its shard, under a lease of the leader, and only slots that whoever
//! had them before serves no more. Must not know: who leads, and how it is decided.
//!
//! Handing over a slot safely: an entry that takes slots from a node (or its role) is a *loss* of that node, and a *gain*
//! of another. The leader tells with every grant up to which index all losers have stopped: they have applied the entry,
//! or their lease is over. Gains beyond that index are held back.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{NodeId, RaftId};
use crate::slots::SlotSet;
use crate::state::{Change, ClusterState};

/// An entry that took slots from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub index: u64,
    /// `None` if it is not known, since the entry was not applied here but came with a snapshot.
    pub loser: Option<RaftId>,
}

/// What one node knows of its right to serve.
#[derive(Debug)]
pub(crate) struct Serving {
    lease_until: u64,
    lease_epoch: u64,
    pub safe_index: u64,
    gains: Vec<(u64, SlotSet)>,
    /// Losses whose losers may still serve, as far as this node was told.
    pub losses: VecDeque<Loss>,
    /// The last loss of each node, and the index before which losses are not known one by one.
    lost_at: BTreeMap<NodeId, u64>,
    base: u64,
}

/// Losses that are remembered one by one; beyond, the oldest are held as one of an unknown loser.
const MAX_LOSSES: usize = 10_000;

impl Serving {
    /// After a start or a snapshot: nothing may be served before the leader has answered.
    pub(crate) fn new(state: &ClusterState) -> Self {
        let mut serving = Self {
            lease_until: 0,
            lease_epoch: 0,
            safe_index: 0,
            gains: Vec::new(),
            losses: VecDeque::new(),
            lost_at: BTreeMap::new(),
            base: 0,
        };
        serving.restored(state);
        serving
    }

    /// The state came whole, so that who lost what in it is not known: whoever is to serve has to know all of it, and what
    /// was gained in it is held back, unless the leader has told already that it is safe.
    pub(crate) fn restored(&mut self, state: &ClusterState) {
        let index = state.index;
        self.base = index;
        self.lost_at.clear();
        self.losses.clear();
        self.gains.clear();
        if index > self.safe_index {
            self.losses.push_back(Loss { index, loser: None });
            self.gains.push((index, SlotSet::all()));
        }
    }

    /// Notes what an applied entry took and gave. `state` is the one after it. Whether the held slots changed.
    pub(crate) fn note(&mut self, me: NodeId, index: u64, changes: &[Change], state: &ClusterState) -> bool {
        let mut held = false;
        for change in changes {
            match change {
                Change::Slots { slots, from, to } => {
                    let loser = from
                        .and_then(|id| state.shards.get(&id))
                        .map(|shard| shard.primary);
                    if from.is_some() {
                        self.lost(index, loser, state);
                    }
                    if to
                        .and_then(|id| state.shards.get(&id))
                        .is_some_and(|shard| shard.primary == me)
                    {
                        held |= self.gained(index, slots.clone());
                    }
                }
                Change::Promoted { shard, from, to } => {
                    self.lost(index, Some(*from), state);
                    if *to == me {
                        held |= self.gained(index, state.slots_of(*shard));
                    }
                }
                Change::Joined(_)
                | Change::Left(..)
                | Change::Moved(_)
                | Change::Voters
                | Change::Marks
                | Change::Role(_)
                | Change::InSync(_)
                | Change::Migration(_)
                | Change::Acl(_)
                | Change::Functions
                | Change::Setting(_) => {}
            }
        }
        held
    }

    /// Holds slots back, unless the leader has told already that they are safe.
    fn gained(&mut self, index: u64, slots: SlotSet) -> bool {
        let held = index > self.safe_index;
        if held {
            self.gains.push((index, slots));
        }
        held
    }

    fn lost(&mut self, index: u64, loser: Option<NodeId>, state: &ClusterState) {
        if let Some(loser) = loser {
            self.lost_at.insert(loser, index);
        }
        let member = |id: NodeId| state.nodes.get(&id).map(|node| node.raft_id);
        let loss = Loss {
            index,
            loser: loser.and_then(member),
        };
        if loss.index <= self.safe_index {
            return;
        }
        self.losses.push_back(loss);
        if self.losses.len() > MAX_LOSSES {
            self.losses.pop_front();
            if let Some(oldest) = self.losses.front_mut() {
                oldest.loser = None;
            }
        }
    }

    /// What a node must have applied to know all that it lost.
    pub(crate) fn must_know(&self, node: NodeId) -> u64 {
        self.lost_at.get(&node).copied().unwrap_or(0).max(self.base)
    }

    /// The leader has told that losers up to this index have stopped. Whether the held slots changed.
    pub(crate) fn safe_up_to(&mut self, index: u64) -> bool {
        if index <= self.safe_index {
            return false;
        }
        self.safe_index = index;
        self.losses.retain(|loss| loss.index > index);
        let before = self.gains.len();
        self.gains.retain(|(gained, _)| *gained > index);
        before != self.gains.len()
    }

    /// The leader has answered a status: serve until then, as the primary of this epoch.
    pub(crate) fn granted(&mut self, until: u64, epoch: u64) {
        if epoch != self.lease_epoch {
            self.lease_epoch = epoch;
            self.lease_until = until;
        }
        self.lease_until = self.lease_until.max(until);
    }

    /// Whether this node had a lease in this life as the primary of this epoch.
    pub(crate) fn had_lease(&self, epoch: u64) -> bool {
        epoch != 0 && epoch == self.lease_epoch
    }

    /// The slots that must not be served yet.
    pub(crate) fn held(&self) -> SlotSet {
        let mut held = SlotSet::new();
        self.gains.iter().for_each(|(_, slots)| held.extend_from(slots));
        held
    }

    /// Whether a slot must not be served yet.
    pub(crate) fn holds(&self, slot: u16) -> bool {
        self.gains.iter().any(|(_, slots)| slots.contains(slot))
    }

    /// Until when this node, the primary of its shard in `state`, may serve; 0 if it may not.
    pub(crate) fn lease_until(&self, me: NodeId, state: &ClusterState) -> u64 {
        match state.shard_of(me) {
            Some(shard) if shard.primary == me && shard.epoch == self.lease_epoch => self.lease_until,
            Some(_) | None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64) -> ClusterState {
        let mut state = crate::state::testing::founded();
        state.index = index;
        state
    }

    #[test]
    fn a_snapshot_holds_slots_back_only_until_it_is_safe() {
        let mut serving = Serving::new(&at(10));
        assert!(serving.holds(7));
        assert!(serving.safe_up_to(10), "the leader has told");
        assert!(!serving.holds(7));
        serving.safe_up_to(30);
        serving.restored(&at(20));
        assert!(!serving.holds(7), "it was told already, and is not told again");
        serving.restored(&at(40));
        assert!(serving.holds(7));
    }

    #[test]
    fn after_a_snapshot_nobody_serves_who_does_not_know_what_is_in_it() {
        let state = at(20);
        let node = *state.nodes.keys().next().expect("the founder");
        let mut serving = Serving::new(&at(10));
        assert_eq!(serving.must_know(node), 10);
        serving.restored(&state);
        assert_eq!(serving.must_know(node), 20);
    }
}
