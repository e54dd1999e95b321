//! Two nodes meet and become one cluster. Both compare what they say of themselves, by one total order, so that both
//! decide alike which of them joins the other; a cluster of several nodes never joins. A node that joins stands still
//! until it is answered: what it brings must not change on the way. Must not know: how long a network takes.

use std::cmp::Reverse;

use super::proposals::Purpose;
use super::{
    Address, Contact, Engine, Event, Serving, founded, members_of, mix, raft_node, random_bytes, random_id,
};
use crate::codec::{self, Malformed};
use crate::ids::{ClusterId, NodeId, RaftId, ShardId};
use crate::proto::{self, envelope::Payload};
use crate::state::{Applied, ClusterState, Endpoint, Entry, Newcomer, Rejected};
use std::net::IpAddr;
use std::sync::Arc;

/// How the reason of a [`Event::JoinRefused`] begins if the other side did not say anything.
pub const NO_ANSWER: &str = "no answer";
/// Ticks between two greetings, or two requests to join.
const RETRY_TICKS: u64 = 16;
/// Greetings that are sent before a meeting is given up.
const GREETINGS: u64 = 20;
/// Members that look after the leader's address.
const WITNESSES: usize = 3;
/// Meetings at one time.
const MAX_MEETINGS: usize = 2000;

/// A request to join another cluster.
#[derive(Debug)]
pub(super) struct Joining {
    raft_id: RaftId,
    at: Endpoint,
    /// The request is not sent before this is on disk.
    persist: u64,
    /// What the other cluster wants to see in the request, so that it knows that its answers arrive; 0: nothing yet.
    challenge: u64,
    /// Requests that were sent without it. None: nobody knows what was sent before this node's restart, and what came of it.
    unanswered: Option<u64>,
}

impl Joining {
    /// One that this node went on with before its restart.
    pub(super) fn resumed(raft_id: RaftId, at: Endpoint) -> Self {
        Self {
            raft_id,
            at,
            persist: 0,
            challenge: 0,
            unanswered: None,
        }
    }
}

/// A node that this one wants to meet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meeting {
    greetings: u64,
}

impl Engine {
    pub(super) fn meet(&mut self, address: Address) {
        if self.meeting.len() < MAX_MEETINGS {
            self.meeting.insert(address.clone(), Meeting { greetings: 1 });
            self.greet(address, false, true);
        }
    }

    pub(super) fn tick_joining(&mut self) {
        if !self.ticks.is_multiple_of(RETRY_TICKS) {
            return;
        }
        self.request_join();
        let (over, going): (Vec<_>, Vec<_>) = self
            .meeting
            .iter_mut()
            .map(|(address, m)| (address.clone(), m))
            .partition(|(_, m)| m.greetings >= GREETINGS);
        let over: Vec<Address> = over.into_iter().map(|(address, _)| address).collect();
        let going: Vec<Address> = going
            .into_iter()
            .map(|(address, meeting)| {
                meeting.greetings += 1;
                address
            })
            .collect();
        for address in over {
            self.meeting.remove(&address);
            self.refused_by(address, NO_ANSWER);
        }
        for address in going {
            self.greet(address, false, true);
        }
        // Seeds are asked by who is alone, and by who has lost its leader: addresses may have changed.
        let alone = self.state.nodes.len() == 1 && self.is_empty();
        if alone || !self.in_contact() {
            for seed in self.config.seeds.clone() {
                self.greet(seed, true, true);
            }
        }
    }

    /// Whether nobody is about to join this node, who would be left alone if it joined another one.
    fn is_settled(&self) -> bool {
        self.proposals.len() == 0 && self.raft.raft.raft_log.last_index() == self.state.index
    }

    fn is_empty(&self) -> bool {
        self.state.assigned() == 0
    }

    fn greet(&mut self, address: Address, seed: bool, first: bool) {
        let mut greeting = self.greeting(seed);
        greeting.host.clone_from(&address.host);
        greeting.port = address.port.into();
        self.send_greeting(address, greeting, first);
    }

    fn send_greeting(&mut self, address: Address, greeting: proto::Greeting, first: bool) {
        let payload = if first {
            Payload::Meet(greeting)
        } else {
            Payload::Met(greeting)
        };
        self.send_address(0, address, payload);
    }

    fn greeting(&self, seed: bool) -> proto::Greeting {
        proto::Greeting {
            nodes: self.state.nodes.len() as u32,
            slots: self.state.assigned() as u32,
            created_ms: self.meta.created_ms,
            seed,
            founder: self.founder,
            joining: self.joining.is_some() || self.state.nodes.is_empty(),
            ..proto::Greeting::default()
        }
    }

