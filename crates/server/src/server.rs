//! What all threads of a server share.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use holdfast_commands::limits::Limits;
use holdfast_commands::spec::Flags;
use holdfast_replication::ReplicationLog;
use holdfast_storage::access::AccessPolicy;
use holdfast_storage::effects::{Class, Garbage, KeyEvent};
use holdfast_storage::evict::Policy;
use holdfast_storage::keyspace::Keyspace;
use holdfast_storage::types::hash::HashLimits;
use holdfast_storage::types::list::ListLimits;
use holdfast_storage::types::set::SetLimits;
use holdfast_storage::types::stream::StreamLimits;
use holdfast_storage::types::zset::ZsetLimits;
use parking_lot::Mutex;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use crate::acks::Acks;
use crate::acl::Acl;
use crate::blocking::Blocking;
use crate::client::{Client, ClientClass, Clients, flag};
use crate::client_memory::ClientMemory;
use crate::config::{self, Config, Guard, MaxmemoryPolicy, OutputLimit, Param};
use crate::execute;
use crate::memory;
use crate::net::listener::WorkerHandle;
use crate::observe::Observe;
use crate::observe::latency::Event;
use crate::pubsub::PubSub;
use crate::reclaim::Reclaim;
use crate::registry::Entry;
use crate::saving::Saving;
use crate::scripting::Scripts;
use crate::session::Multi;
use crate::stats::{Counters, Stats};
use crate::tracking::Tracking;
use crate::worker::Worker;

/// The version that clients are told: the Redis whose commands and formats are here.
pub const REDIS_VERSION: &str = "7.2.4";
/// Our own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Bytes of the replication log that are kept while it has no reader: small enough to stay in the processor's cache.
/// With the first reader it grows to `repl-backlog-size`, as Redis makes its backlog for the first replica.
const UNREAD_LOG: usize = 64 << 10;

/// Rows of counters beside the workers': from 1 on cron, the reclaimer, the thread that loads, one that saves, the spare
/// worker, main.
pub const EXTRA_ROWS: usize = 7;
/// Row of the thread that loads, counted from the number of workers.
pub const LOADER_ROW: usize = 3;
/// Row of a thread that saves.
pub const SAVER_ROW: usize = 4;
/// Row of the spare worker.
pub const SPARE_ROW: usize = 5;

/// Why commands are refused: bits of [`Server::refusals`].
mod refuse {
    /// The data are being loaded.
    pub const LOADING: u8 = 1;
    /// The last save failed.
    pub const UNSAVED: u8 = 2;
}

/// Which commands CLIENT PAUSE holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseMode {
    /// Those that may change data.
    Write,
    /// Every one.
    All,
}

/// Where the listening thread says how a rebind went.
pub type RebindReply = std::sync::mpsc::Sender<Result<(), String>>;

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// The data.
    pub keyspace: Keyspace,
    /// The configuration.
    pub config: Config,
    /// The replication log.
    pub log: ReplicationLog,
    /// The connections.
    pub clients: Clients,
    /// What the connections take.
    pub client_memory: ClientMemory,
    /// The channels.
    pub pubsub: PubSub,
    /// Scripts and functions.
    pub scripts: Scripts,
    /// A further worker, made when a script keeps the others from serving new connections.
    pub spare: OnceLock<WorkerHandle>,
    /// Client-side caching.
    pub tracking: Tracking,
    /// The clients that wait for keys.
    pub blocking: Blocking,
    /// How far others have followed the log.
    pub acks: Arc<Acks>,
    /// The users.
    pub acl: Acl,
    /// The counters.
    pub stats: Stats,
    /// Logs and watchers of commands.
    pub observe: Observe,
    /// Freeing in the background.
    pub reclaim: Reclaim,
    /// The snapshot file.
    pub saving: Arc<Saving>,
    refusals: AtomicU8,
    /// 40 hex digits, new at every start.
    pub run_id: String,
    /// Replication id, 40 hex digits.
    pub repl_id: Mutex<String>,
    /// When it started.
    pub started: Instant,
    /// Unix ms of the start.
    pub started_ms: i64,
    /// Bytes in use when it had just been made.
    pub startup_memory: u64,
    /// Number of workers.
    pub threads: usize,
    /// Ends everything when cancelled.
    pub shutdown: CancellationToken,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: AtomicBool,
    /// DEBUG PAUSE-CRON.
    pub cron_paused: AtomicBool,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION.
    pub skip_checksum: AtomicBool,
    /// Samples of the rates in INFO.
    pub rates: Mutex<crate::cron::Rates>,
    /// Ports that the server really listens on (a configured 0 means none).
    pub tcp_port: AtomicU64,
    /// The way to the thread that listens: asks it to bind anew.
    pub listeners: OnceLock<tokio::sync::mpsc::UnboundedSender<RebindReply>>,
    pause_until_ms: AtomicI64,
    pause_all: AtomicBool,
    attack_logged_ms: AtomicI64,
    evicting: AtomicBool,
    /// Set by the cron job that sums up the output of all clients.
    pub output_crowded: AtomicBool,
}

