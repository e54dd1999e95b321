//! Nodes, their clocks and disks, the network between them, and time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use holdfast_cluster::engine::{
    Address, Config, Engine, Event, Founding, Input, Output, ProposeError, Report, Token, recover_alone,
};
use holdfast_cluster::proto::Envelope;
use holdfast_cluster::state::{Applied, Endpoint, Entry, Fence, Shard};
use holdfast_cluster::storage::{MemoryStore, Store};
use holdfast_cluster::{ClusterId, NodeId, ShardId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::checks::Checks;

/// The network between all nodes.
pub struct Network {
    /// Messages lost, in a thousand.
    pub loss: u32,
    /// Messages that come twice, in a thousand.
    pub double: u32,
    /// Delay in microseconds, from and to.
    pub delay: (u64, u64),
    /// Messages that come very late (up to this, in microseconds), in a thousand.
    pub late: (u32, u64),
    /// Cut directions.
    pub cut: BTreeSet<(usize, usize)>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            loss: 0,
            double: 0,
            delay: (50, 500),
            late: (0, 0),
            cut: BTreeSet::new(),
        }
    }
}

/// A node and the machine that it runs on.
pub struct Machine {
    pub engine: Option<Engine>,
    pub store: MemoryStore,
    /// Counts the engine's lives: what was meant for an earlier one is dropped.
    pub life: u64,
    /// The clock's rate in millionths.
    rate: u64,
    /// The clock's jumps, in milliseconds.
    pub jumped: i64,
    pub paused_until: u64,
    /// Its disk is full: writes wait until it is not.
    pub full: bool,
    /// When the disk is done with all that it was given: it works in order.
    busy_until: u64,
    /// Those that wait: their numbers, and whether they are to be synced.
    unwritten: Vec<(u64, bool)>,
    /// Inputs that came while it was paused.
    held: Vec<Input>,
    pub offset: u64,
    /// The shard whose data it has.
    pub data: Option<ShardId>,
    /// Its files keep the data when it dies.
    pub persists: bool,
    /// It has got its data from a primary in this life.
    whole: bool,
    /// Its lease, by its clock.
    lease_until: u64,
    asked_in_sync: u64,
    pub down: BTreeSet<NodeId>,
    pub known: BTreeSet<usize>,
}

enum Happening {
    Tick(u64),
    Deliver(Box<Envelope>),
    Written(u64, u64, bool),
    Resume,
}

struct Queued {
    at: u64,
    order: u64,
    node: usize,
    what: Happening,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Counts of what went over the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub messages: u64,
    pub bytes: u64,
}

