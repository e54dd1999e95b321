//! What the cluster knows of a node. Must not know: whether the node is alive (that is the leader's evidence, no
//! replicated fact).

use crate::ids::{NodeId, RaftId, ShardId};

/// Where a node is reached. It follows the node's configuration (cluster-announce-*) and changes with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Endpoint {
    /// Address in text, IPv4 or IPv6; empty while the node does not know its own.
    pub ip: String,
    /// Port of clients without TLS; 0 if there is none.
    pub port: u16,
    /// Port of clients with TLS; 0 if there is none.
    pub tls_port: u16,
    /// Port of the bus.
    pub bus_port: u16,
    /// cluster-announce-hostname; empty if not set.
    pub hostname: String,
}

/// Longest text of an address (a host name of DNS has at most 253 octets).
pub const MAX_ADDRESS: usize = 255;

impl Endpoint {
    /// Whether its texts may be shown to clients in the space-separated lines of CLUSTER NODES.
    pub fn is_valid(&self) -> bool {
        [&self.ip, &self.hostname].iter().all(|text| {
            text.len() <= MAX_ADDRESS
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b".-_:%".contains(&b))
        })
    }
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// Its member of the Raft group.
    pub raft_id: RaftId,
    /// Where it is reached.
    pub endpoint: Endpoint,
    /// The shard that it belongs to, as primary or replica.
    pub shard: ShardId,
    /// Whether it votes in the Raft group; otherwise it learns.
    pub voter: bool,
}