    /// Another node says what it is; `asks` if it wants to hear the same of this one.
    pub(super) fn greeted(
        &mut self,
        envelope: &proto::Envelope,
        endpoint: &Endpoint,
        theirs: &proto::Greeting,
        asks: bool,
    ) -> Result<(), Malformed> {
        let node = codec::node_id(&envelope.node)?;
        let cluster = codec::cluster_id(&envelope.cluster)?;
        let port = u16::try_from(theirs.port).map_err(|_| Malformed("port"))?;
        let greeted = Address {
            host: theirs.host.clone(),
            port,
        };
        // Whom this node greeted answers with the address that it was greeted at.
        let address = if asks {
            address_of(endpoint)
        } else {
            greeted.clone()
        };
        if node == self.meta.node {
            // This node met itself. If it did so by the first seed, it is the one that founds the cluster.
            self.founder |= theirs.seed && self.config.seeds.first() == Some(&greeted);
            if self.meeting.remove(&greeted).is_some() {
                self.refused_by(greeted, "this is the node itself");
            }
            return Ok(());
        }
        if asks {
            self.reached_at(&theirs.host, &envelope.reached_at);
            let mut greeting = self.greeting(theirs.seed);
            greeting.host = greeted.host;
            greeting.port = theirs.port;
            self.send_greeting(address.clone(), greeting, false);
        }
        if cluster == self.meta.cluster {
            self.learned.insert(envelope.from, endpoint.clone());
            self.met(&address);
            return Ok(());
        }
        let mine = self.greeting(false);
        if theirs.joining || mine.joining {
            return Ok(());
        }
        if theirs.seed {
            let formed = theirs.nodes > 1 || theirs.slots > 0;
            let alone = mine.nodes == 1 && mine.slots == 0;
            // A founder that finds a formed cluster has lost its files: it is no founder any more.
            let free = !self.founder || formed;
            if !asks && alone && free && self.is_settled() && (formed || theirs.founder) {
                self.founder = false;
                self.start_joining(endpoint.clone());
            }
            return Ok(());
        }
        if mine.nodes > 1 && theirs.nodes > 1 {
            self.meeting.remove(&address);
            self.refused_by(address, "both nodes belong to clusters of several nodes");
            return Ok(());
        }
        let rank = |greeting: &proto::Greeting, cluster: ClusterId| {
            (
                greeting.nodes > 1,
                greeting.slots > 0,
                Reverse(greeting.created_ms),
                cluster,
            )
        };
        if self.is_settled() && rank(theirs, cluster) > rank(&mine, self.meta.cluster) {
            self.start_joining(endpoint.clone());
        }
        Ok(())
    }

    /// Another node has reached this one at an address. It is this node's, if nothing else says what is: the address that
    /// the other one was given if that is one, otherwise where its message came to.
    fn reached_at(&mut self, given: &str, at: &str) {
        let Some(known) = self.state.nodes.get(&self.meta.node) else {
            return;
        };
        if !self.config.endpoint.ip.is_empty() || !known.endpoint.ip.is_empty() || self.joining.is_some() {
            return;
        }
        let usable = |text: &&str| {
            text.parse::<IpAddr>()
                .is_ok_and(|ip| !ip.is_unspecified() && !ip.is_multicast())
        };
        if let Some(ip) = [given, at].into_iter().find(usable) {
            let endpoint = Endpoint {
                ip: ip.to_owned(),
                ..self.config.endpoint.clone()
            };
            let node = self.meta.node;
            self.proposals
                .add(None, Entry::NodeInfo { node, endpoint }, self.ticks);
            self.flush_proposals();
        }
    }

    fn met(&mut self, address: &Address) {
        if self.meeting.remove(address).is_some() {
            self.out.events.push(Event::Met {
                with: address.clone(),
            });
        }
    }

    fn refused_by(&mut self, with: Address, reason: &str) {
        self.out.events.push(Event::JoinRefused {
            with,
            reason: reason.to_owned(),
        });
    }

    fn start_joining(&mut self, at: Endpoint) {
        let raft_id = random_id(mix(self.config.random, self.meta.boot), self.persist_number + 100);
        self.meta.joining = Some((raft_id, at.clone()));
        self.persist_meta(false);
        self.joining = Some(Joining {
            persist: self.persist_number,
            unanswered: Some(0),
            ..Joining::resumed(raft_id, at)
        });
    }

