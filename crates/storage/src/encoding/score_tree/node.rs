//! The nodes of the score tree: how entries move when a node fills or empties.
//!
//! It must not know ranks beyond a node's own subtree. All leaves have one depth; a node other than the root is never
//! empty, and holds at least a quarter of its capacity except along the edges that grew by appending.

use super::search::LINE;
use super::{Entry, Search};

/// Entries of a leaf: 12 bytes each, a spare score and a length fill 768 bytes, a size of the allocator.
const LEAF: usize = 63;
/// Children of an inner node: 32 bytes each, a spare score and a length fill 1024 bytes.
const INNER: usize = 31;

/// Room for scores: whole cache lines, the last place always vacant.
const LEAF_SCORES: usize = LEAF.next_multiple_of(LINE);
const INNER_SCORES: usize = INNER.next_multiple_of(LINE);

const _: () = assert!(size_of::<Leaf>() <= 768 && size_of::<Inner>() <= 1024);

/// How many nodes there are.
#[derive(Debug, Clone)]
pub(super) struct Totals {
    pub(super) leaves: usize,
    pub(super) inners: usize,
}

impl Totals {
    pub(super) fn heap_bytes(&self) -> usize {
        self.leaves * size_of::<Leaf>() + self.inners * size_of::<Inner>()
    }
}

/// Whether a node is the first or last of its depth. Splits there leave the old node full, so sets filled in order
/// (timestamps, counters) have full leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) first: bool,
    pub(super) last: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Leaf(Box<Leaf>),
    Inner(Box<Inner>),
}

#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// Vacant ones are NaN, for which no comparison holds.
    scores: [f64; LEAF_SCORES],
    ids: [u32; LEAF],
    len: u16,
}

#[derive(Debug, Clone)]
pub(super) struct Inner {
    /// First scores, first ids and counts of the children; vacant scores are NaN.
    scores: [f64; INNER_SCORES],
    ids: [u32; INNER],
    counts: [u32; INNER],
    children: [Option<Node>; INNER],
    len: u16,
}

/// What an inner node knows of a child.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Head {
    first: Entry,
    count: u32,
}

impl Node {
    pub(super) fn new_leaf() -> Self {
        Node::Leaf(Box::new(Leaf::empty()))
    }

    pub(super) fn new_inner(left: Node, right: Node) -> Self {
        let mut inner = Box::new(Inner::empty());
        inner.insert_child(0, left);
        inner.insert_child(1, right);
        Node::Inner(inner)
    }

    /// Adds an entry; a node split off to the right is returned.
    pub(super) fn insert<S: Search>(
        &mut self,
        entry: Entry,
        edge: Edge,
        search: &mut S,
        totals: &mut Totals,
    ) -> Option<Node> {
        match self {
            Node::Leaf(leaf) => {
                let right = leaf.insert(entry, edge, search)?;
                totals.leaves += 1;
                Some(Node::Leaf(right))
            }
            Node::Inner(inner) => {
                let right = inner.insert(entry, edge, search, totals)?;
                totals.inners += 1;
                Some(Node::Inner(right))
            }
        }
    }

    /// Removes at most `most` entries of one leaf, from `rank` on; returns how many. The rank must exist.
    pub(super) fn remove_run<F: FnMut(Entry)>(
        &mut self,
        rank: usize,
        most: usize,
        each: &mut F,
        totals: &mut Totals,
    ) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.remove_run(rank, most, each),
            Node::Inner(inner) => inner.remove_run(rank, most, each, totals),
        }
    }

    /// Sets the score of the entry at `rank`, which must exist.
    pub(super) fn set_score(&mut self, rank: usize, score: f64) {
        match self {
            Node::Leaf(leaf) => leaf.scores[rank] = score,
            Node::Inner(inner) => {
                let (at, within) = inner.child_at_rank(rank);
                inner.child_mut(at).set_score(within, score);
                inner.refresh_first(at);
            }
        }
    }

    /// Takes the child of an inner node that has only one.
    pub(super) fn only_child(&mut self) -> Option<Node> {
        match self {
            Node::Leaf(_) => None,
            Node::Inner(inner) if inner.len == 1 => inner.children[0].take(),
            Node::Inner(_) => None,
        }
    }

    fn head(&self) -> Head {
        match self {
            Node::Leaf(leaf) => Head {
                first: leaf.get(0),
                count: u32::from(leaf.len),
            },
            Node::Inner(inner) => Head {
                first: inner.first(0),
                count: inner.counts[..inner.len()].iter().sum(),
            },
        }
    }

    fn first(&self) -> Entry {
        match self {
            Node::Leaf(leaf) => leaf.get(0),
            Node::Inner(inner) => inner.first(0),
        }
    }

    fn is_underfull(&self) -> bool {
        match self {
            Node::Leaf(leaf) => leaf.len() < LEAF / 4,
            Node::Inner(inner) => inner.len() < INNER / 4,
        }
    }
}

