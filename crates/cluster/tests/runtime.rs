//! Real nodes in one process: threads, disks and the bus over sockets.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_cluster::engine::{Address, Config, Event, Founding, ProposeError, Report};
use holdfast_cluster::runtime::{ClusterHandle, MeetError, Options, Security, start};
use holdfast_cluster::state::{Endpoint, Entry, Fence, Rejected};
use holdfast_cluster::{NodeId, ShardId, SlotSet};

/// The longest that anything may take; how long it does take is not tested.
const LONG: Duration = Duration::from_secs(60);

struct Nodes {
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    handles: Vec<Option<ClusterHandle>>,
    happened: Receiver<()>,
    happens: Sender<()>,
    security: Security,
    runtime: tokio::runtime::Runtime,
}

impl Nodes {
    fn new(count: usize, security: Security) -> Self {
        let (happens, happened) = channel();
        let listeners: Vec<_> = (0..count)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        let mut nodes = Self {
            folder: tempfile::tempdir().unwrap(),
            ports,
            handles: (0..count).map(|_| None).collect(),
            happened,
            happens,
            security,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        };
        drop(listeners);
        (0..count).for_each(|node| nodes.start(node, Vec::new()));
        nodes
    }

    fn start(&mut self, node: usize, seeds: Vec<Address>) {
        self.start_as(node, self.ports[node], seeds);
    }

    /// Starts a node that tells others to reach it at a port.
    fn start_as(&mut self, node: usize, announced: u16, seeds: Vec<Address>) {
        let port = self.ports[node];
        let happens = self.happens.clone();
        let options = Options {
            engine: Config {
                endpoint: Endpoint {
                    ip: "127.0.0.1".into(),
                    port: 1,
                    bus_port: announced,
                    ..Endpoint::default()
                },
                failover_ms: 2000,
                max_voters: 5,
                seeds,
                random: u64::from(port) << 32 | u64::from(std::process::id()),
                snapshot_every: 1000,
            },
            founding: Founding {
                node: NodeId::from_bytes([node as u8 + 1; 20]),
                shard: ShardId::from_bytes([node as u8 + 1; 20]),
                created_ms: node as u64,
            },
            path: self.path(node),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], port))],
            security: self.security.clone(),
            observer: Box::new(move |_: &Event| {
                let _ = happens.send(());
            }),
        };
        let handle = start(options).unwrap();
        handle.report(Report {
            offset: 1,
            ready: true,
            priority: 100,
        });
        self.handles[node] = Some(handle);
    }

    fn path(&self, node: usize) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(format!("{node}.redb"))
    }

    fn node(&self, node: usize) -> &ClusterHandle {
        self.handles[node].as_ref().unwrap()
    }

    fn id(&self, node: usize) -> NodeId {
        self.node(node).view().get().me
    }

    fn address(&self, node: usize) -> Address {
        Address {
            host: "127.0.0.1".into(),
            port: self.ports[node],
        }
    }

    fn propose(&self, node: usize, entry: Entry) -> Result<(), ProposeError> {
        self.runtime.block_on(self.node(node).propose(entry)).map(|_| ())
    }

    fn meet(&self, node: usize, other: usize) -> Result<(), MeetError> {
        self.runtime.block_on(self.node(node).meet(self.address(other)))
    }

    /// Waits for an event after which this holds.
    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LONG;
        while !holds(self) {
            assert!(Instant::now() < end, "{what}");
            // A lease is no event: look again soon.
            let _ = self.happened.recv_timeout(Duration::from_millis(50));
        }
    }

    fn serves(&self, node: usize, slot: u16) -> bool {
        self.handles[node]
            .as_ref()
            .is_some_and(|handle| handle.lease_holds() && handle.view().get().may_serve(slot))
    }
}