    /// Asks to join, once that is on disk and everything of this node's own log is applied.
    fn request_join(&mut self) {
        let still = self.raft.raft.raft_log.last_index() == self.state.index;
        let Some(joining) = &mut self.joining else { return };
        let written = self.awaiting.is_empty() && self.persisted_number >= joining.persist;
        if !(still && written) {
            return;
        }
        let (at, raft_id, challenge) = (joining.at.clone(), joining.raft_id, joining.challenge);
        if challenge == 0
            && let Some(unanswered) = &mut joining.unanswered
        {
            *unanswered += 1;
            if *unanswered > GREETINGS {
                // The other cluster has not taken this node in: it does so after an answer only.
                self.give_up_joining(&format!("{NO_ANSWER} to the request to join"));
                return;
            }
        }
        let shard = self
            .state
            .shard_of(self.meta.node)
            .map_or(self.meta.shard, |shard| shard.id);
        let newcomer = Newcomer {
            id: self.meta.node,
            raft_id,
            endpoint: self.config.endpoint.clone(),
            shard,
            slots: self.state.slots_of(shard),
        };
        let request = proto::JoinRequest {
            newcomer: Some(codec::encode_newcomer(&newcomer)),
            reply_to: Some(codec::encode_endpoint(&self.config.endpoint)),
            old_cluster: self.meta.cluster.to_string(),
            challenge,
        };
        self.send_to(0, &at, Payload::Join(request));
    }

    /// A member is heard from elsewhere than the state says: it has another address since its restart, and does not know it
    /// itself where no `cluster-announce-ip` says so. The leader tells all of the others' addresses, some members of the
    /// leader's own.
    pub(super) fn correct_address(&mut self, from: RaftId, endpoint: &Endpoint) {
        let Some(node) = self.members.get(&from).and_then(|id| self.state.nodes.get(id)) else {
            return;
        };
        if node.endpoint == *endpoint || endpoint.ip.is_empty() || self.joining.is_some() {
            return;
        }
        let witness = || {
            let mut others = self.state.nodes.values().filter(|other| other.raft_id != from);
            others
                .by_ref()
                .take(WITNESSES)
                .any(|other| other.id == self.meta.node)
        };
        let is_mine_to_tell = self.established() || (self.contact.leader == from && witness());
        let entry = Entry::NodeInfo {
            node: node.id,
            endpoint: endpoint.clone(),
        };
        if is_mine_to_tell && !self.proposals.holds(&entry) {
            self.proposals.add(None, entry, self.ticks);
        }
    }

    /// A node wants to join this cluster.
    pub(super) fn join_requested(&mut self, request: proto::JoinRequest) -> Result<(), Malformed> {
        let newcomer = codec::decode_newcomer(request.newcomer.as_ref().ok_or(Malformed("newcomer"))?)?;
        codec::decode_endpoint(request.reply_to.as_ref())?;
        if newcomer.id == self.meta.node || self.joining.is_some() {
            return Ok(());
        }
        if !self.established() {
            if self.contact.leader != 0 && self.leadership.is_none() {
                self.send(self.contact.leader, Payload::Join(request));
            }
            return Ok(());
        }
        let known = self.state.nodes.get(&newcomer.id);
        let is_known = known.is_some_and(|node| node.raft_id == newcomer.raft_id);
        // A node that this one does not reach would be a member that nobody can talk to.
        let challenge = mix(mix(self.config.random, self.meta.boot), newcomer.raft_id).max(1);
        if !is_known && request.challenge != challenge {
            let reply = proto::JoinReply {
                raft_id: newcomer.raft_id,
                challenge,
                ..proto::JoinReply::default()
            };
            let reply_to = codec::decode_endpoint(request.reply_to.as_ref())?;
            self.send_to(newcomer.raft_id, &reply_to, Payload::Joined(reply));
            return Ok(());
        }
        if is_known {
            let applied = Applied {
                index: self.state.index,
                changes: Vec::new(),
            };
            self.answer_join(&request, Ok(applied));
        } else if !self.proposals.joins(newcomer.raft_id) {
            self.proposals.add_for(
                Purpose::Join(Box::new(request)),
                Entry::NodeJoin(newcomer),
                self.ticks,
            );
            self.flush_proposals();
        }
        Ok(())
    }

    pub(super) fn answer_join(&mut self, request: &proto::JoinRequest, result: Result<Applied, Rejected>) {
        let raft_id = request.newcomer.as_ref().map_or(0, |newcomer| newcomer.raft_id);
        let Ok(reply_to) = codec::decode_endpoint(request.reply_to.as_ref()) else {
            return;
        };
        let (rejected, index) = match result {
            Ok(applied) => (String::new(), applied.index),
            Err(rejected) => (rejected.to_string(), 0),
        };
        let peer = |raft_id: RaftId, endpoint: &Endpoint| proto::Peer {
            raft_id,
            endpoint: Some(codec::encode_endpoint(endpoint)),
        };
        let mut peers: Vec<_> = self
            .state
            .voters()
            .map(|node| peer(node.raft_id, &node.endpoint))
            .collect();
        peers.push(peer(self.meta.raft_id, &self.config.endpoint));
        let final_ = !rejected.is_empty();
        let reply = proto::JoinReply {
            raft_id,
            rejected,
            r#final: final_,
            index,
            peers,
            challenge: 0,
        };
        self.send_to(raft_id, &reply_to, Payload::Joined(reply));
    }

