//! One macro node of a stream: a listpack of entries whose ids are kept as differences to the id of the node's first
//! entry and whose fields, where they are those of that entry, are not repeated. The layout is that of Redis 5 to 7.2,
//! so that RDB files carry it as it is.
//!
//! ```text
//!   master     | live | deleted | fields n | field 1 | ... | field n | 0 |
//!   same       | flags | ms - first.ms | seq - first.seq | value 1 | ... | value n | n + 3 |
//!   other      | flags | ms - first.ms | seq - first.seq | m | field 1 | value 1 | ... | value m | 2m + 4 |
//! ```
//!
//! flags: 1 deleted, 2 the fields are those of the master entry. The last number of an entry counts its items before
//! it, for whoever comes from behind. A deleted entry stays until the whole node goes.

use smallvec::SmallVec;

use super::id::StreamId;
use crate::encoding::listpack::{Item, Iter, Listpack, Position};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// Items of an entry beside fields and values, without the last one.
const FIXED_ITEMS: usize = 3;

/// Why a node's bytes cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream node is damaged")]
pub struct DamagedNode;

/// The items of an entry that is being written.
type Items<'a> = SmallVec<[Item<'a>; 16]>;

/// An entry as it is read.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Its fields with their values.
    pub fields: Fields<'a>,
}

/// The fields of an entry with their values, in the order in which they came.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// The names, where they are those of the master entry.
    names: Option<Iter<'a>>,
    items: Iter<'a>,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let name = match &mut self.names {
            Some(names) => names.next()?,
            None => self.items.next()?,
        };
        Some((name, self.items.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// The numbers of a master entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) live: u64,
    pub(super) deleted: u64,
}

/// A node whose first entry has these fields.
pub(super) fn create<'f>(fields: impl Iterator<Item = &'f [u8]>) -> Listpack {
    let mut items: Items<'_> = SmallVec::new();
    items.extend([Item::Int(0), Item::Int(0), Item::Int(0)]);
    items.extend(fields.map(Item::Bytes));
    items[2] = Item::Int(items.len() as i64 - 3);
    items.push(Item::Int(0));
    let mut pack = Listpack::new();
    pack.extend(&items);
    pack
}

/// The numbers in front of the fields. Those of a valid node are never negative.
pub(super) fn counts(pack: &Listpack) -> Counts {
    let mut items = pack.iter();
    Counts {
        live: unsigned(items.next()),
        deleted: unsigned(items.next()),
    }
}

/// Appends an entry, whose id is greater than all others of the node that begins with `first`.
pub(super) fn push<'f>(
    pack: &mut Listpack,
    first: StreamId,
    id: StreamId,
    fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])> + Clone,
) {
    let mut master = pack.iter();
    let live = unsigned(master.next());
    master.pass(1);
    let names = unsigned(master.next()) as usize;
    let same = names == fields.len()
        && fields
            .clone()
            .zip(master)
            .all(|((field, _), name)| name.eq_bytes(field));
    let mut items: Items<'_> = SmallVec::new();
    items.extend([
        Item::Int(if same { SAME_FIELDS } else { 0 }),
        Item::Int(id.ms.wrapping_sub(first.ms) as i64),
        Item::Int(id.seq.wrapping_sub(first.seq) as i64),
    ]);
    if same {
        items.extend(fields.map(|(_, value)| Item::Bytes(value)));
    } else {
        items.push(Item::Int(fields.len() as i64));
        for (field, value) in fields {
            items.push(Item::Bytes(field));
            items.push(Item::Bytes(value));
        }
    }
    items.push(Item::Int(items.len() as i64));
    pack.extend(&items);
    set_count(pack, 0, live + 1);
}

/// Marks the entry at `position` (its flags) as deleted; the node's numbers are the caller's to change.
pub(super) fn mark(pack: &mut Listpack, position: Position) {
    let flags = signed(Some(pack.at(position)));
    pack.replace_int(position, flags | DELETED);
}

/// Moves `marked` entries from the live ones to the deleted ones.
pub(super) fn count_deleted(pack: &mut Listpack, marked: u64) {
    let counts = counts(pack);
    set_count(pack, 1, counts.deleted + marked);
    set_count(pack, 0, counts.live.saturating_sub(marked));
}

fn set_count(pack: &mut Listpack, which: i64, count: u64) {
    let position = pack
        .seek(which)
        .expect("a node begins with the two numbers of its entries");
    pack.replace_int(position, i64::try_from(count).unwrap_or(i64::MAX));
}

/// An entry as it stands in the node.
#[derive(Clone, Debug)]
pub(super) struct RawEntry<'a> {
    pub(super) entry: Entry<'a>,
    pub(super) deleted: bool,
    /// Where its flags are.
    pub(super) position: Position,
}

