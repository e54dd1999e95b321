//! Which clients have been told the value of which key.
//!
//! ```text
//! part (hash of the key) -> lock -> key -> ids of clients, ascending
//! ```
//!
//! Must not know: messages, modes of tracking.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};

use indexmap::IndexMap;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use crate::client::{Clients, flag};

/// Ids of clients, ascending.
pub type Ids = SmallVec<[u64; 3]>;

type Part = IndexMap<Box<[u8]>, Ids, foldhash::fast::RandomState>;

/// Parts, so that readers seldom meet.
const PARTS: usize = 128;
/// From this number of ids on, and whenever it has doubled, those of clients that are gone are dropped: a key that
/// never changes would collect them for ever.
const CROWD: usize = 32;

#[repr(align(128))]
#[derive(Debug, Default)]
struct Padded(Mutex<Part>);

/// See the module's documentation.
#[derive(Debug)]
pub struct Table {
    parts: Box<[Padded]>,
    hasher: foldhash::fast::RandomState,
    keys: AtomicUsize,
    items: AtomicUsize,
    /// Part that has to give up a key next.
    next: AtomicUsize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Padded::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            keys: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        }
    }
}

impl Table {
    fn part(&self, key: &[u8]) -> MutexGuard<'_, Part> {
        self.parts[self.hasher.hash_one(key) as usize % PARTS].0.lock()
    }

    /// Notes that a client has been told a key's value.
    pub fn remember(&self, key: &[u8], id: u64, clients: &Clients) {
        let mut part = self.part(key);
        let ids = if let Some(at) = part.get_index_of(key) {
            &mut part[at]
        } else {
            self.keys.fetch_add(1, Ordering::Relaxed);
            part.entry(key.into()).or_default()
        };
        if let Err(at) = ids.binary_search(&id) {
            ids.insert(at, id);
            let mut grown = 1;
            if ids.len() >= CROWD && ids.len().is_power_of_two() {
                let before = ids.len();
                ids.retain(|id| clients.get(*id).is_some_and(|c| c.has_flag(flag::TRACKING)));
                grown -= (before - ids.len()) as isize;
            }
            self.items.fetch_add(grown as usize, Ordering::Relaxed); // wraps around where it shrinks
        }
    }

    fn removed(&self, ids: &Ids) {
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.items.fetch_sub(ids.len(), Ordering::Relaxed);
    }

    /// Forgets a key; who has been told its value.
    pub fn forget(&self, key: &[u8]) -> Option<Ids> {
        let ids = self.part(key).swap_remove(key)?;
        self.removed(&ids);
        Some(ids)
    }

    /// Forgets some key.
    pub fn forget_any(&self) -> Option<(Box<[u8]>, Ids)> {
        for _ in 0..PARTS {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let mut part = self.parts[next % PARTS].0.lock();
            if part.is_empty() {
                continue;
            }
            // Any place will do: keys move about when others are removed.
            let at = (next / PARTS) % part.len();
            let (key, ids) = part.swap_remove_index(at)?;
            self.removed(&ids);
            return Some((key, ids));
        }
        None
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for part in &self.parts {
            let gone = std::mem::take(&mut *part.0.lock());
            self.keys.fetch_sub(gone.len(), Ordering::Relaxed);
            let items = gone.values().map(SmallVec::len).sum();
            self.items.fetch_sub(items, Ordering::Relaxed);
        }
    }

    /// True if there are more than so many keys (0: any number is right).
    pub fn is_over(&self, max_keys: usize) -> bool {
        max_keys > 0 && self.keys.load(Ordering::Relaxed) > max_keys
    }

    /// Number of keys, and of pairs of a key and a client.
    pub fn figures(&self) -> (usize, usize) {
        (
            self.keys.load(Ordering::Relaxed),
            self.items.load(Ordering::Relaxed),
        )
    }
}
