//! Channels and patterns, and who listens.
//!
//! Must not know: keys, commands. Messages go into mailboxes; a slow reader is ended by its output limit.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast_resp::{Proto, Reply};
use holdfast_storage::glob;
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::client::Client;

type Listeners = HashMap<u64, Arc<Client>>;
type ByName = HashMap<Box<[u8]>, Listeners>;

/// Parts into which channels are divided, so that publishers to different channels seldom meet.
const PARTS: usize = 64;

/// Channels of one kind. Each part's lock is held while a message is given to all who listen: two publishers to one
/// channel reach all of its listeners in the same order.
#[derive(Debug)]
struct Channels {
    parts: Box<[Mutex<ByName>]>,
    hasher: foldhash::fast::RandomState,
    subscriptions: AtomicUsize,
}

impl Default for Channels {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            subscriptions: AtomicUsize::new(0),
        }
    }
}

impl Channels {
    fn part(&self, channel: &[u8]) -> MutexGuard<'_, ByName> {
        self.parts[self.hasher.hash_one(channel) as usize % PARTS].lock()
    }

    fn add(&self, channel: &[u8], client: &Arc<Client>) {
        if add(&mut self.part(channel), channel, client) {
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn remove(&self, channel: &[u8], client: u64) {
        if remove(&mut self.part(channel), channel, client) {
            self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn is_used(&self) -> bool {
        self.subscriptions.load(Ordering::Relaxed) > 0
    }

    fn names(&self, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let mut names = Vec::new();
        for part in &self.parts {
            let part = part.lock();
            let fits = |c: &[u8]| pattern.is_none_or(|p| glob::matches(p, c, false));
            names.extend(part.keys().filter(|c| fits(c)).cloned());
        }
        names
    }

    fn listeners(&self, channel: &[u8]) -> usize {
        self.part(channel).get(channel).map_or(0, HashMap::len)
    }

    fn count(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }
}

fn add(map: &mut ByName, name: &[u8], client: &Arc<Client>) -> bool {
    let listeners = map.entry(name.into()).or_default();
    listeners.insert(client.id, Arc::clone(client)).is_none()
}

fn remove(map: &mut ByName, name: &[u8], client: u64) -> bool {
    let Some(listeners) = map.get_mut(name) else {
        return false;
    };
    let there = listeners.remove(&client).is_some();
    if listeners.is_empty() {
        map.remove(name);
    }
    there
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct PubSub {
    channels: Channels,
    /// Channels of sharded publish/subscribe: names of their own.
    sharded: Channels,
    /// Locked after a part of the channels.
    patterns: RwLock<ByName>,
    pattern_subscriptions: AtomicUsize,
}

impl PubSub {
    /// Adds a listener to a channel.
    pub fn subscribe(&self, channel: &[u8], client: &Arc<Client>) {
        self.channels.add(channel, client);
    }

    /// Adds a listener to a shard's channel.
    pub fn ssubscribe(&self, channel: &[u8], client: &Arc<Client>) {
        self.sharded.add(channel, client);
    }

    /// Adds a listener to a pattern.
    pub fn psubscribe(&self, pattern: &[u8], client: &Arc<Client>) {
        if add(&mut self.patterns.write(), pattern, client) {
            self.pattern_subscriptions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes a listener from a channel.
    pub fn unsubscribe(&self, channel: &[u8], client: u64) {
        self.channels.remove(channel, client);
    }

    /// Removes a listener from a shard's channel.
    pub fn sunsubscribe(&self, channel: &[u8], client: u64) {
        self.sharded.remove(channel, client);
    }

    /// Removes a listener from a pattern.
    pub fn punsubscribe(&self, pattern: &[u8], client: u64) {
        if remove(&mut self.patterns.write(), pattern, client) {
            self.pattern_subscriptions.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// True if somebody listens to a channel or a pattern.
    pub fn is_used(&self) -> bool {
        self.channels.is_used() || self.pattern_subscriptions.load(Ordering::Relaxed) > 0
    }

    /// Sends a message to all who listen to the channel or to a pattern that matches it; returns how many messages
    /// were sent.
    pub fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        if !self.is_used() {
            return 0;
        }
        // Held to the end, for the listeners of patterns as well: see `Channels`.
        let part = self.channels.part(channel);
        let mut sent = part
            .get(channel)
            .map_or(0, |all| tell(all, &[b"message", channel, message]));
        if self.pattern_subscriptions.load(Ordering::Relaxed) > 0 {
            for (pattern, listeners) in self.patterns.read().iter() {
                if glob::matches(pattern, channel, false) {
                    sent += tell(listeners, &[b"pmessage", pattern, channel, message]);
                }
            }
        }
        drop(part);
        sent
    }

    /// Sends a message to all who listen to a shard's channel; returns how many they are.
    pub fn spublish(&self, channel: &[u8], message: &[u8]) -> usize {
        if !self.sharded.is_used() {
            return 0;
        }
        let part = self.sharded.part(channel);
        part.get(channel)
            .map_or(0, |all| tell(all, &[b"smessage", channel, message]))
    }

    /// Channels with listeners that match a pattern (all if None).
    pub fn channels(&self, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        self.channels.names(pattern)
    }

    /// The same of shards' channels.
    pub fn shard_channels(&self, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        self.sharded.names(pattern)
    }

    /// True if a client listens to a channel or (the second argument) pattern that `may_listen` refuses.
    pub fn listens_beyond(&self, client: u64, may_listen: impl Fn(&[u8], bool) -> bool) -> bool {
        let beyond = |names: &ByName, is_pattern| {
            names
                .iter()
                .any(|(name, listeners)| listeners.contains_key(&client) && !may_listen(name, is_pattern))
        };
        let parts = self.channels.parts.iter().chain(&self.sharded.parts);
        parts.into_iter().any(|part| beyond(&part.lock(), false)) || beyond(&self.patterns.read(), true)
    }

    /// Number of listeners of a channel.
    pub fn listeners(&self, channel: &[u8]) -> usize {
        self.channels.listeners(channel)
    }

    /// Number of listeners of a shard's channel.
    pub fn shard_listeners(&self, channel: &[u8]) -> usize {
        self.sharded.listeners(channel)
    }

    /// Who listens to any of these channels of shards.
    pub fn shard_subscribers(&self, channels: &[Box<[u8]>]) -> Vec<Arc<Client>> {
        let mut clients: Listeners = HashMap::new();
        for channel in channels {
            let part = self.sharded.part(channel);
            let listeners = part.get(channel).into_iter().flatten();
            clients.extend(listeners.map(|(id, client)| (*id, Arc::clone(client))));
        }
        clients.into_values().collect()
    }

    /// Number of channels with listeners.
    pub fn channel_count(&self) -> usize {
        self.channels.count()
    }

    /// Number of shards' channels with listeners.
    pub fn shard_channel_count(&self) -> usize {
        self.sharded.count()
    }

    /// Number of patterns.
    pub fn pattern_count(&self) -> usize {
        self.patterns.read().len()
    }
}

/// Puts a message into the mailboxes of all listeners; returns how many they are.
fn tell(listeners: &Listeners, words: &[&[u8]]) -> usize {
    let mut texts = Texts::default();
    for client in listeners.values() {
        client.send(texts.get(client, |r| {
            r.push(words.len());
            words.iter().for_each(|word| r.bulk(word));
        }));
    }
    listeners.len()
}

/// The text of one message in both protocols, made when first needed.
#[derive(Default)]
pub struct Texts([Option<Vec<u8>>; 2]);

impl Texts {
    /// The text in the protocol of this client.
    pub fn get(&mut self, client: &Client, write: impl FnOnce(&mut Reply)) -> &[u8] {
        let resp3 = client.resp.load(Ordering::Relaxed) == 3;
        self.0[usize::from(resp3)].get_or_insert_with(|| {
            let mut reply = Reply::new(Vec::new(), if resp3 { Proto::Resp3 } else { Proto::Resp2 });
            write(&mut reply);
            reply.into_inner()
        })
    }
}
