//! Changes of the state on their way from this node into the log: numbered, sent to the leader until they are applied here,
//! and answered by what that gave. Must not know: what they change.

use std::collections::BTreeMap;

use super::{Engine, Event, Output, ProposeError, Token};
use crate::codec;
use crate::ids::RaftId;
use crate::proto::{self, envelope::Payload};
use crate::state::{Applied, ClusterState, Entry, FailoverKind, Rejected};

/// Proposals that wait, at most.
const MAX_PENDING: usize = 4096;
/// Proposals that may be on their way at once: well within what [`crate::state::Window`] remembers.
const IN_FLIGHT: u64 = 32;
/// Ticks after which a proposal is sent again.
const RESEND_TICKS: u64 = 8;

/// Who waits for the answer.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Local(Token),
    Internal,
    /// A node that wants to join, by the member that it will be.
    Join(Box<proto::JoinRequest>),
}

#[derive(Debug)]
pub(super) struct Pending {
    pub entry: Entry,
    pub purpose: Purpose,
    born: u64,
    sent: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Proposals {
    next: u64,
    pending: BTreeMap<u64, Pending>,
}

/// The life (count of starts) of its origin in which a proposal was numbered.
pub(super) fn life_of(number: u64) -> u64 {
    number >> 32
}

impl Proposals {
    /// Numbers go on over restarts: the start counts in their upper half.
    pub(super) fn new(boot: u64) -> Self {
        Self {
            next: boot << 32,
            pending: BTreeMap::new(),
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// A proposal of the local node, or of the engine itself; false if too many wait.
    pub(super) fn add(&mut self, token: Option<Token>, entry: Entry, tick: u64) -> bool {
        self.add_for(token.map_or(Purpose::Internal, Purpose::Local), entry, tick)
    }

    pub(super) fn add_for(&mut self, purpose: Purpose, entry: Entry, tick: u64) -> bool {
        if self.pending.len() >= MAX_PENDING {
            return false;
        }
        let number = self.number();
        self.pending.insert(
            number,
            Pending {
                entry,
                purpose,
                born: tick,
                sent: None,
            },
        );
        true
    }

    /// Whether the same waits already.
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        self.pending.values().any(|pending| pending.entry == *entry)
    }

    pub(super) fn joins(&self, raft_id: RaftId) -> bool {
        self.pending
            .values()
            .any(|pending| matches!(&pending.entry, Entry::NodeJoin(newcomer) if newcomer.raft_id == raft_id))
    }

    /// A snapshot came in place of entries: what of ours was in them is applied, with what result is not known.
    pub(super) fn skipped(&mut self, state: &ClusterState, me: RaftId, out: &mut Output) {
        let Some(window) = state.windows.get(&me).copied() else {
            return;
        };
        let gone: Vec<u64> = self
            .pending
            .keys()
            .copied()
            .filter(|number| window.has(*number))
            .collect();
        for number in gone {
            if let Some(Pending {
                purpose: Purpose::Local(token),
                ..
            }) = self.pending.remove(&number)
            {
                out.events.push(Event::Answer {
                    token,
                    result: Err(ProposeError::Unknown),
                });
            }
        }
    }

    /// Nothing of what waits will be answered.
    pub(super) fn abandon(&mut self, out: &mut Output) {
        for pending in std::mem::take(&mut self.pending).into_values() {
            if let Purpose::Local(token) = pending.purpose {
                out.events.push(Event::Answer {
                    token,
                    result: Err(ProposeError::Unknown),
                });
            }
        }
    }

    fn due(&mut self, tick: u64) -> Vec<(u64, Entry)> {
        let first = self.pending.keys().next().copied().unwrap_or(0);
        let mut due = Vec::new();
        for (number, pending) in self.pending.range_mut(first..first + IN_FLIGHT) {
            if pending.sent.is_none_or(|sent| tick >= sent + RESEND_TICKS) {
                pending.sent = Some(tick);
                due.push((*number, pending.entry.clone()));
            }
        }
        due
    }

    fn expired(&mut self, before: u64) -> Vec<Pending> {
        let old: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, p)| p.born < before)
            .map(|(number, _)| *number)
            .collect();
        old.into_iter()
            .filter_map(|number| self.pending.remove(&number))
            .collect()
    }
}

impl Engine {
    pub(super) fn propose(&mut self, token: Token, entry: Entry) {
        if !self.proposals.add(Some(token), entry, self.ticks) {
            self.out.events.push(Event::Answer {
                token,
                result: Err(ProposeError::Busy),
            });
        }
        self.flush_proposals();
    }

    pub(super) fn tick_proposals(&mut self) {
        let lifetime = self.timing.proposal_ms / self.timing.tick_ms;
        for pending in self.proposals.expired(self.ticks.saturating_sub(lifetime)) {
            self.given_up(&pending.entry);
            if let Purpose::Local(token) = pending.purpose {
                self.out.events.push(Event::Answer {
                    token,
                    result: Err(ProposeError::Unknown),
                });
            }
        }
        self.flush_proposals();
    }

    pub(super) fn flush_proposals(&mut self) {
        let leader = self.contact.leader;
        let leads = self.established();
        if self.joining.is_some() || !(leads || (leader != 0 && self.in_contact())) {
            return;
        }
        for (number, entry) in self.proposals.due(self.ticks) {
            let proposal = proto::Proposal {
                origin: self.meta.raft_id,
                number,
                entry: Some(codec::encode_entry(&entry)),
            };
            if leads {
                self.lead_proposal(proposal);
            } else {
                self.send(
                    leader,
                    Payload::Propose(proto::Propose {
                        proposal: Some(proposal),
                    }),
                );
            }
        }
    }

    /// One of our proposals was applied here.
    pub(super) fn answer(&mut self, number: u64, result: Result<Applied, Rejected>) {
        let Some(pending) = self.proposals.pending.remove(&number) else {
            return;
        };
        if result.is_err() {
            self.given_up(&pending.entry);
        }
        match pending.purpose {
            Purpose::Local(token) => {
                self.out.events.push(Event::Answer {
                    token,
                    result: result.map_err(ProposeError::Rejected),
                });
            }
            Purpose::Internal => {}
            Purpose::Join(request) => self.answer_join(&request, result),
        }
    }

    fn given_up(&mut self, entry: &Entry) {
        if let (
            Entry::Failover {
                fence,
                kind: FailoverKind::Automatic,
                ..
            },
            Some(leadership),
        ) = (entry, &mut self.leadership)
        {
            leadership.failover_failed(fence.shard);
        }
    }
}
