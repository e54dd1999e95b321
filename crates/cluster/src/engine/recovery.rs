//! The way out when a majority of voters is lost for good: one node's log becomes the truth, and that node the only voter. An
//! operator decides it, on the node that has most; entries that only lost voters had are gone. Must not know: files.

use prost::Message as _;
use raft::eraftpb::EntryType;

use super::log::Log;
use super::pump::decode_proposal;
use super::{Meta, Restored, decode_meta, restore, wire};
use crate::codec::{self, Malformed};
use crate::ids::NodeId;
use crate::proto;
use crate::state::{ClusterState, Entry};

/// What is on disk, made into that of a group with this node as its only voter. All other members stay, as learners: they
/// follow it when they hear of it, and those that come back vote again in time.
///
/// # Errors
/// What is on disk cannot be read, or the node is a member of nothing.
pub fn recover_alone(restored: Restored) -> Result<Restored, Malformed> {
    let (meta, log, mut state) = replayed(&restored)?;
    // The new truth is one entry longer than the old one, so that whoever comes back takes the whole of it.
    let index = state.index + 1;
    state
        .apply(
            index,
            &Entry::SetVoters {
                voters: vec![meta.node],
            },
        )
        .map_err(|_| Malformed("this node is a member of no cluster"))?;
    let learners = state
        .nodes
        .values()
        .map(|node| node.raft_id)
        .filter(|id| *id != meta.raft_id)
        .collect();
    let members = proto::Members {
        voters: vec![meta.raft_id],
        learners,
        ..proto::Members::default()
    };
    let mut hard_state = wire::encode_hard_state(&log.hard_state);
    // A voter that comes back with the older configuration must not win with a log of a higher term.
    hard_state.term += 1000;
    hard_state.vote = meta.raft_id;
    hard_state.commit = index;
    let snapshot = proto::Snapshot {
        index,
        term: hard_state.term,
        members: Some(members),
        data: codec::encode_state(&state).encode_to_vec().into(),
    };
    Ok(Restored {
        meta: restored.meta,
        hard_state: Some(hard_state),
        snapshot: Some(snapshot),
        entries: Vec::new(),
    })
}

/// What is on disk, for an operator who has to choose a node.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The node.
    pub node: NodeId,
    /// The term of its last entry, by which, and then by the index, logs are compared.
    pub last_term: u64,
    /// The index of its last entry.
    pub last_index: u64,
    /// The state with all entries applied, those included that may not be agreed on.
    pub state: ClusterState,
}

/// Reads what is on disk.
///
/// # Errors
/// It cannot be read, or no node has started there.
pub fn describe(restored: &Restored) -> Result<Kept, Malformed> {
    let (meta, log, state) = replayed(restored)?;
    let last_index = log.last();
    let term = log.entry(last_index).map(|entry| entry.term);
    Ok(Kept {
        node: meta.node,
        last_term: term.unwrap_or_else(|| log.snapshot.get_metadata().term),
        last_index,
        state,
    })
}

/// The log, and the state with all its entries.
fn replayed(restored: &Restored) -> Result<(Meta, Log, ClusterState), Malformed> {
    let meta = decode_meta(
        restored
            .meta
            .as_ref()
            .ok_or(Malformed("no node has started here"))?,
    )?;
    let (log, mut state) = restore(restored, &meta)?;
    let last = log.last();
    for index in state.index + 1..=last {
        let Some(entry) = log.entry(index) else { break };
        let members = entry.get_entry_type() != EntryType::EntryNormal;
        let data = if members { &entry.context } else { &entry.data };
        state.index = index;
        if !data.is_empty() {
            let (origin, number, change) = decode_proposal(data)?;
            // One that is rejected is rejected everywhere.
            let _ = state.apply_proposal(index, origin, number, &change);
        }
    }
    Ok((meta, log, state))
}
