//! Why commands are refused because of the state of the server: it loads, it cannot persist, it follows another one.
//!
//! Must not know: replies' encoding; what a user may do.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use holdfast_commands::spec::Flags;

use super::Server;
use crate::client::Client;
use crate::config::{Guard, Param};
use crate::registry::Entry;
use crate::session::Multi;

/// Why commands are refused: bits of [`Server::refusals`].
mod refuse {
    /// The data are being loaded.
    pub const LOADING: u8 = 1;
    /// The last save failed.
    pub const UNSAVED: u8 = 2;
    /// Fewer good replicas than `min-replicas-to-write`.
    pub const TOO_FEW_REPLICAS: u8 = 4;
    /// This server follows another one.
    pub const REPLICA: u8 = 16;
    /// The append-only file cannot be written.
    pub const AOF: u8 = 8;
}

/// The reply to writes while there are fewer good replicas than `min-replicas-to-write`.
pub const TOO_FEW_REPLICAS: &str = "NOREPLICAS Not enough good replicas to write.";
/// The reply to writes of a replica's clients.
pub const READONLY: &str = "READONLY You can't write against a read only replica.";
/// The reply of a replica that has lost its primary and must not answer from what it has.
pub const STALE: &str = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";

impl Server {
    /// The data are being loaded.
    pub fn is_loading(&self) -> bool {
        self.refusals.load(Ordering::Relaxed) & refuse::LOADING != 0
    }

    /// Begins or ends the time in which only commands flagged so are taken.
    pub fn set_loading(&self, on: bool) {
        if on {
            self.refusals.fetch_or(refuse::LOADING, Ordering::Relaxed);
        } else {
            self.refusals.fetch_and(!refuse::LOADING, Ordering::Relaxed);
        }
    }

    /// The result of a save is known.
    pub fn note_refusals(&self) {
        if self.saving.last_failed() {
            self.refusals.fetch_or(refuse::UNSAVED, Ordering::Relaxed);
        } else {
            self.refusals.fetch_and(!refuse::UNSAVED, Ordering::Relaxed);
        }
    }

    /// Begins or ends the time in which writes are refused as there are too few good replicas.
    pub fn set_too_few_replicas(&self, on: bool) {
        if on {
            self.refusals
                .fetch_or(refuse::TOO_FEW_REPLICAS, Ordering::Relaxed);
        } else {
            self.refusals
                .fetch_and(!refuse::TOO_FEW_REPLICAS, Ordering::Relaxed);
        }
    }

    /// True if writes are refused as there are too few good replicas.
    pub fn has_too_few_replicas(&self) -> bool {
        self.refusals.load(Ordering::Relaxed) & refuse::TOO_FEW_REPLICAS != 0
    }

    /// This server follows another one from now on, or does not any more.
    pub fn note_role(&self, is_replica: bool) {
        crate::logging::show_role(is_replica);
        if is_replica {
            self.refusals.fetch_or(refuse::REPLICA, Ordering::Relaxed);
        } else {
            self.refusals.fetch_and(!refuse::REPLICA, Ordering::Relaxed);
        }
    }

    /// The append-only file cannot be written, or can again.
    pub fn note_aof_error(&self, failed: bool) {
        if failed {
            self.refusals.fetch_or(refuse::AOF, Ordering::Relaxed);
        } else {
            self.refusals.fetch_and(!refuse::AOF, Ordering::Relaxed);
        }
    }

