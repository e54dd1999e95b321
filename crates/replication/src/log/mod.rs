//! The log itself: the newest bytes in blocks, the offset of their end, and those who read them.
//!
//! ```text
//!        first                            end
//!          v                               v
//!   gone | block | block | block | tail....|
//!                   ^                  ^
//!                 a reader           another
//! ```
//!
//! Writers append while they hold the shard locks of the keys that changed, so the log's order agrees with the order
//! of the changes of every key. The lock here is held for one copy, or for none if the command is large.
//!
//! Everybody reads the same blocks: k slow readers cost what the slowest costs. What no reader has yet to read is kept
//! as far as `keep` says (`repl-backlog-size`). A reader holds what it has not read; how far it may fall behind is its
//! owner's business.
//!
//! Appending does not wake readers: who appends calls [`ReplicationLog::notify`] when a batch of commands is done.

mod reader;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

pub use reader::{Chunk, Gone, LogReader};

/// One append: commands of one database that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Database that the commands are meant for.
    pub db: u32,
    /// Encoded commands.
    pub commands: &'a [u8],
}

/// What is kept and where it lies, as offsets and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Offset of the oldest byte that is kept.
    pub first: u64,
    /// Offset behind the newest.
    pub end: u64,
    /// How many bytes are kept for those who are not there yet.
    pub keep: usize,
    /// Bytes that are kept beyond this because a reader has not read them.
    pub held: u64,
}

impl Extent {
    /// Bytes that are kept in all.
    pub fn stored(&self) -> u64 {
        self.end - self.first
    }
}

/// Bytes of a block. Small enough that the blocks of a log that nobody reads stay in the processor's cache.
const BLOCK: usize = 16 << 10;
/// An append of this size becomes a block of its own, copied before the log is locked.
const OWN_BLOCK: usize = 64 << 10;

/// See the module's documentation.
#[derive(Debug)]
pub struct ReplicationLog {
    inner: Mutex<Inner>,
    end: AtomicU64,
    /// Blocks are kept because of readers alone.
    holding: AtomicBool,
    /// Somebody wants to be woken.
    asleep: AtomicBool,
    sleepers: Mutex<Vec<Waker>>,
}

#[derive(Debug)]
struct Block {
    at: u64,
    bytes: Bytes,
}

#[derive(Debug)]
struct Inner {
    /// Full blocks, oldest first, without gaps.
    blocks: VecDeque<Block>,
    /// What has been written since.
    tail: BytesMut,
    tail_at: u64,
    keep: usize,
    selected: Option<u32>,
    /// The database that another server's stream has selected at the end, while it is that stream that is appended.
    mirrored: Option<u32>,
    /// Which database is selected from an offset on; None: that is not known. Each differs from the one before.
    selections: VecDeque<(u64, Option<u32>)>,
    /// Parts of the stream that are no change: see [`ReplicationLog::append_aside`].
    asides: VecDeque<Range<u64>>,
    /// What each reader has read.
    readers: Vec<Arc<AtomicU64>>,
    /// Grows when the log begins anew: older readers have no place in it.
    generation: u64,
}

