//! Commands of a log, applied to the data: the append-only file at the start, a primary's stream on its replica.
//!
//! What the log says has happened already, here or elsewhere. So nobody is asked for permission, nothing is refused for
//! want of memory, nothing waits, and no key goes away because its time is over: the log says DEL where it did.
//!
//! Must not know: files, sockets, where the commands come from.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_acl::Login;
use holdfast_commands::args::Args;
use holdfast_resp::{Frame, OwnedFrame, Proto, parse_i64};
use holdfast_storage::keyspace::{Keyspace, Locked, ShardSet};

use crate::acl::Acl;
use crate::blocking;
use crate::client::Client;
use crate::commands::{add_shards_of_queue, wants_all};
use crate::execute::{self, Caller};
use crate::registry::{Entry, LookupError, Registry, Run};
use crate::server::Server;
use crate::session::Session;
pub use crate::worker::Source;
use crate::worker::Worker;

/// Why a command of a log was not applied as it was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// This server does not have the command.
    #[error("Unknown command '{0}'")]
    Unknown(String),
    /// The command failed. Where the log came into being it did not, or it changed nothing there either.
    #[error("the command '{command}' failed: {text}")]
    Failed {
        /// Its name.
        command: String,
        /// The error reply.
        text: String,
    },
    /// A transaction that is larger than any that this server would hold.
    #[error("a transaction of more than {MOST_QUEUED} bytes")]
    TooLong,
    /// The log is not followed any more: nothing of the command was done, and nothing will be.
    #[error("the log is not followed any more")]
    Stopped,
}

/// Most memory of one transaction's commands, in bytes: a log that never says EXEC is none.
const MOST_QUEUED: usize = 8 << 30;
/// Commands after which the clock is read again, the counters are published and readers of the log are woken.
const BATCH: usize = 256;

/// A transaction that is being received.
#[derive(Debug, Default)]
struct Queue {
    commands: Vec<(&'static Entry, OwnedFrame)>,
    memory: usize,
    /// What could not be queued.
    failed: Option<ApplyError>,
    /// The same bytes as they came, for the mirror.
    raw: Vec<u8>,
}

/// Applies the commands of one log, in order. It belongs to one thread.
#[derive(Debug)]
pub struct Applier {
    w: Worker,
    session: Session,
    queue: Option<Queue>,
    in_batch: usize,
    /// Set, while every shard is locked, when the log is not followed any more.
    stop: Option<Arc<AtomicBool>>,
}

impl Applier {
    /// `row`: the thread's row of counters. [`Source::Replay`]: nothing is logged and nobody is told. [`Source::Mirror`]:
    /// the bytes of each command are appended to this server's log when it has been applied.
    pub fn new(server: &Arc<Server>, row: usize, source: Source) -> Self {
        let mut w = Worker::new(Arc::clone(server), row);
        w.set_source(source);
        let id = server.clients.next_id();
        let client = Client::new(id, String::new(), String::new(), -1, server.now_ms(), false);
        Self::of(server, w, Arc::new(client))
    }

    /// The same for the stream of a primary, whose connection is `client`. Whoever sets `stop` holds every shard, and can be
    /// sure that nothing of the stream is applied afterwards.
    pub fn mirror(server: &Arc<Server>, row: usize, client: Arc<Client>, stop: Arc<AtomicBool>) -> Self {
        let mut w = Worker::new(Arc::clone(server), row);
        w.set_source(Source::Mirror);
        let mut applier = Self::of(server, w, client);
        applier.stop = Some(stop);
        applier
    }

    fn of(server: &Arc<Server>, w: Worker, client: Arc<Client>) -> Self {
        let mut session = Session::new(Arc::clone(server), client);
        let own = Acl::own_account(&server.config);
        session.client.set_account(Arc::clone(&own));
        session.login = Login::new(own);
        session.authenticated = true;
        Self {
            w,
            session,
            queue: None,
            in_batch: 0,
            stop: None,
        }
    }

    /// On whose behalf the commands run. It is in no list of clients, unless the caller puts it there.
    pub fn client(&self) -> &Arc<Client> {
        &self.session.client
    }

    /// The database that the log has selected.
    pub fn db(&self) -> u32 {
        self.session.db
    }

