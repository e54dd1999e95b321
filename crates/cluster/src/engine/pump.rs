//! Takes out of Raft what it wants written, sent and applied. Must not know: what entries mean beyond their application.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message as _;
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeType, ConfChangeV2, Entry as RaftEntry, EntryType, MessageType, Snapshot,
};
use raft::{Ready, StateRole};

use super::leadership::Leadership;
use super::{
    Awaiting, Contact, Engine, Event, Persist, decode_snapshot_state, members_of, mix, timing, wire,
};
use crate::codec::{self, Malformed};
use crate::proto;
use crate::state::{Applied, Change, ClusterState, Entry, MemberChange, Rejected};

/// Entries that a compaction leaves before its snapshot, for those who are a little behind.
const KEEP: u64 = 256;
/// Bytes of the log in memory that bring a compaction before its time.
const MAX_LOG_BYTES: usize = 32 << 20;

impl Engine {
    /// After a start or a reset: a node that is the only voter need not wait to be elected.
    pub(super) fn begin_raft(&mut self) {
        self.contact = Contact {
            heard: self.clock.patient,
            ..Contact::default()
        };
        let voters = self.raft.raft.prs().conf().to_conf_state().voters;
        if voters == [self.meta.raft_id] {
            // It fails only for a node that is no voter.
            let _ = self.raft.campaign();
        }
        self.tame_election();
    }

    /// Draws the time until this voter asks for votes from our own random numbers; `raft` draws from the thread's.
    pub(super) fn tame_election(&mut self) {
        let raft = &mut self.raft.raft;
        self.elections = mix(raft.term, raft.state as u64);
        let draw = mix(mix(self.config.random, raft.id), self.elections);
        let spread = draw as usize % timing::ELECTION_SPREAD;
        raft.set_randomized_election_timeout(timing::ELECTION_TICKS + spread);
    }

    pub(super) fn pump(&mut self) {
        loop {
            self.tame_election();
            self.note_role();
            if !self.raft.has_ready() {
                return;
            }
            let ready = self.raft.ready();
            self.perform(ready);
        }
    }

    fn perform(&mut self, mut ready: Ready) {
        let number = ready.number();
        let mut persist = Persist {
            sync: ready.must_sync(),
            ..Persist::default()
        };
        let messages = ready.take_messages();
        let after = ready.take_persisted_messages();
        if let Some(hard_state) = ready.hs() {
            self.raft.mut_store().hard_state = hard_state.clone();
            persist.hard_state = Some(wire::encode_hard_state(hard_state));
        }
        let snapshot = (ready.snapshot().get_metadata().index > 0).then(|| ready.snapshot().clone());
        if let Some(snapshot) = &snapshot {
            persist.snapshot = Some(wire::encode_snapshot(snapshot));
            persist.clear_log = true;
            self.raft.mut_store().restore(snapshot.clone());
        }
        let entries = ready.take_entries();
        if !entries.is_empty() {
            persist.entries = entries.iter().map(wire::encode_entry).collect();
            self.raft.mut_store().append(&entries);
        }
        let committed = ready.take_committed_entries();
        self.raft.advance_append_async(ready);
        if let Some(snapshot) = snapshot {
            self.install(&snapshot);
        }
        self.apply_all(committed);
        for message in messages {
            self.send_raft(message);
        }

        let writes =
            persist.hard_state.is_some() || persist.snapshot.is_some() || !persist.entries.is_empty();
        if writes || !self.awaiting.is_empty() {
            // A heartbeat's answer promises nothing that is on disk.
            let (now, after): (Vec<_>, Vec<_>) = after
                .into_iter()
                .partition(|message| message.get_msg_type() == MessageType::MsgHeartbeatResponse);
            now.into_iter().for_each(|message| self.send_raft(message));
            let number_on_disk = self.write(persist);
            self.awaiting.push_back(Awaiting {
                number: number_on_disk,
                ready: number,
                messages: after,
            });
        } else {
            self.raft.on_persist_ready(number);
            after.into_iter().for_each(|message| self.send_raft(message));
        }
        self.compact();
        if let Some(index) = self.gone.take() {
            self.forgotten(index);
        }
    }

