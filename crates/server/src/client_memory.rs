//! What connections take together, and `maxmemory-clients`: over it the largest are ended until it is kept.
//!
//! While there is no limit nothing is summed up here; with one, a connection tells its memory when it has read, executed
//! or sent. Must not know: commands, sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::client::{Client, ClientClass, Clients, flag};

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct ClientMemory {
    /// Bytes, 0 for none.
    limit: AtomicUsize,
    total: AtomicUsize,
    evicting: Mutex<()>,
    evicted: AtomicU64,
}

impl ClientMemory {
    /// Sets the limit: bytes, or as a negative number percent of `maxmemory`; 0: none.
    pub fn set_limit(&self, setting: i64, maxmemory: u64) {
        let bytes = match u64::try_from(setting) {
            Ok(bytes) => bytes,
            Err(_) => (u128::from(maxmemory) * u128::from(setting.unsigned_abs()) / 100) as u64,
        };
        self.limit.store(bytes as usize, Ordering::Relaxed);
    }

    /// True if there is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.limit.load(Ordering::Relaxed) > 0
    }

    /// Clients that were ended for their memory.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// CONFIG RESETSTAT.
    pub fn reset_stats(&self) {
        self.evicted.store(0, Ordering::Relaxed);
    }

    /// A client's memory may have changed.
    #[inline]
    pub fn note(&self, clients: &Clients, client: &Client) {
        if self.is_limited() {
            self.count(client);
            self.enforce(clients);
        }
    }

    /// All clients' memory may have changed, or the limit.
    pub fn note_all(&self, clients: &Clients) {
        if self.is_limited() {
            clients.open().for_each(|client| self.count(&client));
            self.enforce(clients);
        }
    }

    /// A client has ended.
    pub fn forget(&self, client: &Client) {
        let before = client.counted_memory.swap(0, Ordering::Relaxed);
        self.total.fetch_sub(before, Ordering::Relaxed);
    }

    fn count(&self, client: &Client) {
        if !matters(client) || client.is_killed() {
            return;
        }
        let now = client.memory();
        let before = client.counted_memory.swap(now, Ordering::Relaxed);
        // Wraps around where it shrinks.
        self.total.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    fn excess(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        limit > 0 && self.total.load(Ordering::Relaxed) > limit
    }

    fn enforce(&self, clients: &Clients) {
        if !self.excess() {
            return;
        }
        let Some(_alone) = self.evicting.try_lock() else {
            return; // somebody is at it
        };
        let mut candidates: Vec<(usize, Arc<Client>)> = clients
            .open()
            .filter(|client| matters(client) && !client.has_flag(flag::NO_EVICT))
            .map(|client| (client.counted_memory.load(Ordering::Relaxed), client))
            .collect();
        candidates.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (bytes, client) in candidates {
            if !self.excess() {
                break;
            }
            tracing::info!(
                client = client.id,
                addr = client.addr,
                bytes,
                "ending a client: all together are over maxmemory-clients"
            );
            // Counted first: who sees that it is gone finds it counted.
            self.evicted.fetch_add(1, Ordering::Relaxed);
            client.kill();
            self.forget(&client);
        }
    }
}

/// Replicas and the primary have limits of their own.
fn matters(client: &Client) -> bool {
    match client.class() {
        ClientClass::Normal | ClientClass::Pubsub => true,
        ClientClass::Replica | ClientClass::Master => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(clients: &Clients, query_buffer: usize) -> Arc<Client> {
        let client = Arc::new(Client::new(
            clients.next_id(),
            "a:1".into(),
            "a:2".into(),
            -1,
            0,
            false,
        ));
        client.query_buffer.store(query_buffer, Ordering::Relaxed);
        clients.add(Arc::clone(&client));
        client
    }

    #[test]
    fn the_largest_go_first_and_protected_ones_stay() {
        let (clients, memory) = (Clients::default(), ClientMemory::default());
        let [protected, small, large, middle] =
            [5_000_000, 100_000, 3_000_000, 1_000_000].map(|bytes| client(&clients, bytes));
        protected.set_flag(flag::NO_EVICT, true);
        memory.note_all(&clients);
        assert!(!large.is_killed(), "there is no limit");
        memory.set_limit(-10, 65_000_000);
        memory.note_all(&clients);
        assert!(large.is_killed() && !middle.is_killed() && !protected.is_killed());
        assert_eq!(memory.evicted(), 1);
        // What has been ended counts no more, though its thread still works on it.
        memory.note(&clients, &large);
        memory.forget(&large);
        assert!(!middle.is_killed());
        small.query_buffer.store(600_000, Ordering::Relaxed);
        memory.note(&clients, &small);
        assert!(middle.is_killed() && !small.is_killed());
        memory.set_limit(1_000, 0);
        memory.note_all(&clients);
        assert!(small.is_killed() && !protected.is_killed());
        assert_eq!(memory.evicted(), 3);
        memory.set_limit(-10, 0);
        assert!(
            !memory.is_limited(),
            "a share of nothing is no limit, as in Redis"
        );
    }

    #[test]
    fn the_sum_goes_down_with_its_parts() {
        let (clients, memory) = (Clients::default(), ClientMemory::default());
        memory.set_limit(1 << 40, 0);
        let one = client(&clients, 1_000_000);
        memory.note(&clients, &one);
        one.query_buffer.store(0, Ordering::Relaxed);
        memory.note(&clients, &one);
        assert_eq!(memory.total.load(Ordering::Relaxed), one.memory());
        memory.forget(&one);
        assert_eq!(memory.total.load(Ordering::Relaxed), 0);
    }
}
