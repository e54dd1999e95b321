//! What must hold of a state after every entry: asked by tests and by the simulation.

use std::collections::BTreeSet;

use super::ClusterState;

impl ClusterState {
    /// The first invariant that does not hold, in words.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        let mut members = BTreeSet::new();
        let mut epochs = BTreeSet::new();
        for (id, shard) in &self.shards {
            ensure(
                *id == shard.id && shard.number != 0,
                "a shard knows its name and number",
            )?;
            ensure(
                self.numbers.get(&shard.number) == Some(id),
                "a number leads to its shard",
            )?;
            ensure(
                !shard.replicas.contains(&shard.primary),
                "a primary is not its own replica",
            )?;
            ensure(
                shard.in_sync.is_subset(&shard.replicas),
                "only replicas are in sync",
            )?;
            ensure(
                shard.epoch <= self.epoch && epochs.insert(shard.epoch),
                "epochs are unique",
            )?;
            for member in shard.members() {
                ensure(members.insert(member), "a node is in one shard")?;
                let node = self.nodes.get(&member).ok_or("a member of a shard is a node")?;
                ensure(node.shard == *id, "a node knows its shard")?;
            }
        }
        ensure(members.len() == self.nodes.len(), "every node is in a shard")?;
        ensure(
            self.numbers.len() == self.shards.len(),
            "every number belongs to a shard",
        )?;
        let owned = self
            .owners
            .iter()
            .all(|number| *number == 0 || self.numbers.contains_key(number));
        ensure(owned, "every owner of a slot is a shard")?;
        let rafts: BTreeSet<_> = self.nodes.values().map(|node| node.raft_id).collect();
        ensure(
            rafts.len() == self.nodes.len() && !rafts.contains(&0) && rafts.iter().eq(self.rafts.keys()),
            "raft ids are unique",
        )?;
        ensure(
            self.nodes.is_empty() || self.voters().next().is_some(),
            "somebody votes",
        )?;
        let mut travelling = super::SlotSet::new();
        for migration in self.migrations.values() {
            ensure(
                migration.slots.common(&travelling).is_none(),
                "a slot travels once",
            )?;
            travelling.extend_from(&migration.slots);
            let owned = migration
                .slots
                .iter()
                .all(|slot| self.owner(slot).map(|s| s.id) == Some(migration.from));
            ensure(owned, "the source owns what travels")?;
            ensure(self.shards.contains_key(&migration.to), "the target exists")?;
        }
        for mark in self.open_slots.values() {
            let known = |id| self.shards.contains_key(&id);
            ensure(mark.migrating_to.is_none_or(known), "a mark names a shard")?;
            ensure(mark.importing.is_none_or(known), "a mark names a shard")?;
        }
        Ok(())
    }
}
