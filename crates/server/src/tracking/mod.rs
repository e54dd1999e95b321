//! Client-side caching: who has been told which keys, and who is told that they have changed.
//! <https://redis.io/docs/latest/develop/reference/client-side-caching/>
//!
//! ```text
//! read by a tracking client, its shards still locked  -> table: key -> ids of clients
//! effects.touched, after unlocking                    -> table's ids, prefixes' clients -> mailboxes
//! ```
//!
//! No message is lost. A key is remembered under its shard's lock, so a change either comes before the read or finds it
//! remembered. The reply to a read is in the connection's reply buffer before the shard is unlocked, and mail is put
//! behind what stands there: an invalidation never overtakes the reply that it revokes.
//!
//! Keys are known by name, whatever their database, as in Redis. Must not know: data, sessions, sockets.

mod prefixes;
mod table;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast_resp::{Proto, Reply};

use crate::client::{Client, Clients, flag};
pub use prefixes::Collision;
use prefixes::Prefixes;
use table::Table;

/// The channel in which clients of RESP2 get what others track for them.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// What CLIENT TRACKING on asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// By prefix, whatever the client reads.
    pub bcast: bool,
    /// Only what follows CLIENT CACHING yes.
    pub optin: bool,
    /// All but what follows CLIENT CACHING no.
    pub optout: bool,
    /// Not what the client changes itself.
    pub noloop: bool,
    /// Id of the client that gets the messages, 0: itself.
    pub redirect: u64,
}

/// Figures of INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Clients that track.
    pub clients: usize,
    /// Keys that are remembered.
    pub keys: usize,
    /// Pairs of such a key and a client.
    pub items: usize,
    /// Different prefixes.
    pub prefixes: usize,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Tracking {
    clients: AtomicUsize,
    table: Table,
    prefixes: Prefixes,
}

impl Tracking {
    /// True if some client tracks: all that commands ask while none does. To be asked while the shards of the command
    /// are locked: who began to track before it read is seen then.
    #[inline]
    pub fn is_used(&self) -> bool {
        self.clients.load(Ordering::Relaxed) > 0
    }

    /// Begins to track for a client, or changes how. `prefixes`: what the client is told of in `bcast` mode, beside
    /// those that it is told of already.
    pub fn enable(&self, client: &Arc<Client>, options: Options, prefixes: &[&[u8]]) {
        if !client.has_flag(flag::TRACKING) {
            self.clients.fetch_add(1, Ordering::Relaxed);
        }
        client.set_flag(flag::TRACKING_MODES | flag::TRACKING_BROKEN, false);
        let modes = [
            (flag::TRACKING, true),
            (flag::TRACKING_BCAST, options.bcast),
            (flag::TRACKING_OPTIN, options.optin),
            (flag::TRACKING_OPTOUT, options.optout),
            (flag::TRACKING_NOLOOP, options.noloop),
        ];
        let bits = modes
            .iter()
            .filter(|(_, on)| *on)
            .fold(0, |all, (bit, _)| all | bit);
        client.redirect.store(options.redirect, Ordering::Relaxed);
        client.set_flag(bits, true);
        if options.bcast {
            let everything: &[&[u8]] = &[b""];
            for prefix in if prefixes.is_empty() { everything } else { prefixes } {
                self.prefixes.add(client, prefix);
            }
        }
    }

    /// Ends it. What is remembered for the client is forgotten when the keys change.
    pub fn disable(&self, client: &Client) {
        if !client.has_flag(flag::TRACKING) {
            return;
        }
        if client.has_flag(flag::TRACKING_BCAST) {
            self.prefixes.remove_client(client);
        }
        client.set_flag(
            flag::TRACKING | flag::TRACKING_MODES | flag::TRACKING_BROKEN | flag::TRACKING_CACHING,
            false,
        );
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// The prefixes of a client, in order.
    pub fn prefixes_of(&self, client: &Client) -> BTreeSet<Box<[u8]>> {
        self.prefixes.of(client)
    }

    /// Two prefixes of which one begins with the other would tell a client twice.
    ///
    /// # Errors
    /// Such a pair among `new` and those that the client has.
    pub fn check_prefixes(&self, client: &Client, new: &[&[u8]]) -> Result<(), Collision> {
        self.prefixes.check(client, new)
    }

    /// Notes that a client has been told the values of keys. Their shards are locked.
    pub fn remember<'k>(
        &self,
        clients: &Clients,
        client: &Client,
        keys: impl Iterator<Item = &'k [u8]>,
        max_keys: usize,
    ) {
        /// Keys that one command may have to forget in the place of the new ones; the rest is left to the cron job.
        const STEP: usize = 16;
        for key in keys {
            self.table.remember(key, client.id, clients);
        }
        if self.table.is_over(max_keys) {
            self.limit(clients, max_keys, STEP);
        }
    }