/// The entries of a node, deleted ones too, from either end.
#[derive(Clone, Debug)]
pub(super) struct NodeIter<'a> {
    first: StreamId,
    names: Iter<'a>,
    name_count: usize,
    entries: Iter<'a>,
}

impl<'a> NodeIter<'a> {
    pub(super) fn new(first: StreamId, pack: &'a Listpack) -> Self {
        let mut items = pack.iter();
        items.pass(2);
        let name_count = unsigned(items.next()) as usize;
        let names = items.clone();
        items.pass(name_count.saturating_add(1));
        Self {
            first,
            names,
            name_count,
            entries: items,
        }
    }

    /// Reads the entry at the front of `items` and passes over it. None if that is none.
    fn read(&self, items: &mut Iter<'a>) -> Option<RawEntry<'a>> {
        let position = Iter::position(items)?;
        let flags = signed(items.next());
        let id = StreamId {
            ms: self.first.ms.wrapping_add(signed(items.next()) as u64),
            seq: self.first.seq.wrapping_add(signed(items.next()) as u64),
        };
        let (names, left) = if flags & SAME_FIELDS != 0 {
            (Some(self.names.clone()), self.name_count)
        } else {
            (None, unsigned(items.next()) as usize)
        };
        let fields = Fields {
            items: items.clone(),
            left,
            names,
        };
        let each = if fields.names.is_some() { 1 } else { 2 };
        items.pass(left.saturating_mul(each).saturating_add(1));
        Some(RawEntry {
            entry: Entry { id, fields },
            deleted: flags & DELETED != 0,
            position,
        })
    }
}

impl<'a> Iterator for NodeIter<'a> {
    type Item = RawEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawEntry<'a>> {
        let mut items = self.entries.clone();
        let entry = self.read(&mut items)?;
        self.entries = items;
        Some(entry)
    }
}

impl DoubleEndedIterator for NodeIter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let count = unsigned(Some(self.entries.next_back()?)) as usize;
        let mut items = self.entries.rewind(count)?;
        self.read(&mut items)
    }
}

/// Checks a node of any origin: that its numbers agree with its entries, that the ids of those which are not deleted
/// ascend from `first` on. Returns its numbers and the greatest of these ids, `first` if there is none.
///
/// # Errors
/// Something disagrees.
pub(super) fn check(first: StreamId, pack: &Listpack) -> Result<(Counts, StreamId), DamagedNode> {
    let mut items = pack.iter();
    let live = number(items.next())?;
    let deleted = number(items.next())?;
    let names = number(items.next())?;
    for _ in 0..names {
        items.next().ok_or(DamagedNode)?;
    }
    if number(items.next())? != 0 {
        return Err(DamagedNode);
    }
    let mut seen = Counts { live: 0, deleted: 0 };
    let (mut last, mut any) = (None, false);
    while let Some(flags) = items.next() {
        let flags = number(Some(flags))?;
        if flags > 3 {
            return Err(DamagedNode);
        }
        let id = StreamId {
            ms: first.ms.wrapping_add(integer(items.next())? as u64),
            seq: first.seq.wrapping_add(integer(items.next())? as u64),
        };
        any = true;
        // XSETID can take the last id back behind deleted entries, so that lesser ones follow them.
        if flags & DELETED as u64 == 0 {
            if id < first || last.is_some_and(|last| id <= last) {
                return Err(DamagedNode);
            }
            last = Some(id);
        }
        let same = flags & SAME_FIELDS as u64 != 0;
        let fields = if same { names } else { number(items.next())? };
        let (each, fixed) = if same {
            (1, FIXED_ITEMS)
        } else {
            (2, FIXED_ITEMS + 1)
        };
        let body = fields.checked_mul(each).ok_or(DamagedNode)?;
        for _ in 0..body {
            items.next().ok_or(DamagedNode)?;
        }
        if number(items.next())? != body.saturating_add(fixed as u64) {
            return Err(DamagedNode);
        }
        if flags & DELETED as u64 != 0 {
            seen.deleted += 1;
        } else {
            seen.live += 1;
        }
    }
    if !any || (seen.live, seen.deleted) != (live, deleted) {
        return Err(DamagedNode);
    }
    Ok((seen, last.unwrap_or(first)))
}

fn integer(item: Option<Item<'_>>) -> Result<i64, DamagedNode> {
    match item {
        Some(Item::Int(int)) => Ok(int),
        Some(Item::Bytes(_)) | None => Err(DamagedNode),
    }
}

fn number(item: Option<Item<'_>>) -> Result<u64, DamagedNode> {
    u64::try_from(integer(item)?).map_err(|_| DamagedNode)
}

/// An integer of a node that was checked or made here.
fn signed(item: Option<Item<'_>>) -> i64 {
    integer(item).unwrap_or(0)
}

fn unsigned(item: Option<Item<'_>>) -> u64 {
    signed(item).max(0) as u64
}
