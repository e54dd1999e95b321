//! Messages from and to other nodes. Must not know: how they travel.

use raft::eraftpb::{Message, MessageType};

use super::{Address, Contact, Engine, Event, Outgoing, decode_snapshot_state, timing, wire};
use crate::codec::{self, Malformed};
use crate::ids::RaftId;
use crate::proto::{self, envelope::Payload};
use crate::state::{Endpoint, MAX_NODES};

/// Messages that may wait for the disk; beyond, what would be written is taken for lost.
const MAX_AWAITING: usize = 4096;

impl Engine {
    pub(super) fn receive(&mut self, envelope: proto::Envelope) {
        if let Err(why) = self.take_in(envelope) {
            self.refuse(why);
        }
    }

    fn take_in(&mut self, mut envelope: proto::Envelope) -> Result<(), Malformed> {
        let cluster = codec::cluster_id(&envelope.cluster)?;
        let endpoint = codec::decode_endpoint(envelope.endpoint.as_ref())?;
        let payload = envelope.payload.take().ok_or(Malformed("empty message"))?;
        let from = envelope.from;
        if from == 0 {
            return Err(Malformed("sender"));
        }
        let payload = match payload {
            Payload::Meet(greeting) => return self.greeted(&envelope, &endpoint, &greeting, true),
            Payload::Met(greeting) => return self.greeted(&envelope, &endpoint, &greeting, false),
            Payload::Joined(reply) => return self.join_answered(cluster, &reply),
            Payload::Join(request) => return self.join_requested(request),
            other => other,
        };
        if cluster != self.meta.cluster {
            // The cluster that this node asked to join speaks to its new member: the answer was lost.
            let raft = matches!(payload, Payload::Raft(_));
            match self.meta.joining {
                Some((raft_id, _)) if raft && raft_id == envelope.to => {
                    let leader = proto::Peer {
                        raft_id: from,
                        endpoint: envelope.endpoint.clone(),
                    };
                    self.join_cluster(cluster, raft_id, 0, &[leader]);
                }
                Some(_) | None => return Err(Malformed("a message of another cluster")),
            }
        }
        if envelope.to != self.meta.raft_id && envelope.to != 0 {
            return Err(Malformed("a message for another member"));
        }
        self.correct_address(from, &endpoint);
        let room = self.members.contains_key(&from) || self.learned.len() < 2 * MAX_NODES;
        if room && self.learned.get(&from) != Some(&endpoint) {
            self.learned.insert(from, endpoint);
        }
        if let Some(leadership) = &mut self.leadership
            && envelope.echo_term == leadership.term
        {
            leadership.acknowledged(from, envelope.echo);
        }
        match payload {
            Payload::Raft(message) => self.receive_raft(&envelope, message),
            Payload::Status(status) => {
                self.heard_status(from, &status);
                self.point_to_leader(from);
                Ok(())
            }
            Payload::LeaderIs(peer) => {
                self.learned
                    .insert(peer.raft_id, codec::decode_endpoint(peer.endpoint.as_ref())?);
                self.hint = Some(peer.raft_id);
                Ok(())
            }
            Payload::Grant(grant) => {
                self.heard_grant(from, &grant);
                Ok(())
            }
            Payload::Propose(message) => {
                let proposal = message.proposal.ok_or(Malformed("proposal"))?;
                codec::decode_entry(proposal.entry.as_ref().ok_or(Malformed("proposal"))?)?;
                if self.members.contains_key(&proposal.origin) {
                    self.lead_proposal(proposal);
                }
                Ok(())
            }
            Payload::NotMember(message) => {
                if message.index >= self.meta.floor.max(self.state.index) && message.index > 0 {
                    self.forgotten(message.index);
                }
                Ok(())
            }
            Payload::Publish(message) => {
                self.out.events.push(Event::Publish(message));
                Ok(())
            }
            Payload::HandOver(message) => {
                self.asked_to_give_way(from, &message);
                Ok(())
            }
            Payload::Meet(_) | Payload::Met(_) | Payload::Join(_) | Payload::Joined(_) => Ok(()),
        }
    }

    /// Asks the primary of this node's shard to give way to it.
    pub(super) fn ask_to_give_way(&mut self, shard_epoch: u64, offset: u64) {
        let shard = self.state.shard_of(self.meta.node);
        let primary = shard.and_then(|shard| self.state.nodes.get(&shard.primary));
        if let Some(to) = primary
            .map(|node| node.raft_id)
            .filter(|to| *to != self.meta.raft_id)
        {
            self.send(to, Payload::HandOver(proto::HandOver { shard_epoch, offset }));
        }
    }

