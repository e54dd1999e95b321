//! The source's side: a thread that sends one migration after the other, and tries again what failed while the cluster's
//! state says that it runs.
//!
//! ```text
//!  connect, the target makes room -> cut -> walk -> the log, until little is left -> writers wait, the rest -> Commit
//!                 ^                                                                                    |
//!                 +------------ any failure: a pause, twice as long each time, and anew --------------+
//! ```
//!
//! Must not know: how commands are encoded, who serves what.

mod of_slots;
mod pause;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use holdfast_cluster::MigrationId;
use holdfast_cluster::state::{Entry, Migration, Phase, View};
use holdfast_replication::LogReader;
use holdfast_storage::keyspace::ShardSet;
use holdfast_storage::snapshot::{Progress, SnapshotError, Walker};

use super::courier::{Broken, Courier};
use super::filter::{Filter, NoPart};
use super::table::Stage;
use super::{Migrations, goes_from_here};
use crate::cluster::plane::PlaneError;
use crate::cluster::{Cluster, endpoint, react};
use crate::config::Param;
use crate::memory;
use crate::replication::primary::cron;
use crate::server::{EXPORT_ROW, Server};
use crate::snapshots::{Claim, Purpose};

use of_slots::OfSlots;
use pause::Pause;

/// Pause after the first failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often somebody who waits looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of the snapshot that are sent at once, and of the log that are read at once.
const PIECE: usize = 64 << 10;
const STEP: usize = 256 << 10;
/// The target makes room for so long at most.
const MAKING_ROOM: Duration = Duration::from_secs(120);
/// While writers are slowed because of it, a target that does nothing is given up after this time.
const STOPPED: Duration = Duration::from_secs(10);
/// Replicas of the target are waited for so long before the handoff.
const REPLICAS: Duration = Duration::from_millis(1000);
/// A handoff that is expected to take this part of the time since the snapshot may begin, however much is left to send.
const SHARE: u32 = 10;

/// Why a try has failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error(transparent)]
    NoPart(#[from] NoPart),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the log has begun anew")]
    LogGone,
    #[error("the shard of the target has no primary that is known")]
    NoTarget,
    #[error("{have} of {want} replicas of the target have acknowledged")]
    Replicas { have: i64, want: usize },
    #[error("the change of the owner: {0}")]
    Plane(String),
}

/// Starts the thread if there is something to send, and no thread.
pub(super) fn follow(server: &Arc<Server>) {
    let Some(cluster) = server.cluster.get() else {
        return;
    };
    if server.is_loading()
        || next_of(&cluster.view()).next().is_none()
        || cluster.migrations.exporting.swap(true, Ordering::AcqRel)
    {
        return;
    }
    let sender = Arc::clone(server);
    let thread = std::thread::Builder::new()
        .name("slot-export".into())
        .spawn(move || {
            if let Some(cluster) = sender.cluster.get() {
                run(&sender, cluster);
                cluster.migrations.exporting.store(false, Ordering::Release);
            }
            memory::retire(sender.threads + EXPORT_ROW);
        });
    if let Err(error) = thread {
        cluster.migrations.exporting.store(false, Ordering::Release);
        tracing::warn!(%error, "no thread for a migration of slots");
    }
}

/// What this node has to send.
fn next_of(view: &View) -> impl Iterator<Item = &Migration> {
    let all = view.state.migrations.values();
    all.filter(|migration| view.is_primary() && goes_from_here(view, migration))
}

/// When a migration is tried next, and how often it has failed.
type Due = BTreeMap<MigrationId, (Instant, u32)>;

