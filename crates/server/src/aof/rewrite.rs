//! A new base: a snapshot takes the place of everything before it. By BGREWRITEAOF, by itself when the file has grown, and
//! when the file is turned on.
//!
//! ```text
//! cut (all shards held for a moment): the writer ends the increment there, and begins the next
//! walk -> temporary base, synced
//! manifest: the new base and the increments since the cut; the old files are removed
//! ```

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use holdfast_persistence::aof::{AofDir, write_commands};
use holdfast_persistence::rdb;
use holdfast_replication::Content;
use parking_lot::Mutex;

use super::{Aof, Rotation, State};
use crate::config::Param;
use crate::memory;
use crate::server::{SAVER_ROW, Server};
use crate::snapshots::{self, Claim, Cut, Notes, Progress, Purpose};

/// What stands in a base.
const BASE: Notes = Notes {
    aof_base: true,
    content: Content::All,
    place: None,
};
/// After so many failures in a row, a rewrite does not begin by itself for a while.
const FAILURES: u64 = 3;
/// The longest such while, in minutes.
const MOST_MINUTES: u64 = 60;

/// What is known of rewrites.
#[derive(Debug)]
pub struct Rewriting {
    /// One is to begin when it can.
    pub scheduled: AtomicBool,
    last_failed: AtomicBool,
    last_took_s: AtomicI64,
    /// How many began.
    pub rewrites: AtomicU64,
    failures: AtomicU64,
    not_before_ms: AtomicI64,
    /// Size of the file after the last one, or at the start.
    base_size: AtomicU64,
    /// One that CONFIG SET has begun, until who did it has waited for it.
    begun: Mutex<Option<Begun>>,
}

impl Default for Rewriting {
    fn default() -> Self {
        Self {
            scheduled: AtomicBool::new(false),
            last_failed: AtomicBool::new(false),
            last_took_s: AtomicI64::new(-1),
            rewrites: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            not_before_ms: AtomicI64::new(0),
            base_size: AtomicU64::new(0),
            begun: Mutex::new(None),
        }
    }
}

impl Rewriting {
    /// The last one failed.
    pub fn last_failed(&self) -> bool {
        self.last_failed.load(Ordering::Relaxed)
    }

    /// Seconds that the last one took, -1 if there was none.
    pub fn last_took_s(&self) -> i64 {
        self.last_took_s.load(Ordering::Relaxed)
    }

    /// Failures since the last good one.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Size of the file after the last one, in bytes.
    pub fn base_size(&self) -> u64 {
        self.base_size.load(Ordering::Relaxed)
    }

    /// From here on growth is measured.
    pub fn note_base(&self, bytes: u64) {
        self.base_size.store(bytes, Ordering::Relaxed);
    }

    fn note_end(&self, now_ms: i64, began: Instant, failed: bool) {
        self.last_failed.store(failed, Ordering::Relaxed);
        self.last_took_s
            .store(began.elapsed().as_secs() as i64, Ordering::Relaxed);
        if !failed {
            self.failures.store(0, Ordering::Relaxed);
            self.not_before_ms.store(0, Ordering::Relaxed);
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let minutes = match failures.checked_sub(FAILURES) {
            None => 0,
            Some(more) => 1u64
                .checked_shl(more as u32)
                .unwrap_or(MOST_MINUTES)
                .min(MOST_MINUTES),
        };
        if minutes > 0 {
            tracing::warn!(
                "The append only file could not be rewritten {failures} times: the next try by itself comes in {minutes} \
                 minutes"
            );
        }
        let wait_ms = (minutes * 60_000).max(1000) as i64;
        self.not_before_ms.store(now_ms + wait_ms, Ordering::Relaxed);
    }

    fn may_begin(&self, now_ms: i64) -> bool {
        now_ms >= self.not_before_ms.load(Ordering::Relaxed)
    }
}

/// What the client is told whose CONFIG SET could not turn the file on.
const NOT_ON: &str = "Unable to turn on AOF. Check server logs.";

/// Has the file begin, with a base of the data as they are now. Whether it does, [`Aof::wait_for_begin`] knows.
///
/// # Errors
/// The text is for the client; the log says more.
pub(super) fn turn_on(server: &Arc<Server>, may_cut: bool) -> Result<(), String> {
    let claim = may_cut
        .then(|| server.snapshots.claim(Purpose::Rewrite))
        .flatten();
    match claim {
        Some(claim) => {
            let begun = spawn(server, claim).map_err(|_| NOT_ON.to_owned())?;
            *server.aof.rewriting.begun.lock() = Some(begun);
            Ok(())
        }
        None => {
            tracing::info!(
                "AOF was enabled but there is already another background operation. An AOF background was scheduled to \
                 start when needed."
            );
            server.aof.rewriting.scheduled.store(true, Ordering::Relaxed);
            Ok(())
        }
    }
}

/// Begins a rewrite on a thread of its own and waits for its cut. No lock may be held.
///
/// # Errors
/// It could not begin.
pub fn begin_in_background(server: &Arc<Server>, claim: Claim) -> Result<(), String> {
    spawn(server, claim)?.wait()
}

/// A rewrite whose cut is not made yet.
#[derive(Debug)]
pub(super) struct Begun(Receiver<()>);

impl Begun {
    fn wait(self) -> Result<(), String> {
        self.0
            .recv()
            .map_err(|_| "the rewrite could not begin, see the log".to_owned())
    }
}

impl Aof {
    /// Waits until a file that CONFIG SET has turned on has begun. No lock may be held: it begins with a cut of all data, for
    /// which somebody may have to give his locks back who waits for one of this caller's.
    ///
    /// # Errors
    /// It has not; the text is for the client.
    pub fn wait_for_begin(&self) -> Result<(), String> {
        let begun = self.rewriting.begun.lock().take();
        match begun.map(Begun::wait) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(NOT_ON.to_owned()),
        }
    }
}

