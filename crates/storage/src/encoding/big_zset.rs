//! The large sorted set: members in a slab, found by hash and by order through two structures of ids.
//!
//! It must not know when a sorted set becomes large. Per member of 17 bytes it takes about 26 (slab) + 8 (index)
//! + 18 (tree) bytes; measured with jemalloc at a million members: 56 to 60 bytes of resident memory in all.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use super::member_index::MemberIndex;
use super::member_slab::{MemberId, MemberSlab};
use super::prefetch::Stage;
use super::score_tree::{ById, ByScore, Entry, ScoreTree, Search, TreeIter};
use super::undo::{UndoSlot, weight};

/// The last member that a snapshot's walk has seen, and its score.
type Seen = Option<(f64, Box<[u8]>)>;

/// A set of members ordered by score, then by bytes.
///
/// ```text
/// member --hash--> MemberIndex --id--> MemberSlab: score, bytes
///                                          ^ id
/// rank, score ---------------------> ScoreTree: (score, id) in order
/// ```
///
/// Each operation touches a bounded number of buckets, nodes and pages: nothing grows or shrinks as a whole.
#[derive(Debug, Clone)]
pub struct BigZset {
    slab: MemberSlab,
    index: MemberIndex,
    tree: ScoreTree,
    hasher: foldhash::quality::RandomState,
    /// A snapshot that is in the middle of the set.
    pub(crate) undo: UndoSlot<Seen, f64>,
}

impl Default for BigZset {
    fn default() -> Self {
        Self::new()
    }
}

impl BigZset {
    /// An empty set.
    pub fn new() -> Self {
        Self {
            slab: MemberSlab::new(),
            index: MemberIndex::new(),
            tree: ScoreTree::new(),
            hasher: foldhash::quality::RandomState::default(),
            undo: UndoSlot::default(),
        }
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        let id = self.find(self.hash(member), member)?;
        Some(self.slab.get(id).0)
    }

    /// Asks for what a look-up of the member reads.
    #[inline]
    pub(crate) fn prefetch(&self, member: &[u8], stage: Stage) {
        let hash = self.hash(member);
        match stage {
            Stage::Slot => self.index.prefetch(hash),
            Stage::Element => {
                // The first whose tag fits is most likely the one.
                self.index.find(hash, |id| {
                    self.slab.prefetch(id);
                    true
                });
            }
        }
    }

