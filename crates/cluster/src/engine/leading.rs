//! What this node does while it leads: answers statuses, replaces dead primaries and lost voters, puts proposals into the
//! log. Must not know: how evidence is judged (see `leadership`).

use std::collections::BTreeSet;

use prost::Message as _;
use raft::eraftpb::ConfChangeV2;
use raft::{ProgressState, SnapshotStatus};

use super::proposals::life_of;
use super::pump::member_changes;
use super::voters::{self, Health};
use super::{Engine, codec, proto, timing};
use crate::ids::{NodeId, RaftId};
use crate::proto::envelope::Payload;
use crate::state::{Entry, Node};

/// Changes of members that wait for the one before.
const MAX_WAITING: usize = 256;
/// Entries that a node may lack to be a good voter.
const CAUGHT_UP: u64 = 200;

impl Engine {
    /// Whether this node leads and knows everything that leaders before it have committed.
    pub(super) fn established(&self) -> bool {
        self.leadership
            .as_ref()
            .is_some_and(|leadership| self.state.index >= leadership.start_index)
    }

    /// Whether no other node can lead now.
    fn leads_alone(&self) -> bool {
        let prs = self.raft.raft.prs();
        self.leadership.as_ref().is_some_and(|leadership| {
            let held = |voter: &RaftId| {
                *voter == self.meta.raft_id || leadership.is_held_by(*voter, self.clock.eager, &self.timing)
            };
            // Of both configurations, if there are two.
            prs.has_quorum(&prs.conf().voters().ids().iter().filter(held).collect())
        })
    }

    /// A leader that cannot write its log learns nothing of what the others agree on: one of them has to lead.
    pub(super) fn hand_over_if_stuck(&mut self) {
        if self.leadership.is_none()
            || !self.ticks.is_multiple_of(timing::ELECTION_TICKS as u64)
            || !self.stuck(self.timing.stuck_ms)
        {
            return;
        }
        let me = self.meta.node;
        let fit = self.state.voters().filter(|node| node.id != me);
        let fit = fit.filter(|node| self.health_of(node.id) == Health::Fit);
        let prs = self.raft.raft.prs();
        let matched = |node: &&Node| prs.get(node.raft_id).map_or(0, |progress| progress.matched);
        if let Some(to) = fit.max_by_key(matched).map(|node| node.raft_id) {
            self.raft.transfer_leader(to);
        }
    }

    /// A message may be lost, but Raft sends nothing to a member that it has sent a snapshot until it hears of it.
    fn send_lost_snapshots_again(&mut self) {
        let Some(leadership) = &mut self.leadership else {
            return;
        };
        let members = self.raft.raft.prs().iter();
        let sent = members
            .filter(|(_, progress)| progress.state == ProgressState::Snapshot)
            .map(|(member, progress)| (*member, progress.pending_snapshot));
        for member in leadership.lost_snapshots(sent, self.clock.patient, &self.timing) {
            self.raft.report_snapshot(member, SnapshotStatus::Failure);
        }
    }

    pub(super) fn lead(&mut self) {
        if self.ticks.is_multiple_of(20) {
            // Also of a leader that has nothing agreed yet: it may be a lost snapshot that keeps it from that.
            self.send_lost_snapshots_again();
        }
        if !self.established() || !self.leads_alone() {
            return;
        }
        let now = self.clock.patient;
        let Some(leadership) = &mut self.leadership else {
            return;
        };
        if leadership.look(&self.state, now, &self.timing) {
            let down = leadership
                .down
                .iter()
                .filter_map(|id| self.members.get(id).copied())
                .collect();
            self.health = leadership.health;
            self.told_down(down);
        }
        let Some(leadership) = &mut self.leadership else {
            return;
        };
        for entry in leadership.failovers(&self.state, now, &self.timing) {
            self.proposals.add(None, entry, self.ticks);
        }
        if self.ticks.is_multiple_of(20) {
            self.choose_voters();
        }
        self.propose_members();
    }

