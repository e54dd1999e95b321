//! Sets of hash slots. Must not know: who owns them.

use std::fmt;

/// Number of hash slots of a cluster (Redis Cluster specification).
pub const SLOTS: u16 = 16384;

const WORDS: usize = SLOTS as usize / 64;

/// A set of hash slots: a bitmap of 2 KiB.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet {
    words: Box<[u64; WORDS]>,
}

impl SlotSet {
    /// The empty set.
    pub fn new() -> Self {
        Self {
            words: Box::new([0; WORDS]),
        }
    }

    /// All slots.
    pub fn all() -> Self {
        Self {
            words: Box::new([u64::MAX; WORDS]),
        }
    }

    /// The set of these ranges, both ends included; `None` if one is reversed or beyond [`SLOTS`].
    pub fn from_ranges(ranges: impl IntoIterator<Item = (u16, u16)>) -> Option<Self> {
        let mut set = Self::new();
        for (first, last) in ranges {
            if first > last || last >= SLOTS {
                return None;
            }
            (first..=last).for_each(|slot| set.insert(slot));
        }
        Some(set)
    }

    /// Adds a slot. It must be below [`SLOTS`].
    pub fn insert(&mut self, slot: u16) {
        self.words[usize::from(slot) / 64] |= 1 << (slot % 64);
    }

    /// Takes a slot out.
    pub fn remove(&mut self, slot: u16) {
        self.words[usize::from(slot) / 64] &= !(1 << (slot % 64));
    }

    /// Whether the slot is in the set. Slots beyond [`SLOTS`] are in none.
    pub fn contains(&self, slot: u16) -> bool {
        self.words
            .get(usize::from(slot) / 64)
            .is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Number of slots in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no slot is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The lowest slot that both sets have.
    pub fn common(&self, other: &Self) -> Option<u16> {
        self.iter().find(|slot| other.contains(*slot))
    }

    /// Adds all slots of another set.
    pub fn extend_from(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(other.words.iter()) {
            *word |= more;
        }
    }

    /// The slots, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.words.iter().zip(0u16..).flat_map(|(word, at)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = u16::try_from(rest.trailing_zeros())
                    .ok()
                    .filter(|bit| *bit < 64)?;
                rest &= rest - 1;
                Some(at * 64 + bit)
            })
        })
    }

    /// The maximal ranges of neighbouring slots, ascending, both ends included: what CLUSTER SLOTS and NODES show.
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == slot => *last = slot,
                Some(_) | None => ranges.push((slot, slot)),
            }
        }
        ranges
    }
}

impl Default for SlotSet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ranges()).finish()
    }
}

impl FromIterator<u16> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u16>>(slots: I) -> Self {
        let mut set = Self::new();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_beyond_the_table_or_reversed_are_none() {
        assert_eq!(SlotSet::from_ranges([(5, 4)]), None);
        assert_eq!(SlotSet::from_ranges([(0, SLOTS)]), None);
        assert_eq!(SlotSet::from_ranges([(0, SLOTS - 1)]), Some(SlotSet::all()));
    }

    proptest! {
        #[test]
        fn ranges_name_the_same_set(slots in proptest::collection::btree_set(0..SLOTS, 0..200)) {
            let set: SlotSet = slots.iter().copied().collect();
            prop_assert_eq!(set.len(), slots.len());
            prop_assert!(set.iter().eq(slots.iter().copied()));
            prop_assert_eq!(SlotSet::from_ranges(set.ranges()), Some(set));
        }
    }
}