fn run(server: &Arc<Server>, cluster: &Cluster) {
    let mut due = Due::new();
    while !server.shutdown.is_cancelled() {
        let view = cluster.view();
        due.retain(|id, _| view.state.migrations.contains_key(id));
        let now = Instant::now();
        let at = |migration: &&Migration| due.get(&migration.id).map_or(now, |(at, _)| *at);
        // The one that has waited longest; those that begin at once in their order.
        let Some(migration) = next_of(&view).min_by_key(|m| (at(m), m.begun)) else {
            return; // whoever begins one starts a thread, if he comes after this; cron does in any case
        };
        if at(&migration) > now {
            std::thread::sleep(LOOK);
            continue;
        }
        let (id, now_ms) = (migration.id, server.now_ms());
        cluster.migrations.table.note(id, now_ms, |told| {
            if told.started_ms == 0 {
                told.started_ms = now_ms;
            }
        });
        let result = Try::new(server, cluster, migration).and_then(Try::run);
        cluster.migrations.set_place(None);
        let failures = due.get(&id).map_or(0, |(_, failures)| *failures);
        match result {
            Ok(()) => {}
            Err(Failed::Broken(Broken::Stopped)) => {
                // It was cancelled, or this node is no primary any more. Not again at once, should the view be an old one.
                due.insert(id, (Instant::now() + FIRST_PAUSE, failures));
            }
            Err(error) => {
                let pause = FIRST_PAUSE
                    .saturating_mul(1 << failures.min(8))
                    .min(LONGEST_PAUSE);
                tracing::warn!(
                    "Migration {id}: {error}. It is tried again in {} ms.",
                    pause.as_millis()
                );
                due.insert(id, (Instant::now() + pause, failures + 1));
                cluster.migrations.table.note(id, server.now_ms(), |told| {
                    told.stage = Stage::Waiting;
                    told.retries += 1;
                    told.last_error = error.to_string();
                });
            }
        }
        memory::publish(server.threads + EXPORT_ROW);
    }
}

/// One try to send one migration.
struct Try<'a> {
    server: &'a Arc<Server>,
    cluster: &'a Cluster,
    migration: &'a Migration,
    host: String,
    port: u16,
    began: Instant,
}

/// What is left to send after the snapshot.
struct Rest<'a> {
    courier: Courier<'a>,
    reader: LogReader,
    filter: Filter,
    /// Offset up to which the log was read.
    read_to: u64,
    part: Vec<u8>,
}

impl<'a> Try<'a> {
    fn new(server: &'a Arc<Server>, cluster: &'a Cluster, migration: &'a Migration) -> Result<Self, Failed> {
        let state = &cluster.view().state;
        let shard = state.shards.get(&migration.to).ok_or(Failed::NoTarget)?;
        let node = state.nodes.get(&shard.primary).ok_or(Failed::NoTarget)?;
        Ok(Self {
            server,
            cluster,
            migration,
            host: node.endpoint.ip.clone(),
            port: endpoint::port(&node.endpoint, server.config.flag(Param::TlsReplication)),
            began: Instant::now(),
        })
    }

