//! What the fuzz targets run, and the short form of them in CI.

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;

use holdfast_cluster::engine::{
    Address, Config, Engine, Founding, Input, Output, Report, Restored, describe, recover_alone,
};
use holdfast_cluster::proto::{self, Envelope, envelope::Payload};
use holdfast_cluster::state::{Endpoint, Entry};
use holdfast_cluster::storage::{MemoryStore, Store};
use holdfast_cluster::{NodeId, ShardId, SlotSet};
use prost::Message;

/// What goes out in one step for each message that came in. A leader speaks to each of its members, a few times.
const MOST_MESSAGES: usize = 64;

fn config(node: u8) -> Config {
    Config {
        endpoint: Endpoint {
            ip: format!("n{node}"),
            port: 7000,
            bus_port: 17000,
            ..Endpoint::default()
        },
        failover_ms: 1000,
        max_voters: 5,
        seeds: Vec::new(),
        random: u64::from(node) + 7,
        snapshot_every: 300,
    }
}

fn founding(node: u8) -> Founding {
    Founding {
        node: NodeId::from_bytes([node + 1; 20]),
        shard: ShardId::from_bytes([node + 11; 20]),
        created_ms: u64::from(node),
    }
}

/// Nodes whose messages arrive at once, and are kept.
struct Nodes {
    engines: Vec<(Engine, MemoryStore)>,
    on_their_way: VecDeque<(usize, Envelope)>,
    seen: Vec<Envelope>,
    now_ms: u64,
}

impl Nodes {
    fn new(count: u8) -> Self {
        let mut nodes = Self {
            engines: Vec::new(),
            on_their_way: VecDeque::new(),
            seen: Vec::new(),
            now_ms: 1000,
        };
        for node in 0..count {
            let (engine, output) =
                Engine::start(config(node), Restored::default(), founding(node), 1000).expect("a new node");
            nodes.engines.push((engine, MemoryStore::default()));
            nodes.perform(usize::from(node), output);
            let report = Report {
                offset: 5,
                ready: true,
                priority: 100,
            };
            nodes.input(usize::from(node), Input::Report(report));
        }
        nodes
    }

    fn input(&mut self, node: usize, input: Input) {
        let output = self.engines[node].0.step(self.now_ms, input);
        self.perform(node, output);
    }

    fn perform(&mut self, node: usize, output: Output) {
        let last = output.persist.last().map(|persist| persist.number);
        self.engines[node]
            .1
            .write(&output.persist)
            .expect("memory has room");
        for message in output.messages {
            let to = message.to.host.trim_start_matches('n').parse().expect("a node");
            self.seen.push(message.envelope.clone());
            self.on_their_way.push_back((to, message.envelope));
        }
        if let Some(number) = last {
            self.input(node, Input::Persisted(number));
        }
    }

    fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.now_ms += 25;
            for node in 0..self.engines.len() {
                self.input(node, Input::Tick);
            }
            while let Some((to, envelope)) = self.on_their_way.pop_front() {
                self.input(to, Input::Message(Box::new(envelope)));
            }
        }
    }
}

/// A cluster that has formed, changed its slots and roles, and lost its leader.
fn lived(count: u8) -> Nodes {
    let mut nodes = Nodes::new(count);
    nodes.run(4);
    for node in 1..usize::from(count) {
        let address = Address {
            host: "n0".into(),
            port: 17000,
        };
        nodes.input(node, Input::Meet(address));
    }
    nodes.run(120);
    let ids: Vec<NodeId> = nodes.engines.iter().map(|(engine, _)| engine.node_id()).collect();
    let entries = [
        Entry::AssignSlots {
            node: ids[0],
            slots: SlotSet::all(),
        },
        Entry::SetReplica {
            node: ids[1],
            primary: ids[0],
        },
        Entry::Setting {
            name: "a".into(),
            value: Some(vec![b'v'; 40].into()),
        },
    ];
    for (token, entry) in (1..).zip(entries) {
        nodes.input(0, Input::Propose { token, entry });
    }
    nodes.run(20);
    nodes
}

/// What the bodies start from.
pub struct Samples {
    /// What each node of clusters of two and of three nodes has on its disk.
    disks: Vec<(u8, Restored)>,
    /// Messages of every kind that went between them.
    pub messages: Vec<Vec<u8>>,
}

