//! The thread that syncs with `appendfsync everysec`, so that the one that writes can go on writing.

use std::io;
use std::sync::mpsc::{Sender, SyncSender, sync_channel};
use std::thread::Thread;

use holdfast_persistence::fs::{SyncFile, WriteFile};

use super::Place;
use super::writer::Message;

/// See the module's documentation.
#[derive(Debug)]
pub struct Syncer {
    jobs: SyncSender<Job>,
    handle: Option<Box<dyn SyncFile>>,
    /// Number of the increment that the handle is of.
    file: u64,
}

#[derive(Debug)]
struct Job {
    handle: Box<dyn SyncFile>,
    file: u64,
    place: Place,
}

/// A sync that is over.
#[derive(Debug)]
pub struct Done {
    job: Job,
    result: io::Result<()>,
}

impl Syncer {
    /// Starts the thread. It reports to `outbox` and wakes `asker`.
    pub fn start(outbox: Sender<Message>, asker: Thread) -> io::Result<Self> {
        let (jobs, todo) = sync_channel::<Job>(1);
        std::thread::Builder::new()
            .name("aof-sync".into())
            .spawn(move || {
                while let Ok(mut job) = todo.recv() {
                    let result = job.handle.sync();
                    if outbox.send(Message::Synced(Done { job, result })).is_err() {
                        return;
                    }
                    asker.unpark();
                }
            })?;
        Ok(Self {
            jobs,
            handle: None,
            file: 0,
        })
    }

    /// Begins to sync what was written to `file` up to `place`. One at a time.
    ///
    /// # Errors
    /// No handle is to be had, or the thread has ended.
    pub fn begin(&mut self, file: &dyn WriteFile, place: Place) -> io::Result<()> {
        let handle = match self.handle.take() {
            Some(handle) => handle,
            None => file.handle()?,
        };
        let job = Job {
            handle,
            file: self.file,
            place,
        };
        self.jobs
            .send(job)
            .map_err(|_| io::Error::other("the thread that syncs has ended"))
    }

    /// What has become of a sync; None if it was of another file.
    pub fn take_back(&mut self, done: Done) -> Option<(Place, io::Result<()>)> {
        if done.job.file != self.file {
            return None;
        }
        self.handle = Some(done.job.handle);
        Some((done.job.place, done.result))
    }

    /// From now on it is about another file.
    pub fn forget_handle(&mut self) {
        self.handle = None;
        self.file += 1;
    }
}
