//! The primary's side: the replicas of this server, and what they get.
//!
//! | | |
//! |---|---|
//! | a replica as others see it | [`attached`] |
//! | its connection's task: snapshot, then log | [`link`] |
//! | full synchronizations: who shares one, the walk | [`sync`] |
//! | what happens with time: pings, timeouts, limits | [`cron`] |

pub mod attached;
pub mod cron;
pub mod link;
pub mod sync;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use holdfast_replication::{Ask, LogReader, Said, Why, first_wanted};
use parking_lot::{Mutex, RwLock};

pub use attached::{Attached, Stage};

use crate::acks::Acked;
use crate::client::flag;
use crate::config::Param;
use crate::server::{Server, UNREAD_LOG};
use crate::session::Session;

/// `REPLCONF GETACK *`: asks the replicas how far they are.
pub(super) const GETACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";

/// What happened since the start, or since CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub struct Counts {
    /// Full synchronizations asked for.
    pub full: AtomicU64,
    /// Replicas that went on where they were.
    pub partial: AtomicU64,
    /// Those that could not.
    pub refused: AtomicU64,
    /// Replicas that were dropped as they were too far behind the log.
    pub lagged: AtomicU64,
    /// Replicas that were dropped as nothing was heard of them, or their sockets took nothing.
    pub timed_out: AtomicU64,
    /// Full synchronizations that were put off, as their replica had been dropped for its lag.
    pub put_off: AtomicU64,
    /// Bytes sent to replicas.
    pub sent: AtomicU64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Primary {
    replicas: RwLock<BTreeMap<u64, Arc<Attached>>>,
    /// Full synchronizations.
    pub syncs: sync::Syncs,
    /// See there.
    pub counts: Counts,
    /// Who was dropped for its lag.
    lagged: Mutex<cron::Lagged>,
    /// Offset behind the last GETACK.
    asked_at: AtomicU64,
    /// The log keeps `repl-backlog-size`.
    backlog: AtomicBool,
    /// Unix ms since when there is no replica.
    alone_since_ms: AtomicI64,
    /// Good replicas, as counted last.
    good: AtomicU64,
    clock: Mutex<cron::Clock>,
    /// The thread that sets the writers' pace is there.
    pacing: AtomicBool,
    /// Bytes that full synchronizations hold, as that thread saw them last.
    pub held: AtomicU64,
}

/// What a replica's task begins with.
#[derive(Debug)]
pub struct Attachment {
    /// The replica.
    pub replica: Arc<Attached>,
    /// What it gets.
    pub start: Begin,
}

/// See [`Attachment`].
#[derive(Debug)]
pub enum Begin {
    /// The log from where it is.
    Log(LogReader),
    /// A snapshot, when there is one.
    Snapshot(tokio::sync::oneshot::Receiver<sync::Start>),
}

impl Primary {
    /// The replicas, in the order in which they came.
    pub fn replicas(&self) -> Vec<Arc<Attached>> {
        self.replicas.read().values().cloned().collect()
    }

    /// Number of replicas.
    pub fn count(&self) -> usize {
        self.replicas.read().len()
    }

