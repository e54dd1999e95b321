//! What a node keeps besides the log, and how it is written down. Must not know: when.

use super::io::Persist;
use super::{Engine, wire};
use crate::codec::{self, Malformed};
use crate::ids::{ClusterId, NodeId, RaftId, ShardId};
use crate::proto;
use crate::state::Endpoint;

/// What a node keeps besides the log.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub(super) node: NodeId,
    pub(super) cluster: ClusterId,
    pub(super) raft_id: RaftId,
    /// Counts the node's starts.
    pub(super) boot: u64,
    pub(super) created_ms: u64,
    /// The name of the node's first shard in this cluster.
    pub(super) shard: ShardId,
    /// The member that this node asked another cluster for, and where.
    pub(super) joining: Option<(RaftId, Endpoint)>,
    /// The log index at which this node became a member.
    pub(super) floor: u64,
}

impl Engine {
    pub(super) fn persist_meta(&mut self, reset: bool) {
        let log = self.raft.store();
        let (snapshot, hard_state) = if reset {
            let has = log.snapshot.get_metadata().index > 0;
            (
                has.then(|| wire::encode_snapshot(&log.snapshot)),
                Some(wire::encode_hard_state(&log.hard_state)),
            )
        } else {
            (None, None)
        };
        let persist = Persist {
            sync: true,
            reset,
            meta: Some(self.encode_meta()),
            hard_state,
            snapshot,
            ..Persist::default()
        };
        self.write(persist);
    }

    fn encode_meta(&self) -> proto::NodeMeta {
        let meta = &self.meta;
        let (joining_as, joining_at) = match &meta.joining {
            Some((raft_id, at)) => (*raft_id, Some(codec::encode_endpoint(at))),
            None => (0, None),
        };
        proto::NodeMeta {
            node: meta.node.to_string(),
            cluster: meta.cluster.to_string(),
            raft_id: meta.raft_id,
            boot: meta.boot,
            created_ms: meta.created_ms,
            shard: meta.shard.to_string(),
            joining_as,
            joining_at,
            floor: meta.floor,
            peers: self
                .learned
                .iter()
                .map(|(raft_id, endpoint)| proto::Peer {
                    raft_id: *raft_id,
                    endpoint: Some(codec::encode_endpoint(endpoint)),
                })
                .collect(),
        }
    }
}

pub(super) fn decode_meta(meta: &proto::NodeMeta) -> Result<Meta, Malformed> {
    let joining = match &meta.joining_at {
        Some(at) if meta.joining_as != 0 => Some((meta.joining_as, codec::decode_endpoint(Some(at))?)),
        Some(_) | None => None,
    };
    if meta.raft_id == 0 {
        return Err(Malformed("raft id"));
    }
    Ok(Meta {
        node: codec::node_id(&meta.node)?,
        cluster: codec::cluster_id(&meta.cluster)?,
        raft_id: meta.raft_id,
        boot: meta.boot,
        created_ms: meta.created_ms,
        shard: codec::shard_id(&meta.shard)?,
        joining,
        floor: meta.floor,
    })
}