    /// One of this node's replicas asks. What is about another epoch of the shard, or comes from elsewhere, is old.
    fn asked_to_give_way(&mut self, from: RaftId, message: &proto::HandOver) {
        let (Some(to), Some(shard)) = (
            self.members.get(&from).copied(),
            self.state.shard_of(self.meta.node),
        ) else {
            return;
        };
        let fits = shard.primary == self.meta.node
            && shard.epoch == message.shard_epoch
            && shard.replicas.contains(&to);
        if fits {
            self.out.events.push(Event::HandOver {
                to,
                epoch: message.shard_epoch,
                offset: message.offset,
            });
        }
    }

    fn receive_raft(
        &mut self,
        envelope: &proto::Envelope,
        message: proto::RaftMessage,
    ) -> Result<(), Malformed> {
        let message = wire::decode_message(envelope.from, self.meta.raft_id, message)?;
        let (kind, term, rejected) = (message.get_msg_type(), message.term, message.reject);
        let leads = matches!(
            kind,
            MessageType::MsgAppend | MessageType::MsgHeartbeat | MessageType::MsgSnapshot
        );
        match kind {
            MessageType::MsgHeartbeat if message.commit > self.raft.raft.raft_log.last_index() => {
                // The leader takes what this node had for kept; it lost it. Raft would stop the process.
                return Err(Malformed("a commit index beyond the log"));
            }
            MessageType::MsgAppendResponse
                if !rejected && message.index > self.raft.raft.raft_log.last_index() =>
            {
                return Err(Malformed("an answer beyond the log"));
            }
            // It comes again; what waits for the disk must have an end.
            MessageType::MsgAppend | MessageType::MsgSnapshot if self.awaiting.len() >= MAX_AWAITING => {
                return Ok(());
            }
            // Raft looks through what is not applied yet for changes of members, and that is in the snapshot alone.
            MessageType::MsgTimeoutNow if self.installed.is_some() => return Ok(()),
            MessageType::MsgSnapshot => {
                let state = decode_snapshot_state(&message.get_snapshot().data)?;
                let conf = message.get_snapshot().get_metadata().get_conf_state();
                let member = [&conf.voters, &conf.learners, &conf.voters_outgoing]
                    .iter()
                    .any(|members| members.contains(&self.meta.raft_id));
                if !member || state.cluster != self.meta.cluster {
                    return Err(Malformed("a snapshot of another cluster"));
                }
            }
            MessageType::MsgRequestVoteResponse if !rejected => {
                self.silences.retain(|_, (of_term, _)| *of_term == term);
                self.silences.insert(envelope.from, (term, envelope.silence_ms));
            }
            _ => {}
        }
        // It fails for answers of members that are gone.
        let _ = self.raft.step(message);
        let raft = &self.raft.raft;
        if leads && raft.term == term && raft.leader_id == envelope.from {
            let same = self.contact.term == term && self.contact.leader == envelope.from;
            let stamp = if same {
                self.contact.stamp.max(envelope.stamp)
            } else {
                envelope.stamp
            };
            self.status_due |= !same;
            self.contact = Contact {
                term,
                leader: envelope.from,
                stamp,
                heard: self.clock.patient,
            };
        }
        Ok(())
    }

    /// Sends to a member. One whose address is not known gets nothing.
    pub(super) fn send(&mut self, to: RaftId, payload: Payload) {
        if let Some(endpoint) = self.endpoint_of(to) {
            self.send_to(to, &endpoint, payload);
        }
    }

    fn endpoint_of(&self, raft_id: RaftId) -> Option<Endpoint> {
        let known = || {
            let id = self.members.get(&raft_id)?;
            Some(self.state.nodes.get(id)?.endpoint.clone())
        };
        self.learned.get(&raft_id).cloned().or_else(known)
    }

    pub(super) fn send_to(&mut self, to: RaftId, endpoint: &Endpoint, payload: Payload) {
        let host = if endpoint.ip.is_empty() {
            &endpoint.hostname
        } else {
            &endpoint.ip
        };
        let address = Address {
            host: host.clone(),
            port: endpoint.bus_port,
        };
        self.send_address(to, address, payload);
    }

    pub(super) fn send_address(&mut self, to: RaftId, address: Address, payload: Payload) {
        let leads = self.leadership.is_some();
        let envelope = proto::Envelope {
            node: self.meta.node.to_string(),
            cluster: self.meta.cluster.to_string(),
            from: self.meta.raft_id,
            to,
            endpoint: Some(codec::encode_endpoint(&self.config.endpoint)),
            stamp: if leads { self.clock.eager } else { 0 },
            echo: self.contact.stamp,
            echo_term: self.contact.term,
            silence_ms: if leads {
                0
            } else {
                self.clock.patient.saturating_sub(self.contact.heard)
            },
            reached_at: String::new(),
            payload: Some(payload),
        };
        let node = self.members.get(&to).copied();
        self.out.messages.push(Outgoing {
            to: address,
            node,
            envelope,
        });
    }

