//! Which replicas of this node have what clients were told of: the primary's word for the cluster's state, which promotes
//! no other by itself. A replica is in sync while it acknowledges what was written a moment before. Must not know: how
//! replicas are fed.

use std::collections::{BTreeSet, VecDeque};

use holdfast_cluster::NodeId;
use holdfast_cluster::state::{Entry, Fence, View};

use super::endpoint;
use crate::config::Param;
use crate::replication::primary::Stage;
use crate::server::Server;

/// How long ago what a replica must have by now was written, in ms. Replicas acknowledge once a second.
const BEHIND_MS: i64 = 2_500;
/// How far behind one may fall before it is taken out.
const LAGS_MS: i64 = 10_000;

/// Offsets of the log as they were.
#[derive(Debug, Default)]
pub struct Past {
    offsets: VecDeque<(i64, u64)>,
}

impl Past {
    /// Notes how far the log is now.
    pub fn note(&mut self, now_ms: i64, offset: u64) {
        if self.offsets.back().is_some_and(|(_, before)| *before > offset) {
            // Another history: the log of a primary that was followed.
            self.offsets.clear();
        }
        while self.offsets.get(1).is_some_and(|(at, _)| now_ms - at > LAGS_MS) {
            self.offsets.pop_front();
        }
        self.offsets.push_back((now_ms, offset));
    }

    /// The offset at that time, or the oldest that is known.
    fn at(&self, time_ms: i64) -> u64 {
        let before = self.offsets.iter().rev().find(|(at, _)| *at <= time_ms);
        before.or(self.offsets.front()).map_or(0, |(_, offset)| *offset)
    }
}

/// The change of the in-sync set that is due, if any.
pub fn change(server: &Server, view: &View, past: &Past, now_ms: i64) -> Option<Entry> {
    let shard = view.my_shard().filter(|_| view.is_primary())?;
    if shard.replicas.is_empty() {
        return None;
    }
    let (near, far) = (past.at(now_ms - BEHIND_MS), past.at(now_ms - LAGS_MS));
    let acked = acknowledged(server, view, &shard.replicas);
    let at_least = |node: &NodeId, offset: u64| {
        acked
            .iter()
            .any(|(known, acked)| known == node && *acked >= offset)
    };
    let add: Vec<NodeId> = shard
        .replicas
        .iter()
        .filter(|node| !shard.in_sync.contains(*node) && at_least(node, near))
        .copied()
        .collect();
    let remove: Vec<NodeId> = shard
        .in_sync
        .iter()
        .filter(|node| !at_least(node, far))
        .copied()
        .collect();
    let fence = Fence {
        shard: shard.id,
        epoch: shard.epoch,
    };
    (!add.is_empty() || !remove.is_empty()).then_some(Entry::InSync { fence, add, remove })
}

/// What the connected replicas have acknowledged, by the addresses that they tell.
fn acknowledged(server: &Server, view: &View, replicas: &BTreeSet<NodeId>) -> Vec<(NodeId, u64)> {
    let by_tls = server.config.flag(Param::TlsReplication);
    let attached = server.replication.primary.replicas();
    let mut found = Vec::new();
    for node in replicas.iter().filter_map(|id| view.state.nodes.get(id)) {
        let at = &node.endpoint;
        let its = |replica: &&std::sync::Arc<crate::replication::primary::Attached>| {
            // Before it has its snapshot it has nothing, however little there is to have.
            replica.stage() == Stage::Online
                && replica.has_acked()
                && replica.ip() == at.ip
                && (replica.who.port == i64::from(at.port)
                    || replica.who.port == i64::from(endpoint::port(at, by_tls)))
        };
        if let Some(replica) = attached.iter().find(its) {
            found.push((node.id, replica.acked()));
        }
    }
    found
}
