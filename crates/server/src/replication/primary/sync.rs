//! Full synchronizations: replicas that wait for a snapshot, which of them share one, and the walk that makes it.
//!
//! ```text
//!   PSYNC -> wait (repl-diskless-sync-delay) -> cut -> walk -> +----> replica's task -> socket
//!                                                              +----> another's
//! ```
//!
//! The walk's bytes go to all replicas of a group as they come, and the slowest sets the pace; nothing touches a disk. A
//! replica that must know the length first gets a file, which is written before it is sent (as does everybody with
//! `repl-diskless-sync no`). What is written meanwhile is kept in the log, held by a reader of each replica, and in images of
//! the snapshot: [`super::cron`] slows writers before this takes too much memory.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_persistence::rdb::Watcher;
use holdfast_rdb::file::FileWriter;
use holdfast_replication::{Content, LogReader, ReplId};
use holdfast_storage::snapshot::{Progress as Walked, Walker};
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::mpsc::{self, error::SendTimeoutError};
use tokio::sync::oneshot;

use super::{Attached, Stage, cron};
use crate::config::Param;
use crate::memory;
use crate::server::{SAVER_ROW, Server};
use crate::snapshots::{self, Claim, Cut, Notes, Progress, Purpose};

/// Bytes of a piece on its way to the replicas.
const PIECE: usize = 256 << 10;
/// Pieces that wait for one replica: its task takes them when its socket has taken the last.
const PIECES: usize = 8;
/// How often a walk that waits for a replica looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// A part of a snapshot.
#[derive(Debug)]
pub enum Piece {
    /// Its next bytes.
    Bytes(Bytes),
    /// It is whole.
    End,
}

/// How a snapshot comes to a replica.
pub enum Payload {
    /// As it is made. An end without [`Piece::End`]: it was not made to its end.
    Stream(mpsc::Receiver<Piece>),
    /// From a file, once that is there: the file and its length.
    File(oneshot::Receiver<(Box<dyn Read + Send>, u64)>),
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stream(_) => "Stream",
            Self::File(_) => "File",
        })
    }
}

/// What a replica that waits is given.
#[derive(Debug)]
pub struct Start {
    /// The history that it joins.
    pub id: ReplId,
    /// Reads the log behind the snapshot.
    pub reader: LogReader,
    /// The snapshot.
    pub payload: Payload,
    /// 40 characters that end a snapshot whose length is not known.
    pub mark: [u8; 40],
}

/// What replicas that share a snapshot have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    on_disk: bool,
    content: Content,
}

#[derive(Debug)]
struct Waiter {
    replica: Arc<Attached>,
    kind: Kind,
    since: Instant,
    /// It was dropped for its lag before, and is let in later.
    not_before: Instant,
    start: oneshot::Sender<Start>,
}

/// Full synchronizations that wait or run.
#[derive(Debug, Default)]
pub struct Syncs {
    waiting: Mutex<Vec<Waiter>>,
}

