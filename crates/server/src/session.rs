//! One connection's state and the way of its commands: checks, MULTI's queue, execution.
//!
//! Synchronous: bytes in, reply bytes out. Sockets and waiting are [`crate::net::connection`]'s.

mod batch;
mod channels;
mod door;
mod login;
mod multi;
mod watched;

pub use door::Arrival;
pub use multi::Multi;
pub use watched::Watching;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use holdfast_acl::Login;
use holdfast_commands::args::Args;
use holdfast_commands::spec::Flags;
use holdfast_replication::Introduction;
use holdfast_resp::{CommandDecoder, Frame, OwnedFrame, Proto, ProtocolError};
use holdfast_storage::keyspace::KeyHash;

use crate::blocking::{self, Blocked, Waiter};
use crate::client::{Client, flag};
use crate::cluster::check;
use crate::cluster::migration::import::Importing;
use crate::commands::{Call, ServerError};
use crate::execute::{self, Caller};
use crate::observe::{self, Ended};
use crate::registry::{Entry, KeyPlan, LookupError, Registry, Run};
use crate::replication::primary::{Attached, Attachment};
use crate::server::Server;
use crate::worker::Worker;

use batch::LOOK_AHEAD;

/// What the connection does next.
#[derive(Debug)]
pub enum Flow {
    /// The next command.
    Continue,
    /// It sends what is there and closes.
    Close,
    /// It waits for keys.
    Blocked(Wait),
    /// It waits until clients may go on, then runs this command.
    Paused(OwnedFrame),
    /// It is a replica's from now on.
    Replica(Box<Attachment>),
}

/// A client's wait in a blocking command.
#[derive(Debug)]
pub struct Wait {
    /// Its place in the queues.
    pub waiter: Arc<Waiter>,
    /// For how long.
    pub timeout_ms: Option<u64>,
}

/// Whether replies are sent: CLIENT REPLY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// To every command.
    #[default]
    On,
    /// To none.
    Off,
    /// Not to this command, and not to the one after it.
    SkipNext,
    /// Not to this command.
    Skip,
}

/// What is known of a command before it runs.
#[derive(Debug)]
struct Plan {
    found: Result<&'static Entry, LookupError>,
    /// Hash of its only key.
    hash: Option<KeyHash>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Session {
    /// The server.
    pub server: Arc<Server>,
    /// What others see of it.
    pub client: Arc<Client>,
    /// Half received commands.
    pub decoder: CommandDecoder,
    /// Selected database.
    pub db: u32,
    /// Protocol version.
    pub proto: Proto,
    /// The password has been given, or none was asked for.
    pub authenticated: bool,
    /// The user.
    pub login: Login,
    /// Inside MULTI.
    pub multi: Option<Multi>,
    /// WATCH.
    pub watching: Watching,
    /// CLIENT REPLY.
    pub replies: Replies,
    /// CLIENT TRACKING.
    pub tracks: bool,
    /// Offset of the log behind its last write.
    pub written_to: u64,
    /// Subscribed channels.
    pub channels: BTreeSet<Box<[u8]>>,
    /// Subscribed patterns.
    pub patterns: BTreeSet<Box<[u8]>>,
    /// Subscribed channels of shards.
    pub shard_channels: BTreeSet<Box<[u8]>>,
    /// MONITOR.
    pub is_monitor: bool,
    /// When it was held back last and let go, Unix ms.
    pub let_go_ms: i64,
    /// The command that was parked last is held back by a pause or a throttle; others look again soon.
    pub is_held: bool,
    /// Whether its commands have waited for a slot that travels to this node; begins anew with each reading.
    pub arrival: Arrival,
    /// What a replica has said of itself before it asks for data.
    pub introduction: Option<Box<Introduction>>,
    /// The replica that it is.
    pub replica: Option<Arc<Attached>>,
    /// ASKING stands before the next command.
    pub asking: bool,
    /// READONLY: a replica in a cluster serves its reads.
    pub readonly: bool,
    /// What it brings, if it is the source of a migration of slots.
    pub importing: Option<Box<Importing>>,
}

impl Session {
    /// A new connection's state.
    pub fn new(server: Arc<Server>, client: Arc<Client>) -> Self {
        let default = Arc::clone(server.acl.users.default_account());
        client.set_account(Arc::clone(&default));
        Self {
            authenticated: server.acl.users.default_is_open(),
            login: Login::new(default),
            server,
            client,
            decoder: CommandDecoder::new(),
            db: 0,
            proto: Proto::Resp2,
            multi: None,
            watching: Watching::default(),
            replies: Replies::On,
            tracks: false,
            written_to: 0,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            shard_channels: BTreeSet::new(),
            is_monitor: false,
            let_go_ms: i64::MIN / 2,
            is_held: false,
            arrival: Arrival::NotAwaited,
            introduction: None,
            replica: None,
            asking: false,
            readonly: false,
            importing: None,
        }
    }

