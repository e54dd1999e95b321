//! The set: an intset while all members are integers, a listpack while it is small, a packed table above. Knows
//! limits and encodings, never keys, clients or replies.
//!
//! Rules of Redis 7.2 (`set-max-intset-entries`, `set-max-listpack-entries`, `set-max-listpack-value`; OBJECT
//! ENCODING): an encoding only ever goes from intset over listpack to hashtable, an intset that outgrows its limit
//! goes to hashtable at once, and a removal converts nothing.

use rand::Rng;

use crate::encoding::integer::{MAX_INTEGER_TEXT, parse_canonical};
use crate::encoding::intset::{self, Intset};
use crate::encoding::listpack::{self, Item, Listpack};
use crate::encoding::packed_table::{self, SetTable};
use crate::encoding::prefetch::Stage;
use crate::encoding::sample::select;
use crate::encoding::tagged::{OneOf3, Tagged3};

#[cfg(test)]
mod tests;

/// An intset is converted before its 32-bit length is in danger, whatever the limit says.
const MAX_INTSET_ENTRIES: usize = 1 << 30;
/// What an entry of a listpack takes beside its bytes, at most.
const LISTPACK_ENTRY_OVERHEAD: usize = 14;

/// Up to where a set stays packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimits {
    /// Members of an intset.
    pub max_intset_entries: usize,
    /// Members of a listpack; 0: no set becomes a listpack, as in Redis 7.0.
    pub max_listpack_entries: usize,
    /// Bytes of a listpack's longest member.
    pub max_listpack_value: usize,
}

impl Default for SetLimits {
    /// The defaults of Redis 7.2.
    fn default() -> Self {
        SetLimits {
            max_intset_entries: 512,
            max_listpack_entries: 128,
            max_listpack_value: 64,
        }
    }
}

impl SetLimits {
    fn intset_entries(&self) -> usize {
        self.max_intset_entries.min(MAX_INTSET_ENTRIES)
    }
}

/// A set of byte strings, 8 bytes.
#[derive(Clone)]
pub struct Set(Tagged3<Intset, Listpack, Box<SetTable>>);

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Set")
            .field("encoding", &self.encoding())
            .field("len", &self.len())
            .finish()
    }
}

impl Set {
    /// An empty set; the first member decides its encoding.
    pub fn new() -> Self {
        Set::of_intset(Intset::new())
    }

    /// A set of an intset, converted if it is above the limit.
    pub fn from_intset(ints: Intset, limits: &SetLimits) -> Self {
        let mut set = Set::of_intset(ints);
        set.leave_long_intset(limits);
        set
    }

    /// A set of a listpack's entries, converted if these are above the limit. None if two are equal.
    pub fn from_listpack(pack: Listpack, limits: &SetLimits) -> Option<Self> {
        let mut table = SetTable::new();
        for item in pack.iter() {
            if !item.with_bytes(|member| table.insert(member, b"")) {
                return None;
            }
        }
        let packed = table.len() <= limits.max_listpack_entries;
        Some(if packed {
            Set::of_listpack(pack)
        } else {
            Set::of_table(table)
        })
    }

    /// Prepares for a command that adds up to `additions` members, the first of which is `first`: what will not stay
    /// packed need not be packed at first. Redis 7.2 chooses the encoding by this count, before duplicates are known.
    pub fn expect(&mut self, first: &[u8], additions: usize, limits: &SetLimits) {
        match self.0.as_ref() {
            OneOf3::A(ints) if ints.is_empty() => {
                let ints = parse_canonical(first).is_some() && additions <= limits.intset_entries();
                if !ints && additions <= limits.max_listpack_entries {
                    *self = Set::of_listpack(Listpack::new());
                } else if !ints {
                    *self = Set::of_table(SetTable::new());
                }
            }
            OneOf3::A(_) if additions > limits.intset_entries() => {
                self.become_table();
            }
            OneOf3::B(_) if additions > limits.max_listpack_entries => {
                self.become_table();
            }
            OneOf3::A(_) | OneOf3::B(_) | OneOf3::C(_) => {}
        }
    }

