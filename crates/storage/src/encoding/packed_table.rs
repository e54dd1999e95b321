//! The table of big sets and big hashes: linear hashing over packed buckets. Knows bytes, never types, limits or
//! the protocol.
//!
//! Linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing", 1980) splits one bucket at a
//! time, so a table grows and shrinks in steps of some ten entries and never rehashes as a whole:
//!
//! ```text
//! buckets = 2^level + split      hash -> low level+1 bits, and where that bucket is not there yet: low level bits
//!
//! chunks  | 1024 buckets | 1024 buckets | .. |     a bucket: 16 bytes, a pointer to one packed blob
//! ```
//!
//! Several entries share one allocation (see [`bucket`]), which makes a set of 17-byte members cost some 24 bytes
//! each, where a table of pointers pays an allocation and a pointer per entry. A bucket holds [`ENTRIES_PER_BUCKET`]
//! entries on average, fewer when these are long: an insertion moves at most some hundred bytes.
//!
//! A cursor of `scan` is a place in the space of bit-reversed hashes. Each bucket covers one interval of that
//! space, splits and merges only cut and join intervals, and an entry never changes its place: so what is there from a
//! scan's first call to its last is returned at least once.

pub(crate) mod bucket;
pub mod hash;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use rand::Rng;

pub use bucket::Entry;

use super::prefetch::{Stage, prefetch};
use super::sample::select;
use super::undo::{OldEntry, UndoSlot, weight};
use bucket::{Bucket, Place, Places, Sizes, View};

/// A table of members.
pub type SetTable = PackedTable<false>;
/// A table of fields and values.
pub type HashTable = PackedTable<true>;

/// The average above which a bucket is split.
const ENTRIES_PER_BUCKET: usize = 8;
/// The average of packed bytes above which a bucket is split, while there are more entries than buckets.
const BYTES_PER_BUCKET: usize = 208;
/// The averages below which two buckets are joined: far enough from the above that a size that swings does no work.
const ENTRIES_PER_BUCKET_MIN: usize = 3;
const BYTES_PER_BUCKET_MIN: usize = 96;

const CHUNK_BITS: u32 = 10;
const CHUNK: usize = 1 << CHUNK_BITS;

/// A rejection sampler that was unlucky this often takes what comes next, so that a generator which is stuck cannot
/// hang a command. The chance with a working generator is below 10^-40.
const RANDOM_TRIES: usize = 1000;

/// A table of fields with values (`VALUES`) or of members without (the values are then empty and cost nothing).
#[derive(Clone)]
pub struct PackedTable<const VALUES: bool> {
    chunks: Vec<Vec<Bucket>>,
    buckets: usize,
    len: usize,
    sizes: Sizes,
    /// No bucket has, or ever had since the table was empty, more entries than this.
    most_in_bucket: usize,
    /// A snapshot that is in the middle of the table. Its cursor is a place in the space of bit-reversed hashes.
    pub(crate) undo: UndoSlot<u64, OldEntry>,
}

impl<const VALUES: bool> Default for PackedTable<VALUES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const VALUES: bool> PackedTable<VALUES> {
    /// An empty table of one bucket.
    pub fn new() -> Self {
        let chunks = vec![vec![Bucket::default()]];
        PackedTable {
            chunks,
            buckets: 1,
            len: 0,
            sizes: Sizes::default(),
            most_in_bucket: 0,
            undo: UndoSlot::default(),
        }
    }

    /// Entries in the table.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the field is there.
    pub fn contains(&self, field: &[u8]) -> bool {
        self.find(field).is_some()
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        let (view, place) = self.find(field)?;
        Some(view.entry(&place).1)
    }

    /// Sets the value of a field. True if the field is new.
    pub fn insert(&mut self, field: &[u8], value: &[u8]) -> bool {
        debug_assert!(VALUES || value.is_empty(), "a set has no values");
        let hash = hash::hash(field);
        let tag = hash::tag(hash);
        let found = self.view(self.index_of(hash)).find(tag, field);
        if self.undo.is_open() {
            self.keep_old(hash, field, found.as_ref());
        }
        self.edit(self.index_of(hash), |bucket| match &found {
            Some(place) => bucket.set_value::<VALUES>(place, value),
            None => bucket.push::<VALUES>(tag, field, value),
        });
        if found.is_none() {
            self.len += 1;
        }
        // Long entries may call for more than one split each; two keep up with any sequence of insertions.
        for _ in 0..2 {
            if !self.wants_split() {
                break;
            }
            self.split_one();
        }
        found.is_none()
    }