    pub(super) fn heard_status(&mut self, from: RaftId, status: &proto::Status) {
        if !self.established() {
            return;
        }
        let alone = self.leads_alone();
        let now = self.clock.patient;
        let Some(node) = self.members.get(&from).and_then(|id| self.state.nodes.get(id)) else {
            if alone {
                self.send(
                    from,
                    Payload::NotMember(proto::NotMember {
                        index: self.state.index,
                    }),
                );
            }
            return;
        };
        let Some(leadership) = &mut self.leadership else {
            return;
        };
        if !leadership.heard(from, now, status) {
            return;
        }
        let must_know = self.serving.must_know(node.id);
        let serve = alone && leadership.grant(node, now, status, &self.state, must_know, &self.timing);
        let losses = self.serving.losses.iter();
        let safe_index = if alone {
            leadership.safe_index(&self.state, losses, now, &self.timing)
        } else {
            0
        };
        let news = status.health != leadership.health;
        let grant = proto::Grant {
            term: leadership.term,
            sent: status.sent,
            boot: status.boot,
            serve,
            shard_epoch: status.shard_epoch,
            lease_ms: self.timing.lease_ms,
            safe_index,
            health: leadership.health,
            has_down: news,
            down: if news { leadership.down.clone() } else { Vec::new() },
        };
        if from == self.meta.raft_id {
            self.serving_granted_to_self(&grant);
        } else {
            self.send(from, Payload::Grant(grant));
        }
    }

    fn serving_granted_to_self(&mut self, grant: &proto::Grant) {
        if grant.serve {
            self.serving
                .granted(grant.sent + grant.lease_ms, grant.shard_epoch);
        }
        self.view_stale |= self.serving.safe_up_to(grant.safe_index);
    }

    fn health_of(&self, id: NodeId) -> Health {
        let (Some(node), Some(leadership)) = (self.state.nodes.get(&id), &self.leadership) else {
            return Health::Lost;
        };
        let now = self.clock.patient;
        if id == self.meta.node {
            return Health::Fit;
        }
        if leadership.lost(node.raft_id, now, &self.timing) {
            return Health::Lost;
        }
        let raft = &self.raft.raft;
        let matched = raft
            .prs()
            .get(node.raft_id)
            .map_or(0, |progress| progress.matched);
        let caught_up = matched + CAUGHT_UP >= raft.raft_log.committed;
        if caught_up && leadership.alive(node.raft_id, now, &self.timing) {
            Health::Fit
        } else {
            Health::Doubtful
        }
    }

    fn choose_voters(&mut self) {
        if self.members_busy() || !self.waiting.is_empty() {
            return;
        }
        let chosen = voters::choose(
            &self.state,
            self.meta.node,
            self.config.max_voters,
            |id| self.health_of(id),
            None,
        );
        if let Some(voters) = chosen {
            self.propose_voters(voters);
        }
    }

    fn propose_voters(&mut self, voters: Vec<NodeId>) {
        let number = self.proposals.number();
        let entry = Entry::SetVoters { voters };
        let proposal = proto::Proposal {
            origin: self.meta.raft_id,
            number,
            entry: Some(codec::encode_entry(&entry)),
        };
        self.propose_change(&proposal, member_changes(&self.state, &entry));
    }

    /// A proposal, of this or another node, for the log. It may be lost; its origin asks again.
    pub(super) fn lead_proposal(&mut self, mut proposal: proto::Proposal) {
        if !self.established() || self.joining.is_some() {
            return;
        }
        let Some(Ok(mut entry)) = proposal.entry.as_ref().map(codec::decode_entry) else {
            return;
        };
        if self.judge(&mut entry, proposal.origin, proposal.number) {
            proposal.entry = Some(codec::encode_entry(&entry));
        }
        if entry.changes_members() {
            let known = self
                .waiting
                .iter()
                .any(|(p, _)| p.origin == proposal.origin && p.number == proposal.number);
            if !known && self.waiting.len() < MAX_WAITING {
                self.waiting.push_back((proposal, entry));
            }
            self.propose_members();
        } else {
            // It fails when too much is waiting already.
            let _ = self.raft.propose(Vec::new(), proposal.encode_to_vec());
        }
    }

