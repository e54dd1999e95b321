//! FAILOVER, as the primary that gives way sees it: <https://redis.io/commands/failover>.
//!
//! ```text
//!   writes held back -> the target acknowledges all -> role given up -> PSYNC ... FAILOVER -> the target's answer
//!   waiting-for-sync                                   failover-in-progress
//! ```
//!
//! The log's last bytes are a question to the replicas: who has acknowledged what stands before it has everything. The
//! question itself is on its way when the old primary closes that connection, and the target takes it before it takes over,
//! so that both logs end at the same place and the new primary's goes on from there. A writer that was let in before the
//! pause may come in between; then it is asked again. The role changes while every shard is
//! locked, so nothing is written that the target does not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_storage::keyspace::ShardSet;
use parking_lot::Mutex;

use super::primary::{Attached, GETACK, Stage};
use super::replica;
use crate::server::{Hold, Server};

/// How far a failover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none.
    None,
    /// Writes are held back until a replica has everything.
    WaitingForSync,
    /// The role is given up, and the replica is to take it.
    InProgress,
}

const STATES: [(State, &str); 3] = [
    (State::None, "no-failover"),
    (State::WaitingForSync, "waiting-for-sync"),
    (State::InProgress, "failover-in-progress"),
];

impl State {
    /// As INFO writes it.
    pub fn name(self) -> &'static str {
        STATES[self as usize].1
    }
}

/// What FAILOVER asks for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The replica that is to take over; None: the first that has everything.
    pub target: Option<(String, u16)>,
    /// It is to do so when the time is over even if it has not.
    pub force: bool,
    /// How long it is waited for.
    pub timeout: Option<Duration>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Failover {
    state: AtomicU8,
    /// Number of the attempt that runs; a thread of an earlier one has nothing to say any more.
    attempt: Mutex<u64>,
    /// How often the target has been asked to take over.
    times_asked: AtomicU64,
    /// The log is to end where it does, as a node of the cluster gives way.
    holds_log: AtomicBool,
}

/// What `PSYNC ... FAILOVER` is answered by who is a primary.
pub const NOT_TO_A_PRIMARY: &str = "PSYNC FAILOVER can't be sent to a master.";

/// How often it is looked whether the target has everything.
const LOOK: Duration = Duration::from_millis(1);

impl Failover {
    /// How far it is.
    pub fn state(&self) -> State {
        STATES[usize::from(self.state.load(Ordering::Acquire)) % STATES.len()].0
    }

    fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Whether PSYNC is to ask the other server to take over.
    pub fn note_asked(&self) -> bool {
        let asks = self.state() == State::InProgress;
        if asks {
            self.times_asked.fetch_add(1, Ordering::Relaxed);
        }
        asks
    }

    /// Has the log end where it does, for a failover that the cluster decides.
    pub fn hold_log(&self, on: bool) {
        self.holds_log.store(on, Ordering::Release);
    }

    /// True while the log is to end where it does since the cluster decides about a failover.
    pub fn holds_log(&self) -> bool {
        self.holds_log.load(Ordering::Acquire)
    }

    /// True while the log is to end where it does.
    pub fn is_running(&self) -> bool {
        self.state() != State::None
    }
}

/// Begins a failover. No lock may be held.
///
/// # Errors
/// The reply, as of 7.0.15.
pub fn begin(server: &Arc<Server>, wish: Wish) -> Result<(), &'static str> {
    let failover = &server.replication.failover;
    let mut attempt = failover.attempt.lock();
    if failover.is_running() {
        return Err("ERR FAILOVER already in progress.");
    }
    if server.replication.is_replica() {
        return Err("ERR FAILOVER is not valid when server is a replica.");
    }
    let replicas = server.replication.primary.replicas();
    if replicas.is_empty() {
        return Err("ERR FAILOVER requires connected replicas.");
    }
    if wish.force && (wish.timeout.is_none() || wish.target.is_none()) {
        return Err("ERR FAILOVER with force option requires both a timeout and target HOST and IP.");
    }
    if wish.target.is_some() {
        let found = replicas.iter().find(|replica| is_wanted(replica, &wish));
        match found.map(|replica| replica.stage()) {
            None => return Err("ERR FAILOVER target HOST and PORT is not a replica."),
            Some(Stage::Online) => {}
            Some(Stage::Waiting | Stage::Sending | Stage::Sent) => {
                return Err("ERR FAILOVER target replica is not online.");
            }
        }
    }
    match &wish.target {
        Some((host, port)) => tracing::info!("FAILOVER requested to {host}:{port}."),
        None => tracing::info!("FAILOVER requested."),
    }
    *attempt += 1;
    let number = *attempt;
    failover.times_asked.store(0, Ordering::Relaxed);
    failover.set(State::WaitingForSync);
    server.hold_writes(Hold::Failover, true);
    drop(attempt);
    let thread = {
        let server = Arc::clone(server);
        std::thread::Builder::new()
            .name("failover".into())
            .spawn(move || wait_for_target(&server, &wish, number))
    };
    if let Err(error) = thread {
        tracing::warn!(%error, "no thread for FAILOVER");
        end(server, "no thread");
        return Err("ERR FAILOVER cannot start a thread");
    }
    Ok(())
}

