//! What happens to a cluster in one run: it forms, then faults of every kind come and go while its members and slots
//! change, then all heals and it must serve again.

use std::collections::BTreeMap;

use bytes::Bytes;
use holdfast_cluster::engine::{ProposeError, Token};
use holdfast_cluster::state::{Entry, FailoverKind, Fence, Phase};
use holdfast_cluster::{MigrationId, ShardId, SlotSet};
use rand::Rng;

use super::checks::PROBES;
use super::world::World;

const SECOND: u64 = 1_000_000;

/// The figures of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    pub steps: u64,
    pub faults: u64,
    /// From the end of all faults until every slot was served.
    pub healed_us: u64,
    pub acknowledged: usize,
}

/// Runs the story of one seed.
///
/// # Errors
/// What did not hold.
pub fn run(seed: u64) -> Result<Told, String> {
    let mut story = Story {
        world: World::new(seed),
        settings: BTreeMap::new(),
        faults: 0,
    };
    story.form()?;
    let seconds = story.world.random.random_range(10..30);
    let end = story.world.now + seconds * SECOND;
    while story.world.now < end {
        story.happen();
        let pause = story.world.random.random_range(10_000..1_500_000);
        story.world.run(pause);
        story.fine()?;
    }
    story.heal()
}

struct Story {
    world: World,
    /// Settings that were proposed, by their answers' tokens: what was acknowledged must be there in the end.
    settings: BTreeMap<Token, String>,
    faults: u64,
}

impl Story {
    fn fine(&self) -> Result<(), String> {
        self.world.checks.violation.clone().map_or(Ok(()), Err)
    }

    /// Three primaries with a third of the slots each, and replicas, meeting each other without faults.
    fn form(&mut self) -> Result<(), String> {
        let nodes = self.world.random.random_range(3..=8);
        for _ in 0..nodes {
            self.world.add();
        }
        self.world.run(SECOND);
        let ranges = [(0, 5460), (5461, 10922), (10923, 16383)];
        // As redis-cli does: slots first, on nodes that are still alone.
        for (node, range) in ranges.into_iter().enumerate() {
            let slots = SlotSet::from_ranges([range]).expect("a range");
            let id = self.world.id(node);
            self.world.propose(node, Entry::AssignSlots { node: id, slots });
        }
        self.world.run(SECOND / 2);
        for node in 1..nodes {
            self.world.meet(node, 0);
        }
        self.world
            .until(30 * SECOND, "all nodes in one cluster", |world| {
                (0..nodes).all(|n| {
                    world.engine(n).is_some_and(|engine| {
                        engine.state().nodes.len() == nodes && engine.state().assigned() == 16384
                    })
                })
            })?;
        for node in 3..nodes {
            let (id, primary) = (self.world.id(node), self.world.id(node % 3));
            self.world.propose(node, Entry::SetReplica { node: id, primary });
        }
        self.world
            .until(20 * SECOND, "all slots served after forming", all_served)?;
        self.fine()
    }

    fn any(&mut self) -> usize {
        self.world.random.random_range(0..self.world.machines.len())
    }

    /// Proposes a setting that no other does, somewhere.
    fn write(&mut self) {
        let node = self.any();
        let member = self
            .world
            .engine(node)
            .is_some_and(|engine| engine.state().assigned() > 0);
        if member {
            let name = format!("s{}", self.settings.len());
            let value = Some(Bytes::from_static(b"1"));
            let token = self.world.propose(
                node,
                Entry::Setting {
                    name: name.clone(),
                    value,
                },
            );
            self.settings.insert(token, name);
        }
    }

    fn happen(&mut self) {
        self.faults += 1;
        self.write();
        match self.world.random.random_range(0..100) {
            0..20 => self.partition(),
            20..32 => self.world.network.cut.clear(),
            32..44 => {
                let node = match self.world.leader() {
                    Some(leader) if self.world.random.random_bool(0.4) => leader,
                    Some(_) | None => self.any(),
                };
                self.world.kill(node);
            }
            44..58 => {
                let dead: Vec<usize> = (0..self.world.machines.len())
                    .filter(|n| !self.world.alive(*n))
                    .collect();
                for node in dead {
                    if self.world.random.random_bool(0.7) {
                        self.world.start(node);
                    }
                }
            }
            58..64 => {
                let (node, micros) = (self.any(), self.world.random.random_range(10_000..3 * SECOND));
                self.world.pause(node, micros);
            }
            64..70 => {
                let node = self.any();
                // A monotonic clock goes ahead (a machine that slept), never back.
                let jump = self.world.random.random_range(0..20_000);
                self.world.machines[node].jumped += jump;
                self.world.say(|| format!("n{node}'s clock jumps by {jump} ms"));
            }
            70..76 => self.weather(),
            76..80 => {
                let node = self.any();
                match self.world.machines[node].full {
                    true => self.world.free_disk(node),
                    false => self.world.fill_disk(node),
                }
            }
            80..100 => self.change(),
            _ => {}
        }
    }

