//! Freeing of big values and tables away from the workers: UNLINK, FLUSHALL ASYNC, values that are replaced.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use holdfast_storage::effects::Garbage;

/// The way to the thread that frees. When its queue is full the thrower frees by itself: memory that waits to be freed
/// is bounded.
#[derive(Debug)]
pub struct Reclaim {
    queue: SyncSender<Vec<Garbage>>,
    pending: AtomicU64,
}

const QUEUE: usize = 1024;

impl Reclaim {
    /// A queue, and the end that [`run`] empties.
    pub fn new() -> (Self, Receiver<Vec<Garbage>>) {
        let (queue, rest) = sync_channel(QUEUE);
        (
            Self {
                queue,
                pending: AtomicU64::new(0),
            },
            rest,
        )
    }

    /// Hands garbage over.
    pub fn throw(&self, garbage: Vec<Garbage>) {
        let n = garbage.len() as u64;
        self.pending.fetch_add(n, Ordering::Relaxed);
        if let Err(e) = self.queue.try_send(garbage) {
            drop(e);
            self.pending.fetch_sub(n, Ordering::Relaxed);
        }
    }

    /// `lazyfree_pending_objects`.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Notes that objects have been freed.
    fn freed(&self, n: u64) {
        self.pending.fetch_sub(n, Ordering::Relaxed);
    }
}

/// Frees until the server is gone. `after` is called after each batch with the number of freed objects.
pub fn run(reclaim: &Reclaim, rest: &Receiver<Vec<Garbage>>, after: impl Fn(u64)) {
    while let Ok(batch) = rest.recv() {
        let n = batch.len() as u64;
        drop(batch);
        reclaim.freed(n);
        after(n);
    }
}
