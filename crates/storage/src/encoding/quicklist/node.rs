//! One node of a quicklist: a listpack, or one large element, and how large either may be. It knows nothing of its
//! neighbours.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::End;
use super::iter::NodeIter;
use crate::encoding::listpack::{Item, Listpack, Position};

/// Bytes that a node counted by entries may not pass.
const SAFETY_BYTES: usize = 8 * 1024;
/// Most entries of a node, whatever the configuration says.
const MAX_NODE_ENTRIES: usize = (1 << 15) - 1;

/// How large a node may get: `list-max-listpack-size`.
///
/// `list-compress-depth` is accepted as an option and not used: nodes are never compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLimits {
    /// -1 to -5: a node takes at most 4, 8, 16, 32 or 64 KiB. Positive: at most that many entries (and 8 KiB).
    pub max_listpack_size: i32,
}

impl Default for ListLimits {
    fn default() -> Self {
        Self {
            max_listpack_size: -2,
        }
    }
}

impl ListLimits {
    /// Most bytes of a node.
    pub(crate) fn max_bytes(self) -> usize {
        match self.max_listpack_size {
            0.. => SAFETY_BYTES,
            size => 2048 << size.unsigned_abs().min(5),
        }
    }

    /// Most entries of a node, where entries are what is counted.
    pub(crate) fn max_entries(self) -> Option<usize> {
        usize::try_from(self.max_listpack_size)
            .ok()
            .map(|entries| entries.clamp(1, MAX_NODE_ENTRIES))
    }

    /// Whether a node of this many bytes and entries is within the limit.
    pub(crate) fn allows(self, bytes: usize, entries: usize) -> bool {
        bytes <= self.max_bytes() && self.max_entries().is_none_or(|max| entries <= max)
    }

    /// Whether an element of `len` bytes is a node of its own.
    pub(super) fn is_large(self, len: usize) -> bool {
        len > self.max_bytes()
    }
}

/// A part of a big list, as RDB stores it too.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) inner: Inner,
    /// Number of elements: the listpack's number of entries, kept here so that a search does not touch the listpack.
    count: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Inner {
    Packed(Listpack),
    /// The elements from the last to the first: what is pushed at the front is appended, and nothing moves.
    Reversed(Listpack),
    Plain(Box<[u8]>),
    /// The same, and a snapshot holds it, too: copied by the first change.
    SharedPacked(Arc<Listpack>),
    SharedPlain(Arc<Box<[u8]>>),
}

