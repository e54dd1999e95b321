//! One bucket of the packed table: a few entries in one exact-size allocation. Knows the bytes and the tags,
//! never the hash function, the directory or which bucket it is.
//!
//! ```text
//! blob   | count u16 | tag 0 .. tag n-1 | record 0 .. record n-1 | data n-1 .. data 0 |
//! record | varint(field length * 2 + extended) | flags u8, only if extended | varint(value length), only in maps |
//! data   | field | value |
//! ```
//!
//! Tags and lengths stand together in the first cache line; data grows from the end, so the walk over the
//! lengths up to an entry finds its data, too. An entry of [`LARGE`] bytes or more keeps its data in an allocation
//! of its own (`Mixed`), so that no edit of a neighbour ever moves it. Flag bit 1 is kept free for a field's expiry
//! (8 bytes before the field).

use std::hint::black_box;

use super::super::prefetch::prefetch;

use smallvec::SmallVec;

/// Entries whose field and value have this many bytes together leave the blob.
pub(super) const LARGE: usize = 1024;

const COUNT_BYTES: usize = 2;
const FLAG_LARGE: u8 = 1;

/// An entry of the table: its field (or member) and its value (empty in sets).
pub type Entry<'a> = (&'a [u8], &'a [u8]);

/// 16 bytes: a fat pointer to the blob, or a thin one to a blob with companions.
#[derive(Clone)]
pub(super) enum Bucket {
    Packed(Box<[u8]>),
    Mixed(Box<Mixed>),
}

/// A blob some of whose entries are large: `large[k]` holds field and value of the k-th of these.
#[derive(Clone, Default)]
pub(super) struct Mixed {
    blob: Box<[u8]>,
    large: Vec<Box<[u8]>>,
}

/// Where one entry stands: offsets into the blob, valid until the next edit.
#[derive(Clone, Copy)]
pub(super) struct Place {
    index: usize,
    record: usize,
    data: usize,
    large: usize,
    lengths: Lengths,
}

/// A decoded record.
#[derive(Clone, Copy)]
struct Lengths {
    record: usize,
    field: usize,
    value: usize,
    large: bool,
}

impl Lengths {
    fn inline(&self) -> usize {
        if self.large { 0 } else { self.field + self.value }
    }
}

/// A borrowed bucket; `VALUES` says whether records carry a value's length.
#[derive(Clone, Copy)]
pub(super) struct View<'a, const VALUES: bool> {
    blob: &'a [u8],
    large: &'a [Box<[u8]>],
}

#[derive(Clone)]
/// The entries of a bucket in the order in which they were added.
pub(super) struct Places<'a, const VALUES: bool> {
    blob: &'a [u8],
    left: usize,
    next: Place,
}

impl Default for Bucket {
    fn default() -> Self {
        Bucket::Packed(Box::default())
    }
}

