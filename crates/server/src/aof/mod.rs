//! The append-only file in the running server: its state, the thread that writes it, what INFO says of it.
//!
//! | what | where |
//! |---|---|
//! | from the log into the file | [`writer`] |
//! | from the files into the data | [`load`] |
//! | a new base, by itself or by BGREWRITEAOF | [`rewrite`] |
//! | by whoever waits for it | [`commit`] |
//! | one server for each directory | [`lock`] |
//!
//! States: off; *beginning* (the writer writes increments whose base is still being made: nothing of it counts yet);
//! *on*. `appendonly` says what is wanted; what differs from the state is brought about by [`rewrite::cron`].

pub mod commit;
pub mod load;
pub mod lock;
pub mod rewrite;
mod sync;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use holdfast_persistence::aof::{AofDir, AofDirError};
use holdfast_persistence::fs::{Fs, WriteFile};
use holdfast_replication::LogReader;
use parking_lot::Mutex;

use crate::config::{Appendfsync, Param};
use crate::gate;
use crate::memory;
use crate::server::{AOF_ROW, Server};
use crate::throttle::Cause;
use writer::{End, Message, Writer};

/// A place in the log and in the increment that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    offset: u64,
    /// Bytes of the increment.
    len: u64,
}

/// Bytes of the log that may wait for the disk; beyond this, writers wait as well.
const MOST_UNSAFE: u64 = 64 << 20;

/// Where the append-only file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Nobody writes it.
    Off,
    /// Increments are written, their base is not there yet.
    Beginning,
    /// What is synced would be found after a crash.
    On,
}

/// The increment is to end at a place, and the next to begin.
#[derive(Debug)]
struct Rotation {
    at: u64,
    /// The database that must be selected first.
    selected: Option<u32>,
    reply: Sender<Result<u64, String>>,
}

impl Rotation {
    fn done(self, result: Result<u64, String>) {
        let _asker_left = self.reply.send(result);
    }
}

#[derive(Debug)]
struct Running {
    messages: Sender<Message>,
    thread: JoinHandle<End>,
    writer: Weak<Mutex<Writer>>,
    dir: Arc<Mutex<AofDir>>,
}

/// Why there is no rotation.
const TURNED_OFF: &str = "the append only file has just been turned off";

/// See the module's documentation.
#[derive(Debug)]
pub struct Aof {
    state: AtomicU8,
    running: Mutex<Option<Running>>,
    rotation: Mutex<Option<Rotation>>,
    rotates: AtomicBool,
    /// Why the file cannot be written; None: it can.
    write_error: Mutex<Option<String>>,
    /// The log is safe up to here.
    safe: AtomicU64,
    /// Bytes of the parts before the current increment, and of this.
    finished: AtomicU64,
    len: AtomicU64,
    syncing: AtomicBool,
    /// A sync is under way for longer than it should.
    late: AtomicBool,
    /// How often one was.
    pub delayed_fsync: AtomicU64,
    /// Workers that sync by themselves.
    commits: commit::Commits,
    /// What is known of rewrites.
    pub rewriting: rewrite::Rewriting,
    /// Holds the directory.
    lock: Mutex<Option<lock::DirLock>>,
}

impl Default for Aof {
    fn default() -> Self {
        Self {
            state: AtomicU8::new(State::Off as u8),
            running: Mutex::new(None),
            rotation: Mutex::new(None),
            rotates: AtomicBool::new(false),
            write_error: Mutex::new(None),
            safe: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            len: AtomicU64::new(0),
            syncing: AtomicBool::new(false),
            late: AtomicBool::new(false),
            delayed_fsync: AtomicU64::new(0),
            commits: commit::Commits::default(),
            rewriting: rewrite::Rewriting::default(),
            lock: Mutex::new(None),
        }
    }
}