/// FAILOVER ABORT. No lock may be held.
///
/// # Errors
/// The reply, as of 7.0.15.
pub fn abort(server: &Arc<Server>) -> Result<(), &'static str> {
    if !server.replication.failover.is_running() {
        return Err("ERR No failover in progress.");
    }
    end(server, "Failover manually aborted");
    Ok(())
}

/// The target's answer to `PSYNC ... FAILOVER`, or why it refuses. No lock may be held.
pub fn answered(server: &Arc<Server>, answer: Result<(), &str>) {
    let failover = &server.replication.failover;
    if failover.state() != State::InProgress {
        return;
    }
    if let Err(refusal) = answer {
        // Asked a second time, as the first answer was lost, it is no replica any more: then it has taken over.
        let has_taken_over =
            failover.times_asked.load(Ordering::Relaxed) > 1 && refusal.contains(NOT_TO_A_PRIMARY);
        if !has_taken_over {
            tracing::warn!("The target of the failover answers: {refusal}");
            end(server, "Failover target rejected psync request");
            return;
        }
    }
    *failover.attempt.lock() += 1;
    failover.set(State::None);
    server.hold_writes(Hold::Failover, false);
    tracing::info!("Failover completed: the target is the primary now.");
}

/// Ends a failover that is not to go on: this server is a primary, and takes writes.
fn end(server: &Arc<Server>, why: &str) {
    let failover = &server.replication.failover;
    let mut attempt = failover.attempt.lock();
    *attempt += 1;
    if failover.state() == State::InProgress {
        let mut all = server.keyspace.lock(&ShardSet::All);
        let functions = server.scripts.libraries.change();
        replica::unfollow(server, &mut all, &functions);
    }
    failover.set(State::None);
    server.hold_writes(Hold::Failover, false);
    drop(attempt);
    tracing::warn!("Aborting failover: {why}");
}

fn is_wanted(replica: &Attached, wish: &Wish) -> bool {
    match &wish.target {
        Some((host, port)) => replica.ip().eq_ignore_ascii_case(host) && replica.who.port == i64::from(*port),
        None => true,
    }
}

/// Waits until a replica has everything, and gives way to it.
fn wait_for_target(server: &Arc<Server>, wish: &Wish, number: u64) {
    let failover = &server.replication.failover;
    let deadline = wish.timeout.map(|timeout| Instant::now() + timeout);
    let mut asked = Asked { begin: 0, end: 0 };
    while *failover.attempt.lock() == number && !server.shutdown.is_cancelled() {
        if asked.end == 0 || server.log.end_offset() != asked.end {
            match ask(server) {
                Some(now) => asked = now,
                None => return end(server, "this server is no primary any more"),
            }
        }
        let replicas = server.replication.primary.replicas();
        let target = replicas.iter().find(|replica| {
            is_wanted(replica, wish)
                && replica.stage() == Stage::Online
                && replica.acked() >= asked.begin
                && replica.place() >= asked.end
        });
        if let Some(target) = target {
            let port = u16::try_from(target.who.port).unwrap_or(0);
            if give_way(server, number, (target.ip(), port), Some(asked.end)) {
                return;
            }
            continue;
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            match &wish.target {
                Some((host, port)) if wish.force => {
                    tracing::info!("Failover to {host}:{port} time out exceeded, failing over.");
                    give_way(server, number, (host, *port), None);
                }
                Some(_) | None => end(server, "Replica never caught up before timeout"),
            }
            return;
        }
        std::thread::sleep(LOOK);
    }
}

/// A question to the replicas: offsets of the log before and behind it.
struct Asked {
    begin: u64,
    end: u64,
}

fn ask(server: &Server) -> Option<Asked> {
    let end = server.replication.append_question(&server.log, GETACK)?;
    server.log.notify();
    Some(Asked {
        begin: end - GETACK.len() as u64,
        end,
    })
}

/// Becomes the target's replica. `end`: where the log must end for that. False: something was written meanwhile.
fn give_way(server: &Arc<Server>, number: u64, (host, port): (&str, u16), end: Option<u64>) -> bool {
    let failover = &server.replication.failover;
    let attempt = failover.attempt.lock();
    if *attempt != number {
        return true;
    }
    let mut all = server.keyspace.lock(&ShardSet::All);
    let functions = server.scripts.libraries.change();
    if end.is_some_and(|end| server.log.end_offset() != end) {
        return false;
    }
    if end.is_some() {
        tracing::info!("Failover target {host}:{port} is synced, failing over.");
    }
    failover.set(State::InProgress);
    replica::follow(server, &mut all, &functions, host.to_owned(), port);
    true
}
