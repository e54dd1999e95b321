//! This server as a node of a cluster (`cluster-enabled yes`).
//!
//! ```text
//! plane      what is asked of the control plane           group    the one there is: a Raft group
//! in_sync    which replicas have what clients were told
//! route      may a command run here, by its slots         check    the same for a session, with the data at hand
//! endpoint   which addresses clients are told             react    what follows from a new view
//! handover   a primary gives way
//! slots      the keys of a slot                           claim    slots of keys that were loaded
//! form       a cluster that forms itself                   wide     users, functions, settings of all nodes
//! migration  slots travel with their keys                 strays   keys of slots that are not wanted
//! ```
//!
//! Must not know: how nodes agree.

pub mod check;
pub mod claim;
pub mod endpoint;
pub mod form;
mod group;
pub mod handover;
mod in_sync;
pub mod migration;
pub mod plane;
pub mod react;
pub mod route;
pub mod slots;
pub mod strays;
#[cfg(test)]
pub mod testing;
pub mod wide;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use holdfast_cluster::engine::Event;
use holdfast_cluster::state::View;
use holdfast_cluster::{NodeId, SLOTS, SlotSet};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::{Config, Param};
use crate::server::Server;
use handover::{HandOver, Wish};
use plane::ControlPlane;
use route::Rules;

/// The port of the bus is the clients' port and this, where nothing else is said.
const BUS_OFFSET: u16 = 10_000;

/// How often the control plane is told how the data stand, at most.
const REPORT: Duration = Duration::from_millis(50);

/// The cluster as this node has it.
#[derive(Debug)]
pub struct Cluster {
    plane: Box<dyn ControlPlane>,
    /// Every slot has an owner.
    covered: AtomicBool,
    /// Since when owners of slots count as dead, in unix ms.
    dead_owners: Mutex<BTreeMap<NodeId, i64>>,
    /// One of them has for `cluster-node-timeout`: nobody has taken its place.
    deserted: AtomicBool,
    /// The view that [`react`] has seen last; held while it reacts.
    seen: Mutex<Option<Arc<View>>>,
    /// Keys of lost slots can be removed.
    has_strays: AtomicBool,
    /// Slots that this node has lost while they may have had keys.
    lost: Mutex<SlotSet>,
    /// How far the removal of their keys is.
    strays: Mutex<strays::Search>,
    /// Slots that travel with their keys.
    pub migrations: migration::Migrations,
    /// Nodes that have left while this one looked, until when (Unix ms) that is remembered.
    departed: Mutex<BTreeMap<NodeId, i64>>,
    /// Offsets of the log, and whether a change of the in-sync set is on its way.
    past: Mutex<in_sync::Past>,
    syncing: AtomicBool,
    /// This primary's giving way to a replica.
    pub hand_over: Arc<HandOver>,
    /// Since when this primary has no lease, in ms of the clock of leases; 0: it has one, or nobody has asked since.
    down_since_ms: AtomicI64,
    /// The data are those of a cluster that this node, a replica there, has left: they are to go.
    to_empty: AtomicBool,
    /// The first layout is on its way.
    forming: AtomicBool,
    /// Users, functions and settings of all nodes.
    pub wide: wide::Wide,
}

impl Cluster {
    /// A node with this control plane.
    pub fn new(plane: Box<dyn ControlPlane>, hand_over: Arc<HandOver>) -> Self {
        Self {
            plane,
            covered: AtomicBool::new(false),
            dead_owners: Mutex::default(),
            deserted: AtomicBool::new(false),
            seen: Mutex::new(None),
            has_strays: AtomicBool::new(false),
            lost: Mutex::default(),
            strays: Mutex::default(),
            migrations: migration::Migrations::default(),
            departed: Mutex::default(),
            past: Mutex::default(),
            syncing: AtomicBool::new(false),
            hand_over,
            down_since_ms: AtomicI64::new(0),
            to_empty: AtomicBool::new(false),
            forming: AtomicBool::new(false),
            wide: wide::Wide::default(),
        }
    }

    /// Where changes are agreed on.
    pub fn plane(&self) -> &dyn ControlPlane {
        &*self.plane
    }

    /// The current view.
    pub fn view(&self) -> Arc<View> {
        self.plane.view().get()
    }

    /// Whether the cluster serves, as far as this node can tell (cluster_state).
    pub fn is_ok(&self, config: &Config, view: &View) -> bool {
        self.is_up(config, view) && (self.is_covered() || !config.flag(Param::ClusterRequireFullCoverage))
    }

    /// Whether every slot has an owner that is alive, or was not long ago.
    #[inline]
    fn is_covered(&self) -> bool {
        self.covered.load(Ordering::Relaxed) && !self.deserted.load(Ordering::Relaxed)
    }

    /// Whether this node, in the role that this view gives it, is not cut off: a primary serves under its lease; a
    /// replica serves those who read from it (READONLY) until nobody has led for `cluster-node-timeout`.
    #[inline]
    pub fn is_up(&self, config: &Config, view: &View) -> bool {
        if view.is_primary() {
            return self.plane.lease_holds();
        }
        self.plane.silent_ms() <= config.int(Param::ClusterNodeTimeout) as u64
    }

    /// What routing goes by.
    #[inline]
    pub fn rules(&self, config: &Config, view: &View) -> Rules {
        let down = !self.is_ok(config, view);
        Rules {
            down,
            wait: self.note_lease(config, view, down),
            reads_when_down: config.flag(Param::ClusterAllowReadsWhenDown),
            pubsub_when_down: config.flag(Param::ClusterAllowPubsubshardWhenDown),
            endpoint: endpoint::preferred(config),
        }
    }

