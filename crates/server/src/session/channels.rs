//! The channels and patterns that a connection is subscribed to.
//!
//! Must not know: who publishes; the commands' replies, but for what a client is told without having asked.

use std::sync::atomic::Ordering;

use holdfast_resp::Reply;

use super::Session;
use crate::client::flag;
use crate::cluster::react;

impl Session {
    /// Number of channels, patterns and shards' channels.
    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shard_channels.len()
    }

    /// Publishes the number of subscriptions.
    pub fn note_subscriptions(&self) {
        self.client.channels.store(self.channels.len(), Ordering::Relaxed);
        self.client.patterns.store(self.patterns.len(), Ordering::Relaxed);
        self.client
            .shard_channels
            .store(self.shard_channels.len(), Ordering::Relaxed);
        self.client.set_flag(flag::PUBSUB, self.subscriptions() > 0);
        self.server.apply_output_limit(&self.client);
    }

    /// Leaves all channels and patterns without telling the client.
    pub fn unsubscribe_all(&mut self) {
        for channel in std::mem::take(&mut self.channels) {
            self.client.note_interest(&channel, false);
            self.server.pubsub.unsubscribe(&channel, self.client.id);
        }
        for pattern in std::mem::take(&mut self.patterns) {
            self.client.note_interest(&pattern, false);
            self.server.pubsub.punsubscribe(&pattern, self.client.id);
        }
        for channel in std::mem::take(&mut self.shard_channels) {
            self.client.note_interest(&channel, false);
            self.server.pubsub.sunsubscribe(&channel, self.client.id);
        }
        self.note_subscriptions();
    }

    /// Leaves the shards' channels that are another node's now; what the client is told of that.
    pub fn leave_foreign_channels(&mut self) -> Vec<u8> {
        let mut reply = Reply::new(Vec::new(), self.proto);
        for channel in react::foreign_channels(&self.server, self.shard_channels.iter()) {
            self.shard_channels.remove(&channel);
            self.client.note_interest(&channel, false);
            self.server.pubsub.sunsubscribe(&channel, self.client.id);
            reply.push(3);
            reply.bulk(b"sunsubscribe");
            reply.bulk(&channel);
            reply.int(self.shard_channels.len() as i64);
        }
        self.note_subscriptions();
        reply.into_inner()
    }
}
