//! What other threads may know and do about a connection: its row in CLIENT LIST, its mailbox, its end.
//!
//! The connection's own state is in [`crate::session`] and is touched by its worker alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use futures_util::task::AtomicWaker;
use holdfast_acl::Account;
use holdfast_storage::keyspace::WatchFlag;
use parking_lot::{Mutex, RwLock};

use crate::blocking::Waiter;

/// Class of a client, for output limits and CLIENT KILL TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ClientClass {
    Normal,
    Replica,
    Pubsub,
    Master,
}

/// Bits of [`Client::flags`], with the letters of CLIENT LIST.
pub mod flag {
    /// `x`: in MULTI.
    pub const MULTI: u32 = 1 << 0;
    /// `b`: waits in a blocking command.
    pub const BLOCKED: u32 = 1 << 1;
    /// `P`: subscribed.
    pub const PUBSUB: u32 = 1 << 2;
    /// `d`: a watched key changed.
    pub const DIRTY_CAS: u32 = 1 << 3;
    /// `c`: closes after the reply.
    pub const CLOSE_AFTER_REPLY: u32 = 1 << 4;
    /// `U`: connected over a unix socket.
    pub const UNIX: u32 = 1 << 5;
    /// `e`: not evicted.
    pub const NO_EVICT: u32 = 1 << 6;
    /// `T`: does not touch access times.
    pub const NO_TOUCH: u32 = 1 << 7;
    /// `I`: writes what comes from another server, and sees keys whose time is over.
    pub const IMPORT_SOURCE: u32 = 1 << 15;
    /// `t`: tracks keys for client-side caching.
    pub const TRACKING: u32 = 1 << 8;
    /// `R`: the client that its invalidations were to go to is gone.
    pub const TRACKING_BROKEN: u32 = 1 << 9;
    /// `B`: tracks by prefix.
    pub const TRACKING_BCAST: u32 = 1 << 10;
    /// Tracks what follows CLIENT CACHING yes only.
    pub const TRACKING_OPTIN: u32 = 1 << 11;
    /// Does not track what follows CLIENT CACHING no.
    pub const TRACKING_OPTOUT: u32 = 1 << 12;
    /// Is not told of its own changes.
    pub const TRACKING_NOLOOP: u32 = 1 << 13;
    /// CLIENT CACHING has just been called.
    pub const TRACKING_CACHING: u32 = 1 << 14;
    /// How keys are tracked.
    pub const TRACKING_MODES: u32 = TRACKING_BCAST | TRACKING_OPTIN | TRACKING_OPTOUT | TRACKING_NOLOOP;
    /// Speaks TLS.
    pub const TLS: u32 = 1 << 16;
    /// Listens to channels of shards that have gone to another node.
    pub const LEAVES_SHARDS: u32 = 1 << 17;
    /// `r`: READONLY in a cluster.
    pub const READONLY: u32 = 1 << 18;
    /// `O`: watches all commands.
    pub const MONITOR: u32 = 1 << 20;
    /// `S`: a replica of this server.
    pub const REPLICA: u32 = 1 << 21;
    /// `M`: the primary of this server.
    pub const PRIMARY: u32 = 1 << 22;
    /// Every flag with its letter, in the order of CLIENT LIST.
    pub const LETTERS: &[(u32, char)] = &[
        (MONITOR, 'O'),
        (REPLICA, 'S'),
        (PRIMARY, 'M'),
        (PUBSUB, 'P'),
        (MULTI, 'x'),
        (BLOCKED, 'b'),
        (TRACKING, 't'),
        (TRACKING_BROKEN, 'R'),
        (TRACKING_BCAST, 'B'),
        (DIRTY_CAS, 'd'),
        (CLOSE_AFTER_REPLY, 'c'),
        (UNIX, 'U'),
        (READONLY, 'r'),
        (NO_EVICT, 'e'),
        (NO_TOUCH, 'T'),
        (IMPORT_SOURCE, 'I'),
    ];
}

/// What a client says that it can do (CLIENT CAPA), with the letters of CLIENT LIST.
pub mod capability {
    /// `r`: follows redirections.
    pub const REDIRECT: u32 = 1 << 0;
    /// Every capability with its letter.
    pub const LETTERS: &[(u32, char)] = &[(REDIRECT, 'r')];
}

