//! The state of the cluster that all nodes agree on, and the entries that change it.
//!
//! ```text
//! node.rs shard.rs migration.rs   what there is            outcome.rs  what an entry changed, why it was rejected
//! entry.rs                        what may be changed      apply/      validation and change, one file a family
//! view.rs                         one node's reading       invariants.rs  what holds after every entry
//! ```
//!
//! Pure and deterministic: the same entries give the same state on every node. Must not know: clocks, randomness, Raft,
//! sockets, who is alive.

mod apply;
mod entry;
mod invariants;
mod migration;
mod node;
mod outcome;
mod shard;
mod view;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

pub use entry::{Entry, FailoverKind, Fence, MemberChange, Newcomer};
pub use migration::{MAX_MIGRATIONS, Migration, OpenSlot, Phase, REMEMBERED_MIGRATIONS};
pub use node::{Endpoint, MAX_ADDRESS, Node};
pub use outcome::{Applied, Change, Rejected};
pub use shard::Shard;
pub use view::{Route, View, ViewCell, ViewReader};

use crate::ids::{ClusterId, MigrationId, NodeId, RaftId, ShardId};
use crate::slots::{SLOTS, SlotSet};

/// Members of a cluster.
pub const MAX_NODES: usize = 2000;
/// Bytes of one user's rules, one library or one setting.
pub const MAX_BLOB: usize = 16 << 20;
/// Users, libraries or settings that the cluster keeps, each.
pub const MAX_BLOBS: usize = 10_000;

/// Which of a node's proposals were applied: the highest number, and a bit for each of the 64 up to it. A proposal that
/// is sent again because its answer was lost must not be applied twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Window {
    /// The highest number.
    pub last: u64,
    /// Bit `n` stands for `last - n`.
    pub bits: u64,
}

/// What all nodes agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterState {
    /// The cluster's name.
    pub cluster: ClusterId,
    /// The last entry that was applied.
    pub index: u64,
    /// The counter that epochs of shards are drawn from (cluster_current_epoch).
    pub epoch: u64,
    /// Its members.
    pub nodes: BTreeMap<NodeId, Node>,
    /// Its shards, those without slots included.
    pub shards: BTreeMap<ShardId, Shard>,
    /// Marks of CLUSTER SETSLOT.
    pub open_slots: BTreeMap<u16, OpenSlot>,
    /// Atomic migrations that run.
    pub migrations: BTreeMap<MigrationId, Migration>,
    /// The last ones that are over, oldest first.
    pub finished_migrations: VecDeque<Migration>,
    /// Users of the whole cluster: name and rules, which this crate does not read. Empty rules: the user was deleted.
    pub acl: BTreeMap<Bytes, Bytes>,
    /// Libraries of functions: name and code.
    pub functions: BTreeMap<Bytes, Bytes>,
    /// The last entry that was about libraries; 0: none was, and nodes keep those of their files.
    pub functions_index: u64,
    /// Directives that hold on all nodes.
    pub settings: BTreeMap<String, Bytes>,
    /// What was applied of each node's proposals.
    pub windows: BTreeMap<RaftId, Window>,
    /// The owner of each slot: a shard's number, 0 for nobody.
    owners: Box<[u16]>,
    /// The shard of each number.
    numbers: BTreeMap<u16, ShardId>,
    /// The node of each member of the Raft group.
    rafts: BTreeMap<RaftId, NodeId>,
}

impl ClusterState {
    /// A cluster without nodes.
    pub fn empty(cluster: ClusterId) -> Self {
        Self {
            cluster,
            index: 0,
            epoch: 0,
            nodes: BTreeMap::new(),
            shards: BTreeMap::new(),
            open_slots: BTreeMap::new(),
            migrations: BTreeMap::new(),
            finished_migrations: VecDeque::new(),
            acl: BTreeMap::new(),
            functions: BTreeMap::new(),
            functions_index: 0,
            settings: BTreeMap::new(),
            windows: BTreeMap::new(),
            owners: vec![0; usize::from(SLOTS)].into_boxed_slice(),
            numbers: BTreeMap::new(),
            rafts: BTreeMap::new(),
        }
    }