impl Server {
    /// A server with this configuration, and what its reclaiming thread must be given.
    pub fn new(config: Config, threads: usize) -> (Arc<Self>, Receiver<Vec<Garbage>>) {
        let (reclaim, garbage) = Reclaim::new();
        let databases = config.int(Param::Databases) as u32;
        let log = ReplicationLog::new(UNREAD_LOG);
        let mut server = Self {
            keyspace: Keyspace::new(databases, Keyspace::SHARDS),
            log,
            clients: Clients::default(),
            client_memory: ClientMemory::default(),
            pubsub: PubSub::default(),
            spare: OnceLock::new(),
            scripts: Scripts::new(threads + EXTRA_ROWS),
            tracking: Tracking::default(),
            blocking: Blocking::default(),
            acks: Arc::default(),
            acl: Acl::new(&config),
            stats: Stats::new(threads + EXTRA_ROWS),
            observe: Observe::new(threads + EXTRA_ROWS),
            reclaim,
            saving: Arc::new(Saving::new(unix_ms())),
            refusals: AtomicU8::new(0),
            run_id: hex40(),
            repl_id: Mutex::new(hex40()),
            started: Instant::now(),
            started_ms: unix_ms(),
            startup_memory: 0,
            threads,
            shutdown: CancellationToken::new(),
            active_expire: AtomicBool::new(true),
            cron_paused: AtomicBool::new(false),
            skip_checksum: AtomicBool::new(false),
            rates: Mutex::default(),
            tcp_port: AtomicU64::new(0),
            listeners: OnceLock::new(),
            pause_until_ms: AtomicI64::new(0),
            pause_all: AtomicBool::new(false),
            attack_logged_ms: AtomicI64::new(0),
            evicting: AtomicBool::new(false),
            output_crowded: AtomicBool::new(false),
            config,
        };
        // What this thread has made so far is in use as long as the server is.
        memory::publish(threads + EXTRA_ROWS - 1);
        server.startup_memory = memory::used();
        (Arc::new(server), garbage)
    }

    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> i64 {
        unix_ms()
    }

    /// The data are being loaded.
    pub fn is_loading(&self) -> bool {
        self.refusals.load(Ordering::Relaxed) & refuse::LOADING != 0
    }

    /// Begins or ends the time in which only commands flagged so are taken.
    pub fn set_loading(&self, on: bool) {
        if on {
            self.refusals.fetch_or(refuse::LOADING, Ordering::Relaxed);
        } else {
            self.refusals.fetch_and(!refuse::LOADING, Ordering::Relaxed);
        }
    }

    /// The result of a save is known.
    pub fn note_refusals(&self) {
        if self.saving.last_failed() {
            self.refusals.fetch_or(refuse::UNSAVED, Ordering::Relaxed);
        } else {
            self.refusals.fetch_and(!refuse::UNSAVED, Ordering::Relaxed);
        }
    }

