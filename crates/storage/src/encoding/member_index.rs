//! From a member's hash to its id, in cache-line buckets under linear hashing (W. Litwin, 1980).
//!
//! It must not know members: callers pass hashes and a closure that compares or hashes the member behind an id.
//! Buckets are split and merged one at a time, so no insertion or removal ever rehashes the table.

use super::chunked::Chunked;
use super::member_slab::MemberId;
use super::prefetch::prefetch;

/// Entries of a bucket: 12 tags, 12 ids and a link make 64 bytes.
const SLOTS: usize = 12;
/// A bucket is split while the average is above this; the ones not yet split hold up to twice the average.
const SPLIT_ABOVE: usize = 9;
/// The last bucket is merged into its buddy while the average is below this.
const MERGE_BELOW: usize = 4;
/// "No overflow bucket".
const NONE: u32 = u32::MAX;

/// Hash index of ids.
///
/// ```text
/// buckets: b0 b1 .. b(n-1)     bucket of h: h mod 2^k, or h mod 2^(k-1) where that bucket is not split off yet
///
/// bucket (one cache line): [ tag x 12 | id x 12 | overflow ]
///                            tag 0 = vacant; entries stand from the left, only the last of a chain has gaps
/// ```
#[derive(Debug, Clone)]
pub(crate) struct MemberIndex {
    buckets: Chunked<Bucket>,
    overflow: Chunked<Bucket>,
    /// Overflow buckets not in use, linked by `overflow`.
    vacant: u32,
    overflow_used: usize,
    len: usize,
}

#[derive(Debug, Clone)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u8; SLOTS],
    ids: [MemberId; SLOTS],
    overflow: u32,
}

const _: () = assert!(size_of::<Bucket>() == 64, "a bucket is one cache line");

impl Bucket {
    const EMPTY: Bucket = Bucket {
        tags: [0; SLOTS],
        ids: [0; SLOTS],
        overflow: NONE,
    };

    fn filled(&self) -> usize {
        self.tags.iter().position(|&tag| tag == 0).unwrap_or(SLOTS)
    }
}

/// A place in a chain: `None` is the bucket itself, `Some` one of its overflow buckets.
type Link = Option<u32>;

impl MemberIndex {
    pub(crate) fn new() -> Self {
        let mut buckets = Chunked::new();
        buckets.push(Bucket::EMPTY);
        Self {
            buckets,
            overflow: Chunked::new(),
            vacant: NONE,
            overflow_used: 0,
            len: 0,
        }
    }

