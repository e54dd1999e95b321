//! The engine of the control plane: Raft, leases, failover, membership. What happens goes in as an [`Input`] with the time;
//! what shall be done comes out as an [`Output`]. It sends, writes and waits for nothing itself, so whole clusters run in
//! one thread, under a clock and a network of a test's making.
//!
//! ```text
//! io.rs          inputs and outputs                       timing.rs      times and clocks
//! mod.rs         the engine: inputs to what they concern  log.rs wire.rs Raft's log and messages
//! pump.rs        what Raft wants written, sent, applied   serving.rs     may this node serve its slots?
//! bus.rs         messages from and to other nodes         leadership.rs  who is alive, who takes over
//! leading.rs     what a leader does                       voters.rs      who should vote
//! proposals.rs   changes on their way into the log        joining.rs     two nodes meet
//! start.rs       how a node begins                        recovery.rs    the way out of a lost majority
//! meta.rs        what a node keeps besides the log
//! ```
//!
//! Must not know: sockets, files, threads, wall clocks.

mod bus;
mod io;
mod joining;
mod leadership;
mod leading;
mod log;
mod meta;
mod proposals;
mod pump;
mod recovery;
mod serving;
mod start;
mod timing;
mod voters;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use raft::eraftpb::Message;
use raft::{RawNode, StateRole};

pub use io::{
    Address, Config, Event, Founding, Input, Outgoing, Output, Persist, ProposeError, Report, Restored,
    Status, Token,
};
pub use joining::NO_ANSWER;
pub use recovery::{Kept, describe, recover_alone};
pub use timing::{MIN_FAILOVER_MS, Timing};

use crate::codec::{self, Malformed};
use crate::ids::{ClusterId, NodeId, RaftId};
use crate::proto;
use crate::state::{ClusterState, Endpoint, Entry, View};

use joining::Joining;
use leadership::Leadership;
use log::Log;
use meta::{Meta, decode_meta};
use proposals::Proposals;
use serving::Serving;
use start::{decode_snapshot_state, founded, members_of, raft_node, restore};
use timing::Clock;

/// The last this node heard of a leader.
#[derive(Clone, Copy, Debug, Default)]
struct Contact {
    term: u64,
    leader: RaftId,
    stamp: u64,
    /// On the patient clock.
    heard: u64,
}

/// Messages that must not be sent before something is on disk.
struct Awaiting {
    number: u64,
    ready: u64,
    messages: Vec<Message>,
}

/// One node's control plane.
pub struct Engine {
    config: Config,
    timing: Timing,
    clock: Clock,
    meta: Meta,
    state: Arc<ClusterState>,
    /// The nodes by their members of the Raft group.
    members: BTreeMap<RaftId, NodeId>,
    raft: RawNode<Log>,
    elections: u64,
    ticks: u64,
    contact: Contact,
    /// How long voters that elected this node had heard of no leader, by term.
    silences: BTreeMap<RaftId, (u64, u64)>,
    /// A leader that another node named.
    hint: Option<RaftId>,
    leadership: Option<Leadership>,
    serving: Serving,
    report: Report,
    /// Whether its data are those that it had when it last ran; none while its files are being read.
    kept: Option<bool>,
    proposals: Proposals,
    joining: Option<Joining>,
    meeting: BTreeMap<Address, joining::Meeting>,
    founder: bool,
    /// Where members were heard from last.
    learned: BTreeMap<RaftId, Endpoint>,
    awaiting: VecDeque<Awaiting>,
    /// Changes of members that wait for the one before.
    waiting: VecDeque<(proto::Proposal, Entry)>,
    persist_number: u64,
    persisted_number: u64,
    /// Since when the disk has done nothing of what it was asked for, on the patient clock; none if nothing is asked for.
    unwritten_since: Option<u64>,
    /// A snapshot of the leader that is not on disk yet.
    installed: Option<u64>,
    /// It met an entry that it cannot read: it does nothing any more, rather than have another state than the others.
    halted: bool,
    /// Where in the log this node ceased to be a member.
    gone: Option<u64>,
    health: u64,
    down: Vec<NodeId>,
    refused: u64,
    view_stale: bool,
    status_due: bool,
    lease_told: u64,
    leader_told: Option<NodeId>,
    out: Output,
}

