//! What all threads of a server share.
//!
//! ```text
//! server.rs        what is shared, and how it begins     settings.rs   what the configuration means to threads
//! refusals.rs      why commands are refused              notify.rs     keyspace events
//! pause.rs         who has to wait at the door           output.rs     how much output a client may have
//! eviction.rs      room under maxmemory
//! ```
//!
//! Must not know: sockets; the bytes of a command.

mod eviction;
mod notify;
mod output;
mod pause;
mod refusals;
mod settings;

pub use pause::{Hold, PauseMode};
pub use refusals::{READONLY, STALE, TOO_FEW_REPLICAS};

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use holdfast_replication::ReplicationLog;
use holdfast_storage::effects::Garbage;
use holdfast_storage::keyspace::Keyspace;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::acks::Acks;
use crate::acl::Acl;
use crate::aof::Aof;
use crate::blocking::Blocking;
use crate::client::{Client, Clients};
use crate::client_memory::ClientMemory;
use crate::cluster::Cluster;
use crate::config::{Config, Param};
use crate::ending::Ending;
use crate::gate::Gate;
use crate::loading::Loading;
use crate::memory;
use crate::net::listener::WorkerHandle;
use crate::net::tls::Tls;
use crate::observe::Observe;
use crate::pubsub::PubSub;
use crate::reclaim::Reclaim;
use crate::replication::{self, Replication};
use crate::saving::Saving;
use crate::scripting::Scripts;
use crate::snapshots::Snapshots;
use crate::stats::{Counters, Stats};
use crate::throttle::Throttle;
use crate::tracking::Tracking;

/// The version that clients are told: the Redis whose commands and formats are here.
pub const REDIS_VERSION: &str = "7.2.4";
/// Our own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Bytes of the replication log that are kept while it has no reader: small enough to stay in the processor's cache.
/// With the first reader it grows to `repl-backlog-size`, as Redis makes its backlog for the first replica.
pub const UNREAD_LOG: usize = 64 << 10;

/// Rows of counters beside the workers': from 1 on cron, the reclaimer, the thread that loads, one that saves, the spare
/// worker, the thread that applies a primary's stream, the one that writes the append-only file, main, the thread
/// that sends slots to another node.
pub const EXTRA_ROWS: usize = 10;
/// Row of the thread that loads, counted from the number of workers.
pub const LOADER_ROW: usize = 3;
/// Row of a thread that saves.
pub const SAVER_ROW: usize = 4;
/// Row of the spare worker.
pub const SPARE_ROW: usize = 5;
/// Row of the thread that applies a primary's stream.
pub const APPLIER_ROW: usize = 6;
/// Row of the thread that writes the append-only file.
pub const AOF_ROW: usize = 7;
/// Row of the thread that sends slots to another node.
pub const EXPORT_ROW: usize = 9;

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
    pub log: Arc<ReplicationLog>,
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
    /// Primary or replica, and of whose history.
    pub replication: Replication,
    /// How far others have followed the log.
    pub acks: Arc<Acks>,
    /// The cluster, in cluster mode.
    pub cluster: OnceLock<Cluster>,
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
    /// The way to the end.
    pub ending: Ending,
    /// Who walks the data.
    pub snapshots: Arc<Snapshots>,
    /// Whether writers wait.
    pub throttle: Arc<Throttle>,
    /// Whether replies wait.
    pub gate: Gate,
    /// The append-only file.
    pub aof: Aof,
    /// The load that is going on.
    pub loading: Loading,
    refusals: AtomicU8,
    /// 40 hex digits, new at every start.
    pub run_id: String,
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
    /// What TLS connections are made with.
    pub tls: Tls,
    /// The way to the thread that listens: asks it to bind anew.
    pub listeners: OnceLock<tokio::sync::mpsc::UnboundedSender<RebindReply>>,
    pause_until_ms: AtomicI64,
    pause_all: AtomicBool,
    /// Why writes are held back: bits of [`Hold`].
    holds: AtomicU8,
    attack_logged_ms: AtomicI64,
    evicting: AtomicBool,
    /// Set by the cron job that sums up the output of all clients.
    pub output_crowded: AtomicBool,
}

impl Server {
    /// A server with this configuration, and what its reclaiming thread must be given.
    pub fn new(config: Config, threads: usize) -> (Arc<Self>, Receiver<Vec<Garbage>>) {
        let (reclaim, garbage) = Reclaim::new();
        let databases = config.int(if config.flag(Param::ClusterEnabled) {
            Param::ClusterDatabases
        } else {
            Param::Databases
        }) as u32;
        let log = Arc::new(ReplicationLog::new(UNREAD_LOG));
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
            replication: Replication::default(),
            acks: Arc::default(),
            cluster: OnceLock::new(),
            acl: Acl::new(&config),
            stats: Stats::new(threads + EXTRA_ROWS),
            observe: Observe::new(threads + EXTRA_ROWS),
            reclaim,
            saving: Arc::new(Saving::new(unix_ms())),
            ending: Ending::default(),
            snapshots: Arc::default(),
            throttle: Arc::default(),
            gate: Gate::new(threads + EXTRA_ROWS),
            aof: Aof::default(),
            loading: Loading::default(),
            refusals: AtomicU8::new(0),
            run_id: replication::new_id().to_string(),
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
            tls: Tls::default(),
            listeners: OnceLock::new(),
            pause_until_ms: AtomicI64::new(0),
            pause_all: AtomicBool::new(false),
            holds: AtomicU8::new(0),
            attack_logged_ms: AtomicI64::new(0),
            evicting: AtomicBool::new(false),
            output_crowded: AtomicBool::new(false),
            config,
        };
        // What this thread has made so far is in use as long as the server is.
        memory::publish(threads + EXTRA_ROWS - 1);
        server.startup_memory = memory::used();
        server.replication.primary.refresh_good(&server);
        server
            .loading
            .set_key_delay(server.config.int(Param::KeyLoadDelay));
        (Arc::new(server), garbage)
    }

    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> i64 {
        unix_ms()
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

    /// CONFIG RESETSTAT.
    pub fn reset_stats(&self) {
        let changes = crate::saving::changes(self);
        self.stats.reset();
        self.stats
            .dirty_base
            .store(self.totals().dirty as i64 - changes as i64, Ordering::Relaxed);
        self.observe.slot_stats.reset_all();
        self.client_memory.reset_stats();
        self.replication.primary.reset_counts();
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

fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}
