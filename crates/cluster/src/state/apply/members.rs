//! Nodes that come, go and move, and who votes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, ClusterState, NodeId, Outcome, Rejected};
use crate::state::{Endpoint, MAX_NODES, Newcomer, Node, Shard};

impl ClusterState {
    /// A node joins. Sent twice by the same member it changes nothing; the same name with another log is taken.
    pub(super) fn join(&mut self, newcomer: &Newcomer) -> Outcome {
        if let Some(known) = self.nodes.get(&newcomer.id) {
            return if known.raft_id == newcomer.raft_id {
                Ok(Vec::new())
            } else {
                Err(Rejected::Taken(newcomer.id.to_string()))
            };
        }
        if newcomer.raft_id == 0 || self.node_of_raft(newcomer.raft_id).is_some() {
            return Err(Rejected::Taken(format!("raft member {}", newcomer.raft_id)));
        }
        if self.shards.contains_key(&newcomer.shard) {
            return Err(Rejected::Taken(newcomer.shard.to_string()));
        }
        if !newcomer.endpoint.is_valid() {
            return Err(Rejected::InvalidAddress);
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(Rejected::Limit("nodes of a cluster"));
        }
        if let Some(slot) = newcomer.slots.iter().find(|slot| self.owner(*slot).is_some()) {
            return Err(Rejected::SlotBusy(slot));
        }
        self.add_shard(newcomer.shard, newcomer.id);
        self.put_node(Node {
            id: newcomer.id,
            raft_id: newcomer.raft_id,
            endpoint: newcomer.endpoint.clone(),
            shard: newcomer.shard,
            voter: false,
        });
        let mut changes = vec![Change::Joined(newcomer.id)];
        if !newcomer.slots.is_empty() {
            self.give(&newcomer.slots, Some(newcomer.shard), &mut changes);
        }
        Ok(changes)
    }

    /// A node leaves that owns no slots and has no replicas, and without which somebody still votes.
    pub(super) fn leave(&mut self, id: NodeId) -> Outcome {
        let node = self.node(id)?;
        if self.nodes.len() == 1 {
            return Err(Rejected::LastNode);
        }
        if node.voter && self.voters().count() == 1 {
            return Err(Rejected::InvalidVoters);
        }
        let (raft_id, shard) = (node.raft_id, self.shard(node.shard)?);
        if shard.primary == id {
            if self.has_slots(shard.id) {
                return Err(Rejected::HasSlots(id));
            }
            if !shard.replicas.is_empty() {
                return Err(Rejected::HasReplicas(id));
            }
        }
        self.take_out(id);
        self.nodes.remove(&id);
        self.rafts.remove(&raft_id);
        self.windows.remove(&raft_id);
        Ok(vec![Change::Left(id, raft_id)])
    }

    pub(super) fn node_info(&mut self, id: NodeId, endpoint: &Endpoint) -> Outcome {
        if !endpoint.is_valid() {
            return Err(Rejected::InvalidAddress);
        }
        let node = self.nodes.get_mut(&id).ok_or(Rejected::UnknownNode(id))?;
        if node.endpoint == *endpoint {
            return Ok(Vec::new());
        }
        node.endpoint = endpoint.clone();
        Ok(vec![Change::Moved(id)])
    }

    pub(super) fn set_voters(&mut self, voters: &[NodeId]) -> Outcome {
        let set: BTreeSet<NodeId> = voters.iter().copied().collect();
        if set.is_empty() || set.len() != voters.len() {
            return Err(Rejected::InvalidVoters);
        }
        if let Some(unknown) = set.iter().find(|id| !self.nodes.contains_key(id)) {
            return Err(Rejected::UnknownNode(*unknown));
        }
        let mut changes = Vec::new();
        for node in self.nodes.values_mut() {
            let voter = set.contains(&node.id);
            if node.voter != voter {
                node.voter = voter;
                changes = vec![Change::Voters];
            }
        }
        Ok(changes)
    }

    /// A new shard with the smallest free number. The caller has checked that the name is free.
    pub(super) fn add_shard(&mut self, id: crate::ids::ShardId, primary: NodeId) {
        // Mostly none is free in between.
        let dense = self.numbers.len() as u16;
        let is_dense = self
            .numbers
            .last_key_value()
            .is_none_or(|(last, _)| *last == dense);
        let from = if is_dense { dense + 1 } else { 1 };
        let number = (from..=u16::MAX)
            .find(|number| !self.numbers.contains_key(number))
            .expect("there are at most MAX_NODES shards");
        let epoch = self.next_epoch();
        self.numbers.insert(number, id);
        self.shards.insert(
            id,
            Shard {
                id,
                number,
                primary,
                replicas: BTreeSet::new(),
                in_sync: BTreeSet::new(),
                epoch,
                life: 0,
            },
        );
    }

    /// Takes a node out of its shard, and the shard away if it was its primary. The caller has checked that such a
    /// shard has neither slots nor other members.
    pub(super) fn take_out(&mut self, id: NodeId) {
        let Some(shard_id) = self.nodes.get(&id).map(|node| node.shard) else {
            return;
        };
        let Some(shard) = self.shards.get_mut(&shard_id) else {
            return;
        };
        shard.replicas.remove(&id);
        shard.in_sync.remove(&id);
        if shard.primary == id {
            let number = shard.number;
            self.shards.remove(&shard_id);
            self.numbers.remove(&number);
            self.forget_marks(shard_id);
        }
    }

    /// Marks and migrations must not name a shard that is gone.
    fn forget_marks(&mut self, gone: crate::ids::ShardId) {
        let running: Vec<_> = self
            .migrations
            .values()
            .filter(|migration| migration.to == gone || migration.from == gone)
            .map(|migration| migration.id)
            .collect();
        for id in running {
            self.end_migration(id, crate::state::Phase::Cancelled("the shard is gone".to_owned()));
        }
        let marks = std::mem::take(&mut self.open_slots);
        self.open_slots = marks
            .into_iter()
            .filter_map(|(slot, mut mark)| {
                mark.migrating_to = mark.migrating_to.filter(|shard| *shard != gone);
                mark.importing = mark.importing.filter(|shard| *shard != gone);
                (mark != Default::default()).then_some((slot, mark))
            })
            .collect::<BTreeMap<_, _>>();
    }
}
