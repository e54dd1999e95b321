//! An ordered map in blocks that a copy shares: a copy costs a step for each block, and the first change of a block after
//! that copies the block.
//!
//! ```text
//!   first key of the block -> [ (k, v) (k, v) ... ]   up to N, ascending
//! ```
//!
//! Keys that come in ascending order fill their blocks.
//!
//! Must not know: what keys and values are.

use std::collections::{BTreeMap, btree_map};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

type Block<K, V> = Arc<Vec<(K, V)>>;

/// See the module's documentation. A block has at most `N` entries.
#[derive(Clone, Debug)]
pub struct BlockMap<K, V, const N: usize> {
    /// By a key that is not greater than the first of the block, and greater than all of the block before.
    blocks: BTreeMap<K, Block<K, V>>,
    len: usize,
}

impl<K, V, const N: usize> Default for BlockMap<K, V, N> {
    fn default() -> Self {
        Self {
            blocks: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<K: Ord + Copy, V: Clone, const N: usize> BlockMap<K, V, N> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap, those of values aside.
    pub fn memory_usage(&self) -> usize {
        /// Of a block beside its entries: its place in the tree, and counters.
        const BLOCK: usize = 64;
        self.blocks.len() * BLOCK + self.len * size_of::<(K, V)>() * 9 / 8
    }

    /// Number of allocations, roughly.
    pub fn allocations(&self) -> usize {
        2 * self.blocks.len()
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let (_, block) = self.blocks.range(..=*key).next_back()?;
        let at = block.binary_search_by_key(key, |(k, _)| *k).ok()?;
        Some(&block[at].1)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (_, block) = self.blocks.range_mut(..=*key).next_back()?;
        let at = block.binary_search_by_key(key, |(k, _)| *k).ok()?;
        Some(&mut Arc::make_mut(block)[at].1)
    }

    /// Puts a value and gives the one back that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.blocks.range(..=key).next_back().is_none() {
            // Less than all that are there: the first block begins with it.
            let first = self.blocks.pop_first().map(|(_, block)| block);
            self.blocks.insert(key, first.unwrap_or_default());
        }
        let (_, block) = self.blocks.range_mut(..=key).next_back()?;
        match block.binary_search_by_key(&key, |(k, _)| *k) {
            Ok(at) => return Some(std::mem::replace(&mut Arc::make_mut(block)[at].1, value)),
            Err(at) if block.len() < N => Arc::make_mut(block).insert(at, (key, value)),
            // It is full, and the key is behind it.
            Err(at) if at == block.len() => {
                self.blocks.insert(key, Arc::new(vec![(key, value)]));
            }
            Err(at) => {
                let block = Arc::make_mut(block);
                let mut upper = block.split_off(N / 2);
                match at.checked_sub(N / 2) {
                    Some(at) => upper.insert(at, (key, value)),
                    None => block.insert(at, (key, value)),
                }
                let middle = upper[0].0;
                self.blocks.insert(middle, Arc::new(upper));
            }
        }
        self.len += 1;
        None
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (&first, block) = self.blocks.range_mut(..=*key).next_back()?;
        let at = block.binary_search_by_key(key, |(k, _)| *k).ok()?;
        let block = Arc::make_mut(block);
        let (_, value) = block.remove(at);
        self.len -= 1;
        if block.is_empty() {
            self.blocks.remove(&first);
        } else if block.len() < block.capacity() / 4 {
            let room = block.len() * 2;
            block.shrink_to(room);
        }
        Some(value)
    }

    /// All entries, ascending.
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.range(..)
    }

    /// The entries of a range of keys, from either end.
    pub fn range(&self, range: impl RangeBounds<K>) -> Iter<'_, K, V> {
        let (from, to) = (range.start_bound().cloned(), range.end_bound().cloned());
        if !is_range(from, to) {
            return Iter::default();
        }
        // The block that begins before the range may reach into it.
        let first = match from {
            Bound::Included(key) | Bound::Excluded(key) => {
                self.blocks.range(..=key).next_back().map(|(first, _)| *first)
            }
            Bound::Unbounded => None,
        };
        let begin = match (first, from) {
            (Some(first), _) => Bound::Included(first),
            (None, from) => from,
        };
        Iter {
            from,
            to,
            blocks: self.blocks.range((begin, to)),
            front: [].iter(),
            back: [].iter(),
        }
    }
}

/// Whether keys can lie between the bounds: `BTreeMap` panics if not.
fn is_range<K: Ord>(from: Bound<K>, to: Bound<K>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from <= to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from < to
        }
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
    }
}