    fn partition(&mut self) {
        let count = self.world.machines.len();
        let mut cut = std::mem::take(&mut self.world.network.cut);
        match self.world.random.random_range(0..5) {
            // Two sides.
            0 => {
                let side: Vec<bool> = (0..count).map(|_| self.world.random.random_bool(0.5)).collect();
                for a in 0..count {
                    cut.extend((0..count).filter(|b| side[a] != side[*b]).map(|b| (a, b)));
                }
            }
            // One alone: the leader, or any.
            1 => {
                let lonely = self.world.leader().unwrap_or(0);
                for other in (0..count).filter(|n| *n != lonely) {
                    cut.extend([(lonely, other), (other, lonely)]);
                }
            }
            // A ring: each sees its neighbours.
            2 => {
                for a in 0..count {
                    for b in 0..count {
                        let apart = (a + count - b) % count;
                        if apart > 1 && apart < count - 1 {
                            cut.insert((a, b));
                        }
                    }
                }
            }
            // One way: heard, but deaf; or the reverse.
            3 => {
                let node = self.any();
                let deaf = self.world.random.random_bool(0.5);
                for other in (0..count).filter(|n| *n != node) {
                    cut.insert(if deaf { (other, node) } else { (node, other) });
                }
            }
            // Single directions.
            _ => {
                for _ in 0..count {
                    let pair = (self.any(), self.any());
                    cut.insert(pair);
                }
            }
        }
        self.world.say(|| format!("cut {cut:?}"));
        self.world.network.cut = cut;
    }

    fn weather(&mut self) {
        let random = &mut self.world.random;
        let network = &mut self.world.network;
        network.loss = [0, 0, 10, 100, 300][random.random_range(0..5)];
        network.double = [0, 0, 50, 200][random.random_range(0..4)];
        network.late = [(0, 0), (50, 2 * SECOND), (10, 10 * SECOND)][random.random_range(0..3)];
        network.delay = [(50, 500), (1_000, 30_000), (50, 120_000)][random.random_range(0..3)];
        self.world.disk_us = [(100, 3_000), (1_000, 80_000)][random.random_range(0..2)];
    }

    /// An operator changes something.
    fn change(&mut self) {
        let node = self.any();
        let Some(engine) = self.world.engine(node) else {
            return;
        };
        let state = std::sync::Arc::clone(engine.state());
        if state.nodes.len() < 2 {
            let other = self.any();
            return self.world.meet(node, other);
        }
        let shards: Vec<_> = state.shards.values().cloned().collect();
        let nodes: Vec<_> = state.nodes.keys().copied().collect();
        let random = &mut self.world.random;
        let shard = &shards[random.random_range(0..shards.len())];
        let other = &shards[random.random_range(0..shards.len())];
        let some_node = nodes[random.random_range(0..nodes.len())];
        let fence = |shard: &holdfast_cluster::state::Shard| Fence {
            shard: shard.id,
            epoch: shard.epoch,
        };
        let owned = state.slots_of(shard.id);
        let slots: SlotSet = match owned.ranges().first() {
            Some((first, last)) => {
                SlotSet::from_ranges([(*first, (*first + 2000).min(*last))]).expect("a range")
            }
            None => SlotSet::new(),
        };
        let entry = match random.random_range(0..8) {
            0 => Entry::MoveSlots {
                to: other.primary,
                slots,
                fences: vec![fence(shard)],
            },
            1 => Entry::MigrationBegin {
                id: MigrationId::from_bytes(random.random()),
                from: fence(shard),
                to: fence(other),
                slots,
            },
            2 | 3 => match state.migrations.values().next() {
                Some(migration) if migration.phase == Phase::Running => {
                    Entry::MigrationCommit { id: migration.id }
                }
                Some(_) | None => Entry::Barrier,
            },
            4 => match shard.replicas.first() {
                Some(to) => Entry::Failover {
                    fence: fence(shard),
                    to: *to,
                    kind: FailoverKind::Manual,
                    life: 0,
                },
                None => Entry::SetReplica {
                    node: some_node,
                    primary: shard.primary,
                },
            },
            5 => Entry::SetReplica {
                node: some_node,
                primary: shard.primary,
            },
            6 => Entry::NodeLeave { node: some_node },
            7 => Entry::Detach {
                node: some_node,
                shard: ShardId::from_bytes(random.random()),
            },
            _ => Entry::Detach {
                node: some_node,
                shard: ShardId::from_bytes(random.random()),
            },
        };
        self.world.say(|| format!("n{node} is asked for {entry:?}"));
        self.world.propose(node, entry);
    }