    /// Takes a field out. True if it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let hash = hash::hash(field);
        let index = self.index_of(hash);
        match self.view(index).find(hash::tag(hash), field) {
            Some(place) => {
                self.remove_at(index, &place);
                true
            }
            None => false,
        }
    }

    /// Asks for the lines that a look-up of the field reads.
    #[inline]
    pub(crate) fn prefetch(&self, field: &[u8], stage: Stage) {
        let index = self.index_of(hash::hash(field));
        let bucket = &self.chunks[index >> CHUNK_BITS][index & (CHUNK - 1)];
        match stage {
            Stage::Slot => prefetch((&raw const *bucket).cast()),
            Stage::Element => bucket.prefetch(),
        }
    }

    /// All entries, in the order of buckets; nothing is allocated or copied.
    pub fn iter(&self) -> Iter<'_, VALUES> {
        Iter {
            table: self,
            next_bucket: 0,
            view: None,
            left: self.len,
        }
    }

    /// Hands the entries of one bucket to `visit` and answers the next cursor, 0 at the end. Start with cursor 0.
    ///
    /// Any number is a valid cursor. What is in the table from a scan's first call to its last is visited at least
    /// once, whatever else is inserted or removed in between; an entry may be visited twice.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(Entry<'_>)) -> u64 {
        let index = self.index_of(cursor);
        let view = self.view(index);
        view.places().for_each(|place| visit(view.entry(&place)));
        let interval_bits = 64 - self.depth_of(index);
        let Some(width) = 1u64.checked_shl(interval_bits) else {
            return 0;
        };
        let start = cursor.reverse_bits() & !(width - 1);
        start.checked_add(width).map_or(0, u64::reverse_bits)
    }

    /// As [`PackedTable::scan`], for as many buckets as it takes to visit `count` entries (at least one bucket, at most
    /// ten times `count`, so that a sparse table stalls nobody).
    pub fn scan_some(&self, cursor: u64, count: usize, mut visit: impl FnMut(Entry<'_>)) -> u64 {
        let (mut cursor, mut visited) = (cursor, 0);
        for _ in 0..count.saturating_mul(10).max(1) {
            cursor = self.scan(cursor, |entry| {
                visited += 1;
                visit(entry);
            });
            if cursor == 0 || visited >= count {
                break;
            }
        }
        cursor
    }

    /// One entry, all equally likely.
    pub fn random<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<Entry<'_>> {
        let (index, nth) = self.random_position(rng)?;
        let view = self.view(index);
        view.nth(nth).map(|place| view.entry(&place))
    }

    /// `count` different entries (or all, if there are fewer), all choices equally likely; their order is no secret.
    pub fn sample<R: Rng + ?Sized>(&self, count: usize, rng: &mut R) -> Vec<Entry<'_>> {
        let count = count.min(self.len);
        if count * 3 <= self.len
            && let Some(chosen) = self.sample_few(count, rng)
        {
            return chosen;
        }
        select(self.iter(), self.len, count, rng)
    }

    /// Takes out one entry, all equally likely, after showing it to `take`.
    pub fn pop_random<R: Rng + ?Sized, T>(
        &mut self,
        rng: &mut R,
        take: impl FnOnce(Entry<'_>) -> T,
    ) -> Option<T> {
        let (index, nth) = self.random_position(rng)?;
        let view = self.view(index);
        let place = view.nth(nth)?;
        let taken = take(view.entry(&place));
        self.remove_at(index, &place);
        Some(taken)
    }

    /// Bytes on the heap, without what the allocator adds. Kept up to date, so it costs nothing to ask.
    pub fn heap_bytes(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        let last = self.chunks.last().map_or(0, Vec::capacity);
        self.chunks.capacity() * size_of::<Vec<Bucket>>()
            + (full + last) * size_of::<Bucket>()
            + self.sizes.packed
            + self.sizes.large
    }

    /// Allocations to free: what dropping the table costs.
    pub fn allocations(&self) -> usize {
        1 + self.chunks.len() + self.buckets.min(self.len) + self.sizes.large_len
    }

    fn find(&self, field: &[u8]) -> Option<(View<'_, VALUES>, Place)> {
        let hash = hash::hash(field);
        let view = self.view(self.index_of(hash));
        view.find(hash::tag(hash), field).map(|place| (view, place))
    }

    /// Draws until `count` different entries came. None if the generator seems to be stuck.
    fn sample_few<R: Rng + ?Sized>(&self, count: usize, rng: &mut R) -> Option<Vec<Entry<'_>>> {
        let mut chosen = Vec::with_capacity(count);
        let mut seen = HashSet::with_capacity(count);
        for _ in 0..RANDOM_TRIES + 10 * count {
            if chosen.len() == count {
                return Some(chosen);
            }
            let position = self.random_position(rng)?;
            if seen.insert(position) {
                let view = self.view(position.0);
                chosen.extend(view.nth(position.1).map(|place| view.entry(&place)));
            }
        }
        None
    }

    fn random_position<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<(usize, usize)> {
        if self.len == 0 {
            return None;
        }
        // A cell of the rectangle buckets x most_in_bucket, again until it holds an entry: each with the same chance.
        for _ in 0..RANDOM_TRIES {
            let index = rng.random_range(0..self.buckets);
            let nth = rng.random_range(0..self.most_in_bucket.max(1));
            if nth < self.view(index).len() {
                return Some((index, nth));
            }
        }
        let start = rng.random_range(0..self.buckets);
        let mut indexes = (start..self.buckets).chain(0..start);
        indexes
            .find(|index| self.view(*index).len() > 0)
            .map(|index| (index, 0))
    }

    /// Tells a snapshot's walk that an entry is about to change, or to come.
    #[cold]
    fn keep_old(&mut self, hash: u64, field: &[u8], found: Option<&Place>) {
        let old = found.map(|place| OldEntry {
            value: self.view(self.index_of(hash)).entry(place).1.into(),
            expire_at_ms: None,
        });
        if let Some(undo) = self.undo.get()
            && hash.reverse_bits() >= undo.cursor
        {
            undo.note(field, old, true);
        }
    }

    /// True while a snapshot is in the middle of the table.
    pub(crate) fn is_walked(&self) -> bool {
        self.undo.is_open()
    }

    /// Tells a snapshot's walk that an entry, or the time at which it expires, is about to change.
    pub(crate) fn keep_timed(&mut self, field: &[u8], expire_at_ms: Option<i64>) {
        let hash = hash::hash(field);
        let old = self.get(field).map(|value| OldEntry {
            value: value.into(),
            expire_at_ms,
        });
        if let Some(undo) = self.undo.get()
            && hash.reverse_bits() >= undo.cursor
        {
            undo.note(field, old, true);
        }
    }

    /// Hands about `most` entries as they were when the walk began to `each`, with the time at which they expired
    /// then if they have changed since. True: these were the last.
    pub(crate) fn walk(
        &mut self,
        most: usize,
        mut each: impl FnMut(&[u8], &[u8], Option<Option<i64>>),
    ) -> bool {
        let Some(undo) = self.undo.get() else { return true };
        let old = undo.take_old();
        if !old.is_empty() {
            old.iter()
                .for_each(|(field, old)| each(field, &old.value, Some(old.expire_at_ms)));
            return false;
        }
        let mut slot = self.undo.take();
        let Some(undo) = slot.get() else { return true };
        let mut visited = 0;
        let done = loop {
            let from = undo.cursor;
            let next = self.scan(from.reverse_bits(), |(field, value)| {
                visited += weight(field.len() + value.len());
                // A bucket may be the join of two, the first of which has been seen.
                if hash::hash(field).reverse_bits() >= from && !undo.is_changed(field) {
                    each(field, value, None);
                }
            });
            if next == 0 {
                break true;
            }
            undo.cursor = next.reverse_bits();
            if visited >= most {
                break false;
            }
        };
        self.undo = slot;
        if done {
            self.undo.finish();
        }
        done
    }

    fn remove_at(&mut self, index: usize, place: &Place) {
        if self.undo.is_open() {
            let field: Box<[u8]> = self.view(index).entry(place).0.into();
            self.keep_old(hash::hash(&field), &field, Some(place));
        }
        self.edit(index, |bucket| bucket.remove::<VALUES>(place));
        self.len -= 1;
        if self.len == 0 {
            *self = Self {
                undo: self.undo.take(),
                ..Self::new()
            };
        }
        // Two joins for a removal keep up with any sequence of removals.
        for _ in 0..2 {
            if !self.wants_join() {
                break;
            }
            self.join_one();
        }
    }

    fn weight(&self) -> usize {
        self.sizes.packed + self.sizes.large_len * bucket::LARGE
    }

    fn wants_split(&self) -> bool {
        self.len > self.buckets * ENTRIES_PER_BUCKET
            || (self.len > self.buckets && self.weight() > self.buckets * BYTES_PER_BUCKET)
    }

    fn wants_join(&self) -> bool {
        let light = self.len < self.buckets * ENTRIES_PER_BUCKET_MIN
            && self.weight() < self.buckets * BYTES_PER_BUCKET_MIN;
        self.buckets > 1 && (light || self.len < self.buckets / 2)
    }

    /// Adds a bucket and moves into it what belongs there from the one that covered its hashes.
    fn split_one(&mut self) {
        let new = self.buckets;
        let bit = top_bit(new);
        let buddy = new ^ bit;
        let mut moved = Bucket::default();
        self.edit(buddy, |bucket| {
            moved = bucket.split::<VALUES>(|field| hash::hash(field) & bit as u64 != 0);
        });
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(Bucket::default()),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(Bucket::default());
                self.chunks.push(chunk);
            }
        }
        self.buckets += 1;
        self.edit(new, |bucket| *bucket = moved);
    }

    /// Joins the last bucket with the one it was split from.
    fn join_one(&mut self) {
        let last = self.buckets - 1;
        let buddy = last ^ top_bit(last);
        let mut moved = Bucket::default();
        self.edit(last, |bucket| moved = std::mem::take(bucket));
        self.edit(buddy, |bucket| bucket.absorb::<VALUES>(moved));
        self.buckets -= 1;
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.pop();
            if chunk.is_empty() {
                self.chunks.pop();
            } else if self.chunks.len() == 1 {
                let chunk = &mut self.chunks[0];
                if chunk.len() < chunk.capacity() / 4 {
                    chunk.shrink_to(chunk.len() * 2);
                }
            }
        }
        if self.chunks.len() < self.chunks.capacity() / 4 {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
    }

    #[inline]
    fn view(&self, index: usize) -> View<'_, VALUES> {
        self.chunks[index >> CHUNK_BITS][index & (CHUNK - 1)].view()
    }

    /// The only way to change a bucket: keeps the sums right.
    fn edit(&mut self, index: usize, change: impl FnOnce(&mut Bucket)) {
        let bucket = &mut self.chunks[index >> CHUNK_BITS][index & (CHUNK - 1)];
        let before = bucket.sizes();
        change(bucket);
        let after = bucket.sizes();
        self.most_in_bucket = self.most_in_bucket.max(bucket.view::<VALUES>().len());
        self.sizes = Sizes {
            packed: self.sizes.packed + after.packed - before.packed,
            large: self.sizes.large + after.large - before.large,
            large_len: self.sizes.large_len + after.large_len - before.large_len,
        };
    }

    /// The bucket of a hash.
    #[inline]
    fn index_of(&self, hash: u64) -> usize {
        let low = top_bit(self.buckets);
        let index = hash as usize & (low << 1).wrapping_sub(1);
        if index < self.buckets { index } else { index ^ low }
    }

    /// How many low bits of a hash decide that it belongs into this bucket.
    fn depth_of(&self, index: usize) -> u32 {
        let low = top_bit(self.buckets);
        let split = self.buckets - low;
        low.trailing_zeros() + u32::from(index >= low || index < split)
    }
}

/// The highest power of two that is not above `number` (not 0).
#[inline]
fn top_bit(number: usize) -> usize {
    1 << number.ilog2()
}

/// Walks over a table, bucket by bucket.
#[derive(Clone)]
pub struct Iter<'a, const VALUES: bool> {
    table: &'a PackedTable<VALUES>,
    next_bucket: usize,
    view: Option<(View<'a, VALUES>, Places<'a, VALUES>)>,
    left: usize,
}

impl<'a, const VALUES: bool> Iterator for Iter<'a, VALUES> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some((view, places)) = &mut self.view
                && let Some(place) = places.next()
            {
                self.left -= 1;
                return Some(view.entry(&place));
            }
            if self.next_bucket == self.table.buckets {
                return None;
            }
            let view = self.table.view(self.next_bucket);
            self.next_bucket += 1;
            self.view = Some((view, view.places()));
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<const VALUES: bool> ExactSizeIterator for Iter<'_, VALUES> {}
impl<const VALUES: bool> std::iter::FusedIterator for Iter<'_, VALUES> {}
