//! A shard: one primary, its replicas, and which of these have every acknowledged write (design D9).
//! Must not know: offsets; they are the data plane's.

use std::collections::BTreeSet;

use crate::ids::{NodeId, ShardId};

/// One primary and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its name.
    pub id: ShardId,
    /// Its number in the table of slot owners. Never 0; reused after the shard is gone.
    pub number: u16,
    /// The node that serves its slots.
    pub primary: NodeId,
    /// The other members.
    pub replicas: BTreeSet<NodeId>,
    /// The replicas that have every write that clients were told of: those that may be promoted.
    pub in_sync: BTreeSet<NodeId>,
    /// Drawn anew from the cluster's counter by each change of the primary: fences leases, in-sync sets and changes of
    /// slots that were decided before. Shown as the config epoch; no two shards have the same.
    pub epoch: u64,
    /// The life (count of starts) in which the primary was promoted; 0: not known. In a later one it may have lost what it
    /// was promoted for.
    pub life: u64,
}

impl Shard {
    /// The primary and then the replicas.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::once(self.primary).chain(self.replicas.iter().copied())
    }
}