    /// Begins or ends to watch all commands.
    pub fn monitor(&mut self, on: bool) {
        if std::mem::replace(&mut self.is_monitor, on) == on {
            return;
        }
        self.client.set_flag(flag::MONITOR, on);
        self.server.apply_output_limit(&self.client);
        let observe = &self.server.observe;
        if on {
            observe.monitors.add(&self.client);
        } else {
            observe.monitors.remove(self.client.id);
        }
        observe.changed();
    }

    /// Executes the commands in `input` and advances it past what was consumed. Stops early if the flow changes or if
    /// the reply buffer grows beyond `reply_budget` bytes.
    pub fn process(&mut self, input: &mut &[u8], w: &mut Worker, reply_budget: usize) -> Flow {
        w.reply.set_proto(self.proto);
        w.serve(&self.client);
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut scratch = std::mem::take(&mut w.scratch);
        let flow = loop {
            w.decode_limits.authenticated = !self.must_log_in();
            let ahead = if w.decode_limits.authenticated {
                decoder.batch(input, &mut scratch, &w.decode_limits, LOOK_AHEAD)
            } else {
                0
            };
            let flow = if ahead > 1 {
                self.execute_batch(input, &scratch, ahead, w, reply_budget)
            } else {
                match decoder.next(input, &mut scratch, &w.decode_limits) {
                    Ok(None) => break Flow::Continue,
                    Ok(Some(frame)) => self.execute(frame, w),
                    Err(error) => {
                        tracing::debug!(client = self.client.id, %error, "closing a connection");
                        if matches!(error, ProtocolError::QueryBufferLimit) {
                            w.counters.query_limit_disconnections += 1;
                        }
                        error.write_reply(&mut w.reply);
                        break Flow::Close;
                    }
                }
            };
            match flow {
                Flow::Continue if w.reply.len() > reply_budget => break Flow::Continue,
                Flow::Continue => {}
                other => break other,
            }
        };
        self.decoder = decoder;
        w.scratch = scratch;
        self.client
            .query_buffer
            .store(self.decoder.buffered(), Ordering::Relaxed);
        flow
    }

    /// Executes one command, or queues it inside MULTI.
    pub fn execute(&mut self, frame: Frame<'_>, w: &mut Worker) -> Flow {
        w.serve(&self.client);
        let plan = Plan {
            found: Registry::get().resolve(&frame),
            hash: None,
        };
        w.meter.skip();
        self.execute_planned(frame, plan, w)
    }

