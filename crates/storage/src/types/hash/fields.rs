//! Fields and their values: a listpack while they are few, a packed table above. Knows limits and encodings, never
//! that fields may expire.
//!
//! Rules of Redis (`hash-max-listpack-entries`, `hash-max-listpack-value`; OBJECT ENCODING): the conversion goes one
//! way, and a removal converts nothing. In a listpack fields stand in the order of their arrival, and one that gets
//! another value keeps its place.

use rand::Rng;

use crate::encoding::listpack::{self, Item, Listpack, Position};
use crate::encoding::packed_table::{self, HashTable};
use crate::encoding::prefetch::Stage;
use crate::encoding::sample::select;
use crate::encoding::tagged::{OneOf2, Tagged2};

/// What a pair takes in a listpack beside its bytes, at most.
const LISTPACK_PAIR_OVERHEAD: usize = 28;

use super::{HashLimits, Pair};

/// A map from fields to values, 8 bytes.
#[derive(Clone)]
#[repr(transparent)]
pub struct Fields(Tagged2<Listpack, Box<HashTable>>);

impl Default for Fields {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fields")
            .field("encoding", &self.encoding())
            .field("len", &self.len())
            .finish()
    }
}

impl Fields {
    /// An empty hash.
    pub fn new() -> Self {
        Fields::of_listpack(Listpack::new())
    }

    /// A hash of a listpack's entries, field and value in turn, converted if these are above the limit. None if a
    /// field has no value or is there twice.
    pub fn from_listpack(pack: Listpack, limits: &HashLimits) -> Option<Self> {
        if !pack.len().is_multiple_of(2) {
            return None;
        }
        let mut table = HashTable::new();
        for (field, value) in Pairs(pack.iter()) {
            if !field.with_bytes(|field| value.with_bytes(|value| table.insert(field, value))) {
                return None;
            }
        }
        let packed = table.len() <= limits.max_listpack_entries;
        Some(if packed {
            Fields::of_listpack(pack)
        } else {
            Fields::of_table(table)
        })
    }

    /// Prepares for a command that sets up to `additions` fields: more than the limit need no listpack at first.
    /// Redis 7.2 decides by this count, before duplicates are known.
    pub fn expect(&mut self, additions: usize, limits: &HashLimits) {
        if additions > limits.max_listpack_entries {
            self.become_table();
        }
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<Item<'_>> {
        match self.0.as_ref() {
            OneOf2::A(pack) => value_position(pack, field).map(|position| pack.at(position)),
            OneOf2::B(table) => table.get(field).map(Item::Bytes),
        }
    }

    /// Length in bytes of the value of a field.
    pub fn value_len(&self, field: &[u8]) -> Option<usize> {
        self.get(field).map(|value| value.byte_len())
    }

    /// Whether a field is there.
    pub fn contains(&self, field: &[u8]) -> bool {
        match self.0.as_ref() {
            OneOf2::A(pack) => pack.find_first(field, 1).is_some(),
            OneOf2::B(table) => table.contains(field),
        }
    }

