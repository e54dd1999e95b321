//! What goes into an engine and what comes out of it. Must not know: who performs it.

use crate::codec::Malformed;
use crate::ids::{NodeId, RaftId, ShardId};
use crate::proto;
use crate::state::{Applied, Change, Endpoint, Entry, Rejected, View};

/// A node's configuration, as far as the control plane needs it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where this node is reached.
    pub endpoint: Endpoint,
    /// The time from the death of a primary until its slots are writable (see [`super::Timing`]).
    pub failover_ms: u64,
    /// Most voters of the Raft group; odd.
    pub max_voters: usize,
    /// `cluster-seeds`: bus addresses where other nodes may be found.
    pub seeds: Vec<Address>,
    /// Seed of this node's random choices.
    pub random: u64,
    /// Entries after which the log is compacted by a snapshot.
    pub snapshot_every: u64,
}

/// A bus address: host name or IP address, and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What the data plane tells of itself, for the choice of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Offset of the replication log that this node has.
    pub offset: u64,
    /// Its data are whole: loaded, and not in the middle of a full synchronization. A primary that is not ready gets no
    /// lease, a replica that is not ready is not promoted.
    pub ready: bool,
    /// replica-priority; 0 (or cluster-replica-no-failover) means never promote it.
    pub priority: u32,
}

/// Names a proposal of the local node, in its answer.
pub type Token = u64;

/// What happens to an engine.
#[derive(Debug)]
pub enum Input {
    /// A tick has passed ([`super::Timing::tick_ms`]).
    Tick,
    /// A message came from the bus. The sender's right to speak was checked.
    Message(Box<proto::Envelope>),
    /// The local node wants to change the state.
    Propose {
        /// Given back in the answer.
        token: Token,
        /// The change.
        entry: Entry,
    },
    /// The [`Persist`] of this number, and all before it, are on disk.
    Persisted(u64),
    /// The data plane's report.
    Report(Report),
    /// The files are read.
    Loaded {
        /// They had the data that this node had when it last ran: it is not empty, though it has restarted.
        kept: bool,
    },
    /// CLUSTER MEET.
    Meet(Address),
    /// CLUSTER RESET: leave whatever cluster this node belongs to and be alone. The ids are fresh; a soft reset passes
    /// no node id.
    Reset {
        /// The new name of the node.
        node: Option<NodeId>,
        /// The name of its shard.
        shard: ShardId,
    },
    /// This node's addresses changed.
    Endpoint(Endpoint),
    /// Something for subscribers on the other nodes.
    Publish(proto::Publish),
    /// This node, a replica, asks its primary to give way to it.
    HandOver {
        /// The shard's epoch.
        epoch: u64,
        /// Offset of the replication log that this node has.
        offset: u64,
    },
}

/// A message to send. It may be lost.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub to: Address,
    /// The receiver, if it is known.
    pub node: Option<NodeId>,
    /// The message.
    pub envelope: proto::Envelope,
}

/// Something to write, in the order of the numbers. [`Input::Persisted`] tells when it is done.
#[derive(Debug, Clone, Default)]
pub struct Persist {
    /// Its number.
    pub number: u64,
    /// Whether it must survive a power failure before it is told as done.
    pub sync: bool,
    /// Everything before is void: the node begins a new log.
    pub reset: bool,
    /// What a node keeps besides the log.
    pub meta: Option<proto::NodeMeta>,
    /// Term, vote, commit index.
    pub hard_state: Option<proto::HardState>,
    /// A snapshot in place of the older one. If it came from the leader, the log is void.
    pub snapshot: Option<proto::Snapshot>,
    /// The log is void; it goes on after the snapshot.
    pub clear_log: bool,
    /// Entries before this index may be dropped.
    pub compact_to: u64,
    /// Entries, contiguous; whatever is at or after the first of them is replaced.
    pub entries: Vec<proto::LogEntry>,
}

/// Why a proposal has no effect that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It does not hold; nothing changed.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// Too many proposals wait already; it was not sent.
    #[error("too many proposals are waiting")]
    Busy,
    /// No majority answered in time: it may still come into effect, or not.
    #[error("the cluster's majority did not answer")]
    Unknown,
}

/// What the local node should know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Entries were applied.
    Changed {
        /// The place in the log.
        index: u64,
        /// What changed.
        changes: Vec<Change>,
    },
    /// The whole state is another: a snapshot came, or the node joined or left a cluster.
    Replaced,
    /// The answer to a proposal.
    Answer {
        /// The proposal.
        token: Token,
        /// What became of it.
        result: Result<Applied, ProposeError>,
    },
    /// Another node leads, or none is known.
    Leader(Option<NodeId>),
    /// The node that was to be met belongs to the same cluster, or is this one.
    Met {
        /// The address that was asked for.
        with: Address,
    },
    /// A node refused to unite two clusters, or to let this one join, for good.
    JoinRefused {
        /// The other side.
        with: Address,
        /// Why.
        reason: String,
    },
    /// A message that cannot be: from a foreign cluster, or garbage.
    Refused(Malformed),
    /// The log has an entry that this version cannot read: the engine does nothing any more. The node must be upgraded.
    Halted(Malformed),
    /// The leader takes these nodes for dead.
    Down(Vec<NodeId>),
    /// Something for local subscribers.
    Publish(proto::Publish),
    /// A replica of this node's shard asks this node, its primary, to give way to it.
    HandOver {
        /// The replica.
        to: NodeId,
        /// The shard's epoch, which is still the same.
        epoch: u64,
        /// Offset of the replication log that the replica has.
        offset: u64,
    },
}

/// What an engine wants done.
#[derive(Debug, Default)]
pub struct Output {
    /// Messages to send.
    pub messages: Vec<Outgoing>,
    /// Things to write.
    pub persist: Vec<Persist>,
    /// Things to know.
    pub events: Vec<Event>,
    /// A new view.
    pub view: Option<View>,
    /// The lease as a primary changed: it ends when the clock that is passed in says this (0: there is none).
    pub lease_until_ms: Option<u64>,
}

/// What was on disk.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// What a node keeps besides the log; none means that the node starts for the first time.
    pub meta: Option<proto::NodeMeta>,
    /// Term, vote, commit index.
    pub hard_state: Option<proto::HardState>,
    /// The newest snapshot.
    pub snapshot: Option<proto::Snapshot>,
    /// The entries, contiguous, ascending.
    pub entries: Vec<proto::LogEntry>,
}

/// Names for a node that starts for the first time, all drawn at random.
#[derive(Clone, Copy, Debug)]
pub struct Founding {
    /// The node.
    pub node: NodeId,
    /// Its shard.
    pub shard: ShardId,
    /// Wall-clock time in milliseconds; the older of two nodes takes the younger one.
    pub created_ms: u64,
}

/// How the control plane stands, for INFO and CLUSTER INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// leader, follower, candidate or learner.
    pub role: &'static str,
    /// The current term.
    pub term: u64,
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// Last entry of the log.
    pub last_index: u64,
    /// Last entry that is committed.
    pub commit_index: u64,
    /// Last entry that is applied.
    pub applied_index: u64,
    /// Voters.
    pub voters: usize,
    /// This node's member of the group.
    pub raft_id: RaftId,
    /// Whether a leader was heard of within the time of an election.
    pub in_contact: bool,
    /// Bus messages that were refused.
    pub refused: u64,
    /// Proposals that wait for their answer.
    pub pending: usize,
}