impl Leaf {
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn get(&self, at: usize) -> Entry {
        Entry {
            score: self.scores[at],
            id: self.ids[at],
        }
    }

    pub(super) fn rank<S: Search>(&self, search: &mut S) -> usize {
        search.place(&self.scores, &self.ids[..self.len()])
    }

    fn empty() -> Self {
        Self {
            scores: [f64::NAN; LEAF_SCORES],
            ids: [0; LEAF],
            len: 0,
        }
    }

    fn insert<S: Search>(&mut self, entry: Entry, edge: Edge, search: &mut S) -> Option<Box<Leaf>> {
        let at = self.rank(search);
        if self.len() < LEAF {
            self.insert_at(at, entry);
            return None;
        }
        let keep = match edge {
            Edge { last: true, .. } if at == LEAF => LEAF,
            Edge { first: true, .. } if at == 0 => 0,
            Edge { .. } => LEAF / 2,
        };
        let mut right = Box::new(Leaf::empty());
        self.move_tail(keep, &mut right);
        if at <= keep && keep < LEAF {
            self.insert_at(at, entry);
        } else {
            right.insert_at(at - keep, entry);
        }
        Some(right)
    }

    fn insert_at(&mut self, at: usize, entry: Entry) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.ids.copy_within(at..len, at + 1);
        self.scores[at] = entry.score;
        self.ids[at] = entry.id;
        self.len += 1;
    }

    fn remove_run<F: FnMut(Entry)>(&mut self, from: usize, most: usize, each: &mut F) -> usize {
        let to = self.len().min(from.saturating_add(most));
        (from..to).for_each(|at| each(self.get(at)));
        self.cut(from, to);
        to - from
    }

    fn cut(&mut self, from: usize, to: usize) {
        let len = self.len();
        self.scores.copy_within(to..len, from);
        self.scores[len - (to - from)..len].fill(f64::NAN);
        self.ids.copy_within(to..len, from);
        self.len -= (to - from) as u16;
    }

    /// Moves the entries from `from` on to the front of `right`.
    fn move_tail(&mut self, from: usize, right: &mut Leaf) {
        let (len, moved, held) = (self.len(), self.len() - from, right.len());
        right.scores.copy_within(..held, moved);
        right.ids.copy_within(..held, moved);
        right.scores[..moved].copy_from_slice(&self.scores[from..len]);
        self.scores[from..len].fill(f64::NAN);
        right.ids[..moved].copy_from_slice(&self.ids[from..len]);
        self.len = from as u16;
        right.len += moved as u16;
    }

    /// Moves the first `moved` entries of `right` behind these.
    fn move_head(&mut self, right: &mut Leaf, moved: usize) {
        let len = self.len();
        self.scores[len..len + moved].copy_from_slice(&right.scores[..moved]);
        self.ids[len..len + moved].copy_from_slice(&right.ids[..moved]);
        self.len += moved as u16;
        right.cut(0, moved);
    }
}

impl Inner {
    /// The child in which a search goes on.
    #[inline]
    pub(super) fn child_towards<S: Search>(&self, search: &mut S) -> usize {
        // What stands before the first child's first entry goes to the first child too.
        search
            .place(&self.scores, &self.ids[..self.len()])
            .saturating_sub(1)
    }

