//! The append-only file at the start: its parts into the data, in order, and where writing goes on.
//!
//! Must not know: how a command changes the data ([`crate::apply`]).

use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use holdfast_persistence::aof::{AofDir, AofError, AofReader, PartKind};
use holdfast_resp::Frame;
use holdfast_storage::effects::Effects;
use holdfast_storage::keyspace::Locked;

use super::{OpenError, rewrite};
use crate::apply::{Applier, ApplyError, Source};
use crate::config::{Param, PropagationErrors};
use crate::loading::{self, Brake, Existing, LoadOptions, LoadProgress, Teller, load_locked, load_stream};
use crate::memory;
use crate::server::{LOADER_ROW, Server};

/// Bytes that are read at once.
const READ: usize = 1 << 20;
/// With these bytes an RDB begins.
const RDB_MAGICS: [&[u8]; 2] = [b"REDIS", b"VALKEY"];
/// Length of the longest.
const MAGIC_MAX: u64 = 6;

/// Why the data could not be loaded. The server ends; the files are as they were.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// See there.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The snapshot file, or the base of the append-only file.
    #[error("{0}: {1}")]
    Rdb(PathBuf, loading::LoadError),
    /// A snapshot file without an append-only file.
    #[error(transparent)]
    Snapshot(#[from] loading::LoadError),
    /// A part that cannot be read.
    #[error("{text} {path}: {error}.{hint}")]
    Part {
        /// Redis's words, which scripts look for.
        text: &'static str,
        /// Which part.
        path: PathBuf,
        /// What is wrong, and where.
        error: AofError,
        /// What can be done.
        hint: &'static str,
    },
    /// A command that is none, or that must not fail.
    #[error("{error} reading the append only file {path} before byte {at}")]
    Command {
        /// Which part.
        path: PathBuf,
        /// Bytes read.
        at: u64,
        /// What is wrong.
        error: ApplyError,
    },
    /// The server is to end.
    #[error("the load was cancelled")]
    Cancelled,
    /// The file cannot be written from here on.
    #[error("the append only file cannot be begun: {0}")]
    Begin(String),
}

const REPAIR: &str =
    " Make a backup of your AOF file, then use holdfast check-aof --fix <filename.manifest>.";
const CUT: &str = " You can: 1) Make a backup of your AOF file, then use holdfast check-aof --fix <filename.manifest>. 2) \
                   Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server.";
const NOT_LAST: &str = " The truncated file is not the last one: what follows it cannot be replayed without what it lacks. Restore \
                        the file from a backup or a replica.";

/// Loads what is there, and begins to write if `appendonly` says so. With both kinds of files the append-only file counts;
/// a snapshot alone becomes its first base.
///
/// # Errors
/// See [`StartError`].
pub fn at_start(server: &Arc<Server>) -> Result<(), StartError> {
    if !server.config.flag(Param::Appendonly) {
        load_snapshot(server)?;
        return Ok(());
    }
    let mut dir = server.aof.open_dir(server)?;
    if dir.is_empty() {
        for part in dir.unnamed() {
            tracing::warn!(
                "The append only file has no manifest: {} is not loaded, and left alone",
                part.display()
            );
        }
        if load_snapshot(server)? {
            tracing::warn!(
                "There is a snapshot and no append only file yet: the file begins with what was in the snapshot"
            );
        }
        return rewrite::begin_at_start(server, dir).map_err(StartError::Begin);
    }
    load_parts(server, &dir, None)?;
    // What was left by a rewrite that ended in the middle.
    let begun = dir.remove_history().and_then(|()| dir.begin_increment());
    let begun = begun.map_err(|e| e.to_string()).and_then(|file| {
        server
            .aof
            .note_finished(dir.finished_len().map_err(|e| e.to_string())?);
        // As Redis does: nobody remembers how large the increment was when the base was finished.
        let base = dir.base_len().map_err(|e| e.to_string())?;
        let end = server.log.select_again();
        let reader = server.log.reader(end).ok_or("the log has no end")?;
        server
            .aof
            .start(server, dir, file, reader, None)
            .map_err(|e| e.to_string())?;
        server.aof.rewriting.note_base(base);
        Ok(())
    });
    begun.map_err(StartError::Begin)
}

