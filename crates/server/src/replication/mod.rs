//! Replication: whether this server is a primary or a replica, whose history its log holds, and the changes of both.
//!
//! The rules are [`holdfast_replication`]'s; the primary's side is in [`primary`]. A change of the role is made by whoever
//! drives it (REPLICAOF, FAILOVER, PSYNC ... FAILOVER); what belongs to it (the backlog, the replicas that must ask anew)
//! is done here.

pub mod failover;
pub mod primary;
pub mod replica;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use failover::Failover;
use holdfast_replication::{Answer, Ask, History, LogReader, ReplId, ReplicationLog, Second, Why};
use holdfast_storage::keyspace::Locked;
use parking_lot::Mutex;
use primary::Primary;
use rand::Rng;

use crate::loading::Loaded;
use crate::server::Server;

/// What this server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows another server.
    Replica {
        /// Name or address, as given.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Replication {
    state: Mutex<State>,
    /// The role, for those who look at each command.
    is_replica: AtomicBool,
    /// Our replicas.
    pub primary: Primary,
    /// What there is of the replica's side.
    pub follower: replica::Follower,
    /// FAILOVER.
    pub failover: Failover,
}

#[derive(Debug)]
struct State {
    role: Role,
    history: History,
    /// Nothing is appended aside: the log is to end where a file says that it does.
    at_end: bool,
}

impl Default for Replication {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                role: Role::Primary,
                history: History::new(new_id()),
                at_end: false,
            }),
            is_replica: AtomicBool::new(false),
            primary: Primary::default(),
            follower: replica::Follower::default(),
            failover: Failover::default(),
        }
    }
}

impl Replication {
    /// What this server is.
    pub fn role(&self) -> Role {
        self.state.lock().role.clone()
    }

    /// True if it follows another server. It changes while every shard is locked: who must be sure looks again while
    /// holding the shards of what it changes.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.is_replica.load(Ordering::Acquire)
    }

    /// A replica's link to its primary is up. While it is not, it has nothing to give to replicas of its own.
    pub fn is_link_up(&self) -> bool {
        self.follower.is_up()
    }

    /// What a replica that asks so gets: a reader of the log, or the reason why it needs a snapshot.
    ///
    /// # Errors
    /// See [`Why`].
    pub fn answer(&self, log: &Arc<ReplicationLog>, ask: Ask) -> Result<LogReader, Why> {
        let state = self.state.lock();
        let extent = log.extent();
        match state.history.answer(ask, extent.first, extent.end) {
            Answer::Continue(offset) => log.reader(offset).ok_or(Why::NotKept {
                wanted: holdfast_replication::first_wanted(offset) as i64,
            }),
            Answer::Full(why) => Err(why),
        }
    }

    /// Appends commands that change nothing to the log, unless the log is a copy of another server's, or is to end where it
    /// does as a replica takes over. The offset of their end.
    pub fn append_aside(&self, log: &ReplicationLog, commands: &[u8]) -> Option<u64> {
        if self.failover.is_running() || self.failover.holds_log() {
            return None;
        }
        self.append_question(log, commands)
    }

    /// The same, for the failover itself.
    fn append_question(&self, log: &ReplicationLog, commands: &[u8]) -> Option<u64> {
        let state = self.state.lock();
        (state.role == Role::Primary && !state.at_end).then(|| log.append_aside(commands))
    }

    /// From now on nothing is appended aside any more, as the server ends and the place in its last file is to be the log's
    /// end; or it goes on.
    pub fn set_at_end(&self, on: bool) {
        self.state.lock().at_end = on;
    }

    /// Whose history the log holds.
    pub fn history(&self) -> History {
        self.state.lock().history
    }

    /// From now on this server follows another one. Its log stays: if the other's history is ours, the two may go on from
    /// there. `all`: every shard.
    pub fn become_replica(&self, server: &Server, all: &Locked<'_>, host: String, port: u16) {
        assert!(all.holds_all(), "a role changes while nobody writes");
        {
            let mut state = self.state.lock();
            state.role = Role::Replica { host, port };
            self.is_replica.store(true, Ordering::Release);
        }
        server.note_role(true);
        self.primary.keep_backlog(server);
        self.disconnect_replicas(server);
    }

    /// From now on this server is a primary, with a history of its own that goes on from the one it has followed. Nothing
    /// of the old primary may be applied any more when this is called. False: it was one already. `all`: every shard.
    pub fn become_primary(&self, server: &Server, all: &Locked<'_>) -> bool {
        assert!(all.holds_all(), "a role changes while nobody writes");
        {
            let mut state = self.state.lock();
            if state.role == Role::Primary {
                return false;
            }
            // Whoever has followed the same primary as this server comes soon.
            self.primary.note_alone(server);
            let end = server.log.select_again();
            state.history.promoted(new_id(), end);
            state.role = Role::Primary;
            self.is_replica.store(false, Ordering::Release);
        }
        server.note_role(false);
        // They are told the new id when they come back, and go on from where they are.
        self.disconnect_replicas(server);
        true
    }

    /// The data have been replaced by the primary's, and its log goes on at `offset`. Called while nobody can write.
    pub fn full_sync_done(&self, server: &Server, id: ReplId, offset: u64) {
        {
            let mut state = self.state.lock();
            state.history.replaced(id);
            server.log.start_at(offset);
        }
        self.primary.forget_questions();
        self.follower.has_synced.store(true, Ordering::Relaxed);
        self.disconnect_replicas(server);
    }

    /// The primary goes on from where our log ends, and may have a new id.
    pub fn partial_sync_done(&self, server: &Server, id: Option<ReplId>) {
        {
            let mut state = self.state.lock();
            match id {
                Some(id) if id != state.history.id() => state.history.renamed(id, server.log.end_offset()),
                Some(_) | None => return,
            }
        }
        // They must know the new id, or they could not go on when they come back later.
        self.disconnect_replicas(server);
    }

    /// Takes up the history that a file says it ends with. A replica goes on with it, if its primary has what follows. A
    /// primary begins a new one, as others may have gone on with the old, and remembers that as its second: replicas that
    /// have no more than is in the file go on from there, as with 7.0.15.
    pub fn restore(&self, server: &Server, loaded: &Loaded) {
        let Some((id, offset)) = loaded.place() else {
            return;
        };
        if self.is_replica() {
            self.state.lock().history = History::new(id);
            server.log.start_at(offset);
            let db = loaded.repl_stream_db.and_then(|db| u32::try_from(db).ok());
            self.follower.set_stream_db(db.unwrap_or(0));
            self.follower.has_synced.store(true, Ordering::Relaxed);
        } else if loaded.is_logged {
            let second = Some(Second { id, end: offset });
            let history = History::restored(new_id(), second);
            self.state.lock().history = history;
            self.primary.note_alone(server);
            tracing::info!(
                "The history {id} goes on as {} from offset {}",
                history.id(),
                holdfast_replication::first_wanted(offset)
            );
        }
    }

    /// Gives the data a history of its own: nobody can go on from what was before (DEBUG CHANGE-REPL-ID).
    pub fn change_id(&self) {
        self.state.lock().history.replaced(new_id());
    }

    /// Ends the connections of all replicas: they come back and ask anew.
    pub fn disconnect_replicas(&self, server: &Server) {
        for client in server.clients.all() {
            if client.class() == crate::client::ClientClass::Replica {
                client.kill();
            }
        }
    }
}

/// A random id.
pub fn new_id() -> ReplId {
    ReplId::new(rand::rng().random())
}