    /// Adds a member. True if it was not there.
    pub fn insert(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        match self.0.as_mut() {
            OneOf3::A(ints) => match parse_canonical(member) {
                Some(int) => {
                    let new = ints.insert(int);
                    if new {
                        self.leave_long_intset(limits);
                    }
                    return new;
                }
                None if ints.len() < limits.max_listpack_entries
                    && member.len().max(longest_text(ints)) <= limits.max_listpack_value
                    && has_room(&Listpack::new(), ints.len() * MAX_INTEGER_TEXT + member.len()) =>
                {
                    let mut pack = Listpack::new();
                    ints.iter().for_each(|int| pack.push_back_int(int));
                    pack.push_back(member);
                    *self = Set::of_listpack(pack);
                    return true;
                }
                None => {}
            },
            OneOf3::B(pack) => {
                if pack.find_first(member, 0).is_some() {
                    return false;
                }
                if pack.len() < limits.max_listpack_entries
                    && member.len() <= limits.max_listpack_value
                    && has_room(pack, member.len())
                {
                    pack.push_back(member);
                    return true;
                }
            }
            OneOf3::C(table) => return table.insert(member, b""),
        }
        self.become_table().insert(member, b"")
    }

    /// Takes a member out. True if it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.0.as_mut() {
            OneOf3::A(ints) => parse_canonical(member).is_some_and(|int| ints.remove(int)),
            OneOf3::B(pack) => match pack.find_first(member, 0) {
                Some(position) => {
                    pack.remove(position);
                    true
                }
                None => false,
            },
            OneOf3::C(table) => table.remove(member),
        }
    }

    /// Whether a string of bytes is a member.
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.0.as_ref() {
            OneOf3::A(ints) => parse_canonical(member).is_some_and(|int| ints.contains(int)),
            OneOf3::B(pack) => pack.find_first(member, 0).is_some(),
            OneOf3::C(table) => table.contains(member),
        }
    }

    /// Whether a member of another set is one of this.
    pub fn contains_item(&self, member: &Item<'_>) -> bool {
        match (self.0.as_ref(), member) {
            (OneOf3::A(ints), Item::Int(int)) => ints.contains(*int),
            (OneOf3::A(_) | OneOf3::B(_) | OneOf3::C(_), _) => {
                member.with_bytes(|bytes| self.contains(bytes))
            }
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match self.0.as_ref() {
            OneOf3::A(ints) => ints.len(),
            OneOf3::B(pack) => pack.len(),
            OneOf3::C(table) => table.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        match self.0.as_ref() {
            OneOf3::A(ints) => ints.is_empty(),
            OneOf3::B(pack) => pack.is_empty(),
            OneOf3::C(table) => table.is_empty(),
        }
    }

    /// All members: ascending in an intset, by arrival in a listpack, in no order in a table.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match self.0.as_ref() {
            OneOf3::A(ints) => Source::Intset(ints.iter()),
            OneOf3::B(pack) => Source::Listpack(pack.iter()),
            OneOf3::C(table) => Source::Table(table.iter()),
        })
    }

    /// One member, all equally likely.
    pub fn random<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<Item<'_>> {
        match self.0.as_ref() {
            OneOf3::A(ints) => ints.random(rng).map(Item::Int),
            OneOf3::B(pack) if pack.is_empty() => None,
            OneOf3::B(pack) => pack.get(rng.random_range(0..pack.len()) as i64),
            OneOf3::C(table) => table.random(rng).map(|(member, _)| Item::Bytes(member)),
        }
    }

    /// `count` different members (all, if there are fewer), all choices equally likely. Their order is that of the
    /// encoding or of the draw: no secret, and not itself random.
    pub fn sample<R: Rng + ?Sized>(&self, count: usize, rng: &mut R) -> Vec<Item<'_>> {
        match self.0.as_ref() {
            OneOf3::A(_) | OneOf3::B(_) => select(self.iter(), self.len(), count, rng),
            OneOf3::C(table) => table
                .sample(count, rng)
                .into_iter()
                .map(|(member, _)| Item::Bytes(member))
                .collect(),
        }
    }

    /// Takes out one member, all equally likely.
    pub fn pop_random<R: Rng + ?Sized>(&mut self, rng: &mut R) -> Option<Vec<u8>> {
        match self.0.as_mut() {
            OneOf3::A(ints) => {
                let int = ints.random(rng)?;
                ints.remove(int);
                Some(Item::Int(int).to_vec())
            }
            OneOf3::B(pack) if pack.is_empty() => None,
            OneOf3::B(pack) => {
                let position = pack.seek(rng.random_range(0..pack.len()) as i64)?;
                let member = pack.at(position).to_vec();
                pack.remove(position);
                Some(member)
            }
            OneOf3::C(table) => table.pop_random(rng, |(member, _)| member.to_vec()),
        }
    }

    /// Visits some members and answers the next cursor, 0 at the end. Start with cursor 0; any number is valid.
    ///
    /// Of a table it visits whole buckets until `count` members or more were visited; a packed set it visits at once.
    /// A member that stays from a scan's first call to its last is visited at least once, perhaps twice.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>)) -> u64 {
        match self.0.as_ref() {
            OneOf3::A(_) | OneOf3::B(_) => {
                self.iter().for_each(visit);
                0
            }
            OneOf3::C(table) => table.scan_some(cursor, count, |(member, _)| visit(Item::Bytes(member))),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self.0.as_ref() {
            OneOf3::A(_) => "intset",
            OneOf3::B(_) => "listpack",
            OneOf3::C(_) => "hashtable",
        }
    }

    /// Bytes on the heap, without what the allocator adds. Exact, so that `samples` of MEMORY USAGE is not needed.
    pub fn memory_usage(&self, _samples: usize) -> usize {
        match self.0.as_ref() {
            OneOf3::A(ints) => ints.total_bytes(),
            OneOf3::B(pack) => pack.total_bytes(),
            OneOf3::C(table) => size_of::<SetTable>() + table.heap_bytes(),
        }
    }

    /// Asks for what a look-up of the element reads.
    #[inline]
    pub(crate) fn prefetch(&self, element: &[u8], stage: Stage) {
        match self.0.as_ref() {
            OneOf3::A(_) | OneOf3::B(_) => {}
            OneOf3::C(table) => table.prefetch(element, stage),
        }
    }

    /// Allocations to free, which is what dropping the set costs.
    pub fn free_effort(&self) -> usize {
        match self.0.as_ref() {
            OneOf3::A(_) | OneOf3::B(_) => 1,
            OneOf3::C(table) => table.allocations(),
        }
    }

    /// The intset, if it is one: its bytes are what RDB stores.
    pub fn as_intset(&self) -> Option<&Intset> {
        match self.0.as_ref() {
            OneOf3::A(ints) => Some(ints),
            OneOf3::B(_) | OneOf3::C(_) => None,
        }
    }

    /// The listpack, if it is one: its bytes are what RDB stores.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.as_ref() {
            OneOf3::B(pack) => Some(pack),
            OneOf3::A(_) | OneOf3::C(_) => None,
        }
    }

    /// What a snapshot walks in slices, if the set is that large.
    pub(crate) fn undoable(&mut self) -> Option<&mut SetTable> {
        match self.0.as_mut() {
            OneOf3::C(table) => Some(table),
            OneOf3::A(_) | OneOf3::B(_) => None,
        }
    }

    fn of_intset(ints: Intset) -> Self {
        Set(Tagged3::from_a(ints))
    }

    fn of_listpack(pack: Listpack) -> Self {
        Set(Tagged3::from_b(pack))
    }

    fn of_table(table: SetTable) -> Self {
        Set(Tagged3::from_c(Box::new(table)))
    }

    fn leave_long_intset(&mut self, limits: &SetLimits) {
        if self
            .as_intset()
            .is_some_and(|ints| ints.len() > limits.intset_entries())
        {
            self.become_table();
        }
    }

    /// Makes it a table, if it is none, and lends that.
    fn become_table(&mut self) -> &mut SetTable {
        if !matches!(self.0.as_ref(), OneOf3::C(_)) {
            let mut table = SetTable::new();
            for item in self.iter() {
                item.with_bytes(|member| table.insert(member, b""));
            }
            *self = Set::of_table(table);
        }
        match self.0.as_mut() {
            OneOf3::C(table) => table,
            OneOf3::A(_) | OneOf3::B(_) => unreachable!("made a table above"),
        }
    }
}

fn has_room(pack: &Listpack, bytes: usize) -> bool {
    pack.has_room(bytes.saturating_add(LISTPACK_ENTRY_OVERHEAD))
}

/// Length of the longest member as text: the ends of the order are the longest on either side of 0.
fn longest_text(ints: &Intset) -> usize {
    let ends = [ints.get(0), ints.get(ints.len().wrapping_sub(1))];
    ends.into_iter()
        .flatten()
        .map(|int| Item::Int(int).byte_len())
        .max()
        .unwrap_or(0)
}

/// The members of a set.
#[derive(Clone)]
pub struct Iter<'a>(Source<'a>);

#[derive(Clone)]
enum Source<'a> {
    Intset(intset::Iter<'a>),
    Listpack(listpack::Iter<'a>),
    Table(packed_table::Iter<'a, false>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match &mut self.0 {
            Source::Intset(ints) => ints.next().map(Item::Int),
            Source::Listpack(items) => items.next(),
            Source::Table(entries) => entries.next().map(|(member, _)| Item::Bytes(member)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Source::Intset(ints) => ints.size_hint(),
            Source::Listpack(items) => items.size_hint(),
            Source::Table(entries) => entries.size_hint(),
        }
    }
}