/// Has a replica wait for a snapshot. What it is given comes through the receiver; if that ends, there is none.
pub fn wait(server: &Arc<Server>, replica: &Arc<Attached>) -> oneshot::Receiver<Start> {
    let (start, started) = oneshot::channel();
    let primary = &server.replication.primary;
    let now = Instant::now();
    let penalty = primary.lagged.lock().penalty(replica, server.now_ms());
    if let Some(penalty) = penalty {
        let name = replica.name();
        let seconds = penalty.as_secs();
        tracing::warn!(
            "Replica {name} was dropped as it could not keep up: its full synchronization waits for {seconds} s"
        );
        primary
            .counts
            .put_off
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    let kind = Kind {
        on_disk: !replica.who.eof || !server.config.flag(Param::ReplDisklessSync),
        content: replica.who.content,
    };
    primary.syncs.waiting.lock().push(Waiter {
        replica: Arc::clone(replica),
        kind,
        since: now,
        not_before: now + penalty.unwrap_or_default(),
        start,
    });
    if !begin_due(server) && !kind.on_disk {
        tracing::info!("Delay next BGSAVE for diskless SYNC");
    }
    started
}

/// Begins a synchronization if one is due, and nobody else walks the data. True if it has.
pub fn begin_due(server: &Arc<Server>) -> bool {
    let syncs = &server.replication.primary.syncs;
    let mut waiting = syncs.waiting.lock();
    waiting.retain(|w| !w.replica.client.is_killed() && !w.start.is_closed());
    let Some(kind) = due(server, &waiting) else {
        return false;
    };
    let Some(claim) = server.snapshots.claim(Purpose::FullSync) else {
        return false;
    };
    let now = Instant::now();
    let group: Vec<Waiter> = waiting
        .extract_if(.., |w| w.kind == kind && w.not_before <= now)
        .collect();
    drop(waiting);
    let target = if kind.on_disk { "disk" } else { "replicas sockets" };
    tracing::info!("Starting BGSAVE for SYNC with target: {target}");
    let maker = Arc::clone(server);
    let thread = std::thread::Builder::new()
        .name("full-sync".into())
        .spawn(move || {
            let row = maker.threads + SAVER_ROW;
            if let Err(error) = make(&maker, &claim, kind, group) {
                tracing::warn!("SYNC failed. {error}");
            }
            drop(claim);
            memory::retire(row);
        });
    if let Err(error) = thread {
        // The replicas' connections end, as what they wait for is gone.
        tracing::warn!(%error, "no thread for a full synchronization");
    }
    true
}

/// The kind of those who have waited long enough, or are enough.
fn due(server: &Server, waiting: &[Waiter]) -> Option<Kind> {
    let config = &server.config;
    let now = Instant::now();
    let delay = Duration::from_secs(config.int(Param::ReplDisklessSyncDelay).max(0) as u64);
    let enough = config.int(Param::ReplDisklessSyncMaxReplicas).max(0) as usize;
    let ready = || waiting.iter().filter(|w| w.not_before <= now);
    let oldest = ready().find(|w| {
        let count = ready().filter(|other| other.kind == w.kind).count();
        w.kind.on_disk || now - w.since >= delay || (enough > 0 && count >= enough)
    });
    oldest.map(|w| w.kind)
}

/// Makes a snapshot and gives it to a group of replicas.
fn make(server: &Arc<Server>, claim: &Claim, kind: Kind, group: Vec<Waiter>) -> Result<(), String> {
    let began = Instant::now();
    // The log is held from a place before the cut, so that the cut's is kept until everybody holds it.
    let pin = server.log.reader(server.log.end_offset());
    let notes = Notes {
        content: kind.content,
        ..Notes::default()
    };
    let cut = snapshots::cut(server, claim, notes).map_err(|e| e.to_string())?;
    if cut.file.is_timed() {
        tracing::warn!(
            "There are hashes whose fields expire: the snapshot for replicas is of a version that Redis before 7.4 refuses"
        );
    }
    let id = server.replication.history().id();
    let mut targets = Vec::new();
    for waiter in group {
        let Some(reader) = server.log.reader(cut.offset) else {
            return Err("the log has begun anew".to_owned());
        };
        targets.extend(begin(server, waiter, id, reader, kind));
    }
    drop(pin);
    cron::begin_pacing(server);
    let bytes = if kind.on_disk {
        into_file(server, cut, kind, targets)?
    } else {
        into_sockets(server, cut, kind, targets)?
    };
    tracing::info!(
        bytes,
        seconds = began.elapsed().as_secs_f64(),
        "Background transfer terminated with success"
    );
    Ok(())
}

/// Where a replica's part of a snapshot goes.
enum Target {
    Socket(mpsc::Sender<Piece>),
    File(oneshot::Sender<(Box<dyn Read + Send>, u64)>),
}

/// Tells a replica that its snapshot begins. None: it is gone.
fn begin(
    server: &Server,
    waiter: Waiter,
    id: ReplId,
    reader: LogReader,
    kind: Kind,
) -> Option<(Arc<Attached>, Target)> {
    let replica = waiter.replica;
    replica.set_place(reader.place());
    replica.note_took(server.now_ms());
    replica.set_catching_up(true);
    let (payload, target) = if kind.on_disk {
        let (file, made) = oneshot::channel();
        (Payload::File(made), Target::File(file))
    } else {
        replica.set_stage(Stage::Sending);
        let (pieces, sent) = mpsc::channel(PIECES);
        (Payload::Stream(sent), Target::Socket(pieces))
    };
    let start = Start {
        id,
        reader,
        payload,
        mark: mark(),
    };
    waiter.start.send(start).ok()?;
    replica.client.waker.wake();
    Some((replica, target))
}

fn mark() -> [u8; 40] {
    let text = super::super::new_id();
    let mut mark = [0; 40];
    mark.copy_from_slice(text.as_str().as_bytes());
    // Never the replication id itself, which is in the snapshot.
    mark[rand::rng().random_range(0..40)] = b'x';
    mark
}

/// Walks, and hands over what was written whenever a piece is full. `take` may end it.
fn walk(
    server: &Server,
    cut: Cut<'_>,
    kind: Kind,
    mut take: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<u64, String> {
    let Cut {
        mut walker, mut file, ..
    } = cut;
    let mut bytes = 0;
    let mut hand_over = |file: &mut FileWriter| {
        file.drain(|part| {
            bytes += part.len() as u64;
            take(part)
        })
    };
    let watcher = Progress(server);
    while kind.content == Content::All && step(&mut walker, &mut file, &watcher)? {
        if file.pending() >= PIECE {
            hand_over(&mut file)?;
            memory::publish(server.threads + SAVER_ROW);
        }
    }
    file.finish();
    hand_over(&mut file)?;
    Ok(bytes)
}

/// One slice. False: everything has been seen.
fn step(walker: &mut Walker<'_>, file: &mut FileWriter, watcher: &Progress<'_>) -> Result<bool, String> {
    let before = file.keys();
    let walked = walker.step(file).map_err(|lost| lost.to_string())?;
    let new = file.keys() - before;
    if !watcher.keys(file.keys()) {
        return Err("it was told to stop".to_owned());
    }
    let delay = watcher.delay();
    if new > 0 && !delay.is_zero() {
        std::thread::sleep(delay.saturating_mul(u32::try_from(new).unwrap_or(u32::MAX)));
    }
    Ok(walked == Walked::More)
}

fn into_sockets(
    server: &Arc<Server>,
    cut: Cut<'_>,
    kind: Kind,
    mut targets: Vec<(Arc<Attached>, Target)>,
) -> Result<u64, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|e| e.to_string())?;
    let bytes = walk(server, cut, kind, |part| {
        let piece = Bytes::copy_from_slice(part);
        targets.retain(|(replica, target)| {
            let piece = Piece::Bytes(piece.clone());
            runtime.block_on(send(server, replica, target, piece))
        });
        if targets.is_empty() {
            return Err("Diskless rdb transfer, last replica dropped, ending the walk.".to_owned());
        }
        Ok(())
    })?;
    tracing::info!(
        "Diskless rdb transfer, done reading from pipe, {} replicas still up.",
        targets.len()
    );
    for (replica, target) in &targets {
        runtime.block_on(send(server, replica, target, Piece::End));
    }
    Ok(bytes)
}

