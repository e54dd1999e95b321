//! The log itself: a ring of the newest bytes and the offset of their end.
//!
//! ```text
//!        first_offset                         end_offset
//!             v                                    v
//!   ... gone |................ ring ...............|
//! ```
//!
//! Writers append while they hold the shard locks of the keys that changed, so the log's order agrees with the order
//! of the changes of every key. The lock here is held for one copy.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// One append: commands of one database that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Database that the commands are meant for.
    pub db: u32,
    /// Encoded commands.
    pub commands: &'a [u8],
}

/// See the module's documentation.
#[derive(Debug)]
pub struct ReplicationLog {
    inner: Mutex<Inner>,
    end: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    ring: Vec<u8>,
    capacity: usize,
    /// Place of the next byte.
    head: usize,
    end: u64,
    selected: Option<u32>,
}

impl ReplicationLog {
    /// An empty log that keeps the newest `capacity` bytes (at least 16 KiB, as `repl-backlog-size`).
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(16 << 10);
        Self {
            inner: Mutex::new(Inner {
                ring: Vec::new(),
                capacity,
                head: 0,
                end: 0,
                selected: None,
            }),
            end: AtomicU64::new(0),
        }
    }

    /// Appends commands, with a SELECT before them if the database is another one than the last. Returns the offset
    /// of their end.
    pub fn append(&self, record: Record<'_>) -> u64 {
        let mut inner = self.inner.lock();
        inner.select(record.db);
        inner.write(record.commands);
        self.end.store(inner.end, Ordering::Release);
        inner.end
    }

    /// Appends a block of commands that selects databases itself: `first_db` must be selected before it, `last_db` is
    /// selected after it. Returns the offset of its end.
    pub fn append_block(&self, first_db: u32, last_db: u32, commands: &[u8]) -> u64 {
        let mut inner = self.inner.lock();
        inner.select(first_db);
        inner.write(commands);
        inner.selected = Some(last_db);
        self.end.store(inner.end, Ordering::Release);
        inner.end
    }

    /// Offset of the end: the number of bytes ever appended.
    pub fn end_offset(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Offset of the oldest byte that is kept, number of bytes kept, and capacity.
    pub fn extent(&self) -> (u64, usize, usize) {
        let inner = self.inner.lock();
        (
            inner.end - inner.ring.len() as u64,
            inner.ring.len(),
            inner.capacity,
        )
    }

    /// Copies at most `max` bytes from `offset` on. None: they are not kept any more, or do not exist yet.
    pub fn read(&self, offset: u64, max: usize) -> Option<Vec<u8>> {
        let inner = self.inner.lock();
        let len = inner.ring.len() as u64;
        let first = inner.end - len;
        if offset < first || offset > inner.end {
            return None;
        }
        let oldest = if inner.ring.len() < inner.capacity {
            0
        } else {
            inner.head
        };
        let skip = (offset - first) as usize;
        let count = max.min(inner.ring.len() - skip);
        let ring = inner.ring[oldest..].iter().chain(&inner.ring[..oldest]);
        Some(ring.skip(skip).take(count).copied().collect())
    }

    /// Changes the number of bytes kept; the newest stay.
    pub fn resize(&self, capacity: usize) {
        let capacity = capacity.max(16 << 10);
        let mut inner = self.inner.lock();
        if capacity == inner.capacity {
            return;
        }
        let oldest = if inner.ring.len() < inner.capacity {
            0
        } else {
            inner.head
        };
        inner.ring.rotate_left(oldest);
        let excess = inner.ring.len().saturating_sub(capacity);
        inner.ring.drain(..excess);
        inner.ring.shrink_to_fit();
        inner.capacity = capacity;
        inner.head = inner.ring.len() % capacity;
    }
}

impl Inner {
    fn select(&mut self, db: u32) {
        if self.selected != Some(db) {
            self.selected = Some(db);
            let db = db.to_string();
            self.write(format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{db}\r\n", db.len()).as_bytes());
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.end += bytes.len() as u64;
        let mut rest = &bytes[bytes.len().saturating_sub(self.capacity)..];
        while !rest.is_empty() {
            let n = rest.len().min(self.capacity - self.head);
            let (now, later) = rest.split_at(n);
            if self.head == self.ring.len() {
                self.ring.extend_from_slice(now);
            } else {
                self.ring[self.head..self.head + n].copy_from_slice(now);
            }
            self.head = (self.head + n) % self.capacity;
            rest = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_bytes_in_order() {
        let log = ReplicationLog::new(16 << 10);
        let mut all = Vec::new();
        for i in 0..5000u32 {
            let text = format!("<{i}>");
            if i == 0 {
                all.extend_from_slice(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
            }
            all.extend_from_slice(text.as_bytes());
            assert_eq!(
                log.append(Record {
                    db: 0,
                    commands: text.as_bytes()
                }),
                all.len() as u64
            );
        }
        let (first, kept, capacity) = log.extent();
        assert_eq!((kept, capacity), (16 << 10, 16 << 10));
        assert_eq!(first as usize, all.len() - kept);
        for at in [first, first + 1, first + 999, all.len() as u64] {
            let want = &all[at as usize..];
            assert_eq!(log.read(at, usize::MAX).unwrap(), want);
            assert_eq!(log.read(at, 10).unwrap(), &want[..want.len().min(10)]);
        }
        assert_eq!(log.read(first - 1, 1), None);
        assert_eq!(log.read(all.len() as u64 + 1, 1), None);
        log.resize(32 << 10);
        assert_eq!(log.read(first, usize::MAX).unwrap(), &all[first as usize..]);
        log.append(Record {
            db: 0,
            commands: b"more",
        });
        all.extend_from_slice(b"more");
        assert_eq!(log.read(first, usize::MAX).unwrap(), &all[first as usize..]);
        log.resize(16 << 10);
        let (first, _, _) = log.extent();
        assert_eq!(log.read(first, usize::MAX).unwrap(), &all[first as usize..]);
    }

    #[test]
    fn selects_the_database_once() {
        let log = ReplicationLog::new(0);
        for db in [0, 0, 12, 0] {
            log.append(Record { db, commands: b"x" });
        }
        let select = |db: &str| format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{db}\r\n", db.len());
        let want = format!("{}xx{}x{}x", select("0"), select("12"), select("0"));
        assert_eq!(log.read(0, usize::MAX).unwrap(), want.as_bytes());
    }
}
