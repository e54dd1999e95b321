//! The listpack: a sequence of small values in one allocation, in the byte layout of Redis's listpacks, so that RDB
//! files and `DUMP` carry it as it is. It does not know whether it holds a list, a hash, a set or a sorted set.
//!
//! ```text
//!   +----------------+-------------+---------+---------+-----+------+
//!   | total bytes    | entries     | entry 0 | entry 1 | ... | 0xFF |
//!   | u32 LE         | u16 LE      |         |         |     |      |
//!   +----------------+-------------+---------+---------+-----+------+
//!   0                4             6
//! ```
//!
//! 65535 entries means "that many or more: count them". The allocation is exact; every change reallocates, which the
//! allocator's size classes make cheap. Every entry is the one encoding of its value (see [`entry`]), so a search
//! compares bytes and never decodes.

mod entry;
mod reverse;
#[cfg(test)]
mod tests;

use std::fmt;

use entry::{END, Encoded, check_at, item_at, span_at, span_of_first, start_before};
pub use entry::{Item, Needle};

use smallvec::SmallVec;

use super::integer::MAX_INTEGER_TEXT;
use super::thin::{ThinBuf, ThinFormat};

/// Bytes before the first entry.
const HEADER: usize = 6;
/// Bytes of a listpack without entries.
const EMPTY: usize = HEADER + 1;
/// The entry count that means "count them".
const UNKNOWN: u16 = u16::MAX;

/// A size that no caller lets a listpack pass: 1 GiB, as Redis. The layout itself ends at 4 GiB.
pub const MAX_BYTES: usize = 1 << 30;

/// Why bytes are not a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListpackError {
    /// Too short, or the size in the header is not the size of the bytes.
    #[error("listpack size does not match its bytes")]
    Size,
    /// An entry passes the end, has an unknown head or a wrong back length.
    #[error("listpack entry at byte {0} is damaged")]
    Entry(usize),
    /// The header's number of entries is wrong.
    #[error("listpack entry count does not match its entries")]
    Count,
}

struct Format;

// SAFETY: the size is read from the four bytes alone; the tag is below 4.
#[allow(unsafe_code)]
unsafe impl ThinFormat for Format {
    const LEAD: usize = 4;
    const TAG: usize = 1;

    #[inline]
    fn size(lead: &[u8]) -> usize {
        u32::from_le_bytes([lead[0], lead[1], lead[2], lead[3]]) as usize
    }
}

/// Where an entry begins: its offset in the bytes. Any change to the listpack before or at it makes it stale; a stale
/// position gives a wrong entry or a panic, never undefined behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u32);

impl Position {
    fn new(offset: usize) -> Self {
        Self(offset as u32)
    }

    /// The offset in [`Listpack::as_bytes`].
    pub fn offset(self) -> usize {
        self.0 as usize
    }
}

/// An owned listpack, 8 bytes, never null.
///
/// Callers keep it below [`MAX_BYTES`] (ask [`Listpack::has_room`]); a change that would pass 4 GiB panics.
#[derive(Clone)]
#[repr(transparent)]
pub struct Listpack(ThinBuf<Format>);

impl Listpack {
    pub(super) const POINTER_TAG: usize = Format::TAG;

    /// A listpack without entries.
    pub fn new() -> Self {
        let mut buf = ThinBuf::zeroed(&(EMPTY as u32).to_le_bytes());
        buf.body_mut().copy_from_slice(&[0, 0, END]);
        Self(buf)
    }

