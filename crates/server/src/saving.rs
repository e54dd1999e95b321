//! RDB files of this server: when they are written, and what is known of the last ones.
//!
//! A save is a cut, a walk and a file ([`crate::snapshots`], [`holdfast_persistence::rdb`]); it runs on a thread of its own
//! while everybody works on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use holdfast_persistence::encryption::EncryptedFs;
use holdfast_persistence::fs::Fs;
use holdfast_persistence::rdb::{self, SaveError};
use holdfast_storage::keyspace::Locked;

use crate::aof::State;
use crate::config::Param;
use crate::memory;
use crate::server::{SAVER_ROW, Server};
use crate::snapshots::{self, Claim, Notes, Progress, Purpose};

/// After a save that failed, the next one by a save point comes no sooner.
const RETRY_S: i64 = 5;

/// Why BGSAVE cannot begin at once.
pub const ANOTHER: &str = "Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order \
                           to schedule a BGSAVE whenever possible.";

/// What is known of saves.
#[derive(Debug)]
pub struct Saving {
    /// Where files are: [`Saving::encryption`].
    pub fs: Arc<dyn Fs>,
    /// What encrypts them, if there are keys.
    pub encryption: Arc<EncryptedFs>,
    /// BGSAVE SCHEDULE waits for its turn.
    pub scheduled: AtomicBool,
    /// Unix seconds of the last good save, or of the start.
    last_save_s: AtomicI64,
    /// Unix seconds of the last attempt.
    last_try_s: AtomicI64,
    /// The last background save failed.
    last_failed: AtomicBool,
    /// How long the last background save took, in seconds; -1: there was none.
    last_took_s: AtomicI64,
    /// Number of good saves.
    saves: AtomicU64,
    /// The server ends, and what is not saved yet is to be saved when everybody has stopped.
    save_at_end: AtomicBool,
}

impl Saving {
    /// Nothing has been saved yet; the start counts as a save, as in Redis.
    pub fn new(now_ms: i64) -> Self {
        #[cfg(not(test))]
        let files = holdfast_persistence::fs::RealFs;
        // Unit tests run in the folder of the sources.
        #[cfg(test)]
        let files = holdfast_persistence::fs::MemoryFs::new();
        let encryption = Arc::new(EncryptedFs::new(Arc::new(files), None));
        Self {
            fs: encryption.clone(),
            encryption,
            scheduled: AtomicBool::new(false),
            last_save_s: AtomicI64::new(now_ms / 1000),
            last_try_s: AtomicI64::new(0),
            last_failed: AtomicBool::new(false),
            last_took_s: AtomicI64::new(-1),
            saves: AtomicU64::new(0),
            save_at_end: AtomicBool::new(false),
        }
    }

    /// Unix time of the last good save in seconds.
    pub fn last_save_s(&self) -> i64 {
        self.last_save_s.load(Ordering::Relaxed)
    }

    /// Whether the last background save failed.
    pub fn last_failed(&self) -> bool {
        self.last_failed.load(Ordering::Relaxed)
    }

    /// Seconds that the last background save took, -1 if there was none.
    pub fn last_took_s(&self) -> i64 {
        self.last_took_s.load(Ordering::Relaxed)
    }

    /// Number of good saves.
    pub fn saves(&self) -> u64 {
        self.saves.load(Ordering::Relaxed)
    }
}

/// Why there is no new file.
#[derive(Debug, thiserror::Error)]
pub enum NotSaved {
    /// The disk failed, or the snapshot was lost: the text is for the log.
    #[error("{0}")]
    Failed(String),
    /// It was told to stop, as the server ends.
    #[error("the save was cancelled")]
    Stopped,
}

/// Number of changes since the last save.
pub fn changes(server: &Server) -> u64 {
    let base = server.stats.dirty_base.load(Ordering::Relaxed);
    u64::try_from(server.totals().dirty as i64 - base).unwrap_or(0)
}

