//! Loading an RDB file into the keyspace: at the start, and for DEBUG RELOAD.

use std::sync::atomic::Ordering;
use std::time::Instant;

use holdfast_persistence::rdb::{self, OpenError};
use holdfast_rdb::file::{FileError, Item, Record};
use holdfast_storage::access;
use holdfast_storage::data::{Data, OnExpired};
use holdfast_storage::keyspace::Locked;

use crate::commands::scripting::function::read_library;
use crate::config::Param;
use crate::memory;
use crate::saving;
use crate::server::Server;
use crate::worker::Worker;

/// Keys after which the figures of memory are published.
const PUBLISH_EVERY: u64 = 1024;

/// Why a file was not loaded. What had been read before is in the keyspace.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// See there.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// See there.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key of a database that this server does not have.
    #[error("the file has a database {0}, and `databases` is {1}")]
    Database(u32, u32),
    /// A key that is there twice.
    #[error("the file has the key '{0}' twice")]
    Twice(String),
    /// A library of functions that cannot be loaded, or is there already.
    #[error("a library of functions: {0}")]
    Library(String),
}

/// What is done with keys that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// There can be none.
    Refuse,
    /// They are replaced.
    Replace,
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loaded {
    /// Keys taken.
    pub keys: u64,
    /// Keys left out because their time was over.
    pub expired: u64,
    /// Keys left out because their collections had no elements.
    pub empty: u64,
}

/// Loads the server's file. `locked`: all shards, if the caller holds them; else each key's shard is locked for it. None:
/// there is no file.
///
/// # Errors
/// It is no whole RDB file, or has something that this server cannot hold.
pub fn load(
    server: &Server,
    w: &mut Worker,
    mut locked: Option<&mut Locked<'_>>,
    existing: Existing,
) -> Result<Option<Loaded>, LoadError> {
    let began = Instant::now();
    let path = saving::path(server);
    let check = server.config.flag(Param::Rdbchecksum) && !server.skip_checksum.load(Ordering::Relaxed);
    let Some(mut file) = rdb::open(&*server.saving.fs, &path, &w.limits.rdb(), check)? else {
        return Ok(None);
    };
    tracing::info!(file = %path.display(), version = file.version(), "Loading DB in memory");
    let mut loaded = Loaded::default();
    // Nobody is told of each key that comes back.
    let mask = std::mem::replace(&mut w.effects.event_mask, 0);
    let result = loop {
        match file.next_item() {
            Ok(None) => break Ok(()),
            Ok(Some(item)) => {
                if let Err(error) = take(server, w, &mut locked, existing, item, &mut loaded) {
                    break Err(error);
                }
            }
            Err(error) => break Err(error.into()),
        }
        if loaded.keys.is_multiple_of(PUBLISH_EVERY) {
            memory::publish(w.id);
        }
    };
    w.effects.event_mask = mask;
    result?;
    server.saving.loaded.store(loaded.keys, Ordering::Relaxed);
    server
        .saving
        .load_expired
        .store(loaded.expired, Ordering::Relaxed);
    tracing::info!(
        "Done loading RDB, keys loaded: {}, keys expired: {}, empty keys skipped: {}.",
        loaded.keys,
        loaded.expired,
        loaded.empty
    );
    tracing::info!(
        "DB loaded from disk: {:.3} seconds",
        began.elapsed().as_secs_f64()
    );
    Ok(Some(loaded))
}

fn take(
    server: &Server,
    w: &mut Worker,
    locked: &mut Option<&mut Locked<'_>>,
    existing: Existing,
    item: Item,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let record = match item {
        Item::Aux(name, value) => {
            note(&name, &value);
            return Ok(());
        }
        Item::Resize { .. } => return Ok(()),
        Item::Function(code) => return add_library(server, &code, existing),
        Item::Record(record) => record,
    };
    let databases = server.keyspace.databases();
    if record.db >= databases {
        return Err(LoadError::Database(record.db, databases));
    }
    match locked {
        Some(locked) => insert(w, locked, existing, record, loaded),
        None => {
            let shard = server.keyspace.shard_of(server.keyspace.hash(&record.key).slot);
            insert(w, &mut server.keyspace.lock_one(shard), existing, record, loaded)
        }
    }
}

fn add_library(server: &Server, code: &[u8], existing: Existing) -> Result<(), LoadError> {
    let library = read_library(server, code).map_err(|e| LoadError::Library(e.0))?;
    let mut change = server.scripts.libraries.change();
    change
        .set
        .add(library, existing == Existing::Replace)
        .map_err(|e| LoadError::Library(e.to_string()))?;
    change.commit(|| {});
    Ok(())
}

fn insert(
    w: &mut Worker,
    locked: &mut Locked<'_>,
    existing: Existing,
    record: Record,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let Some(value) = record.value else {
        tracing::info!(key = %record.key.escape_ascii(), "skipping an empty key");
        loaded.empty += 1;
        return Ok(());
    };
    let now_ms = w.now_ms;
    if record.expire_at_ms.is_some_and(|at| at < now_ms) {
        loaded.expired += 1;
        return Ok(());
    }
    let lfu = w.access.lfu;
    let mut data = Data::new(locked, record.db, now_ms, &mut w.effects, &mut w.rng);
    data.access = w.access;
    data.on_expired = OnExpired::Ignore;
    if existing == Existing::Refuse && data.exists(&record.key) {
        return Err(LoadError::Twice(record.key.escape_ascii().to_string()));
    }
    data.put(record.db, &record.key, value, record.expire_at_ms);
    let clock = if lfu {
        record.freq.map(|freq| access::lfu_clock(now_ms, freq))
    } else {
        record.idle_s.map(|idle| access::lru_clock_idle(now_ms, idle))
    };
    if let Some(clock) = clock {
        data.set_access(&record.key, clock);
    }
    loaded.keys += 1;
    Ok(())
}

/// Says what a file's notes say about its origin.
fn note(name: &[u8], value: &[u8]) {
    let text = String::from_utf8_lossy(value);
    match name {
        b"redis-ver" => tracing::info!("Loading RDB produced by version {text}"),
        b"valkey-ver" => tracing::info!("Loading RDB produced by Valkey version {text}"),
        b"ctime" => {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |d| d.as_secs() as i64);
            let age = now - text.parse::<i64>().unwrap_or(now);
            tracing::info!("RDB age {} seconds", age.max(0));
        }
        b"used-mem" => {
            let bytes = text.parse::<u64>().unwrap_or(0);
            tracing::info!("RDB memory usage when created {:.2} Mb", bytes as f64 / 1048576.0);
        }
        _ => {}
    }
}