/// Loads the snapshot file, and with it the place in a primary's history. False: there is none.
fn load_snapshot(server: &Arc<Server>) -> Result<bool, StartError> {
    let primary = &server.replication.primary;
    if !server.replication.is_replica() {
        primary.note_alone(server);
        primary.keep_backlog(server); // it has what is logged of the load
    }
    let loaded = loading::load(server, None, Existing::Refuse)?;
    if let Some(loaded) = &loaded {
        server.replication.restore(server, loaded);
    }
    if !loaded.as_ref().is_some_and(|loaded| loaded.is_logged) && !server.replication.is_replica() {
        primary.drop_backlog(server);
    }
    Ok(loaded.is_some())
}

/// All shards, which the caller holds, and what is to be done when he does not any more.
pub type Held<'h, 'k> = (&'h mut Locked<'k>, &'h mut Effects);

/// Loads all parts of a directory. `held`: the caller holds all shards; else several threads work.
///
/// # Errors
/// See [`StartError`]; what came before is in the data.
pub fn load_parts(server: &Arc<Server>, dir: &AofDir, held: Option<Held<'_, '_>>) -> Result<(), StartError> {
    let began = Instant::now();
    let fs = Arc::clone(dir.fs());
    let parts: Vec<(PathBuf, PartKind)> = dir.parts().collect();
    let mut total = 0;
    for (path, _) in &parts {
        total += fs.len(path).map_err(|e| io_error(path, e))?;
    }
    let shown = server.loading.show(LoadProgress::new(server.now_ms(), total));
    let progress = &*shown.progress;
    let row = server.threads + LOADER_ROW;
    let mut loader = Loader {
        server,
        applier: Applier::new(server, row, Source::Replay),
        progress,
        teller: Teller::new(),
        brake: Brake::default(),
        held,
        before: 0,
        failed: 0,
    };
    for (i, (path, kind)) in parts.iter().enumerate() {
        tracing::info!(file = %path.display(), "Loading the append only file");
        let is_last = i + 1 == parts.len();
        match loader.load_part(dir, path, *kind) {
            Ok(()) => {}
            Err(StartError::Part {
                error: AofError::Truncated { good_to },
                ..
            }) if is_last && server.config.aof_load_truncated() => {
                tracing::warn!(
                    "!!! Warning: short read while loading the AOF file {}!!! AOF loaded anyway because \
                     aof-load-truncated is enabled. It is cut off behind byte {good_to}.",
                    path.display()
                );
                fs.truncate(path, good_to).map_err(|e| io_error(path, e))?;
                loader.applier.forget_transaction();
            }
            Err(error) if is_last => return Err(error),
            Err(error) => return Err(not_last(error)),
        }
        loader.before += fs.len(path).map_err(|e| io_error(path, e))?;
    }
    if let Some((_, effects)) = &mut loader.held {
        effects.ready.append(&mut loader.applier.take_ready());
    }
    if loader.failed > 0 {
        tracing::warn!(
            "{} commands of the append only file failed and were left out",
            loader.failed
        );
    }
    drop(loader);
    memory::publish(row);
    tracing::info!(
        "DB loaded from append only file: {:.3} seconds",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn io_error(path: &Path, error: io::Error) -> StartError {
    StartError::Part {
        text: "Unrecoverable error reading the append only file",
        path: path.to_owned(),
        error: AofError::Io(error),
        hint: "",
    }
}

struct Loader<'a, 'k> {
    server: &'a Arc<Server>,
    applier: Applier,
    progress: &'a LoadProgress,
    teller: Teller,
    brake: Brake,
    held: Option<Held<'a, 'k>>,
    /// Bytes of the parts before.
    before: u64,
    /// Commands that failed.
    failed: u64,
}

impl Loader<'_, '_> {
    fn load_part(&mut self, dir: &AofDir, path: &Path, kind: PartKind) -> Result<(), StartError> {
        let mut file = dir.fs().open(path).map_err(|e| io_error(path, e))?;
        let mut beginning = Vec::new();
        let read = file.by_ref().take(MAGIC_MAX).read_to_end(&mut beginning);
        match read {
            Ok(_) => {}
            // Nothing of it is whole: it had just been made.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(part_error(path, AofError::Truncated { good_to: 0 }));
            }
            Err(error) => return Err(io_error(path, error)),
        }
        let is_rdb = RDB_MAGICS.iter().any(|magic| beginning.starts_with(magic));
        let whole = Cursor::new(beginning).chain(file);
        if !is_rdb {
            return self.load_commands(path, whole, 0);
        }
        if kind == PartKind::Increment {
            let error = AofError::Format {
                at: 0,
                what: "an increment is no snapshot",
            };
            return Err(part_error(path, error));
        }
        let mut file = whole;
        let options = LoadOptions {
            // The commands behind it say when it goes.
            keep_expired: true,
            ..LoadOptions::new(self.server)
        };
        let rdb = |error| StartError::Rdb(path.to_owned(), error);
        let loaded = match &mut self.held {
            None => load_stream(&mut file, &self.server.keyspace, &options, self.progress),
            Some((locked, effects)) => load_locked(&mut file, locked, effects, &options, self.progress),
        };
        let loaded = loaded.map_err(rdb)?;
        loading::install_libraries(self.server, &loaded.functions, Existing::Refuse).map_err(rdb)?;
        self.server.loading.note(&loaded);
        // Files of Redis 4 to 6: commands follow in the same file.
        let rest = Cursor::new(loaded.rest).chain(file);
        self.load_commands(path, rest, loaded.bytes)
    }

    fn load_commands(&mut self, path: &Path, file: impl Read, at: u64) -> Result<(), StartError> {
        let mut reader = AofReader::new(BufReader::with_capacity(READ, file), at);
        loop {
            let mut fatal = None;
            let more = reader.next_commands(|frame| {
                let result = self.apply(frame, path);
                result.map_err(|error| fatal = Some(error)).is_ok() && !self.progress.is_cancelled()
            });
            let at = reader.position();
            if let Some(error) = fatal {
                let path = path.to_owned();
                return Err(StartError::Command { path, at, error });
            }
            if !more.map_err(|e| part_error(path, e))? {
                break;
            }
            self.progress.note_bytes(self.before + at);
            self.teller.look(self.progress);
            if self.progress.is_cancelled() {
                return Err(StartError::Cancelled);
            }
        }
        self.applier.flush();
        // Each part begins in database 0, and ends with what it has begun.
        self.applier.forget_transaction();
        let _exists = self.applier.select(0);
        Ok(())
    }

    /// Applies a command. The error ends the load.
    fn apply(&mut self, frame: Frame<'_>, path: &Path) -> Result<(), ApplyError> {
        const TOLD: u64 = 10;
        let applied = match &mut self.held {
            None => self.applier.command(frame, &[]),
            Some((locked, _)) => self.applier.command_held(frame, locked),
        };
        self.brake.key(self.progress);
        match applied {
            Ok(()) => Ok(()),
            Err(error @ (ApplyError::Unknown(_) | ApplyError::TooLong | ApplyError::Stopped)) => Err(error),
            Err(error @ ApplyError::Failed { .. }) => {
                self.failed += 1;
                if self.failed <= TOLD {
                    tracing::warn!(
                        "== CRITICAL == This server is sending an error to its AOF-loading-client: {error} ({})",
                        path.display()
                    );
                }
                match self.server.config.propagation_error_behavior() {
                    PropagationErrors::Ignore | PropagationErrors::PanicOnReplicas => Ok(()),
                    PropagationErrors::Panic => Err(error),
                }
            }
        }
    }
}

/// Of a file that others follow nothing may be left out.
fn not_last(error: StartError) -> StartError {
    match error {
        StartError::Part {
            text,
            path,
            error: error @ AofError::Truncated { .. },
            ..
        } => StartError::Part {
            text,
            path,
            error,
            hint: NOT_LAST,
        },
        other => other,
    }
}

fn part_error(path: &Path, error: AofError) -> StartError {
    let (text, hint) = match &error {
        AofError::Truncated { .. } => ("Unexpected end of file reading the append only file", CUT),
        AofError::Format { .. } => ("Bad file format reading the append only file", REPAIR),
        AofError::Io(_) => ("Unrecoverable error reading the append only file", ""),
    };
    StartError::Part {
        text,
        path: path.to_owned(),
        error,
        hint,
    }
}