impl Aof {
    /// Where it stands.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Off,
            1 => State::Beginning,
            _ => State::On, // the third of three
        }
    }

    fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Bytes of all its parts.
    pub fn current_size(&self) -> u64 {
        self.finished.load(Ordering::Relaxed) + self.len.load(Ordering::Relaxed)
    }

    /// Whether a sync is under way beside the writing.
    pub fn is_syncing(&self) -> bool {
        self.syncing.load(Ordering::Relaxed)
    }

    /// Bytes of the log that are not safe yet.
    pub fn behind(&self, server: &Server) -> u64 {
        match self.state() {
            State::Off => 0,
            State::Beginning | State::On => server
                .log
                .end_offset()
                .saturating_sub(self.safe.load(Ordering::Acquire)),
        }
    }

    /// Why the file cannot be written; None: it can.
    pub fn write_error(&self) -> Option<String> {
        self.write_error.lock().clone()
    }

    /// The directory's parts, while the file is written.
    fn dir(&self) -> Option<Arc<Mutex<AofDir>>> {
        self.running.lock().as_ref().map(|r| Arc::clone(&r.dir))
    }

    /// Begins to write what `reader` reads into the increment `file` of `dir`.
    fn start(
        &self,
        server: &Arc<Server>,
        dir: AofDir,
        file: Box<dyn WriteFile>,
        reader: LogReader,
        select: Option<u32>,
    ) -> std::io::Result<()> {
        let state = if dir.is_unsaved() {
            State::Beginning
        } else {
            State::On
        };
        self.safe.store(reader.place(), Ordering::Release);
        let dir = Arc::new(Mutex::new(dir));
        let (messages, inbox) = channel();
        let (own, for_writer, parts) = (messages.clone(), Arc::clone(server), Arc::clone(&dir));
        let (ready, began) = channel();
        let thread = std::thread::Builder::new().name("aof".into()).spawn(move || {
            let writer = Writer::new(&for_writer, parts, reader, file, inbox, own);
            let end = match writer {
                Ok(writer) => {
                    let writer = Arc::new(Mutex::new(writer));
                    let _asker_waits = ready.send(Ok(Arc::downgrade(&writer)));
                    Writer::run(&writer, select)
                }
                Err(error) => {
                    let _asker_waits = ready.send(Err(error));
                    End::Asked
                }
            };
            if end == End::LogGone {
                for_writer.aof.ended(&for_writer);
            }
            memory::retire(for_writer.threads + AOF_ROW);
            end
        })?;
        let writer = began.recv().unwrap_or_else(|_| {
            Err(std::io::Error::other(
                "the thread of the append only file has ended",
            ))
        })?;
        *self.running.lock() = Some(Running {
            messages,
            thread,
            writer,
            dir,
        });
        self.set_state(state);
        self.apply_policy(server);
        Ok(())
    }

    /// The base is there: from now on what is synced counts.
    fn begun(&self, server: &Server) {
        {
            // It may have been turned off meanwhile.
            let running = self.running.lock();
            if running.is_none() {
                return;
            }
            self.set_state(State::On);
        }
        self.apply_policy(server);
        self.note_safe(server, self.safe.load(Ordering::Acquire));
    }

    /// Nobody writes it any more.
    fn ended(&self, server: &Server) {
        let asked = {
            let mut asked = self.rotation.lock();
            self.set_state(State::Off);
            asked.take()
        };
        // Somebody has asked since the writer looked last.
        self.refuse(asked, TURNED_OFF);
        server.gate.turn_off(gate::Source::AppendOnlyFile);
        self.set_write_error(server, None);
        self.late.store(false, Ordering::Relaxed);
        self.balance(server);
        server.acks.no_local(server);
        self.finished.store(0, Ordering::Relaxed);
        self.len.store(0, Ordering::Relaxed);
    }

    /// Writes and syncs what there is, and ends the thread. The error is what kept it from that.
    pub fn stop(&self, server: &Server) -> Result<(), String> {
        let Some(running) = self.running.lock().take() else {
            return Ok(());
        };
        self.refuse_rotation(TURNED_OFF);
        let (reply, result) = channel();
        let asked = running.messages.send(Message::End(reply));
        running.thread.thread().unpark();
        let result = match asked {
            Ok(()) => result.recv().unwrap_or(Ok(())),
            Err(_) => Ok(()), // it has ended by itself
        };
        let _end = running.thread.join();
        let unfinished = running.dir.lock().is_unsaved();
        if let Some(dir) = Arc::into_inner(running.dir).filter(|_| unfinished) {
            dir.into_inner().give_up();
        }
        self.ended(server);
        result
    }

    /// Has the thread look at what it is to do.
    fn wake(&self) {
        if let Some(running) = &*self.running.lock() {
            let _it_ends = running.messages.send(Message::Look);
            running.thread.thread().unpark();
        }
    }

    /// `appendfsync` has changed, or what it is about.
    pub fn apply_policy(&self, server: &Server) {
        let always = server.config.appendfsync() == Appendfsync::Always;
        if always && self.state() == State::On {
            let safe = self.safe.load(Ordering::Acquire);
            server.gate.turn_on(gate::Source::AppendOnlyFile, safe);
        } else {
            server.gate.turn_off(gate::Source::AppendOnlyFile);
        }
        self.wake();
    }

    /// Brings about what `appendonly` says, as far as that is done at once.
    ///
    /// # Errors
    /// The text is for the client.
    pub fn apply_wanted(&self, server: &Arc<Server>, may_cut: bool) -> Result<(), String> {
        if !server.config.flag(Param::Appendonly) {
            self.rewriting.scheduled.store(false, Ordering::Relaxed);
            server.snapshots.cancel_rewrite();
            if let Err(error) = self.stop(server) {
                tracing::warn!(error, "the append only file's end could not be written");
            }
            self.release();
            return Ok(());
        }
        if self.state() != State::Off || server.is_loading() {
            return Ok(());
        }
        rewrite::turn_on(server, may_cut)
    }

    /// Puts what is on its way to the file there. The caller holds all shards: nothing comes behind it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn settle(&self, server: &Server) -> Result<(), String> {
        let unwritten = || self.behind(server) > 0 && self.write_error().is_none();
        while self.state() == State::On && unwritten() {
            let (reply, synced) = channel();
            match &*self.running.lock() {
                Some(running) => {
                    let _it_ends = running.messages.send(Message::Sync(reply));
                    running.thread.thread().unpark();
                }
                None => break,
            }
            synced.recv().unwrap_or_else(|_| Err("it has ended".into()))?;
        }
        match self.write_error() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Loads everything that is in the file into data that have been emptied, of which the caller holds all shards.
    ///
    /// # Errors
    /// There is no file, or it cannot be read.
    pub fn load_again(&self, server: &Arc<Server>, held: load::Held<'_, '_>) -> Result<(), String> {
        let dir = self.dir().filter(|_| self.state() == State::On);
        match dir {
            Some(dir) => load::load_parts(server, &dir.lock(), Some(held)).map_err(|e| e.to_string()),
            None => {
                let dir = self.open_dir(server).map_err(|e| e.to_string())?;
                let loaded = load::load_parts(server, &dir, Some(held)).map_err(|e| e.to_string());
                if self.state() == State::Off {
                    self.release();
                }
                loaded
            }
        }
    }

    // ---- rotation ----

    /// Called with all shards locked: nothing can be appended.
    fn ask_for_rotation(&self, rotation: Rotation) {
        *self.rotation.lock() = Some(rotation);
        self.rotates.store(true, Ordering::Release);
    }

    fn take_rotation(&self) -> Option<Rotation> {
        if !self.rotates.load(Ordering::Acquire) {
            return None;
        }
        self.rotates.store(false, Ordering::Release);
        self.rotation.lock().take()
    }

    fn refuse_rotation(&self, why: &str) {
        let asked = self.rotation.lock().take();
        self.refuse(asked, why);
    }

    fn refuse(&self, asked: Option<Rotation>, why: &str) {
        if let Some(rotation) = asked {
            self.rotates.store(false, Ordering::Release);
            rotation.done(Err(why.to_owned()));
        }
    }

    /// A rotation has been asked for: has it done, or refuses it if there is nobody any more to do it.
    fn begin_rotation(&self) {
        self.wake();
        let refused = {
            let mut asked = self.rotation.lock();
            // Who ends after this look takes what was asked.
            (self.state() == State::Off).then(|| asked.take()).flatten()
        };
        self.refuse(refused, TURNED_OFF);
    }

    // ---- what the writer tells ----

    fn note_safe(&self, server: &Server, offset: u64) {
        self.safe.store(offset, Ordering::Release);
        if self.state() == State::On {
            server.gate.advance(gate::Source::AppendOnlyFile, offset);
            server.acks.synced(server, offset);
        }
    }

    fn note_len(&self, len: u64) {
        self.len.store(len, Ordering::Relaxed);
    }

    fn note_finished(&self, len: u64) {
        self.finished.store(len, Ordering::Relaxed);
    }

    fn note_syncing(&self, on: bool) {
        self.syncing.store(on, Ordering::Relaxed);
    }

    fn note_late(&self, server: &Server, on: bool) {
        self.late.store(on, Ordering::Relaxed);
        if on {
            self.delayed_fsync.fetch_add(1, Ordering::Relaxed);
        }
        self.balance(server);
    }

    fn set_write_error(&self, server: &Server, error: Option<&str>) {
        let failed = error.is_some();
        // As strerror says it, like Redis.
        let plain = |text: &str| text.split(" (os error").next().unwrap_or(text).to_owned();
        *self.write_error.lock() = error.map(plain);
        server.note_aof_error(failed);
        server.gate.set_stuck(failed);
    }

    /// Holds writers back while too much waits for the disk.
    pub fn balance(&self, server: &Server) {
        let behind = self.behind(server);
        let on = self.late.load(Ordering::Relaxed)
            || behind > MOST_UNSAFE
            || (behind > MOST_UNSAFE / 2 && server.throttle.is_on());
        server.throttle.set(
            &server.clients,
            Cause::AppendOnlyFile,
            on && self.state() != State::Off,
        );
    }

    // ---- the directory ----

    /// Looks at what is there.
    ///
    /// # Errors
    /// Another server has the directory, or what is there cannot be used.
    fn open_dir(&self, server: &Server) -> Result<AofDir, OpenError> {
        let fs: Arc<dyn Fs> = Arc::clone(&server.saving.fs);
        let name = |param| String::from_utf8_lossy(&server.config.text(param)).into_owned();
        let (dirname, filename) = (name(Param::Appenddirname), name(Param::Appendfilename));
        // `dir` may change while the server runs; the files stay where they are.
        let parent = server.config.dir();
        let mut lock = self.lock.lock();
        // Unit tests have their files in memory.
        if lock.is_none() && !cfg!(test) {
            *lock = lock::DirLock::take(&parent.join(&dirname).join(format!("{filename}.lock")))?;
        }
        let mut dir = AofDir::open(fs, &parent, &dirname, &filename)?;
        dir.set_keep_history(server.config.aof_disable_auto_gc());
        Ok(dir)
    }

    /// Others may use the directory.
    fn release(&self) {
        *self.lock.lock() = None;
    }
}

/// Why the directory is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// See there.
    #[error(transparent)]
    Dir(#[from] AofDirError),
    /// See there.
    #[error(transparent)]
    Lock(#[from] lock::LockError),
}

/// Before the end: everything is written and synced.
pub fn end(server: &Server) {
    if server.aof.state() != State::Off {
        tracing::info!("Calling fsync() on the AOF file.");
        let began = Instant::now();
        match server.aof.stop(server) {
            Ok(()) => tracing::debug!(
                seconds = began.elapsed().as_secs_f64(),
                "the append only file is synced"
            ),
            Err(error) => tracing::warn!(error, "Fail to fsync the AOF file"),
        }
    }
}
