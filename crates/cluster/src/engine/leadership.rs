//! What a leader knows and decides: who is alive, who may serve, who takes the place of a dead primary. All of it is
//! evidence that it gathers in its term; nothing of it is replicated. Must not know: messages, Raft's log.
//!
//! A primary that has restarted may have lost its data, and no leader need have seen that it was away. So its data count for
//! the shard's in the life in which it was promoted, by the state, or in which it had a lease, by its own word. In another
//! life a replica in sync takes over; it begins anew only where no such replica may have more than it has.

use std::collections::BTreeMap;

use super::serving::Loss;
use super::timing::Timing;
use crate::ids::{NodeId, RaftId, ShardId};
use crate::proto;
use crate::state::{ClusterState, Entry, FailoverKind, Fence, Node, Shard};

/// What the leader knows of a node, by its last status.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence {
    /// When its last status came, on the patient clock.
    heard: u64,
    sent: u64,
    boot: u64,
    pub applied: u64,
    offset: u64,
    ready: bool,
    priority: u32,
    /// The epoch as the primary of which it had a lease in this life.
    admitted: u64,
    kept: bool,
    loaded: bool,
    /// When it last got a lease, and in which of its lives.
    granted: Option<(u64, u64)>,
}

impl Evidence {
    /// Whether the data of this node, the primary, are the shard's: it has not restarted since it was promoted, or has had a
    /// lease since it restarted.
    fn has_data_of(&self, shard: &Shard) -> bool {
        self.admitted == shard.epoch || (shard.life != 0 && shard.life == self.boot)
    }
}

/// One term of a leader.
#[derive(Debug)]
pub(crate) struct Leadership {
    pub term: u64,
    /// The first entry of this term: what was before is known once it is applied.
    pub start_index: u64,
    since: u64,
    /// By then every lease that a leader before granted is over, on the patient clock.
    fence_until: u64,
    evidence: BTreeMap<RaftId, Evidence>,
    /// The newest stamp of ours that each voter has answered, on the eager clock.
    acked: BTreeMap<RaftId, u64>,
    /// Failovers that were proposed, by the shard's epoch then: its primary gets no lease any more.
    failing: BTreeMap<ShardId, u64>,
    /// Grows with each change of `down`.
    pub health: u64,
    pub down: Vec<RaftId>,
    /// Members that were sent a snapshot: its index, and when that was noticed.
    snapshots: BTreeMap<RaftId, (u64, u64)>,
}

impl Leadership {
    /// A term begins. `silence` is for how long every voter of the majority that voted had heard of no leader before: a
    /// leader that they would have followed granted nothing since, but for what they had answered then.
    pub(crate) fn new(
        term: u64,
        start_index: u64,
        now: u64,
        silence: u64,
        alone: bool,
        timing: &Timing,
    ) -> Self {
        let fence = (timing.lease_over_ms + timing.leader_lease_ms).saturating_sub(silence);
        Self {
            term,
            start_index,
            since: now,
            fence_until: if alone { 0 } else { now + fence },
            evidence: BTreeMap::new(),
            acked: BTreeMap::new(),
            failing: BTreeMap::new(),
            health: 1,
            down: Vec::new(),
            snapshots: BTreeMap::new(),
        }
    }

    /// A voter has answered what was sent at `stamp`.
    pub(crate) fn acknowledged(&mut self, voter: RaftId, stamp: u64) {
        let newest = self.acked.entry(voter).or_default();
        *newest = stamp.max(*newest);
    }

    /// Whether this voter will elect no other leader yet; `now` on the eager clock.
    pub(crate) fn is_held_by(&self, voter: RaftId, now: u64, timing: &Timing) -> bool {
        let stamp = self.acked.get(&voter).copied().unwrap_or(0);
        stamp > 0 && stamp + timing.leader_lease_ms > now
    }

    /// Notes a status; false if it is older than the last one.
    pub(crate) fn heard(&mut self, from: RaftId, now: u64, status: &proto::Status) -> bool {
        let evidence = self.evidence.entry(from).or_default();
        if (status.boot, status.sent) < (evidence.boot, evidence.sent) {
            return false;
        }
        *evidence = Evidence {
            heard: now,
            sent: status.sent,
            boot: status.boot,
            applied: status.applied,
            offset: status.offset,
            ready: status.ready,
            priority: status.priority,
            admitted: if status.admitted { status.shard_epoch } else { 0 },
            kept: status.kept,
            loaded: status.loaded,
            granted: evidence.granted,
        };
        true
    }

