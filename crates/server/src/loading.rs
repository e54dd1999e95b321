//! Loading an RDB: the server's file at the start and for DEBUG RELOAD, and any stream into any keyspace
//! ([`load_stream`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use holdfast_persistence::rdb::OpenError;
use holdfast_rdb::file::FileError;
use holdfast_storage::keyspace::Locked;
use parking_lot::Mutex;

use crate::commands::scripting::function::read_library;
use crate::saving;
use crate::server::Server;
use crate::worker::Worker;

mod insert;
mod progress;
mod queue;
mod stream;

pub use progress::LoadProgress;
pub(crate) use progress::{Brake, Teller};
pub use stream::{LoadOptions, Loaded, load_locked, load_stream};

/// Why an RDB was not loaded. What had been read before is in the keyspace.
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
    /// A key that is there twice, and where.
    #[error("the file has the key '{0}' twice, at byte {1}")]
    Twice(String, u64),
    /// A library of functions that cannot be loaded, or is there already.
    #[error("a library of functions: {0}")]
    Library(String),
    /// It was told to stop.
    #[error("the load was cancelled")]
    Cancelled,
}

impl From<std::io::Error> for LoadError {
    fn from(error: std::io::Error) -> Self {
        Self::Open(OpenError::Io(error))
    }
}

impl From<insert::Failure> for LoadError {
    fn from(failure: insert::Failure) -> Self {
        failure.error
    }
}

/// What is done with keys that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// There can be none: a file that has a key twice is refused.
    Refuse,
    /// They are replaced.
    Replace,
}

/// The load that is going on, and what the last one took.
#[derive(Debug, Default)]
pub struct Loading {
    current: Mutex<Option<Arc<LoadProgress>>>,
    /// Keys taken by the last load.
    pub keys: AtomicU64,
    /// Keys that it left out because their time was over.
    pub expired: AtomicU64,
    key_delay: Arc<AtomicI64>,
}

impl Loading {
    /// The load that is going on.
    pub fn current(&self) -> Option<Arc<LoadProgress>> {
        self.current.lock().clone()
    }

    /// A load begins: INFO shows it until what is returned is dropped.
    pub fn show(&self, mut progress: LoadProgress) -> Shown<'_> {
        progress.key_delay = Arc::clone(&self.key_delay);
        let progress = Arc::new(progress);
        *self.current.lock() = Some(Arc::clone(&progress));
        Shown {
            loading: self,
            progress,
        }
    }

    /// `key-load-delay`: slows the load that is going on down, and those to come. Microseconds for each key; negative: one for
    /// so many keys.
    pub fn set_key_delay(&self, delay: i64) {
        self.key_delay.store(delay, Ordering::Relaxed);
    }

    /// Has the load that is going on stop.
    pub fn cancel(&self) {
        if let Some(progress) = self.current() {
            progress.cancel();
        }
    }

    /// A load is through.
    pub fn note(&self, loaded: &Loaded) {
        self.keys.store(loaded.keys, Ordering::Relaxed);
        self.expired.store(loaded.expired, Ordering::Relaxed);
    }
}

/// A load that INFO shows.
#[derive(Debug)]
pub struct Shown<'l> {
    loading: &'l Loading,
    /// How far it is.
    pub progress: Arc<LoadProgress>,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let mut current = self.loading.current.lock();
        if current
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, &self.progress))
        {
            *current = None;
        }
    }
}

/// Loads the server's file. `locked`: all shards, if the caller holds them, and its worker; else several threads work. None:
/// there is no file.
///
/// # Errors
/// It is no whole RDB file, or has something that this server cannot hold.
pub fn load(
    server: &Server,
    locked: Option<(&mut Locked<'_>, &mut Worker)>,
    existing: Existing,
) -> Result<Option<Loaded>, LoadError> {
    let path = saving::path(server);
    let fs = &*server.saving.fs;
    let mut file = match fs.open_whole(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let shown = server
        .loading
        .show(LoadProgress::new(server.now_ms(), fs.len(&path)?));
    let progress = &*shown.progress;
    tracing::info!(file = %path.display(), "Loading DB in memory");
    let options = LoadOptions {
        existing,
        keep_expired: server.replication.is_replica(),
        log: (locked.is_none() && !server.replication.is_replica()).then(|| Arc::clone(&server.log)),
        ..LoadOptions::new(server)
    };
    let loaded = match locked {
        None => load_stream(&mut file, &server.keyspace, &options, progress)?,
        Some((locked, w)) => load_locked(&mut file, locked, &mut w.effects, &options, progress)?,
    };
    // What is behind the end of the data is nobody's; but an encrypted file is genuine to its last byte, or refused.
    std::io::copy(&mut file, &mut std::io::sink())?;
    install_libraries(server, &loaded.functions, existing)?;
    server.loading.note(&loaded);
    tracing::info!(
        "Done loading RDB, keys loaded: {}, keys expired: {}, empty keys skipped: {}.",
        loaded.keys,
        loaded.expired,
        loaded.empty
    );
    tracing::info!("DB loaded from disk: {:.3} seconds", progress.seconds());
    Ok(Some(loaded))
}

/// Adds the libraries of functions of an RDB to the server's.
///
/// # Errors
/// One of them cannot be loaded, or is there already; those before it are there.
pub fn install_libraries(
    server: &Server,
    libraries: &[Vec<u8>],
    existing: Existing,
) -> Result<(), LoadError> {
    for code in libraries {
        let library = read_library(server, code).map_err(|e| LoadError::Library(e.0))?;
        let mut change = server.scripts.libraries.change();
        change
            .set
            .add(library, existing == Existing::Replace)
            .map_err(|e| LoadError::Library(e.to_string()))?;
        change.commit(|| {});
    }
    Ok(())
}

#[cfg(test)]
mod tests;
