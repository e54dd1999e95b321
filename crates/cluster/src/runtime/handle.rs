//! What the server holds of its control plane. Must not know: how it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::clock::monotonic_ms;
use super::driver::Command;
use super::peers::Peers;
use crate::engine::{Address, ProposeError, Report, Status};
use crate::ids::{NodeId, ShardId};
use crate::proto;
use crate::state::{Applied, Endpoint, Entry, ViewCell};

/// What the driver shows to other threads.
pub(super) struct Shared {
    pub view: Arc<ViewCell>,
    pub lease_until: AtomicU64,
    /// When a leader was last in contact, by the clock of leases.
    pub contact_at: AtomicU64,
    pub status: Mutex<Status>,
    pub node: Mutex<NodeId>,
    pub peers: Peers,
    pub notices: super::notices::Notices,
    pub boundless: bool,
    pub bus_port: u16,
}

/// Why two nodes did not meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeetError {
    /// The other side refused, or did not answer.
    #[error("{0}")]
    Refused(String),
    /// The control plane has stopped, or too much waits.
    #[error("the cluster's control plane does not take it")]
    Stopped,
}

/// What is known of another node by its connections and the leader's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Unix milliseconds of its last message; 0: none.
    pub heard_ms: u64,
    /// The leader takes it for dead.
    pub down: bool,
    /// Offset of its replication log, as it told this node last (nodes tell the leader only).
    pub offset: u64,
    /// Unix milliseconds since which this node's connection to it stands.
    pub outbound_ms: Option<u64>,
    /// Unix milliseconds since which its connection to this node was first used.
    pub inbound_ms: Option<u64>,
    /// Messages that wait to be sent.
    pub queued: usize,
}

/// What the server holds of its control plane.
pub struct ClusterHandle {
    inputs: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    /// Dropping it stops the driver, and that the thread of the log.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterHandle")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl ClusterHandle {
    pub(super) fn new(
        inputs: mpsc::Sender<Command>,
        shared: Arc<Shared>,
        stop: oneshot::Sender<()>,
        threads: Vec<JoinHandle<()>>,
    ) -> Self {
        Self {
            inputs,
            shared,
            stop: Mutex::new(Some(stop)),
            threads: Mutex::new(threads),
        }
    }

    /// Where the current view is found.
    pub fn view(&self) -> &Arc<ViewCell> {
        &self.shared.view
    }

    /// Whether this node holds its lease as a primary. The view says for which slots ([`crate::state::View::may_serve`]).
    pub fn lease_holds(&self) -> bool {
        self.shared.lease_until.load(Ordering::SeqCst) > monotonic_ms()
    }

    /// For how long no leader has been in contact, in milliseconds.
    pub fn silent_ms(&self) -> u64 {
        monotonic_ms().saturating_sub(self.shared.contact_at.load(Ordering::Relaxed))
    }

    /// Has a change agreed on; done when it is applied here.
    ///
    /// # Errors
    /// See [`ProposeError`]; `Unknown` also when the control plane stops meanwhile.
    pub async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError> {
        let (answer, answered) = oneshot::channel();
        if self.inputs.send(Command::Propose(entry, answer)).await.is_err() {
            return Err(ProposeError::Busy);
        }
        answered.await.unwrap_or(Err(ProposeError::Unknown))
    }

    /// Meets the node at this bus address: done when both belong to one cluster, or one of them refused.
    ///
    /// # Errors
    /// Why they did not meet.
    pub async fn meet(&self, address: Address) -> Result<(), MeetError> {
        let (answer, answered) = oneshot::channel();
        self.inputs
            .send(Command::Meet(address, answer))
            .await
            .map_err(|_| MeetError::Stopped)?;
        answered.await.unwrap_or(Err(MeetError::Stopped))
    }

    /// Leaves the cluster and begins one of its own; with another name if one is passed. The others are not told: a node
    /// should be forgotten by them ([`Entry::NodeLeave`]) first.
    pub async fn reset(&self, node: Option<NodeId>, shard: ShardId) {
        let (answer, answered) = oneshot::channel();
        if self
            .inputs
            .send(Command::Reset(node, shard, answer))
            .await
            .is_ok()
        {
            let _ = answered.await;
        }
    }

    /// Tells how the data plane stands. To be called several times in the time of a failover, and at once when the data
    /// become whole or cease to be.
    pub fn report(&self, report: Report) {
        // One that is lost is followed by the next.
        let _ = self.inputs.try_send(Command::Report(report));
    }

    /// Tells that the node has read its files, and whether they `kept` the data that it had when it last ran. A primary that
    /// has restarted and kept nothing serves only when no replica that was in sync may have more. To be called once, before
    /// the first report that says that the data are whole.
    pub fn loaded(&self, kept: bool) {
        // Lost when too much waits; then it is taken for one that kept nothing, or may have kept something: others wait.
        let _ = self.inputs.try_send(Command::Loaded(kept));
    }

    /// This node is reached elsewhere from now on.
    pub fn set_endpoint(&self, endpoint: Endpoint) {
        let _ = self.inputs.try_send(Command::Endpoint(endpoint));
    }

    /// Sends something for subscribers to the other nodes (of the shard, if sharded). It may be lost, as in Redis.
    pub fn publish(&self, message: proto::Publish) {
        let _ = self.inputs.try_send(Command::Publish(message));
    }

    /// Asks the primary of this node's shard to give way to it, which has this offset of the replication log. It may be
    /// lost: to be called again and again until the view shows it.
    pub fn hand_over(&self, epoch: u64, offset: u64) {
        let _ = self.inputs.try_send(Command::HandOver(epoch, offset));
    }

    /// How the group that decides stands.
    pub fn status(&self) -> Status {
        self.shared.status.lock().clone()
    }

    /// What is known of another node.
    pub fn peer(&self, node: NodeId) -> Peer {
        let seen = self
            .shared
            .peers
            .seen
            .lock()
            .get(&node)
            .cloned()
            .unwrap_or_default();
        Peer {
            heard_ms: seen.heard_ms,
            down: self.shared.peers.down.lock().contains(&node),
            offset: seen.offset,
            outbound_ms: seen.outbound,
            inbound_ms: seen.inbound,
            queued: seen.queued,
        }
    }

    /// Messages sent, received and dropped on the bus, and streams that were refused, since the start.
    pub fn traffic(&self) -> [u64; 4] {
        let peers = &self.shared.peers;
        [&peers.sent, &peers.received, &peers.dropped, &peers.refused].map(|c| c.load(Ordering::Relaxed))
    }

    /// Whether anybody who reaches the bus may speak on it.
    pub fn is_open(&self) -> bool {
        self.shared.boundless
    }

    /// Stops and waits until the log is written and its file closed.
    pub fn stop(&self) {
        drop(self.stop.lock().take());
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread that panicked has told so.
            let _ = thread.join();
        }
    }
}