/// Texts about a client that change seldom.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Names {
    pub name: String,
    pub user: String,
    pub lib_name: String,
    pub lib_ver: String,
}

impl Names {
    /// Bytes of the texts.
    pub fn memory(&self) -> usize {
        self.name.len() + self.user.len() + self.lib_name.len() + self.lib_ver.len()
    }
}

/// The shared part of a connection.
#[derive(Debug)]
pub struct Client {
    /// Never reused.
    pub id: u64,
    /// Peer `ip:port`, or `path:0` for a unix socket.
    pub addr: String,
    /// Own `ip:port`.
    pub laddr: String,
    /// File descriptor.
    pub fd: i32,
    /// Unix ms of the connection's begin.
    pub created_ms: i64,
    /// Round of the [gate](crate::gate) in which it was let go, until it asks again; 0: none.
    pub let_go_in: AtomicU32,
    /// Texts.
    pub names: Mutex<Names>,
    account: Mutex<Option<Arc<Account>>>,
    /// Bits of [`flag`].
    pub flags: AtomicU32,
    /// Bits of [`capability`].
    pub capabilities: AtomicU32,
    /// Selected database.
    pub db: AtomicU32,
    /// Protocol version, 2 or 3.
    pub resp: AtomicU32,
    /// Subscribed channels.
    pub channels: AtomicUsize,
    /// Subscribed patterns.
    pub patterns: AtomicUsize,
    /// Subscribed channels of shards.
    pub shard_channels: AtomicUsize,
    /// Bytes of the names that it is subscribed to, and of the prefixes that it tracks.
    pub interest_mem: AtomicUsize,
    /// Its memory as [`crate::client_memory`] has counted it last.
    pub counted_memory: AtomicUsize,
    /// Id of the client that gets its invalidations, 0: itself.
    pub redirect: AtomicU64,
    /// Queued commands, or -1 outside MULTI.
    pub multi: AtomicI64,
    /// Memory of the queued commands in bytes.
    pub multi_mem: AtomicUsize,
    /// Watched keys.
    pub watched: AtomicUsize,
    /// Set when a watched key changes; none while nothing is watched.
    pub watch_flag: Mutex<Option<WatchFlag>>,
    /// The wait that the client is in.
    pub waits: Mutex<Weak<Waiter>>,
    /// Bytes of a half received command.
    pub query_buffer: AtomicUsize,
    /// Bytes of replies that the socket has not taken.
    pub output: AtomicUsize,
    /// Since when the output is over its soft limit (Unix ms), 0 if it is not.
    pub over_soft_since_ms: AtomicI64,
    /// Id in the registry of the last command, or `usize::MAX`.
    pub last_command: AtomicUsize,
    /// Unix ms of the last command.
    pub last_active_ms: AtomicI64,
    /// Bytes received.
    pub net_in: AtomicU64,
    /// Bytes sent.
    pub net_out: AtomicU64,
    /// Commands executed.
    pub commands: AtomicU64,
    /// Wakes the connection's task.
    pub waker: AtomicWaker,
    mail: Mutex<Vec<u8>>,
    has_mail: AtomicBool,
    mail_limit: AtomicUsize,
    end: AtomicU32,
}

const END_KILL: u32 = 1;
const END_OVERFLOW: u32 = 2;

impl Client {
    /// A new connection's shared part.
    pub fn new(id: u64, addr: String, laddr: String, fd: i32, now_ms: i64, unix: bool) -> Self {
        Self {
            id,
            addr,
            laddr,
            fd,
            created_ms: now_ms,
            let_go_in: AtomicU32::new(0),
            names: Mutex::new(Names {
                user: "default".into(),
                ..Names::default()
            }),
            account: Mutex::new(None),
            flags: AtomicU32::new(if unix { flag::UNIX } else { 0 }),
            capabilities: AtomicU32::new(0),
            db: AtomicU32::new(0),
            resp: AtomicU32::new(2),
            channels: AtomicUsize::new(0),
            patterns: AtomicUsize::new(0),
            shard_channels: AtomicUsize::new(0),
            interest_mem: AtomicUsize::new(0),
            counted_memory: AtomicUsize::new(0),
            redirect: AtomicU64::new(0),
            multi: AtomicI64::new(-1),
            multi_mem: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            watch_flag: Mutex::new(None),
            waits: Mutex::new(Weak::new()),
            query_buffer: AtomicUsize::new(0),
            output: AtomicUsize::new(0),
            over_soft_since_ms: AtomicI64::new(0),
            last_command: AtomicUsize::new(usize::MAX),
            last_active_ms: AtomicI64::new(now_ms),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            mail: Mutex::new(Vec::new()),
            has_mail: AtomicBool::new(false),
            mail_limit: AtomicUsize::new(usize::MAX),
            end: AtomicU32::new(0),
        }
    }