    /// Whether a command that finds no lease waits for one: the leader may have changed, or this node may be the primary since
    /// a moment ago. It does so for no longer than a failover takes.
    fn note_lease(&self, config: &Config, view: &View, down: bool) -> bool {
        if !down || self.is_up(config, view) {
            if self.down_since_ms.load(Ordering::Relaxed) != 0 {
                self.down_since_ms.store(0, Ordering::Relaxed);
            }
            return false;
        }
        if !view.is_primary() {
            return false;
        }
        let now = i64::try_from(holdfast_cluster::runtime::monotonic_ms()).unwrap_or(i64::MAX);
        let since = match self
            .down_since_ms
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => now,
            Err(since) => since,
        };
        now - since < group::failover_time(config).as_millis() as i64
    }

    /// Whether data that are not this node's any more are about to go.
    pub fn is_emptying(&self) -> bool {
        self.to_empty.load(Ordering::Acquire)
    }

    /// Whether a node has left the cluster a short while ago.
    pub fn has_departed(&self, node: NodeId, now_ms: i64) -> bool {
        self.departed
            .lock()
            .get(&node)
            .is_some_and(|until| *until > now_ms)
    }

    fn note_coverage(&self, view: &View) {
        let covered = view.state.assigned() == usize::from(SLOTS);
        self.covered.store(covered, Ordering::Relaxed);
    }

    /// Looks which owners of slots are dead. Usually another node takes their place at once; where nobody does for
    /// `cluster-node-timeout`, their slots are not covered.
    fn note_owners(&self, config: &Config, now_ms: i64) {
        let view = self.view();
        let mut dead = self.dead_owners.lock();
        let is_dead = |owner| owner != view.me && self.plane.peer(owner).failed;
        let shards = view.state.shards.values();
        *dead = shards
            .filter(|shard| is_dead(shard.primary) && view.state.has_slots(shard.id))
            .map(|shard| {
                let since = dead.get(&shard.primary).copied().unwrap_or(now_ms);
                (shard.primary, since)
            })
            .collect();
        let patience = config.int(Param::ClusterNodeTimeout);
        let deserted = dead.values().any(|since| now_ms - since >= patience);
        let was_ok = self.is_ok(config, &view);
        self.deserted.store(deserted, Ordering::Relaxed);
        let is_ok = self.is_ok(config, &view);
        if was_ok != is_ok {
            tracing::warn!("Cluster state changed: {}", if is_ok { "ok" } else { "fail" });
        }
    }
}

/// Makes the server a node of a cluster, if it is to be one. Its threads must not have begun yet.
///
/// # Errors
/// The text is for the operator.
pub fn start(server: &Arc<Server>) -> Result<(), String> {
    if !server.config.flag(Param::ClusterEnabled) {
        return Ok(());
    }
    if server.config.cluster_bus_port().is_none() {
        return Err(format!(
            "Redis port number too high for cluster mode: the cluster bus port is the port and {}, and must be at most \
             65535. Set cluster-port.",
            10_000
        ));
    }
    let name = String::from_utf8_lossy(&server.config.text(Param::ClusterConfigFile)).into_owned();
    // CONFIG SET dir must not move it: it is opened again after an error of the disk.
    let path = std::path::absolute(&name)
        .map_err(|error| format!("The cluster configuration file {name}: {error}"))?;
    let changed = Arc::new(Notify::new());
    let hand_over = Arc::<HandOver>::default();
    let (notify, wishes) = (Arc::clone(&changed), Arc::clone(&hand_over));
    let told = move |event: &Event| match event {
        Event::HandOver { to, epoch, offset } => wishes.asked(Wish {
            to: *to,
            epoch: *epoch,
            offset: *offset,
        }),
        _ => notify.notify_one(),
    };
    let plane = group::Group::start(server, &path, told)?;
    adopt(server, Box::new(plane), hand_over);
    form::warn(server);
    follow(server, changed)
}

/// The server ends: its lease with it, and what was agreed on is on the disk.
pub fn stop(server: &Server) {
    if let Some(cluster) = server.cluster.get() {
        cluster.plane().stop();
    }
}

/// A thread that reacts to new views at once, and tells the control plane several times in the length of a lease how the
/// data stand.
fn follow(server: &Arc<Server>, changed: Arc<Notify>) -> Result<(), String> {
    let server = Arc::clone(server);
    let thread = std::thread::Builder::new().name("cluster-view".into());
    let spawned = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let Ok(runtime) = runtime else {
            return; // cron follows the view, too, if later
        };
        runtime.block_on(async {
            let Some(hand_over) = server.cluster.get().map(|cluster| Arc::clone(&cluster.hand_over)) else {
                return;
            };
            let mut reports = tokio::time::interval(REPORT.min(group::failover_time(&server.config) / 20));
            reports.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = reports.tick() => {
                        react::report(&server);
                        handover::look(&server);
                    }
                    () = hand_over.changed.notified() => handover::look(&server),
                    () = changed.notified() => {
                        react::to_view(&server);
                        handover::look(&server);
                    }
                    () = server.shutdown.cancelled() => return,
                }
            }
        });
    });
    spawned.map(drop).map_err(|error| error.to_string())
}

/// Makes the server a node with this control plane.
pub fn adopt(server: &Arc<Server>, plane: Box<dyn ControlPlane>, hand_over: Arc<HandOver>) {
    let cluster = Cluster::new(plane, hand_over);
    if server.cluster.set(cluster).is_err() {
        tracing::error!("the server is a node of a cluster already");
    }
    react::to_view(server);
}
