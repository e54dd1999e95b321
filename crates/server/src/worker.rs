//! What one thread needs to execute commands: buffers that all its connections share, and cached settings. Nothing
//! here is kept across an await.

use std::cell::RefCell;
use std::sync::Arc;

use holdfast_commands::ctx::Propagation;
use holdfast_commands::limits::Limits;
use holdfast_resp::{DecodeLimits, DecodeScratch, Proto, Reply};
use holdfast_storage::access::AccessPolicy;
use holdfast_storage::effects::Effects;
use holdfast_storage::evict::{Policy, Pool};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::client::Client;
use crate::cluster::check::Router;
use crate::memory;
use crate::observe::Meter;
use crate::server::Server;
use crate::stats::Counters;

/// Bytes that one read takes at most, and so the most input that is executed before a write.
pub const READ_BUFFER: usize = 64 << 10;

/// Where the commands of a thread come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Clients: what their commands do is logged, and what is over is removed.
    #[default]
    Clients,
    /// The append-only file at the start: nobody is told, nothing is logged.
    Replay,
    /// The primary's stream, of which this server's log is a copy: nothing is logged from effects.
    Mirror,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Worker {
    /// The server.
    pub server: Arc<Server>,
    /// Number of this thread's row of counters.
    pub id: usize,
    /// Where the commands come from.
    pub source: Source,
    /// Where replies are built.
    pub reply: Reply,
    /// Effects of the running command.
    pub effects: Effects,
    /// What the running command becomes in the log.
    pub propagation: Propagation,
    /// The running transaction on its way to the log.
    pub transaction: Option<Transaction>,
    /// Offset of the log behind what the running command wrote; 0: nothing.
    pub written_to: u64,
    /// Something has been appended to the log, and its readers have not been told.
    pub logged: bool,
    /// A script has asked that its writes be kept out of the log.
    pub unlogged: bool,
    /// Encoded commands on their way to the log.
    pub log_buf: Vec<u8>,
    /// Id of the client whose command runs, 0: none.
    pub client_id: u64,
    /// The same client, if it tracks what it reads.
    pub tracker: Option<Arc<Client>>,
    /// Randomness.
    pub rng: SmallRng,
    /// Decoder's scratch.
    pub scratch: DecodeScratch,
    /// Unix ms, read once for each batch of commands.
    pub now_ms: i64,
    /// Sizes for handlers, as configured.
    pub limits: Limits,
    /// Limits of the protocol, as configured.
    pub decode_limits: DecodeLimits,
    /// How accesses are noted, as configured.
    pub access: AccessPolicy,
    /// `maxmemory`, 0 for none.
    pub maxmemory: u64,
    /// `tracking-table-max-keys`, 0 for any number.
    pub tracking_max_keys: usize,
    /// `import-mode`.
    pub import_mode: bool,
    /// The client whose command runs has called CLIENT IMPORT-SOURCE, and it counts.
    pub import_source: bool,
    /// The command that runs comes from a migration of slots: the source decides what expires.
    pub imports_slots: bool,
    /// Errors that were answered since the thread began.
    pub errors: u64,
    /// `maxmemory-policy`.
    pub policy: Policy,
    /// Candidates for eviction.
    pub pool: Pool,
    /// Counters not yet added to the server's.
    pub counters: Counters,
    /// Times commands.
    pub meter: Meter,
    /// Whose commands run.
    pub client: Option<Arc<Client>>,
    /// Cluster mode: who serves which slot.
    pub router: Option<Router>,
    settings_version: Option<u64>,
    /// Between the begin and the end of a batch.
    in_batch: bool,
}

/// What EXEC's commands become in the log.
#[derive(Debug, Default)]
pub struct Transaction {
    /// Database and bytes, in order.
    pub commands: Vec<(u32, Vec<u8>)>,
    /// Number of commands in all: a command may become several.
    pub count: usize,
}

/// Buffers that a huge command made larger than this are given back.
const KEEP_BUFFER: usize = 256 << 10;

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER]);
}