    pub(super) fn persisted(&mut self, number: u64) {
        self.persisted_number = self.persisted_number.max(number);
        self.unwritten_since = (self.persisted_number < self.persist_number).then_some(self.clock.patient);
        let mut done = None;
        while self.awaiting.front().is_some_and(|first| first.number <= number) {
            if let Some(first) = self.awaiting.pop_front() {
                done = Some(first.ready);
                first
                    .messages
                    .into_iter()
                    .for_each(|message| self.send_raft(message));
            }
        }
        if let Some(ready) = done {
            self.raft.on_persist_ready(ready);
            // A snapshot is applied when it comes; Raft takes that for done only when it is on disk.
            let raft = &self.raft.raft.raft_log;
            if let Some(index) = self.installed
                && index <= raft.persisted
            {
                self.installed = None;
                if index > raft.applied {
                    self.raft.advance_apply_to(index);
                }
            }
        }
    }

    /// Notices that this node began or ceased to lead.
    fn note_role(&mut self) {
        let raft = &self.raft.raft;
        let term = raft.term;
        if raft.state == StateRole::Leader {
            if self
                .leadership
                .as_ref()
                .is_none_or(|leadership| leadership.term != term)
            {
                let own = self.clock.patient.saturating_sub(self.contact.heard);
                let silence = self
                    .silences
                    .values()
                    .filter(|(of_term, _)| *of_term == term)
                    .map(|(_, silence)| *silence)
                    .fold(own, u64::min);
                let start_index = raft.raft_log.last_index();
                let alone = self.state.nodes.len() == 1;
                self.leadership = Some(Leadership::new(
                    term,
                    start_index,
                    self.clock.patient,
                    silence,
                    alone,
                    &self.timing,
                ));
                self.silences.clear();
                self.status_due = true;
            }
        } else {
            if self.leadership.take().is_some() {
                self.waiting.clear(); // their origins ask the new leader
                self.contact.heard = self.clock.patient;
            }
            if raft.leader_id != 0 && (self.contact.term < term || self.contact.leader != raft.leader_id) {
                self.contact = Contact {
                    term,
                    leader: raft.leader_id,
                    stamp: 0,
                    heard: self.clock.patient,
                };
                self.status_due = true;
            }
        }
    }

    /// Takes over the state of a snapshot that the leader sent. It was checked when it came.
    fn install(&mut self, snapshot: &Snapshot) {
        match decode_snapshot_state(&snapshot.data) {
            Ok(mut state) => {
                state.index = snapshot.get_metadata().index;
                self.installed = Some(state.index);
                self.members = members_of(&state);
                self.serving.restored(&state);
                self.state = Arc::new(state);
                self.proposals
                    .skipped(&self.state, self.meta.raft_id, &mut self.out);
                self.view_stale = true;
                self.status_due = true;
                self.out.events.push(Event::Replaced);
            }
            Err(why) => self.refuse(why),
        }
    }

    fn apply_all(&mut self, entries: Vec<RaftEntry>) {
        let Some(last) = entries.last().map(|entry| entry.index) else {
            return;
        };
        for entry in entries {
            if self.gone.is_none() && !self.halted {
                self.apply(&entry);
            }
        }
        self.raft.advance_apply_to(last);
    }

    fn apply(&mut self, entry: &RaftEntry) {
        let members = entry.get_entry_type() != EntryType::EntryNormal;
        let data = if members { &entry.context } else { &entry.data };
        let state = Arc::make_mut(&mut self.state);
        if data.is_empty() {
            state.index = entry.index;
            if members {
                // Raft leaves a joint configuration by itself.
                self.change_members(&ConfChangeV2::default());
            }
            return;
        }
        let (origin, number, change) = match decode_proposal(data) {
            Ok(proposal) => proposal,
            Err(why) => {
                self.halted = true;
                self.out.events.push(Event::Halted(why));
                return;
            }
        };
        let conf = members.then(|| member_changes(state, &change));
        let result = state.apply_proposal(entry.index, origin, number, &change);
        if let (Some(conf), Ok(Applied { changes, .. })) = (conf, &result)
            && !changes.is_empty()
        {
            self.change_members(&conf);
        }
        self.applied(entry.index, &result);
        if origin == self.meta.raft_id {
            self.answer(number, result);
        }
    }

