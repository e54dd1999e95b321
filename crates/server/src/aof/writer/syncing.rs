//! When the increment is synced, and what is safe after that: `appendfsync`.
//!
//! Must not know: what is written.

use std::io;
use std::time::{Duration, Instant};

use super::{Failure, IDLE, Message, Writer};
use crate::aof::Place;
use crate::aof::sync::Done;
use crate::config::Appendfsync;

/// With `everysec`: the time between two syncs.
const SECOND: Duration = Duration::from_secs(1);
/// With `everysec`, so many bytes are not kept waiting for the second.
const SYNC_EARLY: u64 = 16 << 20;
/// A sync that takes longer than this is late; as in Redis, writers then wait.
const LATE: Duration = Duration::from_secs(2);

impl Writer {
    pub(in crate::aof) fn policy(&self) -> Appendfsync {
        let config = &self.server.config;
        // The disk is left to the snapshot, if that is wanted.
        if config.no_appendfsync_on_rewrite() && self.server.snapshots.running().is_some() {
            return Appendfsync::No;
        }
        config.appendfsync()
    }

    /// Syncs if it is time. For how long there is nothing to do.
    pub(super) fn sync_as_due(&mut self) -> Result<Duration, Failure> {
        match self.policy() {
            Appendfsync::No => {
                if self.syncing.is_none() {
                    self.make_safe(self.written);
                }
                Ok(IDLE)
            }
            Appendfsync::Always => {
                if self.written != self.safe {
                    self.sync_now()?;
                }
                Ok(IDLE)
            }
            Appendfsync::EverySecond => self.sync_each_second(),
        }
    }

    fn sync_each_second(&mut self) -> Result<Duration, Failure> {
        if let Some((since, counted)) = &mut self.syncing {
            let left = LATE.saturating_sub(since.elapsed());
            if left.is_zero() && !*counted {
                *counted = true;
                self.server.aof.note_late(&self.server, true);
                tracing::warn!(
                    "Asynchronous AOF fsync is taking too long (disk is busy?). Writers wait until it is done, this may \
                     slow down the server."
                );
            }
            return Ok(if left.is_zero() { IDLE } else { left });
        }
        if self.written == self.safe {
            return Ok(IDLE);
        }
        let left = SECOND.saturating_sub(self.last_sync.elapsed());
        if !left.is_zero() && self.written.offset - self.safe.offset < SYNC_EARLY {
            return Ok(left);
        }
        let file = self
            .file
            .as_ref()
            .ok_or_else(|| io::Error::other("the increment is closed after an error"))?;
        self.syncer.begin(&**file, self.written)?;
        self.syncing = Some((Instant::now(), false));
        self.server.aof.note_syncing(true);
        self.last_sync = Instant::now();
        Ok(SECOND)
    }

    /// The other thread has synced, or tried to.
    pub(super) fn synced(&mut self, done: Done) {
        if let Some((_, counted)) = self.syncing.take() {
            self.server.aof.note_syncing(false);
            if counted {
                self.server.aof.note_late(&self.server, false);
            }
        }
        match self.syncer.take_back(done) {
            Some((place, Ok(()))) => self.make_safe(place),
            Some((_, Err(error))) => self.fail(&Failure::Io(error)),
            None => {} // of an increment that has been left
        }
    }

    pub(in crate::aof) fn sync_now(&mut self) -> Result<(), Failure> {
        self.wait_for_syncer();
        let began = Instant::now();
        self.file()?.sync()?;
        self.last_sync = Instant::now();
        self.pace.note(self.last_sync - began);
        self.server.aof.commits.set_pace(self.pace);
        self.make_safe(self.written);
        Ok(())
    }

    /// Waits until the other thread has nothing to do.
    pub(super) fn wait_for_syncer(&mut self) {
        while self.syncing.is_some() {
            match self.inbox.recv() {
                Ok(Message::Synced(done)) => self.synced(done),
                Ok(Message::Look) => {}
                Ok(Message::Sync(reply)) => {
                    let _asker_left = reply.send(Err("the disk is busy".into()));
                }
                Ok(Message::End(reply)) => self.ending = Some(reply),
                Err(_) => return,
            }
        }
    }

    pub(in crate::aof) fn make_safe(&mut self, place: Place) {
        // Once something has gone wrong with a file, nothing that is heard of it is trusted.
        if self.file.is_none() || place.offset < self.safe.offset {
            return;
        }
        self.safe = place;
        self.reader.advance_to(place.offset);
        self.server.aof.note_safe(&self.server, place.offset);
    }
}