    /// A cluster of one node, its only voter: what a node that never met another is.
    ///
    /// # Errors
    /// The newcomer's address or slots are not valid.
    pub fn founded(cluster: ClusterId, founder: Newcomer) -> Result<Self, Rejected> {
        let mut state = Self::empty(cluster);
        let id = founder.id;
        state.apply(1, &Entry::NodeJoin(founder))?;
        state.apply(1, &Entry::SetVoters { voters: vec![id] })?;
        Ok(state)
    }

    /// Puts in a node.
    pub(crate) fn put_node(&mut self, node: Node) {
        self.rafts.insert(node.raft_id, node.id);
        self.nodes.insert(node.id, node);
    }

    /// Puts a shard with its slots into a state that is read back from a snapshot.
    pub(crate) fn put_shard(&mut self, shard: Shard, slots: &SlotSet) {
        for slot in slots.iter() {
            self.owners[usize::from(slot)] = shard.number;
        }
        self.numbers.insert(shard.number, shard.id);
        self.shards.insert(shard.id, shard);
    }

    /// The shard that owns a slot.
    pub fn owner(&self, slot: u16) -> Option<&Shard> {
        let number = *self.owners.get(usize::from(slot))?;
        self.shard_numbered(number)
    }

    /// The shard of a number of the table of owners.
    pub fn shard_numbered(&self, number: u16) -> Option<&Shard> {
        self.numbers.get(&number).and_then(|id| self.shards.get(id))
    }

    /// The slots of a shard.
    pub fn slots_of(&self, shard: ShardId) -> SlotSet {
        let Some(number) = self.shards.get(&shard).map(|shard| shard.number) else {
            return SlotSet::new();
        };
        (0..SLOTS)
            .filter(|slot| self.owners[usize::from(*slot)] == number)
            .collect()
    }

    /// The slots of every shard, in one pass over the table.
    pub fn slots_by_shard(&self) -> BTreeMap<ShardId, SlotSet> {
        let mut all: BTreeMap<ShardId, SlotSet> = BTreeMap::new();
        let mut slots = 0..SLOTS;
        for run in self.owners.chunk_by(|one, other| one == other) {
            let run_slots = slots.by_ref().take(run.len());
            match self.numbers.get(&run[0]) {
                Some(id) => run_slots.for_each({
                    let set = all.entry(*id).or_default();
                    |slot| set.insert(slot)
                }),
                None => run_slots.for_each(drop),
            }
        }
        all
    }

    /// Slots that have an owner (cluster_slots_assigned).
    pub fn assigned(&self) -> usize {
        self.owners.iter().filter(|number| **number != 0).count()
    }

    /// Whether the shard owns a slot.
    pub fn has_slots(&self, shard: ShardId) -> bool {
        self.shards
            .get(&shard)
            .is_some_and(|shard| self.owners.contains(&shard.number))
    }

    /// The shard that a node belongs to.
    pub fn shard_of(&self, node: NodeId) -> Option<&Shard> {
        self.shards.get(&self.nodes.get(&node)?.shard)
    }

    /// Whether the node is the primary of its shard.
    pub fn is_primary(&self, node: NodeId) -> bool {
        self.shard_of(node).is_some_and(|shard| shard.primary == node)
    }

    /// The node of a member of the Raft group.
    pub fn node_of_raft(&self, raft_id: RaftId) -> Option<&Node> {
        self.nodes.get(self.rafts.get(&raft_id)?)
    }

    /// The nodes that vote.
    pub fn voters(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.voter)
    }

    /// The table of owners: a shard's number for each slot, 0 for nobody.
    pub fn owners(&self) -> &[u16] {
        &self.owners
    }
}