    /// Reads a listpack from bytes of any origin: every entry is checked. Entries that Redis would have encoded
    /// differently (an integer as text, a needlessly long head) are accepted and rewritten.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ListpackError> {
        if bytes.len() < EMPTY || bytes[bytes.len() - 1] != END {
            return Err(ListpackError::Size);
        }
        let end = bytes.len() - 1;
        let (mut pos, mut count, mut canonical) = (HEADER, 0_usize, true);
        while pos < end {
            let (span, as_we_write) = check_at(bytes, pos, end).ok_or(ListpackError::Entry(pos))?;
            pos += span;
            count += 1;
            canonical &= as_we_write;
        }
        let announced = u16::from_le_bytes([bytes[4], bytes[5]]);
        if announced != UNKNOWN && usize::from(announced) != count {
            return Err(ListpackError::Count);
        }
        let mut pack = Self(ThinBuf::copy_of(bytes).ok_or(ListpackError::Size)?);
        if !canonical {
            pack = pack.reencoded();
        }
        pack.set_count(count);
        Ok(pack)
    }

    /// The same values, each in the encoding that we write.
    fn reencoded(&self) -> Self {
        let mut pack = Self::new();
        let entries: Vec<Encoded<'_>> = self
            .iter()
            .map(|item| match item {
                Item::Int(int) => Encoded::of_int(int),
                Item::Bytes(bytes) => Encoded::of(bytes),
            })
            .collect();
        pack.splice(HEADER, 0, 0, &entries);
        pack
    }

    /// The bytes, as RDB and DUMP carry them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Size of the allocation.
    pub fn total_bytes(&self) -> usize {
        self.0.size()
    }

    /// Whether `extra` more bytes keep it within [`MAX_BYTES`]. An entry takes its value's length and at most 14 more.
    pub fn has_room(&self, extra: usize) -> bool {
        self.total_bytes().saturating_add(extra) <= MAX_BYTES
    }

    /// An upper bound of the bytes that an entry for a value of `len` bytes takes; exact for strings below 4 KiB.
    pub fn entry_bound(len: usize) -> usize {
        match len {
            0..=0x3F => len + 2,
            0x40..=0x7D => len + 3,
            0x7E..=0xFFF => len + 4,
            _ => len.saturating_add(10),
        }
    }

    /// Number of entries. Counts them if there are 65535 or more.
    pub fn len(&self) -> usize {
        match self.count_field() {
            UNKNOWN => self.iter().count(),
            count => usize::from(count),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.total_bytes() == EMPTY
    }

    fn count_field(&self) -> u16 {
        let bytes = self.as_bytes();
        u16::from_le_bytes([bytes[4], bytes[5]])
    }

    fn set_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(UNKNOWN);
        self.0.body_mut()[..2].copy_from_slice(&count.to_le_bytes());
    }

    /// Offset of the byte after the last entry.
    fn end(&self) -> usize {
        self.total_bytes() - 1
    }

    // ---- reading ----

    /// All values, from either end.
    pub fn iter(&self) -> Iter<'_> {
        let bytes = self.as_bytes();
        Iter {
            bytes,
            front: HEADER,
            back: bytes.len() - 1,
        }
    }

    /// The values from `start` to the end.
    pub fn iter_from(&self, start: Position) -> Iter<'_> {
        Iter {
            front: start.offset(),
            ..self.iter()
        }
    }

    /// The first entry.
    pub fn first(&self) -> Option<Position> {
        (!self.is_empty()).then_some(Position::new(HEADER))
    }

    /// The last entry.
    pub fn last(&self) -> Option<Position> {
        (!self.is_empty()).then(|| Position::new(start_before(self.as_bytes(), self.end())))
    }

    /// The entry after `pos`.
    pub fn next(&self, pos: Position) -> Option<Position> {
        let next = pos.offset() + span_at(self.as_bytes(), pos.offset());
        (next < self.end()).then_some(Position::new(next))
    }

    /// The entry before `pos`.
    pub fn prev(&self, pos: Position) -> Option<Position> {
        (pos.offset() > HEADER).then(|| Position::new(start_before(self.as_bytes(), pos.offset())))
    }

    /// The value of the entry at `pos`.
    pub fn at(&self, pos: Position) -> Item<'_> {
        item_at(self.as_bytes(), pos.offset())
    }

    /// Bytes that the entry at `pos` takes.
    pub fn span(&self, pos: Position) -> usize {
        span_at(self.as_bytes(), pos.offset())
    }

    /// The entry with number `index`; negative numbers count from the end, -1 being the last. Walks from the nearer
    /// end.
    pub fn seek(&self, index: i64) -> Option<Position> {
        let count = self.count_field();
        if count != UNKNOWN {
            let count = i64::from(count);
            let from_front = if index < 0 { index + count } else { index };
            if from_front < 0 || from_front >= count {
                return None;
            }
            let nearer = if from_front < count / 2 {
                from_front
            } else {
                from_front - count
            };
            return self.walk(nearer);
        }
        self.walk(index)
    }

    /// As [`Listpack::seek`], from the end that the sign names.
    fn walk(&self, index: i64) -> Option<Position> {
        let (bytes, end) = (self.as_bytes(), self.end());
        if index < 0 {
            let mut pos = end;
            for _ in 0..index.unsigned_abs() {
                if pos == HEADER {
                    return None;
                }
                pos = start_before(bytes, pos);
            }
            return Some(Position::new(pos));
        }
        let mut pos = HEADER;
        let mut passed = Stride::default();
        for _ in 0..index {
            if pos == end {
                return None;
            }
            pos += passed.span(bytes, pos);
        }
        (pos < end).then_some(Position::new(pos))
    }

    /// The value of entry `index`; negative numbers count from the end.
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        self.seek(index).map(|pos| self.at(pos))
    }

    /// The first entry at or after `start` that holds `value`. After each comparison `skip` entries are passed over:
    /// with 1 and an even start, only the fields of field/value pairs are compared.
    pub fn find(&self, value: &[u8], start: Position, skip: usize) -> Option<Position> {
        // No string longer than the listpack is in it (integers are, as they shrink), and it need not have an encoding.
        if value.len() > self.total_bytes().max(MAX_INTEGER_TEXT) {
            return None;
        }
        let wanted = Encoded::of(value);
        let bytes = self.as_bytes();
        let mut pos = start.offset();
        let mut compared = Stride::like(wanted.first());
        let mut passed = Stride::default();
        loop {
            let first = bytes[pos];
            if first == wanted.first() {
                if wanted.matches(&bytes[pos..]) {
                    return Some(Position::new(pos));
                }
            } else if first == END {
                return None;
            }
            pos += compared.span(bytes, pos);
            for _ in 0..skip {
                if bytes[pos] == END {
                    return None;
                }
                pos += passed.span(bytes, pos);
            }
        }
    }

    /// As [`Listpack::find`], from the first entry.
    pub fn find_first(&self, value: &[u8], skip: usize) -> Option<Position> {
        self.find(value, self.first()?, skip)
    }

    // ---- changing ----

    /// Appends a value.
    pub fn push_back(&mut self, value: &[u8]) {
        self.splice(self.end(), 0, 0, &[Encoded::of(value)]);
    }

    /// Appends an integer.
    pub fn push_back_int(&mut self, value: i64) {
        self.splice(self.end(), 0, 0, &[Encoded::of_int(value)]);
    }

    /// Appends a field and its value with one reallocation.
    pub fn push_back_pair(&mut self, first: &[u8], second: &[u8]) {
        self.splice(self.end(), 0, 0, &[Encoded::of(first), Encoded::of(second)]);
    }

    /// Appends several values with one reallocation; text that spells an integer becomes one.
    pub fn extend(&mut self, values: &[Item<'_>]) {
        let entries: SmallVec<[Encoded<'_>; 16]> = values
            .iter()
            .map(|value| match value {
                Item::Int(int) => Encoded::of_int(*int),
                Item::Bytes(bytes) => Encoded::of(bytes),
            })
            .collect();
        self.splice(self.end(), 0, 0, &entries);
    }

    /// Puts a value before all others.
    pub fn push_front(&mut self, value: &[u8]) {
        self.splice(HEADER, 0, 0, &[Encoded::of(value)]);
    }

    /// Puts a value before the entry at `pos` and returns where it is (which is `pos`).
    pub fn insert_before(&mut self, pos: Position, value: &[u8]) -> Position {
        self.splice(pos.offset(), 0, 0, &[Encoded::of(value)]);
        pos
    }

    /// Puts a pair before the entry at `pos` with one move of the rest, and returns where its first half is.
    pub fn insert_pair_before(&mut self, pos: Position, first: &[u8], second: &[u8]) -> Position {
        self.splice(pos.offset(), 0, 0, &[Encoded::of(first), Encoded::of(second)]);
        pos
    }

    /// Puts a value after the entry at `pos` and returns where it is.
    pub fn insert_after(&mut self, pos: Position, value: &[u8]) -> Position {
        let after = pos.offset() + span_at(self.as_bytes(), pos.offset());
        self.splice(after, 0, 0, &[Encoded::of(value)]);
        Position::new(after)
    }

    /// Replaces the value at `pos`; the position stays valid.
    pub fn replace(&mut self, pos: Position, value: &[u8]) {
        let span = span_at(self.as_bytes(), pos.offset());
        self.splice(pos.offset(), span, 1, &[Encoded::of(value)]);
    }

    /// Replaces the value at `pos` by an integer; the position stays valid.
    pub fn replace_int(&mut self, pos: Position, value: i64) {
        let span = span_at(self.as_bytes(), pos.offset());
        self.splice(pos.offset(), span, 1, &[Encoded::of_int(value)]);
    }

    /// Removes the entry at `pos`; `pos` is then the following entry, if there is one.
    pub fn remove(&mut self, pos: Position) -> Option<Position> {
        self.remove_at(pos, 1)
    }

    /// Removes `count` entries from `pos` on (fewer if the listpack ends), and returns the entry that follows them.
    pub fn remove_at(&mut self, pos: Position, count: usize) -> Option<Position> {
        let (bytes, end) = (self.as_bytes(), self.end());
        let (mut to, mut removed) = (pos.offset(), 0);
        while removed < count && to < end {
            to += span_at(bytes, to);
            removed += 1;
        }
        self.splice(pos.offset(), to - pos.offset(), removed, &[]);
        (pos.offset() < self.end()).then_some(pos)
    }

    /// Removes up to `count` entries from number `index` on; a negative index counts from the end.
    pub fn remove_range(&mut self, index: i64, count: usize) {
        if let Some(pos) = self.seek(index) {
            self.remove_at(pos, count);
        }
    }

    /// Removes the entries at `positions`, which ascend, in one pass.
    pub fn remove_many(&mut self, positions: &[Position]) {
        let Some(first) = positions.first() else { return };
        let (end, count) = (self.end(), self.count_field());
        // What is kept moves down, one run after another: `to` is where the next run goes.
        let mut to = first.offset();
        for (k, pos) in positions.iter().enumerate() {
            let from = pos.offset() + span_at(self.as_bytes(), pos.offset());
            let run_end = positions.get(k + 1).map_or(end, |next| next.offset());
            self.0
                .body_mut()
                .copy_within(from - Format::LEAD..run_end - Format::LEAD, to - Format::LEAD);
            to += run_end - from;
        }
        self.resize(to, end - to, 0);
        if count != UNKNOWN {
            self.set_count(usize::from(count) - positions.len());
        }
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Appends all entries of `other`.
    pub fn append(&mut self, other: &Self) {
        let at = self.end();
        let count = self.len() + other.len();
        let entries = &other.as_bytes()[HEADER..other.end()];
        self.resize(at, 0, entries.len())[..entries.len()].copy_from_slice(entries);
        self.set_count(count);
    }

    /// Cuts the listpack before entry `index` and returns the entries from there on; none if `index` is the length or
    /// more.
    pub fn split_off(&mut self, index: usize) -> Self {
        let mut tail = Self::new();
        let Some(pos) = i64::try_from(index).ok().and_then(|index| self.walk(index)) else {
            return tail;
        };
        let (at, end, count) = (pos.offset(), self.end(), self.len());
        tail.resize(HEADER, 0, end - at)[..end - at].copy_from_slice(&self.as_bytes()[at..end]);
        tail.set_count(count - index);
        self.resize(at, end - at, 0);
        self.set_count(index);
        tail
    }

    /// The one way in which entries change: puts `entries` in the place of the `removed` entries that take `span` bytes
    /// from `at` on.
    fn splice(&mut self, at: usize, span: usize, removed: usize, entries: &[Encoded<'_>]) {
        let count = self.count_field();
        let added = entries.iter().map(Encoded::span).sum();
        let mut gap = self.resize(at, span, added);
        for entry in entries {
            let len = entry.write(gap);
            gap = &mut gap[len..];
        }
        // Once unknown it stays unknown: len() counts.
        if count != UNKNOWN {
            self.set_count(usize::from(count) + entries.len() - removed);
        }
    }

    /// Makes the `old` bytes at `at` be `new` bytes, moving what follows; returns the bytes from `at` on.
    fn resize(&mut self, at: usize, old: usize, new: usize) -> &mut [u8] {
        let total = self.total_bytes();
        let resized = u32::try_from(total - old + new).expect("callers keep a listpack below MAX_BYTES");
        let (from, to) = (at + old - Format::LEAD, at + new - Format::LEAD);
        let tail = total - at - old;
        if new < old {
            self.0.body_mut().copy_within(from..from + tail, to);
        }
        if new != old {
            self.0.set_lead(&resized.to_le_bytes());
        }
        if new > old {
            self.0.body_mut().copy_within(from..from + tail, to);
        }
        &mut self.0.body_mut()[at - Format::LEAD..]
    }
}

/// Steps over entries that are mostly alike. While they begin with the byte that the last one began with, their length
/// is already in a register: the processor, which guesses the comparison right, need not wait for one entry's first
/// byte before it asks for the next one's. A search among 64 pairs of even lengths took 190 ns instead of 320.
#[derive(Default)]
struct Stride {
    first: u8,
    /// Length of entries that begin with `first`; 0 if that is not known.
    span: usize,
}

impl Stride {
    fn like(first: u8) -> Self {
        Self {
            first,
            span: span_of_first(first).unwrap_or(0),
        }
    }

    /// Length of the entry at `pos`.
    #[inline]
    fn span(&mut self, bytes: &[u8], pos: usize) -> usize {
        let first = bytes[pos];
        if first == self.first && self.span != 0 {
            return self.span;
        }
        *self = Self::like(first);
        if self.span == 0 {
            span_at(bytes, pos)
        } else {
            self.span
        }
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes()[HEADER..] == other.as_bytes()[HEADER..]
    }
}

impl Eq for Listpack {}

impl fmt::Debug for Listpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The values of a listpack, from either end.
#[derive(Clone, Debug, Default)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    /// Start of the next entry from the front.
    front: usize,
    /// End of the next entry from the back.
    back: usize,
}

impl Iter<'_> {
    /// Where the next entry from the front begins.
    pub fn position(&self) -> Option<Position> {
        (self.front < self.back).then_some(Position::new(self.front))
    }

    /// Passes over `count` entries from the front (fewer if there are fewer) without decoding them.
    pub fn pass(&mut self, count: usize) {
        for _ in 0..count {
            if self.front >= self.back {
                return;
            }
            self.front += span_at(self.bytes, self.front);
        }
    }

    /// Passes over `count` entries from the back and lends those that follow, from where it is now to where it was.
    /// None if there are fewer.
    pub fn rewind(&mut self, count: usize) -> Option<Self> {
        let behind = self.back;
        for _ in 0..count {
            if self.front >= self.back {
                return None;
            }
            self.back = start_before(self.bytes, self.back);
        }
        Some(Self {
            bytes: self.bytes,
            front: self.back,
            back: behind,
        })
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.front >= self.back {
            return None;
        }
        let item = item_at(self.bytes, self.front);
        self.front += span_at(self.bytes, self.front);
        Some(item)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = start_before(self.bytes, self.back);
        Some(item_at(self.bytes, self.back))
    }
}

impl std::iter::FusedIterator for Iter<'_> {}