    /// Adds a member or changes its score; returns the score it had. `score` is not NaN.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let hash = self.hash(member);
        if let Some(id) = self.find(hash, member) {
            let old = self.slab.get(id).0;
            if old != score {
                if self.undo.is_open() {
                    self.keep_old(member, Some(old), Some(score));
                }
                self.move_to(Entry { score: old, id }, score, member);
            }
            return Some(old);
        }
        if self.undo.is_open() {
            self.keep_old(member, None, Some(score));
        }
        let id = self.slab.alloc(score, member);
        let slab = &self.slab;
        self.tree
            .insert(Entry { score, id }, place_of(slab, Entry { score, id }, member));
        self.index
            .insert(hash, id, |id| hash_with(&self.hasher, slab.member(id)));
        None
    }

    /// Removes a member; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let hash = self.hash(member);
        let id = self.find(hash, member)?;
        let score = self.slab.get(id).0;
        if self.undo.is_open() {
            self.keep_old(member, Some(score), None);
        }
        let rank = self.rank_of(Entry { score, id }, member);
        self.tree.remove_run(rank, 1, |_| ());
        self.index.remove(hash, id);
        self.slab.free(id);
        Some(score)
    }

    /// Removes the members with these ranks and hands each to `each`, in order; returns how many.
    pub fn remove_range(&mut self, ranks: Range<usize>, mut each: impl FnMut(&[u8], f64)) -> usize {
        let mut left = ranks.end.min(self.len()).saturating_sub(ranks.start);
        let removed = left;
        let mut run = Vec::new();
        while left > 0 {
            left -= self.tree.remove_run(ranks.start, left, |entry| run.push(entry));
            for Entry { score, id } in run.drain(..) {
                if self.undo.is_open() {
                    let member: Box<[u8]> = self.slab.member(id).into();
                    self.keep_old(&member, Some(score), None);
                }
                let member = self.slab.member(id);
                each(member, score);
                let hash = hash_with(&self.hasher, member);
                self.index.remove(hash, id);
                self.slab.free(id);
            }
        }
        removed
    }

    /// The rank of a member; 0 is the lowest.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        let id = self.find(self.hash(member), member)?;
        let score = self.slab.get(id).0;
        Some(self.rank_of(Entry { score, id }, member))
    }

    /// How many members have a lower score; with `or_equal`, also those of this score.
    pub fn count_below(&self, score: f64, or_equal: bool) -> usize {
        self.tree.rank(ByScore {
            score,
            tie: |_| or_equal,
        })
    }

    /// How many members stand before: `before` says it of their bytes, and must hold for the first so many and no
    /// others.
    pub fn count_by_member(&self, mut before: impl FnMut(&[u8]) -> bool) -> usize {
        self.tree.rank(ById(|id| before(self.slab.member(id))))
    }

    /// The member with this rank.
    pub fn get(&self, rank: usize) -> Option<(&[u8], f64)> {
        let entry = self.tree.get(rank)?;
        Some((self.slab.member(entry.id), entry.score))
    }

    /// The members with these ranks, from either end; the range is cut to what exists.
    pub fn iter(&self, ranks: Range<usize>) -> BigIter<'_> {
        BigIter {
            slab: &self.slab,
            entries: self.tree.iter(ranks),
        }
    }

    /// One step of a scan: hands some members to `each`; returns the next cursor, 0 at the end. A member that is
    /// present from the first call to the last is handed over at least once.
    pub fn scan(&self, cursor: u64, mut each: impl FnMut(&[u8], f64)) -> u64 {
        self.index.scan(cursor, |id| {
            let (score, member) = self.slab.get(id);
            each(member, score);
        })
    }

    /// Heap bytes held, without the allocator's own overhead.
    pub fn heap_bytes(&self) -> usize {
        self.slab.heap_bytes() + self.index.heap_bytes() + self.tree.heap_bytes()
    }

    /// Heap allocations held.
    pub fn allocations(&self) -> usize {
        self.slab.allocations() + self.index.allocations() + self.tree.allocations()
    }

    fn hash(&self, member: &[u8]) -> u64 {
        hash_with(&self.hasher, member)
    }

    fn find(&self, hash: u64, member: &[u8]) -> Option<MemberId> {
        self.index.find(hash, |id| self.slab.member(id) == member)
    }

    fn rank_of(&self, entry: Entry, member: &[u8]) -> usize {
        self.tree.rank(place_of(&self.slab, entry, member))
    }

    /// Tells a snapshot's walk that a member is about to change its score, to come or to go.
    #[cold]
    fn keep_old(&mut self, member: &[u8], old: Option<f64>, new: Option<f64>) {
        if let Some(undo) = self.undo.get() {
            let ahead = |score: &f64| match &undo.cursor {
                None => true,
                Some((seen, last)) => *score > *seen || (*score == *seen && *member > **last),
            };
            let (old, new) = (old.filter(ahead), new.is_some_and(|score| ahead(&score)));
            undo.note(member, old, new);
        }
    }

    /// Hands about `most` members as they were when the walk began to `each`. True: these were the last.
    pub(crate) fn walk(&mut self, most: usize, mut each: impl FnMut(&[u8], f64)) -> bool {
        let Some(undo) = self.undo.get() else { return true };
        let old = undo.take_old();
        if !old.is_empty() {
            old.iter().for_each(|(member, score)| each(member, *score));
            return false;
        }
        let mut slot = self.undo.take();
        let Some(undo) = slot.get() else { return true };
        let start = match &undo.cursor {
            None => 0,
            Some((score, last)) => self.tree.rank(ByScore {
                score: *score,
                tie: |id| self.slab.member(id) <= &**last,
            }),
        };
        let (mut end, mut visited) = (start, 0);
        for (member, score) in self.iter(start..self.len()) {
            if visited >= most {
                break;
            }
            visited += weight(member.len());
            end += 1;
            if !undo.is_changed(member) {
                each(member, score);
            }
        }
        let done = end == self.len();
        if let Some((member, score)) = end.checked_sub(1).and_then(|last| self.get(last)) {
            undo.cursor = Some((score, member.into()));
        }
        self.undo = slot;
        if done {
            self.undo.finish();
        }
        done
    }

    /// Gives a member a new score: in place if it stays between its neighbours.
    fn move_to(&mut self, old: Entry, score: f64, member: &[u8]) {
        let rank = self.rank_of(old, member);
        let stays = if score > old.score {
            self.tree.get(rank + 1).is_none_or(|next| {
                score < next.score || (score == next.score && member < self.slab.member(next.id))
            })
        } else {
            rank == 0
                || self.tree.get(rank - 1).is_none_or(|previous| {
                    previous.score < score
                        || (previous.score == score && self.slab.member(previous.id) < member)
                })
        };
        self.slab.set_score(old.id, score);
        if stays {
            self.tree.set_score(rank, score);
            return;
        }
        self.tree.remove_run(rank, 1, |_| ());
        let entry = Entry { score, id: old.id };
        self.tree.insert(entry, place_of(&self.slab, entry, member));
    }
}

/// The place of an entry in the order: by score, then by bytes.
fn place_of<'a>(slab: &'a MemberSlab, entry: Entry, member: &'a [u8]) -> impl Search + 'a {
    ByScore {
        score: entry.score,
        tie: move |id| id != entry.id && slab.member(id) < member,
    }
}

fn hash_with(hasher: &foldhash::quality::RandomState, member: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(member);
    hasher.finish()
}

/// Iterator of [`BigZset::iter`]: (member, score) in order.
#[derive(Debug, Clone)]
pub struct BigIter<'a> {
    slab: &'a MemberSlab,
    entries: TreeIter<'a>,
}

impl<'a> Iterator for BigIter<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some((self.slab.member(entry.id), entry.score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl DoubleEndedIterator for BigIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next_back()?;
        Some((self.slab.member(entry.id), entry.score))
    }
}

impl ExactSizeIterator for BigIter<'_> {}