/// Gives a replica's task a piece, when it has room for it. False: the replica is gone, or has not taken anything for
/// `repl-timeout`.
async fn send(server: &Server, replica: &Attached, target: &Target, mut piece: Piece) -> bool {
    let Target::Socket(pieces) = target else {
        return false;
    };
    loop {
        match pieces.send_timeout(piece, LOOK).await {
            Ok(()) => return true,
            Err(SendTimeoutError::Closed(_)) => return false,
            Err(SendTimeoutError::Timeout(back)) => piece = back,
        }
        // Who takes nothing is ended by the periodic job; a walk that is to stop does not wait for it.
        if replica.client.is_killed() || !Progress(server).keys(server.snapshots.keys().0) {
            return false;
        }
    }
}

fn temporary() -> PathBuf {
    PathBuf::from(format!("temp-repl-{}.rdb", std::process::id()))
}

fn into_file(
    server: &Arc<Server>,
    cut: Cut<'_>,
    kind: Kind,
    targets: Vec<(Arc<Attached>, Target)>,
) -> Result<u64, String> {
    let path = temporary();
    let made = write_file(server, cut, kind, &path);
    if let Ok(bytes) = made {
        for (replica, target) in targets {
            let Target::File(give) = target else { continue };
            match server.saving.fs.open(&path) {
                Ok(file) => {
                    replica.set_stage(Stage::Sending);
                    replica.note_took(server.now_ms());
                    let _gone_meanwhile = give.send((file, bytes));
                    replica.client.waker.wake();
                }
                Err(error) => tracing::warn!("SYNC failed. Can't open DB after BGSAVE: {error}"),
            }
        }
    }
    // Those who read it have it open.
    if let Err(error) = server.saving.fs.remove(&path) {
        tracing::warn!(%error, "the snapshot for replicas stays behind as {}", path.display());
    }
    made
}

fn write_file(server: &Arc<Server>, cut: Cut<'_>, kind: Kind, path: &Path) -> Result<u64, String> {
    let text = |e: std::io::Error| e.to_string();
    let mut out = server.saving.fs.create(path).map_err(text)?;
    let bytes = walk(server, cut, kind, |part| out.write_all(part).map_err(text))?;
    out.finish().map_err(text)?;
    Ok(bytes)
}
