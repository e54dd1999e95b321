//! The way to the end of the server: replicas get what they do not have yet, then the data are saved.
//!
//! ```text
//!   SHUTDOWN, SIGTERM, SIGINT -> wait for replicas (shutdown-timeout; writes held back) -> save -> end
//!                                    SHUTDOWN ABORT -> the server goes on
//! ```
//!
//! There is one end at a time: who asks for it while it is on its way is told what became of it. Facts:
//! <https://redis.io/commands/shutdown> and what 7.0.15 does.
//!
//! Must not know: how a snapshot is written, who listens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_resp::Reply;
use holdfast_storage::keyspace::ShardSet;
use parking_lot::{Condvar, Mutex};

use crate::blocking::{self, Waiter};
use crate::config::Param;
use crate::memory;
use crate::replication::primary;
use crate::saving;
use crate::server::{Hold, SAVER_ROW, Server};

/// The reply to who asked for an end that does not come.
pub const CANNOT_END: &str = "ERR Errors trying to SHUTDOWN. Check logs.";

/// How often it is looked whether the replicas have everything.
const LOOK: Duration = Duration::from_millis(2);

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Ending {
    state: Mutex<State>,
    /// The wait for replicas is called off.
    aborted: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    /// How often replicas have been waited for.
    waits: u64,
    /// Clients that have called SHUTDOWN.
    asked: Vec<Arc<Waiter>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nobody wants it to end.
    #[default]
    None,
    /// It waits for replicas, until then.
    Waiting(Instant),
    /// The data are being saved, or it ends now.
    Saving,
}

/// What SHUTDOWN or a signal says about the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Whether it is to save; None: if there are save points.
    pub save: Option<bool>,
    /// Replicas are not waited for.
    pub now: bool,
    /// Errors of the save do not keep it from ending.
    pub force: bool,
}

impl Ending {
    /// Somebody wants the server to end. False: it is on its way already; `waiter` is told what comes of it.
    pub fn begin(&self, waiter: Option<Arc<Waiter>>) -> bool {
        let mut state = self.state.lock();
        state.asked.retain(|w| !w.is_done());
        state.asked.extend(waiter);
        let first = state.stage == Stage::None;
        if first {
            state.stage = Stage::Saving;
        }
        first
    }

    /// SHUTDOWN ABORT: the server goes on when this returns, and may be told to end again. False: nobody waits for replicas.
    pub fn abort(&self, server: &Server) -> bool {
        let mut state = self.state.lock();
        if !matches!(state.stage, Stage::Waiting(_)) {
            return false;
        }
        tracing::info!("Shutdown manually aborted.");
        server.hold_writes(Hold::End, false);
        let asked = state.leave();
        drop(state);
        self.aborted.notify_all();
        refuse(server, &asked);
        true
    }

    /// How long replicas are waited for at most; None: they are not.
    pub fn time_left(&self) -> Option<Duration> {
        match self.state.lock().stage {
            Stage::Waiting(until) => Some(until.saturating_duration_since(Instant::now())),
            Stage::None | Stage::Saving => None,
        }
    }

    /// The server goes on: tells those who wanted it to end.
    pub fn give_up(&self, server: &Server) {
        let asked = self.state.lock().leave();
        refuse(server, &asked);
    }
}

impl State {
    /// Nobody wants an end any more. Who did is to be told.
    fn leave(&mut self) -> Vec<Arc<Waiter>> {
        self.stage = Stage::None;
        std::mem::take(&mut self.asked)
    }
}

/// Tells clients that the end they have asked for does not come.
fn refuse(server: &Server, asked: &[Arc<Waiter>]) {
    for waiter in asked.iter().filter(|w| !w.is_done()) {
        let mut reply = Reply::new(Vec::new(), waiter.proto);
        reply.error(CANNOT_END);
        blocking::unblock(server, None, waiter, reply.as_bytes());
    }
}

/// Goes the way to the end, for who has [begun](Ending::begin) it. Blocks this thread, which must not be one that serves
/// clients. False: the server goes on, and whoever asked has been told.
pub fn go(server: &Server, manner: Manner) -> bool {
    if !manner.now && !wait_for_replicas(server) {
        return false;
    }
    let saved = saving::save_before_end(server, manner.save);
    memory::retire(server.threads + SAVER_ROW);
    if saved.is_ok() || manner.force {
        return true;
    }
    server.hold_writes(Hold::End, false);
    server.ending.give_up(server);
    false
}

/// Holds writes back and waits until all replicas have everything, for `shutdown-timeout` at most. False: it was aborted,
/// and whoever did it has seen to the rest.
fn wait_for_replicas(server: &Server) -> bool {
    if !primary::has_replicas_behind(server) {
        return true;
    }
    let timeout = Duration::from_secs(server.config.int(Param::ShutdownTimeout).unsigned_abs());
    // A time that cannot be told is one that nobody lives to see.
    let far = Duration::from_secs(u64::from(u32::MAX));
    let until = Instant::now() + timeout.min(far);
    let ending = &server.ending;
    tracing::info!("Waiting for replicas before shutting down.");
    let wait = {
        let mut state = ending.state.lock();
        state.stage = Stage::Waiting(until);
        state.waits += 1;
        server.hold_writes(Hold::End, true);
        state.waits
    };
    // Writers that were let in before hold their shards.
    drop(server.keyspace.lock(&ShardSet::All));
    let end = server.log.end_offset();
    server.replication.primary.ask_for_acks(server, end);
    let mut state = ending.state.lock();
    loop {
        // Another end may have begun since this one was called off.
        if state.stage != Stage::Waiting(until) || state.waits != wait {
            return false;
        }
        let behind = primary::behind(server, end);
        if behind == 0 || Instant::now() >= until {
            state.stage = Stage::Saving;
            drop(state);
            primary::name_those_behind(server, end);
            let all = server.replication.primary.count();
            tracing::info!(
                "{} of {all} replicas are in sync when shutting down.",
                all - behind.min(all)
            );
            return true;
        }
        ending.aborted.wait_for(&mut state, LOOK);
    }
}