impl ReplicationLog {
    /// An empty log that keeps the newest `keep` bytes, or up to a block more (at least 16 KiB, as `repl-backlog-size`).
    pub fn new(keep: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                blocks: VecDeque::new(),
                tail: BytesMut::new(),
                tail_at: 0,
                keep: keep.max(BLOCK),
                selected: None,
                mirrored: None,
                selections: VecDeque::new(),
                asides: VecDeque::new(),
                readers: Vec::new(),
                generation: 0,
            }),
            end: AtomicU64::new(0),
            holding: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            sleepers: Mutex::new(Vec::new()),
        }
    }

    /// Appends commands, with a SELECT before them if the database is another one than the last. Returns the offset
    /// of their end.
    pub fn append(&self, record: Record<'_>) -> u64 {
        self.write(|inner| inner.select(record.db), record.commands, |_| {})
    }

    /// Appends a block of commands that selects databases itself: `first_db` must be selected before it, `last_db` is
    /// selected after it. Returns the offset of its end.
    pub fn append_block(&self, first_db: u32, last_db: u32, commands: &[u8]) -> u64 {
        self.write(
            |inner| inner.select(first_db),
            commands,
            |inner| {
                inner.selected = Some(last_db);
                inner.note_selection(Some(last_db));
            },
        )
    }

    /// Appends whole commands of another server's log as they are; `db` is selected behind them. Returns the offset of
    /// their end.
    pub fn append_mirrored(&self, db: u32, bytes: &[u8]) -> u64 {
        self.write(
            |_| {},
            bytes,
            |inner| {
                inner.selected = None;
                inner.mirrored = Some(db);
                inner.note_selection(Some(db));
            },
        )
    }

    /// Appends whole commands that belong to the stream but change nothing (PING, REPLCONF GETACK): readers may leave
    /// them out. Returns the offset of their end.
    pub fn append_aside(&self, commands: &[u8]) -> u64 {
        self.write(
            |_| {},
            commands,
            |inner| {
                let end = inner.end();
                let start = end - commands.len() as u64;
                match inner.asides.back_mut() {
                    Some(last) if last.end == start => last.end = end,
                    Some(_) | None => inner.asides.push_back(start..end),
                }
            },
        )
    }

    /// The next record begins with a SELECT: it is the first of a file, or of a replica's stream. Returns the offset of
    /// the end.
    pub fn select_again(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.selected = None;
        inner.end()
    }

    /// A place from which the log can be read by somebody who has seen nothing of it: the offset of the end, and the
    /// database that must be selected before what follows. None: what follows says so itself.
    pub fn cut(&self) -> (u64, Option<u32>) {
        let mut inner = self.inner.lock();
        inner.selected = None;
        (inner.end(), inner.mirrored)
    }

    /// The database that is selected at an offset which is kept and where a record begins. None: what follows says so
    /// itself, or nobody knows.
    pub fn selected_at(&self, offset: u64) -> Option<u32> {
        let inner = self.inner.lock();
        let behind = inner.selections.partition_point(|(at, _)| *at <= offset);
        let last = inner.selections.get(behind.checked_sub(1)?)?;
        last.1
    }

    /// Forgets everything and goes on at `offset`: what was appended before belonged to another history. Readers find
    /// out when they read.
    pub fn start_at(&self, offset: u64) {
        let mut inner = self.inner.lock();
        inner.blocks.clear();
        inner.tail.clear();
        inner.asides.clear();
        inner.tail_at = offset;
        inner.selected = None;
        inner.mirrored = None;
        inner.selections.clear();
        inner.readers.clear();
        inner.generation += 1;
        self.holding.store(false, Ordering::Relaxed);
        self.end.store(offset, Ordering::SeqCst);
        drop(inner);
        self.notify();
    }

    /// Offset of the end: where the log began (0 for a new server) and the number of bytes appended since.
    pub fn end_offset(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// What is kept.
    pub fn extent(&self) -> Extent {
        let inner = self.inner.lock();
        let (first, end) = (inner.first(), inner.end());
        Extent {
            first,
            end,
            keep: inner.keep,
            held: (end - first).saturating_sub(inner.keep as u64 + BLOCK as u64),
        }
    }

    /// Copies at most `max` bytes from `offset` on. None: they are not kept any more, or do not exist yet.
    pub fn read(&self, offset: u64, max: usize) -> Option<Vec<u8>> {
        let mut inner = self.inner.lock();
        if offset < inner.first() || offset > inner.end() {
            return None;
        }
        let pieces = inner.pieces(offset, max);
        Some(pieces.concat())
    }

    /// A reader of everything from `offset` on. None: that is not kept any more, or does not exist yet.
    pub fn reader(self: &Arc<Self>, offset: u64) -> Option<LogReader> {
        let mut inner = self.inner.lock();
        if offset < inner.first() || offset > inner.end() {
            return None;
        }
        let place = Arc::new(AtomicU64::new(offset));
        inner.readers.push(Arc::clone(&place));
        let generation = inner.generation;
        drop(inner);
        Some(LogReader::new(Arc::clone(self), place, generation))
    }

    /// Number of readers.
    pub fn readers(&self) -> usize {
        self.inner.lock().readers.len()
    }

    /// Changes the number of bytes kept; the newest stay.
    pub fn resize(&self, keep: usize) {
        let mut inner = self.inner.lock();
        inner.keep = keep.max(BLOCK);
        self.trim(&mut inner);
    }

    /// Wakes the readers that wait for more. Called when a batch of commands is done; costs next to nothing if nobody
    /// waits.
    pub fn notify(&self) {
        // Pairs with the fence of `register`: either this sees the sleeper, or the sleeper sees what was appended.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            let sleepers = {
                let mut sleepers = self.sleepers.lock();
                self.asleep.store(false, Ordering::Relaxed);
                std::mem::take(&mut *sleepers)
            };
            sleepers.into_iter().for_each(Waker::wake);
        }
    }

    /// Has `waker` woken by the next [`Self::notify`]. True: there are bytes behind `offset` already, and it will not be.
    fn register(&self, offset: u64, waker: &Waker) -> bool {
        let mut sleepers = self.sleepers.lock();
        if !sleepers.iter().any(|w| w.will_wake(waker)) {
            sleepers.push(waker.clone());
        }
        self.asleep.store(true, Ordering::Relaxed);
        drop(sleepers);
        fence(Ordering::SeqCst);
        self.end.load(Ordering::Relaxed) != offset
    }

    fn write(&self, before: impl FnOnce(&mut Inner), bytes: &[u8], after: impl FnOnce(&mut Inner)) -> u64 {
        let large = bytes.len() >= OWN_BLOCK;
        let own = (large && !self.inner.lock().readers.is_empty()).then(|| Bytes::copy_from_slice(bytes));
        let mut inner = self.inner.lock();
        let blocks = inner.blocks.len();
        before(&mut inner);
        match own {
            Some(own) => inner.push(own),
            None if bytes.len() > inner.keep && inner.readers.is_empty() => inner.write_end(bytes),
            None => inner.write(bytes),
        }
        after(&mut inner);
        if inner.blocks.len() != blocks {
            self.trim(&mut inner);
        }
        let end = inner.end();
        self.end.store(end, Ordering::Release);
        end
    }

    /// Drops the blocks that nobody needs.
    fn trim(&self, inner: &mut Inner) {
        let keep_from = inner.end().saturating_sub(inner.keep as u64);
        let held_from = inner.readers.iter().map(|r| r.load(Ordering::Acquire)).min();
        let floor = held_from.map_or(keep_from, |held| held.min(keep_from));
        while let Some(block) = inner.blocks.front()
            && block.at + block.bytes.len() as u64 <= floor
        {
            inner.drop_first();
        }
        let first = inner.first();
        while inner.asides.front().is_some_and(|aside| aside.end <= first) {
            inner.asides.pop_front();
        }
        while inner.selections.get(1).is_some_and(|(at, _)| *at <= first) {
            inner.selections.pop_front();
        }
        let holding = held_from.is_some_and(|held| held < keep_from);
        self.holding.store(holding, Ordering::Relaxed);
    }
}

