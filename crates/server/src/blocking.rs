//! Clients that wait in BLPOP and its like.
//!
//! A waiter stands in the queue of each of its keys. When a command brings an awaited key into being, the thread that
//! ran it serves the waiters of that key, the oldest first, before its next command: it runs the waiter's command on
//! its behalf and puts the reply into its mailbox. So what a client pushes goes to who waited longest, and never back
//! to the pusher's own next command.
//!
//! Order of locks: shards, then a waiter's fate, then the queues. Whoever holds all shards of a waiter's keys keeps others from
//! serving it; who waits for no key is kept from two answers by the lock of its fate.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use holdfast_commands::args::Args;
use holdfast_commands::ctx::{TimeoutReply, Wait};
use holdfast_commands::spec::{Flags, Group};
use holdfast_resp::{OwnedFrame, Proto, Reply};
use holdfast_storage::keyspace::{Locked, ShardSet};
use holdfast_storage::value::Kind;
use parking_lot::Mutex;

use crate::acks::{self, Acks, Need};
use crate::acl;
use crate::client::{Client, flag};
use crate::cluster::{check, react};
use crate::execute::{self, Caller};
use crate::registry::{Entry, Run};
use crate::server::Server;
use crate::worker::Worker;

type Key = (u32, Box<[u8]>);

/// One client that waits.
#[derive(Debug)]
pub struct Waiter {
    /// Who.
    pub client: Arc<Client>,
    /// With which command.
    pub entry: &'static Entry,
    /// With which arguments.
    pub frame: OwnedFrame,
    /// On which database.
    pub db: u32,
    /// In which protocol it wants the answer.
    pub proto: Proto,
    /// What it gets when nothing comes.
    pub on_timeout: TimeoutReply,
    /// It wants no reply (CLIENT REPLY).
    pub muted: bool,
    /// For which acknowledgements, where it waits for no keys.
    pub need: Option<Need>,
    acks: Option<Arc<Acks>>,
    /// For which keys.
    keys: Vec<Box<[u8]>>,
    /// Indices of the arguments that are these keys.
    key_arguments: Range<usize>,
    shards: ShardSet,
    /// Held by who ends the wait, while he does.
    fate: Mutex<()>,
    done: AtomicBool,
}

impl Waiter {
    /// The command with this key in the place of each of its keys: a client that waits for several is served from the
    /// first one that was written to, whatever has come to the others meanwhile. None: it has but one key, or one for
    /// each of which there is another argument (XREAD).
    fn only(&self, key: &[u8]) -> Option<OwnedFrame> {
        if self.keys.len() < 2 || self.entry.spec.group == Group::Stream {
            return None;
        }
        let arguments = self.frame.frame()?.iter().enumerate();
        let words = arguments.map(|(i, word)| {
            if self.key_arguments.contains(&i) {
                key
            } else {
                word
            }
        });
        Some(OwnedFrame::from_args(words))
    }

    /// The first of the keys that it waits for.
    pub fn first_key(&self) -> Option<&[u8]> {
        self.keys.first().map(|key| &**key)
    }

    /// True once it has been served or cancelled.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

/// A command that has to wait.
#[derive(Clone, Copy, Debug)]
pub struct Blocked<'a> {
    /// The command.
    pub entry: &'static Entry,
    /// Its arguments.
    pub args: Args<'a>,
    /// The database that it works on.
    pub db: u32,
    /// The protocol of its reply.
    pub proto: Proto,
    /// It wants no reply (CLIENT REPLY).
    pub muted: bool,
    /// What it waits for.
    pub wait: &'a Wait,
}

/// A command that has to wait for acknowledgements.
#[derive(Clone, Copy, Debug)]
pub struct ForAcks<'a> {
    /// The command.
    pub entry: &'static Entry,
    /// Its arguments.
    pub args: Args<'a>,
    /// What it waits for.
    pub need: Need,
    /// The protocol of its reply.
    pub proto: Proto,
    /// It wants no reply (CLIENT REPLY).
    pub muted: bool,
}

