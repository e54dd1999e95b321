//! Validation and change: one function for each entry, by family. An entry is checked whole before anything changes, so
//! a rejected one leaves the state as it was. Must not know: who proposed it, or why.

mod cluster_wide;
mod layout;
mod members;
mod migrations;
mod shards;
mod slots;

use super::{Applied, Change, ClusterState, Entry, Fence, Node, Rejected, Shard};
use crate::ids::{NodeId, RaftId, ShardId};

type Outcome = Result<Vec<Change>, Rejected>;

impl ClusterState {
    /// Applies the entry at this place of the log. The index advances also when the entry is rejected.
    ///
    /// # Errors
    /// Why the entry does not hold; the state is then as before.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> Result<Applied, Rejected> {
        self.index = self.index.max(index);
        let changes = match entry {
            Entry::Barrier => Ok(Vec::new()),
            Entry::NodeJoin(newcomer) => self.join(newcomer),
            Entry::NodeLeave { node } => self.leave(*node),
            Entry::NodeInfo { node, endpoint } => self.node_info(*node, endpoint),
            Entry::SetVoters { voters } => self.set_voters(voters),
            Entry::AssignSlots { node, slots } => self.assign_slots(*node, slots),
            Entry::RemoveSlots { slots, node } => self.remove_slots(slots, *node),
            Entry::MoveSlots { to, slots, fences } => self.move_slots(*to, slots, fences),
            Entry::MarkMigrating { slot, to } => self.mark_migrating(*slot, *to),
            Entry::MarkImporting { slot, importer } => self.mark_importing(*slot, *importer),
            Entry::Layout { shards } => self.lay_out(shards),
            Entry::SetReplica { node, primary } => self.set_replica(*node, *primary),
            Entry::Detach { node, shard } => self.detach(*node, *shard),
            Entry::InSync { fence, add, remove } => self.change_in_sync(*fence, add, remove),
            Entry::Failover {
                fence,
                to,
                kind,
                life,
            } => self.failover(*fence, *to, *kind, *life),
            Entry::MigrationBegin { id, from, to, slots } => self.migration_begin(*id, *from, *to, slots),
            Entry::MigrationCommit { id } => self.migration_commit(*id),
            Entry::MigrationCancel { id, reason } => self.migration_cancel(*id, reason),
            Entry::Acl { user, rules } => self.set_acl(user, rules.as_ref()),
            Entry::Function { library, code } => self.set_function(index, library, code.as_ref()),
            Entry::ReplaceFunctions { libraries } => self.replace_functions(index, libraries),
            Entry::Setting { name, value } => self.set_setting(name, value.as_ref()),
        }?;
        Ok(Applied { index, changes })
    }

    /// Applies a node's proposal unless it was applied before. `number` counts the proposals of this origin.
    ///
    /// # Errors
    /// As [`ClusterState::apply`], and [`Rejected::Duplicate`].
    pub fn apply_proposal(
        &mut self,
        index: u64,
        origin: RaftId,
        number: u64,
        entry: &Entry,
    ) -> Result<Applied, Rejected> {
        self.index = self.index.max(index);
        if !self.windows.entry(origin).or_default().note(number) {
            return Err(Rejected::Duplicate);
        }
        let result = self.apply(index, entry);
        if let Ok(applied) = &result {
            for change in &applied.changes {
                if let Change::Left(_, raft_id) = change {
                    self.windows.remove(raft_id);
                }
            }
        }
        if self.node_of_raft(origin).is_none() {
            self.windows.remove(&origin);
        }
        result
    }

    pub(super) fn node(&self, id: NodeId) -> Result<&Node, Rejected> {
        self.nodes.get(&id).ok_or(Rejected::UnknownNode(id))
    }

    pub(super) fn shard(&self, id: ShardId) -> Result<&Shard, Rejected> {
        self.shards.get(&id).ok_or(Rejected::UnknownShard(id))
    }

    /// The shard of a node that must be its primary.
    pub(super) fn primary_shard(&self, id: NodeId) -> Result<&Shard, Rejected> {
        let shard = self.shard(self.node(id)?.shard)?;
        if shard.primary == id {
            Ok(shard)
        } else {
            Err(Rejected::NotPrimary(id))
        }
    }

    pub(super) fn fenced(&self, fence: Fence) -> Result<&Shard, Rejected> {
        let shard = self.shard(fence.shard)?;
        if shard.epoch == fence.epoch {
            return Ok(shard);
        }
        Err(Rejected::StaleEpoch {
            shard: fence.shard,
            given: fence.epoch,
            current: shard.epoch,
        })
    }

    pub(super) fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }
}

impl super::Window {
    /// Notes a number; false if it was noted before, or is too old to tell.
    fn note(&mut self, number: u64) -> bool {
        if number > self.last {
            let ahead = number - self.last;
            self.bits = if ahead < 64 { self.bits << ahead | 1 } else { 1 };
            self.last = number;
            return true;
        }
        if self.has(number) {
            return false;
        }
        self.bits |= 1 << (self.last - number);
        true
    }

    /// Whether a number was noted, or is too old to tell.
    pub(crate) fn has(&self, number: u64) -> bool {
        match self.last.checked_sub(number) {
            Some(behind) => behind >= 64 || self.bits >> behind & 1 == 1,
            None => false,
        }
    }
}