/// The file's name, inside the working directory.
pub fn path(server: &Server) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&server.config.text(Param::Dbfilename)).into_owned())
}

fn temporary() -> PathBuf {
    PathBuf::from(format!("temp-{}.rdb", std::process::id()))
}

/// Begins a background save on a thread of its own and waits for its cut. No lock may be held.
///
/// # Errors
/// No thread can be started, or another snapshot is under way.
pub fn begin_in_background(server: &Arc<Server>, claim: Claim) -> Result<(), String> {
    let (cut, made) = std::sync::mpsc::sync_channel(1);
    let thread = {
        let server = Arc::clone(server);
        std::thread::Builder::new().name("bgsave".into()).spawn(move || {
            let began = Instant::now();
            let saved = save(&server, &claim, || {
                let _asker_waits = cut.send(());
            });
            let saving = &server.saving;
            saving
                .last_took_s
                .store(began.elapsed().as_secs() as i64, Ordering::Relaxed);
            match &saved {
                Ok(()) => tracing::info!("Background saving terminated with success"),
                Err(NotSaved::Failed(error)) => tracing::warn!(error, "Background saving error"),
                Err(NotSaved::Stopped) => tracing::warn!("Background saving was told to stop"),
            }
            match saved {
                Ok(()) => saving.last_failed.store(false, Ordering::Relaxed),
                Err(NotSaved::Failed(_)) => saving.last_failed.store(true, Ordering::Relaxed),
                // Nothing is wrong with the disk: writes are not refused for it.
                Err(NotSaved::Stopped) => {}
            }
            server.note_refusals();
            drop(claim);
            memory::retire(server.threads + SAVER_ROW);
        })
    };
    if let Err(error) = thread {
        tracing::warn!(%error, "Can't save in background");
        return Err("Can't start a thread for the save".into());
    }
    // It ends without a word if the cut was not to be had: another walk is under way.
    made.recv().map_err(|_| ANOTHER)?;
    tracing::info!("Background saving started");
    Ok(())
}

/// Saves the data as they are now; `cut_made` is called when later changes do not count any more. No lock may be held.
///
/// # Errors
/// See [`NotSaved`]. The old file is as it was.
pub fn save(server: &Server, claim: &Claim, cut_made: impl FnOnce()) -> Result<(), NotSaved> {
    let saving = &server.saving;
    let began = Instant::now();
    saving.last_try_s.store(server.now_ms() / 1000, Ordering::Relaxed);
    let cut = snapshots::cut(server, claim, Notes::default()).map_err(|e| NotSaved::Failed(e.to_string()))?;
    cut_made();
    let (walker, file, dirty) = (cut.walker, cut.file, cut.dirty);
    let watcher = Progress(server);
    let saved = rdb::save(&*saving.fs, &path(server), &temporary(), walker, file, &watcher);
    match saved {
        Ok(bytes) => {
            note_saved(server, dirty);
            tracing::info!(bytes, seconds = began.elapsed().as_secs_f64(), "DB saved on disk");
            Ok(())
        }
        Err(SaveError::Io(error)) => {
            tracing::warn!("Write error saving DB on disk: {error}");
            Err(NotSaved::Failed(error.to_string()))
        }
        Err(SaveError::Cancelled) => Err(NotSaved::Stopped),
        Err(error @ SaveError::Snapshot(_)) => Err(NotSaved::Failed(error.to_string())),
    }
}

/// The same while all shards are locked by the caller.
///
/// # Errors
/// As [`save`].
pub fn save_locked(server: &Server, locked: &mut Locked<'_>) -> Result<(), String> {
    let libraries = server.scripts.libraries.get();
    let file = snapshots::begin_file(server, locked, &libraries, Notes::default());
    let mut places = locked_places(locked).into_iter();
    let saved = rdb::save_all(&*server.saving.fs, &path(server), &temporary(), file, |file| {
        let Some((shard, db)) = places.next() else {
            return false;
        };
        holdfast_storage::snapshot::write_all(locked.look(shard), db, file);
        true
    });
    match saved {
        Ok(()) => {
            note_saved(server, server.totals().dirty);
            tracing::info!("DB saved on disk");
            Ok(())
        }
        Err(error) => {
            tracing::warn!("Write error saving DB on disk: {error}");
            Err(error.to_string())
        }
    }
}

