//! The first layout of a cluster: who is a primary of which slots, and who its replicas. One entry, so that it is made once
//! and whole, whoever proposes it, and however many do.

use std::collections::BTreeSet;

use super::{ClusterState, NodeId, Outcome, Rejected};
use crate::slots::{SLOTS, SlotSet};

impl ClusterState {
    /// `shards`: each primary with its replicas. The slots are divided among the primaries in their order, as redis-cli
    /// divides them.
    pub(super) fn lay_out(&mut self, shards: &[(NodeId, Vec<NodeId>)]) -> Outcome {
        if self.assigned() > 0 {
            return Err(Rejected::LaidOut);
        }
        if shards.is_empty() || shards.len() > usize::from(SLOTS) {
            return Err(Rejected::Limit("primaries"));
        }
        let mut seen = BTreeSet::new();
        let members = shards
            .iter()
            .flat_map(|(primary, replicas)| std::iter::once(primary).chain(replicas));
        for id in members {
            let shard = self.primary_shard(*id)?;
            if !shard.replicas.is_empty() {
                return Err(Rejected::HasReplicas(*id));
            }
            if !seen.insert(*id) {
                return Err(Rejected::SameNode);
            }
        }
        let mut changes = Vec::new();
        for ((primary, replicas), slots) in shards.iter().zip(shares(shards.len())) {
            for replica in replicas {
                changes.extend(self.set_replica(*replica, *primary)?);
            }
            changes.extend(self.assign_slots(*primary, &slots)?);
        }
        Ok(changes)
    }
}

/// All slots in so many equal parts, of which each has at least one slot.
fn shares(parts: usize) -> impl Iterator<Item = SlotSet> {
    let all = usize::from(SLOTS);
    (0..parts).map(move |n| {
        let ends = [n * all / parts, (n + 1) * all / parts];
        // At most SLOTS, which fits.
        (ends[0] as u16..ends[1] as u16).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Entry;
    use crate::state::testing::{founded, newcomer, node, shard};

    fn of(nodes: u8) -> ClusterState {
        let mut state = founded();
        for n in 2..=nodes {
            state
                .apply(u64::from(n), &Entry::NodeJoin(newcomer(n, &[])))
                .unwrap();
        }
        state
    }

    fn entry(shards: &[(u8, &[u8])]) -> Entry {
        let ids = |ids: &[u8]| ids.iter().copied().map(node).collect();
        Entry::Layout {
            shards: shards.iter().map(|(p, r)| (node(*p), ids(r))).collect(),
        }
    }

    #[test]
    fn all_slots_have_an_owner_and_the_second_layout_is_rejected() {
        let mut state = of(6);
        state
            .apply(10, &entry(&[(1, &[4]), (2, &[5]), (3, &[6])]))
            .unwrap();
        assert_eq!(state.check(), Ok(()));
        assert_eq!(state.assigned(), usize::from(SLOTS));
        let sizes: Vec<usize> = [1, 2, 3]
            .map(|n| state.slots_of(shard(n)).len())
            .into_iter()
            .collect();
        assert_eq!(sizes, [5461, 5461, 5462]);
        assert_eq!(state.shard_of(node(5)).unwrap().primary, node(2));
        let before = state.clone();
        let again = state.apply(11, &entry(&[(6, &[]), (5, &[])]));
        assert_eq!(again, Err(Rejected::LaidOut));
        assert_eq!(state.slots_by_shard(), before.slots_by_shard());
    }

    #[test]
    fn who_is_unknown_named_twice_or_has_replicas_keeps_all_from_changing() {
        let mut state = of(4);
        let rejected = |state: &mut ClusterState, entry: &Entry| {
            let before = state.clone();
            let why = state.apply(state.index, entry).unwrap_err();
            assert_eq!(*state, before);
            why
        };
        let unknown = rejected(&mut state, &entry(&[(1, &[2]), (3, &[9])]));
        assert_eq!(unknown, Rejected::UnknownNode(node(9)));
        assert_eq!(
            rejected(&mut state, &entry(&[(1, &[2]), (3, &[2])])),
            Rejected::SameNode
        );
        assert_eq!(rejected(&mut state, &entry(&[])), Rejected::Limit("primaries"));
        let set = Entry::SetReplica {
            node: node(2),
            primary: node(1),
        };
        state.apply(20, &set).unwrap();
        assert_eq!(
            rejected(&mut state, &entry(&[(1, &[]), (3, &[])])),
            Rejected::HasReplicas(node(1))
        );
        assert_eq!(
            rejected(&mut state, &entry(&[(3, &[]), (2, &[])])),
            Rejected::NotPrimary(node(2))
        );
    }
}
