//! Atomic migrations of slots. A failover of either side cancels them (see `shards`), so that one commit never meets
//! two primaries of a shard.

use super::{Change, ClusterState, Fence, Outcome, Rejected};
use crate::ids::MigrationId;
use crate::slots::SlotSet;
use crate::state::{MAX_BLOB, MAX_MIGRATIONS, Migration, Phase, REMEMBERED_MIGRATIONS};

impl ClusterState {
    pub(super) fn migration_begin(
        &mut self,
        id: MigrationId,
        from: Fence,
        to: Fence,
        slots: &SlotSet,
    ) -> Outcome {
        let known = self.migrations.contains_key(&id);
        if known
            || self
                .finished_migrations
                .iter()
                .any(|migration| migration.id == id)
        {
            return Err(Rejected::Taken(id.to_string()));
        }
        self.fenced(from)?;
        self.fenced(to)?;
        if from.shard == to.shard {
            return Err(Rejected::SameNode);
        }
        if slots.is_empty() {
            return Err(Rejected::NoSlots);
        }
        if self.migrations.len() >= MAX_MIGRATIONS {
            return Err(Rejected::Limit("running migrations"));
        }
        if let Some(slot) = slots
            .iter()
            .find(|s| self.owner(*s).map(|shard| shard.id) != Some(from.shard))
        {
            return Err(Rejected::NotOwner(slot));
        }
        self.none_travels(slots)?;
        if let Some(slot) = self.open_slots.keys().find(|slot| slots.contains(**slot)) {
            return Err(Rejected::SlotMigrating(*slot));
        }
        let migration = Migration {
            id,
            from: from.shard,
            to: to.shard,
            slots: slots.clone(),
            phase: Phase::Running,
            begun: self.index,
        };
        self.migrations.insert(id, migration);
        Ok(vec![Change::Migration(id)])
    }

    pub(super) fn migration_commit(&mut self, id: MigrationId) -> Outcome {
        let migration = self.migrations.get(&id).ok_or(Rejected::UnknownMigration(id))?;
        let (slots, to) = (migration.slots.clone(), migration.to);
        self.end_migration(id, Phase::Committed);
        let mut changes = vec![Change::Migration(id)];
        self.give(&slots, Some(to), &mut changes);
        Ok(changes)
    }

    pub(super) fn migration_cancel(&mut self, id: MigrationId, reason: &str) -> Outcome {
        if !self.migrations.contains_key(&id) {
            return Err(Rejected::UnknownMigration(id));
        }
        if reason.len() > MAX_BLOB {
            return Err(Rejected::Limit("bytes of a reason"));
        }
        self.end_migration(id, Phase::Cancelled(reason.to_owned()));
        Ok(vec![Change::Migration(id)])
    }

    pub(super) fn end_migration(&mut self, id: MigrationId, phase: Phase) {
        if let Some(mut migration) = self.migrations.remove(&id) {
            migration.phase = phase;
            self.finished_migrations.push_back(migration);
            if self.finished_migrations.len() > REMEMBERED_MIGRATIONS {
                self.finished_migrations.pop_front();
            }
        }
    }
}
