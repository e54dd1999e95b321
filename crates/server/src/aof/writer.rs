//! The thread that writes the append-only file: from a reader of the replication log into the current increment.
//!
//! ```text
//! log      ...............|.........................|............> end
//!                         safe (synced)             written
//! reader                  holds from here
//! ```
//!
//! What is not safe is still in the log. So when the disk fails, in whatever way, the increment is cut off behind what is
//! safe and the rest is written again: there is never a torn record in the middle, and no page of the system's cache is
//! trusted after a sync that failed.
//!
//! With `always`, who needs a sync may do it himself while the disk is quick ([`super::commit`]); the thread then does what
//! else there is: rotations, errors, what nobody waits for.
//!
//! Must not know: clients, values.

mod syncing;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use holdfast_persistence::aof::{AofDir, AofDirError};
use holdfast_persistence::fs::WriteFile;
use holdfast_replication::{Gone, LogReader};
use holdfast_resp::encode_command;
use parking_lot::Mutex;

use super::commit::Pace;
use super::sync::{Done, Syncer};
use super::{Place, Rotation};
use crate::memory;
use crate::server::{AOF_ROW, Server};

/// After an error, the disk is tried again so often.
const RETRY: Duration = if cfg!(test) {
    Duration::from_millis(5)
} else {
    Duration::from_secs(1)
};
/// While no reply waits for the file (`everysec`, `no`), new bytes are gathered for so long: being woken by each batch of
/// commands costs the clients more than the writing.
pub(super) const GATHER: Duration = Duration::from_millis(5);
/// The longest time for which the thread sleeps.
const IDLE: Duration = Duration::from_millis(500);
/// An error that goes on is logged again after this time.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// What others ask of the thread.
#[derive(Debug)]
pub enum Message {
    /// A sync on the other thread is over.
    Synced(Done),
    /// Write and sync what there is, and end; the result says whether everything is on the disk.
    End(Sender<Result<(), String>>),
    /// Write and sync what there is.
    Sync(Sender<Result<(), String>>),
    /// Something is to be looked at: the policy, or a rotation.
    Look,
}