fn spawn(server: &Arc<Server>, claim: Claim) -> Result<Begun, String> {
    let (cut, made) = std::sync::mpsc::sync_channel(1);
    server.aof.rewriting.scheduled.store(false, Ordering::Relaxed);
    let for_thread = Arc::clone(server);
    let thread = std::thread::Builder::new()
        .name("aofrewrite".into())
        .spawn(move || {
            let server = for_thread;
            let began = Instant::now();
            let rewriting = &server.aof.rewriting;
            rewriting.rewrites.fetch_add(1, Ordering::Relaxed);
            let result = run(&server, &claim, || {
                tracing::info!("Background append only file rewriting started");
                let _asker_waits = cut.send(());
            });
            match &result {
                Ok(()) => tracing::info!(
                    seconds = began.elapsed().as_secs_f64(),
                    "Background AOF rewrite finished successfully"
                ),
                Err(error) => tracing::warn!("Background AOF rewrite terminated with error: {error}"),
            }
            rewriting.note_end(server.now_ms(), began, result.is_err());
            drop(claim);
            // Only now: who sees that it has failed finds the walk over.
            drop(cut);
            memory::retire(server.threads + SAVER_ROW);
        });
    if let Err(error) = thread {
        tracing::warn!(%error, "Can't rewrite append only file in background");
        return Err("Can't start a thread for the rewrite".into());
    }
    Ok(Begun(made))
}

fn run(server: &Arc<Server>, claim: &Claim, cut_made: impl FnOnce()) -> Result<(), String> {
    match server.aof.state() {
        State::Off if server.config.flag(Param::Appendonly) => begin(server, claim, cut_made),
        State::Off => rewrite_unused(server, claim, cut_made),
        State::Beginning | State::On => rewrite(server, claim, cut_made),
    }
}

/// Replaces what was written up to now, while writing goes on.
fn rewrite(server: &Arc<Server>, claim: &Claim, cut_made: impl FnOnce()) -> Result<(), String> {
    let dir = server
        .aof
        .dir()
        .ok_or("the append only file has just been turned off")?;
    let (reply, rotated) = channel();
    let cut = snapshots::cut_then(server, claim, BASE, |offset, selected| {
        server.aof.ask_for_rotation(Rotation {
            at: offset,
            selected,
            reply,
        });
    });
    let cut = cut.map_err(|e| e.to_string())?;
    server.aof.begin_rotation();
    let first = rotated
        .recv()
        .map_err(|_| "the append only file has just been turned off".to_owned())??;
    cut_made();
    let temporary = dir.lock().temporary_base();
    let suffix = write_base(server, cut, &temporary)?;
    let mut dir = dir.lock();
    dir.set_keep_history(server.config.aof_disable_auto_gc());
    dir.finish_rewrite(first, suffix).map_err(|e| e.to_string())?;
    server
        .aof
        .note_finished(dir.finished_len().map_err(|e| e.to_string())?);
    server.aof.rewriting.note_base(server.aof.current_size());
    Ok(())
}