impl Bucket {
    pub(super) fn view<const VALUES: bool>(&self) -> View<'_, VALUES> {
        match self {
            Bucket::Packed(blob) => View { blob, large: &[] },
            Bucket::Mixed(mixed) => View {
                blob: &mixed.blob,
                large: &mixed.large,
            },
        }
    }

    /// Asks for the lines with tags and lengths, and one in the middle of the data.
    #[inline]
    pub(super) fn prefetch(&self) {
        match self {
            Bucket::Packed(blob) => {
                prefetch(blob.as_ptr());
                prefetch(blob.as_ptr().wrapping_add(blob.len() / 2));
            }
            Bucket::Mixed(mixed) => prefetch((&raw const **mixed).cast()),
        }
    }

    /// Adds an entry whose field is not there yet.
    pub(super) fn push<const VALUES: bool>(&mut self, tag: u8, field: &[u8], value: &[u8]) {
        let view = self.view::<VALUES>();
        let (count, tags) = (view.len(), view.tags());
        let records = view.record_bytes();
        let data = view
            .blob
            .get(COUNT_BYTES + tags.len() + records.len()..)
            .unwrap_or_default();
        let large = field.len() + value.len() >= LARGE;
        let record = encode_record::<VALUES>(field.len(), value.len(), large);
        let inline = if large { [&[][..], &[]] } else { [field, value] };
        let blob = concat(&[
            &count_bytes(count + 1),
            tags,
            &[tag],
            records,
            &record,
            inline[0],
            inline[1],
            data,
        ]);
        let own = large.then(|| concat(&[field, value]));
        self.edit(blob, |companions| companions.extend(own));
    }

    /// Takes an entry out.
    pub(super) fn remove<const VALUES: bool>(&mut self, place: &Place) {
        let view = self.view::<VALUES>();
        let count = view.len();
        if count <= 1 {
            *self = Bucket::default();
            return;
        }
        let blob = view.blob;
        let lengths = place.lengths;
        let tag = COUNT_BYTES + place.index;
        let blob = concat(&[
            &count_bytes(count - 1),
            &blob[COUNT_BYTES..tag],
            &blob[tag + 1..place.record],
            &blob[place.record + lengths.record..place.data],
            &blob[place.data + lengths.inline()..],
        ]);
        self.edit(blob, |large| {
            if lengths.large {
                large.remove(place.large);
            }
        });
    }

    /// Gives an entry another value. In place where the length stays.
    pub(super) fn set_value<const VALUES: bool>(&mut self, place: &Place, value: &[u8]) {
        let old = place.lengths;
        let large = old.field + value.len() >= LARGE;
        if !old.large && old.value == value.len() {
            let start = place.data + old.field;
            self.blob_mut()[start..start + value.len()].copy_from_slice(value);
            return;
        }
        let view = self.view::<VALUES>();
        let (field, _) = view.entry(place);
        let record = encode_record::<VALUES>(old.field, value.len(), large);
        let inline = if large { [&[][..], &[]] } else { [field, value] };
        let new_blob = concat(&[
            &view.blob[..place.record],
            &record,
            &view.blob[place.record + old.record..place.data],
            inline[0],
            inline[1],
            &view.blob[place.data + old.inline()..],
        ]);
        let own = (large && !old.large).then(|| concat(&[field, value]));
        self.edit(new_blob, |companions| match (own, large) {
            (Some(data), _) => companions.insert(place.large, data),
            (None, true) => {
                let mut data = std::mem::take(&mut companions[place.large]).into_vec();
                data.truncate(old.field);
                data.reserve_exact(value.len());
                data.extend_from_slice(value);
                companions[place.large] = data.into_boxed_slice();
            }
            (None, false) if old.large => drop(companions.remove(place.large)),
            (None, false) => {}
        });
    }

    /// Parts the entries: those for which `moves(field)` holds leave for the bucket returned.
    pub(super) fn split<const VALUES: bool>(&mut self, mut moves: impl FnMut(&[u8]) -> bool) -> Bucket {
        let view = self.view::<VALUES>();
        let (mut stay, mut leave): (Parts<VALUES>, Parts<VALUES>) = Default::default();
        let mut sides: SmallVec<[bool; 8]> = SmallVec::new();
        for place in view.places() {
            let leaves = moves(view.entry(&place).0);
            if place.lengths.large {
                sides.push(leaves);
            }
            (if leaves { &mut leave } else { &mut stay }).push((view, place));
        }
        if leave.is_empty() {
            return Bucket::default();
        }
        let blobs = (assemble(&stay), assemble(&leave));
        drop((stay, leave));
        let (mut large_stay, mut large_leave) = (Vec::new(), Vec::new());
        for (data, leaves) in self.take_large().into_iter().zip(sides) {
            (if leaves { &mut large_leave } else { &mut large_stay }).push(data);
        }
        *self = Bucket::from_parts(blobs.0, large_stay);
        Bucket::from_parts(blobs.1, large_leave)
    }

    /// Takes over all entries of `other`, whose fields are not here.
    pub(super) fn absorb<const VALUES: bool>(&mut self, mut other: Bucket) {
        let (ours, theirs) = (self.view::<VALUES>(), other.view::<VALUES>());
        if ours.len() == 0 {
            *self = other;
            return;
        }
        if theirs.len() == 0 {
            return;
        }
        let ours_placed = ours.places().map(|place| (ours, place));
        let parts: Parts<VALUES> = ours_placed
            .chain(theirs.places().map(|place| (theirs, place)))
            .collect();
        let blob = assemble(&parts);
        drop(parts);
        let mut large = self.take_large();
        large.extend(other.take_large());
        *self = Bucket::from_parts(blob, large);
    }

    /// Bytes allocated for the blob and, apart from it, for large entries and their number.
    pub(super) fn sizes(&self) -> Sizes {
        match self {
            Bucket::Packed(blob) => Sizes {
                packed: blob.len(),
                large: 0,
                large_len: 0,
            },
            Bucket::Mixed(mixed) => Sizes {
                packed: mixed.blob.len(),
                large: mixed.large.iter().map(|data| data.len()).sum::<usize>()
                    + size_of::<Mixed>()
                    + mixed.large.capacity() * size_of::<Box<[u8]>>(),
                large_len: mixed.large.len(),
            },
        }
    }

    fn from_parts(blob: Box<[u8]>, large: Vec<Box<[u8]>>) -> Bucket {
        if large.is_empty() {
            Bucket::Packed(blob)
        } else {
            Bucket::Mixed(Box::new(Mixed { blob, large }))
        }
    }

    fn edit(&mut self, blob: Box<[u8]>, change: impl FnOnce(&mut Vec<Box<[u8]>>)) {
        let mut large = self.take_large();
        change(&mut large);
        *self = Bucket::from_parts(blob, large);
    }

    fn take_large(&mut self) -> Vec<Box<[u8]>> {
        match self {
            Bucket::Packed(_) => Vec::new(),
            Bucket::Mixed(mixed) => std::mem::take(&mut mixed.large),
        }
    }

    fn blob_mut(&mut self) -> &mut [u8] {
        match self {
            Bucket::Packed(blob) => blob,
            Bucket::Mixed(mixed) => &mut mixed.blob,
        }
    }
}

