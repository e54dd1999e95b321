//! The hash: fields with values ([`Fields`]), and beside them, once one has been set, the times at which fields expire.
//! Knows limits and encodings, never keys, clients, replies or the clock.
//!
//! ```text
//!   Hash, one word
//!   | a Listpack or a table of fields |                         no field expires: not a byte more than the fields
//!   | MarkedBox of  fields | times: a sorted set of fields by time | what is hidden
//! ```
//!
//! Rules of Redis (`hash-max-listpack-entries`, `hash-max-listpack-value`; OBJECT ENCODING): the conversion goes one
//! way, and a removal converts nothing. In a listpack fields stand in the order of their arrival, and one that gets
//! another value keeps its place.
//!
//! A field whose time is over is there until somebody removes it ([`Hash::take_due`]); until then it can be hidden
//! from every look ([`Hash::hide_until`]), which is what the doors of the keyspace do.

mod fields;
mod times;

use std::sync::Arc;

use rand::Rng;

use crate::encoding::listpack::{Item, Listpack};
use crate::encoding::packed_table::HashTable;
use crate::encoding::prefetch::Stage;
use crate::encoding::sample::select;
use crate::encoding::tagged::{MarkedBox, OneOf2, Tagged2};
use crate::encoding::undo::{Origin, Undoable};
use crate::snapshot::Element;
use crate::value::Kind;
pub use fields::Fields;
use times::FieldTimes;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod timed_tests;

/// Latest time at which a field can expire, Unix ms: what Redis 7.4 has room for.
pub const FIELD_EXPIRY_MAX_MS: i64 = (1 << 46) - 1;

/// Up to where a hash stays packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashLimits {
    /// Fields of a listpack.
    pub max_listpack_entries: usize,
    /// Bytes of a listpack's longest field or value.
    pub max_listpack_value: usize,
}

impl Default for HashLimits {
    /// The defaults of Redis 7.0 and 7.2.
    fn default() -> Self {
        HashLimits {
            max_listpack_entries: 512,
            max_listpack_value: 64,
        }
    }
}

/// A field and its value.
pub type Pair<'a> = (Item<'a>, Item<'a>);

/// A map from fields to values, 8 bytes.
#[derive(Clone)]
pub struct Hash(Tagged2<Fields, MarkedBox<Timed>>);

/// A hash of which some fields expire: `times` is not empty.
#[derive(Clone)]
struct Timed {
    fields: Fields,
    times: FieldTimes,
}

impl Timed {
    /// Tells a snapshot's walk that a field or its time is about to change.
    fn keep_old(&mut self, field: &[u8]) {
        if let Some(table) = self.fields.as_table_mut()
            && table.is_walked()
        {
            table.keep_timed(field, self.times.get(field));
        }
    }
}

impl Undoable for Hash {
    fn kind(&self) -> Kind {
        Kind::Hash
    }

    fn elements(&self) -> usize {
        // Hidden fields are walked as well.
        self.fields().as_table().map_or(0, HashTable::len)
    }

    fn bytes(&self) -> usize {
        self.fields().as_table().map_or(0, HashTable::heap_bytes)
    }

    fn open(&mut self, origin: Arc<Origin>) {
        if let Some(table) = self.fields_mut().as_table_mut() {
            table.undo.open(origin);
        }
    }

    fn origin(&self) -> Option<&Arc<Origin>> {
        self.fields().as_table()?.undo.origin()
    }