    /// Goes on in a database, as the log's writer has said elsewhere.
    ///
    /// # Errors
    /// There is no such database.
    pub fn select(&mut self, db: u32) -> Result<(), ApplyError> {
        if db >= self.w.server.keyspace.databases() {
            return Err(failed("select", "ERR DB index is out of range"));
        }
        self.session.select(db);
        Ok(())
    }

    /// Whether a transaction has begun and not ended.
    pub fn in_transaction(&self) -> bool {
        self.queue.is_some()
    }

    /// Forgets a transaction that has not ended: its end will not come.
    pub fn forget_transaction(&mut self) {
        self.queue = None;
    }

    /// Applies one command, or keeps it for the end of its transaction. `raw`: its bytes as they came, which a mirror
    /// appends to the log; a replay needs none. They are appended whatever comes of the command, as offsets count them.
    ///
    /// # Errors
    /// See [`ApplyError`]; the next command can be applied all the same.
    pub fn command(&mut self, frame: Frame<'_>, raw: &[u8]) -> Result<(), ApplyError> {
        if self.in_batch == 0 {
            self.w.begin_batch();
            self.w.reply.set_proto(Proto::Resp2);
        }
        self.in_batch += 1;
        let result = match find(&frame) {
            Ok(entry) => self.dispatch(entry, frame, raw),
            Err(error) => self.leave_out(error, raw),
        };
        if self.in_batch >= BATCH {
            self.flush();
        }
        result
    }

    /// The end of what has come in one piece: counters are published, and readers of the log woken.
    pub fn flush(&mut self) {
        if mem::take(&mut self.in_batch) > 0 {
            self.w.end_batch();
        }
    }

    /// Bytes of the stream that change nothing, PING and REPLCONF say: a mirror keeps them, in their place.
    pub fn aside(&mut self, raw: &[u8]) {
        if let Some(queue) = &mut self.queue {
            queue.raw.extend_from_slice(raw);
        } else if self.w.source == Source::Mirror {
            let server = Arc::clone(&self.w.server);
            let _role_stays = server.keyspace.lock_one(0);
            if self.is_stopped() {
                return;
            }
            self.w.written_to = server.log.append_aside(raw);
            self.w.logged = true;
            self.w.notify_log();
        }
    }

    /// Whether the log is followed no more. Certain while a shard is locked.
    fn is_stopped(&self) -> bool {
        self.stop
            .as_ref()
            .is_some_and(|stop| stop.load(Ordering::Acquire))
    }

    /// Puts the data of a twin in the place of the server's, which are all locked, and tells those who want to know.
    pub fn exchange(&mut self, mut locked: Locked<'_>, twin: Keyspace) {
        self.w.begin_batch();
        locked.exchange(twin, &mut self.w.effects);
        drop(locked);
        self.react();
        self.w.end_batch();
    }

    fn dispatch(&mut self, entry: &'static Entry, frame: Frame<'_>, raw: &[u8]) -> Result<(), ApplyError> {
        match entry.spec.name {
            "multi" => self.multi(raw),
            "exec" => self.exec(raw),
            "discard" => {
                // Nothing of it was applied, and nothing of it is of use to others.
                if let Some(mut queue) = self.queue.take() {
                    queue.raw.extend_from_slice(raw);
                    self.aside(&queue.raw);
                }
                Ok(())
            }
            _ if self.queue.is_some() => self.enqueue(entry, frame, raw),
            "select" => {
                let db = parse_i64(frame.arg(1)).and_then(|db| u32::try_from(db).ok());
                let result = self.select(db.unwrap_or(u32::MAX));
                self.log_alone(raw);
                result
            }
            "ping" | "replconf" => {
                self.aside(raw);
                Ok(())
            }
            "publish" | "spublish" => {
                let result = self.serve(entry, frame, None);
                self.aside(raw);
                result
            }
            _ => match entry.run {
                Run::Data(_) => self.run_data(entry, frame, raw),
                Run::Server(_) => self.run_server(entry, frame, raw),
                Run::Container => self.leave_out(wrong_arity(entry), raw),
            },
        }
    }

