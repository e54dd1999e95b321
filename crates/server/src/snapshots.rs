//! Who walks the data: one walk at a time, whatever it is for, and the cut with which each begins.
//!
//! A cut holds every shard for a moment: what is in the data then, the place in the log, and the functions belong together.
//! So a file that holds the data, followed by the log from that place on, is everything.
//!
//! Must not know: where the bytes go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_persistence::rdb::Watcher;
use holdfast_rdb::file::{Clocks, FileWriter};
use holdfast_replication::Content;
use holdfast_storage::evict::Policy;
use holdfast_storage::keyspace::{Locked, ShardSet};
use holdfast_storage::snapshot::Walker;
use parking_lot::{Condvar, Mutex};

use crate::config::Param;
use crate::images::Images;
use crate::memory;
use crate::server::{REDIS_VERSION, Server, VERSION};

/// The log is told of a walk's progress so often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What a walk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// SAVE, or the end of the server: somebody waits for it.
    Save,
    /// BGSAVE, or a save point.
    BackgroundSave,
    /// The base of the append-only file.
    Rewrite,
    /// A replica's full synchronization.
    FullSync,
    /// Slots that migrate to another node.
    SlotMigration,
}

/// The one walk that there may be.
#[derive(Debug, Default)]
pub struct Snapshots {
    running: Mutex<Option<(Purpose, Instant)>>,
    over: Condvar,
    keys_done: AtomicU64,
    keys_total: AtomicU64,
    cancelled: AtomicBool,
    told: Mutex<Option<Instant>>,
    /// What writers leave for the walk.
    pub images: Images,
    /// The most that the images of the last save took, in bytes, ...
    pub last_save_images: AtomicU64,
    /// ... and those of the last rewrite.
    pub last_rewrite_images: AtomicU64,
}

/// The right to walk, given back when dropped.
#[derive(Debug)]
pub struct Claim(Arc<Snapshots>);

impl Drop for Claim {
    fn drop(&mut self) {
        let bytes = self.0.images.end();
        let mut running = self.0.running.lock();
        match running.take() {
            Some((Purpose::Rewrite, _)) => self.0.last_rewrite_images.store(bytes, Ordering::Relaxed),
            Some((
                Purpose::Save | Purpose::BackgroundSave | Purpose::FullSync | Purpose::SlotMigration,
                _,
            )) => {
                self.0.last_save_images.store(bytes, Ordering::Relaxed);
            }
            None => {}
        }
        drop(running);
        self.0.over.notify_all();
    }
}

impl Snapshots {
    /// The right to walk; None while somebody else does.
    pub fn claim(self: &Arc<Self>, purpose: Purpose) -> Option<Claim> {
        let mut running = self.running.lock();
        if running.is_some() {
            return None;
        }
        Some(self.begin(&mut running, purpose))
    }

    /// The same, as soon as the running walk is over; blocks this thread. `ask_to_stop`: it is told to stop.
    pub fn claim_in_turn(self: &Arc<Self>, purpose: Purpose, ask_to_stop: bool) -> Claim {
        let mut running = self.running.lock();
        while running.is_some() {
            if ask_to_stop {
                self.cancel();
            }
            self.over.wait(&mut running);
        }
        self.begin(&mut running, purpose)
    }

    fn begin(self: &Arc<Self>, running: &mut Option<(Purpose, Instant)>, purpose: Purpose) -> Claim {
        *running = Some((purpose, Instant::now()));
        *self.told.lock() = Some(Instant::now());
        self.keys_done.store(0, Ordering::Relaxed);
        self.keys_total.store(0, Ordering::Relaxed);
        self.cancelled.store(false, Ordering::Relaxed);
        Claim(Arc::clone(self))
    }

    /// What the running walk is for, and since when it runs.
    pub fn running(&self) -> Option<(Purpose, Duration)> {
        let running = *self.running.lock();
        running.map(|(purpose, since)| (purpose, since.elapsed()))
    }

    /// How long a walk for one of these purposes has been running.
    pub fn running_for(&self, purposes: &[Purpose]) -> Option<Duration> {
        let (purpose, time) = self.running()?;
        purposes.contains(&purpose).then_some(time)
    }

    /// Keys of the running walk: done and in all; zeros if none runs.
    pub fn keys(&self) -> (u64, u64) {
        if self.running.lock().is_none() {
            return (0, 0);
        }
        (
            self.keys_done.load(Ordering::Relaxed),
            self.keys_total.load(Ordering::Relaxed),
        )
    }

    /// Tells the log once a second how far the walk is.
    fn tell(&self, done: u64) {
        let mut told = self.told.lock();
        if told.is_some_and(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            let total = self.keys_total.load(Ordering::Relaxed);
            let percent = 100.0 * done as f64 / total.max(done).max(1) as f64;
            tracing::info!("Saving DB: {percent:.1}%, {done} keys");
        }
    }

    /// Whether the running walk is told to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Tells the running walk to stop, if it makes the base of the append-only file.
    pub fn cancel_rewrite(&self) {
        if matches!(*self.running.lock(), Some((Purpose::Rewrite, _))) {
            self.cancel();
        }
    }