impl Engine {
    /// An engine from what is on disk; `founding` names a node that starts for the first time. The output is to be
    /// performed like that of a step.
    ///
    /// # Errors
    /// What is on disk cannot be read.
    pub fn start(
        config: Config,
        restored: Restored,
        founding: Founding,
        now_ms: u64,
    ) -> Result<(Self, Output), Malformed> {
        let timing = Timing::new(config.failover_ms);
        let clock = Clock::new(now_ms);
        let fresh = restored.meta.is_none();
        let meta = match &restored.meta {
            Some(meta) => Meta {
                boot: meta.boot + 1,
                ..decode_meta(meta)?
            },
            None => Meta {
                node: founding.node,
                cluster: ClusterId::from_bytes(random_bytes(config.random, 1)),
                raft_id: random_id(config.random, 2),
                boot: 1,
                created_ms: founding.created_ms,
                shard: founding.shard,
                joining: None,
                floor: 0,
            },
        };
        let (log, state) = if fresh {
            founded(&meta, &config.endpoint)?
        } else {
            restore(&restored, &meta)?
        };
        let state = Arc::new(state);
        let joining = meta
            .joining
            .clone()
            .map(|(raft_id, at)| Joining::resumed(raft_id, at));
        let peers = restored.meta.iter().flat_map(|meta| &meta.peers);
        let mut learned = BTreeMap::new();
        for peer in peers {
            learned.insert(peer.raft_id, codec::decode_endpoint(peer.endpoint.as_ref())?);
        }
        let mut engine = Self {
            timing,
            clock,
            raft: raft_node(&meta, log, state.index),
            members: members_of(&state),
            serving: Serving::new(&state),
            proposals: Proposals::new(meta.boot),
            state,
            meta,
            elections: 0,
            ticks: 0,
            contact: Contact::default(),
            silences: BTreeMap::new(),
            hint: None,
            leadership: None,
            report: Report {
                offset: 0,
                ready: false,
                priority: 100,
            },
            kept: None,
            joining,
            meeting: BTreeMap::new(),
            founder: false,
            learned,
            awaiting: VecDeque::new(),
            waiting: VecDeque::new(),
            persist_number: 0,
            persisted_number: 0,
            unwritten_since: None,
            installed: None,
            halted: false,
            gone: None,
            health: 0,
            down: Vec::new(),
            refused: 0,
            view_stale: true,
            status_due: true,
            lease_told: 0,
            leader_told: None,
            out: Output::default(),
            config,
        };
        engine.persist_meta(fresh);
        engine.begin_raft();
        engine.pump();
        let out = engine.finish();
        Ok((engine, out))
    }

    /// Takes one input at a time of the monotonic clock, in milliseconds.
    pub fn step(&mut self, now_ms: u64, input: Input) -> Output {
        if self.halted {
            return Output::default();
        }
        self.clock
            .advance(now_ms, matches!(input, Input::Tick), &self.timing);
        match input {
            Input::Tick => self.tick(),
            Input::Message(envelope) => self.receive(*envelope),
            Input::Propose { token, entry } => self.propose(token, entry),
            Input::Persisted(number) => self.persisted(number),
            Input::Report(report) => {
                self.status_due |= report.ready != self.report.ready;
                self.report = report;
            }
            Input::Loaded { kept } => (self.kept, self.status_due) = (Some(kept), true),
            Input::Meet(address) => self.meet(address),
            Input::Reset { node, shard } => self.reset_alone(node, shard),
            Input::Endpoint(endpoint) => self.config.endpoint = endpoint,
            Input::Publish(message) => self.publish(message),
            Input::HandOver { epoch, offset } => self.ask_to_give_way(epoch, offset),
        }
        self.pump();
        self.finish()
    }

    fn tick(&mut self) {
        self.ticks += 1;
        // Who waits for a snapshot to be on disk does not ask for votes: Raft would look for entries that are in it.
        if self.installed.is_none() {
            self.raft.tick();
        }
        self.tame_election();
        if self.ticks.is_multiple_of(timing::HEARTBEAT_TICKS as u64) {
            self.status_due = true;
        }
        self.pump();
        self.hand_over_if_stuck();
        self.lead();
        self.tick_proposals();
        self.tick_joining();
        if self.ticks.is_multiple_of(20) {
            self.announce_endpoint();
        }
    }

    /// The state changed elsewhere than where this node is reached: tell the others.
    fn announce_endpoint(&mut self) {
        let Some(known) = self
            .state
            .nodes
            .get(&self.meta.node)
            .map(|node| node.endpoint.clone())
        else {
            return;
        };
        let mut endpoint = self.config.endpoint.clone();
        if endpoint.ip.is_empty() {
            // Others have told it by where its messages came from.
            endpoint.ip.clone_from(&known.ip);
        }
        if known != endpoint && self.joining.is_none() {
            let node = self.meta.node;
            self.proposals
                .add(None, Entry::NodeInfo { node, endpoint }, self.ticks);
        }
    }

