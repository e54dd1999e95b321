//! What applying an entry gives: what changed, or why it was rejected. Must not know: how it is told to clients.

use bytes::Bytes;

use crate::ids::{MigrationId, NodeId, RaftId, ShardId};
use crate::slots::SlotSet;

/// What an entry changed, for those who react to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node joined.
    Joined(NodeId),
    /// A node left; its member of the Raft group is gone.
    Left(NodeId, RaftId),
    /// A node is reached elsewhere.
    Moved(NodeId),
    /// Others vote from now on.
    Voters,
    /// Slots changed their owner; `None` is nobody.
    Slots {
        /// The slots.
        slots: SlotSet,
        /// The shard that had them.
        from: Option<ShardId>,
        /// The shard that has them.
        to: Option<ShardId>,
    },
    /// Marks of CLUSTER SETSLOT changed.
    Marks,
    /// A shard has another primary.
    Promoted {
        /// The shard.
        shard: ShardId,
        /// The deposed primary.
        from: NodeId,
        /// The new one.
        to: NodeId,
    },
    /// A node changed between shards or roles other than by a failover.
    Role(NodeId),
    /// A shard's in-sync set changed.
    InSync(ShardId),
    /// A migration changed its phase.
    Migration(MigrationId),
    /// A user changed.
    Acl(Bytes),
    /// Libraries of functions changed.
    Functions,
    /// A setting changed.
    Setting(String),
}

/// What an entry changed. Empty if it said what was already so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its place in the log.
    pub index: u64,
    /// The changes, in their order.
    pub changes: Vec<Change>,
}

/// Why an entry was rejected. The state is then as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// No such node.
    #[error("Unknown node {0}")]
    UnknownNode(NodeId),
    /// No such shard.
    #[error("Unknown shard {0}")]
    UnknownShard(ShardId),
    /// No such migration, or it is over.
    #[error("No such migration is running: {0}")]
    UnknownMigration(MigrationId),
    /// A name that another has already.
    #[error("The name is taken: {0}")]
    Taken(String),
    /// A text that is too long or has characters that addresses do not have.
    #[error("Invalid address")]
    InvalidAddress,
    /// Too many of something.
    #[error("Limit reached: {0}")]
    Limit(&'static str),
    /// No slot was named.
    #[error("No slots")]
    NoSlots,
    /// Slots have owners: there is nothing to lay out.
    #[error("The cluster has slots already")]
    LaidOut,
    /// A slot that has an owner already.
    #[error("Slot {0} is already busy")]
    SlotBusy(u16),
    /// A slot without an owner.
    #[error("Slot {0} is already unassigned")]
    SlotUnassigned(u16),
    /// A slot of another owner than was said.
    #[error("Slot {0} is not owned by the node")]
    NotOwner(u16),
    /// A slot that travels atomically.
    #[error("Slot {0} is being migrated")]
    SlotMigrating(u16),
    /// Source and target are the same.
    #[error("Source and target are the same node")]
    SameNode,
    /// A replica where a primary is needed.
    #[error("Node {0} is a replica, not a primary")]
    NotPrimary(NodeId),
    /// A primary where a replica is needed.
    #[error("Node {0} is not a replica of the shard")]
    NotReplica(NodeId),
    /// The node owns slots.
    #[error("To set a master the node must be empty and without assigned slots.")]
    HasSlots(NodeId),
    /// The node has replicas.
    #[error("Node {0} has replicas")]
    HasReplicas(NodeId),
    /// The shard had a failover since the change was decided.
    #[error("Stale epoch {given} of shard {shard}, it is {current}")]
    StaleEpoch {
        /// The shard.
        shard: ShardId,
        /// What the entry said.
        given: u64,
        /// What it is.
        current: u64,
    },
    /// A replica that may lack acknowledged writes.
    #[error("Replica {0} is not in sync")]
    NotInSync(NodeId),
    /// The Raft group would have no voter, or one voter twice.
    #[error("Invalid set of voters")]
    InvalidVoters,
    /// The last node cannot leave.
    #[error("The last node of a cluster cannot leave it")]
    LastNode,
    /// The same proposal was applied before.
    #[error("The proposal was applied before")]
    Duplicate,
}