    pub(super) fn send_raft(&mut self, message: Message) {
        let to = message.to;
        if to == self.meta.raft_id {
            return;
        }
        // Learners hear of the leader by the answers to their statuses.
        if message.get_msg_type() == MessageType::MsgHeartbeat && self.leadership.is_some() {
            let round = self.ticks / timing::HEARTBEAT_TICKS as u64;
            let learner = self.raft.raft.prs().conf().learners().contains(&to);
            if learner && !(round + to).is_multiple_of(timing::LEARNER_HEARTBEATS) {
                return;
            }
        }
        if let Some(message) = wire::encode_message(message) {
            self.send(to, Payload::Raft(message));
        }
    }

    /// Tells the leader of this node, or whoever may know the leader.
    pub(super) fn send_status(&mut self) {
        let shard = self.state.shard_of(self.meta.node);
        let shard_epoch = shard.map_or(0, |shard| shard.epoch);
        let follows = shard.is_some_and(|shard| shard.primary != self.meta.node);
        let status = proto::Status {
            sent: self.clock.eager,
            boot: self.meta.boot,
            applied: self.state.index,
            shard_epoch,
            offset: self.report.offset,
            // What it agrees to would be lost: it must not be relied on.
            // Nor before this life's number is on disk, which the next one must not have again.
            ready: self.report.ready
                && self.persisted_number > 0
                && !self.stuck(self.timing.replace_voter_ms),
            priority: self.report.priority,
            health: self.health,
            admitted: self.serving.had_lease(shard_epoch),
            kept: self.kept == Some(true) || (follows && self.report.ready),
            loaded: self.kept.is_some() || self.report.ready,
        };
        if self.leadership.is_some() {
            self.heard_status(self.meta.raft_id, &status);
        } else if self.contact.leader != 0 && self.in_contact() {
            self.send(self.contact.leader, Payload::Status(status));
        } else {
            let voters = self.state.voters().map(|node| node.raft_id);
            let mut others: Vec<RaftId> = voters.chain(self.hint.take()).collect();
            // All voters that this node knows may have left since: one member more, each in turn.
            let turn = self.ticks as usize / timing::HEARTBEAT_TICKS;
            let mut members = self.state.nodes.values().map(|node| node.raft_id);
            others.extend(members.nth(turn % self.state.nodes.len().max(1)));
            if self.state.nodes.is_empty() {
                // It joined and has heard nothing yet. It may have been made to leave since, and only these can say so.
                others.extend(self.learned.keys());
            }
            others.retain(|raft_id| *raft_id != self.meta.raft_id);
            for to in others {
                self.send(to, Payload::Status(status));
            }
        }
    }

    /// Who sends a status to a node that does not lead, does not know the leader; it may not even be a member any more.
    fn point_to_leader(&mut self, to: RaftId) {
        let leader = self.contact.leader;
        if self.leadership.is_none()
            && leader != 0
            && leader != to
            && self.in_contact()
            && let Some(endpoint) = self.endpoint_of(leader)
        {
            let endpoint = Some(codec::encode_endpoint(&endpoint));
            self.send(
                to,
                Payload::LeaderIs(proto::Peer {
                    raft_id: leader,
                    endpoint,
                }),
            );
        }
    }

    pub(super) fn heard_grant(&mut self, from: RaftId, grant: &proto::Grant) {
        if grant.boot != self.meta.boot || grant.term < self.contact.term {
            return;
        }
        // An older term's leader may still speak to a node that has not heard of the new one. Its word holds: the new
        // leader has waited for that.
        let newer = grant.term > self.contact.term;
        let stamp = if newer { 0 } else { self.contact.stamp };
        if newer || self.contact.leader == from {
            self.contact = Contact {
                term: grant.term,
                leader: from,
                stamp,
                heard: self.clock.patient,
            };
        }
        if grant.serve {
            self.serving
                .granted(grant.sent + grant.lease_ms, grant.shard_epoch);
        }
        self.view_stale |= self.serving.safe_up_to(grant.safe_index);
        if grant.has_down {
            self.health = grant.health;
            let down = grant
                .down
                .iter()
                .filter_map(|raft_id| self.members.get(raft_id).copied())
                .collect();
            self.told_down(down);
        }
    }

    pub(super) fn told_down(&mut self, down: Vec<crate::ids::NodeId>) {
        if down != self.down {
            self.down.clone_from(&down);
            self.out.events.push(Event::Down(down));
        }
    }

    /// Sends something for subscribers to all other nodes.
    pub(super) fn publish(&mut self, message: proto::Publish) {
        let mut others: Vec<RaftId> = self.members.keys().copied().collect();
        others.retain(|raft_id| *raft_id != self.meta.raft_id);
        if message.sharded {
            let shard = self.state.shard_of(self.meta.node).map(|shard| shard.id);
            let inside = |raft_id: &RaftId| {
                let node = self.members.get(raft_id).and_then(|id| self.state.nodes.get(id));
                node.map(|node| node.shard) == shard
            };
            others.retain(inside);
        }
        for to in others {
            self.send(to, Payload::Publish(message.clone()));
        }
    }
}