impl Inner {
    /// Of its own again, and in order.
    pub(super) fn own(&mut self) -> &mut Self {
        match self {
            Self::Reversed(pack) => *self = Self::Packed(pack.reversed()),
            Self::SharedPacked(pack) => *self = Self::Packed(Listpack::clone(pack)),
            Self::SharedPlain(element) => *self = Self::Plain(Box::clone(element)),
            Self::Packed(_) | Self::Plain(_) => {}
        }
        self
    }
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum NodeRef<'a> {
    /// Several elements.
    Packed(Cow<'a, Listpack>),
    /// One large element.
    Plain(&'a [u8]),
}

/// What a node holds, as it is.
enum Content<'a> {
    Packed(&'a Listpack),
    Reversed(&'a Listpack),
    Plain(&'a [u8]),
}

impl Node {
    /// A node of several elements. Empty ones are dropped when a list is built of them.
    pub fn packed(pack: Listpack) -> Self {
        let count = pack.len() as u32;
        Self {
            inner: Inner::Packed(pack),
            count,
        }
    }

    /// A node of one element.
    pub fn plain(element: impl Into<Box<[u8]>>) -> Self {
        Self {
            inner: Inner::Plain(element.into()),
            count: 1,
        }
    }

    pub(super) fn of_value(value: &[u8], limits: ListLimits) -> Self {
        if limits.is_large(value.len()) {
            return Self::plain(value);
        }
        let mut pack = Listpack::new();
        pack.push_back(value);
        Self::packed(pack)
    }

    /// A first node of one element, which others will be put before.
    pub(super) fn of_first(value: &[u8], limits: ListLimits) -> Self {
        let mut node = Self::of_value(value, limits);
        if let Inner::Packed(pack) = &mut node.inner {
            node.inner = Inner::Reversed(std::mem::take(pack));
        }
        node
    }

    /// What it holds; a copy if the elements are in the opposite order.
    pub fn view(&self) -> NodeRef<'_> {
        match &self.inner {
            Inner::Packed(pack) => NodeRef::Packed(Cow::Borrowed(pack)),
            Inner::Reversed(pack) => NodeRef::Packed(Cow::Owned(pack.reversed())),
            Inner::Plain(element) => NodeRef::Plain(element),
            Inner::SharedPacked(pack) => NodeRef::Packed(Cow::Borrowed(pack)),
            Inner::SharedPlain(element) => NodeRef::Plain(element),
        }
    }

    /// Puts the elements in order, now that others stand before them.
    pub(super) fn straighten(&mut self) {
        if let Inner::Reversed(_) = self.inner {
            self.inner.own();
        }
    }

    /// A second owner of the same content, which neither of the two changes for the other.
    pub(super) fn fork(&mut self) -> Self {
        self.straighten();
        match std::mem::replace(&mut self.inner, Inner::Plain(Box::default())) {
            Inner::Packed(pack) => self.inner = Inner::SharedPacked(Arc::new(pack)),
            Inner::Plain(element) => self.inner = Inner::SharedPlain(Arc::new(element)),
            shared @ (Inner::Reversed(_) | Inner::SharedPacked(_) | Inner::SharedPlain(_)) => {
                self.inner = shared
            }
        }
        self.clone()
    }

    /// Number of elements.
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    pub(super) fn bytes(&self) -> usize {
        match self.content() {
            Content::Packed(pack) | Content::Reversed(pack) => pack.total_bytes(),
            Content::Plain(element) => element.len(),
        }
    }

    pub(super) fn at(&self, entry: usize) -> Option<Item<'_>> {
        match self.content() {
            Content::Packed(pack) => pack.get(entry as i64),
            Content::Reversed(pack) => pack.get(-1 - entry as i64),
            Content::Plain(element) => (entry == 0).then_some(Item::Bytes(element)),
        }
    }

    /// The elements from number `entry` on.
    pub(super) fn iter_from(&self, entry: usize) -> NodeIter<'_> {
        match self.content() {
            _all if entry == 0 => self.iter(),
            Content::Packed(pack) => match pack.seek(entry as i64) {
                Some(pos) => NodeIter::Packed(pack.iter_from(pos)),
                None => NodeIter::Done,
            },
            Content::Reversed(pack) => match pack.seek(-(entry as i64)) {
                Some(pos) => NodeIter::Reversed(pack.iter_before(pos)),
                None => NodeIter::Done,
            },
            Content::Plain(_) => NodeIter::Done,
        }
    }

    pub(super) fn iter(&self) -> NodeIter<'_> {
        match self.content() {
            Content::Packed(pack) => NodeIter::Packed(pack.iter()),
            Content::Reversed(pack) => NodeIter::Reversed(pack.iter()),
            Content::Plain(element) => NodeIter::Plain(element),
        }
    }