    /// The child that holds a rank of this subtree, and the rank within it. The rank must exist.
    pub(super) fn child_at_rank(&self, mut rank: usize) -> (usize, usize) {
        let mut at = 0;
        while rank >= self.counts[at] as usize {
            rank -= self.counts[at] as usize;
            at += 1;
        }
        (at, rank)
    }

    pub(super) fn count_before(&self, at: usize) -> usize {
        self.counts[..at].iter().sum::<u32>() as usize
    }

    pub(super) fn child(&self, at: usize) -> &Node {
        self.children[at].as_ref().expect("children stand at 0..len")
    }

    fn child_mut(&mut self, at: usize) -> &mut Node {
        self.children[at].as_mut().expect("children stand at 0..len")
    }

    fn len(&self) -> usize {
        self.len as usize
    }

    fn empty() -> Self {
        Self {
            scores: [f64::NAN; INNER_SCORES],
            ids: [0; INNER],
            counts: [0; INNER],
            children: [const { None }; INNER],
            len: 0,
        }
    }

    fn first(&self, at: usize) -> Entry {
        Entry {
            score: self.scores[at],
            id: self.ids[at],
        }
    }

    fn set_first(&mut self, at: usize, first: Entry) {
        self.scores[at] = first.score;
        self.ids[at] = first.id;
    }

    fn refresh_first(&mut self, at: usize) {
        self.set_first(at, self.child(at).first());
    }

    fn refresh(&mut self, at: usize) {
        let Head { first, count } = self.child(at).head();
        self.set_first(at, first);
        self.counts[at] = count;
    }

    fn insert<S: Search>(
        &mut self,
        entry: Entry,
        edge: Edge,
        search: &mut S,
        totals: &mut Totals,
    ) -> Option<Box<Inner>> {
        let at = self.child_towards(search);
        let child_edge = Edge {
            first: edge.first && at == 0,
            last: edge.last && at + 1 == self.len(),
        };
        let Some(right) = self.child_mut(at).insert(entry, child_edge, search, totals) else {
            self.counts[at] += 1;
            self.refresh_first(at);
            return None;
        };
        self.refresh(at);
        self.insert_or_split(at + 1, right, edge)
    }

    fn insert_or_split(&mut self, at: usize, child: Node, edge: Edge) -> Option<Box<Inner>> {
        if self.len() < INNER {
            self.insert_child(at, child);
            return None;
        }
        let keep = match edge {
            Edge { last: true, .. } if at == INNER => INNER,
            Edge { first: true, .. } if at == 1 => 1,
            Edge { .. } => INNER / 2,
        };
        let mut right = Box::new(Inner::empty());
        self.move_tail(keep, &mut right);
        if at <= keep && keep < INNER {
            self.insert_child(at, child);
        } else {
            right.insert_child(at - keep, child);
        }
        Some(right)
    }

    fn remove_run<F: FnMut(Entry)>(
        &mut self,
        rank: usize,
        most: usize,
        each: &mut F,
        totals: &mut Totals,
    ) -> usize {
        let (at, within) = self.child_at_rank(rank);
        let removed = self.child_mut(at).remove_run(within, most, each, totals);
        self.counts[at] -= removed as u32;
        if self.counts[at] == 0 {
            self.remove_child(at, totals);
            return removed;
        }
        self.refresh_first(at);
        if self.child(at).is_underfull() && self.len() > 1 {
            self.even_out(at.saturating_sub(1), totals);
        }
        removed
    }

    /// Merges the child `at` with the next one, or spreads their entries evenly if they do not fit in one.
    fn even_out(&mut self, at: usize, totals: &mut Totals) {
        let (left, right) = self.children.split_at_mut(at + 1);
        let merged = match (&mut left[at], &mut right[0]) {
            (Some(Node::Leaf(left)), Some(Node::Leaf(right))) => {
                let half = (left.len() + right.len()) / 2;
                if left.len() + right.len() <= LEAF {
                    left.move_head(right, right.len());
                } else if left.len() > half {
                    left.move_tail(half, right);
                } else {
                    left.move_head(right, half - left.len());
                }
                right.len == 0
            }
            (Some(Node::Inner(left)), Some(Node::Inner(right))) => {
                let half = (left.len() + right.len()) / 2;
                if left.len() + right.len() <= INNER {
                    left.move_head(right, right.len());
                } else if left.len() > half {
                    left.move_tail(half, right);
                } else {
                    left.move_head(right, half - left.len());
                }
                right.len == 0
            }
            (Some(Node::Leaf(_)), Some(Node::Inner(_)) | None)
            | (Some(Node::Inner(_)), Some(Node::Leaf(_)) | None)
            | (None, _) => return,
        };
        self.refresh(at);
        if merged {
            self.remove_child(at + 1, totals);
        } else {
            self.refresh(at + 1);
        }
    }