    /// Whether the node that sent this status may serve as a primary; notes the lease if so. The caller has checked that
    /// this leader's own lease holds.
    pub(crate) fn grant(
        &mut self,
        node: &Node,
        now: u64,
        status: &proto::Status,
        state: &ClusterState,
        must_know: u64,
        timing: &Timing,
    ) -> bool {
        let (Some(shard), Some(evidence)) = (state.shards.get(&node.shard), self.evidence.get(&node.raft_id))
        else {
            return false;
        };
        let fits = shard.primary == node.id && shard.epoch == status.shard_epoch && status.ready;
        // What it lost it must know of, or it would serve that, too.
        let knows = status.applied >= must_know;
        if !fits || !knows || self.failing.get(&shard.id) == Some(&shard.epoch) {
            return false;
        }
        if !evidence.has_data_of(shard) && !self.may_begin_anew(state, shard, evidence.kept, now, timing) {
            return false;
        }
        if let Some(evidence) = self.evidence.get_mut(&node.raft_id) {
            evidence.granted = Some((now, status.boot));
        }
        true
    }

    /// Whether a primary that has restarted is the best that the shard has: no replica in sync can take over, and none that
    /// may have more can come back. Who has `kept` its data waits for nobody that is silent.
    fn may_begin_anew(
        &self,
        state: &ClusterState,
        shard: &Shard,
        kept: bool,
        now: u64,
        timing: &Timing,
    ) -> bool {
        let has_less = |id: &NodeId| {
            let Some(raft_id) = state.nodes.get(id).map(|node| node.raft_id) else {
                return true;
            };
            match self.evidence.get(&raft_id) {
                Some(replica) if self.alive(raft_id, now, timing) => {
                    kept || (replica.loaded && !(replica.ready || replica.kept))
                }
                Some(_) | None => kept && self.presumed_dead(raft_id, now, timing),
            }
        };
        shard.in_sync.iter().all(has_less) && self.choose(state, shard, !kept, now, timing).is_none()
    }

    /// Whether this member, the primary, has the shard's data in this life.
    pub(crate) fn has_data_in(&self, shard: &Shard, primary: RaftId, life: u64) -> bool {
        let evidence = self.evidence.get(&primary);
        evidence.is_some_and(|e| e.boot == life && e.has_data_of(shard))
    }

    /// The life in which this node is to take over a shard, if it may: the one that the leader chose it for, or one in which it is
    /// whole. 0: none.
    pub(crate) fn life_to_promote(&self, raft_id: RaftId, kind: FailoverKind, chosen: u64) -> u64 {
        let Some(evidence) = self.evidence.get(&raft_id) else {
            return 0;
        };
        let may = match kind {
            FailoverKind::Automatic => evidence.boot == chosen,
            FailoverKind::Manual => evidence.ready,
            FailoverKind::Forced => true,
        };
        if may { evidence.boot } else { 0 }
    }

    /// Whether no lease of this node holds any more.
    fn lease_over(&self, raft_id: RaftId, now: u64, timing: &Timing) -> bool {
        let evidence = self.evidence.get(&raft_id);
        now >= self.fence_until
            && match evidence.and_then(|e| e.granted.map(|granted| (e.boot, granted))) {
                Some((boot, (at, granted_boot))) => boot > granted_boot || now >= at + timing.lease_over_ms,
                None => true,
            }
    }

