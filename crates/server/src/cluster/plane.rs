//! What the server needs of the cluster's control plane: the current view, changes that are answered once they are
//! agreed on, and who is heard of. Must not know: clients, commands, replies.

use std::fmt::Debug;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use holdfast_cluster::NodeId;
use holdfast_cluster::state::{Applied, Endpoint, Entry, Rejected, ViewCell};

/// The answer to a change, once it is known.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, PlaneError>> + Send>>;

/// Why a change was not made, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaneError {
    /// All nodes agree that it must not be.
    #[error("ERR {0}")]
    Rejected(#[from] Rejected),
    /// It was not agreed on: nothing has changed.
    #[error("CLUSTERDOWN {0}")]
    Unavailable(String),
    /// Whether it was agreed on is not known.
    #[error("ERR the change may or may not have been made: {0}")]
    Unknown(String),
    /// Anything else, as a text for the operator.
    #[error("ERR {0}")]
    Failed(String),
}

/// What this node knows of another one, from its own evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PeerStatus {
    /// Unix ms of the last sign of life; 0: none.
    pub heard_ms: i64,
    /// It counts as dead.
    pub failed: bool,
    /// There is a connection to it.
    pub linked: bool,
    /// Offset of its replication log, as it was told last.
    pub offset: u64,
}

/// A connection of the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// To whom.
    pub node: NodeId,
    /// It was opened by the other side.
    pub inbound: bool,
    /// Unix ms of its begin.
    pub created_ms: i64,
    /// Bytes that wait to be sent.
    pub queued: usize,
}

/// How the group that decides stands.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GroupStatus {
    /// `leader`, `follower`, `candidate` or `learner`.
    pub role: &'static str,
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// Raft's term.
    pub term: u64,
    /// Index of the last entry that is agreed on.
    pub committed: u64,
    /// Messages sent on the bus.
    pub sent: u64,
    /// Messages received on the bus.
    pub received: u64,
}

/// See the module's documentation.
pub trait ControlPlane: Send + Sync + Debug {
    /// Where the current view is found.
    fn view(&self) -> &Arc<ViewCell>;

    /// Has a change agreed on. Done when it is applied here.
    fn propose(&self, entry: Entry) -> Pending<Applied>;

    /// Makes the node at this address a member of this cluster, or this node one of its. `bus_port`: 0 for the usual one.
    fn meet(&self, ip: IpAddr, port: u16, bus_port: u16) -> Pending<()>;

    /// Leaves the cluster and begins one of its own, with another name if `hard`.
    fn reset(&self, hard: bool) -> Pending<()>;

    /// Whether this node may serve the slots of its shard as its primary, at this moment.
    fn lease_holds(&self) -> bool;

    /// For how long those who decide have not been heard of, in ms.
    fn silent_ms(&self) -> u64;

    /// What is known of another node.
    fn peer(&self, node: NodeId) -> PeerStatus;

    /// The connections of the bus.
    fn links(&self) -> Vec<Link>;

    /// How the group that decides stands.
    fn group(&self) -> GroupStatus;

    /// Is told how the data stand: the offset of the log, whether they are whole, and the priority among replicas (0:
    /// never promoted by itself).
    fn report(&self, offset: u64, ready: bool, priority: u32);

    /// Is told that the files are read, and whether they `kept` what this node had when it last ran. To be called before
    /// the report that the data are whole.
    fn loaded(&self, kept: bool);

    /// Asks the primary of this node's shard to give way to it, which has this offset of the log. To be called again and
    /// again.
    fn hand_over(&self, epoch: u64, offset: u64);

    /// This node is reached elsewhere; all will be told.
    fn set_endpoint(&self, endpoint: Endpoint);

    /// The server ends.
    fn stop(&self);
}
