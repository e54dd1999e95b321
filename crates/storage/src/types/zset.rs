//! The sorted set: members with scores, ordered by score and then by bytes.
//!
//! Knows nothing of commands: flags such as NX or GT, NaN, and what is replied are the caller's. Ranges by score or by
//! member become ranges of ranks first, whose length is the count and which iterate and remove alike.

mod packed;
mod range;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::Range;

use rand::Rng;
use rand::seq::index;

use crate::encoding::big_zset::{BigIter, BigZset};
use crate::encoding::listpack::{Item, Listpack};
use crate::encoding::prefetch::Stage;
use crate::encoding::tagged::{OneOf2, Tagged2};
use packed::PackedIter;
pub use range::{LexBound, ScoreRange};

/// When a sorted set leaves the listpack: options `zset-max-listpack-entries` and `zset-max-listpack-value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZsetLimits {
    /// The most members a listpack holds.
    pub max_listpack_entries: usize,
    /// The longest member a listpack holds, in bytes.
    pub max_listpack_value: usize,
}

impl Default for ZsetLimits {
    /// Redis's defaults.
    fn default() -> Self {
        Self {
            max_listpack_entries: 128,
            max_listpack_value: 64,
        }
    }
}

/// What [`Zset::insert`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The member is new.
    Added,
    /// The member has another score now.
    Updated,
    /// The member had this score.
    Unchanged,
}

/// Why a listpack is not a sorted set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ZsetError {
    /// A member has no score behind it.
    #[error("a sorted set's listpack has an odd number of entries")]
    OddLength,
    /// An entry in a score's place is not a number.
    #[error("a sorted set's listpack has a score that is not a number")]
    Score,
    /// A member occurs twice.
    #[error("a sorted set's listpack has a member twice")]
    Duplicate,
}

/// A sorted set, 8 bytes: "listpack" while small, else "skiplist" by name and a counted B+tree with a hash index
/// inside ([`BigZset`]). It never goes back to a listpack by itself; a result built anew chooses afresh
/// ([`Zset::from_unsorted`]). Scores are never NaN; 0 and -0 are equal.
#[derive(Debug, Clone)]
pub struct Zset(Tagged2<Listpack, Box<BigZset>>);

impl Default for Zset {
    fn default() -> Self {
        Self::new()
    }
}

impl Zset {
    /// An empty sorted set.
    pub fn new() -> Self {
        Self(Tagged2::from_a(Listpack::new()))
    }

    /// Builds a sorted set in the encoding that fits; of a member that occurs twice, the last score holds.
    pub fn from_unsorted<M: AsRef<[u8]>>(
        members: impl IntoIterator<Item = (M, f64)>,
        limits: &ZsetLimits,
    ) -> Self {
        let members = members.into_iter();
        // One that will be large is so from the start, which spares a conversion, and keeps the sign of -0.
        let large = members.size_hint().0 > limits.max_listpack_entries;
        let mut zset = if large {
            Self(Tagged2::from_b(Box::default()))
        } else {
            Self::new()
        };
        for (member, score) in members {
            zset.insert(member.as_ref(), score, limits);
        }
        if large && zset.len() <= limits.max_listpack_entries {
            // Members were given twice.
            let members = zset.iter().map(|(member, score)| (member.to_cow(), score));
            return members.fold(Self::new(), |mut small, (member, score)| {
                small.insert(&member, score, limits);
                small
            });
        }
        zset
    }

    /// Takes over the listpack of an RDB file. One that is out of order is sorted; one that has more members than the
    /// limit is converted.
    pub fn from_listpack(pack: Listpack, limits: &ZsetLimits) -> Result<Self, ZsetError> {
        let items = pack.len();
        if !items.is_multiple_of(2) {
            return Err(ZsetError::OddLength);
        }
        if pack
            .iter()
            .skip(1)
            .step_by(2)
            .any(|item| packed::score_of(item).is_none())
        {
            return Err(ZsetError::Score);
        }
        let mut seen = HashSet::with_capacity(items / 2);
        if !packed::pairs(&pack).all(|pair| seen.insert(pair.member.to_cow())) {
            return Err(ZsetError::Duplicate);
        }
        let mut previous: Option<packed::Pair<'_>> = None;
        let sorted = packed::pairs(&pack).all(|pair| {
            let in_order = previous.as_ref().is_none_or(|previous| {
                pair.member
                    .with_bytes(|bytes| packed::stands_before(previous, pair.score, bytes))
            });
            previous = Some(pair);
            in_order
        });
        if sorted && items / 2 <= limits.max_listpack_entries {
            return Ok(Self(Tagged2::from_a(pack)));
        }
        let members = packed::pairs(&pack).map(|pair| (pair.member.to_cow(), pair.score));
        let limits = ZsetLimits {
            max_listpack_value: usize::MAX,
            ..*limits
        };
        Ok(Self::from_unsorted(members, &limits))
    }

