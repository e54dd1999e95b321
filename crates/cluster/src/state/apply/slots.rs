//! Who owns slots, and the marks of CLUSTER SETSLOT.

use std::collections::BTreeMap;

use super::{Change, ClusterState, Fence, NodeId, Outcome, Rejected, ShardId};
use crate::slots::{SLOTS, SlotSet};
use crate::state::OpenSlot;

impl ClusterState {
    pub(super) fn assign_slots(&mut self, node: NodeId, slots: &SlotSet) -> Outcome {
        let shard = self.primary_shard(node)?.id;
        some(slots)?;
        if let Some(slot) = slots.iter().find(|slot| self.owner(*slot).is_some()) {
            return Err(Rejected::SlotBusy(slot));
        }
        let mut changes = Vec::new();
        self.give(slots, Some(shard), &mut changes);
        Ok(changes)
    }

    pub(super) fn remove_slots(&mut self, slots: &SlotSet, node: Option<NodeId>) -> Outcome {
        some(slots)?;
        let only = node
            .map(|node| self.node(node).map(|node| node.shard))
            .transpose()?;
        for slot in slots.iter() {
            match (self.owner(slot), only) {
                (None, _) => return Err(Rejected::SlotUnassigned(slot)),
                (Some(owner), Some(shard)) if owner.id != shard => return Err(Rejected::NotOwner(slot)),
                (Some(_), _) => {}
            }
        }
        self.none_travels(slots)?;
        let mut changes = Vec::new();
        self.give(slots, None, &mut changes);
        Ok(changes)
    }

    pub(super) fn move_slots(&mut self, to: NodeId, slots: &SlotSet, fences: &[Fence]) -> Outcome {
        some(slots)?;
        for fence in fences {
            self.fenced(*fence)?;
        }
        let shard = self.primary_shard(to)?.id;
        self.none_travels(slots)?;
        let mut changes = Vec::new();
        self.give(slots, Some(shard), &mut changes);
        Ok(changes)
    }

    pub(super) fn mark_migrating(&mut self, slot: u16, to: Option<NodeId>) -> Outcome {
        let owner = self.owner(slot).ok_or(Rejected::SlotUnassigned(slot))?.id;
        let to = to
            .map(|node| self.primary_shard(node).map(|shard| shard.id))
            .transpose()?;
        if to == Some(owner) {
            return Err(Rejected::SameNode);
        }
        self.none_travels(&SlotSet::from_iter([slot]))?;
        Ok(self.mark(slot, |mark| mark.migrating_to = to))
    }

    pub(super) fn mark_importing(&mut self, slot: u16, importer: Option<NodeId>) -> Outcome {
        if slot >= SLOTS {
            return Err(Rejected::SlotUnassigned(slot));
        }
        let importing = importer
            .map(|node| self.primary_shard(node).map(|shard| shard.id))
            .transpose()?;
        if importing.is_some() && self.owner(slot).map(|shard| shard.id) == importing {
            return Err(Rejected::SameNode);
        }
        self.none_travels(&SlotSet::from_iter([slot]))?;
        Ok(self.mark(slot, |mark| mark.importing = importing))
    }

    fn mark(&mut self, slot: u16, change: impl FnOnce(&mut OpenSlot)) -> Vec<Change> {
        let before = self.open_slots.get(&slot).copied().unwrap_or_default();
        let mut after = before;
        change(&mut after);
        if before == after {
            return Vec::new();
        }
        if after == OpenSlot::default() {
            self.open_slots.remove(&slot);
        } else {
            self.open_slots.insert(slot, after);
        }
        vec![Change::Marks]
    }

    /// Writes the owner of these slots, takes their marks away, and tells from whom they went to whom. Slots that the
    /// shard had before are not told.
    pub(super) fn give(&mut self, slots: &SlotSet, to: Option<ShardId>, changes: &mut Vec<Change>) {
        let number = to
            .and_then(|id| self.shards.get(&id))
            .map_or(0, |shard| shard.number);
        let mut lost: BTreeMap<Option<ShardId>, SlotSet> = BTreeMap::new();
        for slot in slots.iter() {
            let from = self.owner(slot).map(|shard| shard.id);
            self.open_slots.remove(&slot);
            if from != to {
                lost.entry(from).or_default().insert(slot);
                self.owners[usize::from(slot)] = number;
            }
        }
        changes.extend(
            lost.into_iter()
                .map(|(from, slots)| Change::Slots { slots, from, to }),
        );
    }

    /// No slot of these may be on its way: its copy would be thrown away, or be taken for the truth.
    pub(super) fn none_travels(&self, slots: &SlotSet) -> Result<(), Rejected> {
        let busy = self
            .migrations
            .values()
            .find_map(|migration| migration.slots.common(slots));
        busy.map_or(Ok(()), |slot| Err(Rejected::SlotMigrating(slot)))
    }
}

fn some(slots: &SlotSet) -> Result<(), Rejected> {
    if slots.is_empty() {
        Err(Rejected::NoSlots)
    } else {
        Ok(())
    }
}
