//! The replica's side: which primary is followed, and how far that is.
//!
//! ```text
//! REPLICAOF (every shard locked) -> a new Link, the old one stopped
//! thread `replica` -> the current Link: connect, handshake, full or partial synchronization, stream; again when it breaks
//! ```
//!
//! A link is stopped while every shard is locked, and its stream is applied with a shard locked: so from the moment that
//! REPLICAOF decides, nothing of the old primary comes in any more, wherever the thread is just then.

mod primary_link;
mod scan;
mod socket;
mod sync;

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use holdfast_resp::Reply;
use holdfast_storage::keyspace::Locked;
use parking_lot::{Condvar, Mutex};

use super::Role;
use crate::blocking;
use crate::config::Param;
use crate::scripting::libraries::Change;
use crate::server::Server;

/// How far a link is; the names are those of ROLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LinkState {
    /// It waits for the next try.
    Connect,
    /// The connection is being made.
    Connecting,
    /// The two present themselves.
    Handshake,
    /// The primary's data come.
    Transfer,
    /// The stream flows.
    Connected,
}

impl LinkState {
    /// The name in ROLE.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::Transfer => "sync",
            Self::Connected => "connected",
        }
    }

    fn of(code: u8) -> Self {
        [Self::Connecting, Self::Handshake, Self::Transfer, Self::Connected]
            .into_iter()
            .find(|state| *state as u8 == code)
            .unwrap_or(Self::Connect)
    }
}

/// The way to one primary, from REPLICAOF to the next.
#[derive(Debug)]
pub struct Link {
    /// Name or address, as given.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Set while every shard is locked.
    stop: Arc<AtomicBool>,
    state: AtomicU8,
    socket: Mutex<Option<TcpStream>>,
    /// Unix ms of the last bytes; 0: none yet.
    last_io_ms: AtomicI64,
    /// Unix ms since when it is down after it was up; 0: it is up, or never was.
    down_since_ms: AtomicI64,
    /// Bytes of the snapshot that comes: in all (0: not known) and read.
    sync_total: AtomicU64,
    sync_read: AtomicU64,
    /// Bytes of the stream that were received and not applied yet.
    waiting: AtomicU64,
}

impl Link {
    fn new(host: String, port: u16) -> Self {
        Self {
            host,
            port,
            stop: Arc::default(),
            state: AtomicU8::new(LinkState::Connect as u8),
            socket: Mutex::new(None),
            last_io_ms: AtomicI64::new(0),
            down_since_ms: AtomicI64::new(0),
            sync_total: AtomicU64::new(0),
            sync_read: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
        }
    }

    /// How far it is.
    pub fn state(&self) -> LinkState {
        LinkState::of(self.state.load(Ordering::Acquire))
    }

    /// True while the stream flows.
    pub fn is_up(&self) -> bool {
        self.state() == LinkState::Connected
    }

    /// Unix ms of the last bytes from the primary, while the stream flows.
    pub fn last_io_ms(&self) -> Option<i64> {
        let at = self.last_io_ms.load(Ordering::Relaxed);
        (at > 0).then_some(at)
    }

    /// Unix ms since when the link is down. None: it is up, or never was.
    pub fn down_since_ms(&self) -> Option<i64> {
        let at = self.down_since_ms.load(Ordering::Relaxed);
        (at > 0).then_some(at)
    }

    /// Bytes of the snapshot that comes: in all (0: not known) and read.
    pub fn transfer(&self) -> (u64, u64) {
        (
            self.sync_total.load(Ordering::Relaxed),
            self.sync_read.load(Ordering::Relaxed),
        )
    }