/// What a bucket has allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) packed: usize,
    pub(super) large: usize,
    pub(super) large_len: usize,
}

impl<'a, const VALUES: bool> View<'a, VALUES> {
    pub(super) fn len(&self) -> usize {
        match self.blob {
            [low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
            _ => 0,
        }
    }

    /// The entry with this field. Compares tags eight at a time, then lengths, then bytes.
    pub(super) fn find(&self, tag: u8, field: &[u8]) -> Option<Place> {
        // Asks for the line where the data probably is, while the first one is still on its way.
        black_box(self.blob.get(self.blob.len() / 2 + 32).copied());
        let count = self.len();
        let mut places = self.places();
        let mut base = 0;
        while base < count {
            let mut hits = matches_in_word(self.blob, COUNT_BYTES + base, count - base, tag);
            while hits != 0 {
                let index = base + (hits.trailing_zeros() / 8) as usize;
                hits &= hits - 1;
                let place = places.advance_to(index)?;
                if place.lengths.field == field.len() && self.entry(&place).0 == field {
                    return Some(place);
                }
            }
            base += 8;
        }
        None
    }

    /// The entry at `index`, counted from 0 in order of arrival.
    pub(super) fn nth(&self, index: usize) -> Option<Place> {
        (index < self.len())
            .then(|| self.places().advance_to(index))
            .flatten()
    }

    pub(super) fn places(&self) -> Places<'a, VALUES> {
        let left = self.len();
        let next = Place {
            index: 0,
            record: COUNT_BYTES + left,
            data: self.blob.len(),
            large: 0,
            lengths: Lengths {
                record: 0,
                field: 0,
                value: 0,
                large: false,
            },
        };
        Places {
            blob: self.blob,
            left,
            next,
        }
    }

    #[inline]
    pub(super) fn entry(&self, place: &Place) -> Entry<'a> {
        let Lengths {
            field, value, large, ..
        } = place.lengths;
        if large {
            self.large[place.large].split_at(field)
        } else {
            self.blob[place.data..place.data + field + value].split_at(field)
        }
    }

    fn tags(&self) -> &'a [u8] {
        self.blob
            .get(COUNT_BYTES..COUNT_BYTES + self.len())
            .unwrap_or_default()
    }

    fn record_bytes(&self) -> &'a [u8] {
        let start = COUNT_BYTES + self.len();
        let end = self
            .places()
            .last()
            .map_or(start, |last| last.record + last.lengths.record);
        self.blob.get(start..end).unwrap_or_default()
    }
}

impl<const VALUES: bool> Places<'_, VALUES> {
    /// Skips to the entry at `index`, which has not been passed yet.
    fn advance_to(&mut self, index: usize) -> Option<Place> {
        loop {
            let place = self.next()?;
            if place.index >= index {
                return Some(place);
            }
        }
    }
}

impl<const VALUES: bool> Iterator for Places<'_, VALUES> {
    type Item = Place;

    #[inline]
    fn next(&mut self) -> Option<Place> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let lengths = decode_record::<VALUES>(&self.blob[self.next.record..]);
        let data = self.next.data - lengths.inline();
        let place = Place {
            data,
            lengths,
            ..self.next
        };
        self.next.index += 1;
        self.next.record += lengths.record;
        self.next.data = data;
        self.next.large += usize::from(lengths.large);
        Some(place)
    }
}

