//! Loading an RDB from any stream of bytes into any keyspace, on several cores.
//!
//! ```text
//! the caller's thread: reads, sums up, finds where values end  -> batches of raw bytes ->  N threads: decode, insert
//! ```
//!
//! A large value is decoded where it is read: at most one is held. What is on the way is bounded, whatever the stream says.
//!
//! Must not know: sessions, sockets, where the stream comes from.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_rdb::Limits;
use holdfast_rdb::file::{Decoded, FileReader, Item, Raw, RawBatch};
use holdfast_replication::{ReplId, ReplicationLog};
use holdfast_storage::access::AccessPolicy;
use holdfast_storage::data::NewValue;
use holdfast_storage::effects::Effects;
use holdfast_storage::keyspace::{Keyspace, Locked};
use parking_lot::Mutex;

use super::insert::{Counts, Failure, Inserter, Key, Place};
use super::progress::{Brake, LoadProgress, Teller};
use super::queue::{CloseOnPanic, Queue};
use super::{Existing, LoadError};
use crate::memory;
use crate::server::Server;

/// A batch goes on its way with so many bytes, ...
const BATCH_BYTES: usize = 256 << 10;
/// ... or so many keys.
const BATCH_KEYS: usize = 4096;
/// Batches that wait, for each thread that decodes.
const WAITING: usize = 2;
/// More threads than this do not help: one thread reads for all of them.
const MAX_THREADS: usize = 8;

/// How a load is done.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Sizes that decide the encodings.
    pub limits: Limits,
    /// How accesses are noted.
    pub access: AccessPolicy,
    /// The checksum at the end must be right.
    pub check: bool,
    /// What is done with keys that are there already.
    pub existing: Existing,
    /// Keys whose time is over are taken, too: a replica's primary decides when they go.
    pub keep_expired: bool,
    /// A primary's file at the start: if it says where in a history it ends, this log goes on from there, and keys that are
    /// left out are in it as DEL, as replicas that go on from there have them.
    pub log: Option<Arc<ReplicationLog>>,
    /// Unix time in milliseconds.
    pub now_ms: i64,
    /// Threads that decode, 1 at least.
    pub threads: usize,
}

impl LoadOptions {
    /// As the server is configured; for a keyspace in which nothing is.
    pub fn new(server: &Server) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            limits: server.limits().rdb(),
            access: server.access_policy(),
            check: server.checks_files(),
            existing: Existing::Refuse,
            keep_expired: false,
            log: None,
            now_ms: server.now_ms(),
            threads: cores.min(MAX_THREADS),
        }
    }
}

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Keys taken.
    pub keys: u64,
    /// Keys left out because their time was over.
    pub expired: u64,
    /// Keys left out because their collections had no elements.
    pub empty: u64,
    /// Bytes of the RDB.
    pub bytes: u64,
    /// The libraries of functions, which the caller has to install.
    pub functions: Vec<Vec<u8>>,
    /// The note `repl-id`.
    pub repl_id: Option<String>,
    /// The note `repl-offset`.
    pub repl_offset: Option<i64>,
    /// [`LoadOptions::log`] goes on from what these two say.
    pub is_logged: bool,
    /// The note `repl-stream-db`.
    pub repl_stream_db: Option<i32>,
    /// The note `aof-base`: it is the first part of an append-only file.
    pub aof_base: bool,
    /// What was read from the stream behind the end of the RDB.
    pub rest: Vec<u8>,
}

impl Loaded {
    /// The place in a history that the file says it ends at.
    pub fn place(&self) -> Option<(ReplId, u64)> {
        let id = ReplId::parse(self.repl_id.as_ref()?.as_bytes())?;
        // Beyond this, offsets of the protocol could not be counted on.
        const MOST: u64 = u64::MAX / 4;
        let offset = u64::try_from(self.repl_offset?).ok().filter(|o| *o < MOST)?;
        Some((id, offset))
    }
}

