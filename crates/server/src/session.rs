//! One connection's state and the way of its commands: checks, MULTI's queue, execution.
//!
//! Synchronous: bytes in, reply bytes out. Sockets and waiting are [`crate::net::connection`]'s.

use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_acl::{Account, Login};
use holdfast_commands::args::Args;
use holdfast_commands::spec::Flags;
use holdfast_resp::{CommandDecoder, DecodeScratch, Frame, OwnedFrame, Proto, ProtocolError};
use holdfast_storage::keyspace::{KeyHash, WatchFlag};
use smallvec::SmallVec;

use crate::acl::{self, Origin};
use crate::blocking::{self, Blocked, Waiter};
use crate::client::{Client, flag};
use crate::commands::{Call, ServerError};
use crate::execute::{self, Caller};
use crate::observe::{self, Ended};
use crate::registry::{Entry, KeyPlan, LookupError, Registry, Run};
use crate::server::Server;
use crate::worker::Worker;

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
}

/// A client's wait in a blocking command.
#[derive(Debug)]
pub struct Wait {
    /// Its place in the queues.
    pub waiter: Arc<Waiter>,
    /// For how long.
    pub timeout_ms: Option<u64>,
}

/// Queued commands of MULTI.
#[derive(Debug, Default)]
pub struct Multi {
    /// What has been queued.
    pub queue: Vec<(&'static Entry, OwnedFrame)>,
    /// A command could not be queued: EXEC will refuse.
    pub aborted: bool,
    /// Memory of the queue in bytes.
    pub memory: usize,
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

/// Watched keys.
#[derive(Debug, Default)]
pub struct Watching {
    /// Keys by database, and when each was watched first (Unix ms).
    pub keys: BTreeMap<(u32, Box<[u8]>), i64>,
    /// Set when one of them changes.
    pub dirty: Option<WatchFlag>,
}

/// Commands that are looked at before the first of them runs.
const LOOK_AHEAD: usize = 32;

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

    /// Executes commands that lie ready in `input`. Their keys are hashed and asked for from memory before the first of
    /// them runs, so that waiting for one does not stop the others: with 100,000 keys the look-ups took 42 % of the time of
    /// a SET at pipeline 64 without this.
    fn execute_batch(
        &mut self,
        input: &mut &[u8],
        scratch: &DecodeScratch,
        count: usize,
        w: &mut Worker,
        reply_budget: usize,
    ) -> Flow {
        let whole = *input;
        let keyspace = &self.server.keyspace;
        let mut plans: SmallVec<[Plan; LOOK_AHEAD]> = SmallVec::new();
        // Not for a single command, which would only wait here, nor again for a key that is named in a row.
        let mut asked = None;
        for i in 0..count {
            let frame = scratch.frame(whole, i).0;
            let found = Registry::get().resolve(&frame);
            let hash = match found {
                Ok(Entry {
                    keys: KeyPlan::One(at),
                    ..
                }) => frame.get(*at as usize).map(|key| keyspace.hash(key)),
                Ok(_) | Err(_) => None,
            };
            if let Some(hash) = hash
                && count > 1
                && asked.replace(hash) != Some(hash)
            {
                keyspace.prefetch_bucket(self.db, hash);
            }
            plans.push(Plan { found, hash });
        }
        asked = None;
        for hash in plans.iter().filter_map(|p| p.hash) {
            if count > 1 && asked.replace(hash) != Some(hash) {
                keyspace.prefetch_entry(self.db, hash);
            }
        }
        self.prefetch_elements(&plans, |i| scratch.frame(whole, i).0);
        w.meter.skip();
        for (i, plan) in plans.into_iter().enumerate() {
            let (frame, end) = scratch.frame(whole, i);
            *input = &whole[end..];
            match self.execute_planned(frame, plan, w) {
                Flow::Continue if w.reply.len() > reply_budget => break,
                Flow::Continue => {}
                other => return other,
            }
        }
        Flow::Continue
    }

    /// Asks for the elements that commands in a row look up in the same collection: a look-up in a big hash is two waits
    /// for memory, one after the other.
    fn prefetch_elements<'f>(&self, plans: &[Plan], frame: impl Fn(usize) -> Frame<'f> + Copy) {
        let mut at = 0;
        while let Some(plan) = plans.get(at) {
            let hash = plan.hash;
            let run = plans[at..].iter().take_while(|other| other.hash == hash).count();
            let in_run = at..at + run;
            at += run;
            let (Some(hash), true) = (hash, run > 1) else {
                continue;
            };
            let element = |i: usize| {
                let found = plans[i].found.as_ref().ok()?;
                frame(i).get(usize::from(found.element?))
            };
            if let Ok(Entry {
                keys: KeyPlan::One(key),
                element: Some(_),
                ..
            }) = plan.found
                && let Some(key) = frame(in_run.start).get(usize::from(*key))
            {
                self.server
                    .keyspace
                    .prefetch_elements(self.db, (key, hash), in_run.filter_map(element));
            }
        }
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
    fn execute_planned(&mut self, frame: Frame<'_>, plan: Plan, w: &mut Worker) -> Flow {
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
        let flow = self.check_and_run(frame, plan, w);
        self.written_to = self.written_to.max(w.written_to);
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

    fn check_and_run(&mut self, frame: Frame<'_>, plan: Plan, w: &mut Worker) -> Flow {
        w.counters.commands += 1;
        let entry = match plan.found {
            Ok(entry) => entry,
            Err(LookupError::Unknown) if is_http(frame.name()) => {
                self.server.warn_of_attack(&self.client);
                // Whatever the request has provoked is of no use to a browser: nothing is sent back.
                w.reply.clear();
                return Flow::Close;
            }
            Err(LookupError::Unknown) => {
                self.note_command(usize::MAX);
                return self.reject(w, unknown_command(&frame));
            }
            Err(LookupError::UnknownSub(container)) => {
                self.note_command(usize::MAX);
                return self.reject(w, unknown_subcommand(container, frame.get(1).unwrap_or_default()));
            }
        };
        self.note_command(entry.id);
        if !entry.spec.arity_ok(frame.len()) {
            let text = format!("ERR wrong number of arguments for '{}' command", entry.spec.name);
            return self.refuse(entry, w, &text);
        }
        if self.server.is_protected(entry, &self.client) {
            return self.refuse(entry, w, &protected_text(entry));
        }
        if self.must_log_in() && !entry.is(Flags::NO_AUTH) {
            return self.refuse(entry, w, "NOAUTH Authentication required.");
        }
        if !self.is_unrestricted()
            && let Err(text) = acl::permit(self, w, entry, &frame, Origin::Client)
        {
            return self.refuse(entry, w, &text);
        }
        if w.maxmemory > 0 && !self.server.make_room(w) && self.needs_memory(entry) {
            return self.refuse(
                entry,
                w,
                "OOM command not allowed when used memory > 'maxmemory'.",
            );
        }
        if let Some(text) = self.server.refusal(entry, self.multi.as_ref()) {
            return self.refuse(entry, w, text);
        }
        if self.proto == Proto::Resp2 && self.subscriptions() > 0 && !allowed_when_subscribed(entry) {
            let text = format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                String::from_utf8_lossy(frame.name()).to_lowercase()
            );
            return self.refuse(entry, w, &text);
        }
        if self.is_monitor && uses_keyspace(entry) {
            return self.refuse(entry, w, "ERR Replica can't interact with the keyspace");
        }
        if let Some(text) = self.server.scripts.busy.text()
            && !entry.is(Flags::ALLOW_BUSY)
        {
            return self.refuse(entry, w, text);
        }
        if self.server.pauses(entry, self.multi.as_ref()) {
            return Flow::Paused(frame.to_owned());
        }
        if self.multi.is_some() && !runs_inside_multi(entry) {
            if entry.is(Flags::NO_MULTI) {
                return self.refuse(entry, w, "ERR Command not allowed inside a transaction");
            }
            return self.enqueue(entry, frame, w);
        }
        self.run(entry, frame, plan.hash, w)
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
                let wait = execute::run_locked(w, &caller, entry, handler, args, &mut locked);
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

    /// True while the connection has to say who it is.
    #[inline]
    pub fn must_log_in(&self) -> bool {
        !self.authenticated && !self.server.acl.users.default_is_open()
    }

    /// True if nothing is forbidden to the user. If not, every command goes through [`acl::permit`] before it runs.
    #[inline]
    pub fn is_unrestricted(&self) -> bool {
        self.login.account().is_unrestricted()
    }

    /// Goes on as this user. False: it has been removed meanwhile.
    pub fn log_in(&mut self, account: Arc<Account>) -> bool {
        self.client.set_account(Arc::clone(&account));
        // Whoever removes the user marks it before looking for its clients: one of the two sees the other.
        if account.is_gone() {
            self.client.set_account(Arc::clone(self.login.account()));
            return false;
        }
        self.login = Login::new(account);
        self.authenticated = true;
        true
    }

    /// Goes back to being nobody in particular.
    pub fn log_out(&mut self) {
        let default = Arc::clone(self.server.acl.users.default_account());
        self.client.set_account(Arc::clone(&default));
        self.login = Login::new(default);
        self.authenticated = self.server.acl.users.default_is_open();
    }

    /// Answers with an error; inside MULTI, EXEC will refuse.
    pub fn reject(&mut self, w: &mut Worker, text: impl AsRef<[u8]>) -> Flow {
        w.reply.error_bytes(text.as_ref());
        w.count_error(text.as_ref());
        if let Some(multi) = &mut self.multi {
            multi.aborted = true;
        }
        Flow::Continue
    }

    /// Answers a known command with an error. An EXEC that may not run ends its transaction.
    fn refuse(&mut self, entry: &Entry, w: &mut Worker, text: &str) -> Flow {
        w.server.stats.command(w.id, entry.id).reject();
        if entry.spec.name != "exec" {
            return self.reject(w, text);
        }
        self.discard();
        let text = text.strip_prefix("ERR ").unwrap_or(text);
        self.reject(w, format!("EXECABORT Transaction discarded because of: {text}"))
    }

    /// True for commands that are refused while there is no room: those that may take memory, whatever would be queued,
    /// and an EXEC of such commands.
    fn needs_memory(&self, entry: &Entry) -> bool {
        match &self.multi {
            Some(multi) if entry.spec.name == "exec" => multi.queue.iter().any(|(e, _)| e.is(Flags::DENYOOM)),
            Some(_) => !runs_inside_multi(entry),
            None => entry.is(Flags::DENYOOM),
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

    fn enqueue(&mut self, entry: &'static Entry, frame: Frame<'_>, w: &mut Worker) -> Flow {
        if let Some(multi) = &mut self.multi {
            if multi.aborted {
                // EXEC will refuse: nothing more needs to be kept, and a queue cannot grow without end that way.
                w.reply.simple("QUEUED");
                return Flow::Continue;
            }
            let frame = frame.to_owned();
            multi.memory += frame.memory();
            if multi.memory > w.decode_limits.max_query_buffer {
                return self.reject(w, "ERR the transaction's queue exceeds client-query-buffer-limit");
            }
            multi.queue.push((entry, frame));
            self.client
                .multi
                .store(multi.queue.len() as i64, Ordering::Relaxed);
            self.client.multi_mem.store(multi.memory, Ordering::Relaxed);
        }
        w.reply.simple("QUEUED");
        Flow::Continue
    }

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

    /// Begins to watch keys of the selected database. Takes its locks by itself. A key whose time is over goes away
    /// before: that it does so later would look like a change.
    ///
    /// # Errors
    /// A script is over its time and keeps a key locked; the text is a reply.
    pub fn watch(&mut self, w: &mut Worker, keys: &[&[u8]]) -> Result<(), &'static str> {
        let dirty = Arc::clone(
            self.watching
                .dirty
                .get_or_insert_with(|| Arc::new(AtomicBool::new(false))),
        );
        *self.client.watch_flag.lock() = Some(Arc::clone(&dirty));
        let busy = &self.server.scripts.busy;
        for key in keys {
            let keyspace = &self.server.keyspace;
            let shard = keyspace.shard_of(keyspace.hash(key).slot);
            if keyspace.lock_one_unless(shard, &busy.flag).is_none() {
                return Err(busy.text_now());
            }
            if let Vacant(place) = self.watching.keys.entry((self.db, Box::from(*key))) {
                place.insert(w.now_ms);
                self.client.note_interest(key, true);
                execute::expire(w, self.db, key);
                keyspace.lock_one(shard).shard(shard).watch(self.db, key, &dirty);
            }
        }
        self.client
            .watched
            .store(self.watching.keys.len(), Ordering::Relaxed);
        Ok(())
    }

    /// True if a watched key has changed, or its time has come since. The keys' shards are locked.
    pub fn watched_changed(&self, locked: &mut holdfast_storage::keyspace::Locked<'_>, now_ms: i64) -> bool {
        if self
            .watching
            .dirty
            .as_ref()
            .is_some_and(|d| d.load(Ordering::Acquire))
        {
            return true;
        }
        let keyspace = locked.keyspace();
        self.watching.keys.iter().any(|((db, key), since_ms)| {
            let hash = keyspace.hash(key);
            let table = &locked.shard(keyspace.shard_of(hash.slot)).dbs[*db as usize].table;
            let at = table
                .find(hash.hash, key)
                .and_then(|pos| table.get(pos).expire_at_ms());
            // What was over already when it was watched has not changed.
            at.is_some_and(|at| at <= now_ms && at > *since_ms)
        })
    }

    /// Stops watching all keys. No lock may be held.
    pub fn unwatch(&mut self) {
        let Watching { keys, dirty } = std::mem::take(&mut self.watching);
        if let Some(dirty) = dirty {
            *self.client.watch_flag.lock() = None;
            let mut left = Vec::new();
            for (db, key) in keys.into_keys() {
                self.client.note_interest(&key, false);
                let keyspace = &self.server.keyspace;
                let shard = keyspace.shard_of(keyspace.hash(&key).slot);
                match keyspace.lock_one_unless(shard, &self.server.scripts.busy.flag) {
                    Some(mut locked) => locked.shard(shard).unwatch(db, &key, &dirty),
                    None => left.push((db, key, shard)),
                }
            }
            if !left.is_empty() {
                // A script is over its time. This thread must not wait for it: it may be the one that serves SCRIPT KILL.
                let server = Arc::clone(&self.server);
                std::thread::spawn(move || {
                    for (db, key, shard) in left {
                        let mut locked = server.keyspace.lock_one(shard);
                        locked.shard(shard).unwatch(db, &key, &dirty);
                    }
                });
            }
        }
        self.client.watched.store(0, Ordering::Relaxed);
    }

    /// Leaves MULTI without executing.
    pub fn discard(&mut self) {
        self.multi = None;
        self.client.multi.store(-1, Ordering::Relaxed);
        self.client.multi_mem.store(0, Ordering::Relaxed);
        self.client.set_flag(flag::MULTI, false);
        self.unwatch();
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

/// What Redis refuses to replicas, and to monitors, which it counts among them.
fn uses_keyspace(entry: &Entry) -> bool {
    entry
        .spec
        .flags
        .any(Flags::READONLY.or(Flags::WRITE).or(Flags::MAY_REPLICATE))
        || matches!(entry.spec.name, "publish" | "spublish")
        || observe::runs_others(entry)
}

fn allowed_when_subscribed(entry: &Entry) -> bool {
    matches!(
        entry.spec.name,
        "subscribe"
            | "unsubscribe"
            | "psubscribe"
            | "punsubscribe"
            | "ssubscribe"
            | "sunsubscribe"
            | "ping"
            | "quit"
            | "reset"
    )
}

fn runs_inside_multi(entry: &Entry) -> bool {
    matches!(
        entry.spec.name,
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    )
}

fn protected_text(entry: &Entry) -> String {
    let container = entry.spec.name.split('|').next().unwrap_or(entry.spec.name);
    format!(
        "ERR {} command not allowed. If the enable-{container}-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
        container.to_uppercase()
    )
}

/// A request line of HTTP: somebody makes a browser talk to this port.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

/// Redis's text: the name and the first arguments, 128 bytes at most of each part, none of them beyond a NUL.
fn unknown_command(frame: &Frame<'_>) -> Vec<u8> {
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(shown(frame.name(), SHOWN));
    text.extend_from_slice(b"', with args beginning with: ");
    let before = text.len();
    for arg in frame.iter().skip(1) {
        let args = text.len() - before;
        if args >= SHOWN {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(shown(arg, SHOWN - args));
        text.extend_from_slice(b"' ");
    }
    text
}

fn unknown_subcommand(container: &str, sub: &[u8]) -> Vec<u8> {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(shown(sub, SHOWN));
    text.extend_from_slice(format!("'. Try {} HELP.", container.to_uppercase()).as_bytes());
    text
}

/// Bytes of a client's words that an error repeats.
const SHOWN: usize = 128;

fn shown(word: &[u8], most: usize) -> &[u8] {
    let word = word.split(|&b| b == 0).next().unwrap_or_default();
    &word[..word.len().min(most)]
}

#[cfg(test)]
pub(crate) mod tests;