    fn insert_child(&mut self, at: usize, child: Node) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.ids.copy_within(at..len, at + 1);
        self.counts.copy_within(at..len, at + 1);
        self.children[at..=len].rotate_right(1);
        self.children[at] = Some(child);
        self.len += 1;
        self.refresh(at);
    }

    /// Drops an emptied child.
    fn remove_child(&mut self, at: usize, totals: &mut Totals) {
        match &self.children[at] {
            Some(Node::Leaf(_)) => totals.leaves -= 1,
            Some(Node::Inner(_)) => totals.inners -= 1,
            None => {}
        }
        self.children[at] = None;
        self.cut(at, at + 1);
    }

    /// Closes the gap of children that have been taken.
    fn cut(&mut self, from: usize, to: usize) {
        let len = self.len();
        self.scores.copy_within(to..len, from);
        self.scores[len - (to - from)..len].fill(f64::NAN);
        self.ids.copy_within(to..len, from);
        self.counts.copy_within(to..len, from);
        self.children[from..len].rotate_left(to - from);
        self.len -= (to - from) as u16;
    }

    /// Moves the children from `from` on to the front of `right`.
    fn move_tail(&mut self, from: usize, right: &mut Inner) {
        let (len, moved, held) = (self.len(), self.len() - from, right.len());
        right.scores.copy_within(..held, moved);
        right.ids.copy_within(..held, moved);
        right.counts.copy_within(..held, moved);
        right.scores[..moved].copy_from_slice(&self.scores[from..len]);
        self.scores[from..len].fill(f64::NAN);
        right.ids[..moved].copy_from_slice(&self.ids[from..len]);
        right.counts[..moved].copy_from_slice(&self.counts[from..len]);
        right.children[..held + moved].rotate_right(moved);
        right.children[..moved].swap_with_slice(&mut self.children[from..len]);
        self.len = from as u16;
        right.len += moved as u16;
    }

    /// Moves the first `moved` children of `right` behind these.
    fn move_head(&mut self, right: &mut Inner, moved: usize) {
        let len = self.len();
        self.scores[len..len + moved].copy_from_slice(&right.scores[..moved]);
        self.ids[len..len + moved].copy_from_slice(&right.ids[..moved]);
        self.counts[len..len + moved].copy_from_slice(&right.counts[..moved]);
        self.children[len..len + moved].swap_with_slice(&mut right.children[..moved]);
        self.len += moved as u16;
        right.cut(0, moved);
    }
}

#[cfg(test)]
impl Node {
    /// Asserts what an inner node knows of its children, returns the depth and counts the nodes.
    pub(super) fn audit(&self, totals: &mut Totals) -> usize {
        match self {
            Node::Leaf(leaf) => {
                totals.leaves += 1;
                assert!(leaf.scores[leaf.len()..].iter().all(|score| score.is_nan()));
                0
            }
            Node::Inner(inner) => {
                totals.inners += 1;
                let depths: Vec<usize> = (0..inner.len())
                    .map(|at| {
                        let known = Head {
                            first: inner.first(at),
                            count: inner.counts[at],
                        };
                        let found = inner.child(at).head();
                        assert_eq!(known, found);
                        assert!(known.count > 0);
                        inner.child(at).audit(totals)
                    })
                    .collect();
                assert!(depths.windows(2).all(|pair| pair[0] == pair[1]));
                assert!(inner.scores[inner.len()..].iter().all(|score| score.is_nan()));
                assert!(inner.children[inner.len()..].iter().all(Option::is_none));
                depths[0] + 1
            }
        }
    }
}
