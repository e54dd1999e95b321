//! A control plane for tests that need no group: whatever it is asked for is agreed on at once, in memory. Must not know:
//! clients, commands, replies.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_cluster::state::{Applied, ClusterState, Endpoint, Entry, Newcomer, View, ViewCell};
use holdfast_cluster::{ClusterId, NodeId, ShardId, SlotSet};
use parking_lot::Mutex;
use rand::Rng;

use super::plane::{ControlPlane, GroupStatus, Link, PeerStatus, Pending, PlaneError};

/// A lease that does not end.
pub const EVER: u64 = u64::MAX;

/// See the module's documentation.
#[derive(Debug)]
pub struct Agreed {
    view: Arc<ViewCell>,
    /// Held while a change is made, so that each is made of the one before.
    changing: Mutex<()>,
    /// How often the node will find that it has a lease; [`EVER`]: always.
    lease: Arc<AtomicU64>,
}

impl Agreed {
    /// The node `me` of this cluster; it finds its lease so often in force as `lease` says.
    pub fn new(me: NodeId, state: ClusterState, lease: Arc<AtomicU64>) -> Self {
        Self {
            view: ViewCell::new(View::new(me, Arc::new(state), SlotSet::new())),
            changing: Mutex::new(()),
            lease,
        }
    }

    fn change(&self, entry: &Entry) -> Result<Applied, PlaneError> {
        let _one_at_a_time = self.changing.lock();
        let view = self.view.get();
        let mut state = (*view.state).clone();
        let applied = state.apply(state.index + 1, entry)?;
        if !applied.changes.is_empty() || state.open_slots != view.state.open_slots {
            self.view.set(View::new(view.me, Arc::new(state), SlotSet::new()));
        }
        Ok(applied)
    }
}

/// A cluster of one new node; with `id`, of a node that keeps its name.
fn found(id: Option<NodeId>) -> (NodeId, ClusterState) {
    let mut rng = rand::rng();
    let me = id.unwrap_or_else(|| NodeId::from_bytes(rng.random()));
    let founder = Newcomer {
        id: me,
        raft_id: rng.random_range(1..=u64::MAX),
        endpoint: Endpoint::default(),
        shard: ShardId::from_bytes(rng.random()),
        slots: SlotSet::new(),
    };
    let state = ClusterState::founded(ClusterId::from_bytes(rng.random()), founder)
        .expect("a first node without slots and addresses collides with nothing");
    (me, state)
}

fn now<T: Send + 'static>(result: Result<T, PlaneError>) -> Pending<T> {
    Box::pin(std::future::ready(result))
}

impl ControlPlane for Agreed {
    fn view(&self) -> &Arc<ViewCell> {
        &self.view
    }

    fn propose(&self, entry: Entry) -> Pending<Applied> {
        now(self.change(&entry))
    }

    fn meet(&self, ip: IpAddr, port: u16, _: u16) -> Pending<()> {
        now(Err(PlaneError::Failed(format!("{ip}:{port} is not there"))))
    }

    fn reset(&self, hard: bool) -> Pending<()> {
        let view = self.view.get();
        let (me, state) = found((!hard).then_some(view.me));
        self.view.set(View::new(me, Arc::new(state), SlotSet::new()));
        now(Ok(()))
    }

    fn lease_holds(&self) -> bool {
        let left = self.lease.load(Ordering::SeqCst);
        if left != EVER {
            self.lease.store(left.saturating_sub(1), Ordering::SeqCst);
        }
        left > 0
    }

    fn peer(&self, _: NodeId) -> PeerStatus {
        PeerStatus::default()
    }

    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    fn group(&self) -> GroupStatus {
        let view = self.view.get();
        GroupStatus {
            role: "leader",
            leader: Some(view.me),
            term: 1,
            committed: view.state.index,
            sent: 0,
            received: 0,
        }
    }

    fn loaded(&self, _: bool) {}

    fn report(&self, _: u64, _: bool, _: u32) {}

    fn silent_ms(&self) -> u64 {
        0
    }

    fn hand_over(&self, _: u64, _: u64) {}

    fn set_endpoint(&self, _: Endpoint) {}

    fn stop(&self) {}
}