    /// Bytes of the stream that were received and not applied yet.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn set_state(&self, state: LinkState, now_ms: i64) {
        let before = self.state.swap(state as u8, Ordering::AcqRel);
        match (
            before == LinkState::Connected as u8,
            state == LinkState::Connected,
        ) {
            (true, false) => self.down_since_ms.store(now_ms, Ordering::Relaxed),
            (false, true) => self.down_since_ms.store(0, Ordering::Relaxed),
            (true, true) | (false, false) => {}
        }
    }

    /// Nothing that comes over it counts any more. Every shard is locked.
    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if let Some(socket) = &*self.socket.lock() {
            // The thread that reads from it wakes up; it may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// What a server needs to follow another one.
#[derive(Debug, Default)]
pub struct Follower {
    link: Mutex<Option<Arc<Link>>>,
    changed: Condvar,
    has_thread: AtomicBool,
    /// The data are a primary's, up to some offset of its log.
    is_whole: AtomicBool,
    /// The database that the stream has selected at the log's end.
    stream_db: AtomicU32,
    /// The data are a primary's: where nothing has followed them yet, the log's end is 0 and says something.
    pub has_synced: AtomicBool,
    /// Commands of the stream that failed here.
    pub failed_commands: AtomicU64,
    /// Full synchronizations that were begun and came to nothing.
    pub broken_syncs: AtomicU64,
    /// Bytes received from primaries.
    pub received: AtomicU64,
}

impl Follower {
    /// The way to the primary; None: this server is one itself.
    pub fn link(&self) -> Option<Arc<Link>> {
        self.link.lock().clone()
    }

    /// Goes on in this database: a file says that the stream had selected it at the log's end.
    pub fn set_stream_db(&self, db: u32) {
        self.stream_db.store(db, Ordering::Relaxed);
    }

    /// Whether the data are those of a primary up to some offset: it has synchronized since the server started. So it stays
    /// when the primary has gone; another full synchronization is loaded aside.
    pub fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }

    fn note_whole(&self) {
        self.is_whole.store(true, Ordering::Release);
    }

    /// True if the primary's stream flows.
    pub fn is_up(&self) -> bool {
        self.link.lock().as_ref().is_some_and(|link| link.is_up())
    }

    /// The link to be served, other than one that is stopped; blocks for at most `wait`.
    fn next_link(&self, wait: Duration) -> Option<Arc<Link>> {
        let mut link = self.link.lock();
        if link.is_none() {
            self.changed.wait_for(&mut link, wait);
        }
        link.clone()
    }

    /// Waits before the next try, or until there is another link to serve.
    fn pause(&self, link: &Arc<Link>, wait: Duration) {
        let mut current = self.link.lock();
        if current.as_ref().is_some_and(|c| Arc::ptr_eq(c, link)) {
            self.changed.wait_for(&mut current, wait);
        }
    }

    fn replace(&self, new: Option<Arc<Link>>) {
        let mut link = self.link.lock();
        if let Some(old) = link.take() {
            old.stop();
        }
        *link = new;
        self.changed.notify_all();
    }
}

/// Follows another server from now on. `all`: every shard. `_functions`: they are logged without a shard being locked, so they
/// stand still as well.
pub fn follow(server: &Arc<Server>, all: &mut Locked<'_>, _functions: &Change<'_>, host: String, port: u16) {
    let replication = &server.replication;
    let was_primary = replication.role() == Role::Primary;
    replication.follower.replace(None);
    replication.become_replica(server, all, host.clone(), port);
    if was_primary {
        unblock_all(server, all);
    }
    note_in_config(server, &[host.as_bytes(), port.to_string().as_bytes()]);
    replication
        .follower
        .replace(Some(Arc::new(Link::new(host, port))));
    if !replication.follower.has_thread.swap(true, Ordering::AcqRel) {
        let server = Arc::clone(server);
        let thread = std::thread::Builder::new().name("replica".into());
        if let Err(error) = thread.spawn(move || primary_link::run(&server)) {
            tracing::error!(%error, "no thread to follow the primary");
        }
    }
}

/// Is a primary from now on. False: it was one already. `all` and `_functions`: as for [`follow`].
pub fn unfollow(server: &Server, all: &mut Locked<'_>, _functions: &Change<'_>) -> bool {
    let replication = &server.replication;
    replication.follower.replace(None);
    if !replication.become_primary(server, all) {
        return false;
    }
    let history = replication.history();
    if let Some(second) = history.second() {
        tracing::warn!(
            "Setting secondary replication ID to {}, valid up to offset: {}. New replication ID is {}",
            second.id,
            holdfast_replication::first_wanted(second.end),
            history.id()
        );
    }
    note_in_config(server, &[b"no", b"one"]);
    true
}

/// CONFIG GET and CONFIG REWRITE tell whom the server follows.
fn note_in_config(server: &Server, words: &[&[u8]]) {
    if server.cluster.get().is_some() {
        return; // it is the cluster's to say, and a node's file must not say it
    }
    if let Err(error) = server.config.store(Param::Replicaof, words) {
        tracing::warn!(
            ?error,
            "the directive replicaof cannot say whom this server follows"
        );
    }
}

/// Those who wait for keys or for acknowledgements wait in vain: their commands belong to a primary.
fn unblock_all(server: &Server, all: &mut Locked<'_>) {
    const TEXT: &str =
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
    for client in server.clients.all() {
        if let Some(waiter) = client.waiter() {
            let mut reply = Reply::new(Vec::new(), waiter.proto);
            reply.error(TEXT);
            if blocking::unblock(server, Some(all), &waiter, reply.as_bytes()) {
                client.kill();
            }
        }
    }
}