    /// Why a command is refused because of the state of the data, if it is.
    #[inline]
    pub fn refusal(&self, entry: &Entry, multi: Option<&Multi>) -> Option<&'static str> {
        match self.refusals.load(Ordering::Relaxed) {
            0 => None,
            bits => self.refusal_for(bits, entry, multi),
        }
    }

    #[cold]
    fn refusal_for(&self, bits: u8, entry: &Entry, multi: Option<&Multi>) -> Option<&'static str> {
        let writes = || {
            entry.is(Flags::WRITE)
                || entry.spec.name == "ping"
                || (entry.spec.name == "exec"
                    && multi.is_some_and(|m| m.queue.iter().any(|(e, _)| e.is(Flags::WRITE))))
        };
        if bits & refuse::UNSAVED != 0
            && self.config.flag(Param::StopWritesOnBgsaveError)
            && writes()
            && !self.config.save_points().is_empty()
        {
            return Some(
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
                 Commands that may modify the data set are disabled, because this instance is configured to report \
                 errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check \
                 the Redis logs for details about the RDB error.",
            );
        }
        (bits & refuse::LOADING != 0 && !entry.is(Flags::LOADING))
            .then_some("LOADING Redis is loading the dataset in memory")
    }

    /// Changes whenever settings change.
    #[inline]
    pub fn settings_version(&self) -> u64 {
        self.config.version().wrapping_add(self.observe.version())
    }

    /// Copies the settings that commands need into a worker.
    pub fn copy_settings(&self, w: &mut Worker) {
        let c = &self.config;
        let size = |p| c.int(p).max(0) as usize;
        w.limits = Limits {
            list: ListLimits {
                max_listpack_size: c.int(Param::ListMaxListpackSize) as i32,
            },
            set: SetLimits {
                max_intset_entries: size(Param::SetMaxIntsetEntries),
                max_listpack_entries: size(Param::SetMaxListpackEntries),
                max_listpack_value: size(Param::SetMaxListpackValue),
            },
            hash: HashLimits {
                max_listpack_entries: size(Param::HashMaxListpackEntries),
                max_listpack_value: size(Param::HashMaxListpackValue),
            },
            zset: ZsetLimits {
                max_listpack_entries: size(Param::ZsetMaxListpackEntries),
                max_listpack_value: size(Param::ZsetMaxListpackValue),
            },
            stream: StreamLimits {
                node_max_bytes: size(Param::StreamNodeMaxBytes),
                node_max_entries: c.int(Param::StreamNodeMaxEntries).max(0) as u64,
            },
            hll_sparse_max_bytes: size(Param::HllSparseMaxBytes),
            max_string: size(Param::ProtoMaxBulkLen),
            lfu: self.policy().is_lfu(),
            lfu_decay_minutes: c.int(Param::LfuDecayTime) as u32,
            rdb_compression: c.flag(Param::Rdbcompression),
            skip_checksum: self.skip_checksum.load(Ordering::Relaxed),
        };
        w.decode_limits.max_bulk_len = size(Param::ProtoMaxBulkLen);
        w.decode_limits.max_query_buffer = size(Param::ClientQueryBufferLimit);
        w.access = AccessPolicy {
            lfu: self.policy().is_lfu(),
            lfu_log_factor: c.int(Param::LfuLogFactor) as u32,
            lfu_decay_minutes: c.int(Param::LfuDecayTime) as u32,
            no_touch: false,
        };
        w.tracking_max_keys = size(Param::TrackingTableMaxKeys);
        self.client_memory
            .set_limit(c.int(Param::MaxmemoryClients), c.int(Param::Maxmemory) as u64);
        w.import_mode = c.flag(Param::ImportMode);
        w.maxmemory = c.int(Param::Maxmemory) as u64;
        w.policy = self.policy();
        w.effects.event_mask = self.event_mask();
        w.meter.configure(self);
    }

    /// `maxmemory-policy`.
    pub fn policy(&self) -> Policy {
        match MaxmemoryPolicy::from_code(self.config.int(Param::MaxmemoryPolicy)) {
            MaxmemoryPolicy::Noeviction => Policy::NoEviction,
            MaxmemoryPolicy::AllkeysLru => Policy::AllKeysLru,
            MaxmemoryPolicy::AllkeysLfu => Policy::AllKeysLfu,
            MaxmemoryPolicy::AllkeysRandom => Policy::AllKeysRandom,
            MaxmemoryPolicy::VolatileLru => Policy::VolatileLru,
            MaxmemoryPolicy::VolatileLfu => Policy::VolatileLfu,
            MaxmemoryPolicy::VolatileRandom => Policy::VolatileRandom,
            MaxmemoryPolicy::VolatileTtl => Policy::VolatileTtl,
        }
    }

    /// Classes of events that `notify-keyspace-events` asks for.
    fn event_mask(&self) -> u16 {
        self.notify_flags().map_or(0, |n| n.classes)
    }

    fn notify_flags(&self) -> Option<Notify> {
        Notify::parse(&self.config.print(Param::NotifyKeyspaceEvents))
    }

    /// Publishes keyspace events.
    pub fn publish_events(&self, events: &[KeyEvent]) {
        let Some(notify) = self.notify_flags() else { return };
        if !self.pubsub.is_used() {
            return;
        }
        for KeyEvent { db, event, key } in events {
            if notify.keyspace {
                let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
                self.pubsub.publish(&channel, event.1.as_bytes());
            }
            if notify.keyevent {
                self.pubsub
                    .publish(format!("__keyevent@{db}__:{}", event.1).as_bytes(), key);
            }
        }
    }

    /// True for commands that the configuration forbids (`enable-debug-command`).
    pub fn is_protected(&self, entry: &Entry, client: &Client) -> bool {
        if !entry.is(Flags::ADMIN) {
            return false;
        }
        let guard = match entry.spec.name {
            "module|load" | "module|loadex" | "module|unload" => Param::EnableModuleCommand,
            name if name.split('|').next() == Some("debug") => Param::EnableDebugCommand,
            _ => return false,
        };
        match Guard::from_code(self.config.int(guard)) {
            Guard::Yes => false,
            Guard::Local => !client.is_local(),
            Guard::No => true,
        }
    }

    fn output_limit(&self, client: &Client) -> OutputLimit {
        // What a monitor is sent does not depend on what it asks for: it is limited as a subscriber is.
        if client.has_flag(flag::MONITOR) {
            return self.config.client_output_limit(config::ClientClass::Pubsub);
        }
        self.config.client_output_limit(match client.class() {
            ClientClass::Normal | ClientClass::Master => config::ClientClass::Normal,
            ClientClass::Replica => config::ClientClass::Replica,
            ClientClass::Pubsub => config::ClientClass::Pubsub,
        })
    }

    /// Tells a client's mailbox the hard limit of its class.
    pub fn apply_output_limit(&self, client: &Client) {
        client.set_mail_limit(self.output_limit(client).hard_bytes as usize);
    }

    /// True if a client's output is over the hard limit of its class.
    pub fn over_hard_limit(&self, client: &Client, bytes: usize) -> bool {
        let limit = self.output_limit(client).hard_bytes as usize;
        limit > 0 && bytes > limit
    }

    /// True if a client's output has been over the soft limit of its class for its time.
    pub fn over_soft_limit(&self, client: &Client, now_ms: i64) -> bool {
        let limit = self.output_limit(client);
        let bytes = client.output.load(Ordering::Relaxed) + client.mail_len();
        if limit.soft_bytes == 0 || bytes <= limit.soft_bytes as usize {
            client.over_soft_since_ms.store(0, Ordering::Relaxed);
            return false;
        }
        let since = client.over_soft_since_ms.load(Ordering::Relaxed);
        if since == 0 {
            client.over_soft_since_ms.store(now_ms, Ordering::Relaxed);
            return false;
        }
        now_ms - since > limit.soft_seconds as i64 * 1000
    }

    /// True while the output of all clients together is so large that each gets only a small share.
    pub fn is_output_crowded(&self) -> bool {
        self.output_crowded.load(Ordering::Relaxed)
    }

    /// Tells the operator, once a minute at most, that a client speaks HTTP.
    pub fn warn_of_attack(&self, client: &Client) {
        const EVERY_MS: i64 = 60_000;
        let (now, last) = (self.now_ms(), &self.attack_logged_ms);
        if now - last.load(Ordering::Relaxed) > EVERY_MS {
            last.store(now, Ordering::Relaxed);
            tracing::warn!(
                addr = client.addr,
                "Possible SECURITY ATTACK: a client sends POST or Host:, as a browser does that is made to talk to this port (cross protocol scripting). Connection closed."
            );
        }
    }

    // ---- CLIENT PAUSE ----

    /// Holds commands back until a Unix time in ms. A running pause is only made longer and stricter.
    pub fn pause(&self, until_ms: i64, mode: PauseMode) {
        if !self.is_paused() {
            self.pause_all.store(false, Ordering::Relaxed);
        }
        if mode == PauseMode::All {
            self.pause_all.store(true, Ordering::Relaxed);
        }
        self.pause_until_ms.fetch_max(until_ms, Ordering::Release);
    }

    /// Ends the pause.
    pub fn unpause(&self) {
        self.pause_until_ms.store(0, Ordering::Release);
        for client in self.clients.all() {
            client.waker.wake();
        }
    }

    /// True while a pause lasts.
    pub fn is_paused(&self) -> bool {
        let until = self.pause_until_ms.load(Ordering::Acquire);
        until > 0 && self.now_ms() < until
    }

    /// The same at a time that is known already (Unix ms).
    #[inline]
    pub fn is_paused_at(&self, now_ms: i64) -> bool {
        now_ms < self.pause_until_ms.load(Ordering::Acquire)
    }

    /// Milliseconds until the pause ends; 0 if there is none.
    pub fn pause_left_ms(&self) -> u64 {
        match self.pause_until_ms.load(Ordering::Acquire) {
            0 => 0,
            until => (until - self.now_ms()).max(0) as u64,
        }
    }

    /// True if the command has to wait now.
    #[inline]
    pub fn pauses(&self, entry: &Entry, multi: Option<&Multi>) -> bool {
        if self.pause_until_ms.load(Ordering::Acquire) == 0 || !self.is_paused() {
            return false;
        }
        let writes = |e: &Entry| e.spec.flags.any(Flags::WRITE.or(Flags::MAY_REPLICATE));
        if self.pause_all.load(Ordering::Relaxed) {
            return !matches!(entry.spec.name, "client|unpause" | "client|pause");
        }
        writes(entry)
            || (entry.spec.name == "exec" && multi.is_some_and(|m| m.queue.iter().any(|(e, _)| writes(e))))
    }

    // ---- maxmemory ----

    /// Evicts until there is room. False if there is not. No lock may be held.
    pub fn make_room(&self, w: &mut Worker) -> bool {
        memory::publish(w.id);
        if memory::used() <= w.maxmemory {
            return true;
        }
        if w.import_mode || self.is_paused_at(w.now_ms) {
            // The data stands still; what would use more memory is held back, or let in as before.
            return true;
        }
        if w.policy == Policy::NoEviction {
            self.stats.note_exceeded(true, w.now_ms);
            return false;
        }
        self.evicting.store(true, Ordering::Relaxed);
        let began = Instant::now();
        let cycle = self.observe.begin_event(&self.config);
        let samples = self.config.int(Param::MaxmemorySamples) as usize;
        let limit_us = eviction_limit_us(self.config.int(Param::MaxmemoryEvictionTenacity));
        let mut done = false;
        for round in 0u32.. {
            memory::publish(w.id);
            if memory::used() <= w.maxmemory {
                done = true;
                break;
            }
            if round.is_multiple_of(16) && limit_us.is_some_and(|us| began.elapsed().as_micros() as u64 > us)
            {
                // Over the time: the command may go on, the next one will evict further.
                self.stats.note_exceeded(true, w.now_ms);
                done = true;
                break;
            }
            if !self.evict_one(w, samples) {
                break;
            }
        }
        self.evicting.store(false, Ordering::Relaxed);
        self.observe.end_event(Event::EvictionCycle, cycle, w.now_ms);
        w.meter.skip(); // it is not the command's time
        done
    }

    fn evict_one(&self, w: &mut Worker, samples: usize) -> bool {
        let decay = w.access.lfu_decay_minutes;
        for _ in 0..32 {
            let chosen = w
                .pool
                .choose(&self.keyspace, w.policy, samples, decay, w.now_ms, &mut w.rng);
            let Some(candidate) = chosen else { return false };
            let began = self.observe.begin_event(&self.config);
            if execute::evict(w, candidate.db, &candidate.key) {
                self.observe.end_event(Event::EvictionDel, began, w.now_ms);
                return true;
            }
        }
        // All candidates were gone already: others evict as well.
        true
    }

    /// Gives the data a history of its own.
    pub fn change_repl_id(&self) {
        *self.repl_id.lock() = hex40();
    }

    /// CONFIG RESETSTAT.
    pub fn reset_stats(&self) {
        let changes = crate::saving::changes(self);
        self.stats.reset();
        self.stats
            .dirty_base
            .store(self.totals().dirty as i64 - changes as i64, Ordering::Relaxed);
        self.observe.slot_stats.reset_all();
        self.client_memory.reset_stats();
        self.stats.peak_memory.store(memory::used(), Ordering::Relaxed);
        *self.rates.lock() = crate::cron::Rates::default();
    }

    /// Listens on the addresses and the port that are configured now, in place of the old ones. On failure the old
    /// ones go on.
    ///
    /// # Errors
    /// The text says which address is not to be had.
    pub fn rebind(&self) -> Result<(), String> {
        let Some(control) = self.listeners.get() else {
            return Ok(());
        };
        let (done, result) = std::sync::mpsc::channel();
        let gone = || "the listening thread does not answer".to_owned();
        control.send(done).map_err(|_| gone())?;
        result
            .recv_timeout(std::time::Duration::from_secs(10))
            .map_err(|_| gone())?
    }

    /// The counters of all threads.
    pub fn totals(&self) -> Counters {
        self.stats.total()
    }
}

