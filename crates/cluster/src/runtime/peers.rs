//! What is known of the connections of the bus, for CLUSTER LINKS and INFO. Must not know: what went over them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::engine::Address;
use crate::ids::NodeId;

/// One peer, as the connections with it show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Unix milliseconds of its last message.
    pub heard_ms: u64,
    /// Offset of the replication log that it told last.
    pub offset: u64,
    pub outbound: Option<u64>,
    pub inbound: Option<u64>,
    pub queued: usize,
}

#[derive(Debug, Default)]
pub(super) struct Peers {
    pub seen: Mutex<BTreeMap<NodeId, Seen>>,
    /// Nodes that the leader takes for dead.
    pub down: Mutex<Vec<NodeId>>,
    /// Connections that stand, by address, since Unix milliseconds.
    pub open: Mutex<BTreeMap<Address, u64>>,
    /// Why an address was not reached, or its connection ended, and when that was, in Unix milliseconds.
    pub troubles: Mutex<BTreeMap<Address, (u64, String)>>,
    pub sent: AtomicU64,
    pub received: AtomicU64,
    /// Messages that were dropped since a peer did not take them.
    pub dropped: AtomicU64,
    /// Streams that were refused.
    pub refused: AtomicU64,
}

/// Trouble that is older is over if the connection stands.
const RECENT_MS: u64 = 2_000;
/// Peers that are remembered.
const MAX_SEEN: usize = 4000;

impl Peers {
    pub(super) fn note(&self, node: NodeId, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.lock();
        if seen.len() < MAX_SEEN || seen.contains_key(&node) {
            change(seen.entry(node).or_default());
        }
    }

    pub(super) fn note_trouble(&self, address: &Address, text: String) {
        self.troubles.lock().insert(address.clone(), (unix_ms(), text));
    }

    /// Nobody sends to an address any more.
    pub(super) fn forget_address(&self, address: &Address) {
        self.open.lock().remove(address);
        self.troubles.lock().remove(address);
    }

    /// What may have kept an address from answering.
    pub(super) fn why_silent(&self, address: &Address) -> Option<String> {
        let trouble = self.troubles.lock().get(address).cloned();
        // A connection that is refused is made again and again, and stands for a moment each time.
        let is_old = |at: u64| unix_ms().saturating_sub(at) > RECENT_MS;
        match (trouble, self.open.lock().contains_key(address)) {
            (Some((at, text)), open) if !open || !is_old(at) => Some(text),
            (_, true) => Some(
                "it was reached, but either it cannot reach this node at the address that this node announces, or the others \
                 cannot reach it at its own"
                    .to_owned(),
            ),
            (_, false) => None,
        }
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn unix_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