    /// Writes into an entry what only the leader knows: the life in which a replica takes over; and takes out what a primary
    /// says of its replicas that has lost its data. Whether it changed the entry.
    fn judge(&self, entry: &mut Entry, origin: RaftId, number: u64) -> bool {
        let Some(leadership) = &self.leadership else {
            return false;
        };
        match entry {
            Entry::Failover { to, kind, life, .. } => {
                let node = self.state.nodes.get(to);
                *life = node.map_or(0, |node| leadership.life_to_promote(node.raft_id, *kind, *life));
                true
            }
            Entry::InSync { fence, add, remove } => {
                let shard = self.state.shards.get(&fence.shard);
                let primary = shard.and_then(|shard| self.state.nodes.get(&shard.primary));
                let knows = shard.zip(primary).is_some_and(|(shard, primary)| {
                    primary.raft_id == origin && leadership.has_data_in(shard, origin, life_of(number))
                });
                if !knows {
                    // It is answered all the same.
                    add.clear();
                    remove.clear();
                }
                !knows
            }
            _ => false,
        }
    }

    /// Whether a change of members is on its way: the next one waits for it.
    fn members_busy(&self) -> bool {
        let raft = &self.raft.raft;
        raft.has_pending_conf() || !raft.prs().conf().to_conf_state().voters_outgoing.is_empty()
    }

    /// Puts the next change of members into the log.
    pub(super) fn propose_members(&mut self) {
        while !self.members_busy()
            && self.established()
            && let Some((proposal, entry)) = self.waiting.front().cloned()
        {
            let leaving = if let Entry::NodeLeave { node } = &entry {
                self.state
                    .nodes
                    .get(node)
                    .filter(|node| node.voter)
                    .map(|node| node.id)
            } else {
                None
            };
            let result = self.state.as_ref().clone().apply(self.state.index, &entry);
            let valid = result.is_ok();
            let can_retire = valid
                || (matches!(result, Err(crate::state::Rejected::InvalidVoters))
                    && self.fit_other().is_some());
            if let (Some(node), true) = (leaving, can_retire) {
                self.retire(node);
                return;
            }
            self.waiting.pop_front();
            let change = member_changes(&self.state, &entry);
            let demoted = matches!(&entry, Entry::SetVoters { voters } if !voters.contains(&self.meta.node));
            if demoted {
                continue;
            }
            if change.changes.is_empty() || !valid {
                // It goes through the log to be answered there.
                let _ = self.raft.propose(Vec::new(), proposal.encode_to_vec());
            } else {
                self.propose_change(&proposal, change);
            }
        }
    }

    fn propose_change(&mut self, proposal: &proto::Proposal, change: ConfChangeV2) {
        let _ = self.raft.propose_conf_change(proposal.encode_to_vec(), change);
    }

    fn fit_other(&self) -> Option<NodeId> {
        let me = self.meta.node;
        self.state
            .nodes
            .keys()
            .find(|id| **id != me && self.health_of(**id) == Health::Fit)
            .copied()
    }

    /// A voter is about to leave: first another votes in its place, and another leads.
    fn retire(&mut self, node: NodeId) {
        let me = self.meta.node;
        if node != me {
            let health = |id| self.health_of(id);
            let chosen = voters::choose(&self.state, me, self.config.max_voters, health, Some(node));
            if let Some(voters) = chosen {
                self.propose_voters(voters);
            }
            return;
        }
        let others: BTreeSet<NodeId> = self
            .state
            .voters()
            .map(|n| n.id)
            .filter(|id| *id != me && self.health_of(*id) == Health::Fit)
            .collect();
        let progress = |id: &NodeId| {
            let raft_id = self.state.nodes.get(id).map_or(0, |node| node.raft_id);
            (
                self.raft
                    .raft
                    .prs()
                    .get(raft_id)
                    .map_or(0, |progress| progress.matched),
                raft_id,
            )
        };
        match others.iter().map(progress).max() {
            Some((_, raft_id)) => {
                self.waiting.pop_front();
                self.raft.transfer_leader(raft_id);
            }
            None => match self.fit_other() {
                Some(other) => self.propose_voters(vec![me, other]),
                None => drop(self.waiting.pop_front()),
            },
        }
    }
}
