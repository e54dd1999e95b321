//! What the log holds: the changes of the cluster's state. An entry says what shall be; whether it may be is decided
//! where it is applied, on every node alike. Must not know: bytes (see `codec`), Raft.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::node::Endpoint;
use crate::ids::{MigrationId, NodeId, RaftId, ShardId};
use crate::slots::SlotSet;

/// A node that joins, with what it brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// Its name.
    pub id: NodeId,
    /// Its member of the Raft group, drawn for this cluster.
    pub raft_id: RaftId,
    /// Where it is reached.
    pub endpoint: Endpoint,
    /// The name of the shard that it is the primary of.
    pub shard: ShardId,
    /// The slots that it served alone before.
    pub slots: SlotSet,
}

/// Who asked for a failover, which decides what it must fulfil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverKind {
    /// The leader, since the primary is dead: only to an in-sync replica.
    Automatic,
    /// CLUSTER FAILOVER: both agreed, the replica has everything: only to an in-sync replica.
    Manual,
    /// CLUSTER FAILOVER FORCE or TAKEOVER: an operator accepts that writes are lost.
    Forced,
}

/// The shard that a change was decided for, as it was then. The change is rejected if the shard had a failover since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The shard.
    pub shard: ShardId,
    /// Its epoch when the change was decided.
    pub epoch: u64,
}

/// A change of the cluster's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing: a barrier that tells the proposer that it has all that was before.
    Barrier,
    /// A node joins as the primary of a shard of its own (CLUSTER MEET). The Raft group gets a learner.
    NodeJoin(Newcomer),
    /// A node that serves nothing leaves (CLUSTER FORGET).
    NodeLeave {
        /// The node.
        node: NodeId,
    },
    /// A node is reached elsewhere from now on.
    NodeInfo {
        /// The node.
        node: NodeId,
        /// Where it is reached.
        endpoint: Endpoint,
    },
    /// These nodes vote from now on, all others learn.
    SetVoters {
        /// The voters; at least one, an odd number is the proposer's business.
        voters: Vec<NodeId>,
    },
    /// Slots that nobody owns get an owner (CLUSTER ADDSLOTS).
    AssignSlots {
        /// A primary.
        node: NodeId,
        /// The slots.
        slots: SlotSet,
    },
    /// Slots lose their owner (CLUSTER DELSLOTS).
    RemoveSlots {
        /// The slots; each must have an owner.
        slots: SlotSet,
        /// If set, each must belong to the shard of this node (CLUSTER FLUSHSLOTS names all of these).
        node: Option<NodeId>,
    },
    /// Slots go to another owner at once, whoever had them (CLUSTER SETSLOT NODE). Marks on them are taken away.
    MoveSlots {
        /// A primary.
        to: NodeId,
        /// The slots.
        slots: SlotSet,
        /// Shards that must not have had a failover since this was decided.
        fences: Vec<Fence>,
    },
    /// The owner marks a slot as leaving (CLUSTER SETSLOT MIGRATING), or takes the mark away.
    MarkMigrating {
        /// The slot.
        slot: u16,
        /// A primary of another shard.
        to: Option<NodeId>,
    },
    /// A shard marks a slot as coming (CLUSTER SETSLOT IMPORTING), or takes the mark away.
    MarkImporting {
        /// The slot.
        slot: u16,
        /// A primary that does not own the slot.
        importer: Option<NodeId>,
    },
    /// A cluster without slots gets its primaries, all slots divided among them, and their replicas, all at once
    /// (`cluster-initial-primaries`).
    Layout {
        /// Each primary with its replicas: nodes that are alone in their shards.
        shards: Vec<(NodeId, Vec<NodeId>)>,
    },
    /// A node becomes a replica (CLUSTER REPLICATE); the replicas that it had come along.
    SetReplica {
        /// A node without slots, or a replica.
        node: NodeId,
        /// A primary.
        primary: NodeId,
    },
    /// A replica becomes the primary of an empty shard of its own (CLUSTER RESET, REPLICATE NO ONE).
    Detach {
        /// The replica.
        node: NodeId,
        /// The name of its new shard.
        shard: ShardId,
    },
    /// The primary of a shard tells which replicas have every acknowledged write.
    InSync {
        /// The shard as its primary knows it.
        fence: Fence,
        /// Replicas that have caught up.
        add: Vec<NodeId>,
        /// Replicas that no longer keep up.
        remove: Vec<NodeId>,
    },
    /// A replica becomes the primary, and the primary a replica.
    Failover {
        /// The shard as the proposer knows it.
        fence: Fence,
        /// The replica.
        to: NodeId,
        /// Who asked.
        kind: FailoverKind,
        /// The life (count of starts) in which the replica has the data. The leader writes it in when it puts the entry
        /// into the log; 0: not known.
        life: u64,
    },
    /// Slots begin to travel (CLUSTER MIGRATESLOTS, CLUSTER MIGRATION IMPORT).
    MigrationBegin {
        /// A fresh name.
        id: MigrationId,
        /// The owner of all the slots.
        from: Fence,
        /// The shard that gets them.
        to: Fence,
        /// The slots.
        slots: SlotSet,
    },
    /// The slots have arrived and change their owner.
    MigrationCommit {
        /// The migration.
        id: MigrationId,
    },
    /// The slots stay (CLUSTER CANCELSLOTMIGRATIONS, or a failure).
    MigrationCancel {
        /// The migration.
        id: MigrationId,
        /// Why, for operators.
        reason: String,
    },
    /// A user of the whole cluster is set, or deleted (ACL SETUSER, DELUSER).
    Acl {
        /// The user's name.
        user: Bytes,
        /// The whole of the rules, in the text of ACL SAVE, passwords as hashes. An empty text deletes the user wherever
        /// one is, and is remembered for nodes whose files have one; `None` forgets what the cluster says of the name.
        rules: Option<Bytes>,
    },
    /// A library of functions is loaded, or deleted (FUNCTION LOAD, DELETE).
    Function {
        /// The library's name.
        library: Bytes,
        /// Its code; `None` deletes.
        code: Option<Bytes>,
    },
    /// All libraries are replaced by these (FUNCTION FLUSH, RESTORE).
    ReplaceFunctions {
        /// Name and code.
        libraries: BTreeMap<Bytes, Bytes>,
    },
    /// A directive of CONFIG SET that holds on all nodes, or no longer does.
    Setting {
        /// The directive's name.
        name: String,
        /// The value; `None` leaves it to each node's configuration.
        value: Option<Bytes>,
    },
}