    /// What is to be told at the end of each step.
    fn finish(&mut self) -> Output {
        if self.status_due {
            self.status_due = false;
            self.send_status();
            self.pump();
        }
        if self.view_stale {
            self.view_stale = false;
            self.out.view = Some(View::new(
                self.meta.node,
                Arc::clone(&self.state),
                self.serving.held(),
            ));
        }
        let lease = self.serving.lease_until(self.meta.node, &self.state);
        let lease_ms = if lease > self.clock.eager {
            self.clock.raw_at(lease)
        } else {
            0
        };
        if lease_ms != self.lease_told {
            self.lease_told = lease_ms;
            self.out.lease_until_ms = Some(lease_ms);
        }
        let leader = self.leader();
        if leader != self.leader_told {
            self.leader_told = leader;
            self.out.events.push(Event::Leader(leader));
        }
        std::mem::take(&mut self.out)
    }

    /// This node's name.
    pub fn node_id(&self) -> NodeId {
        self.meta.node
    }

    /// The cluster's name.
    pub fn cluster_id(&self) -> ClusterId {
        self.meta.cluster
    }

    /// What this node has applied.
    pub fn state(&self) -> &Arc<ClusterState> {
        &self.state
    }

    /// The times that this engine keeps.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Whether this node serves a slot as its primary at this time.
    pub fn serves(&self, now_ms: u64, slot: u16) -> bool {
        let mine = self
            .state
            .owner(slot)
            .is_some_and(|shard| shard.primary == self.meta.node);
        mine && self.lease_holds(now_ms) && !self.serving.holds(slot)
    }

    /// Why this node serves or does not, for the reports of tests.
    pub fn explain(&self, now_ms: u64) -> String {
        format!(
            "now {} {:?} joining {:?} {:?} leading {:?}",
            self.clock.eager_at(now_ms),
            self.serving,
            self.joining,
            self.contact,
            self.leadership
        )
    }

    fn lease_holds(&self, now_ms: u64) -> bool {
        self.serving.lease_until(self.meta.node, &self.state) > self.clock.eager_at(now_ms)
    }

    /// The leader, if one is known and was heard of within the time of an election.
    pub fn leader(&self) -> Option<NodeId> {
        if self.leadership.is_some() {
            return Some(self.meta.node);
        }
        let known = self.contact.leader != 0 && self.in_contact();
        if known {
            self.members.get(&self.contact.leader).copied()
        } else {
            None
        }
    }

    /// Whether the disk of the log has done nothing for so long, though it was asked to: it is full or fails.
    fn stuck(&self, millis: u64) -> bool {
        self.unwritten_since
            .is_some_and(|since| self.clock.patient.saturating_sub(since) >= millis)
    }

    fn in_contact(&self) -> bool {
        let limit = self.timing.tick_ms * (timing::ELECTION_TICKS + timing::ELECTION_SPREAD) as u64;
        self.leadership.is_some()
            || (self.contact.term > 0 && self.clock.patient.saturating_sub(self.contact.heard) < limit)
    }

    /// How the control plane stands.
    pub fn status(&self) -> Status {
        let raft = &self.raft.raft;
        Status {
            role: match raft.state {
                StateRole::Leader => "leader",
                StateRole::Follower if raft.promotable() => "follower",
                StateRole::Follower => "learner",
                StateRole::Candidate | StateRole::PreCandidate => "candidate",
            },
            term: raft.term,
            leader: self.leader(),
            last_index: raft.raft_log.last_index(),
            commit_index: raft.raft_log.committed,
            applied_index: self.state.index,
            voters: self.state.voters().count(),
            raft_id: self.meta.raft_id,
            in_contact: self.in_contact(),
            refused: self.refused,
            pending: self.proposals.len(),
        }
    }

    fn refuse(&mut self, why: Malformed) {
        self.refused += 1;
        self.out.events.push(Event::Refused(why));
    }

    fn write(&mut self, mut persist: Persist) -> u64 {
        self.persist_number += 1;
        persist.number = self.persist_number;
        self.unwritten_since.get_or_insert(self.clock.patient);
        self.out.persist.push(persist);
        self.persist_number
    }
}

/// Mixes numbers to one that looks random (the finalizer of SplitMix64).
fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn random_id(seed: u64, purpose: u64) -> RaftId {
    mix(seed, purpose).max(1)
}

fn random_bytes(seed: u64, purpose: u64) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (chunk, n) in bytes.chunks_mut(8).zip(0u64..) {
        let word = mix(mix(seed, purpose), n).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    bytes
}
