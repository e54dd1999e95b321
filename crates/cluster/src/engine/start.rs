//! How a node begins: from nothing, from what is on disk, as a member with an empty log. Must not know: what happens then.

use std::collections::BTreeMap;

use raft::RawNode;

use super::log::Log;
use super::{Meta, timing, wire};
use crate::codec::{self, Malformed};
use crate::ids::{NodeId, RaftId};
use crate::proto;
use crate::slots::SlotSet;
use crate::state::{ClusterState, Endpoint, Newcomer};

use super::io::Restored;

/// The log and the state of a node alone.
pub(super) fn founded(meta: &Meta, endpoint: &Endpoint) -> Result<(Log, ClusterState), Malformed> {
    let founder = Newcomer {
        id: meta.node,
        raft_id: meta.raft_id,
        endpoint: endpoint.clone(),
        shard: meta.shard,
        slots: SlotSet::new(),
    };
    let state = ClusterState::founded(meta.cluster, founder).map_err(|_| Malformed("own address"))?;
    let message = proto::Snapshot {
        index: 1,
        term: 1,
        members: Some(proto::Members {
            voters: vec![meta.raft_id],
            ..proto::Members::default()
        }),
        data: prost::Message::encode_to_vec(&codec::encode_state(&state)).into(),
    };
    let hard_state = wire::decode_hard_state(&proto::HardState {
        term: 1,
        vote: 0,
        commit: 1,
    });
    Ok((Log::new(wire::decode_snapshot(message)?, hard_state), state))
}

/// The log and the state of the last start.
pub(super) fn restore(restored: &Restored, meta: &Meta) -> Result<(Log, ClusterState), Malformed> {
    let hard_state = restored
        .hard_state
        .as_ref()
        .map(wire::decode_hard_state)
        .unwrap_or_default();
    let Some(snapshot) = restored.snapshot.clone() else {
        // It was about to join and got nothing yet.
        if hard_state.commit > 0 {
            return Err(Malformed("a commit index without a log"));
        }
        return Ok((
            Log::new(Default::default(), hard_state),
            ClusterState::empty(meta.cluster),
        ));
    };
    let snapshot = wire::decode_snapshot(snapshot)?;
    let mut state = decode_snapshot_state(&snapshot.data)?;
    state.index = snapshot.get_metadata().index;
    let mut log = Log::new(snapshot, hard_state);
    let entries: Vec<_> = restored
        .entries
        .iter()
        .filter(|entry| entry.index > state.index)
        .cloned()
        .map(wire::decode_entry)
        .collect();
    if entries
        .iter()
        .zip(state.index + 1..)
        .any(|(entry, index)| entry.index != index)
    {
        return Err(Malformed("a gap in the log"));
    }
    log.append(&entries);
    // The commit index is written without waiting for the disk, the log is not: it may be ahead by nothing.
    log.hard_state.commit = log.hard_state.commit.clamp(state.index, log.last());
    Ok((log, state))
}

pub(super) fn decode_snapshot_state(data: &[u8]) -> Result<ClusterState, Malformed> {
    let message = <proto::State as prost::Message>::decode(data).map_err(|_| Malformed("snapshot"))?;
    codec::decode_state(&message)
}

pub(super) fn raft_node(meta: &Meta, log: Log, applied: u64) -> RawNode<Log> {
    let config = raft::Config {
        id: meta.raft_id,
        election_tick: timing::ELECTION_TICKS,
        heartbeat_tick: timing::HEARTBEAT_TICKS,
        min_election_tick: timing::ELECTION_TICKS,
        max_election_tick: timing::ELECTION_TICKS + timing::ELECTION_SPREAD,
        applied,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 64,
        check_quorum: true,
        pre_vote: true,
        max_uncommitted_size: 256 << 20,
        ..raft::Config::default()
    };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    RawNode::new(&config, log, &logger).expect("the configuration is valid and the log is in memory")
}

pub(super) fn members_of(state: &ClusterState) -> BTreeMap<RaftId, NodeId> {
    state.nodes.values().map(|node| (node.raft_id, node.id)).collect()
}