    fn applied(&mut self, index: u64, result: &Result<Applied, Rejected>) {
        let Ok(applied) = result else { return };
        if applied.changes.is_empty() {
            return;
        }
        let state = Arc::clone(&self.state);
        self.serving.note(self.meta.node, index, &applied.changes, &state);
        self.view_stale = true;
        for change in &applied.changes {
            match change {
                Change::Joined(id) => {
                    let raft_id = state.nodes.get(id).map(|node| node.raft_id);
                    self.members.extend(raft_id.map(|raft_id| (raft_id, *id)));
                }
                Change::Left(_, raft_id) => drop(self.members.remove(raft_id)),
                Change::Slots { .. } | Change::Promoted { .. } | Change::Role(_) => self.status_due = true,
                Change::Moved(_)
                | Change::Voters
                | Change::Marks
                | Change::InSync(_)
                | Change::Migration(_)
                | Change::Acl(_)
                | Change::Functions
                | Change::Setting(_) => {}
            }
        }
        self.out.events.push(Event::Changed {
            index,
            changes: applied.changes.clone(),
        });
        if !state.nodes.contains_key(&self.meta.node) {
            self.gone = Some(index);
        }
    }

    fn change_members(&mut self, change: &ConfChangeV2) {
        // It fails for a change that does not fit the configuration; entries that do not are rejected before.
        let _ = self.raft.apply_conf_change(change);
    }

    /// Takes a snapshot of our own when the log has grown.
    fn compact(&mut self) {
        let log = self.raft.store();
        let applied = self.state.index;
        let begun = log.snapshot.get_metadata().index;
        let due = applied.saturating_sub(begun) >= self.config.snapshot_every.max(KEEP)
            || (log.bytes() > MAX_LOG_BYTES && applied > begun);
        // A new member takes only a snapshot that knows it.
        let may_lack_members = self.leadership.is_some() && applied > begun;
        if !(due || may_lack_members) || log.len() == 0 {
            return;
        }
        let conf = self.raft.raft.prs().conf().to_conf_state();
        if !due && *log.conf_state() == conf {
            return;
        }
        let Some(term) = log.term_of(applied) else { return };
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        metadata.index = applied;
        metadata.term = term;
        metadata.set_conf_state(conf);
        snapshot.set_data(codec::encode_state(&self.state).encode_to_vec().into());
        let keep_from = applied.saturating_sub(KEEP).max(1);
        let persist = Persist {
            snapshot: Some(wire::encode_snapshot(&snapshot)),
            compact_to: keep_from,
            ..Persist::default()
        };
        self.raft.mut_store().compact(snapshot, keep_from);
        self.write(persist);
    }
}

pub(super) fn decode_proposal(data: &[u8]) -> Result<(u64, u64, Entry), Malformed> {
    let proposal = proto::Proposal::decode(data).map_err(|_| Malformed("proposal"))?;
    let entry = proposal
        .entry
        .as_ref()
        .ok_or(Malformed("proposal without an entry"))?;
    Ok((proposal.origin, proposal.number, codec::decode_entry(entry)?))
}

/// How an entry changes the members of the Raft group. Made from the state and the entry alone, so that it is the same
/// where it is proposed and wherever it is applied.
pub(super) fn member_changes(state: &ClusterState, entry: &Entry) -> ConfChangeV2 {
    let mut wanted: BTreeMap<u64, ConfChangeType> = BTreeMap::new();
    match entry.member_change() {
        Some(MemberChange::Join(newcomer)) if !state.nodes.contains_key(&newcomer.id) => {
            wanted.insert(newcomer.raft_id, ConfChangeType::AddLearnerNode);
        }
        Some(MemberChange::Leave(node)) => {
            if let Some(node) = state.nodes.get(&node) {
                wanted.insert(node.raft_id, ConfChangeType::RemoveNode);
            }
        }
        Some(MemberChange::Voters(voters)) => {
            for node in state.nodes.values() {
                match (node.voter, voters.contains(&node.id)) {
                    (false, true) => wanted.insert(node.raft_id, ConfChangeType::AddNode),
                    (true, false) => wanted.insert(node.raft_id, ConfChangeType::AddLearnerNode),
                    (true, true) | (false, false) => None,
                };
            }
        }
        Some(MemberChange::Join(_)) | None => {}
    }
    let mut change = ConfChangeV2::default();
    for (node_id, kind) in wanted {
        let mut single = ConfChangeSingle {
            node_id,
            ..ConfChangeSingle::default()
        };
        single.set_change_type(kind);
        change.changes.push(single);
    }
    change
}