/// Shards and databases, the databases one after the other.
fn locked_places(locked: &mut Locked<'_>) -> Vec<(u16, u32)> {
    let shards: Vec<u16> = locked.each().map(|(number, _)| number).collect();
    let databases = locked.keyspace().databases();
    (0..databases)
        .flat_map(|db| shards.iter().map(move |shard| (*shard, db)))
        .collect()
}

fn note_saved(server: &Server, dirty: u64) {
    let saving = &server.saving;
    saving
        .last_save_s
        .store(server.now_ms() / 1000, Ordering::Relaxed);
    saving.saves.fetch_add(1, Ordering::Relaxed);
    server.stats.dirty_base.store(dirty as i64, Ordering::Relaxed);
    saving.last_failed.store(false, Ordering::Relaxed);
    server.note_refusals();
}

/// Once a second: saves that are due.
pub fn cron(server: &Arc<Server>) {
    let saving = &server.saving;
    if server.is_loading() || server.snapshots.running().is_some() {
        return;
    }
    let scheduled = saving.scheduled.swap(false, Ordering::Relaxed);
    let now_s = server.now_ms() / 1000;
    let changes = changes(server);
    let since_save = now_s - saving.last_save_s();
    let may_retry = !saving.last_failed() || now_s - saving.last_try_s.load(Ordering::Relaxed) > RETRY_S;
    let due = server
        .config
        .save_points()
        .into_iter()
        .find(|point| changes >= point.changes.max(1) && since_save > point.seconds as i64);
    if let Some(point) = due.filter(|_| may_retry) {
        tracing::info!(
            "{} changes in {} seconds. Saving...",
            point.changes,
            point.seconds
        );
    } else if !scheduled {
        return;
    }
    if let Some(claim) = server.snapshots.claim(Purpose::BackgroundSave) {
        let _logged = begin_in_background(server, claim);
    }
}

/// Before the end: saves if somebody asked for it, or if there are save points. Others are held back meanwhile.
///
/// # Errors
/// The save failed; the server goes on.
pub fn save_before_end(server: &Server, save_asked: Option<bool>) -> Result<(), String> {
    if server.aof.state() == State::Beginning {
        // Its base is not there yet: what a restart would find is the file of before, or nothing.
        tracing::warn!("Writing initial AOF, can't exit.");
        return Err("the append only file has no base yet".into());
    }
    let wanted = save_asked.unwrap_or_else(|| !server.config.save_points().is_empty());
    server.snapshots.cancel();
    if !wanted || server.is_loading() {
        return Ok(());
    }
    server.pause(i64::MAX / 2, crate::server::PauseMode::All);
    server.replication.set_at_end(true);
    tracing::warn!("Saving the final RDB snapshot before exiting.");
    let claim = server.snapshots.claim_in_turn(Purpose::Save, true);
    let saved = save(server, &claim, || {}).map_err(|e| e.to_string());
    if saved.is_err() {
        tracing::warn!("Error trying to save the DB, can't exit.");
        server.replication.set_at_end(false);
        server.unpause();
    }
    server.saving.save_at_end.store(saved.is_ok(), Ordering::Relaxed);
    saved
}

/// At the very end, when nobody works any more: what was acknowledged between the cut of the last save and the pause
/// is saved as well.
pub fn save_the_rest(server: &Server) {
    if server.saving.save_at_end.load(Ordering::Relaxed)
        && changes(server) > 0
        && let Some(claim) = server.snapshots.claim(Purpose::Save)
    {
        let _logged = save(server, &claim, || {});
    }
}