pub struct World {
    pub random: SmallRng,
    pub seed: u64,
    /// Microseconds since the begin.
    pub now: u64,
    pub machines: Vec<Machine>,
    /// The machines of the nodes, which keep their names here.
    ids: BTreeMap<NodeId, usize>,
    pub network: Network,
    queue: BinaryHeap<Reverse<Queued>>,
    order: u64,
    pub checks: Checks,
    pub answers: BTreeMap<Token, Result<Applied, ProposeError>>,
    /// The clusters in which those were answered that were agreed on.
    pub agreed_in: BTreeMap<Token, ClusterId>,
    next_token: Token,
    pub traffic: Traffic,
    pub count_bytes: bool,
    pub failover_ms: u64,
    pub disk_us: (u64, u64),
    pub refusals: Vec<String>,
    pub trace: bool,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
            seed,
            now: 1_000_000,
            machines: Vec::new(),
            ids: BTreeMap::new(),
            network: Network::default(),
            queue: BinaryHeap::new(),
            order: 0,
            checks: Checks::default(),
            answers: BTreeMap::new(),
            agreed_in: BTreeMap::new(),
            next_token: 0,
            traffic: Traffic::default(),
            count_bytes: false,
            failover_ms: 1000,
            disk_us: (100, 3_000),
            refusals: Vec::new(),
            trace: std::env::var_os("SIMULATION_TRACE").is_some(),
        }
    }

    pub fn say(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>10.3} {}", self.now as f64 / 1e6, text());
        }
    }

    /// Adds a machine with a new node and starts it.
    pub fn add(&mut self) -> usize {
        let rate = self.random.random_range(990_000..=1_010_000);
        self.machines.push(Machine {
            engine: None,
            store: MemoryStore::default(),
            life: 0,
            rate,
            jumped: self.random.random_range(0..100_000),
            paused_until: 0,
            full: false,
            busy_until: 0,
            unwritten: Vec::new(),
            held: Vec::new(),
            offset: 0,
            data: None,
            persists: self.random.random(),
            whole: false,
            lease_until: 0,
            asked_in_sync: 0,
            down: BTreeSet::new(),
            known: BTreeSet::new(),
        });
        let node = self.machines.len() - 1;
        if self.trace {
            self.say(|| format!("n{node} persists: {}", self.machines[node].persists));
        }
        self.start(node);
        node
    }

    pub fn endpoint(node: usize) -> Endpoint {
        Endpoint {
            ip: format!("n{node}"),
            port: 7000,
            bus_port: 17000,
            ..Endpoint::default()
        }
    }

    /// Starts a node from its disk.
    pub fn start(&mut self, node: usize) {
        let random = self.random.random();
        let config = Config {
            endpoint: Self::endpoint(node),
            failover_ms: self.failover_ms,
            max_voters: 5,
            seeds: Vec::new(),
            random,
            snapshot_every: 300,
        };
        let founding = Founding {
            node: NodeId::from_bytes(self.random.random()),
            shard: ShardId::from_bytes(self.random.random()),
            created_ms: self.now / 1000,
        };
        let restored = self.machines[node].store.load().expect("a disk in memory");
        let now_ms = self.clock(node);
        let (engine, output) =
            Engine::start(config, restored, founding, now_ms).expect("the disk has what was written");
        let machine = &mut self.machines[node];
        machine.life += 1;
        machine.down.clear();
        self.ids.insert(engine.node_id(), node);
        machine.engine = Some(engine);
        machine.held.clear();
        machine.unwritten.clear();
        machine.paused_until = 0;
        let life = machine.life;
        self.say(|| format!("n{node} starts"));
        self.perform(node, output);
        let kept = self.machines[node].data.is_some();
        self.input(node, Input::Loaded { kept });
        self.report(node);
        let delay = self.random.random_range(0..25_000);
        self.later(delay, node, Happening::Tick(life));
    }

    /// The node's process ends; what was not synced is lost but for a part.
    pub fn kill(&mut self, node: usize) {
        let unsynced = self.machines[node].store.unsynced();
        let kept = self.random.random_range(0..=unsynced);
        let machine = &mut self.machines[node];
        if machine.engine.take().is_some() {
            machine.store.lose(kept);
            machine.whole = false;
            machine.lease_until = 0;
            if !machine.persists {
                (machine.data, machine.offset) = (None, 0);
            }
            self.say(|| format!("n{node} dies"));
        }
    }

    /// An operator makes a dead node the only voter of its cluster.
    pub fn recover(&mut self, node: usize) {
        let store = &mut self.machines[node].store;
        let restored = store.load().expect("a disk in memory");
        let restored = recover_alone(restored).expect("a member of a cluster");
        store.replace(restored);
    }

    pub fn pause(&mut self, node: usize, micros: u64) {
        self.machines[node].paused_until = self.now + micros;
        self.say(|| format!("n{node} stands still for {} ms", micros / 1000));
        self.later(micros, node, Happening::Resume);
    }

    /// The node's disk takes nothing more.
    pub fn fill_disk(&mut self, node: usize) {
        self.machines[node].full = true;
        self.say(|| format!("n{node}'s disk is full"));
    }

    /// It does again, and what waited is written.
    pub fn free_disk(&mut self, node: usize) {
        self.machines[node].full = false;
        let life = self.machines[node].life;
        for (number, sync) in std::mem::take(&mut self.machines[node].unwritten) {
            self.written_after(1_000, node, Happening::Written(life, number, sync));
        }
        self.say(|| format!("n{node}'s disk has room"));
    }

    /// The monotonic clock of a machine, in milliseconds.
    pub fn clock(&self, node: usize) -> u64 {
        let machine = &self.machines[node];
        let ran = (self.now as u128 * u128::from(machine.rate) / 1_000_000_000) as i64;
        (ran + machine.jumped).max(0) as u64
    }

    pub fn alive(&self, node: usize) -> bool {
        self.machines[node].engine.is_some()
    }

    pub fn engine(&self, node: usize) -> Option<&Engine> {
        self.machines[node].engine.as_ref()
    }

    pub fn id(&self, node: usize) -> NodeId {
        self.engine(node).expect("a live node").node_id()
    }

    pub fn node_of(&self, id: NodeId) -> Option<usize> {
        self.ids.get(&id).copied().filter(|node| self.alive(*node))
    }

    /// The node that leads, by the highest term.
    pub fn leader(&self) -> Option<usize> {
        (0..self.machines.len())
            .filter(|n| {
                self.engine(*n)
                    .is_some_and(|engine| engine.status().role == "leader")
            })
            .max_by_key(|n| self.engine(*n).map(|engine| engine.status().term))
    }

    pub fn serves(&self, node: usize, slot: u16) -> bool {
        self.engine(node)
            .is_some_and(|engine| engine.serves(self.clock(node), slot))
    }

    pub fn server_of(&self, slot: u16) -> Option<usize> {
        (0..self.machines.len()).find(|node| self.serves(*node, slot))
    }

    pub fn propose(&mut self, node: usize, entry: Entry) -> Token {
        self.next_token += 1;
        let token = self.next_token;
        self.input(node, Input::Propose { token, entry });
        token
    }

    pub fn meet(&mut self, node: usize, other: usize) {
        let address = Address {
            host: format!("n{other}"),
            port: 17000,
        };
        self.input(node, Input::Meet(address));
    }

    pub fn input(&mut self, node: usize, input: Input) {
        let now_ms = self.clock(node);
        let machine = &mut self.machines[node];
        let Some(engine) = &mut machine.engine else { return };
        if machine.paused_until > self.now {
            if machine.held.len() < 100_000 && !matches!(input, Input::Tick) {
                machine.held.push(input);
            }
            return;
        }
        let output = engine.step(now_ms, input);
        self.perform(node, output);
    }

    fn later(&mut self, delay: u64, node: usize, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Queued {
            at: self.now + delay,
            order: self.order,
            node,
            what,
        }));
    }

    /// What the disk tells once it is done, after whatever it was given before.
    fn written_after(&mut self, delay: u64, node: usize, what: Happening) {
        let at = (self.now + delay).max(self.machines[node].busy_until);
        self.machines[node].busy_until = at;
        self.later(at - self.now, node, what);
    }

    fn perform(&mut self, node: usize, output: Output) {
        let life = self.machines[node].life;
        if let Some(until) = output.lease_until_ms {
            self.machines[node].lease_until = until;
        }
        for persist in output.persist {
            let (number, sync) = (persist.number, persist.sync);
            self.machines[node].store.write_behind(persist);
            if self.machines[node].full {
                self.machines[node].unwritten.push((number, sync));
                continue;
            }
            let (least, most) = self.disk_us;
            let delay = if sync {
                self.random.random_range(least..=most)
            } else {
                1
            };
            self.written_after(delay, node, Happening::Written(life, number, sync));
        }
        for message in output.messages {
            self.traffic.messages += 1;
            if self.count_bytes {
                self.traffic.bytes += prost::Message::encoded_len(&message.envelope) as u64;
            }
            let Some(to) = message
                .to
                .host
                .strip_prefix('n')
                .and_then(|n| n.parse::<usize>().ok())
            else {
                continue;
            };
            if to >= self.machines.len() || self.network.cut.contains(&(node, to)) {
                continue;
            }
            let copies = match self.random.random_range(0..1000) {
                n if n < self.network.loss => 0,
                n if n < self.network.loss + self.network.double => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let mut delay = self
                    .random
                    .random_range(self.network.delay.0..=self.network.delay.1);
                if self.random.random_range(0..1000) < self.network.late.0 {
                    delay += self.random.random_range(0..=self.network.late.1);
                }
                self.later(delay, to, Happening::Deliver(Box::new(message.envelope.clone())));
            }
        }
        for event in output.events {
            match event {
                Event::Answer { token, result } => {
                    if let Some(engine) = &self.machines[node].engine {
                        self.agreed_in.insert(token, engine.cluster_id());
                    }
                    self.answers.insert(token, result);
                }
                Event::Down(nodes) => self.machines[node].down = nodes.into_iter().collect(),
                Event::JoinRefused { reason, .. } => self.refusals.push(reason),
                Event::Leader(leader) => {
                    let leader = leader.and_then(|id| self.node_of(id));
                    self.say(|| format!("n{node} follows {leader:?}"));
                }
                Event::Changed { index, changes } => {
                    self.say(|| format!("n{node} applied {index}: {changes:?}"));
                }
                Event::Refused(why) => self.say(|| format!("n{node} refuses: {why}")),
                Event::Replaced => self.say(|| format!("n{node} has another state")),
                Event::Halted(why) => self.refusals.push(format!("n{node} halts: {why}")),
                Event::Met { .. } | Event::Publish(_) | Event::HandOver { .. } => {}
            }
        }
    }

    fn report(&mut self, node: usize) {
        let Some(engine) = self.machines[node].engine.as_ref() else {
            return;
        };
        let follows = engine
            .state()
            .shard_of(engine.node_id())
            .is_some_and(|shard| shard.primary != engine.node_id());
        let machine = &self.machines[node];
        let report = Report {
            offset: machine.offset,
            ready: !follows || machine.whole,
            priority: 100,
        };
        self.input(node, Input::Report(report));
    }

    /// Whether the node has a lease as the primary of its shard.
    pub fn has_lease(&self, node: usize) -> bool {
        self.alive(node) && self.machines[node].lease_until > self.clock(node)
    }

    /// Whether both nodes hear each other.
    fn linked(&self, a: usize, b: usize) -> bool {
        !self.network.cut.contains(&(a, b)) && !self.network.cut.contains(&(b, a))
    }

    /// A primary with a lease serves what it has, and that is the shard's data from then on. No replica that is in sync, by
    /// what has been agreed on so far, may have any.
    fn begin_to_serve(&mut self, node: usize, shard: &Shard) {
        let has = |id: &NodeId| {
            let other = self.ids.get(id).copied()?;
            (self.machines[other].data == Some(shard.id)).then_some(other)
        };
        let cluster = self.engine(node).map(Engine::cluster_id);
        let engines = (0..self.machines.len()).filter_map(|n| self.engine(n));
        let newest = engines
            .filter(|engine| Some(engine.cluster_id()) == cluster)
            .max_by_key(|engine| engine.state().index)
            .and_then(|engine| engine.state().shards.get(&shard.id));
        let shard = newest.unwrap_or(shard).clone();
        if let Some(other) = shard.in_sync.iter().find_map(has)
            && !self.checks.off
        {
            let what = format!(
                "at {:.3} s: n{node} serves shard {:?} without its data, which n{other} has",
                self.now as f64 / 1e6,
                shard.id
            );
            self.checks.violation.get_or_insert(what);
        }
        self.machines[node].data = Some(shard.id);
        self.say(|| format!("n{node} begins shard {:?} anew", shard.id));
    }

    /// What a server would do with its engine: follow the primary, report the offset, and keep the in-sync set.
    fn serve(&mut self, node: usize) {
        let now = self.now;
        let Some(engine) = self.machines[node].engine.as_ref() else {
            return;
        };
        let state = std::sync::Arc::clone(engine.state());
        let me = engine.node_id();
        let Some(shard) = state.shard_of(me) else { return };
        if shard.primary != me {
            let primary = self.node_of(shard.primary);
            if let Some(primary) = primary.filter(|n| self.has_lease(*n) && self.linked(*n, node))
                && self.machines[primary].data == Some(shard.id)
            {
                let has = self.machines[node].data == Some(shard.id) && self.machines[node].whole;
                // A full synchronization takes a while; what was there before is thrown away at its end.
                if has || self.random.random_range(0..4) == 0 {
                    let offset = self.machines[primary].offset;
                    let machine = &mut self.machines[node];
                    (machine.data, machine.whole, machine.offset) = (Some(shard.id), true, offset);
                }
            }
        } else {
            if self.has_lease(node) {
                if self.machines[node].data != Some(shard.id) {
                    self.begin_to_serve(node, shard);
                }
                self.machines[node].offset += 10;
            }
            if now >= self.machines[node].asked_in_sync + 200_000 {
                self.machines[node].asked_in_sync = now;
                let up = |id: &NodeId| {
                    !self.machines[node].down.contains(id)
                        && self.node_of(*id).is_some_and(|other| {
                            let it = &self.machines[other];
                            let its = it
                                .engine
                                .as_ref()
                                .map(Engine::state)
                                .and_then(|state| state.shard_of(*id));
                            let follows = its.is_some_and(|its| its.primary == me);
                            follows && it.whole && it.data == Some(shard.id) && self.linked(node, other)
                        })
                };
                let add: Vec<NodeId> = shard
                    .replicas
                    .difference(&shard.in_sync)
                    .copied()
                    .filter(|id| up(id))
                    .collect();
                let remove: Vec<NodeId> = shard.in_sync.iter().copied().filter(|id| !up(id)).collect();
                if !add.is_empty() || !remove.is_empty() {
                    let fence = Fence {
                        shard: shard.id,
                        epoch: shard.epoch,
                    };
                    self.propose(node, Entry::InSync { fence, add, remove });
                }
            }
        }
        self.report(node);
    }

    /// Does the next thing.
    pub fn step(&mut self) {
        let Some(Reverse(next)) = self.queue.pop() else {
            return;
        };
        self.now = self.now.max(next.at);
        let node = next.node;
        match next.what {
            Happening::Tick(life) => {
                if self.machines[node].life == life && self.alive(node) {
                    self.input(node, Input::Tick);
                    self.serve(node);
                    let tick = self.failover_ms * 25;
                    self.later(tick, node, Happening::Tick(life));
                }
            }
            Happening::Deliver(envelope) => self.input(node, Input::Message(envelope)),
            Happening::Written(life, number, sync) => {
                if self.machines[node].life == life && self.alive(node) {
                    if sync {
                        self.machines[node].store.sync(number);
                    }
                    self.input(node, Input::Persisted(number));
                }
            }
            Happening::Resume => {
                if self.machines[node].paused_until <= self.now {
                    for input in std::mem::take(&mut self.machines[node].held) {
                        self.input(node, input);
                    }
                }
            }
        }
        let mut checks = std::mem::take(&mut self.checks);
        checks.after_step(self, node);
        self.checks = checks;
    }

    /// Lets time pass.
    pub fn run(&mut self, micros: u64) {
        let end = self.now + micros;
        while self.queue.peek().is_some_and(|Reverse(next)| next.at <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Runs until something holds; how long that took, in microseconds.
    ///
    /// # Errors
    /// It did not within the time.
    pub fn until(&mut self, micros: u64, what: &str, holds: impl Fn(&World) -> bool) -> Result<u64, String> {
        let begin = self.now;
        while !holds(self) {
            if self.now > begin + micros {
                return Err(format!("not within {} ms: {what}", micros / 1000));
            }
            self.run(5_000);
        }
        Ok(self.now - begin)
    }
}