    /// The highest index up to which every loser of slots has stopped serving them.
    pub(crate) fn safe_index<'a>(
        &self,
        state: &ClusterState,
        losses: impl Iterator<Item = &'a Loss>,
        now: u64,
        timing: &Timing,
    ) -> u64 {
        let open = losses
            .filter(|loss| match loss.loser {
                Some(loser) => {
                    let knows = self.evidence.get(&loser).is_some_and(|e| e.applied >= loss.index);
                    !knows && !self.lease_over(loser, now, timing)
                }
                None => now < self.fence_until,
            })
            .map(|loss| loss.index)
            .min();
        open.map_or(state.index, |index| index.saturating_sub(1))
    }

    fn silent(&self, raft_id: RaftId, now: u64) -> u64 {
        let heard = self.evidence.get(&raft_id).map_or(0, |evidence| evidence.heard);
        now.saturating_sub(heard.max(self.since))
    }

    /// Whether a node was heard of in time. One that was not yet heard of in this term is not alive, nor dead before
    /// [`Leadership::presumed_dead`].
    pub(crate) fn alive(&self, raft_id: RaftId, now: u64, timing: &Timing) -> bool {
        self.evidence.contains_key(&raft_id) && self.silent(raft_id, now) < timing.lease_over_ms
    }

    /// Whether a node is dead as far as this leader can tell: silent for the time of a lease in this term, or never
    /// heard of in it until every lease of a leader before is over.
    pub(crate) fn presumed_dead(&self, raft_id: RaftId, now: u64, timing: &Timing) -> bool {
        match self.evidence.get(&raft_id) {
            Some(_) => self.silent(raft_id, now) >= timing.lease_over_ms,
            None => now >= self.fence_until && self.silent(raft_id, now) >= timing.tick_ms * 6,
        }
    }

    /// Whether a voter is silent for so long that another takes its vote.
    pub(crate) fn lost(&self, raft_id: RaftId, now: u64, timing: &Timing) -> bool {
        self.silent(raft_id, now) >= timing.replace_voter_ms
    }

    /// Looks who is dead; true if that changed.
    pub(crate) fn look(&mut self, state: &ClusterState, now: u64, timing: &Timing) -> bool {
        let down: Vec<RaftId> = state
            .nodes
            .values()
            .map(|node| node.raft_id)
            .filter(|raft_id| self.presumed_dead(*raft_id, now, timing))
            .collect();
        let changed = down != self.down;
        if changed {
            self.down = down;
            self.health += 1;
        }
        changed
    }

    /// The failovers that are due: a primary is dead, or has lost what it had in memory, or says that it is not fit to
    /// serve; its lease is over, and an in-sync replica lives. Each is noted, so that its primary gets no lease any more.
    pub(crate) fn failovers(&mut self, state: &ClusterState, now: u64, timing: &Timing) -> Vec<Entry> {
        let mut entries = Vec::new();
        for shard in state.shards.values() {
            let due = match state.nodes.get(&shard.primary) {
                Some(primary) => {
                    let evidence = self.evidence.get(&primary.raft_id);
                    let restarted = evidence.is_some_and(|e| !e.has_data_of(shard));
                    let unfit = evidence.is_some_and(|e| !e.ready);
                    (restarted || unfit || self.presumed_dead(primary.raft_id, now, timing))
                        && self.lease_over(primary.raft_id, now, timing)
                }
                None => false,
            };
            if !due || self.failing.get(&shard.id) == Some(&shard.epoch) {
                continue;
            }
            let primary = state.nodes.get(&shard.primary).map_or(0, |node| node.raft_id);
            let is_empty = self
                .evidence
                .get(&primary)
                .is_some_and(|e| self.alive(primary, now, timing) && !e.has_data_of(shard) && !e.kept);
            if let Some((to, life)) = self.choose(state, shard, is_empty, now, timing) {
                self.failing.insert(shard.id, shard.epoch);
                entries.push(Entry::Failover {
                    fence: Fence {
                        shard: shard.id,
                        epoch: shard.epoch,
                    },
                    to,
                    kind: FailoverKind::Automatic,
                    life,
                });
            }
        }
        entries
    }

    /// Which of these members, to whom a snapshot of this index is on its way, have said nothing of it for so long that it is
    /// taken for lost.
    pub(crate) fn lost_snapshots(
        &mut self,
        sent: impl Iterator<Item = (RaftId, u64)>,
        now: u64,
        timing: &Timing,
    ) -> Vec<RaftId> {
        let before = std::mem::take(&mut self.snapshots);
        let mut lost = Vec::new();
        for (member, index) in sent {
            let since = match before.get(&member) {
                Some((same, since)) if *same == index => *since,
                Some(_) | None => now,
            };
            if now.saturating_sub(since) >= timing.snapshot_ms {
                lost.push(member);
            } else {
                self.snapshots.insert(member, (index, since));
            }
        }
        lost
    }

    /// A failover that was proposed did not come into the log.
    pub(crate) fn failover_failed(&mut self, shard: ShardId) {
        self.failing.remove(&shard);
    }

    /// The best replica in sync, and its life: alive, whole, allowed; then the one that has most, then the one that the
    /// operator prefers (a lower priority number), then the smaller name. Where the primary `is_empty`, what a replica has
    /// kept in its files will do.
    fn choose(
        &self,
        state: &ClusterState,
        shard: &Shard,
        is_empty: bool,
        now: u64,
        timing: &Timing,
    ) -> Option<(NodeId, u64)> {
        let in_sync = shard.in_sync.iter().copied();
        in_sync
            .filter_map(|id| {
                let raft_id = state.nodes.get(&id)?.raft_id;
                let evidence = self.evidence.get(&raft_id)?;
                let has_data = evidence.ready || (is_empty && evidence.kept);
                let fit = self.alive(raft_id, now, timing) && has_data && evidence.priority > 0;
                let rank = (
                    !evidence.ready,
                    std::cmp::Reverse(evidence.offset),
                    evidence.priority,
                    id,
                );
                fit.then_some((rank, evidence.boot))
            })
            .min()
            .map(|((_, _, _, id), life)| (id, life))
    }
}
