//! RDB files of this server: when they are written, and what is known of the last ones.
//!
//! A save is a cut, a walk and a file ([`holdfast_persistence::rdb`]); it runs on a thread of its own while everybody
//! works on. One runs at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_persistence::fs::Fs;
use holdfast_persistence::rdb::{self, SaveError, Watcher};
use holdfast_rdb::file::{Clocks, FileWriter};
use holdfast_storage::evict::Policy;
use holdfast_storage::keyspace::{Locked, ShardSet};
use holdfast_storage::snapshot::Walker;
use parking_lot::Mutex;

use crate::config::Param;
use crate::memory;
use crate::server::{REDIS_VERSION, SAVER_ROW, Server, VERSION};

/// After a save that failed, the next one by a save point comes no sooner.
const RETRY_S: i64 = 5;

/// What is known of saves.
#[derive(Debug)]
pub struct Saving {
    /// Where files are.
    pub fs: Arc<dyn Fs>,
    /// A save runs.
    running: AtomicBool,
    /// It runs behind the clients' backs (BGSAVE), since when.
    background: Mutex<Option<Instant>>,
    /// Keys of the running save: done, and at the cut.
    keys_done: AtomicU64,
    keys_total: AtomicU64,
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
    /// Told to stop: the server ends without waiting for it.
    cancelled: AtomicBool,
    /// The server ends, and what is not saved yet is to be saved when everybody has stopped.
    save_at_end: AtomicBool,
    /// Keys of the file that was loaded last: taken, and left out because their time was over.
    pub loaded: AtomicU64,
    /// See there.
    pub load_expired: AtomicU64,
}

impl Saving {
    /// Nothing has been saved yet; the start counts as a save, as in Redis.
    pub fn new(now_ms: i64) -> Self {
        Self {
            #[cfg(not(test))]
            fs: Arc::new(holdfast_persistence::fs::RealFs),
            // Unit tests run in the folder of the sources.
            #[cfg(test)]
            fs: Arc::new(holdfast_persistence::fs::MemoryFs::new()),
            running: AtomicBool::new(false),
            background: Mutex::new(None),
            keys_done: AtomicU64::new(0),
            keys_total: AtomicU64::new(0),
            scheduled: AtomicBool::new(false),
            last_save_s: AtomicI64::new(now_ms / 1000),
            last_try_s: AtomicI64::new(0),
            last_failed: AtomicBool::new(false),
            last_took_s: AtomicI64::new(-1),
            saves: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            save_at_end: AtomicBool::new(false),
            loaded: AtomicU64::new(0),
            load_expired: AtomicU64::new(0),
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

    /// How long a background save has been running.
    pub fn background_for(&self) -> Option<Duration> {
        self.background.lock().map(|since| since.elapsed())
    }

    /// Keys of the running save: done and in all; zeros if none runs.
    pub fn keys(&self) -> (u64, u64) {
        if !self.running.load(Ordering::Relaxed) {
            return (0, 0);
        }
        (
            self.keys_done.load(Ordering::Relaxed),
            self.keys_total.load(Ordering::Relaxed),
        )
    }

    /// The right to save; None while a save runs.
    pub fn claim(self: &Arc<Self>) -> Option<Claim> {
        if self.running.swap(true, Ordering::AcqRel) {
            return None;
        }
        self.keys_done.store(0, Ordering::Relaxed);
        self.keys_total.store(0, Ordering::Relaxed);
        Some(Claim(Arc::clone(self)))
    }

    /// Has the running save stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// The right to save, given back when dropped.
#[derive(Debug)]
pub struct Claim(Arc<Saving>);

impl Drop for Claim {
    fn drop(&mut self) {
        *self.0.background.lock() = None;
        self.0.running.store(false, Ordering::Release);
    }
}

/// Follows a save.
struct Progress<'a> {
    server: &'a Server,
}

impl Watcher for Progress<'_> {
    fn keys(&self, done: u64) -> bool {
        let saving = &self.server.saving;
        saving.keys_done.store(done, Ordering::Relaxed);
        !saving.cancelled.load(Ordering::Relaxed)
    }

    fn delay(&self) -> Duration {
        key_delay(self.server)
    }
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
    *server.saving.background.lock() = Some(Instant::now());
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
                Err(error) => tracing::warn!(error, "Background saving error"),
            }
            saving.last_failed.store(saved.is_err(), Ordering::Relaxed);
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
    made.recv().map_err(|_| {
        "Another snapshot is under way: can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE \
         whenever possible."
    })?;
    tracing::info!("Background saving started");
    Ok(())
}