    /// The id with this hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(MemberId) -> bool) -> Option<MemberId> {
        let tag = tag_of(hash);
        let mut bucket = &self.buckets[self.bucket_of(hash)];
        loop {
            for (&candidate, &id) in bucket.tags.iter().zip(&bucket.ids) {
                if candidate == tag && is_it(id) {
                    return Some(id);
                }
            }
            if bucket.overflow == NONE {
                return None;
            }
            bucket = &self.overflow[bucket.overflow as usize];
        }
    }

    /// Asks for the bucket of a hash.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        prefetch((&raw const self.buckets[self.bucket_of(hash)]).cast());
    }

    /// Adds an id that is not in the index. `hash_of` gives the hash of ids already in it.
    pub(crate) fn insert(&mut self, hash: u64, id: MemberId, hash_of: impl Fn(MemberId) -> u64) {
        self.append(self.bucket_of(hash), tag_of(hash), id);
        self.len += 1;
        if self.len > self.buckets.len() * SPLIT_ABOVE {
            self.split_one(hash_of);
        }
    }

    /// Removes an id; says whether it was there.
    pub(crate) fn remove(&mut self, hash: u64, id: MemberId) -> bool {
        let home = self.bucket_of(hash);
        let Some((link, slot)) = self.locate(home, id) else {
            return false;
        };
        // The chain's last entry fills the gap.
        let (before_last, last) = self.chain_end(home);
        let end = self.bucket(home, last).filled() - 1;
        let tail = self.bucket(home, last);
        let (tag, moved) = (tail.tags[end], tail.ids[end]);
        let target = self.bucket_mut(home, link);
        target.tags[slot] = tag;
        target.ids[slot] = moved;
        self.bucket_mut(home, last).tags[end] = 0;
        if let (0, Some(number)) = (end, last) {
            self.bucket_mut(home, before_last).overflow = NONE;
            self.release(number);
        }
        self.len -= 1;
        if self.len < self.buckets.len() * MERGE_BELOW {
            self.merge_one();
        }
        true
    }

    /// Hands the ids of one bucket to `each` and returns the cursor of the next one, 0 after the last.
    ///
    /// Cursors count with their bits reversed, as in Redis: an id that stays in the index from the first call to the
    /// last is handed over at least once, however the table grows or shrinks between the calls.
    pub(crate) fn scan(&self, cursor: u64, mut each: impl FnMut(MemberId)) -> u64 {
        let (low, high) = self.masks();
        let split = ((cursor & low) | (high & !low)) < self.buckets.len() as u64;
        let mask = if split { high } else { low };
        let mut bucket = &self.buckets[(cursor & mask) as usize];
        loop {
            bucket.ids[..bucket.filled()].iter().for_each(|&id| each(id));
            if bucket.overflow == NONE {
                break;
            }
            bucket = &self.overflow[bucket.overflow as usize];
        }
        (cursor | !mask).reverse_bits().wrapping_add(1).reverse_bits()
    }

    /// Heap bytes held.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.buckets.heap_bytes() + self.overflow.heap_bytes()
    }

    /// Heap allocations held.
    pub(crate) fn allocations(&self) -> usize {
        self.buckets.allocations() + self.overflow.allocations()
    }

    /// The masks of split and unsplit buckets: with n buckets, `high + 1` is the power of two at or above n.
    fn masks(&self) -> (u64, u64) {
        let high = (self.buckets.len() as u64).next_power_of_two() - 1;
        (high >> 1, high)
    }

    #[inline]
    fn bucket_of(&self, hash: u64) -> usize {
        let (low, high) = self.masks();
        let bucket = hash & high;
        (if bucket < self.buckets.len() as u64 {
            bucket
        } else {
            hash & low
        }) as usize
    }

    fn bucket(&self, home: usize, link: Link) -> &Bucket {
        match link {
            None => &self.buckets[home],
            Some(number) => &self.overflow[number as usize],
        }
    }

    fn bucket_mut(&mut self, home: usize, link: Link) -> &mut Bucket {
        match link {
            None => &mut self.buckets[home],
            Some(number) => &mut self.overflow[number as usize],
        }
    }

    fn next(&self, home: usize, link: Link) -> Link {
        Some(self.bucket(home, link).overflow).filter(|&number| number != NONE)
    }

    /// The last bucket of a chain and the one before it.
    fn chain_end(&self, home: usize) -> (Link, Link) {
        let (mut before, mut last) = (None, None);
        while let Some(number) = self.next(home, last) {
            before = last.replace(number);
        }
        (before, last)
    }

    fn locate(&self, home: usize, id: MemberId) -> Option<(Link, usize)> {
        let mut link = None;
        loop {
            let bucket = self.bucket(home, link);
            let found = (0..SLOTS).find(|&slot| bucket.ids[slot] == id && bucket.tags[slot] != 0);
            if let Some(slot) = found {
                return Some((link, slot));
            }
            link = Some(self.next(home, link)?);
        }
    }

    fn append(&mut self, home: usize, tag: u8, id: MemberId) {
        let (_, mut last) = self.chain_end(home);
        let mut slot = self.bucket(home, last).filled();
        if slot == SLOTS {
            let number = self.acquire();
            self.bucket_mut(home, last).overflow = number;
            (last, slot) = (Some(number), 0);
        }
        let bucket = self.bucket_mut(home, last);
        bucket.tags[slot] = tag;
        bucket.ids[slot] = id;
    }

    /// Hands the buckets of a chain to `each` and frees those of the overflow.
    fn drain(&mut self, first: Bucket, mut each: impl FnMut(&mut Self, &Bucket)) {
        let mut bucket = first;
        loop {
            each(self, &bucket);
            if bucket.overflow == NONE {
                return;
            }
            let number = bucket.overflow;
            bucket = std::mem::replace(&mut self.overflow[number as usize], Bucket::EMPTY);
            self.release(number);
        }
    }

    /// Adds a bucket and moves to it what hashes there from its buddy.
    fn split_one(&mut self, hash_of: impl Fn(MemberId) -> u64) {
        self.buckets.push(Bucket::EMPTY);
        let (low, _) = self.masks();
        let home = (self.buckets.len() - 1) & low as usize;
        let first = std::mem::replace(&mut self.buckets[home], Bucket::EMPTY);
        self.drain(first, |index, bucket| {
            // Hash all first: the cache misses then overlap.
            let mut homes = [0; SLOTS];
            let filled = bucket.filled();
            for (home, &id) in homes.iter_mut().zip(&bucket.ids[..filled]) {
                *home = index.bucket_of(hash_of(id));
            }
            for (slot, &home) in homes[..filled].iter().enumerate() {
                index.append(home, bucket.tags[slot], bucket.ids[slot]);
            }
        });
    }

    /// Moves the last bucket's entries to its buddy and drops it.
    fn merge_one(&mut self) {
        let (low, _) = self.masks();
        let home = (self.buckets.len() - 1) & low as usize;
        if home == self.buckets.len() - 1 {
            return; // the only bucket
        }
        if let Some(last) = self.buckets.pop() {
            self.drain(last, |index, bucket| {
                for slot in 0..bucket.filled() {
                    index.append(home, bucket.tags[slot], bucket.ids[slot]);
                }
            });
        }
    }

    fn acquire(&mut self) -> u32 {
        self.overflow_used += 1;
        if self.vacant == NONE {
            self.overflow.push(Bucket::EMPTY);
            return (self.overflow.len() - 1) as u32;
        }
        let number = self.vacant;
        let bucket = std::mem::replace(&mut self.overflow[number as usize], Bucket::EMPTY);
        self.vacant = bucket.overflow;
        number
    }

    fn release(&mut self, number: u32) {
        self.overflow_used -= 1;
        if self.overflow_used == 0 {
            self.overflow = Chunked::new();
            self.vacant = NONE;
            return;
        }
        let head = std::mem::replace(&mut self.vacant, number);
        self.overflow[number as usize] = Bucket {
            overflow: head,
            ..Bucket::EMPTY
        };
    }
}