impl Worker {
    /// A worker; `id` is the row of its counters.
    pub fn new(server: Arc<Server>, id: usize) -> Self {
        let router = Router::of(&server);
        let mut w = Self {
            server,
            id,
            source: Source::Clients,
            reply: Reply::new(Vec::with_capacity(16 << 10), Proto::Resp2),
            effects: Effects::default(),
            propagation: Propagation::default(),
            transaction: None,
            written_to: 0,
            logged: false,
            unlogged: false,
            log_buf: Vec::new(),
            client_id: 0,
            tracker: None,
            rng: SmallRng::from_os_rng(),
            scratch: DecodeScratch::new(),
            now_ms: 0,
            limits: Limits::default(),
            decode_limits: DecodeLimits::default(),
            access: AccessPolicy::default(),
            maxmemory: 0,
            tracking_max_keys: 0,
            import_mode: false,
            import_source: false,
            imports_slots: false,
            errors: 0,
            policy: Policy::NoEviction,
            pool: Pool::default(),
            counters: Counters::default(),
            meter: Meter::default(),
            client: None,
            router,
            settings_version: None,
            in_batch: false,
        };
        w.begin_batch();
        w.in_batch = false;
        w
    }

    /// Makes `worker` this thread's.
    pub fn install(worker: Self) {
        WORKER.with_borrow_mut(|w| *w = Some(worker));
    }

    /// Lends this thread's worker and read buffer. Not to be nested.
    ///
    /// # Panics
    /// If none was installed.
    pub fn with<R>(f: impl FnOnce(&mut Self, &mut [u8]) -> R) -> R {
        WORKER.with_borrow_mut(|w| {
            READ.with_borrow_mut(|r| f(w.as_mut().expect("connections run on threads with a worker"), r))
        })
    }

    /// Reads the clock, and the settings if they have changed.
    pub fn begin_batch(&mut self) {
        if std::mem::replace(&mut self.in_batch, true) {
            self.forget();
        }
        self.now_ms = self.server.now_ms();
        self.meter.begin_batch();
        self.refresh();
    }

    /// Reads the settings if they have changed.
    pub fn refresh(&mut self) {
        let version = self.server.settings_version();
        if self.settings_version != Some(version) {
            self.settings_version = Some(version);
            Arc::clone(&self.server).copy_settings(self);
        }
    }

    /// Takes commands from elsewhere from now on.
    pub fn set_source(&mut self, source: Source) {
        self.source = source;
        self.settings_version = None;
        self.refresh();
    }

    /// Counts an error reply.
    pub fn count_error(&mut self, text: &[u8]) {
        self.counters.errors += 1;
        self.errors += 1;
        self.server.stats.note_error(self.id, text);
    }

    /// The last batch has not come to its end: a command panicked, and what it left behind is nobody's.
    fn forget(&mut self) {
        self.reply.clear();
        self.effects.clear();
        self.propagation.clear();
        self.transaction = None;
        self.unlogged = false;
        self.tracker = None;
        self.meter.in_script = false;
        self.meter.resumed = false;
    }

    /// Asks whether somebody wants to know of changes, while the shards that will change are locked.
    #[inline]
    pub fn note_trackers(&mut self) {
        self.effects.want_touched = self.source != Source::Replay && self.server.tracking.is_used();
    }

    /// True between the begin and the end of a batch.
    pub fn in_batch(&self) -> bool {
        self.in_batch
    }

    /// Wakes those who read the log, if there is something new in it.
    pub fn notify_log(&mut self) {
        if std::mem::take(&mut self.logged) {
            self.server.log.notify();
        }
    }

    /// Adds the counters to the server's, and gives back what only a huge command needs.
    pub fn end_batch(&mut self) {
        if std::mem::replace(&mut self.in_batch, false)
            && let Some(nanos) = self.meter.end_batch()
        {
            self.counters.cycles += 1;
            self.counters.cycle_nanos += nanos;
        }
        self.notify_log();
        if self.log_buf.capacity() > KEEP_BUFFER {
            self.log_buf = Vec::new();
        }
        self.propagation.shrink(KEEP_BUFFER);
        self.effects.shrink(KEEP_BUFFER);
        self.server.stats.add(self.id, &mut self.counters);
        memory::publish(self.id);
    }
}
