//! Roles: who is primary, who is replica, who is in sync.

use super::{Change, ClusterState, Fence, NodeId, Outcome, Rejected, ShardId};
use crate::state::{FailoverKind, Phase};

impl ClusterState {
    pub(super) fn set_replica(&mut self, node: NodeId, primary: NodeId) -> Outcome {
        if node == primary {
            return Err(Rejected::SameNode);
        }
        let old = self.shard(self.node(node)?.shard)?.clone();
        let target = self.primary_shard(primary)?.id;
        if old.id == target {
            return if old.primary == node {
                Err(Rejected::SameNode)
            } else {
                Ok(Vec::new())
            };
        }
        let moved: Vec<NodeId> = if old.primary == node {
            if self.has_slots(old.id) {
                return Err(Rejected::HasSlots(node));
            }
            old.members().collect()
        } else {
            vec![node]
        };
        // Replicas first: the old shard goes with its primary.
        for member in moved.iter().rev() {
            self.take_out(*member);
        }
        for member in &moved {
            if let Some(shard) = self.shards.get_mut(&target) {
                shard.replicas.insert(*member);
            }
            if let Some(node) = self.nodes.get_mut(member) {
                node.shard = target;
            }
        }
        Ok(moved.into_iter().map(Change::Role).collect())
    }

    pub(super) fn detach(&mut self, node: NodeId, shard: ShardId) -> Outcome {
        let old = self.shard(self.node(node)?.shard)?;
        if old.primary == node {
            return Err(Rejected::NotReplica(node));
        }
        if self.shards.contains_key(&shard) {
            return Err(Rejected::Taken(shard.to_string()));
        }
        self.take_out(node);
        self.add_shard(shard, node);
        if let Some(node) = self.nodes.get_mut(&node) {
            node.shard = shard;
        }
        Ok(vec![Change::Role(node)])
    }

    pub(super) fn change_in_sync(&mut self, fence: Fence, add: &[NodeId], remove: &[NodeId]) -> Outcome {
        let shard = self.fenced(fence)?;
        if let Some(foreign) = add.iter().find(|id| !shard.replicas.contains(id)) {
            return Err(Rejected::NotReplica(*foreign));
        }
        let mut after = shard.in_sync.clone();
        after.extend(add.iter().copied());
        for id in remove {
            after.remove(id);
        }
        if after == shard.in_sync {
            return Ok(Vec::new());
        }
        if let Some(shard) = self.shards.get_mut(&fence.shard) {
            shard.in_sync = after;
        }
        Ok(vec![Change::InSync(fence.shard)])
    }

    /// The other in-sync replicas stay so: they have every acknowledged write, and the new primary acknowledges none
    /// without them until it has taken them out. The deposed primary may have writes that nobody was told of, so it
    /// is in sync again only when the new primary says so.
    pub(super) fn failover(&mut self, fence: Fence, to: NodeId, kind: FailoverKind, life: u64) -> Outcome {
        let shard = self.fenced(fence)?;
        if !shard.replicas.contains(&to) {
            return Err(Rejected::NotReplica(to));
        }
        match kind {
            // One that the leader did not know to be whole may have restarted with nothing.
            FailoverKind::Automatic | FailoverKind::Manual if life == 0 || !shard.in_sync.contains(&to) => {
                return Err(Rejected::NotInSync(to));
            }
            FailoverKind::Automatic | FailoverKind::Manual | FailoverKind::Forced => {}
        }
        let epoch = self.next_epoch();
        let Some(shard) = self.shards.get_mut(&fence.shard) else {
            return Err(Rejected::UnknownShard(fence.shard));
        };
        let from = std::mem::replace(&mut shard.primary, to);
        shard.epoch = epoch;
        shard.life = life;
        shard.replicas.remove(&to);
        shard.in_sync.remove(&to);
        shard.replicas.insert(from);
        if kind == FailoverKind::Forced {
            // It may lack what they have: they are no measure of it any more, nor it of them.
            shard.in_sync.clear();
        }
        let mut changes = vec![Change::Promoted {
            shard: fence.shard,
            from,
            to,
        }];
        let interrupted: Vec<_> = self
            .migrations
            .values()
            .filter(|migration| migration.from == fence.shard || migration.to == fence.shard)
            .map(|migration| migration.id)
            .collect();
        for id in interrupted {
            self.end_migration(id, Phase::Cancelled("failover".to_owned()));
            changes.push(Change::Migration(id));
        }
        Ok(changes)
    }
}