    fn content(&self) -> Content<'_> {
        match &self.inner {
            Inner::Packed(pack) => Content::Packed(pack),
            Inner::Reversed(pack) => Content::Reversed(pack),
            Inner::Plain(element) => Content::Plain(element),
            Inner::SharedPacked(pack) => Content::Packed(pack),
            Inner::SharedPlain(element) => Content::Plain(element),
        }
    }

    /// Puts `value` before element number `entry` (at the end if there is none) if the node has room for it.
    pub(super) fn try_insert(&mut self, entry: usize, value: &[u8], limits: ListLimits) -> bool {
        let count = self.count as usize;
        if entry > 0 {
            self.inner.own();
        }
        let (pack, reversed) = match &mut self.inner {
            Inner::Reversed(pack) => (pack, true),
            inner => match inner.own() {
                Inner::Packed(pack) => (pack, false),
                Inner::Plain(_) | Inner::Reversed(_) | Inner::SharedPacked(_) | Inner::SharedPlain(_) => {
                    return false;
                }
            },
        };
        let bytes = pack.total_bytes() + Listpack::entry_bound(value.len());
        if limits.is_large(value.len()) || !limits.allows(bytes, count + 1) {
            return false;
        }
        if reversed {
            pack.push_back(value);
        } else if entry == 0 {
            pack.push_front(value);
        } else if entry == count {
            pack.push_back(value);
        } else if let Some(pos) = pack.seek(entry as i64) {
            pack.insert_before(pos, value);
        }
        self.count += 1;
        true
    }

    /// Removes the elements `range`.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        if let Inner::Reversed(pack) = &mut self.inner
            && range.start == 0
        {
            pack.remove_range(-(range.len() as i64), range.len());
            self.count -= range.len() as u32;
            return;
        }
        match self.inner.own() {
            Inner::Packed(pack) => {
                pack.remove_range(range.start as i64, range.len());
                self.count -= range.len() as u32;
            }
            Inner::Plain(_) | Inner::Reversed(_) | Inner::SharedPacked(_) | Inner::SharedPlain(_) => {
                *self = Self::packed(Listpack::new())
            }
        }
    }

    /// Removes the element at one end.
    pub(super) fn pop(&mut self, end: End) {
        match (&mut self.inner, end) {
            (Inner::Packed(pack), End::Back) | (Inner::Reversed(pack), End::Front) => {
                pack.pop_back();
                self.count -= 1;
            }
            (_, End::Back) => self.remove(self.count() - 1..self.count()),
            (_, End::Front) => self.remove(0..1),
        }
    }

    /// Takes the elements of `next`, the following node, if both together fill at most three quarters of the limit, so
    /// that the next insert does not cut them again. Gives `next` back if not.
    pub(super) fn try_join(&mut self, next: Self, limits: ListLimits) -> Option<Self> {
        let (NodeRef::Packed(pack), NodeRef::Packed(tail)) = (self.view(), next.view()) else {
            return Some(next);
        };
        let bytes = pack.total_bytes() + tail.total_bytes();
        if !limits.allows(bytes + limits.max_bytes() / 4, (self.count + next.count) as usize) {
            return Some(next);
        }
        if let Inner::Packed(pack) = self.inner.own() {
            pack.append(&tail);
        }
        self.count += next.count;
        None
    }

    /// Cuts the node before element `entry` and returns what follows.
    pub(super) fn split_off(&mut self, entry: usize) -> Self {
        let Inner::Packed(pack) = self.inner.own() else {
            return Self::packed(Listpack::new());
        };
        let tail = pack.split_off(entry);
        let count = self.count - entry as u32;
        self.count = entry as u32;
        Self {
            inner: Inner::Packed(tail),
            count,
        }
    }

    /// Removes elements that equal `value`: at most `most`, the first ones from `end` on. Returns how many.
    pub(super) fn remove_equal(&mut self, end: End, value: &[u8], most: usize) -> usize {
        if let Inner::SharedPacked(pack) = &self.inner
            && !pack.iter().any(|item| item.eq_bytes(value))
        {
            // Not to copy what is shared for nothing.
            return 0;
        }
        match self.inner.own() {
            Inner::Packed(pack) => {
                let removed = remove_equal(pack, end, value, most);
                self.count -= removed as u32;
                removed
            }
            Inner::Plain(element) if **element == *value => {
                self.remove(0..1);
                1
            }
            Inner::Plain(_) | Inner::Reversed(_) | Inner::SharedPacked(_) | Inner::SharedPlain(_) => 0,
        }
    }
}

/// Removes entries that equal `value` from a listpack: at most `most`, the first ones from `end` on. Returns how many.
pub fn remove_equal(pack: &mut Listpack, end: End, value: &[u8], most: usize) -> usize {
    let mut hits: Vec<Position> = Vec::new();
    let mut from = pack.first();
    while let Some(pos) = from.and_then(|from| pack.find(value, from, 0)) {
        if end == End::Front && hits.len() == most {
            break;
        }
        hits.push(pos);
        from = pack.next(pos);
    }
    let kept = match end {
        End::Front => 0,
        End::Back => hits.len().saturating_sub(most),
    };
    pack.remove_many(&hits[kept..]);
    hits.len() - kept
}