/// Eight bits of the hash that the bucket's number does not use; never 0, which means vacant.
#[inline]
fn tag_of(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn hash_of(id: MemberId) -> u64 {
        (u64::from(id) ^ 0x9E37)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(23)
            .wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }

    fn add(index: &mut MemberIndex, id: MemberId) {
        index.insert(hash_of(id), id, hash_of);
    }

    #[test]
    fn every_id_is_found_while_growing_and_shrinking() {
        let mut index = MemberIndex::new();
        for id in 0..20_000 {
            add(&mut index, id);
            assert_eq!(index.find(hash_of(id / 2), |other| other == id / 2), Some(id / 2));
        }
        assert!((0..20_000).all(|id| index.find(hash_of(id), |other| other == id) == Some(id)));
        for id in 0..20_000 {
            assert!(index.remove(hash_of(id), id));
            assert!(!index.remove(hash_of(id), id));
            let other = id + 1 + (20_000 - id) / 2;
            let expected = (other < 20_000).then_some(other);
            assert_eq!(index.find(hash_of(other), |found| found == other), expected);
        }
        assert_eq!((index.len, index.buckets.len()), (0, 1));
    }

    proptest! {
        /// Between two calls of a scan, members come and go; those that stay all along are seen.
        #[test]
        fn a_scan_sees_all_that_stays(
            stay in 1u32..600,
            moves in prop::collection::vec((any::<bool>(), 1u32..400), 0..60),
        ) {
            let mut index = MemberIndex::new();
            (0..stay).for_each(|id| add(&mut index, id));
            let mut guests: Vec<MemberId> = Vec::new();
            let mut next_guest = 1_000_000;
            let mut seen = HashSet::new();
            let mut moves = moves.into_iter();
            let mut cursor = 0;
            let mut calls = 0;
            loop {
                cursor = index.scan(cursor, |id| { seen.insert(id); });
                calls += 1;
                prop_assert!(calls < 100_000);
                if cursor == 0 {
                    break;
                }
                if let Some((grow, by)) = moves.next() {
                    for _ in 0..by {
                        if grow {
                            guests.push(next_guest);
                            add(&mut index, next_guest);
                            next_guest += 1;
                        } else if let Some(id) = guests.pop() {
                            prop_assert!(index.remove(hash_of(id), id));
                        }
                    }
                }
            }
            prop_assert!((0..stay).all(|id| seen.contains(&id)));
        }
    }

    #[test]
    fn a_quiet_scan_returns_each_id_once() {
        let mut index = MemberIndex::new();
        (0..5000).for_each(|id| add(&mut index, id));
        let mut seen = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = index.scan(cursor, |id| seen.push(id));
            if cursor == 0 {
                break;
            }
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..5000));
    }
}