    /// What cannot be applied is not applied by who reads this server's file either.
    fn leave_out(&mut self, error: ApplyError, raw: &[u8]) -> Result<(), ApplyError> {
        match &mut self.queue {
            Some(queue) => {
                queue.raw.extend_from_slice(raw);
                queue.failed.get_or_insert_with(|| error.clone());
            }
            None => self.aside(raw),
        }
        Err(error)
    }

    fn multi(&mut self, raw: &[u8]) -> Result<(), ApplyError> {
        if let Some(queue) = &mut self.queue {
            queue.raw.extend_from_slice(raw);
            return Err(failed("multi", "ERR MULTI calls can not be nested"));
        }
        let mut queue = Queue::default();
        if self.w.source == Source::Mirror {
            queue.raw.extend_from_slice(raw);
        }
        self.queue = Some(queue);
        Ok(())
    }

    fn enqueue(&mut self, entry: &'static Entry, frame: Frame<'_>, raw: &[u8]) -> Result<(), ApplyError> {
        let mirror = self.w.source == Source::Mirror;
        let Some(queue) = &mut self.queue else {
            return Ok(());
        };
        let owned = frame.to_owned();
        queue.memory += owned.memory() + raw.len();
        if queue.memory > MOST_QUEUED {
            return Err(ApplyError::TooLong);
        }
        queue.commands.push((entry, owned));
        if mirror {
            queue.raw.extend_from_slice(raw);
        }
        Ok(())
    }

    fn exec(&mut self, raw: &[u8]) -> Result<(), ApplyError> {
        let Some(mut queue) = self.queue.take() else {
            return self.leave_out(failed("exec", "ERR EXEC without MULTI"), raw);
        };
        queue.raw.extend_from_slice(raw);
        if let Some(error) = queue.failed.take() {
            // As a transaction of a client: what cannot be queued keeps the rest from running.
            return self.leave_out(error, &queue.raw);
        }
        let server = Arc::clone(&self.w.server);
        let mut locked = server.keyspace.lock(&self.shards_of(&queue));
        if self.is_stopped() {
            return Err(ApplyError::Stopped);
        }
        let result = self.run_queue(&queue, &mut locked);
        self.log(&queue.raw);
        drop(locked);
        self.react();
        result
    }

    /// Runs a transaction's commands. Of several errors the first is told.
    fn run_queue(&mut self, queue: &Queue, locked: &mut Locked<'_>) -> Result<(), ApplyError> {
        let mut result = Ok(());
        for (entry, owned) in &queue.commands {
            let Some(frame) = owned.frame() else { continue };
            let one = match entry.run {
                Run::Data(_) => self.run_locked(entry, frame, locked),
                Run::Server(_) => self.serve(entry, frame, Some(&mut *locked)),
                Run::Container => Err(wrong_arity(entry)),
            };
            result = result.and(one);
        }
        result
    }

    fn shards_of(&self, queue: &Queue) -> ShardSet {
        let set = add_shards_of_queue(&self.w.server.keyspace, &queue.commands, ShardSet::none());
        self.at_least_one(set)
    }

    /// Whoever makes a cut holds all shards: a mirror that holds one appends before the cut or behind it.
    fn at_least_one(&self, mut set: ShardSet) -> ShardSet {
        if let ShardSet::Some(shards) = &set
            && shards.is_empty()
            && self.w.source == Source::Mirror
        {
            set.add(0);
        }
        set
    }

    fn run_data(&mut self, entry: &'static Entry, frame: Frame<'_>, raw: &[u8]) -> Result<(), ApplyError> {
        let server = Arc::clone(&self.w.server);
        let shards = execute::shards_of(&server.keyspace, entry, &frame);
        let mut locked = server.keyspace.lock(&self.at_least_one(shards));
        if self.is_stopped() {
            return Err(ApplyError::Stopped);
        }
        let result = self.run_locked(entry, frame, &mut locked);
        self.log(raw);
        drop(locked);
        self.react();
        result
    }