impl Inner {
    fn first(&self) -> u64 {
        self.blocks.front().map_or(self.tail_at, |block| block.at)
    }

    fn end(&self) -> u64 {
        self.tail_at + self.tail.len() as u64
    }

    fn select(&mut self, db: u32) {
        self.mirrored = None;
        if self.selected != Some(db) {
            self.selected = Some(db);
            let db = db.to_string();
            self.write(format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{db}\r\n", db.len()).as_bytes());
            self.note_selection(self.selected);
        }
    }

    fn note_selection(&mut self, db: Option<u32>) {
        if self.selections.back().map(|(_, db)| *db) != Some(db) {
            self.selections.push_back((self.end(), db));
        }
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.tail.capacity() - self.tail.len();
            if room == 0 {
                self.seal();
                if self.tail.capacity() == 0 {
                    self.tail = BytesMut::with_capacity(BLOCK);
                }
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.tail.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Nobody reads, and more comes than is kept for those who may: only its end is copied.
    fn write_end(&mut self, bytes: &[u8]) {
        let gone = bytes.len() - self.keep;
        self.tail_at = self.end() + gone as u64;
        self.tail.clear();
        self.blocks.clear();
        self.write(&bytes[gone..]);
    }

    /// What has been written to the tail becomes a block; the tail keeps the room that is left.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let bytes = self.tail.split().freeze();
            let at = self.tail_at;
            self.tail_at += bytes.len() as u64;
            self.blocks.push_back(Block { at, bytes });
        }
    }

    fn push(&mut self, bytes: Bytes) {
        self.seal();
        let at = self.tail_at;
        self.tail_at += bytes.len() as u64;
        self.blocks.push_back(Block { at, bytes });
    }

    /// Drops the oldest block; its memory is used again if the tail needs some.
    fn drop_first(&mut self) {
        let Some(block) = self.blocks.pop_front() else {
            return;
        };
        if self.tail.capacity() == 0
            && let Ok(mut memory) = block.bytes.try_into_mut()
            && memory.capacity() == BLOCK
        {
            memory.clear();
            self.tail = memory;
        }
    }

    /// The bytes from `offset` on, which are kept, at most `max` of them.
    fn pieces(&mut self, mut offset: u64, max: usize) -> Vec<Bytes> {
        // A reader that keeps up would cut the tail into crumbs: small ones are copied.
        const COPIED: usize = 4 << 10;
        let mut pieces = Vec::new();
        let mut left = max;
        if offset < self.tail_at {
            let from = self
                .blocks
                .partition_point(|block| block.at + block.bytes.len() as u64 <= offset);
            for block in self.blocks.range(from..) {
                let start = (offset - block.at) as usize;
                let end = block.bytes.len().min(start.saturating_add(left));
                pieces.push(block.bytes.slice(start..end));
                left -= end - start;
                offset += (end - start) as u64;
                if left == 0 {
                    return pieces;
                }
            }
        }
        let start = (offset - self.tail_at) as usize;
        let count = (self.tail.len() - start).min(left);
        if count >= COPIED {
            let at = self.tail_at;
            self.seal();
            if let Some(block) = self.blocks.back() {
                debug_assert_eq!(block.at, at, "the tail is the last block now");
                pieces.push(block.bytes.slice(start..start + count));
            }
        } else if count > 0 {
            pieces.push(Bytes::copy_from_slice(&self.tail[start..start + count]));
        }
        pieces
    }
}