    /// True if the log is kept for replicas that come back.
    pub fn has_backlog(&self) -> bool {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Replicas that count for `min-replicas-to-write`.
    pub fn good(&self) -> u64 {
        self.good.load(Ordering::Relaxed)
    }

    /// Keeps the log for replicas that come back, from now on.
    pub fn keep_backlog(&self, server: &Server) {
        self.backlog.store(true, Ordering::Relaxed);
        server
            .log
            .resize(server.config.int(Param::ReplBacklogSize) as usize);
    }

    /// `repl-backlog-size` has changed.
    pub fn resize_backlog(&self, server: &Server) {
        if self.has_backlog() {
            self.keep_backlog(server);
        }
    }

    /// From now on there is no replica: the backlog is kept for `repl-backlog-ttl`.
    pub fn note_alone(&self, server: &Server) {
        self.alone_since_ms.store(server.now_ms(), Ordering::Relaxed);
    }

    /// Keeps the log no more.
    pub fn drop_backlog(&self, server: &Server) {
        self.backlog.store(false, Ordering::Relaxed);
        server.log.resize(UNREAD_LOG);
    }

    /// A client has asked for data, by PSYNC or SYNC (`is_old`): it is a replica from now on.
    pub fn attach(&self, server: &Arc<Server>, session: &mut Session, ask: Ask, is_old: bool) -> Attachment {
        let now_ms = server.now_ms();
        let client = Arc::clone(&session.client);
        let who = session.introduction.take().map(|who| *who).unwrap_or_default();
        let replica = Arc::new(Attached::new(Arc::clone(&client), who, is_old, now_ms));
        let name = replica.name();
        tracing::info!("Replica {name} asks for synchronization");
        session.replica = Some(Arc::clone(&replica));
        // Before the decision: who makes it wrong (a change of the role) ends all replicas' connections.
        client.set_flag(flag::REPLICA, true);
        server.apply_output_limit(&client);
        server.client_memory.forget(&client);
        self.replicas.write().insert(client.id, Arc::clone(&replica));
        if !self.has_backlog() {
            self.keep_backlog(server);
            tracing::info!(
                "Replication backlog created, my new replication IDs are '{}' and '{}'",
                server.replication.history().id(),
                second_id(server)
            );
        }
        let start = match server.replication.answer(&server.log, ask) {
            Ok(reader) => {
                self.counts.partial.fetch_add(1, Ordering::Relaxed);
                replica.set_place(reader.place());
                replica.note_ack(Some(reader.place()), None);
                replica.set_catching_up(false);
                replica.set_stage(Stage::Online);
                tracing::info!(
                    "Partial resynchronization request from {name} accepted. Sending {} bytes of backlog starting from offset {}.",
                    reader.behind(),
                    first_wanted(reader.place())
                );
                Begin::Log(reader)
            }
            Err(why) => {
                log_refusal(server, &name, ask, why);
                if matches!(ask, Ask::Rest { .. }) {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                }
                self.counts.full.fetch_add(1, Ordering::Relaxed);
                Begin::Snapshot(sync::wait(server, &replica))
            }
        };
        self.refresh_good(server);
        Attachment { replica, start }
    }

    /// A replica's connection has ended.
    pub fn detach(&self, server: &Server, replica: &Attached) {
        let left = {
            let mut replicas = self.replicas.write();
            replicas.remove(&replica.client.id);
            replicas.len()
        };
        server.acks.forget(replica.client.id);
        if left == 0 {
            self.note_alone(server);
        }
        tracing::info!("Connection with replica {} lost.", replica.name());
        self.refresh_good(server);
    }

    /// What a replica says after it has asked for data: how far it is.
    pub fn hear(&self, server: &Server, replica: &Attached, said: Said) {
        match said {
            Said::Received(offset) => replica.note_ack(Some(offset), None),
            Said::Synced(offset) => replica.note_ack(None, Some(offset)),
            Said::Noted | Said::AckWanted => return,
        }
        replica.note_heard(server.now_ms());
        if replica.stage() == Stage::Online {
            let acked = Acked {
                received: replica.acked(),
                synced: replica.synced(),
            };
            server.acks.acknowledged(server, replica.client.id, acked);
        }
    }

    /// The log has begun anew: what was asked was asked in another one.
    pub fn forget_questions(&self) {
        self.asked_at.store(0, Ordering::Release);
    }

    /// Asks all replicas how far they are, for somebody who waits for `offset`.
    pub fn ask_for_acks(&self, server: &Server, offset: u64) {
        // A question that is on its way behind the offset will do.
        if self.count() == 0 || self.asked_at.load(Ordering::Acquire) > offset {
            return;
        }
        if let Some(end) = server.replication.append_aside(&server.log, GETACK) {
            self.asked_at.store(end, Ordering::Release);
            server.log.notify();
        }
    }

    /// Counts the good replicas anew, and refuses writes if `min-replicas-to-write` says so.
    pub fn refresh_good(&self, server: &Server) {
        let (least, max_lag_s) = (
            server.config.int(Param::MinReplicasToWrite),
            server.config.int(Param::MinReplicasMaxLag),
        );
        if least == 0 || max_lag_s == 0 {
            server.set_too_few_replicas(false);
            return;
        }
        let now_ms = server.now_ms();
        let replicas = self.replicas.read();
        let good = replicas.values().filter(|r| r.is_good(now_ms, max_lag_s)).count();
        drop(replicas);
        self.good.store(good as u64, Ordering::Relaxed);
        server.set_too_few_replicas(!server.replication.is_replica() && (good as i64) < least);
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counts(&self) {
        let counts = &self.counts;
        for count in [&counts.full, &counts.partial, &counts.refused, &counts.sent] {
            count.store(0, Ordering::Relaxed);
        }
    }
}

/// How many replicas are [behind](behind_of).
pub fn behind(server: &Server, offset: u64) -> usize {
    behind_of(&server.replication.primary.replicas(), offset).count()
}

/// Those that follow the log and have not acknowledged everything before `offset`.
fn behind_of(replicas: &[Arc<Attached>], offset: u64) -> impl Iterator<Item = &Arc<Attached>> {
    let online = replicas
        .iter()
        .filter(|r| r.stage() == Stage::Online && !r.client.is_killed());
    online.filter(move |r| r.acked() < offset)
}

/// Tells the log who is [behind](behind_of) when the server ends.
pub fn name_those_behind(server: &Server, offset: u64) {
    for replica in behind_of(&server.replication.primary.replicas(), offset) {
        tracing::info!(
            "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
            replica.name(),
            offset - replica.acked(),
            replica.silent_ms(server.now_ms()) / 1000,
            replica.stage().name()
        );
    }
}

/// True if the end of the server has to wait for replicas: `shutdown-timeout`.
pub fn has_replicas_behind(server: &Server) -> bool {
    server.config.int(Param::ShutdownTimeout) > 0 && behind(server, server.log.end_offset()) > 0
}

fn second_id(server: &Server) -> String {
    let second = server.replication.history().second();
    second.map_or_else(|| "0".repeat(40), |second| second.id.to_string())
}

fn log_refusal(server: &Server, name: &str, ask: Ask, why: Why) {
    match why {
        Why::Asked => tracing::info!("Full resync requested by replica {name}"),
        Why::OtherHistory => {
            let id = match ask {
                Ask::Rest { id: Some(id), .. } => id.to_string(),
                Ask::Rest { id: None, .. } | Ask::Everything => "?".to_owned(),
            };
            tracing::info!(
                "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{id}', my replication IDs are '{}' and '{}')",
                server.replication.history().id(),
                second_id(server)
            );
        }
        Why::PastSecond { wanted, end } => tracing::info!(
            "Partial resynchronization not accepted: Requested offset for second ID was {wanted}, but I can reply up to {end}"
        ),
        Why::NotKept { wanted } => tracing::info!(
            "Unable to partial resync with replica {name} for lack of backlog (Replica request was: {wanted})."
        ),
        Why::NotYet { wanted } => {
            tracing::info!(
                "Unable to partial resync with replica {name} for lack of backlog (Replica request was: {wanted})."
            );
            tracing::warn!(
                "Warning: replica {name} tried to PSYNC with an offset that is greater than the master replication offset."
            );
        }
    }
}
