//! Entries, state and what a node keeps, to protobuf and back. Whatever comes from the network or a disk is checked
//! here, so the rest sees valid identifiers and ranges only. Must not know: where the bytes come from or go.

mod entry;
mod state;

use thiserror::Error;

pub(crate) use entry::{decode_entry, encode_entry};
pub(crate) use state::{decode_state, encode_state};

use crate::ids::{ClusterId, MigrationId, NodeId, ShardId};
use crate::proto;
use crate::slots::{SLOTS, SlotSet};
use crate::state::{Endpoint, Fence, Newcomer};

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed message of the cluster: {0}")]
pub struct Malformed(pub &'static str);

pub(crate) fn node_id(text: &str) -> Result<NodeId, Malformed> {
    NodeId::parse(text).ok_or(Malformed("node id"))
}

pub(crate) fn shard_id(text: &str) -> Result<ShardId, Malformed> {
    ShardId::parse(text).ok_or(Malformed("shard id"))
}

pub(crate) fn cluster_id(text: &str) -> Result<ClusterId, Malformed> {
    ClusterId::parse(text).ok_or(Malformed("cluster id"))
}

fn migration_id(text: &str) -> Result<MigrationId, Malformed> {
    MigrationId::parse(text).ok_or(Malformed("migration id"))
}

fn node_ids(texts: &[String]) -> Result<Vec<NodeId>, Malformed> {
    texts.iter().map(|text| node_id(text)).collect()
}

/// An optional identifier: empty text is none.
fn optional<T>(text: &str, parse: impl Fn(&str) -> Result<T, Malformed>) -> Result<Option<T>, Malformed> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse(text).map(Some)
    }
}

fn text(id: Option<impl ToString>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn slot(number: u32) -> Result<u16, Malformed> {
    u16::try_from(number)
        .ok()
        .filter(|slot| *slot < SLOTS)
        .ok_or(Malformed("slot"))
}

fn encode_slots(slots: &SlotSet) -> Vec<u32> {
    slots
        .ranges()
        .into_iter()
        .flat_map(|(first, last)| [u32::from(first), u32::from(last)])
        .collect()
}

fn decode_slots(flat: &[u32]) -> Result<SlotSet, Malformed> {
    if !flat.len().is_multiple_of(2) || flat.len() > usize::from(SLOTS) {
        return Err(Malformed("slot ranges"));
    }
    let mut ranges = Vec::with_capacity(flat.len() / 2);
    for pair in flat.chunks_exact(2) {
        ranges.push((slot(pair[0])?, slot(pair[1])?));
    }
    SlotSet::from_ranges(ranges).ok_or(Malformed("slot ranges"))
}

pub(crate) fn encode_endpoint(endpoint: &Endpoint) -> proto::Endpoint {
    proto::Endpoint {
        ip: endpoint.ip.clone(),
        port: endpoint.port.into(),
        tls_port: endpoint.tls_port.into(),
        bus_port: endpoint.bus_port.into(),
        hostname: endpoint.hostname.clone(),
    }
}

pub(crate) fn decode_endpoint(message: Option<&proto::Endpoint>) -> Result<Endpoint, Malformed> {
    let message = message.ok_or(Malformed("endpoint"))?;
    let port = |number: u32| u16::try_from(number).map_err(|_| Malformed("port"));
    let endpoint = Endpoint {
        ip: message.ip.clone(),
        port: port(message.port)?,
        tls_port: port(message.tls_port)?,
        bus_port: port(message.bus_port)?,
        hostname: message.hostname.clone(),
    };
    if endpoint.is_valid() {
        Ok(endpoint)
    } else {
        Err(Malformed("endpoint"))
    }
}

pub(crate) fn encode_newcomer(newcomer: &Newcomer) -> proto::NodeJoin {
    proto::NodeJoin {
        node: newcomer.id.to_string(),
        raft_id: newcomer.raft_id,
        endpoint: Some(encode_endpoint(&newcomer.endpoint)),
        shard: newcomer.shard.to_string(),
        slots: encode_slots(&newcomer.slots),
    }
}

pub(crate) fn decode_newcomer(message: &proto::NodeJoin) -> Result<Newcomer, Malformed> {
    Ok(Newcomer {
        id: node_id(&message.node)?,
        raft_id: message.raft_id,
        endpoint: decode_endpoint(message.endpoint.as_ref())?,
        shard: shard_id(&message.shard)?,
        slots: decode_slots(&message.slots)?,
    })
}

fn encode_fence(fence: Fence) -> proto::Fence {
    proto::Fence {
        shard: fence.shard.to_string(),
        epoch: fence.epoch,
    }
}

fn decode_fence(message: Option<&proto::Fence>) -> Result<Fence, Malformed> {
    let message = message.ok_or(Malformed("fence"))?;
    Ok(Fence {
        shard: shard_id(&message.shard)?,
        epoch: message.epoch,
    })
}