/// A change of the members of the Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChange<'a> {
    /// See [`Entry::NodeJoin`].
    Join(&'a Newcomer),
    /// See [`Entry::NodeLeave`].
    Leave(NodeId),
    /// See [`Entry::SetVoters`].
    Voters(&'a [NodeId]),
}

impl Entry {
    /// Whether it changes the members of the Raft group and so must travel as a change of its configuration.
    pub fn changes_members(&self) -> bool {
        self.member_change().is_some()
    }

    /// What it changes of the members of the Raft group, if it does.
    pub fn member_change(&self) -> Option<MemberChange<'_>> {
        match self {
            Entry::NodeJoin(newcomer) => Some(MemberChange::Join(newcomer)),
            Entry::NodeLeave { node } => Some(MemberChange::Leave(*node)),
            Entry::SetVoters { voters } => Some(MemberChange::Voters(voters)),
            Entry::Barrier
            | Entry::NodeInfo { .. }
            | Entry::AssignSlots { .. }
            | Entry::RemoveSlots { .. }
            | Entry::MoveSlots { .. }
            | Entry::MarkMigrating { .. }
            | Entry::MarkImporting { .. }
            | Entry::Layout { .. }
            | Entry::SetReplica { .. }
            | Entry::Detach { .. }
            | Entry::InSync { .. }
            | Entry::Failover { .. }
            | Entry::MigrationBegin { .. }
            | Entry::MigrationCommit { .. }
            | Entry::MigrationCancel { .. }
            | Entry::Acl { .. }
            | Entry::Function { .. }
            | Entry::ReplaceFunctions { .. }
            | Entry::Setting { .. } => None,
        }
    }
}