    /// How all nodes stand, for a failure's report.
    fn describe(&self) -> String {
        let mut text = String::new();
        for slot in PROBES
            .into_iter()
            .filter(|slot| self.world.server_of(*slot).is_none())
        {
            text.push_str(&format!("slot {slot} is not served\n"));
        }
        for node in 0..self.world.machines.len() {
            let Some(engine) = self.world.engine(node) else {
                continue;
            };
            let state = engine.state();
            let shard = state.shard_of(engine.node_id());
            text.push_str(&format!(
                "n{node} {:?} of {:?}: {:?}\n  {shard:?} slots {:?}\n  {}\n",
                engine.node_id(),
                engine.cluster_id(),
                engine.status(),
                shard.map(|shard| state.slots_of(shard.id)),
                engine.explain(self.world.clock(node)),
            ));
        }
        text
    }

    /// All faults end. The cluster must serve every slot again, every node must have the same log, and what was
    /// acknowledged must be in it.
    fn heal(mut self) -> Result<Told, String> {
        let healed_weather = super::world::Network::default();
        self.world.network = healed_weather;
        self.world.disk_us = (100, 3_000);
        for node in 0..self.world.machines.len() {
            self.world.free_disk(node);
            if !self.world.alive(node) {
                self.world.start(node);
            }
        }
        self.world.say(|| "all faults end".into());
        let healed_us = self
            .world
            .until(15 * SECOND, "all slots served after healing", all_served)
            .map_err(|what| format!("{what}\n{}", self.describe()))?;
        // Who was made to leave is alone in another cluster.
        let cluster = self
            .world
            .server_of(0)
            .and_then(|n| self.world.engine(n))
            .map(|e| e.cluster_id());
        self.world
            .until(20 * SECOND, "one state on all nodes after healing", |world| {
                let engines = (0..world.machines.len()).filter_map(|n| world.engine(n));
                let states: Vec<_> = engines
                    .filter(|e| Some(e.cluster_id()) == cluster)
                    .map(|e| e.status())
                    .collect();
                let commit = states.iter().map(|status| status.commit_index).max();
                states
                    .iter()
                    .all(|status| Some(status.applied_index) == commit && status.leader.is_some())
            })
            .map_err(|what| format!("{what}\n{}", self.describe()))?;
        // A primary that could not write for long may just have been replaced.
        self.world
            .until(5 * SECOND, "all slots still served", all_served)
            .map_err(|what| format!("{what}\n{}", self.describe()))?;
        self.fine()?;
        let leader = self.world.server_of(0).ok_or("slot 0 is served")?;
        let state = self.world.engine(leader).ok_or("a live node")?.state();
        let mut acknowledged = 0;
        for (token, name) in &self.settings {
            match self.world.answers.get(token) {
                // A node that stood still while it was made to leave takes what was held for it in a cluster of its own.
                Some(Ok(_)) if self.world.agreed_in.get(token).copied() != cluster => {}
                Some(Ok(_)) => {
                    acknowledged += 1;
                    if !state.settings.contains_key(name) {
                        return Err(format!("{name} was acknowledged and is lost"));
                    }
                }
                Some(Err(ProposeError::Rejected(why))) => return Err(format!("{name} was rejected: {why}")),
                Some(Err(ProposeError::Busy | ProposeError::Unknown)) | None => {}
            }
        }
        let steps = self.world.checks.steps;
        Ok(Told {
            steps,
            faults: self.faults,
            healed_us,
            acknowledged,
        })
    }
}

pub fn all_served(world: &World) -> bool {
    PROBES.iter().all(|slot| world.server_of(*slot).is_some())
}