type Parts<'a, const VALUES: bool> = SmallVec<[(View<'a, VALUES>, Place); 32]>;

/// A blob of the given entries, in this order.
fn assemble<const VALUES: bool>(parts: &[(View<'_, VALUES>, Place)]) -> Box<[u8]> {
    if parts.is_empty() {
        return Box::default();
    }
    let sizes = parts
        .iter()
        .map(|(_, place)| 1 + place.lengths.record + place.lengths.inline());
    let mut blob = Vec::with_capacity(COUNT_BYTES + sizes.sum::<usize>());
    blob.extend_from_slice(&count_bytes(parts.len()));
    blob.extend(
        parts
            .iter()
            .map(|(view, place)| view.blob[COUNT_BYTES + place.index]),
    );
    for (view, place) in parts {
        blob.extend_from_slice(&view.blob[place.record..place.record + place.lengths.record]);
    }
    for (view, place) in parts.iter().rev() {
        blob.extend_from_slice(&view.blob[place.data..place.data + place.lengths.inline()]);
    }
    blob.into_boxed_slice()
}

/// One exact allocation with the parts behind each other.
fn concat(parts: &[&[u8]]) -> Box<[u8]> {
    parts.concat().into_boxed_slice()
}

/// The count as stored. A bucket never comes near 65,535 entries: the table splits at an average of some ten, and
/// 64-bit seeded hashes spread them; the assertion is there for a hash function that is broken.
fn count_bytes(count: usize) -> [u8; COUNT_BYTES] {
    u16::try_from(count)
        .expect("seeded hashes keep a bucket under 65,536 entries")
        .to_le_bytes()
}

/// Which of the up to eight bytes at `start` equal `tag`: the top bit of each byte of the word, none past `limit`.
/// A false hit is possible above a true one (the carry of the subtraction); the caller compares anyway.
#[inline]
fn matches_in_word(blob: &[u8], start: usize, limit: usize, tag: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = match blob.get(start..start + 8) {
        Some(bytes) => u64::from_le_bytes(bytes.try_into().expect("eight bytes")),
        None => {
            let mut padded = [0; 8];
            let tail = blob.get(start..).unwrap_or_default();
            padded[..tail.len()].copy_from_slice(tail);
            u64::from_le_bytes(padded)
        }
    };
    let diff = word ^ (LOW * u64::from(tag));
    let hits = diff.wrapping_sub(LOW) & !diff & HIGH;
    if limit < 8 {
        hits & ((1 << (8 * limit)) - 1)
    } else {
        hits
    }
}

fn encode_record<const VALUES: bool>(field: usize, value: usize, large: bool) -> SmallVec<[u8; 24]> {
    let mut record = SmallVec::new();
    write_varint(&mut record, (field as u64) << 1 | u64::from(large));
    if large {
        record.push(FLAG_LARGE);
    }
    if VALUES {
        write_varint(&mut record, value as u64);
    }
    record
}

#[inline]
fn decode_record<const VALUES: bool>(bytes: &[u8]) -> Lengths {
    let (head, mut at) = read_varint(bytes);
    let extended = head & 1 != 0;
    let large = extended && bytes[at] & FLAG_LARGE != 0;
    at += usize::from(extended);
    let (value, value_bytes) = if VALUES { read_varint(&bytes[at..]) } else { (0, 0) };
    Lengths {
        record: at + value_bytes,
        field: (head >> 1) as usize,
        value: value as usize,
        large,
    }
}

fn write_varint(out: &mut SmallVec<[u8; 24]>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number at the start and its bytes.
#[inline]
fn read_varint(bytes: &[u8]) -> (u64, usize) {
    if bytes[0] < 0x80 {
        return (u64::from(bytes[0]), 1);
    }
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (number, at + 1);
        }
    }
    (number, bytes.len().min(10))
}

#[cfg(test)]
pub(super) mod tests_support {
    /// A record's lengths after encoding and decoding.
    pub(in super::super) fn round_trip(field: usize, value: usize, large: bool) -> (usize, usize, bool) {
        let record = super::encode_record::<true>(field, value, large);
        let lengths = super::decode_record::<true>(&record);
        assert_eq!(lengths.record, record.len());
        (lengths.field, lengths.value, lengths.large)
    }
}