    fn walk(&mut self, most: usize, each: &mut dyn FnMut(Element<'_>)) -> bool {
        let (fields, times) = match self.0.as_mut() {
            OneOf2::A(fields) => (fields, None),
            OneOf2::B(timed) => {
                let Timed { fields, times } = &mut **timed;
                (fields, Some(&*times))
            }
        };
        fields.as_table_mut().is_none_or(|table| {
            table.walk(most, |field, value, old_time| {
                // What has not changed has the time that it had.
                let at_ms = old_time.unwrap_or_else(|| times.and_then(|times| times.get(field)));
                each(Element::Field(field, value, at_ms));
            })
        })
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hash")
            .field("encoding", &self.encoding())
            .field("len", &self.len())
            .field("expiring", &self.expiring_len())
            .finish()
    }
}

impl From<Fields> for Hash {
    fn from(fields: Fields) -> Self {
        Hash(Tagged2::from_a(fields))
    }
}

impl Hash {
    /// An empty hash.
    pub fn new() -> Self {
        Fields::new().into()
    }

    /// A hash of a listpack's entries, field and value in turn, converted if these are above the limit. None if a
    /// field has no value or is there twice.
    pub fn from_listpack(pack: Listpack, limits: &HashLimits) -> Option<Self> {
        Fields::from_listpack(pack, limits).map(Self::from)
    }

    /// Prepares for a command that sets up to `additions` fields: more than the limit need no listpack at first.
    /// Redis 7.2 decides by this count, before duplicates are known.
    pub fn expect(&mut self, additions: usize, limits: &HashLimits) {
        self.fields_mut().expect(additions, limits);
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<Item<'_>> {
        match self.0.as_ref() {
            OneOf2::A(fields) => fields.get(field),
            OneOf2::B(timed) if timed.times.hides(field) => None,
            OneOf2::B(timed) => timed.fields.get(field),
        }
    }

    /// Length in bytes of the value of a field.
    pub fn value_len(&self, field: &[u8]) -> Option<usize> {
        self.get(field).map(|value| value.byte_len())
    }

    /// Whether a field is there.
    pub fn contains(&self, field: &[u8]) -> bool {
        match self.0.as_ref() {
            OneOf2::A(fields) => fields.contains(field),
            OneOf2::B(timed) => timed.fields.contains(field) && !timed.times.hides(field),
        }
    }

    /// Sets the value of a field, which lives for ever from now on. True if the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &HashLimits) -> bool {
        match self.0.as_mut() {
            OneOf2::A(fields) => fields.set(field, value, limits),
            OneOf2::B(timed) => {
                timed.keep_old(field);
                let hidden = timed.times.hides(field);
                let new = timed.fields.set(field, value, limits);
                timed.times.remove(field);
                self.forget_empty_times();
                new || hidden
            }
        }
    }

    /// Changes the value of a field, which keeps the time at which it expires; sets it if it is not there. True if it
    /// is new.
    pub fn update(&mut self, field: &[u8], value: &[u8], limits: &HashLimits) -> bool {
        match self.0.as_mut() {
            OneOf2::A(fields) => fields.set(field, value, limits),
            OneOf2::B(timed) if timed.times.hides(field) => self.set(field, value, limits),
            OneOf2::B(timed) => {
                timed.keep_old(field);
                timed.fields.set(field, value, limits)
            }
        }
    }

