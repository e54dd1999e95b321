//! A store in memory, for tests and simulation: what was written without a sync may be lost. Must not know: files.

use super::{Store, StoreError};
use crate::engine::{Persist, Restored};

/// A disk as a power failure sees it.
#[derive(Debug, Default)]
pub struct MemoryStore {
    durable: Restored,
    unsynced: Vec<Persist>,
}

impl MemoryStore {
    /// Writes without waiting for the disk. A later sync makes it durable, too.
    pub fn write_behind(&mut self, persist: Persist) {
        self.unsynced.push(persist);
    }

    /// Makes durable what was written up to this number.
    pub fn sync(&mut self, number: u64) {
        while self.unsynced.first().is_some_and(|first| first.number <= number) {
            let first = self.unsynced.remove(0);
            perform(&mut self.durable, first);
        }
    }

    /// A power failure: of what was not synced, the first `kept` writes happen to have reached the disk.
    pub fn lose(&mut self, kept: usize) {
        for persist in std::mem::take(&mut self.unsynced).into_iter().take(kept) {
            perform(&mut self.durable, persist);
        }
    }

    /// Puts this in place of everything.
    pub fn replace(&mut self, with: Restored) {
        self.durable = with;
        self.unsynced.clear();
    }

    /// Writes that were not synced.
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Restored, StoreError> {
        let number = self.unsynced.last().map_or(0, |last| last.number);
        self.sync(number);
        Ok(self.durable.clone())
    }

    fn write(&mut self, batch: &[Persist]) -> Result<(), StoreError> {
        self.unsynced.extend(batch.iter().cloned());
        if batch.iter().any(|persist| persist.sync) {
            self.sync(batch.last().map_or(0, |last| last.number));
        }
        Ok(())
    }
}

fn perform(disk: &mut Restored, persist: Persist) {
    if persist.reset {
        *disk = Restored::default();
    }
    if persist.meta.is_some() {
        disk.meta = persist.meta;
    }
    if persist.hard_state.is_some() {
        disk.hard_state = persist.hard_state;
    }
    if persist.snapshot.is_some() {
        disk.snapshot = persist.snapshot;
    }
    if persist.clear_log {
        disk.entries.clear();
    }
    disk.entries.retain(|entry| entry.index >= persist.compact_to);
    if let Some(first) = persist.entries.first() {
        let index = first.index;
        disk.entries.retain(|entry| entry.index < index);
        disk.entries.extend(persist.entries);
    }
}