    /// The cluster that this node asked has answered.
    pub(super) fn join_answered(
        &mut self,
        cluster: ClusterId,
        reply: &proto::JoinReply,
    ) -> Result<(), Malformed> {
        let Some(joining) = self
            .joining
            .as_mut()
            .filter(|joining| joining.raft_id == reply.raft_id)
        else {
            return Ok(());
        };
        if reply.challenge != 0 {
            let is_new = joining.challenge != reply.challenge;
            joining.challenge = reply.challenge;
            if is_new {
                self.request_join();
            }
            return Ok(());
        }
        if reply.rejected.is_empty() {
            self.join_cluster(cluster, reply.raft_id, reply.index, &reply.peers);
        } else if reply.r#final {
            self.give_up_joining(&reply.rejected);
        }
        Ok(())
    }

    /// This node stays what it was. Whoever wanted to meet somebody by it is told, by whatever address.
    fn give_up_joining(&mut self, reason: &str) {
        let Some(joining) = self.joining.take() else {
            return;
        };
        self.meta.joining = None;
        self.persist_meta(false);
        let at = address_of(&joining.at);
        for address in std::mem::take(&mut self.meeting)
            .into_keys()
            .filter(|address| *address != at)
        {
            self.refused_by(address, reason);
        }
        self.refused_by(at, reason);
    }

    /// This node is a member of another cluster from now on, with an empty log that its leader will fill.
    pub(super) fn join_cluster(
        &mut self,
        cluster: ClusterId,
        raft_id: RaftId,
        floor: u64,
        peers: &[proto::Peer],
    ) {
        self.meta.cluster = cluster;
        self.meta.raft_id = raft_id;
        self.meta.floor = floor;
        self.learned.clear();
        for peer in peers {
            if let Ok(endpoint) = codec::decode_endpoint(peer.endpoint.as_ref()) {
                self.learned.insert(peer.raft_id, endpoint);
            }
        }
        self.begin_anew(
            super::Log::new(Default::default(), Default::default()),
            ClusterState::empty(cluster),
        );
        // The old view stays, without a lease, until the new cluster's state has come.
        self.view_stale = false;
    }

    /// The cluster has forgotten this node: it is alone again.
    pub(super) fn forgotten(&mut self, index: u64) {
        let shard = ShardId::from_bytes(random_bytes(self.config.random, 1000 + index));
        self.reset_alone(None, shard);
    }

    pub(super) fn reset_alone(&mut self, node: Option<NodeId>, shard: ShardId) {
        let draw = mix(self.config.random, mix(self.meta.boot, self.persist_number + 1));
        let mut meta = self.meta.clone();
        meta.node = node.unwrap_or(meta.node);
        meta.cluster = ClusterId::from_bytes(random_bytes(draw, 3));
        meta.raft_id = random_id(draw, 4);
        meta.shard = shard;
        meta.floor = 0;
        // An address that is not valid was refused when it came.
        let Ok((log, state)) = founded(&meta, &self.config.endpoint) else {
            return;
        };
        self.meta = meta;
        self.kept = Some(false);
        self.learned.clear();
        self.proposals.abandon(&mut self.out);
        self.begin_anew(log, state);
        self.out.events.push(Event::Replaced);
    }

    fn begin_anew(&mut self, log: super::Log, state: ClusterState) {
        self.joining = None;
        self.meta.joining = None;
        self.meeting.clear();
        self.awaiting.clear();
        self.installed = None;
        self.waiting.clear();
        self.leadership = None;
        self.silences.clear();
        self.health = 0;
        self.down.clear();
        self.raft = raft_node(&self.meta, log, state.index);
        self.members = members_of(&state);
        self.serving = Serving::new(&state);
        self.state = Arc::new(state);
        self.contact = Contact::default();
        self.persist_meta(true);
        self.begin_raft();
        self.view_stale = true;
        self.status_due = true;
    }
}

fn address_of(endpoint: &Endpoint) -> Address {
    let host = if endpoint.ip.is_empty() {
        &endpoint.hostname
    } else {
        &endpoint.ip
    };
    Address {
        host: host.clone(),
        port: endpoint.bus_port,
    }
}