#[test]
fn nodes_meet_fail_over_and_come_back() {
    let mut nodes = Nodes::new(4, Security::Secret(b"a secret".to_vec()));
    nodes
        .propose(
            0,
            Entry::AssignSlots {
                node: nodes.id(0),
                slots: SlotSet::all(),
            },
        )
        .unwrap();
    for other in 1..4 {
        nodes.meet(other, 0).unwrap();
    }
    nodes.until("all nodes know each other", |nodes| {
        (0..4).all(|node| nodes.node(node).view().get().state.nodes.len() == 4)
    });
    nodes
        .propose(
            3,
            Entry::SetReplica {
                node: nodes.id(3),
                primary: nodes.id(0),
            },
        )
        .unwrap();
    let shard = nodes.node(3).view().get().my_shard().unwrap().clone();
    let fence = Fence {
        shard: shard.id,
        epoch: shard.epoch,
    };
    // The primary's word alone counts.
    nodes
        .propose(
            0,
            Entry::InSync {
                fence,
                add: vec![nodes.id(3)],
                remove: vec![],
            },
        )
        .unwrap();
    nodes.until("the primary serves", |nodes| nodes.serves(0, 5));
    nodes.until("three vote", |nodes| {
        nodes.node(1).view().get().state.voters().count() == 3
    });
    let busy = nodes.propose(
        2,
        Entry::AssignSlots {
            node: nodes.id(2),
            slots: SlotSet::all(),
        },
    );
    assert_eq!(busy, Err(ProposeError::Rejected(Rejected::SlotBusy(0))));

    let setting = Entry::Setting {
        name: "maxmemory".into(),
        value: Some(Bytes::from_static(b"100mb")),
    };
    nodes.propose(1, setting).unwrap();
    let dead = nodes.handles[0].take().unwrap();
    dead.stop();
    assert!(!dead.lease_holds(), "who has stopped does not serve");
    drop(dead);
    nodes.until("the replica serves", |nodes| nodes.serves(3, 5));

    nodes.start(0, Vec::new());
    nodes.until(
        "the deposed primary is a replica and has what all agreed on",
        |nodes| {
            let view = nodes.node(0).view().get();
            view.my_shard()
                .is_some_and(|shard| shard.replicas.contains(&view.me))
                && view.state.settings.contains_key("maxmemory")
        },
    );
    assert!(!nodes.serves(0, 5));
    assert!(nodes.node(1).traffic()[3] == 0, "nobody was refused");
}

#[test]
fn strangers_are_refused() {
    let mut nodes = Nodes::new(2, Security::Secret(b"a secret".to_vec()));
    nodes.handles[1].take().unwrap().stop();
    nodes.security = Security::Secret(b"another".to_vec());
    nodes.start(1, Vec::new());
    let Err(MeetError::Refused(why)) = nodes.meet(1, 0) else {
        panic!("they met")
    };
    let expected = "no answer: it does not let this node speak: this bus wants a proof of its secret";
    assert_eq!(why, expected);
    assert!(nodes.node(0).traffic()[3] > 0);
    assert_eq!(nodes.node(0).view().get().state.nodes.len(), 1);
}

#[test]
fn who_is_not_reached_at_the_announced_port_does_not_join() {
    let mut nodes = Nodes::new(2, Security::Open);
    let served = Entry::AssignSlots {
        node: nodes.id(0),
        slots: SlotSet::all(),
    };
    nodes.propose(0, served).unwrap();
    nodes.handles[1].take().unwrap().stop();
    // Whoever listens there is none of us.
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let announced = stranger.local_addr().unwrap().port();
    nodes.start_as(1, announced, Vec::new());
    let Err(MeetError::Refused(why)) = nodes.meet(0, 1) else {
        panic!("they met")
    };
    assert!(why.starts_with("no answer: it was reached, but "), "{why}");
    for node in [0, 1] {
        assert_eq!(nodes.node(node).view().get().state.nodes.len(), 1);
    }
    // Nobody at all.
    nodes.handles[1].take().unwrap().stop();
    let Err(MeetError::Refused(why)) = nodes.meet(0, 1) else {
        panic!("they met")
    };
    assert!(why.contains("Connection refused"), "{why}");
    // As it should be.
    nodes.start(1, Vec::new());
    nodes.meet(0, 1).unwrap();
    nodes.until("they are two", |nodes| {
        (0..2).all(|node| nodes.node(node).view().get().state.nodes.len() == 2)
    });
}

#[test]
fn who_is_met_by_another_address_than_its_own_answers_all_the_same() {
    let nodes = Nodes::new(2, Security::Open);
    for node in 0..2 {
        let served = Entry::AssignSlots {
            node: nodes.id(node),
            slots: SlotSet::all(),
        };
        nodes.propose(node, served).unwrap();
    }
    for host in ["127.0.0.1", "localhost"] {
        let address = Address {
            host: host.into(),
            port: nodes.ports[0],
        };
        let met = async { tokio::time::timeout(LONG, nodes.node(1).meet(address)).await };
        let met = nodes.runtime.block_on(met).expect("it ends");
        assert!(
            matches!(&met, Err(MeetError::Refused(why)) if why.contains("Slot 0")),
            "{met:?}"
        );
    }
}

#[test]
fn nodes_find_each_other_by_their_seeds() {
    let mut nodes = Nodes::new(3, Security::Open);
    let seeds: Vec<Address> = (0..3).map(|node| nodes.address(node)).collect();
    for node in 0..3 {
        nodes.handles[node].take().unwrap().stop();
        nodes.start(node, seeds.clone());
    }
    nodes.until("one cluster of three", |nodes| {
        (0..3).all(|node| nodes.node(node).view().get().state.nodes.len() == 3)
    });
    let served = nodes.propose(
        2,
        Entry::AssignSlots {
            node: nodes.id(1),
            slots: SlotSet::all(),
        },
    );
    assert_eq!(served, Ok(()));
    nodes.until("the slots are served", |nodes| nodes.serves(1, 16383));
}