    /// Executes a command and drops its reply if the client wants none.
    fn execute_planned(&mut self, frame: Frame<'_>, mut plan: Plan, w: &mut Worker) -> Flow {
        let mark = w.reply.mark();
        w.client_id = self.client.id;
        self.note_tracker(w);
        w.import_source = w.import_mode && self.client.has_flag(flag::IMPORT_SOURCE);
        let is_client = self.tracks
            && plan
                .found
                .as_ref()
                .is_ok_and(|e| e.spec.name.starts_with("client|"));
        w.written_to = 0;
        let asked = self.asking;
        if self.importing.is_some() {
            return self.import(frame, &mut plan, w);
        }
        let flow = self.check_and_run(frame, &mut plan, w);
        if asked && self.multi.is_none() && !matches!(flow, Flow::Paused(_)) {
            // ASKING was about this command, or about the whole transaction.
            self.asking &= plan.found.is_ok_and(|e| e.spec.name == "asking");
        }
        self.note_written(w);
        if self.tracks && !is_client && self.multi.is_none() && !matches!(flow, Flow::Paused(_)) {
            // CLIENT CACHING was about this command, or about the whole transaction.
            self.client.set_flag(flag::TRACKING_CACHING, false);
        }
        if self.replies != Replies::On && !matches!(flow, Flow::Paused(_)) {
            w.reply.truncate_to(mark);
            self.replies = match self.replies {
                Replies::On | Replies::Skip => Replies::On,
                Replies::SkipNext => Replies::Skip,
                Replies::Off => Replies::Off,
            };
        }
        flow
    }

    /// Notes how far the log goes that has what was written last. Lower than before is right, too: the log of a primary that
    /// is followed may begin anew, and this server may be one again.
    fn note_written(&mut self, w: &Worker) {
        if w.written_to != 0 {
            self.written_to = w.written_to;
        }
    }

    /// Executes a command of a migration. Only what the source waits for is answered; after an error nothing more is done, and
    /// the source is told when it asks.
    fn import(&mut self, frame: Frame<'_>, plan: &mut Plan, w: &mut Worker) -> Flow {
        let asks = plan
            .found
            .as_ref()
            .is_ok_and(|e| matches!(e.spec.name, "cluster|syncslots" | "wait"));
        if asks {
            return self.check_and_run(frame, plan, w);
        }
        if self
            .importing
            .as_ref()
            .is_some_and(|importing| importing.has_failed())
        {
            return Flow::Continue;
        }
        let (mark, begin, errors) = (w.reply.mark(), w.reply.len(), w.errors);
        w.imports_slots = true;
        let flow = self.check_and_run(frame, plan, w);
        w.imports_slots = false;
        self.note_written(w);
        if w.errors != errors
            && let Some(importing) = &mut self.importing
        {
            importing.fail(&w.reply.as_bytes()[begin..]);
        }
        if !matches!(flow, Flow::Paused(_)) {
            w.reply.truncate_to(mark);
        }
        flow
    }

    fn run(
        &mut self,
        entry: &'static Entry,
        frame: Frame<'_>,
        hash: Option<KeyHash>,
        w: &mut Worker,
    ) -> Flow {
        let args = Args::new(frame);
        match entry.run {
            Run::Data(handler) => {
                let server = Arc::clone(&self.server);
                let mut caller = Caller {
                    db: self.db,
                    may_block: true,
                    no_touch: self.client.has_flag(flag::NO_TOUCH),
                    known: None,
                };
                let locked = match entry.keys {
                    KeyPlan::One(i) => {
                        let hash = hash.unwrap_or_else(|| server.keyspace.hash(frame.arg(i as usize)));
                        caller.known = Some((i, hash));
                        let shard = server.keyspace.shard_of(hash.slot);
                        server.keyspace.try_lock_one(shard).or_else(|| {
                            let locked = server.keyspace.lock_one_unless(shard, &server.scripts.busy.flag);
                            w.meter.skip(); // waiting for others is not the command's time
                            locked
                        })
                    }
                    KeyPlan::None | KeyPlan::Specs | KeyPlan::All | KeyPlan::Roam => {
                        let shards = execute::shards_of(&server.keyspace, entry, &frame);
                        let locked = server.keyspace.lock_unless(&shards, &server.scripts.busy.flag);
                        w.meter.skip();
                        locked
                    }
                };
                let Some(mut locked) = locked else {
                    return self.refuse(entry, w, server.scripts.busy.text_now());
                };
                if w.router
                    .as_ref()
                    .is_some_and(|router| router.must_look_again(&server))
                    && let Err(redirect) = check::locked_command(self, w, entry, &frame, &locked)
                {
                    drop(locked);
                    return self.redirect(entry, w, &redirect, frame);
                }
                let mark = w.reply.mark();
                let wait = execute::run_locked(w, &caller, entry, handler, args, &mut locked);
                // Who waits is answered later, under the lease that there is then.
                if wait.is_none() && w.router.is_some() && !entry.spec.keys.is_empty() {
                    check::withdraw_if_late(w, mark, entry.is(Flags::WRITE));
                }
                let waiter = wait.as_ref().map(|wait| {
                    let blocked = Blocked {
                        entry,
                        args,
                        db: self.db,
                        proto: self.proto,
                        muted: self.replies != Replies::On,
                        wait,
                    };
                    server.blocking.enter(&mut locked, &self.client, &blocked)
                });
                drop(locked);
                self.react(w);
                match (waiter, wait) {
                    (Some(waiter), Some(wait)) => Flow::Blocked(Wait {
                        waiter,
                        timeout_ms: wait.timeout_ms,
                    }),
                    _ => Flow::Continue,
                }
            }
            Run::Server(handler) => {
                let flow = self.run_server(entry, handler, args, w, None);
                self.react(w);
                flow
            }
            Run::Container => {
                let text = format!("ERR wrong number of arguments for '{}' command", entry.spec.name);
                self.reject(w, &text)
            }
        }
    }