/// The file begins: what there was on the disk is replaced when the base is there.
fn begin(server: &Arc<Server>, claim: &Claim, cut_made: impl FnOnce()) -> Result<(), String> {
    let mut dir = server.aof.open_dir(server).map_err(|e| e.to_string())?;
    dir.start_over();
    let temporary = dir.temporary_base();
    let file = dir.begin_increment().map_err(|e| e.to_string())?;
    let first = dir.last_increment();
    let mut reader = None;
    let cut = snapshots::cut_then(server, claim, BASE, |offset, _| {
        reader = server.log.reader(offset);
    });
    let (Ok(cut), Some(reader)) = (cut, reader) else {
        dir.give_up();
        return Err("another snapshot is under way".into());
    };
    let started = server.aof.start(server, dir, file, reader, cut.selected);
    started.map_err(|e| e.to_string())?;
    cut_made();
    let finished = write_base(server, cut, &temporary).and_then(|suffix| {
        let dir = server
            .aof
            .dir()
            .ok_or("the append only file has just been turned off")?;
        let mut dir = dir.lock();
        dir.finish_rewrite(first, suffix).map_err(|e| e.to_string())?;
        server
            .aof
            .note_finished(dir.finished_len().map_err(|e| e.to_string())?);
        Ok(())
    });
    match finished {
        Ok(()) => {
            server.aof.begun(server);
            server.aof.rewriting.note_base(server.aof.current_size());
            Ok(())
        }
        Err(error) => {
            // What was written since the cut has no base: it begins again with another.
            let _of_no_use = server.aof.stop(server);
            Err(error)
        }
    }
}

/// BGREWRITEAOF while the file is off: the directory holds the data of now, for a start with `appendonly yes`.
fn rewrite_unused(server: &Arc<Server>, claim: &Claim, cut_made: impl FnOnce()) -> Result<(), String> {
    let mut dir = server.aof.open_dir(server).map_err(|e| e.to_string())?;
    let result = (|| {
        dir.make_dir().map_err(|e| e.to_string())?;
        let cut = snapshots::cut(server, claim, BASE).map_err(|e| e.to_string())?;
        cut_made();
        let suffix = write_base(server, cut, &dir.temporary_base())?;
        let behind = dir.last_increment() + 1;
        dir.finish_rewrite(behind, suffix).map_err(|e| e.to_string())
    })();
    server.aof.release();
    result
}

/// The first base of a server that starts, and the first increment. Nobody else works yet.
pub(super) fn begin_at_start(server: &Arc<Server>, mut dir: AofDir) -> Result<(), String> {
    let claim = server.snapshots.claim_in_turn(Purpose::Rewrite, false);
    tracing::info!("Creating the base of the append only file on server start");
    dir.make_dir().map_err(|e| e.to_string())?;
    let mut reader = None;
    let cut = snapshots::cut_then(server, &claim, BASE, |offset, _| {
        reader = server.log.reader(offset);
    });
    let cut = cut.map_err(|e| e.to_string())?;
    let reader = reader.ok_or("the log has no end")?;
    let selected = cut.selected;
    let suffix = write_base(server, cut, &dir.temporary_base())?;
    let first = dir.last_increment() + 1;
    dir.finish_rewrite(first, suffix).map_err(|e| e.to_string())?;
    let file = dir.begin_increment().map_err(|e| e.to_string())?;
    server
        .aof
        .note_finished(dir.finished_len().map_err(|e| e.to_string())?);
    server
        .aof
        .start(server, dir, file, reader, selected)
        .map_err(|e| e.to_string())?;
    server.aof.rewriting.note_base(server.aof.current_size());
    Ok(())
}

