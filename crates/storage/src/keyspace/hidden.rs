//! Slots whose keys are not shown by walks over all keys: they are on their way from another node, which shows them still.
//! Must not know: why.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::slot::{SLOTS, key_slot};

const WORDS: usize = SLOTS as usize / 64;

/// A set of slots that any thread looks at: one load while it is empty.
#[derive(Debug)]
pub struct Hidden {
    any: AtomicBool,
    words: Box<[AtomicU64; WORDS]>,
}

impl Default for Hidden {
    fn default() -> Self {
        Self {
            any: AtomicBool::new(false),
            words: Box::new([const { AtomicU64::new(0) }; WORDS]),
        }
    }
}

impl Hidden {
    /// Puts these slots (below [`SLOTS`]) in the place of those before.
    pub fn set(&self, slots: impl Iterator<Item = u16>) {
        let mut words = [0u64; WORDS];
        for slot in slots.filter(|slot| *slot < SLOTS) {
            words[usize::from(slot) / 64] |= 1 << (slot % 64);
        }
        for (word, new) in self.words.iter().zip(words) {
            word.store(new, Ordering::Relaxed);
        }
        self.any
            .store(words.iter().any(|word| *word != 0), Ordering::Release);
    }

    /// Whether the key is in one of them.
    #[inline]
    pub fn has(&self, key: &[u8]) -> bool {
        self.any.load(Ordering::Acquire) && self.has_slot(key_slot(key))
    }

    #[cold]
    fn has_slot(&self, slot: u16) -> bool {
        let word = self.words[usize::from(slot) / 64].load(Ordering::Relaxed);
        word >> (slot % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_the_slots_are_hidden() {
        let hidden = Hidden::default();
        assert!(!hidden.has(b"foo"));
        hidden.set([12182, SLOTS - 1, SLOTS].into_iter());
        assert!(hidden.has(b"foo") && hidden.has(b"{foo}x"));
        assert!(!hidden.has(b"bar"));
        hidden.set([5061].into_iter());
        assert!(hidden.has(b"bar") && !hidden.has(b"foo"));
        hidden.set(std::iter::empty());
        assert!(!hidden.has(b"bar"));
    }
}