    /// Sets the value of a field. True if the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &HashLimits) -> bool {
        match self.0.as_mut() {
            OneOf2::A(pack)
                if field.len().max(value.len()) <= limits.max_listpack_value
                    && pack.has_room(field.len() + value.len() + LISTPACK_PAIR_OVERHEAD) =>
            {
                if let Some(position) = value_position(pack, field) {
                    pack.replace(position, value);
                    return false;
                }
                pack.push_back_pair(field, value);
                if pack.len() / 2 > limits.max_listpack_entries {
                    self.become_table();
                }
                true
            }
            OneOf2::A(_) => self.become_table().insert(field, value),
            OneOf2::B(table) => table.insert(field, value),
        }
    }

    /// Takes a field out. True if it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.0.as_mut() {
            OneOf2::A(pack) => match pack.find_first(field, 1) {
                Some(position) => {
                    pack.remove_at(position, 2);
                    true
                }
                None => false,
            },
            OneOf2::B(table) => table.remove(field),
        }
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        match self.0.as_ref() {
            OneOf2::A(pack) => pack.len() / 2,
            OneOf2::B(table) => table.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        match self.0.as_ref() {
            OneOf2::A(pack) => pack.is_empty(),
            OneOf2::B(table) => table.is_empty(),
        }
    }

    /// All fields with their values: by arrival in a listpack, in no order in a table.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match self.0.as_ref() {
            OneOf2::A(pack) => Source::Listpack(Pairs(pack.iter())),
            OneOf2::B(table) => Source::Table(table.iter()),
        })
    }

    /// One field with its value, all equally likely.
    pub fn random<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<Pair<'_>> {
        match self.0.as_ref() {
            OneOf2::A(pack) if pack.is_empty() => None,
            OneOf2::A(pack) => {
                let field = pack.seek(2 * rng.random_range(0..self.len()) as i64)?;
                Some((pack.at(field), pack.at(pack.next(field)?)))
            }
            OneOf2::B(table) => table.random(rng).map(as_pair),
        }
    }

    /// `count` different fields (all, if there are fewer) with their values, all choices equally likely. Their order
    /// is that of the encoding or of the draw: no secret, and not itself random.
    pub fn sample<R: Rng + ?Sized>(&self, count: usize, rng: &mut R) -> Vec<Pair<'_>> {
        match self.0.as_ref() {
            OneOf2::A(pack) => select(Pairs(pack.iter()), self.len(), count, rng),
            OneOf2::B(table) => table.sample(count, rng).into_iter().map(as_pair).collect(),
        }
    }

    /// Visits some fields with their values and answers the next cursor, 0 at the end. Start with cursor 0; any
    /// number is valid.
    ///
    /// Of a table it visits whole buckets until `count` fields or more were visited; a listpack it visits at once.
    /// A field that stays from a scan's first call to its last is visited at least once, perhaps twice.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, Item<'_>)) -> u64 {
        match self.0.as_ref() {
            OneOf2::A(pack) => {
                Pairs(pack.iter()).for_each(|(field, value)| visit(field, value));
                0
            }
            OneOf2::B(table) => table.scan_some(cursor, count, |(field, value)| {
                visit(Item::Bytes(field), Item::Bytes(value))
            }),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self.0.as_ref() {
            OneOf2::A(_) => "listpack",
            OneOf2::B(_) => "hashtable",
        }
    }

    /// Bytes on the heap, without what the allocator adds. Exact, so that `samples` of MEMORY USAGE is not needed.
    pub fn memory_usage(&self, _samples: usize) -> usize {
        match self.0.as_ref() {
            OneOf2::A(pack) => pack.total_bytes(),
            OneOf2::B(table) => size_of::<HashTable>() + table.heap_bytes(),
        }
    }

    /// Asks for what a look-up of the field reads.
    #[inline]
    pub(crate) fn prefetch(&self, field: &[u8], stage: Stage) {
        match self.0.as_ref() {
            OneOf2::A(_) => {}
            OneOf2::B(table) => table.prefetch(field, stage),
        }
    }

    /// Allocations to free, which is what dropping the hash costs.
    pub fn free_effort(&self) -> usize {
        match self.0.as_ref() {
            OneOf2::A(_) => 1,
            OneOf2::B(table) => table.allocations(),
        }
    }

    /// The listpack, if it is one: its bytes are what RDB stores.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.as_ref() {
            OneOf2::A(pack) => Some(pack),
            OneOf2::B(_) => None,
        }
    }

    /// The table, if it is one.
    pub(super) fn as_table(&self) -> Option<&HashTable> {
        match self.0.as_ref() {
            OneOf2::B(table) => Some(table),
            OneOf2::A(_) => None,
        }
    }

    /// The table, if it is one.
    pub(super) fn as_table_mut(&mut self) -> Option<&mut HashTable> {
        match self.0.as_mut() {
            OneOf2::B(table) => Some(table),
            OneOf2::A(_) => None,
        }
    }

    fn of_listpack(pack: Listpack) -> Self {
        Fields(Tagged2::from_a(pack))
    }

    fn of_table(table: HashTable) -> Self {
        Fields(Tagged2::from_b(Box::new(table)))
    }

    /// Makes it a table, if it is none, and lends that.
    fn become_table(&mut self) -> &mut HashTable {
        if let OneOf2::A(pack) = self.0.as_ref() {
            let mut table = HashTable::new();
            for (field, value) in Pairs(pack.iter()) {
                field.with_bytes(|field| value.with_bytes(|value| table.insert(field, value)));
            }
            *self = Fields::of_table(table);
        }
        match self.0.as_mut() {
            OneOf2::B(table) => table,
            OneOf2::A(_) => unreachable!("made a table above"),
        }
    }
}

fn value_position(pack: &Listpack, field: &[u8]) -> Option<Position> {
    pack.next(pack.find_first(field, 1)?)
}

fn as_pair<'a>((field, value): packed_table::Entry<'a>) -> Pair<'a> {
    (Item::Bytes(field), Item::Bytes(value))
}

/// The fields of a hash with their values.
#[derive(Clone)]
pub struct Iter<'a>(Source<'a>);

#[derive(Clone)]
enum Source<'a> {
    Listpack(Pairs<'a>),
    Table(packed_table::Iter<'a, true>),
}

/// Takes a listpack two by two.
#[derive(Clone)]
struct Pairs<'a>(listpack::Iter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        Some((self.0.next()?, self.0.next()?))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        match &mut self.0 {
            Source::Listpack(pairs) => pairs.next(),
            Source::Table(entries) => entries.next().map(as_pair),
        }
    }
}