/// The queues.
#[derive(Debug, Default)]
pub struct Blocking {
    queues: Mutex<HashMap<Key, VecDeque<Arc<Waiter>>>>,
    clients: AtomicUsize,
}

impl Blocking {
    /// Number of blocked clients.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Number of keys that somebody waits for.
    pub fn keys(&self) -> usize {
        self.queues.lock().len()
    }

    /// Those who wait for keys.
    pub fn for_keys(&self) -> Vec<Arc<Waiter>> {
        let queues = self.queues.lock();
        let mut waiters: Vec<Arc<Waiter>> = queues.values().flatten().cloned().collect();
        waiters.sort_by_key(Arc::as_ptr);
        waiters.dedup_by(|a, b| Arc::ptr_eq(a, b));
        waiters
    }

    fn first_to_last(&self, key: &Key) -> Vec<Arc<Waiter>> {
        self.queues
            .lock()
            .get(key)
            .map(|q| q.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Puts a client into the queues of its keys. The keys' shards are locked by the caller, which has just found
    /// nothing there.
    pub fn enter(&self, locked: &mut Locked<'_>, client: &Arc<Client>, blocked: &Blocked<'_>) -> Arc<Waiter> {
        let keyspace = locked.keyspace();
        let Blocked {
            entry,
            args,
            db,
            proto,
            muted,
            wait,
        } = *blocked;
        let mut keys: Vec<Box<[u8]>> = Vec::new();
        for i in wait.keys.clone() {
            let key = args.get(i);
            if !keys.iter().any(|k| **k == *key) {
                keys.push(key.into());
            }
        }
        let waiter = Arc::new(Waiter {
            client: Arc::clone(client),
            entry,
            frame: resolved(args, &wait.resolved),
            db,
            proto,
            on_timeout: wait.on_timeout,
            muted,
            need: None,
            acks: None,
            keys,
            key_arguments: wait.keys.clone(),
            shards: execute::shards_of(keyspace, entry, &args.frame()),
            fate: Mutex::new(()),
            done: AtomicBool::new(false),
        });
        let mut queues = self.queues.lock();
        for key in &waiter.keys {
            locked
                .shard(keyspace.shard_of(keyspace.hash(key).slot))
                .wait_for(waiter.db, key);
            queues
                .entry((waiter.db, key.clone()))
                .or_default()
                .push_back(Arc::clone(&waiter));
        }
        self.clients.fetch_add(1, Ordering::Relaxed);
        client.set_flag(flag::BLOCKED, true);
        *client.waits.lock() = Arc::downgrade(&waiter);
        waiter
    }

    /// A client waits for a job that is done elsewhere, which ends the wait with [`unblock`]; CLIENT UNBLOCK does not.
    pub fn enter_job(
        &self,
        client: &Arc<Client>,
        entry: &'static Entry,
        db: u32,
        proto: Proto,
        muted: bool,
    ) -> Arc<Waiter> {
        self.clients.fetch_add(1, Ordering::Relaxed);
        client.set_flag(flag::BLOCKED, true);
        Arc::new(Waiter {
            client: Arc::clone(client),
            entry,
            frame: OwnedFrame::from_args([entry.spec.name.as_bytes()]),
            db,
            proto,
            on_timeout: TimeoutReply::Null,
            muted,
            need: None,
            acks: None,
            keys: Vec::new(),
            key_arguments: 0..0,
            shards: ShardSet::none(),
            fate: Mutex::new(()),
            done: AtomicBool::new(false),
        })
    }

    /// Has a client wait for acknowledgements (WAIT, WAITAOF).
    pub fn enter_for_acks(
        &self,
        server: &Server,
        client: &Arc<Client>,
        blocked: &ForAcks<'_>,
    ) -> Arc<Waiter> {
        let ForAcks {
            entry,
            args,
            need,
            proto,
            muted,
        } = *blocked;
        let waiter = Arc::new(Waiter {
            client: Arc::clone(client),
            entry,
            frame: args.frame().to_owned(),
            db: 0,
            proto,
            on_timeout: TimeoutReply::Null,
            muted,
            need: Some(need),
            acks: Some(Arc::clone(&server.acks)),
            keys: Vec::new(),
            key_arguments: 0..0,
            shards: ShardSet::none(),
            fate: Mutex::new(()),
            done: AtomicBool::new(false),
        });
        self.clients.fetch_add(1, Ordering::Relaxed);
        client.set_flag(flag::BLOCKED, true);
        *client.waits.lock() = Arc::downgrade(&waiter);
        server.acks.enter(server, Arc::clone(&waiter));
        waiter
    }

    /// Ends a wait with a reply; an empty one is none. Its keys' shards are locked. False: somebody did so before, and the
    /// reply is dropped.
    fn answer(&self, locked: &mut Locked<'_>, waiter: &Arc<Waiter>, reply: &[u8]) -> bool {
        let deciding = waiter.fate.lock();
        if waiter.is_done() {
            return false;
        }
        if !waiter.muted && !reply.is_empty() {
            waiter.client.send(reply);
        }
        let keyspace = locked.keyspace();
        let mut queues = self.queues.lock();
        for key in &waiter.keys {
            locked
                .shard(keyspace.shard_of(keyspace.hash(key).slot))
                .stop_waiting(waiter.db, key);
            let id = (waiter.db, key.clone());
            if let Some(queue) = queues.get_mut(&id) {
                queue.retain(|w| !Arc::ptr_eq(w, waiter));
                if queue.is_empty() {
                    queues.remove(&id);
                }
            }
        }
        drop(queues);
        self.clients.fetch_sub(1, Ordering::Relaxed);
        waiter.client.set_flag(flag::BLOCKED, false);
        // The last step: from now on its client goes on, with the reply in its mailbox before that to its next command.
        waiter.done.store(true, Ordering::Release);
        drop(deciding);
        waiter.client.waker.wake();
        true
    }
}

/// Ends a wait from outside (timeout, CLIENT UNBLOCK, the connection's end): true if it was still going on, and then
/// nobody will serve it any more. No lock may be held.
pub fn cancel(server: &Server, waiter: &Arc<Waiter>) -> bool {
    let mut locked = server.keyspace.lock(&waiter.shards);
    server.blocking.answer(&mut locked, waiter, &[])
}

/// Ends a wait with a reply from outside (CLIENT UNBLOCK, CLIENT KILL): true if it was still going on. `locked`: all
/// shards, if the caller holds them; none may be locked otherwise.
pub fn unblock(server: &Server, locked: Option<&mut Locked<'_>>, waiter: &Arc<Waiter>, reply: &[u8]) -> bool {
    match locked {
        Some(locked) => server.blocking.answer(locked, waiter, reply),
        None => {
            let mut locked = server.keyspace.lock(&waiter.shards);
            server.blocking.answer(&mut locked, waiter, reply)
        }
    }
}

/// The reply to a client that has waited in vain; empty if it wants none.
pub fn timeout_reply(waiter: &Waiter) -> Vec<u8> {
    if waiter.muted {
        return Vec::new();
    }
    if let (Some(need), Some(acks)) = (&waiter.need, &waiter.acks) {
        return acks::reply_now(acks, need, waiter.proto);
    }
    let mut reply = Reply::new(Vec::new(), waiter.proto);
    match waiter.on_timeout {
        TimeoutReply::Null => reply.null(),
        TimeoutReply::NullArray => reply.null_array(),
    }
    reply.into_inner()
}

/// Serves those who wait for keys that have come into being, until nothing more can be served. No lock may be held.
pub fn serve_ready(w: &mut Worker) {
    let server = Arc::clone(&w.server);
    let mut ready: VecDeque<Key> = w.effects.ready.drain(..).collect();
    while let Some(key) = ready.pop_front() {
        for waiter in server.blocking.first_to_last(&key) {
            let mut locked = server.keyspace.lock(&waiter.shards);
            // A client that is being ended (CLIENT KILL, output limits) would take the element with it.
            if waiter.is_done() || waiter.client.is_killed() {
                continue;
            }
            let only = waiter.only(&key.1);
            let Some(frame) = only.as_ref().unwrap_or(&waiter.frame).frame() else {
                continue;
            };
            let Run::Data(handler) = waiter.entry.run else {
                continue;
            };
            // Neither a key's end nor a value of another type under the name ends the wait, but for a member of a group,
            // who is told that the group has gone.
            let kind = kind_at(&mut locked, &key);
            if !needs_key(waiter.entry) && (kind.is_none() || kind != awaited_kind(waiter.entry)) {
                continue;
            }
            if let Err(text) = acl::permit_waiter(w, &waiter.client, waiter.entry, &frame, waiter.db) {
                w.count_error(text.as_bytes());
                let mut refusal = Reply::new(Vec::new(), waiter.proto);
                refusal.error(&text);
                server.blocking.answer(&mut locked, &waiter, refusal.as_bytes());
                continue;
            }
            if let Some(text) = react::elsewhere(&server, &waiter) {
                w.count_error(text.as_bytes());
                let mut refusal = Reply::new(Vec::new(), waiter.proto);
                refusal.error(&text);
                server.blocking.answer(&mut locked, &waiter, refusal.as_bytes());
                continue;
            }
            let caller = Caller {
                db: waiter.db,
                may_block: true,
                no_touch: waiter.client.has_flag(flag::NO_TOUCH),
                known: None,
            };
            // The waiter's reply is built aside, so that the reply of the command that woke it stays in one piece.
            let outer = std::mem::replace(&mut w.reply, Reply::new(Vec::new(), waiter.proto));
            let tracker = std::mem::replace(&mut w.tracker, waiter.client.tracker());
            let pusher = w.client.replace(Arc::clone(&waiter.client));
            w.meter.resumed = true;
            w.meter.skip();
            let wait = execute::run_locked(w, &caller, waiter.entry, handler, Args::new(frame), &mut locked);
            w.meter.resumed = false;
            if wait.is_none() && w.router.is_some() {
                let begin = Reply::new(Vec::new(), waiter.proto).mark();
                check::withdraw_if_late(w, begin, waiter.entry.is(Flags::WRITE));
            }
            w.client = pusher;
            let inner = std::mem::replace(&mut w.reply, outer);
            w.tracker = tracker;
            if wait.is_none() {
                server.blocking.answer(&mut locked, &waiter, inner.as_bytes());
            }
            drop(locked);
            ready.extend(w.effects.ready.drain(..));
        }
    }
    execute::after_unlock(w);
}

/// The arguments, with those in their places that have been found out.
fn resolved(args: Args<'_>, resolved: &[(usize, Box<[u8]>)]) -> OwnedFrame {
    if resolved.is_empty() {
        return args.frame().to_owned();
    }
    let words = args.from(0).enumerate().map(|(i, word)| {
        let found = resolved.iter().find(|(at, _)| *at == i);
        found.map_or(word, |(_, word)| word)
    });
    OwnedFrame::from_args(words)
}

/// A command that fails once its key is gone, and does not wait for another one.
fn needs_key(entry: &Entry) -> bool {
    entry.spec.name == "xreadgroup"
}

/// Type of the value at a key; its shard is locked.
fn kind_at(locked: &mut Locked<'_>, (db, key): &Key) -> Option<Kind> {
    let keyspace = locked.keyspace();
    let h = keyspace.hash(key);
    let table = &locked.shard(keyspace.shard_of(h.slot)).dbs[*db as usize].table;
    table.find(h.hash, key).map(|pos| table.get(pos).kind())
}

/// The type that a blocking command waits for.
fn awaited_kind(entry: &Entry) -> Option<Kind> {
    match entry.spec.group {
        Group::List => Some(Kind::List),
        Group::SortedSet => Some(Kind::Zset),
        Group::Stream => Some(Kind::Stream),
        _ => None,
    }
}