    /// Why a command is refused because of the state of the data, if it is.
    #[inline]
    pub fn refusal(&self, entry: &Entry, multi: Option<&Multi>) -> Option<Cow<'static, str>> {
        match self.refusals.load(Ordering::Relaxed) {
            0 => None,
            bits => self.refusal_for(bits, entry, multi),
        }
    }

    #[cold]
    fn refusal_for(&self, bits: u8, entry: &Entry, multi: Option<&Multi>) -> Option<Cow<'static, str>> {
        let writes = || {
            entry.is(Flags::WRITE)
                || entry.spec.name == "ping"
                || (entry.spec.name == "exec"
                    && multi.is_some_and(|m| m.queue.iter().any(|(e, _)| e.is(Flags::WRITE))))
        };
        if writes()
            && let Some(text) = self.write_refusal()
        {
            return Some(text);
        }
        if bits & refuse::TOO_FEW_REPLICAS != 0 && writes() && entry.spec.name != "ping" {
            return Some(Cow::Borrowed(TOO_FEW_REPLICAS));
        }
        if bits & refuse::REPLICA != 0
            && let Some(text) = self.refusal_of_replica(entry, multi)
        {
            return Some(Cow::Borrowed(text));
        }
        (bits & refuse::LOADING != 0 && !entry.is(Flags::LOADING))
            .then_some(Cow::Borrowed("LOADING Redis is loading the dataset in memory"))
    }

    /// Why nothing may be written by clients, if so: for commands that are seen one by one only as they run, as those of
    /// scripts.
    pub fn write_refusal(&self) -> Option<Cow<'static, str>> {
        let bits = self.refusals.load(Ordering::Relaxed);
        let unsaved = bits & refuse::UNSAVED != 0
            && self.config.flag(Param::StopWritesOnBgsaveError)
            && !self.config.save_points().is_empty();
        if bits & refuse::AOF != 0
            && let Some(error) = self.aof.write_error()
        {
            return Some(Cow::Owned(format!(
                "MISCONF Errors writing to the AOF file: {error}"
            )));
        }
        unsaved.then_some(Cow::Borrowed(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
             Commands that may modify the data set are disabled, because this instance is configured to report \
             errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check \
             the Redis logs for details about the RDB error.",
        ))
    }

    /// Why this server, as a replica, refuses a command.
    fn refusal_of_replica(&self, entry: &Entry, multi: Option<&Multi>) -> Option<&'static str> {
        let queued = |wanted: &dyn Fn(&Entry) -> bool| {
            entry.spec.name == "exec" && multi.is_some_and(|m| m.queue.iter().any(|(e, _)| wanted(e)))
        };
        // In a cluster functions are all nodes', and are agreed on.
        let agreed_on = |e: &Entry| self.cluster.get().is_some() && e.spec.name.starts_with("function|");
        let writes = |e: &Entry| e.is(Flags::WRITE) && !agreed_on(e);
        if self.config.flag(Param::ReplicaReadOnly) && (writes(entry) || queued(&writes)) {
            return Some(READONLY);
        }
        let needs_fresh = |e: &Entry| !e.is(Flags::STALE);
        if self.is_stale() && (needs_fresh(entry) || queued(&needs_fresh)) {
            return Some(STALE);
        }
        None
    }

    /// True for a replica that takes no writes from clients.
    #[inline]
    pub fn is_read_only(&self) -> bool {
        self.replication.is_replica() && self.config.flag(Param::ReplicaReadOnly)
    }

    /// True for a replica without a link that must not answer from what it has (`replica-serve-stale-data no`).
    pub fn is_stale(&self) -> bool {
        self.replication.is_replica()
            && !self.config.flag(Param::ReplicaServeStaleData)
            && !self.replication.follower.is_up()
    }

    /// True while new data are loaded beside those that serve.
    pub fn is_async_loading(&self) -> bool {
        !self.is_loading() && self.loading.current().is_some()
    }

    /// True for commands that the configuration forbids (`enable-debug-command`).
    pub fn is_protected(&self, entry: &Entry, client: &Client) -> bool {
        if !entry.is(Flags::ADMIN) {
            return false;
        }
        let guard = match entry.spec.name {
            "module|load" | "module|loadex" | "module|unload" => Param::EnableModuleCommand,
            name if name.split('|').next() == Some("debug") => Param::EnableDebugCommand,
            _ => return false,
        };
        match Guard::from_code(self.config.int(guard)) {
            Guard::Yes => false,
            Guard::Local => !client.is_local(),
            Guard::No => true,
        }
    }
}
