//! The part of the log that Raft reads: all entries since the last compaction, in memory. What is on disk is the same or
//! less; the engine says what to write. Must not know: what the entries mean.

use std::collections::VecDeque;

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

/// The log in memory.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) hard_state: HardState,
    /// The newest snapshot.
    pub(crate) snapshot: Snapshot,
    /// Entries from `first` on.
    entries: VecDeque<Entry>,
    first: u64,
    /// Term of the entry before `first`.
    term_before: u64,
    bytes: usize,
}

impl Log {
    /// A log that begins after a snapshot, or is empty.
    pub(crate) fn new(snapshot: Snapshot, hard_state: HardState) -> Self {
        let metadata = snapshot.get_metadata();
        let (first, term_before) = (metadata.index + 1, metadata.term);
        Self {
            hard_state,
            snapshot,
            entries: VecDeque::new(),
            first,
            term_before,
            bytes: 0,
        }
    }

    pub(crate) fn conf_state(&self) -> &ConfState {
        self.snapshot.get_metadata().get_conf_state()
    }

    pub(crate) fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends; entries at and after the first of these are replaced. Entries before the log's begin are dropped.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        for entry in entries {
            if entry.index < self.first {
                continue;
            }
            while self.last() >= entry.index {
                if let Some(old) = self.entries.pop_back() {
                    self.bytes -= size(&old);
                }
            }
            self.bytes += size(entry);
            self.entries.push_back(entry.clone());
        }
    }

    /// Takes a snapshot from the leader in place of everything.
    pub(crate) fn restore(&mut self, snapshot: Snapshot) {
        let hard_state = std::mem::take(&mut self.hard_state);
        *self = Self::new(snapshot, hard_state);
        self.hard_state.commit = self.hard_state.commit.max(self.first - 1);
    }

    /// Takes a snapshot of our own, and drops what is before `keep_from`, which is not behind it.
    pub(crate) fn compact(&mut self, snapshot: Snapshot, keep_from: u64) {
        self.snapshot = snapshot;
        while self.first < keep_from {
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= size(&entry);
            self.first = entry.index + 1;
            self.term_before = entry.term;
        }
    }

    /// A copy of an entry.
    pub(crate) fn entry(&self, index: u64) -> Option<Entry> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.entries.get(at).cloned()
    }

    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        if index + 1 == self.first {
            return Some(self.term_before);
        }
        if index == self.snapshot.get_metadata().index {
            return Some(self.snapshot.get_metadata().term);
        }
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.entries.get(at).map(|entry| entry.term)
    }
}

fn size(entry: &Entry) -> usize {
    entry.context.len() + entry.data.len() + 32
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.conf_state().clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.first {
            return Err(StorageError::Compacted.into());
        }
        if high > self.last() + 1 {
            return Err(StorageError::Unavailable.into());
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
        let mut sum = 0;
        let mut found = Vec::new();
        for entry in self
            .entries
            .range((low - self.first) as usize..(high - self.first) as usize)
        {
            sum += size(entry) as u64;
            if !found.is_empty() && sum > limit {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index > self.last() {
            return Err(StorageError::Unavailable.into());
        }
        self.term_of(index).ok_or_else(|| StorageError::Compacted.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        if self.snapshot.get_metadata().index < request_index {
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        }
        Ok(self.snapshot.clone())
    }
}