    /// Tells the running walk to stop; it does so at its next slice.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Another walk holds the images of this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another snapshot is under way")]
pub struct UnderWay;

/// The beginning of a walk.
#[derive(Debug)]
pub struct Cut<'k> {
    /// Walks the data as they are at the cut.
    pub walker: Walker<'k>,
    /// A file with everything that stands before the keys.
    pub file: FileWriter,
    /// Place in the log: what lies before it is in the data.
    pub offset: u64,
    /// The database that must be selected before the log is read on from there, unless the log says so itself.
    pub selected: Option<u32>,
    /// The code of the functions.
    pub libraries: Vec<Vec<u8>>,
    /// Number of changes up to here, as [`crate::stats::Counters::dirty`] counts them.
    pub dirty: u64,
}

/// What is said about a file in its first lines, beside what every file says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notes {
    /// It is the base of an append-only file.
    pub aof_base: bool,
    /// What it is to hold. Whoever wants less than all does not walk.
    pub content: Content,
    /// Offset of the log, and the database that is selected there.
    pub place: Option<(u64, u32)>,
}

/// Makes a cut. No lock may be held.
///
/// # Errors
/// See [`UnderWay`]: the images of an earlier walk are still wanted.
pub fn cut<'k>(server: &'k Server, claim: &Claim, notes: Notes) -> Result<Cut<'k>, UnderWay> {
    cut_then(server, claim, notes, |_, _| {})
}

/// The same; `at_cut` is told the place in the log, and what must be selected there, while nothing can be appended.
///
/// # Errors
/// As [`cut`]; then `at_cut` is not called.
pub fn cut_then<'k>(
    server: &'k Server,
    _claim: &Claim,
    notes: Notes,
    at_cut: impl FnOnce(u64, Option<u32>),
) -> Result<Cut<'k>, UnderWay> {
    let mut locked = server.keyspace.lock(&ShardSet::All);
    let walker = Walker::begin(&mut locked).ok_or(UnderWay)?;
    server.snapshots.images.begin(server, walker.cut());
    let dirty = server.totals().dirty;
    // Functions are logged without shards being locked: they stand still as well.
    let libraries = server.scripts.libraries.change();
    let (offset, selected) = server.log.cut();
    let notes = Notes {
        place: (!notes.aof_base).then_some((offset, selected.unwrap_or(0))),
        ..notes
    };
    at_cut(offset, selected);
    let file = begin_file(server, &mut locked, &libraries.set, notes);
    Ok(Cut {
        walker,
        file,
        offset,
        selected,
        libraries: libraries.set.iter().map(|library| library.code.clone()).collect(),
        dirty,
    })
}

/// What stands before the keys, while all shards are locked.
pub fn begin_file(
    server: &Server,
    locked: &mut Locked<'_>,
    libraries: &crate::scripting::libraries::LibrarySet,
    notes: Notes,
) -> FileWriter {
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
        server
            .keyspace
            .has_timed_hashes()
            .then(|| config.rdb_dialect().into()),
        clocks,
    );
    file.aux("redis-ver", REDIS_VERSION.as_bytes());
    file.aux("redis-bits", usize::BITS.to_string().as_bytes());
    file.aux("ctime", (clocks.now_ms / 1000).to_string().as_bytes());
    file.aux("used-mem", memory::used().to_string().as_bytes());
    // As 7.0.15: a server that has never had a replica has no history that anybody could go on with.
    let replication = &server.replication;
    let is_known = replication.is_replica() || replication.primary.has_backlog();
    if let Some((offset, db)) = notes.place.filter(|_| is_known) {
        file.aux("repl-stream-db", db.to_string().as_bytes());
        file.aux("repl-id", replication.history().id().as_str().as_bytes());
        file.aux("repl-offset", offset.to_string().as_bytes());
    }
    file.aux("aof-base", if notes.aof_base { b"1" } else { b"0" });
    file.aux("holdfast-ver", VERSION.as_bytes());
    if notes.content == Content::Nothing {
        return file;
    }
    for library in libraries.iter() {
        file.function(&library.code);
    }
    if notes.content == Content::Functions {
        return file;
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
    server.snapshots.keys_total.store(total, Ordering::Relaxed);
    file
}

/// Follows a walk for INFO, and stops it when it is told to.
#[derive(Debug)]
pub struct Progress<'a>(pub &'a Server);

impl Watcher for Progress<'_> {
    fn keys(&self, done: u64) -> bool {
        let snapshots = &self.0.snapshots;
        snapshots.keys_done.store(done, Ordering::Relaxed);
        snapshots.tell(done);
        !snapshots.cancelled.load(Ordering::Relaxed)
    }

    /// `rdb-key-save-delay`; spread over many keys if it is negative.
    fn delay(&self) -> Duration {
        match self.0.config.int(Param::RdbKeySaveDelay) {
            us @ 0.. => Duration::from_micros(us as u64),
            keys => Duration::from_nanos(1000 / keys.unsigned_abs().max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_walk_at_a_time() {
        let snapshots = Arc::new(Snapshots::default());
        let claim = snapshots.claim(Purpose::Rewrite).expect("nobody else walks");
        assert!(snapshots.claim(Purpose::Save).is_none());
        assert!(snapshots.running_for(&[Purpose::Rewrite]).is_some());
        assert!(
            snapshots
                .running_for(&[Purpose::Save, Purpose::FullSync])
                .is_none()
        );
        let other = Arc::clone(&snapshots);
        let waiting = std::thread::spawn(move || {
            let claim = other.claim_in_turn(Purpose::Save, true);
            assert!(
                !other.cancelled.load(Ordering::Relaxed),
                "that was for the one before"
            );
            drop(claim);
        });
        while !snapshots.cancelled.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        drop(claim);
        waiting.join().expect("its assertion holds");
        assert!(snapshots.running().is_none());
    }
}
