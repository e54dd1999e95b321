//! Raft's messages and ours: field by field, both ways. The types of the crate `raft` are filled here from our own
//! messages, so its protobuf never reads what came from the network or a disk (ADR 0018). What would make `raft` stop the
//! process is refused here. Must not know: who sent it.

use raft::eraftpb::{
    ConfState, Entry, EntryType, HardState, Message, MessageType, Snapshot, SnapshotMetadata,
};

use crate::codec::Malformed;
use crate::proto;

/// Entries of one message.
const MAX_ENTRIES: usize = 100_000;
/// Terms and indexes that no cluster will ever reach: the sums that `raft` makes of them must not overflow.
const MAX_NUMBER: u64 = 1 << 60;

pub(crate) fn encode_message(message: Message) -> Option<proto::RaftMessage> {
    Some(proto::RaftMessage {
        kind: kind_number(message.get_msg_type())?,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.entries.iter().map(encode_entry).collect(),
        commit: message.commit,
        commit_term: message.commit_term,
        snapshot: message
            .snapshot
            .as_ref()
            .filter(|s| s.get_metadata().index > 0)
            .map(encode_snapshot),
        request_snapshot: message.request_snapshot,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        priority: message.priority,
    })
}

pub(crate) fn decode_message(from: u64, to: u64, m: proto::RaftMessage) -> Result<Message, Malformed> {
    let mut message = Message::default();
    message.set_msg_type(kind(m.kind).ok_or(Malformed("kind of a raft message"))?);
    let numbers = [
        m.term,
        m.log_term,
        m.index,
        m.commit,
        m.commit_term,
        m.reject_hint,
    ];
    let is_large = |number: &u64| *number > MAX_NUMBER;
    if from == 0 || m.term == 0 || m.entries.len() > MAX_ENTRIES || numbers.iter().any(is_large) {
        return Err(Malformed("raft message"));
    }
    for (entry, index) in m.entries.iter().zip(m.index + 1..) {
        if entry.index != index || entry.term > m.term || entry.term < m.log_term {
            return Err(Malformed("entries of a raft message"));
        }
    }
    message.from = from;
    message.to = to;
    message.term = m.term;
    message.log_term = m.log_term;
    message.index = m.index;
    message.set_entries(m.entries.into_iter().map(decode_entry).collect());
    message.commit = m.commit;
    message.commit_term = m.commit_term;
    if message.get_msg_type() == MessageType::MsgSnapshot {
        message.set_snapshot(decode_snapshot(m.snapshot.ok_or(Malformed("snapshot"))?)?);
    }
    message.request_snapshot = m.request_snapshot;
    message.reject = m.reject;
    message.reject_hint = m.reject_hint;
    message.context = m.context;
    message.priority = m.priority;
    Ok(message)
}

pub(crate) fn encode_entry(entry: &Entry) -> proto::LogEntry {
    proto::LogEntry {
        index: entry.index,
        term: entry.term,
        members: entry.get_entry_type() != EntryType::EntryNormal,
        data: if entry.get_entry_type() == EntryType::EntryNormal {
            entry.data.clone()
        } else {
            entry.context.clone()
        },
    }
}

pub(crate) fn decode_entry(m: proto::LogEntry) -> Entry {
    let mut entry = Entry {
        index: m.index,
        term: m.term,
        ..Entry::default()
    };
    if m.members {
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        entry.context = m.data;
    } else {
        entry.data = m.data;
    }
    entry
}

pub(crate) fn encode_snapshot(snapshot: &Snapshot) -> proto::Snapshot {
    let metadata = snapshot.get_metadata();
    let conf = metadata.get_conf_state();
    proto::Snapshot {
        index: metadata.index,
        term: metadata.term,
        members: Some(proto::Members {
            voters: conf.voters.clone(),
            learners: conf.learners.clone(),
            voters_outgoing: conf.voters_outgoing.clone(),
            learners_next: conf.learners_next.clone(),
            auto_leave: conf.auto_leave,
        }),
        data: snapshot.data.clone(),
    }
}

pub(crate) fn decode_snapshot(m: proto::Snapshot) -> Result<Snapshot, Malformed> {
    let members = m.members.ok_or(Malformed("members of a snapshot"))?;
    if members.voters.is_empty() || m.index == 0 || m.index.max(m.term) > MAX_NUMBER {
        return Err(Malformed("members of a snapshot"));
    }
    let mut conf = ConfState::default();
    conf.set_voters(members.voters);
    conf.set_learners(members.learners);
    conf.set_voters_outgoing(members.voters_outgoing);
    conf.set_learners_next(members.learners_next);
    conf.set_auto_leave(members.auto_leave);
    let mut metadata = SnapshotMetadata {
        index: m.index,
        term: m.term,
        ..SnapshotMetadata::default()
    };
    metadata.set_conf_state(conf);
    let mut snapshot = Snapshot::default();
    snapshot.set_metadata(metadata);
    snapshot.set_data(m.data);
    Ok(snapshot)
}

pub(crate) fn encode_hard_state(state: &HardState) -> proto::HardState {
    proto::HardState {
        term: state.term,
        vote: state.vote,
        commit: state.commit,
    }
}

pub(crate) fn decode_hard_state(m: &proto::HardState) -> HardState {
    HardState {
        term: m.term,
        vote: m.vote,
        commit: m.commit,
        ..HardState::default()
    }
}

/// The numbers of messages on the wire: those that Raft's members send each other.
const KINDS: [(u32, MessageType); 10] = [
    (3, MessageType::MsgAppend),
    (4, MessageType::MsgAppendResponse),
    (5, MessageType::MsgRequestVote),
    (6, MessageType::MsgRequestVoteResponse),
    (7, MessageType::MsgSnapshot),
    (8, MessageType::MsgHeartbeat),
    (9, MessageType::MsgHeartbeatResponse),
    (14, MessageType::MsgTimeoutNow),
    (17, MessageType::MsgRequestPreVote),
    (18, MessageType::MsgRequestPreVoteResponse),
];

fn kind_number(kind: MessageType) -> Option<u32> {
    KINDS
        .iter()
        .find(|(_, known)| *known == kind)
        .map(|(number, _)| *number)
}

fn kind(number: u32) -> Option<MessageType> {
    KINDS
        .iter()
        .find(|(known, _)| *known == number)
        .map(|(_, kind)| *kind)
}