/// Loads an RDB from `reader` into `target`, to the end of the RDB: of what follows, no more is asked for than came with it,
/// and that is in [`Loaded::rest`]. Nobody is told of the keys, and nothing is logged.
///
/// # Errors
/// It is no whole RDB, or has something that cannot be held, or the load was cancelled. What had been read before is in
/// `target`.
pub fn load_stream(
    reader: impl Read,
    target: &Keyspace,
    options: &LoadOptions,
    progress: &LoadProgress,
) -> Result<Loaded, LoadError> {
    let file = FileReader::new(reader, &options.limits, options.check)?;
    let shared = Shared {
        target,
        options,
        progress,
        queue: Queue::new(options.threads.max(1) * WAITING),
        logs: AtomicBool::new(false),
        failed: AtomicBool::new(false),
        failure: Mutex::new(None),
    };
    let mut loaded = Loaded::default();
    let read = std::thread::scope(|scope| {
        let spawn = |_| {
            let thread = std::thread::Builder::new().name("load-decode".into());
            thread.spawn_scoped(scope, || shared.decode_all()).ok()
        };
        let threads: Vec<_> = (0..options.threads.max(1)).filter_map(spawn).collect();
        let read = read_all(file, &shared, threads.is_empty(), &mut loaded);
        shared.queue.close();
        for thread in threads {
            match thread.join() {
                Ok(counts) => counts.add_to(&mut loaded),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        read
    });
    // Of several errors the first in the file counts, whoever found it first.
    match shared.failure.into_inner() {
        Some(failure) => Err(failure.error),
        None => read.map(|()| loaded),
    }
}

/// The same into locked shards, which must be all of them, on the caller's thread.
///
/// # Errors
/// As [`load_stream`].
pub fn load_locked(
    reader: impl Read,
    locked: &mut Locked<'_>,
    effects: &mut Effects,
    options: &LoadOptions,
    progress: &LoadProgress,
) -> Result<Loaded, LoadError> {
    let mut file = FileReader::new(reader, &options.limits, options.check)?;
    let (mut loaded, mut teller, mut brake) = (Loaded::default(), Teller::new(), Brake::default());
    let mut inserter = Inserter::new(options, locked.keyspace());
    while let Some(item) = file.next_item()? {
        progress.note_bytes(file.offset());
        if progress.is_cancelled() {
            return Err(LoadError::Cancelled);
        }
        match item {
            Item::Record(record) => {
                inserter.record(Place::Held(locked), effects, file.offset(), record)?;
                progress.add_keys(1);
                brake.key(progress);
            }
            other => note(other, &mut loaded, progress),
        }
        teller.look(progress);
    }
    loaded.bytes = file.offset();
    loaded.rest = file.into_rest().0;
    inserter.counts.add_to(&mut loaded);
    Ok(loaded)
}

/// What the threads of a load share.
struct Shared<'a> {
    target: &'a Keyspace,
    options: &'a LoadOptions,
    progress: &'a LoadProgress,
    queue: Queue<RawBatch>,
    /// Keys that are left out are logged.
    logs: AtomicBool,
    failed: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

/// Reads the file to its end. `alone`: there is no other thread.
fn read_all<R: Read>(
    mut file: FileReader<R>,
    shared: &Shared<'_>,
    alone: bool,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let (options, progress) = (shared.options, shared.progress);
    let (mut own, mut effects) = (Inserter::new(options, shared.target), Effects::default());
    let (mut teller, mut brake) = (Teller::new(), Brake::default());
    let mut batch = shared.queue.empty();
    let mut has_keys = false;
    loop {
        let step = file.next_raw(&mut batch);
        let is_key = matches!(step, Ok(Raw::Kept | Raw::Item(Item::Record(_))));
        let slowed = is_key && brake.key(progress);
        let over = slowed || !matches!(step, Ok(Raw::Kept | Raw::Item(_)));
        if over || batch.bytes() >= BATCH_BYTES || batch.len() >= BATCH_KEYS {
            progress.note_bytes(file.offset());
            teller.look(progress);
            if !std::mem::replace(&mut has_keys, true) {
                shared.begin_log(loaded);
            }
            let full = std::mem::replace(&mut batch, shared.queue.empty());
            shared.send(full, alone, &mut own, &mut effects);
            if shared.failed.load(Ordering::Acquire) {
                // It will be reported.
                break;
            }
            if progress.is_cancelled() {
                return Err(LoadError::Cancelled);
            }
        }
        match step {
            Ok(Raw::Kept) => {}
            Ok(Raw::Item(Item::Record(record))) => {
                if !std::mem::replace(&mut has_keys, true) {
                    shared.begin_log(loaded);
                }
                let offset = file.offset();
                own.logs = shared.logs.load(Ordering::Relaxed);
                if let Err(failure) = own.record(Place::Free, &mut effects, offset, record) {
                    shared.fail(failure);
                    // What stands before it may be wrong, too, and would be the first mistake.
                    shared.send(std::mem::take(&mut batch), alone, &mut own, &mut effects);
                    break;
                }
                progress.add_keys(1);
            }
            Ok(Raw::Item(other)) => note(other, loaded, progress),
            Ok(Raw::End) => {
                loaded.bytes = file.offset();
                loaded.rest = file.into_rest().0;
                break;
            }
            Err(error) => {
                shared.fail(error.into());
                break;
            }
        }
    }
    own.counts.add_to(loaded);
    Ok(())
}

impl Shared<'_> {
    /// What a thread that decodes does.
    fn decode_all(&self) -> Counts {
        let _close = CloseOnPanic(&self.queue);
        let memory = memory::Guest::new();
        let (mut inserter, mut effects) = (Inserter::new(self.options, self.target), Effects::default());
        while let Some(mut batch) = self.queue.pop() {
            self.take(&batch, &mut inserter, &mut effects);
            batch.clear(2 * BATCH_BYTES);
            self.queue.give_back(batch);
            memory.publish();
        }
        inserter.counts
    }

    /// Sends a batch on its way, or takes it at once if nobody else does.
    fn send(&self, batch: RawBatch, alone: bool, own: &mut Inserter<'_, '_>, effects: &mut Effects) {
        if alone {
            self.take(&batch, own, effects);
        } else {
            // A queue that is closed already has lost the thread that took from it: its panic is passed on.
            let _taken = self.queue.push(batch);
        }
    }

    /// What comes before the first key says where the log goes on.
    fn begin_log(&self, loaded: &mut Loaded) {
        if let (Some(log), Some((_, offset))) = (&self.options.log, loaded.place()) {
            log.start_at(offset);
            loaded.is_logged = true;
            self.logs.store(true, Ordering::Release);
        }
    }

    fn take(&self, batch: &RawBatch, inserter: &mut Inserter<'_, '_>, effects: &mut Effects) {
        inserter.logs = self.logs.load(Ordering::Acquire);
        let done = batch.decode(&self.options.limits, |key, raw| {
            let key = Key {
                name: key,
                db: raw.db,
                expire_at_ms: raw.expire_at_ms,
                idle_s: raw.idle_s,
                freq: raw.freq,
            };
            let value = raw.value.map(|value| match value {
                Decoded::Text(text) => NewValue::Text(text),
                Decoded::Value(value) => NewValue::Value(value),
            });
            inserter.insert(Place::Free, effects, raw.offset, &key, value)
        });
        if let Err(failure) = done {
            self.fail(failure);
        }
        effects.clear();
        self.progress.add_keys(batch.len() as u64);
    }

    fn fail(&self, failure: Failure) {
        let mut first = self.failure.lock();
        if first.as_ref().is_none_or(|first| failure.offset < first.offset) {
            *first = Some(failure);
        }
        self.failed.store(true, Ordering::Release);
    }
}

/// Keeps what belongs to no key, and says what a file's notes say about its origin.
fn note(item: Item, loaded: &mut Loaded, progress: &LoadProgress) {
    let (name, value) = match item {
        Item::Aux(name, value) => (name, value),
        Item::Function(code) => return loaded.functions.push(code),
        Item::Resize { .. } | Item::Record(_) => return,
    };
    let text = String::from_utf8_lossy(&value);
    match &name[..] {
        b"redis-ver" => tracing::info!("Loading RDB produced by version {text}"),
        b"valkey-ver" => tracing::info!("Loading RDB produced by Valkey version {text}"),
        b"ctime" => {
            let now_s = progress.began_ms / 1000;
            let age_s = now_s - text.parse::<i64>().unwrap_or(now_s);
            tracing::info!("RDB age {} seconds", age_s.max(0));
        }
        b"used-mem" => {
            let bytes = text.parse::<u64>().unwrap_or(0);
            progress.note_used_mem(bytes);
            tracing::info!("RDB memory usage when created {:.2} Mb", bytes as f64 / 1048576.0);
        }
        b"repl-id" => loaded.repl_id = Some(text.into_owned()),
        b"repl-offset" => loaded.repl_offset = text.parse().ok(),
        b"repl-stream-db" => loaded.repl_stream_db = text.parse().ok(),
        b"aof-base" => loaded.aof_base = text != "0",
        _ => {}
    }
}