/// `maxmemory-eviction-tenacity` as a time limit: 500 us up to 10, then growing by 15 % a step, none at 100.
fn eviction_limit_us(tenacity: i64) -> Option<u64> {
    match tenacity {
        ..=10 => Some(50 * tenacity.max(0) as u64),
        100.. => None,
        t => Some((500.0 * 1.15f64.powi(t as i32 - 10)) as u64),
    }
}

/// The flags of `notify-keyspace-events`.
struct Notify {
    keyspace: bool,
    keyevent: bool,
    classes: u16,
}

impl Notify {
    fn parse(text: &[u8]) -> Option<Self> {
        let mut n = Self {
            keyspace: false,
            keyevent: false,
            classes: 0,
        };
        for b in text {
            n.classes |= match b {
                b'K' => {
                    n.keyspace = true;
                    0
                }
                b'E' => {
                    n.keyevent = true;
                    0
                }
                b'A' => {
                    Class::Generic as u16
                        | Class::String as u16
                        | Class::List as u16
                        | Class::Set as u16
                        | Class::Hash as u16
                        | Class::Zset as u16
                        | Class::Expired as u16
                        | Class::Evicted as u16
                        | Class::Stream as u16
                        | Class::Module as u16
                }
                b'g' => Class::Generic as u16,
                b'$' => Class::String as u16,
                b'l' => Class::List as u16,
                b's' => Class::Set as u16,
                b'h' => Class::Hash as u16,
                b'z' => Class::Zset as u16,
                b'x' => Class::Expired as u16,
                b'e' => Class::Evicted as u16,
                b't' => Class::Stream as u16,
                b'm' => Class::KeyMiss as u16,
                b'd' => Class::Module as u16,
                b'n' => Class::New as u16,
                b'o' => Class::Overwritten as u16,
                b'c' => Class::TypeChanged as u16,
                _ => 0,
            };
        }
        ((n.keyspace || n.keyevent) && n.classes != 0).then_some(n)
    }
}

fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}

fn hex40() -> String {
    let mut rng = rand::rng();
    (0..40)
        .map(|_| char::from_digit(rng.random_range(0..16), 16).unwrap_or('0'))
        .collect()
}