    /// The user that it is logged in as; none before its session begins.
    pub fn account(&self) -> Option<Arc<Account>> {
        self.account.lock().clone()
    }

    /// Notes the user.
    pub fn set_account(&self, account: Arc<Account>) {
        self.names.lock().user = String::from_utf8_lossy(account.name()).into_owned();
        *self.account.lock() = Some(account);
    }

    /// Sets or clears bits of [`flag`].
    pub fn set_flag(&self, bits: u32, on: bool) {
        if on {
            self.flags.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!bits, Ordering::Relaxed);
        }
    }

    /// True if all these bits are set.
    pub fn has_flag(&self, bits: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & bits == bits
    }

    /// The letters of its capabilities.
    pub fn capabilities_text(&self) -> String {
        let bits = self.capabilities.load(Ordering::Relaxed);
        let had = capability::LETTERS.iter().filter(|(bit, _)| bits & bit != 0);
        had.map(|(_, letter)| letter).collect()
    }

    /// As CLIENT LIST and CLIENT GETREDIR show it: -1 while nothing is tracked, 0 for the client itself.
    pub fn redirect_shown(&self) -> i64 {
        if self.has_flag(flag::TRACKING) {
            self.redirect.load(Ordering::Relaxed) as i64
        } else {
            -1
        }
    }

    /// Itself, if keys that it reads may have to be remembered.
    pub fn tracker(self: &Arc<Self>) -> Option<Arc<Self>> {
        (self.has_flag(flag::TRACKING) && !self.has_flag(flag::TRACKING_BCAST)).then(|| Arc::clone(self))
    }

    /// True if what it reads now is to be remembered for it.
    pub fn remembers(&self) -> bool {
        let flags = self.flags.load(Ordering::Relaxed);
        let on = |bit: u32| flags & bit != 0;
        let wanted = match on(flag::TRACKING_CACHING) {
            true => !on(flag::TRACKING_OPTOUT),
            false => !on(flag::TRACKING_OPTIN),
        };
        on(flag::TRACKING) && !on(flag::TRACKING_BCAST) && wanted
    }

    /// True if the peer is on this machine.
    pub fn is_local(&self) -> bool {
        self.has_flag(flag::UNIX)
            || self
                .addr
                .parse::<std::net::SocketAddr>()
                .is_ok_and(|a| match a.ip() {
                    std::net::IpAddr::V4(ip) => ip.is_loopback(),
                    std::net::IpAddr::V6(ip) => {
                        ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
                    }
                })
    }

    /// Class for output limits.
    pub fn class(&self) -> ClientClass {
        if self.has_flag(flag::REPLICA) {
            ClientClass::Replica
        } else if self.has_flag(flag::PRIMARY) {
            ClientClass::Master
        } else if self.has_flag(flag::PUBSUB) {
            ClientClass::Pubsub
        } else {
            ClientClass::Normal
        }
    }

    /// Bytes that the connection takes: what it has sent in part, what waits to be sent to it, what is queued, the names
    /// that it knows, and itself. The buffers of its thread are not its own.
    pub fn memory(&self) -> usize {
        let load = |bytes: &AtomicUsize| bytes.load(Ordering::Relaxed);
        size_of::<Self>()
            + size_of::<crate::net::connection::Connection>()
            + load(&self.query_buffer)
            + load(&self.output)
            + self.mail_len()
            + load(&self.multi_mem)
            + load(&self.interest_mem)
            + self.names.lock().memory()
    }

    /// Counts the memory of a name that the client wants to hear of, here and in the server's tables.
    pub fn note_interest(&self, name: &[u8], more: bool) {
        const ENTRY: usize = 64;
        let bytes = 2 * name.len() + ENTRY;
        if more {
            self.interest_mem.fetch_add(bytes, Ordering::Relaxed);
        } else {
            self.interest_mem.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// True if a watched key has changed, so that EXEC will refuse.
    pub fn is_dirty(&self) -> bool {
        self.watch_flag
            .lock()
            .as_ref()
            .is_some_and(|f| f.load(Ordering::Relaxed))
    }

    /// The wait in a blocking command that the client is in.
    pub fn waiter(&self) -> Option<Arc<Waiter>> {
        self.waits.lock().upgrade().filter(|w| !w.is_done())
    }

    /// Puts bytes (a published message, a reply to a blocked command) into the mailbox and wakes the connection.
    /// A mailbox over its limit ends the connection: a slow reader must not cost memory without end.
    pub fn send(&self, bytes: &[u8]) {
        let mut mail = self.mail.lock();
        if mail.len() + bytes.len() + self.output.load(Ordering::Relaxed)
            > self.mail_limit.load(Ordering::Relaxed)
        {
            drop(mail);
            self.end(END_OVERFLOW);
            return;
        }
        mail.extend_from_slice(bytes);
        self.has_mail.store(true, Ordering::Release);
        drop(mail);
        self.waker.wake();
    }

    /// Hard limit of mailbox and output together, in bytes; 0: none.
    pub fn set_mail_limit(&self, bytes: usize) {
        self.mail_limit
            .store(if bytes == 0 { usize::MAX } else { bytes }, Ordering::Relaxed);
    }

    /// True if the mailbox is not empty.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Acquire)
    }

    /// Moves the mailbox's bytes to the end of `out`.
    pub fn take_mail(&self, out: &mut Vec<u8>) {
        let mut mail = self.mail.lock();
        self.has_mail.store(false, Ordering::Release);
        if out.is_empty() && mail.len() > 4096 {
            std::mem::swap(out, &mut mail);
        } else {
            out.append(&mut mail);
        }
        if mail.capacity() > 64 << 10 {
            *mail = Vec::new();
        }
    }

    /// Bytes in the mailbox.
    pub fn mail_len(&self) -> usize {
        if self.has_mail() {
            self.mail.lock().len()
        } else {
            0
        }
    }

    /// Asks the connection to end.
    pub fn kill(&self) {
        self.end(END_KILL);
    }

    fn end(&self, why: u32) {
        self.end.fetch_or(why, Ordering::Release);
        self.waker.wake();
    }

    /// True if the connection has been asked to end.
    #[inline]
    pub fn is_killed(&self) -> bool {
        self.end.load(Ordering::Acquire) != 0
    }

    /// True if it ends because its output passed a limit.
    pub fn overflowed(&self) -> bool {
        self.end.load(Ordering::Acquire) & END_OVERFLOW != 0
    }
}

/// All connections.
#[derive(Debug, Default)]
pub struct Clients {
    next_id: AtomicU64,
    by_id: RwLock<BTreeMap<u64, Arc<Client>>>,
    /// Connections, and those that are still about to begin (TLS).
    count: AtomicUsize,
}

/// A connection that is about to begin counts until this is dropped.
#[derive(Debug)]
pub struct Handshake<'a>(&'a AtomicUsize);

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Clients {
    /// Counts a connection that is about to begin.
    pub fn handshake(&self) -> Handshake<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        Handshake(&self.count)
    }

    /// A number for a new connection.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds a connection.
    pub fn add(&self, client: Arc<Client>) {
        self.by_id.write().insert(client.id, client);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a connection.
    pub fn remove(&self, id: u64) {
        if self.by_id.write().remove(&id).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Number of connections.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// One connection.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.read().get(&id).cloned()
    }

    /// Connections that nobody has asked to end, in the order of their ids.
    pub fn open(&self) -> impl Iterator<Item = Arc<Client>> {
        self.all().into_iter().filter(|c| !c.is_killed())
    }

    /// All connections in the order of their ids.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.by_id.read().values().cloned().collect()
    }
}