pub fn samples() -> &'static Samples {
    static SAMPLES: OnceLock<Samples> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let mut disks = Vec::new();
        let mut kinds: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for count in [2, 3] {
            let mut nodes = lived(count);
            for (node, (_, store)) in (0..).zip(&mut nodes.engines) {
                disks.push((node, store.load().expect("a disk in memory")));
            }
            for envelope in nodes.seen {
                let kind = match &envelope.payload {
                    Some(Payload::Raft(raft)) => {
                        format!("{count} raft {} {}", raft.kind, raft.entries.len().min(2))
                    }
                    Some(other) => format!("{count} {}", &format!("{other:?}")[..6]),
                    None => continue,
                };
                let of_kind = kinds.entry(kind).or_default();
                if of_kind.len() < 3 {
                    of_kind.push(envelope.encode_to_vec());
                }
            }
        }
        Samples {
            disks,
            messages: kinds.into_values().flatten().collect(),
        }
    })
}

/// Gives an engine a few ticks and whatever it wants to be done, and looks at how much it says.
fn go_on(engine: &mut Engine, output: Output, now_ms: &mut u64) {
    let mut outputs = VecDeque::from([output]);
    let mut ticks = 0;
    while let Some(output) = outputs.pop_front() {
        assert!(
            output.messages.len() <= MOST_MESSAGES,
            "{}",
            output.messages.len()
        );
        assert_eq!(engine.state().check(), Ok(()));
        if let Some(last) = output.persist.last() {
            outputs.push_back(engine.step(*now_ms, Input::Persisted(last.number)));
        } else if ticks < 4 {
            ticks += 1;
            *now_ms += 25;
            outputs.push_back(engine.step(*now_ms, Input::Tick));
        }
    }
}

/// Messages of the bus. The first byte chooses the node that gets them, and whether what says who speaks to whom is put right,
/// so that the door does not turn them all away; then come messages with their lengths. The node refuses them or goes on, its
/// state is valid, and it says no more than it must.
pub fn bus(data: &[u8]) {
    let Some((choice, mut rest)) = data.split_first() else {
        return;
    };
    let disks = &samples().disks;
    let (node, disk) = &disks[usize::from(*choice) % disks.len()];
    let is_right = choice & 0x80 != 0;
    let mut now_ms = 5000;
    let started = Engine::start(config(*node), disk.clone(), founding(*node), now_ms);
    let (mut engine, output) = started.expect("what was written is read");
    go_on(&mut engine, output, &mut now_ms);
    while let Ok(mut envelope) = Envelope::decode_length_delimited(&mut rest) {
        if is_right {
            let mut others = engine.state().nodes.values().map(|node| node.raft_id);
            let me = engine.status().raft_id;
            envelope.cluster = engine.cluster_id().to_string();
            envelope.to = me;
            if !others.any(|other| other == envelope.from) {
                let mut others = engine.state().nodes.values().map(|node| node.raft_id);
                envelope.from = others.find(|other| *other != me).unwrap_or(1);
            }
        }
        let output = engine.step(now_ms, Input::Message(Box::new(envelope)));
        go_on(&mut engine, output, &mut now_ms);
        if rest.is_empty() {
            break;
        }
    }
}

/// What is on a disk, as records that follow each other: a node's own, the hard state, a snapshot, entries. A node starts
/// with it, or it is refused; so it is for an operator who wants to know or to recover.
pub fn log(data: &[u8]) {
    let mut rest = data;
    let restored = Restored {
        meta: proto::NodeMeta::decode_length_delimited(&mut rest).ok(),
        hard_state: proto::HardState::decode_length_delimited(&mut rest).ok(),
        snapshot: proto::Snapshot::decode_length_delimited(&mut rest).ok(),
        entries: std::iter::from_fn(|| {
            let more = (!rest.is_empty()).then(|| proto::LogEntry::decode_length_delimited(&mut rest));
            more.and_then(Result::ok)
        })
        .collect(),
    };
    if let Ok(kept) = describe(&restored) {
        assert_eq!(kept.state.check(), Ok(()));
    }
    let recovered = recover_alone(restored.clone());
    for restored in std::iter::once(restored).chain(recovered) {
        let mut now_ms = 5000;
        if let Ok((mut engine, output)) = Engine::start(config(0), restored, founding(0), now_ms) {
            go_on(&mut engine, output, &mut now_ms);
        }
    }
}

/// The bytes of [`log`] for what is on the disks.
pub fn logs() -> Vec<Vec<u8>> {
    let encode = |(_, disk): &(u8, Restored)| {
        let mut bytes = Vec::new();
        let room = "a vector grows";
        let meta = disk.meta.clone().unwrap_or_default();
        meta.encode_length_delimited(&mut bytes).expect(room);
        let hard_state = disk.hard_state.unwrap_or_default();
        hard_state.encode_length_delimited(&mut bytes).expect(room);
        let snapshot = disk.snapshot.clone().unwrap_or_default();
        snapshot.encode_length_delimited(&mut bytes).expect(room);
        for entry in &disk.entries {
            entry.encode_length_delimited(&mut bytes).expect(room);
        }
        bytes
    };
    samples().disks.iter().map(encode).collect()
}