    /// The listpack, if that is the encoding: RDB files carry its bytes as they are.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.as_ref() {
            OneOf2::A(pack) => Some(pack),
            OneOf2::B(_) => None,
        }
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        match self.0.as_ref() {
            OneOf2::A(pack) => pack.len() / 2,
            OneOf2::B(big) => big.len(),
        }
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The encoding's name, as OBJECT ENCODING gives it.
    pub fn encoding(&self) -> &'static str {
        match self.0.as_ref() {
            OneOf2::A(_) => "listpack",
            OneOf2::B(_) => "skiplist",
        }
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.0.as_ref() {
            OneOf2::A(pack) => packed::find(pack, member).map(|(_, score)| score),
            OneOf2::B(big) => big.score(member),
        }
    }

    /// Adds a member or changes its score. `score` must not be NaN.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &ZsetLimits) -> Outcome {
        debug_assert!(!score.is_nan(), "the caller refuses NaN");
        let pack = match self.0.as_mut() {
            OneOf2::A(pack) => pack,
            OneOf2::B(big) => {
                return match big.insert(member, score) {
                    None => Outcome::Added,
                    Some(old) if old == score => Outcome::Unchanged,
                    Some(_) => Outcome::Updated,
                };
            }
        };
        if let Some((at, old)) = packed::find(pack, member) {
            if old == score {
                return Outcome::Unchanged;
            }
            packed::update(pack, at, member, score);
            return Outcome::Updated;
        }
        let fits = pack.len() / 2 < limits.max_listpack_entries
            && member.len() <= limits.max_listpack_value
            && pack.has_room(member.len() + PAIR_OVERHEAD);
        if fits {
            packed::insert(pack, member, score);
        } else {
            let mut big = BigZset::new();
            for pair in packed::pairs(pack) {
                pair.member.with_bytes(|bytes| big.insert(bytes, pair.score));
            }
            big.insert(member, score);
            self.0 = Tagged2::from_b(Box::new(big));
        }
        Outcome::Added
    }

    /// Removes a member; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.0.as_mut() {
            OneOf2::A(pack) => {
                let (at, score) = packed::find(pack, member)?;
                pack.remove_at(at, 2);
                Some(score)
            }
            OneOf2::B(big) => big.remove(member),
        }
    }

    /// The member's place from the lowest score, 0 being the first.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match self.0.as_ref() {
            OneOf2::A(pack) => packed::pairs(pack).position(|pair| pair.member.eq_bytes(member)),
            OneOf2::B(big) => big.rank(member),
        }
    }

    /// The member's place from the highest score, 0 being the first.
    pub fn rev_rank(&self, member: &[u8]) -> Option<usize> {
        self.rank(member).map(|rank| self.len() - 1 - rank)
    }

    /// The ranks of the members whose scores are in the range. Its length is the count. O(log n) when large.
    pub fn score_range(&self, range: &ScoreRange) -> Range<usize> {
        let (start, end) = match self.0.as_ref() {
            OneOf2::A(pack) => (
                packed::count(pack, |pair| range.starts_after(pair.score)),
                packed::count(pack, |pair| range.ends_after(pair.score)),
            ),
            OneOf2::B(big) => (
                big.count_below(range.min, range.min_excl),
                big.count_below(range.max, !range.max_excl),
            ),
        };
        start..end.max(start)
    }

    /// The ranks of the members from `min` to `max`. Its length is the count. O(log n) when large. Has a meaning only
    /// if all scores are equal, as in Redis.
    pub fn lex_range(&self, min: LexBound<'_>, max: LexBound<'_>) -> Range<usize> {
        let (start, end) = match self.0.as_ref() {
            OneOf2::A(pack) => (
                packed::count(pack, |pair| {
                    pair.member.with_bytes(|bytes| min.starts_after(bytes))
                }),
                packed::count(pack, |pair| pair.member.with_bytes(|bytes| max.ends_after(bytes))),
            ),
            OneOf2::B(big) => (
                big.count_by_member(|member| min.starts_after(member)),
                big.count_by_member(|member| max.ends_after(member)),
            ),
        };
        start..end.max(start)
    }

    /// The member with this rank, and its score.
    pub fn get(&self, rank: usize) -> Option<(Item<'_>, f64)> {
        match self.0.as_ref() {
            OneOf2::A(_) => self.range(rank..rank.saturating_add(1)).next(),
            OneOf2::B(big) => big.get(rank).map(|(member, score)| (Item::Bytes(member), score)),
        }
    }

    /// All members with their scores, from either end.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..usize::MAX)
    }

    /// The members with these ranks, from either end (`rev()` for the descending order). The range is cut to what
    /// exists.
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        Iter(match self.0.as_ref() {
            OneOf2::A(pack) => Either::Packed(PackedIter::new(pack, ranks, pack.len() / 2)),
            OneOf2::B(big) => Either::Big(big.iter(ranks)),
        })
    }

    /// Removes the members with these ranks and hands each to `each`, in ascending order; returns how many. The range
    /// is cut to what exists.
    pub fn remove_range(&mut self, ranks: Range<usize>, mut each: impl FnMut(Item<'_>, f64)) -> usize {
        let removed = self.range(ranks.clone()).len();
        match self.0.as_mut() {
            OneOf2::A(pack) => {
                PackedIter::new(pack, ranks.clone(), pack.len() / 2)
                    .for_each(|(member, score)| each(member, score));
                if removed > 0 {
                    let first = pack.seek(2 * ranks.start as i64);
                    first.map(|at| pack.remove_at(at, 2 * removed));
                }
            }
            OneOf2::B(big) => {
                big.remove_range(ranks, |member, score| each(Item::Bytes(member), score));
            }
        }
        removed
    }

    /// Removes the member with the lowest score.
    pub fn pop_min(&mut self) -> Option<(Vec<u8>, f64)> {
        self.pop(0)
    }

    /// Removes the member with the highest score.
    pub fn pop_max(&mut self) -> Option<(Vec<u8>, f64)> {
        self.pop(self.len().checked_sub(1)?)
    }

    fn pop(&mut self, rank: usize) -> Option<(Vec<u8>, f64)> {
        let mut popped = None;
        self.remove_range(rank..rank + 1, |member, score| {
            popped = Some((member.to_vec(), score))
        });
        popped
    }

    /// A member, each with the same probability.
    pub fn random<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<(Item<'_>, f64)> {
        let len = self.len();
        (len > 0).then(|| self.get(rng.random_range(0..len))).flatten()
    }

    /// Hands `count` different members to `each`, or all if there are fewer, in no particular order.
    pub fn random_distinct<R: Rng + ?Sized>(
        &self,
        count: usize,
        rng: &mut R,
        mut each: impl FnMut(Item<'_>, f64),
    ) {
        let len = self.len();
        if count >= len {
            self.iter().for_each(|(member, score)| each(member, score));
            return;
        }
        for rank in index::sample(rng, len, count) {
            if let Some((member, score)) = self.get(rank) {
                each(member, score);
            }
        }
    }

    /// One step of ZSCAN: hands some members to `each` and returns the next cursor, 0 at the end. A listpack is handed
    /// over as a whole. A member that is present from the first call to the last is handed over at least once,
    /// however the set grows or shrinks meanwhile.
    pub fn scan(&self, cursor: u64, mut each: impl FnMut(Item<'_>, f64)) -> u64 {
        match self.0.as_ref() {
            OneOf2::A(_) => {
                self.iter().for_each(|(member, score)| each(member, score));
                0
            }
            OneOf2::B(big) => big.scan(cursor, |member, score| each(Item::Bytes(member), score)),
        }
    }

    /// What a snapshot walks in slices, if the sorted set is that large.
    pub(crate) fn undoable(&mut self) -> Option<&mut BigZset> {
        match self.0.as_mut() {
            OneOf2::B(big) => Some(big),
            OneOf2::A(_) => None,
        }
    }

    /// Heap bytes held. Counted exactly, so `samples` makes no difference.
    pub fn memory_usage(&self, _samples: usize) -> usize {
        match self.0.as_ref() {
            OneOf2::A(pack) => pack.total_bytes(),
            OneOf2::B(big) => size_of::<BigZset>() + big.heap_bytes(),
        }
    }

    /// Asks for what a look-up of the element reads.
    #[inline]
    pub(crate) fn prefetch(&self, element: &[u8], stage: Stage) {
        match self.0.as_ref() {
            OneOf2::A(_) => {}
            OneOf2::B(big) => big.prefetch(element, stage),
        }
    }

    /// The number of heap allocations, which is the work of freeing it.
    pub fn free_effort(&self) -> usize {
        match self.0.as_ref() {
            OneOf2::A(_) => 1,
            OneOf2::B(big) => 1 + big.allocations(),
        }
    }
}

/// What a pair takes in a listpack beside the member, at most.
const PAIR_OVERHEAD: usize = 64;

/// Members and scores in order: iterator of [`Zset::range`].
#[derive(Debug, Clone)]
pub struct Iter<'a>(Either<'a>);

#[derive(Debug, Clone)]
enum Either<'a> {
    Packed(PackedIter<'a>),
    Big(BigIter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Either::Packed(pairs) => pairs.next(),
            Either::Big(big) => big.next().map(|(member, score)| (Item::Bytes(member), score)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = match &self.0 {
            Either::Packed(pairs) => pairs.len(),
            Either::Big(big) => big.len(),
        };
        (len, Some(len))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Either::Packed(pairs) => pairs.next_back(),
            Either::Big(big) => big
                .next_back()
                .map(|(member, score)| (Item::Bytes(member), score)),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Zset {
    type Item = (Item<'a>, f64);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