    /// Takes a field out. True if it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.0.as_mut() {
            OneOf2::A(fields) => fields.remove(field),
            OneOf2::B(timed) if timed.times.hides(field) => false,
            OneOf2::B(timed) => {
                timed.keep_old(field);
                let removed = timed.fields.remove(field);
                timed.times.remove(field);
                self.forget_empty_times();
                removed
            }
        }
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        match self.0.as_ref() {
            OneOf2::A(fields) => fields.len(),
            OneOf2::B(timed) => timed.fields.len() - timed.times.hidden(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All fields with their values: by arrival in a listpack, in no order in a table.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            fields: self.fields().iter(),
            hidden: self.hiding(),
        }
    }

    /// One field with its value, all equally likely.
    pub fn random<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<Pair<'_>> {
        match self.hiding() {
            None => self.fields().random(rng),
            Some(_) => select(self.iter(), self.len(), 1, rng).pop(),
        }
    }

    /// `count` different fields (all, if there are fewer) with their values, all choices equally likely. Their order
    /// is that of the encoding or of the draw: no secret, and not itself random.
    pub fn sample<R: Rng + ?Sized>(&self, count: usize, rng: &mut R) -> Vec<Pair<'_>> {
        match self.hiding() {
            None => self.fields().sample(count, rng),
            Some(_) => select(self.iter(), self.len(), count, rng),
        }
    }

    /// Visits some fields with their values and answers the next cursor, 0 at the end. Start with cursor 0; any
    /// number is valid.
    ///
    /// Of a table it visits whole buckets until `count` fields or more were visited; a listpack it visits at once.
    /// A field that stays from a scan's first call to its last is visited at least once, perhaps twice.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, Item<'_>)) -> u64 {
        match self.hiding() {
            None => self.fields().scan(cursor, count, visit),
            Some(times) => self.fields().scan(cursor, count, |field, value| {
                if !field.with_bytes(|field| times.hides(field)) {
                    visit(field, value);
                }
            }),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match (self.0.as_ref(), self.fields().encoding()) {
            (OneOf2::B(_), "listpack") => "listpackex",
            (OneOf2::A(_) | OneOf2::B(_), encoding) => encoding,
        }
    }

    /// Bytes on the heap, without what the allocator adds. Exact, so that `samples` of MEMORY USAGE is not needed.
    pub fn memory_usage(&self, samples: usize) -> usize {
        let times = match self.0.as_ref() {
            OneOf2::A(_) => 0,
            OneOf2::B(timed) => size_of::<Timed>() + timed.times.memory_usage(),
        };
        times + self.fields().memory_usage(samples)
    }

    /// Asks for what a look-up of the field reads.
    #[inline]
    pub(crate) fn prefetch(&self, field: &[u8], stage: Stage) {
        self.fields().prefetch(field, stage);
    }

    /// Allocations to free, which is what dropping the hash costs.
    pub fn free_effort(&self) -> usize {
        let times = match self.0.as_ref() {
            OneOf2::A(_) => 0,
            OneOf2::B(timed) => 1 + timed.times.free_effort(),
        };
        times + self.fields().free_effort()
    }

    /// The listpack, if it is one and no field expires: its bytes are what RDB stores.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.as_ref() {
            OneOf2::A(fields) => fields.as_listpack(),
            OneOf2::B(_) => None,
        }
    }

    // ---- fields that expire ----

    /// When a field expires, Unix ms. None: there is no such field; Some(None): it lives for ever.
    pub fn expiry_ms(&self, field: &[u8]) -> Option<Option<i64>> {
        if !self.contains(field) {
            return None;
        }
        Some(match self.0.as_ref() {
            OneOf2::A(_) => None,
            OneOf2::B(timed) => timed.times.get(field),
        })
    }

    /// Lets a field expire at a time (Unix ms, from 0 to [`FIELD_EXPIRY_MAX_MS`]), or (None) live for ever. False:
    /// there is no such field.
    pub fn set_expiry_ms(&mut self, field: &[u8], at_ms: Option<i64>) -> bool {
        if !self.contains(field) {
            return false;
        }
        match (self.0.as_mut(), at_ms) {
            (OneOf2::A(_), None) => {}
            (OneOf2::A(fields), Some(at_ms)) => {
                if let Some(table) = fields.as_table_mut() {
                    table.keep_timed(field, None);
                }
                let fields = std::mem::take(fields);
                let mut times = FieldTimes::default();
                times.set(field, at_ms);
                self.0 = Tagged2::from_b(MarkedBox::new(Timed { fields, times }));
            }
            (OneOf2::B(timed), Some(at_ms)) => {
                timed.keep_old(field);
                timed.times.set(field, at_ms);
            }
            (OneOf2::B(timed), None) => {
                timed.keep_old(field);
                timed.times.remove(field);
                self.forget_empty_times();
            }
        }
        true
    }

    /// When the next field expires, Unix ms; fields whose time is over count.
    #[inline]
    pub fn next_expiry_ms(&self) -> Option<i64> {
        match self.0.as_ref() {
            OneOf2::A(_) => None,
            OneOf2::B(timed) => timed.times.next_ms(),
        }
    }

    /// Number of fields that expire, those included whose time is over.
    pub fn expiring_len(&self) -> usize {
        match self.0.as_ref() {
            OneOf2::A(_) => 0,
            OneOf2::B(timed) => timed.times.len(),
        }
    }

    /// Whether every field's time was over at `now_ms`.
    pub fn all_due(&self, now_ms: i64) -> bool {
        match self.0.as_ref() {
            OneOf2::A(_) => false,
            OneOf2::B(timed) => timed.times.due_len(now_ms) == timed.fields.len(),
        }
    }

    /// Takes out up to `most` fields whose time was over at `now_ms`, the earliest first.
    pub fn take_due(&mut self, now_ms: i64, most: usize) -> Vec<Box<[u8]>> {
        let OneOf2::B(timed) = self.0.as_mut() else {
            return Vec::new();
        };
        if timed.fields.as_table().is_some_and(HashTable::is_walked) {
            timed
                .times
                .due(now_ms, most)
                .iter()
                .for_each(|field| timed.keep_old(field));
        }
        let due = timed.times.take_due(now_ms, most);
        for field in &due {
            timed.fields.remove(field);
        }
        self.forget_empty_times();
        due
    }

    /// From now on, no look at the hash finds a field whose time was over at `now_ms`; `i64::MIN` hides nothing.
    pub fn hide_until(&mut self, now_ms: i64) {
        if let OneOf2::B(timed) = self.0.as_mut() {
            timed.times.hide_until(now_ms);
        }
    }

    /// Whether fields are hidden.
    pub fn hides_some(&self) -> bool {
        self.hiding().is_some()
    }

    /// Every field with its value and the time at which it expires (Unix ms), hidden ones included: what a dump or a
    /// digest is made of. [`Hash::set`] and [`Hash::set_expiry_ms`] build the same again.
    pub fn iter_all(&self) -> impl Iterator<Item = (Item<'_>, Item<'_>, Option<i64>)> {
        let times = match self.0.as_ref() {
            OneOf2::A(_) => None,
            OneOf2::B(timed) => Some(&timed.times),
        };
        self.fields().iter().map(move |(field, value)| {
            let at_ms = times.and_then(|times| field.with_bytes(|field| times.get(field)));
            (field, value, at_ms)
        })
    }

    fn fields(&self) -> &Fields {
        match self.0.as_ref() {
            OneOf2::A(fields) => fields,
            OneOf2::B(timed) => &timed.fields,
        }
    }

    fn fields_mut(&mut self) -> &mut Fields {
        match self.0.as_mut() {
            OneOf2::A(fields) => fields,
            OneOf2::B(timed) => &mut timed.fields,
        }
    }

    /// The times, if some field is hidden.
    fn hiding(&self) -> Option<&FieldTimes> {
        match self.0.as_ref() {
            OneOf2::B(timed) if timed.times.hidden() > 0 => Some(&timed.times),
            OneOf2::A(_) | OneOf2::B(_) => None,
        }
    }

    /// A hash whose last time went away is an ordinary one again.
    fn forget_empty_times(&mut self) {
        if let OneOf2::B(timed) = self.0.as_mut()
            && timed.times.len() == 0
        {
            let fields = std::mem::take(&mut timed.fields);
            *self = fields.into();
        }
    }
}

/// The fields of a hash with their values.
#[derive(Clone)]
pub struct Iter<'a> {
    fields: fields::Iter<'a>,
    hidden: Option<&'a FieldTimes>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        match self.hidden {
            None => self.fields.next(),
            Some(times) => self
                .fields
                .find(|(field, _)| !field.with_bytes(|field| times.hides(field))),
        }
    }
}
