//! Directives that hold on all nodes. Chosen: what clients notice and should not depend on which node they have reached, and
//! what a failover must not change. Not: what belongs to a machine (memory, files, addresses, threads), passwords, and
//! what is looked at on one node (slow log, latency). Must not know: what they do.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::commands::set_agreed;
use crate::config::Param;
use crate::server::Server;

/// The directives.
pub const WIDE: [Param; 10] = [
    Param::AclPubsubDefault,
    Param::BusyReplyThreshold,
    Param::ClusterAllowPubsubshardWhenDown,
    Param::ClusterAllowReadsWhenDown,
    Param::ClusterPreferredEndpointType,
    Param::ClusterRequireFullCoverage,
    Param::MaxmemoryPolicy,
    Param::MinReplicasMaxLag,
    Param::MinReplicasToWrite,
    Param::NotifyKeyspaceEvents,
];

/// Whether a directive, by any of its names, holds on all nodes.
pub fn find(name: &[u8]) -> Option<Param> {
    Param::find(name).filter(|param| WIDE.contains(param))
}

type Table = BTreeMap<String, Bytes>;

pub(super) fn follow(server: &Arc<Server>, before: Option<&Table>, now: &Table) {
    let known = |name: &String| before.and_then(|before| before.get(name));
    for (name, value) in now.iter().filter(|(name, value)| known(name) != Some(*value)) {
        if let Err(error) = set_agreed(server, name.as_bytes(), value) {
            tracing::error!("a setting of the cluster does not hold here: {error}");
        }
    }
}
