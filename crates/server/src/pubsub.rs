//! Channels and patterns, and who listens.
//!
//! Must not know: keys, commands. Messages go into mailboxes; a slow reader is ended by its output limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast_resp::{Proto, Reply};
use holdfast_storage::glob;
use parking_lot::RwLock;

use crate::client::Client;

type Listeners = HashMap<u64, Arc<Client>>;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct PubSub {
    channels: RwLock<HashMap<Box<[u8]>, Listeners>>,
    patterns: RwLock<HashMap<Box<[u8]>, Listeners>>,
    subscriptions: AtomicUsize,
}

impl PubSub {
    /// Adds a listener to a channel.
    pub fn subscribe(&self, channel: &[u8], client: &Arc<Client>) {
        self.add(&self.channels, channel, client);
    }

    /// Adds a listener to a pattern.
    pub fn psubscribe(&self, pattern: &[u8], client: &Arc<Client>) {
        self.add(&self.patterns, pattern, client);
    }

    /// Removes a listener from a channel.
    pub fn unsubscribe(&self, channel: &[u8], client: u64) {
        self.remove(&self.channels, channel, client);
    }

    /// Removes a listener from a pattern.
    pub fn punsubscribe(&self, pattern: &[u8], client: u64) {
        self.remove(&self.patterns, pattern, client);
    }

    fn add(&self, map: &RwLock<HashMap<Box<[u8]>, Listeners>>, name: &[u8], client: &Arc<Client>) {
        let mut map = map.write();
        if map
            .entry(name.into())
            .or_default()
            .insert(client.id, Arc::clone(client))
            .is_none()
        {
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn remove(&self, map: &RwLock<HashMap<Box<[u8]>, Listeners>>, name: &[u8], client: u64) {
        let mut map = map.write();
        if let Some(listeners) = map.get_mut(name) {
            if listeners.remove(&client).is_some() {
                self.subscriptions.fetch_sub(1, Ordering::Relaxed);
            }
            if listeners.is_empty() {
                map.remove(name);
            }
        }
    }

    /// True if somebody listens to anything.
    pub fn is_used(&self) -> bool {
        self.subscriptions.load(Ordering::Relaxed) > 0
    }

    /// Sends a message to all who listen to the channel or to a pattern that matches it; returns how many messages
    /// were sent.
    pub fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        if !self.is_used() {
            return 0;
        }
        let mut sent = 0;
        if let Some(listeners) = self.channels.read().get(channel) {
            let mut texts = Texts::default();
            for client in listeners.values() {
                client.send(texts.get(client, |r| {
                    r.push(3);
                    r.bulk(b"message");
                    r.bulk(channel);
                    r.bulk(message);
                }));
                sent += 1;
            }
        }
        for (pattern, listeners) in self.patterns.read().iter() {
            if !glob::matches(pattern, channel, false) {
                continue;
            }
            let mut texts = Texts::default();
            for client in listeners.values() {
                client.send(texts.get(client, |r| {
                    r.push(4);
                    r.bulk(b"pmessage");
                    r.bulk(pattern);
                    r.bulk(channel);
                    r.bulk(message);
                }));
                sent += 1;
            }
        }
        sent
    }

    /// Channels with listeners that match a pattern (all if None).
    pub fn channels(&self, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let channels = self.channels.read();
        channels
            .keys()
            .filter(|c| pattern.is_none_or(|p| glob::matches(p, c, false)))
            .cloned()
            .collect()
    }

    /// Number of listeners of a channel.
    pub fn listeners(&self, channel: &[u8]) -> usize {
        self.channels.read().get(channel).map_or(0, HashMap::len)
    }

    /// Number of channels with listeners.
    pub fn channel_count(&self) -> usize {
        self.channels.read().len()
    }

    /// Number of patterns.
    pub fn pattern_count(&self) -> usize {
        self.patterns.read().len()
    }
}

/// The text of one message in both protocols, made when first needed.
#[derive(Default)]
struct Texts([Option<Vec<u8>>; 2]);

impl Texts {
    fn get(&mut self, client: &Client, write: impl FnOnce(&mut Reply)) -> &[u8] {
        let resp3 = client.resp.load(Ordering::Relaxed) == 3;
        self.0[usize::from(resp3)].get_or_insert_with(|| {
            let mut reply = Reply::new(Vec::new(), if resp3 { Proto::Resp3 } else { Proto::Resp2 });
            write(&mut reply);
            reply.into_inner()
        })
    }
}
