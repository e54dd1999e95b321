//! Who should vote: at most so many, an odd number, alive, spread over the shards; the leader always. Pure.

use std::collections::BTreeSet;

use crate::ids::NodeId;
use crate::state::ClusterState;

/// What is known of a node for the choice, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    /// It answers and has the log.
    Fit,
    /// It may come back.
    Doubtful,
    /// It is gone for long, or about to leave.
    Lost,
}

/// The voters that should be, if they are not those that are. `leader` stays a voter.
pub(crate) fn choose(
    state: &ClusterState,
    leader: NodeId,
    max: usize,
    health: impl Fn(NodeId) -> Health,
    leaving: Option<NodeId>,
) -> Option<Vec<NodeId>> {
    let current: BTreeSet<NodeId> = state.voters().map(|node| node.id).collect();
    let eligible = state.nodes.len() - usize::from(leaving.is_some_and(|id| state.nodes.contains_key(&id)));
    let target = odd(max.min(eligible)).max(1);
    let fate = |id: NodeId| {
        if leaving == Some(id) {
            Health::Lost
        } else {
            health(id)
        }
    };

    let mut chosen = BTreeSet::from([leader]);
    let shard = |id: &NodeId| state.nodes.get(id).map(|node| node.shard);
    let crowd = |chosen: &BTreeSet<NodeId>, id: &NodeId| {
        chosen.iter().filter(|other| shard(other) == shard(id)).count()
    };
    // Present voters stay while they are not lost; then the fit ones of the shards that have the fewest voters; then,
    // to keep the number, those that are lost.
    let ranks: [Box<dyn Fn(NodeId) -> bool>; 3] = [
        Box::new(|id| current.contains(&id) && fate(id) != Health::Lost),
        Box::new(|id| fate(id) == Health::Fit),
        Box::new(|id| current.contains(&id) && leaving != Some(id)),
    ];
    for rank in &ranks {
        while chosen.len() < target {
            let best = state
                .nodes
                .keys()
                .filter(|id| !chosen.contains(id) && rank(**id))
                .min_by_key(|id| (crowd(&chosen, id), **id));
            let Some(best) = best.copied() else { break };
            chosen.insert(best);
        }
    }
    while chosen.len() > 1 && chosen.len().is_multiple_of(2) {
        // Who is least use: gone before alive, new before old.
        let least = chosen
            .iter()
            .filter(|id| **id != leader)
            .max_by_key(|id| (fate(**id), !current.contains(id), **id))
            .copied();
        match least {
            Some(id) => chosen.remove(&id),
            None => break,
        };
    }
    (chosen != current).then(|| chosen.into_iter().collect())
}

fn odd(number: usize) -> usize {
    if number.is_multiple_of(2) {
        number.saturating_sub(1)
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Entry;
    use crate::state::testing::{founded, newcomer, node};

    fn cluster(nodes: u8, replicas: &[(u8, u8)]) -> ClusterState {
        let mut state = founded();
        for n in 2..=nodes {
            state
                .apply(u64::from(n), &Entry::NodeJoin(newcomer(n, &[])))
                .unwrap();
        }
        for (replica, primary) in replicas {
            let entry = Entry::SetReplica {
                node: node(*replica),
                primary: node(*primary),
            };
            state.apply(100, &entry).unwrap();
        }
        state
    }

    fn vote(state: &mut ClusterState, voters: &[u8]) {
        let voters = voters.iter().copied().map(node).collect();
        state.apply(200, &Entry::SetVoters { voters }).unwrap();
    }

    fn names(numbers: &[u8]) -> Option<Vec<NodeId>> {
        Some(numbers.iter().copied().map(node).collect())
    }

    #[test]
    fn the_number_is_odd_and_at_most_the_limit() {
        for (nodes, voters) in [(2, 1), (3, 3), (4, 3), (5, 5), (6, 5), (9, 5)] {
            let state = cluster(nodes, &[]);
            let chosen = choose(&state, node(1), 5, |_| Health::Fit, None);
            assert_eq!(chosen.map_or(1, |chosen| chosen.len()), voters, "{nodes} nodes");
        }
    }

    #[test]
    fn voters_are_spread_over_shards() {
        let state = cluster(6, &[(2, 1), (3, 1), (5, 4)]);
        assert_eq!(
            choose(&state, node(1), 3, |_| Health::Fit, None),
            names(&[1, 4, 6])
        );
    }

    #[test]
    fn a_lost_voter_is_replaced_and_a_doubtful_one_is_not() {
        let mut state = cluster(6, &[]);
        vote(&mut state, &[1, 2, 3, 4, 5]);
        let health = |bad: Health| move |id| if id == node(3) { bad } else { Health::Fit };
        assert_eq!(choose(&state, node(1), 5, health(Health::Doubtful), None), None);
        assert_eq!(
            choose(&state, node(1), 5, health(Health::Lost), None),
            names(&[1, 2, 4, 5, 6])
        );
        let three = cluster(3, &[]);
        let mut three = three;
        vote(&mut three, &[1, 2, 3]);
        assert_eq!(
            choose(&three, node(1), 5, health(Health::Lost), None),
            None,
            "nobody is there instead"
        );
    }

    #[test]
    fn where_one_is_too_many_the_living_stay() {
        let mut state = cluster(6, &[]);
        vote(&mut state, &[1, 2, 3, 4, 6]);
        for dead in [Health::Doubtful, Health::Lost] {
            let health = |id| match [2, 4, 5].map(node).contains(&id) {
                true => dead,
                false => Health::Fit,
            };
            assert_eq!(
                choose(&state, node(1), 5, health, Some(node(4))),
                names(&[1, 3, 6]),
                "{dead:?}"
            );
        }
    }

    #[test]
    fn who_leaves_votes_no_more() {
        let mut state = cluster(3, &[]);
        vote(&mut state, &[1, 2, 3]);
        assert_eq!(
            choose(&state, node(1), 5, |_| Health::Fit, Some(node(2))),
            names(&[1])
        );
    }
}