    /// Forgets keys until at most `max_keys` (0: any number) are remembered, `steps` at most, and tells those who were
    /// told their values.
    pub fn limit(&self, clients: &Clients, max_keys: usize, steps: usize) {
        for _ in 0..steps {
            if !self.table.is_over(max_keys) {
                break;
            }
            if let Some((key, ids)) = self.table.forget_any() {
                tell_readers(clients, &key, &ids, None);
            }
        }
    }

    /// Tells all who were told the values of these keys, or want to know of any change of them, that client `by` (0:
    /// none) has changed them.
    pub fn invalidate(&self, clients: &Clients, keys: &[(u32, Box<[u8]>)], by: u64) {
        for (_, key) in keys {
            if let Some(ids) = self.table.forget(key) {
                tell_readers(clients, key, &ids, Some(by));
            }
        }
        self.prefixes.each_group(keys, |client, keys| {
            if !client.has_flag(flag::TRACKING_NOLOOP) || client.id != by {
                send(clients, client, Some(keys));
            }
        });
    }

    /// Tells all that whatever they know is gone.
    pub fn forget_all(&self, clients: &Clients) {
        self.table.clear();
        for client in clients.all() {
            if client.has_flag(flag::TRACKING) {
                send(clients, &client, None);
            }
        }
    }

    /// What INFO shows.
    pub fn figures(&self) -> Figures {
        let (keys, items) = self.table.figures();
        Figures {
            clients: self.clients.load(Ordering::Relaxed),
            keys,
            items,
            prefixes: self.prefixes.count(),
        }
    }
}

/// `by`: who changed the key; None: nobody, it has only been forgotten.
fn tell_readers(clients: &Clients, key: &[u8], ids: &[u64], by: Option<u64>) {
    for client in ids.iter().filter_map(|&id| clients.get(id)) {
        let own = client.has_flag(flag::TRACKING_NOLOOP) && by == Some(client.id);
        if client.has_flag(flag::TRACKING) && !client.has_flag(flag::TRACKING_BCAST) && !own {
            send(clients, &client, Some(&[key]));
        }
    }
}

/// Puts one message into the mailbox of a client that tracks, or of the one that it names. `keys`: None: all.
fn send(clients: &Clients, client: &Client, keys: Option<&[&[u8]]>) {
    let id = client.redirect.load(Ordering::Relaxed);
    if id == 0 {
        if is_resp3(client) {
            client.send(&message(Proto::Resp3, keys));
        }
        return;
    }
    match clients.get(id).filter(|target| !target.is_killed()) {
        Some(target) if is_resp3(&target) => target.send(&message(Proto::Resp3, keys)),
        Some(target) if target.has_flag(flag::PUBSUB) => target.send(&message(Proto::Resp2, keys)),
        // Its protocol has no way to say it.
        Some(_) => {}
        None => {
            client.set_flag(flag::TRACKING_BROKEN, true);
            if is_resp3(client) {
                let mut reply = Reply::new(Vec::new(), Proto::Resp3);
                reply.push(2);
                reply.bulk(b"tracking-redir-broken");
                reply.int(id as i64);
                client.send(reply.as_bytes());
            }
        }
    }
}

fn is_resp3(client: &Client) -> bool {
    client.resp.load(Ordering::Relaxed) == 3
}

/// A push, or for RESP2 a message of publish/subscribe.
fn message(proto: Proto, keys: Option<&[&[u8]]>) -> Vec<u8> {
    let mut reply = Reply::new(Vec::new(), proto);
    match proto {
        Proto::Resp3 => {
            reply.push(2);
            reply.bulk(b"invalidate");
        }
        Proto::Resp2 => {
            reply.array(3);
            reply.bulk(b"message");
            reply.bulk(CHANNEL);
        }
    }
    match keys {
        Some(keys) => {
            reply.array(keys.len());
            keys.iter().for_each(|key| reply.bulk(key));
        }
        None => reply.null(),
    }
    reply.into_inner()
}

#[cfg(test)]
mod tests;