/// How the thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Asked,
    /// The log has begun anew: the file holds another history.
    LogGone,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Dir(#[from] AofDirError),
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// A disk that does not work.
#[derive(Debug)]
pub(super) struct Trouble {
    retry_at: Instant,
    told_at: Instant,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Writer {
    pub(super) server: Arc<Server>,
    dir: Arc<Mutex<AofDir>>,
    inbox: Receiver<Message>,
    pub(super) reader: LogReader,
    /// The current increment; None after an error.
    pub(super) file: Option<Box<dyn WriteFile>>,
    syncer: Syncer,
    pub(super) written: Place,
    pub(super) safe: Place,
    /// Since when a sync is under way on the other thread, and whether it has been counted as late.
    pub(super) syncing: Option<(Instant, bool)>,
    last_sync: Instant,
    /// How long syncs take.
    pub(super) pace: Pace,
    pub(super) trouble: Option<Trouble>,
    /// Unix second of the last timestamp in the file.
    stamped_s: i64,
    /// As [`Self::others_are_at_work`] saw it last.
    seen_visits: u64,
    /// What was written when the thread slept last.
    napped_at: u64,
    /// Who wants it to end.
    pub(super) ending: Option<Sender<Result<(), String>>>,
    waker: Waker,
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Writer {
    /// Writes what `reader` reads into a new increment `file` of `dir`, beginning with a SELECT if it must.
    pub fn new(
        server: &Arc<Server>,
        dir: Arc<Mutex<AofDir>>,
        reader: LogReader,
        file: Box<dyn WriteFile>,
        inbox: Receiver<Message>,
        own: Sender<Message>,
    ) -> io::Result<Self> {
        let here = std::thread::current();
        let place = Place {
            offset: reader.place(),
            len: 0,
        };
        Ok(Self {
            server: Arc::clone(server),
            dir,
            inbox,
            reader,
            file: Some(file),
            syncer: Syncer::start(own, here.clone())?,
            written: place,
            safe: place,
            syncing: None,
            last_sync: Instant::now(),
            pace: Pace::default(),
            trouble: None,
            stamped_s: 0,
            seen_visits: 0,
            napped_at: place.offset,
            ending: None,
            waker: Waker::from(Arc::new(Parked(here))),
        })
    }

    /// Works until it is told to end, or the log is gone. The writer is free for others while there is nothing to do.
    pub fn run(shared: &Mutex<Self>, select: Option<u32>) -> End {
        {
            let mut writer = shared.lock();
            if let Err(failure) = writer.select(select) {
                writer.fail(&failure);
            }
        }
        loop {
            // The lock is given back before the thread sleeps.
            let nap = match shared.lock().round() {
                Ok(nap) => nap,
                Err(end) => return end,
            };
            if !nap.is_zero() {
                std::thread::park_timeout(nap);
            }
        }
    }

    /// Hears what is asked, and does what is to be done. For how long there is nothing to do, or the end.
    fn round(&mut self) -> Result<Duration, End> {
        loop {
            match self.inbox.try_recv() {
                Ok(Message::Synced(done)) => self.synced(done),
                Ok(Message::End(reply)) => self.ending = Some(reply),
                Ok(Message::Sync(reply)) => {
                    let synced = self.write_new().and_then(|()| self.sync_now());
                    if let Err(failure) = &synced {
                        self.fail(failure);
                    }
                    let _asker_left = reply.send(synced.map_err(|e| e.to_string()));
                }
                Ok(Message::Look) => {}
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(End::Asked),
            }
        }
        if let Some(reply) = self.ending.take() {
            let _asker_left = reply.send(self.end());
            return Err(End::Asked);
        }
        let called = self.server.aof.commits.take_call() || self.server.aof.rotates.load(Ordering::Acquire);
        if self.others_are_at_work() && !called {
            return Ok(GATHER);
        }
        let sleep = match self.turn() {
            Ok(sleep) => sleep,
            Err(Failure::Gone(_)) => {
                tracing::warn!("The replication log has begun anew: the append only file is to be rewritten");
                self.server.aof.refuse_rotation("the log has begun anew");
                return Err(End::LogGone);
            }
            Err(failure) => {
                self.fail(&failure);
                RETRY
            }
        };
        self.tell();
        Ok(self.nap(sleep))
    }

    /// One round: writes what is new, syncs what is due. For how long there is nothing to do.
    fn turn(&mut self) -> Result<Duration, Failure> {
        if let Some(trouble) = &self.trouble {
            let left = trouble.retry_at.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Ok(left);
            }
            self.recover()?;
        }
        self.write_new()?;
        let sleep = self.sync_as_due()?;
        if self.trouble.take().is_some() {
            tracing::warn!("AOF write error looks solved, Holdfast can write again.");
            self.server.aof.set_write_error(&self.server, None);
        }
        Ok(sleep)
    }

    /// Writes what the log has, to its end: a place between two records.
    fn write_new(&mut self) -> Result<(), Failure> {
        let mut chunk = self.reader.read_changes(self.written.offset, usize::MAX)?;
        // A rotation is announced before anything behind its place is appended: who has read that sees it.
        let rotation = self.server.aof.take_rotation();
        if let Some(rotation) = rotation {
            if rotation.at < chunk.end {
                let before = (rotation.at - self.written.offset) as usize;
                chunk = self.reader.read_changes(self.written.offset, before)?;
            }
            let written = self.write_chunk(&chunk.pieces, chunk.end);
            return match written.and_then(|()| self.rotate(&rotation)) {
                Ok(first) => {
                    rotation.done(Ok(first));
                    self.write_new()
                }
                Err(failure) => {
                    rotation.done(Err(failure.to_string()));
                    Err(failure)
                }
            };
        }
        self.write_chunk(&chunk.pieces, chunk.end)
    }

    pub(super) fn write_chunk(&mut self, pieces: &[bytes::Bytes], end: u64) -> Result<(), Failure> {
        if !pieces.is_empty() {
            self.stamp()?;
            for piece in pieces {
                self.write(piece)?;
            }
            self.file()?.flush()?;
        }
        self.written.offset = end;
        Ok(())
    }

    fn file(&mut self) -> io::Result<&mut Box<dyn WriteFile>> {
        self.file
            .as_mut()
            .ok_or_else(|| io::Error::other("the increment is closed after an error"))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file()?.write_all(bytes)?;
        self.written.len += bytes.len() as u64;
        Ok(())
    }

    /// `aof-timestamp-enabled`: says when what follows was written.
    fn stamp(&mut self) -> Result<(), Failure> {
        let now_s = self.server.now_ms() / 1000;
        if self.server.config.aof_timestamp_enabled() && now_s > self.stamped_s {
            self.stamped_s = now_s;
            self.write(format!("#TS:{now_s}\r\n").as_bytes())?;
        }
        Ok(())
    }

    fn select(&mut self, db: Option<u32>) -> Result<(), Failure> {
        if let Some(db) = db {
            let mut select = Vec::new();
            encode_command(&mut select, &[b"SELECT", db.to_string().as_bytes()]);
            self.write(&select)?;
        }
        Ok(())
    }

    /// The increment ends here and the next begins; its number.
    fn rotate(&mut self, rotation: &Rotation) -> Result<u64, Failure> {
        self.sync_now()?;
        let (file, number) = {
            let mut dir = self.dir.lock();
            let file = dir.begin_increment()?;
            self.server.aof.note_finished(dir.finished_len()?);
            (file, dir.last_increment())
        };
        self.begin(file, self.written.offset);
        self.select(rotation.selected)?;
        Ok(number)
    }

    fn begin(&mut self, file: Box<dyn WriteFile>, offset: u64) {
        self.file = Some(file);
        self.stamped_s = 0;
        self.written = Place { offset, len: 0 };
        self.safe = self.written;
        self.syncer.forget_handle();
        self.server.aof.note_len(0);
    }

    pub(super) fn fail(&mut self, failure: &Failure) {
        // What was behind the safe place is of no use: it is written again.
        self.file = None;
        let now = Instant::now();
        let told = self.trouble.as_ref().map(|trouble| trouble.told_at);
        let told_at = match told.filter(|told| now - *told < TELL_AGAIN) {
            Some(told) => told,
            None => {
                tracing::warn!("Error writing to the AOF file: {failure}");
                now
            }
        };
        self.trouble = Some(Trouble {
            retry_at: now + RETRY,
            told_at,
        });
        self.server
            .aof
            .refuse_rotation("the append only file cannot be written");
        self.server
            .aof
            .set_write_error(&self.server, Some(&failure.to_string()));
    }

    /// Cuts the increment off behind what is safe, and goes on from there.
    fn recover(&mut self) -> Result<(), Failure> {
        self.wait_for_syncer();
        self.file = None;
        let (file, in_place) = {
            let mut dir = self.dir.lock();
            let file = dir.go_on_after(self.safe.len)?;
            self.server.aof.note_finished(dir.finished_len()?);
            (file, self.safe.len == 0)
        };
        let selected = self.server.log.selected_at(self.safe.offset);
        self.begin(file, self.safe.offset);
        if !in_place {
            tracing::warn!("The append only file goes on in a new increment");
        }
        self.select(selected)
    }

    /// The end: everything is written and synced.
    fn end(&mut self) -> Result<(), String> {
        self.wait_for_syncer();
        if self.trouble.is_some() {
            self.recover().map_err(|e| e.to_string())?;
        }
        self.write_new().map_err(|e| e.to_string())?;
        self.sync_now().map_err(|e| e.to_string())?;
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        self.server.aof.note_len(self.written.len);
        memory::publish(self.server.threads + AOF_ROW);
        self.server.aof.balance(&self.server);
    }

    /// Whether others have synced by themselves since this was asked last: what they have left they will see to.
    fn others_are_at_work(&mut self) -> bool {
        let visits = self.server.aof.commits.visits();
        let came = std::mem::replace(&mut self.seen_visits, visits) != visits;
        came && self.pace.is_quick() && self.trouble.is_none()
    }

    /// For how long to sleep if there is nothing to do for `most`. Who appends wakes the thread, unless what is new is
    /// gathered first.
    fn nap(&mut self, most: Duration) -> Duration {
        if self.trouble.is_some() || most.is_zero() {
            return most;
        }
        let wrote = std::mem::replace(&mut self.napped_at, self.written.offset) != self.written.offset;
        if wrote && !self.server.gate.is_on() {
            return GATHER.min(most);
        }
        if self.reader.register(self.written.offset, &self.waker) {
            return Duration::ZERO;
        }
        most
    }
}