/// Writes the data as they are at the cut, and syncs them. What the base's name ends with.
fn write_base(server: &Server, cut: Cut<'_>, temporary: &Path) -> Result<&'static str, String> {
    let fs = &*server.saving.fs;
    let watcher = Progress(server);
    let unfinished = temporary.with_extension("tmp");
    if server.config.aof_use_rdb_preamble() {
        rdb::save(fs, temporary, &unfinished, cut.walker, cut.file, &watcher).map_err(|e| e.to_string())?;
        return Ok("rdb");
    }
    write_commands(fs, temporary, &unfinished, cut.walker, &cut.libraries, &watcher)
        .map_err(|e| e.to_string())?;
    Ok("aof")
}

/// Begins what is wanted and was not possible up to now, and rewrites a file that has grown.
pub fn cron(server: &Arc<Server>) {
    server.aof.balance(server);
    let rewriting = &server.aof.rewriting;
    if server.is_loading() || server.snapshots.running().is_some() || !rewriting.may_begin(server.now_ms()) {
        return;
    }
    let wanted = server.config.flag(Param::Appendonly);
    let missing = wanted && server.aof.state() == State::Off;
    let due = missing || rewriting.scheduled.load(Ordering::Relaxed) || has_grown(server);
    if due && let Some(claim) = server.snapshots.claim(Purpose::Rewrite) {
        let _logged = begin_in_background(server, claim);
    }
}

fn has_grown(server: &Server) -> bool {
    let percentage = server.config.int(Param::AutoAofRewritePercentage).max(0) as u64;
    let least = server.config.int(Param::AutoAofRewriteMinSize).max(0) as u64;
    let size = server.aof.current_size();
    if percentage == 0 || size <= least || server.aof.state() != State::On {
        return false;
    }
    let base = server.aof.rewriting.base_size().max(1);
    let growth = (u128::from(size) * 100 / u128::from(base)).saturating_sub(100);
    if growth < u128::from(percentage) {
        return false;
    }
    tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
    true
}

#[cfg(test)]
mod tests {
    use holdfast_persistence::fs::{FailingFs, Fault, MemoryFs};

    use super::*;
    use crate::aof::load;
    use crate::session::tests::Desk;

    #[test]
    fn after_failures_it_waits_longer_and_longer_and_a_good_one_ends_that() {
        let rewriting = Rewriting::default();
        let (began, mut now_ms) = (Instant::now(), 1_000_000);
        assert!(rewriting.may_begin(now_ms));
        for seconds in [1, 1, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] {
            rewriting.note_end(now_ms, began, true);
            assert!(!rewriting.may_begin(now_ms + seconds * 1000 - 1), "{seconds}");
            now_ms += seconds * 1000;
            assert!(rewriting.may_begin(now_ms), "{seconds}");
        }
        assert_eq!((rewriting.failures(), rewriting.last_failed()), (11, true));
        for _ in 0..200 {
            rewriting.note_end(now_ms, began, true);
        }
        assert!(
            rewriting.may_begin(now_ms + 3_600_000),
            "never longer than an hour"
        );
        rewriting.note_end(now_ms, began, false);
        assert!(rewriting.may_begin(now_ms));
        rewriting.note_end(now_ms, began, true);
        assert!(rewriting.may_begin(now_ms + 1000), "it is the first again");
    }

    #[test]
    fn a_file_that_has_grown_is_not_rewritten_again_before_its_time() {
        let disk = MemoryFs::new();
        let failing = FailingFs::new(disk, u64::MAX, Fault::Full);
        let words = ["--appendonly", "yes", "--auto-aof-rewrite-min-size", "1"];
        let mut desk = Desk::with_files(Arc::new(failing.clone()), &words);
        load::at_start(&desk.server).expect("it starts");
        let server = Arc::clone(&desk.server);
        let rewriting = &server.aof.rewriting;
        let mut session = desk.session();
        let value = "x".repeat(1000);
        desk.run(&mut session, &format!("SET k {value}"));
        while !has_grown(&server) {
            std::thread::yield_now();
        }
        let ended = || {
            while server.snapshots.running().is_some() {
                std::thread::yield_now();
            }
        };
        failing.fail_from_now_on();
        for begun in 1..=3 {
            rewriting.not_before_ms.store(0, Ordering::Relaxed);
            cron(&server);
            ended();
            assert_eq!(
                (rewriting.rewrites.load(Ordering::Relaxed), rewriting.failures()),
                (begun, begun)
            );
        }
        for _ in 0..10 {
            cron(&server);
        }
        assert_eq!(
            rewriting.rewrites.load(Ordering::Relaxed),
            3,
            "not before a minute has gone"
        );
        failing.heal();
        // Who asks for one gets it.
        let claim = server.snapshots.claim_in_turn(Purpose::Rewrite, false);
        begin_in_background(&server, claim).expect("it begins");
        ended();
        assert_eq!(rewriting.failures(), 0);
        let _disk_works = server.aof.stop(&server);
    }
}
