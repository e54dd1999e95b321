//! Readers of the log: each has a place, and what lies behind it is kept.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use bytes::Bytes;

use super::ReplicationLog;

/// The log has begun anew (a full synchronization replaced the data): what this reader was reading is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log has begun anew")]
pub struct Gone;

/// What was read: pieces that follow each other, shared with the log and not copied.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// The bytes. Without asides they may be fewer than the offsets say.
    pub pieces: Vec<Bytes>,
    /// Offset behind them.
    pub end: u64,
}

/// Reads a log from a place on. What it has not passed is kept, however much that becomes: look at [`Self::behind`].
#[derive(Debug)]
pub struct LogReader {
    log: Arc<ReplicationLog>,
    place: Arc<AtomicU64>,
    generation: u64,
}

impl LogReader {
    pub(super) fn new(log: Arc<ReplicationLog>, place: Arc<AtomicU64>, generation: u64) -> Self {
        Self {
            log,
            place,
            generation,
        }
    }

    /// Offset of what is read next.
    pub fn place(&self) -> u64 {
        self.place.load(Ordering::Acquire)
    }

    /// Bytes between its place and the log's end.
    pub fn behind(&self) -> u64 {
        self.log.end_offset().saturating_sub(self.place())
    }

    /// The next bytes, at most `max`; none if there are none. The place stays until [`Self::advance_to`].
    ///
    /// # Errors
    /// See [`Gone`].
    pub fn read(&self, max: usize) -> Result<Chunk, Gone> {
        let place = self.place();
        self.read_from(place, max)
    }

    /// The same from a later offset on, for a reader that keeps its place until what it has read is safe.
    ///
    /// # Errors
    /// See [`Gone`].
    pub fn read_from(&self, offset: u64, max: usize) -> Result<Chunk, Gone> {
        let mut inner = self.log.inner.lock();
        if inner.generation != self.generation {
            return Err(Gone);
        }
        debug_assert!(offset >= self.place() && offset <= inner.end());
        let pieces = inner.pieces(offset, max);
        let end = offset + pieces.iter().map(|p| p.len() as u64).sum::<u64>();
        Ok(Chunk { pieces, end })
    }

    /// As [`Self::read_from`], without what was appended aside.
    ///
    /// # Errors
    /// See [`Gone`].
    pub fn read_changes(&self, offset: u64, max: usize) -> Result<Chunk, Gone> {
        let mut chunk = self.read_from(offset, max)?;
        let asides: Vec<Range<u64>> = {
            let inner = self.log.inner.lock();
            let from = inner.asides.partition_point(|aside| aside.end <= offset);
            let asides = inner.asides.range(from..);
            asides
                .take_while(|aside| aside.start < chunk.end)
                .cloned()
                .collect()
        };
        if !asides.is_empty() {
            chunk.pieces = without(&chunk.pieces, offset, &asides);
        }
        Ok(chunk)
    }

    /// What lies before `offset` is not needed any more by this reader.
    pub fn advance_to(&mut self, offset: u64) {
        self.place.fetch_max(offset, Ordering::AcqRel);
        if self.log.holding.load(Ordering::Relaxed) {
            let mut inner = self.log.inner.lock();
            self.log.trim(&mut inner);
        }
    }

    /// Has `waker` woken when there are bytes behind `offset`. True: there are already (or the log has begun anew), and
    /// it will not be.
    pub fn register(&self, offset: u64, waker: &Waker) -> bool {
        self.log.register(offset, waker)
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        let mut inner = self.log.inner.lock();
        inner.readers.retain(|r| !Arc::ptr_eq(r, &self.place));
        self.log.trim(&mut inner);
    }
}

/// The pieces, which begin at `offset`, without some ranges of offsets that are in order.
fn without(pieces: &[Bytes], offset: u64, asides: &[Range<u64>]) -> Vec<Bytes> {
    let mut kept = Vec::new();
    let mut at = offset;
    for piece in pieces {
        let end = at + piece.len() as u64;
        let mut from = at;
        for aside in asides.iter().filter(|a| a.start < end && a.end > at) {
            let start = aside.start.max(from);
            if start > from {
                kept.push(piece.slice((from - at) as usize..(start - at) as usize));
            }
            from = from.max(aside.end.min(end));
        }
        if from < end {
            kept.push(piece.slice((from - at) as usize..));
        }
        at = end;
    }
    kept
}
