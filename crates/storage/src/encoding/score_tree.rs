//! The order of a large sorted set: a B+tree over (score, id) that counts, so ranks cost O(log n) both ways.
//!
//! It must not know members or how ties are broken: where a search goes is decided by the caller's [`Search`], which
//! says which of some entries stand before the place sought.

mod node;
mod search;
#[cfg(test)]
mod tests;

use super::member_slab::MemberId;
use node::{Edge, Leaf, Node, Totals};
pub(crate) use search::{ById, ByScore, Search};
use std::ops::Range;

/// A member's score and id, as the tree keeps them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Entry {
    /// Never NaN.
    pub(crate) score: f64,
    pub(crate) id: MemberId,
}

/// Entries in the caller's order, by rank (0 = first).
///
/// ```text
/// inner: first entry, count and pointer of each child      first entries are exact: a search never asks for an
///          |            |                                  entry that has been removed
///        inner        inner
///        |   |        |   |
///      leaf leaf ... leaf leaf     scores (63 x 8 bytes) apart from ids (63 x 4): a search reads scores only
/// ```
///
/// Leaves are not linked: an iterator finds the next leaf by its rank, which costs a few nanoseconds per entry.
#[derive(Debug, Clone)]
pub(crate) struct ScoreTree {
    root: Node,
    len: usize,
    totals: Totals,
}

impl ScoreTree {
    pub(crate) fn new() -> Self {
        Self {
            root: Node::new_leaf(),
            len: 0,
            totals: Totals { leaves: 1, inners: 0 },
        }
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many entries stand before the place sought: the rank of the one there.
    #[inline]
    pub(crate) fn rank(&self, mut search: impl Search) -> usize {
        let mut rank = 0;
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return rank + leaf.rank(&mut search),
                Node::Inner(inner) => {
                    let at = inner.child_towards(&mut search);
                    rank += inner.count_before(at);
                    node = inner.child(at);
                }
            }
        }
    }

    /// The entry with this rank.
    pub(crate) fn get(&self, rank: usize) -> Option<Entry> {
        let (leaf, at) = self.leaf(rank)?;
        Some(leaf.get(at))
    }

    /// Adds an entry at the place sought.
    pub(crate) fn insert(&mut self, entry: Entry, mut search: impl Search) {
        self.len += 1;
        let edge = Edge {
            first: true,
            last: true,
        };
        if let Some(right) = self.root.insert(entry, edge, &mut search, &mut self.totals) {
            let left = std::mem::replace(&mut self.root, Node::new_leaf());
            self.root = Node::new_inner(left, right);
            self.totals.inners += 1;
        }
    }

    /// Removes at most `most` entries from `rank` on, all from one leaf, and hands them to `each` in order.
    /// Returns how many; 0 only if the rank is out of range or `most` is 0.
    pub(crate) fn remove_run(&mut self, rank: usize, most: usize, mut each: impl FnMut(Entry)) -> usize {
        if rank >= self.len || most == 0 {
            return 0;
        }
        let removed = self.root.remove_run(rank, most, &mut each, &mut self.totals);
        self.len -= removed;
        while let Some(root) = self.root.only_child() {
            self.root = root;
            self.totals.inners -= 1;
        }
        if self.len == 0 {
            *self = Self::new();
        }
        removed
    }

    /// Changes the score of the entry with this rank, which must keep its place.
    pub(crate) fn set_score(&mut self, rank: usize, score: f64) {
        if rank < self.len {
            self.root.set_score(rank, score);
        }
    }

    /// The entries with these ranks, from either end. The range is cut to what exists.
    pub(crate) fn iter(&self, ranks: Range<usize>) -> TreeIter<'_> {
        let end = ranks.end.min(self.len);
        TreeIter {
            tree: self,
            ranks: ranks.start.min(end)..end,
            front: None,
            back: None,
        }
    }

    /// Heap bytes held.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.totals.heap_bytes()
    }

    /// Heap allocations held.
    pub(crate) fn allocations(&self) -> usize {
        self.totals.leaves + self.totals.inners
    }

    /// The leaf that holds a rank, and where in it.
    fn leaf(&self, mut rank: usize) -> Option<(&Leaf, usize)> {
        if rank >= self.len {
            return None;
        }
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return Some((leaf, rank)),
                Node::Inner(inner) => {
                    let (at, within) = inner.child_at_rank(rank);
                    rank = within;
                    node = inner.child(at);
                }
            }
        }
    }
}

/// Iterator of [`ScoreTree::iter`].
#[derive(Debug, Clone)]
pub(crate) struct TreeIter<'a> {
    tree: &'a ScoreTree,
    ranks: Range<usize>,
    /// The leaf of `ranks.start`, and the entry's place in it.
    front: Option<(&'a Leaf, usize)>,
    /// The leaf of `ranks.end - 1`, and the place behind the entry.
    back: Option<(&'a Leaf, usize)>,
}

impl Iterator for TreeIter<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let rank = self.ranks.next()?;
        let (leaf, at) = match self.front {
            Some((leaf, at)) if at < leaf.len() => (leaf, at),
            Some(_) | None => self.tree.leaf(rank)?,
        };
        self.front = Some((leaf, at + 1));
        Some(leaf.get(at))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl DoubleEndedIterator for TreeIter<'_> {
    fn next_back(&mut self) -> Option<Entry> {
        let rank = self.ranks.next_back()?;
        let (leaf, at) = match self.back {
            Some((leaf, end)) if end > 0 => (leaf, end - 1),
            Some(_) | None => self.tree.leaf(rank)?,
        };
        self.back = Some((leaf, at));
        Some(leaf.get(at))
    }
}

impl ExactSizeIterator for TreeIter<'_> {}