    fn migrations(&self) -> &'a Migrations {
        &self.cluster.migrations
    }

    fn is_stopped(&self) -> bool {
        let view = self.cluster.view();
        self.server.shutdown.is_cancelled() || !next_of(&view).any(|m| m.id == self.migration.id)
    }

    fn check(&self) -> Result<(), Failed> {
        match self.is_stopped() {
            true => Err(Broken::Stopped.into()),
            false => Ok(()),
        }
    }

    fn stage(&self, stage: Stage) {
        let (id, now_ms) = (self.migration.id, self.server.now_ms());
        self.migrations()
            .table
            .note(id, now_ms, |told| told.stage = stage);
    }

    fn patience(&self) -> Duration {
        let timeout = Duration::from_secs(self.server.config.int(Param::ReplTimeout).max(1) as u64);
        timeout.min(STOPPED)
    }

    fn run(self) -> Result<(), Failed> {
        let stopped = || self.is_stopped();
        self.stage(Stage::Connecting);
        let mut courier = Courier::connect(self.server, &self.host, self.port, self.patience(), &stopped)?;
        let id = self.migration.id;
        courier.ask_ok(
            &[b"CLUSTER", b"SYNCSLOTS", b"BEGIN", id.as_str().as_bytes()],
            MAKING_ROOM,
        )?;
        self.stage(Stage::Snapshot);
        let rest = self.send_snapshot(courier)?;
        self.stage(Stage::Changes);
        self.send_changes(rest)
    }

    fn claim(&self) -> Result<Claim, Failed> {
        loop {
            if let Some(claim) = self.server.snapshots.claim(Purpose::SlotMigration) {
                return Ok(claim);
            }
            self.check()?;
            std::thread::sleep(LOOK);
        }
    }

    fn send_snapshot<'c>(&self, mut courier: Courier<'c>) -> Result<Rest<'c>, Failed> {
        let server = self.server;
        let claim = self.claim()?;
        let (mut walker, reader, db) = {
            let mut locked = server.keyspace.lock(&ShardSet::All);
            let walker = Walker::begin(&mut locked).ok_or(SnapshotError::Replaced)?;
            server.snapshots.images.begin(server, walker.cut());
            let (offset, selected) = server.log.cut();
            let reader = server.log.reader(offset).ok_or(Failed::LogGone)?;
            (walker, reader, selected.unwrap_or(0))
        };
        let place = reader.place();
        self.migrations().set_place(Some(place));
        cron::begin_pacing(server);
        let mut sink = OfSlots::new(&self.migration.slots);
        loop {
            let progress = walker.step(&mut sink)?;
            if sink.commands.pending() >= PIECE || progress == Progress::Done {
                let bytes = sink.commands.take();
                courier.send(&bytes, sink.commands.is_whole())?;
                self.keep_rate(courier.sent, || server.snapshots.is_cancelled())?;
                memory::publish(server.threads + EXPORT_ROW);
            }
            self.check()?;
            if server.snapshots.is_cancelled() {
                return Err(SnapshotError::GivenUp.into());
            }
            if progress == Progress::Done {
                break;
            }
        }
        let images = server.snapshots.images.bytes().1;
        let (id, now_ms) = (self.migration.id, server.now_ms());
        self.migrations()
            .table
            .note(id, now_ms, |told| told.images = images);
        drop(walker);
        drop(claim);
        Ok(Rest {
            courier,
            reader,
            filter: Filter::new(self.migration.slots.clone(), db),
            read_to: place,
            part: Vec::new(),
        })
    }

    /// Waits while more was sent than `cluster-slot-migration-max-rate` allows since the try began, unless `hurries` says that
    /// this does not count.
    fn keep_rate(&self, sent: u64, hurries: impl Fn() -> bool) -> Result<(), Failed> {
        loop {
            let rate = self.server.config.int(Param::ClusterSlotMigrationMaxRate).max(0) as u64;
            if rate == 0 || sent as f64 / rate as f64 <= self.began.elapsed().as_secs_f64() || hurries() {
                return Ok(());
            }
            self.check()?;
            std::thread::sleep(LOOK);
        }
    }

    /// Reads a part of the log and sends what belongs to the slots. False: there was nothing.
    fn send_log(&self, rest: &mut Rest<'_>) -> Result<bool, Failed> {
        let chunk = rest
            .reader
            .read_changes(rest.read_to, STEP)
            .map_err(|_| Failed::LogGone)?;
        if chunk.end == rest.read_to {
            return Ok(false);
        }
        for piece in &chunk.pieces {
            rest.filter.take(piece, &mut rest.part)?;
        }
        rest.read_to = chunk.end;
        if !rest.part.is_empty() {
            rest.courier.send(&rest.part, true)?;
            rest.part.clear();
        }
        // What was sent is not needed here any more: a try that fails begins with another snapshot.
        rest.reader.advance_to(rest.read_to);
        self.migrations().set_place(Some(rest.read_to));
        Ok(true)
    }

    fn send_changes(&self, mut rest: Rest<'_>) -> Result<(), Failed> {
        let (began, mut read, id) = (Instant::now(), 0u64, self.migration.id);
        let from = rest.read_to;
        let end = || self.server.log.end_offset();
        let first_end = end();
        loop {
            self.check()?;
            let more = self.send_log(&mut rest)?;
            // A log that grows faster than the rate allows would never be sent: it is read twice as fast as it grows at least.
            let done = rest.read_to - from;
            self.keep_rate(rest.courier.sent, || done < (end() - first_end).saturating_mul(2))?;
            let left = end().saturating_sub(rest.read_to);
            read = read.max(rest.read_to - from);
            // By what was sent so far.
            let took = began.elapsed();
            let will_take = took.mul_f64(left as f64 / read.max(1) as f64);
            let limit = self
                .server
                .config
                .int(Param::ClusterSlotMigrationHandoffMaxLagBytes)
                .max(0) as u64;
            if more && left > limit && will_take * SHARE > took {
                continue;
            }
            rest.courier.settle()?;
            self.migrations().table.heard(id, self.server.now_ms());
            if !self.replicas_have(&mut rest, REPLICAS)? {
                std::thread::sleep(LOOK);
                continue;
            }
            if self.hand_over(&mut rest)? {
                return Ok(());
            }
        }
    }

    /// Whether the target's replicas that may be promoted have everything that was sent.
    fn replicas_have(&self, rest: &mut Rest<'_>, patience: Duration) -> Result<bool, Failed> {
        let view = self.cluster.view();
        let want = view
            .state
            .shards
            .get(&self.migration.to)
            .map_or(0, |shard| shard.in_sync.len());
        if want == 0 {
            return Ok(true);
        }
        let (number, ms) = (want.to_string(), patience.as_millis().max(1).to_string());
        let words: [&[u8]; 3] = [b"WAIT", number.as_bytes(), ms.as_bytes()];
        let have = rest.courier.ask_number(&words, patience + self.patience())?;
        let enough = usize::try_from(have).is_ok_and(|have| have >= want);
        if !enough {
            let error = Failed::Replicas { have, want }.to_string();
            let (id, now_ms) = (self.migration.id, self.server.now_ms());
            self.migrations()
                .table
                .note(id, now_ms, |told| told.last_error = error);
        }
        Ok(enough)
    }

    /// Has writers of the slots wait, sends the rest, and has the owner changed. False: it took too long; writers go on, and
    /// so does the sending.
    fn hand_over(&self, rest: &mut Rest<'_>) -> Result<bool, Failed> {
        self.stage(Stage::Handoff);
        let timeout = Duration::from_millis(
            self.server
                .config
                .int(Param::ClusterSlotMigrationWritePauseTimeout)
                .max(1) as u64,
        );
        let pause = Pause::begin(self.server, self.migrations(), self.migration);
        let left = || timeout.saturating_sub(pause.lasts());
        let end = self.server.log.end_offset();
        while rest.read_to < end {
            if left().is_zero() {
                self.stage(Stage::Changes);
                return Ok(false);
            }
            self.send_log(rest)?;
        }
        if !rest.filter.is_between_commands() {
            return Err(NoPart::Malformed("it ends within a command".to_owned()).into());
        }
        rest.courier.settle()?;
        if left().is_zero() || !self.replicas_have(rest, left())? {
            self.stage(Stage::Changes);
            return Ok(false);
        }
        self.commit()?;
        // Clients that have waited find the new owner.
        react::to_view(self.server);
        drop(pause);
        tracing::info!(
            "Migration {} of {} slots is done: {} bytes were sent in {:.3} s",
            self.migration.id,
            self.migration.slots.len(),
            rest.courier.sent,
            self.began.elapsed().as_secs_f64()
        );
        Ok(true)
    }

    /// Has the owner changed. While it is not known whether it is, nothing is written.
    fn commit(&self) -> Result<(), Failed> {
        let id = self.migration.id;
        let failed = |error: &dyn std::fmt::Display| Failed::Plane(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| failed(&e))?;
        loop {
            let answer = runtime.block_on(self.cluster.plane().propose(Entry::MigrationCommit { id }));
            let error = match answer {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            // An earlier proposal whose answer was lost may have been agreed on.
            let view = self.cluster.view();
            let over = view.state.finished_migrations.iter().find(|m| m.id == id);
            match (over.map(|m| &m.phase), &error) {
                (Some(Phase::Committed), _) => return Ok(()),
                (Some(Phase::Cancelled(_)), _) => return Err(Broken::Stopped.into()),
                (Some(Phase::Running) | None, PlaneError::Rejected(_) | PlaneError::Unavailable(_)) => {
                    return Err(failed(&error));
                }
                (Some(Phase::Running) | None, PlaneError::Unknown(_) | PlaneError::Failed(_)) => {
                    if self.server.shutdown.is_cancelled() {
                        return Err(failed(&error));
                    }
                    tracing::warn!("Migration {id}: {error}. Writers of its slots wait until it is known.");
                    std::thread::sleep(LOOK);
                }
            }
        }
    }
}