/// Entries of a [`BlockMap`], ascending, from either end.
#[derive(Clone, Debug)]
pub struct Iter<'a, K, V> {
    from: Bound<K>,
    to: Bound<K>,
    blocks: btree_map::Range<'a, K, Block<K, V>>,
    front: std::slice::Iter<'a, (K, V)>,
    back: std::slice::Iter<'a, (K, V)>,
}

impl<K, V> Default for Iter<'_, K, V> {
    fn default() -> Self {
        Self {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            blocks: btree_map::Range::default(),
            front: [].iter(),
            back: [].iter(),
        }
    }
}

impl<'a, K: Ord + Copy, V> Iter<'a, K, V> {
    /// What of a block lies within the bounds.
    fn within(&self, block: &'a [(K, V)]) -> std::slice::Iter<'a, (K, V)> {
        let begin = match self.from {
            Bound::Included(from) => block.partition_point(|(k, _)| *k < from),
            Bound::Excluded(from) => block.partition_point(|(k, _)| *k <= from),
            Bound::Unbounded => 0,
        };
        let end = match self.to {
            Bound::Included(to) => block.partition_point(|(k, _)| *k <= to),
            Bound::Excluded(to) => block.partition_point(|(k, _)| *k < to),
            Bound::Unbounded => block.len(),
        };
        block[begin..end.max(begin)].iter()
    }
}

impl<'a, K: Ord + Copy, V> Iterator for Iter<'a, K, V> {
    type Item = (K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.front.next() {
                return Some((*key, value));
            }
            match self.blocks.next() {
                Some((_, block)) => self.front = self.within(block),
                None => return self.back.next().map(|(key, value)| (*key, value)),
            }
        }
    }
}

impl<K: Ord + Copy, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.back.next_back() {
                return Some((*key, value));
            }
            match self.blocks.next_back() {
                Some((_, block)) => self.back = self.within(block),
                None => return self.front.next_back().map(|(key, value)| (*key, value)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u32),
        Remove(u8),
        Change(u8, u32),
        Copy,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any::<u8>(), any::<u32>()).prop_map(|(k, v)| Step::Insert(k, v)),
            3 => any::<u8>().prop_map(Step::Remove),
            1 => (any::<u8>(), any::<u32>()).prop_map(|(k, v)| Step::Change(k, v)),
            1 => Just(Step::Copy),
        ]
    }

    fn bound(kind: u8, key: u8) -> Bound<u8> {
        match kind % 3 {
            0 => Bound::Included(key),
            1 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_its_copies_stay_as_they_were(
            steps in prop::collection::vec(step(), 0..400),
            ranges in prop::collection::vec(any::<(u8, u8, u8, u8)>(), 1..20),
        ) {
            let (mut map, mut model) = (BlockMap::<u8, u32, 4>::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(k, v) => prop_assert_eq!(map.insert(k, v), model.insert(k, v)),
                    Step::Remove(k) => prop_assert_eq!(map.remove(&k), model.remove(&k)),
                    Step::Change(k, v) => {
                        if let Some(old) = map.get_mut(&k) {
                            *old = v;
                        }
                        model.entry(k).and_modify(|old| *old = v);
                    }
                    Step::Copy => copies.push((map.clone(), model.clone())),
                }
            }
            copies.push((map, model));
            for (map, model) in copies {
                prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
                prop_assert!((0..=u8::MAX).all(|k| map.get(&k) == model.get(&k)));
                for &(a, from, b, to) in &ranges {
                    let range = (bound(a, from), bound(b, to));
                    let expected: Vec<_> = match is_range(range.0, range.1) {
                        true => model.range(range).map(|(k, v)| (*k, *v)).collect(),
                        false => Vec::new(),
                    };
                    let found: Vec<_> = map.range(range).map(|(k, v)| (k, *v)).collect();
                    prop_assert_eq!(&found, &expected);
                    let mut both = map.range(range);
                    let (mut front, mut back) = (Vec::new(), Vec::new());
                    while let Some((k, v)) = both.next() {
                        front.push((k, *v));
                        let Some((k, v)) = both.next_back() else { break };
                        back.push((k, *v));
                    }
                    back.reverse();
                    prop_assert_eq!([front, back].concat(), expected);
                }
            }
        }
    }

    #[test]
    fn ascending_keys_fill_their_blocks() {
        let mut map = BlockMap::<u32, (), 8>::default();
        (0..80).for_each(|k| _ = map.insert(k, ()));
        assert_eq!(map.blocks.len(), 10);
        (0..72).for_each(|k| _ = map.remove(&k));
        assert_eq!(map.blocks.len(), 1);
    }
}
