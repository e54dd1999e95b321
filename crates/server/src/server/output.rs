//! How much output a client may have: `client-output-buffer-limit`.
//!
//! Must not know: sockets.

use std::sync::atomic::Ordering;

use super::Server;
use crate::client::{Client, ClientClass, flag};
use crate::config::{self, OutputLimit, Param};

impl Server {
    fn output_limit(&self, client: &Client) -> OutputLimit {
        // What a monitor is sent does not depend on what it asks for: it is limited as a subscriber is.
        if client.has_flag(flag::MONITOR) {
            return self.config.client_output_limit(config::ClientClass::Pubsub);
        }
        let class = client.class();
        let mut limit = self.config.client_output_limit(match class {
            ClientClass::Normal | ClientClass::Master => config::ClientClass::Normal,
            ClientClass::Replica => config::ClientClass::Replica,
            ClientClass::Pubsub => config::ClientClass::Pubsub,
        });
        if class == ClientClass::Replica && limit.hard_bytes > 0 {
            // What is kept for everybody is no replica's excess.
            let kept = self.config.int(Param::ReplBacklogSize).unsigned_abs();
            limit.hard_bytes = limit.hard_bytes.max(kept);
        }
        limit
    }

    /// Tells a client's mailbox the hard limit of its class.
    pub fn apply_output_limit(&self, client: &Client) {
        client.set_mail_limit(self.output_limit(client).hard_bytes as usize);
    }

    /// True if a client's output is over the hard limit of its class.
    pub fn over_hard_limit(&self, client: &Client, bytes: usize) -> bool {
        let limit = self.output_limit(client).hard_bytes as usize;
        limit > 0 && bytes > limit
    }

    /// True if a client's output has been over the soft limit of its class for its time.
    pub fn over_soft_limit(&self, client: &Client, now_ms: i64) -> bool {
        let limit = self.output_limit(client);
        let bytes = client.output.load(Ordering::Relaxed) + client.mail_len();
        if limit.soft_bytes == 0 || bytes <= limit.soft_bytes as usize {
            client.over_soft_since_ms.store(0, Ordering::Relaxed);
            return false;
        }
        let since = client.over_soft_since_ms.load(Ordering::Relaxed);
        if since == 0 {
            client.over_soft_since_ms.store(now_ms, Ordering::Relaxed);
            return false;
        }
        now_ms - since > limit.soft_seconds as i64 * 1000
    }

    /// True while the output of all clients together is so large that each gets only a small share.
    pub fn is_output_crowded(&self) -> bool {
        self.output_crowded.load(Ordering::Relaxed)
    }
}