    /// Runs one of the server's own commands. `locked`: all shards, inside EXEC.
    pub fn run_server(
        &mut self,
        entry: &'static Entry,
        handler: crate::commands::ServerHandler,
        args: Args<'_>,
        w: &mut Worker,
        locked: Option<&mut holdfast_storage::keyspace::Locked<'_>>,
    ) -> Flow {
        let began = observe::begin(w);
        let mark = w.reply.mark();
        let mut ended = Ended {
            entry,
            args,
            db: self.db,
            failed: false,
        };
        observe::tell_before(w, &ended);
        let in_script = w.meter.in_script;
        w.meter.in_script |= observe::runs_others(entry);
        let mut call = Call {
            session: self,
            w,
            entry,
            locked,
        };
        let result = handler(&mut call, args);
        w.meter.in_script = in_script;
        let flow = match result {
            Ok(flow) => flow,
            Err(ServerError(error)) => {
                w.reply.truncate_to(mark);
                w.reply.error_bytes(error.as_bytes());
                w.count_error(error.as_bytes());
                ended.failed = true;
                Flow::Continue
            }
        };
        ended.db = self.db;
        observe::end(w, began, &ended);
        flow
    }

    /// After the locks are released: events, garbage, blocked clients.
    pub fn react(&mut self, w: &mut Worker) {
        execute::after_unlock(w);
        if !w.effects.ready.is_empty() {
            blocking::serve_ready(w);
        }
    }

    /// Tells the worker for whom it remembers what is read.
    #[inline]
    pub fn note_tracker(&self, w: &mut Worker) {
        w.tracker = if self.tracks { self.client.tracker() } else { None };
    }

    /// Ends CLIENT TRACKING.
    pub fn untrack(&mut self) {
        self.server.tracking.disable(&self.client);
        self.tracks = false;
    }

    /// Chooses a database that exists.
    pub fn select(&mut self, db: u32) {
        if self.db != db {
            self.db = db;
            self.client.db.store(db, Ordering::Relaxed);
        }
    }

    fn note_command(&self, id: usize) {
        self.client.last_command.store(id, Ordering::Relaxed);
    }

    /// The connection ends: nothing of it may stay behind.
    pub fn close(&mut self) {
        self.discard();
        self.unsubscribe_all();
        self.untrack();
        self.monitor(false);
        self.server.client_memory.forget(&self.client);
        self.server.clients.remove(self.client.id);
    }
}

#[cfg(test)]
pub(crate) mod tests;