/// Saves the data as they are now; `cut_made` is called when later changes do not count any more. No lock may be held.
///
/// # Errors
/// The text is for the log. The old file is as it was.
pub fn save(server: &Server, _claim: &Claim, cut_made: impl FnOnce()) -> Result<(), String> {
    let saving = &server.saving;
    let began = Instant::now();
    saving.last_try_s.store(server.now_ms() / 1000, Ordering::Relaxed);
    let (walker, file, dirty) = {
        let mut locked = server.keyspace.lock(&ShardSet::All);
        let Some(walker) = Walker::begin(&mut locked) else {
            return Err("another snapshot is under way".into());
        };
        let dirty = server.totals().dirty;
        (walker, begin_file(server, &mut locked), dirty)
    };
    cut_made();
    let watcher = Progress { server };
    let saved = rdb::save(&*saving.fs, &path(server), &temporary(), walker, file, &watcher);
    match saved {
        Ok(bytes) => {
            note_saved(server, dirty);
            tracing::info!(bytes, seconds = began.elapsed().as_secs_f64(), "DB saved on disk");
            Ok(())
        }
        Err(SaveError::Io(error)) => {
            tracing::warn!("Write error saving DB on disk: {error}");
            Err(error.to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The same while all shards are locked by the caller.
///
/// # Errors
/// As [`save`].
pub fn save_locked(server: &Server, locked: &mut Locked<'_>) -> Result<(), String> {
    let file = begin_file(server, locked);
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

/// What stands before the keys.
fn begin_file(server: &Server, locked: &mut Locked<'_>) -> FileWriter {
    let policy = server.policy();
    let clocks = Clocks {
        now_ms: server.now_ms(),
        lfu: policy.is_lfu(),
        lfu_decay_minutes: server.config.int(Param::LfuDecayTime) as u32,
        lru: matches!(policy, Policy::AllKeysLru | Policy::VolatileLru),
    };
    let config = &server.config;
    let mut file = FileWriter::new(
        config.flag(Param::Rdbcompression),
        config.flag(Param::Rdbchecksum),
        server.keyspace.has_timed_hashes(),
        clocks,
    );
    file.aux("redis-ver", REDIS_VERSION.as_bytes());
    file.aux("redis-bits", usize::BITS.to_string().as_bytes());
    file.aux("ctime", (clocks.now_ms / 1000).to_string().as_bytes());
    file.aux("used-mem", memory::used().to_string().as_bytes());
    file.aux("aof-base", b"0");
    file.aux("holdfast-ver", VERSION.as_bytes());
    for library in server.scripts.libraries.get().iter() {
        file.function(&library.code);
    }
    let mut total = 0;
    for db in 0..locked.keyspace().databases() {
        let (mut keys, mut expiring) = (0, 0);
        for (_, shard) in locked.each() {
            let table = &shard.dbs[db as usize].table;
            keys += table.len() as u64;
            expiring += table.volatile_len() as u64;
        }
        if keys > 0 {
            file.resize(db, keys, expiring);
        }
        total += keys;
    }
    server.saving.keys_total.store(total, Ordering::Relaxed);
    file
}

/// `rdb-key-save-delay`; spread over many keys if it is negative.
fn key_delay(server: &Server) -> Duration {
    match server.config.int(Param::RdbKeySaveDelay) {
        us @ 0.. => Duration::from_micros(us as u64),
        keys => Duration::from_nanos(1000 / keys.unsigned_abs().max(1)),
    }
}

/// Once a second: saves that are due.
pub fn cron(server: &Arc<Server>) {
    let saving = &server.saving;
    if server.is_loading() || saving.running.load(Ordering::Relaxed) {
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
    if let Some(claim) = saving.claim() {
        let _logged = begin_in_background(server, claim);
    }
}

/// Before the end: saves if somebody asked for it, or if there are save points. Others are held back meanwhile.
///
/// # Errors
/// The save failed; the server goes on.
pub fn save_before_end(server: &Server, save_asked: Option<bool>) -> Result<(), String> {
    let wanted = save_asked.unwrap_or_else(|| !server.config.save_points().is_empty());
    server.saving.cancel();
    if !wanted || server.is_loading() {
        return Ok(());
    }
    server.pause(i64::MAX / 2, crate::server::PauseMode::All);
    tracing::warn!("Saving the final RDB snapshot before exiting.");
    let claim = loop {
        // The running one, which was told to stop, does so at its next slice.
        match server.saving.claim() {
            Some(claim) => break claim,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    server.saving.cancelled.store(false, Ordering::Relaxed);
    let saved = save(server, &claim, || {});
    if saved.is_err() {
        tracing::warn!("Error trying to save the DB, can't exit.");
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
        && let Some(claim) = server.saving.claim()
    {
        let _logged = save(server, &claim, || {});
    }
}