    fn run_locked(
        &mut self,
        entry: &'static Entry,
        frame: Frame<'_>,
        locked: &mut Locked<'_>,
    ) -> Result<(), ApplyError> {
        let Run::Data(handler) = entry.run else {
            return Ok(());
        };
        let caller = Caller {
            db: self.session.db,
            may_block: false,
            no_touch: false,
            known: None,
        };
        let w = &mut self.w;
        w.counters.commands += 1;
        w.client_id = 0;
        w.tracker = None;
        let _never_waits = execute::run_locked(w, &caller, entry, handler, Args::new(frame), locked);
        self.judge(entry)
    }

    fn run_server(&mut self, entry: &'static Entry, frame: Frame<'_>, raw: &[u8]) -> Result<(), ApplyError> {
        if self.w.source != Source::Mirror {
            let result = self.serve(entry, frame, None);
            self.react();
            return result;
        }
        let server = Arc::clone(&self.w.server);
        let shards = match wants_all(entry) {
            true => ShardSet::All,
            false => self.at_least_one(ShardSet::none()),
        };
        let mut locked = server.keyspace.lock(&shards);
        if self.is_stopped() {
            return Err(ApplyError::Stopped);
        }
        let result = self.serve(entry, frame, Some(&mut locked));
        self.log(raw);
        drop(locked);
        self.react();
        result
    }

    fn serve(
        &mut self,
        entry: &'static Entry,
        frame: Frame<'_>,
        locked: Option<&mut Locked<'_>>,
    ) -> Result<(), ApplyError> {
        let Run::Server(handler) = entry.run else {
            return Ok(());
        };
        self.w.counters.commands += 1;
        self.w.client_id = 0;
        self.w.tracker = None;
        let _its_own = self
            .session
            .run_server(entry, handler, Args::new(frame), &mut self.w, locked);
        self.judge(entry)
    }

    /// Whether the reply is an error.
    fn judge(&mut self, entry: &Entry) -> Result<(), ApplyError> {
        let reply = self.w.reply.as_bytes();
        let result = match reply.first() {
            Some(b'-' | b'!') => {
                let text = reply.split(|b| *b == b'\r').next().unwrap_or_default();
                Err(failed(entry.spec.name, &String::from_utf8_lossy(&text[1..])))
            }
            Some(_) | None => Ok(()),
        };
        self.w.reply.clear();
        result
    }

    /// A mirror's command that changed what is no shard's.
    fn log_alone(&mut self, raw: &[u8]) {
        if self.w.source == Source::Mirror {
            let server = Arc::clone(&self.w.server);
            let _no_cut = server.keyspace.lock_one(0);
            if !self.is_stopped() {
                self.log(raw);
            }
        }
    }

    /// Appends to the mirror's log, while a shard is locked.
    fn log(&mut self, raw: &[u8]) {
        if self.w.source == Source::Mirror {
            self.w.written_to = self.w.server.log.append_mirrored(self.session.db, raw);
            self.w.logged = true;
        }
    }

    fn react(&mut self) {
        execute::after_unlock(&mut self.w);
        if !self.w.effects.ready.is_empty() {
            // Those who wait are clients, and so is what they see.
            let source = mem::take(&mut self.w.source);
            blocking::serve_ready(&mut self.w);
            self.w.source = source;
        }
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        self.flush();
    }
}

fn find(frame: &Frame<'_>) -> Result<&'static Entry, ApplyError> {
    let unknown = || ApplyError::Unknown(String::from_utf8_lossy(&shown(frame)).into_owned());
    let entry = match Registry::get().resolve(frame) {
        Ok(entry) => entry,
        Err(LookupError::Unknown | LookupError::UnknownSub(_)) => return Err(unknown()),
    };
    if !entry.spec.arity_ok(frame.len()) {
        return Err(wrong_arity(entry));
    }
    Ok(entry)
}

/// The name, with that of the subcommand perhaps, not beyond reason.
fn shown(frame: &Frame<'_>) -> Vec<u8> {
    const MOST: usize = 128;
    let name = frame.name();
    name[..name.len().min(MOST)].to_vec()
}

fn wrong_arity(entry: &Entry) -> ApplyError {
    failed(entry.spec.name, "ERR wrong number of arguments")
}

fn failed(command: &str, text: &str) -> ApplyError {
    ApplyError::Failed {
        command: command.to_owned(),
        text: text.to_owned(),
    }
}

mod held;
#[cfg(test)]
mod tests;
