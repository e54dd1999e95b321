//! The list: one listpack while small, a quicklist beyond. It knows nothing of keys, replies or blocked clients.
//!
//! The rules follow Redis 7.2: a listpack becomes a quicklist when a change would take it past the limit of one node
//! (`list-max-listpack-size`), and a quicklist becomes a listpack again when a change leaves one node of at most half of
//! that limit.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use crate::encoding::listpack::{Item, Listpack};
pub use crate::encoding::quicklist::{End, Iter, ListLimits, Node, NodeRef};
use crate::encoding::quicklist::{Quicklist, remove_equal};
use crate::encoding::tagged::{OneOf2, Tagged2};

/// A list of byte strings, 8 bytes.
///
/// An empty list is a valid value here; the keyspace removes keys whose list is empty.
#[derive(Clone, Debug)]
pub struct List(Tagged2<Listpack, Box<Quicklist>>);

/// Before or after the pivot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Right before it.
    Before,
    /// Right after it.
    After,
}

impl List {
    /// A list without elements.
    pub fn new() -> Self {
        Self(Tagged2::from_a(Listpack::new()))
    }

    /// A list of the elements of `nodes`, in order: how RDB builds one. One small node becomes a listpack.
    pub fn from_nodes(nodes: impl IntoIterator<Item = Node>, limits: &ListLimits) -> Self {
        let mut list = Quicklist::from_nodes(nodes);
        let mut only = list.nodes();
        let fits = match (only.next(), only.next()) {
            (None, _) => return Self::new(),
            (Some(NodeRef::Packed(pack)), None) => limits.allows(pack.total_bytes(), pack.len()),
            _ => false,
        };
        drop(only);
        if fits && let Some(pack) = list.take_only_pack() {
            return Self(Tagged2::from_a(pack));
        }
        Self(Tagged2::from_b(Box::new(list)))
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self.0.as_ref() {
            OneOf2::A(pack) => pack.len(),
            OneOf2::B(list) => list.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        match self.0.as_ref() {
            OneOf2::A(pack) => pack.is_empty(),
            OneOf2::B(list) => list.is_empty(),
        }
    }

    /// The encoding's name: `listpack` or `quicklist`.
    pub fn encoding(&self) -> &'static str {
        match self.0.as_ref() {
            OneOf2::A(_) => "listpack",
            OneOf2::B(_) => "quicklist",
        }
    }

    /// Heap bytes, estimated from `samples` nodes (0: all of them).
    pub fn memory_usage(&self, samples: usize) -> usize {
        match self.0.as_ref() {
            OneOf2::A(pack) => pack.total_bytes(),
            OneOf2::B(list) => size_of::<Quicklist>() + list.memory_usage(samples),
        }
    }

    /// Number of allocations that dropping the list frees: what lazy freeing goes by.
    pub fn free_effort(&self) -> usize {
        match self.0.as_ref() {
            OneOf2::A(_) => 1,
            OneOf2::B(list) => list.nodes().len(),
        }
    }

    /// The listpack, if it is one.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.as_ref() {
            OneOf2::A(pack) => Some(pack),
            OneOf2::B(_) => None,
        }
    }

    /// The parts in order, as RDB writes them; a listpack is one part.
    pub fn nodes(&self) -> impl Iterator<Item = NodeRef<'_>> {
        let (pack, list) = match self.0.as_ref() {
            OneOf2::A(pack) => (Some(NodeRef::Packed(Cow::Borrowed(pack))), None),
            OneOf2::B(list) => (None, Some(list.nodes())),
        };
        pack.into_iter().chain(list.into_iter().flatten())
    }

    /// A list of the same elements that costs a step for each node: the nodes are shared until either list changes them.
    pub fn fork(&mut self) -> Self {
        match self.0.as_mut() {
            OneOf2::A(pack) => Self(Tagged2::from_a(pack.clone())),
            OneOf2::B(list) => Self(Tagged2::from_b(Box::new(list.fork()))),
        }
    }

    /// Number of parts that [`List::nodes`] gives.
    pub fn node_count(&self) -> usize {
        self.free_effort()
    }

    // ---- reading ----

    /// The elements that `start` and `stop` (both included; negative: from the end) name, as LRANGE and LTRIM take them.
    pub fn resolve_range(&self, start: i64, stop: i64) -> Range<usize> {
        let len = self.len() as i64;
        let from_front = |index: i64| {
            if index < 0 {
                index.saturating_add(len)
            } else {
                index
            }
        };
        let start = from_front(start).max(0);
        let stop = from_front(stop).min(len - 1);
        if start > stop {
            0..0
        } else {
            start as usize..stop as usize + 1
        }
    }

    /// The element number that `index` (negative: from the end) names.
    fn resolve(&self, index: i64) -> Option<usize> {
        let len = self.len();
        let index = if index < 0 {
            len.checked_sub(index.unsigned_abs() as usize)?
        } else {
            index as usize
        };
        (index < len).then_some(index)
    }

    /// Element `index`; negative numbers count from the end.
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        match self.0.as_ref() {
            OneOf2::A(pack) => pack.get(index),
            OneOf2::B(list) => list.get(self.resolve(index)?),
        }
    }

    /// The element at one end.
    pub fn peek(&self, end: End) -> Option<Item<'_>> {
        match (self.0.as_ref(), end) {
            (OneOf2::A(pack), End::Front) => pack.get(0),
            (OneOf2::A(pack), End::Back) => pack.get(-1),
            (OneOf2::B(list), end) => list.peek(end),
        }
    }

    /// The elements in order.
    pub fn iter(&self) -> Iter<'_> {
        match self.0.as_ref() {
            OneOf2::A(pack) => Iter::of_pack(pack.iter(), pack.len(), End::Front),
            OneOf2::B(list) => list.iter(),
        }
    }

    /// The elements from the last to the first.
    pub fn iter_rev(&self) -> Iter<'_> {
        match self.0.as_ref() {
            OneOf2::A(pack) => Iter::of_pack(pack.iter(), pack.len(), End::Back),
            OneOf2::B(list) => list.iter_rev(),
        }
    }

    /// The elements of one end first.
    pub fn iter_end(&self, end: End) -> Iter<'_> {
        match end {
            End::Front => self.iter(),
            End::Back => self.iter_rev(),
        }
    }

    /// The `count` elements from number `start` on; fewer if the list ends.
    pub fn iter_range(&self, start: usize, count: usize) -> Iter<'_> {
        match self.0.as_ref() {
            OneOf2::A(pack) => match pack.seek(start as i64) {
                Some(pos) => Iter::of_pack(pack.iter_from(pos), count.min(pack.len() - start), End::Front),
                None => Iter::of_pack(pack.iter(), 0, End::Front),
            },
            OneOf2::B(list) => list.iter_range(start, count),
        }
    }

    // ---- changing ----

    /// Adds an element at one end.
    pub fn push(&mut self, end: End, value: &[u8], limits: &ListLimits) {
        self.make_room(value, limits);
        match (self.0.as_mut(), end) {
            (OneOf2::A(pack), End::Front) => pack.push_front(value),
            (OneOf2::A(pack), End::Back) => pack.push_back(value),
            (OneOf2::B(list), end) => list.push(end, value, *limits),
        }
    }

    /// Adds an element before all others.
    pub fn push_front(&mut self, value: &[u8], limits: &ListLimits) {
        self.push(End::Front, value, limits);
    }

    /// Adds an element after all others.
    pub fn push_back(&mut self, value: &[u8], limits: &ListLimits) {
        self.push(End::Back, value, limits);
    }

    /// Removes the element at one end, which `take` gets first: nothing is copied that the caller does not copy.
    pub fn pop<R>(&mut self, end: End, limits: &ListLimits, take: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let taken = take(self.peek(end)?);
        self.remove_end(end, 1, limits);
        Some(taken)
    }

    /// Removes `count` elements at one end (fewer if the list is shorter); `take` gets each first, the outermost one
    /// first. Returns how many.
    pub fn pop_many(
        &mut self,
        end: End,
        count: usize,
        limits: &ListLimits,
        take: impl FnMut(Item<'_>),
    ) -> usize {
        let count = count.min(self.len());
        self.iter_end(end).take(count).for_each(take);
        self.remove_end(end, count, limits);
        count
    }

    /// Removes the first element and returns it.
    pub fn pop_front(&mut self, limits: &ListLimits) -> Option<Vec<u8>> {
        self.pop(End::Front, limits, |item| item.to_vec())
    }

    /// Removes the last element and returns it.
    pub fn pop_back(&mut self, limits: &ListLimits) -> Option<Vec<u8>> {
        self.pop(End::Back, limits, |item| item.to_vec())
    }

    /// Removes `count` elements, at most the length, at one end.
    fn remove_end(&mut self, end: End, count: usize, limits: &ListLimits) {
        match self.0.as_mut() {
            OneOf2::B(list) if count == 1 => list.pop(end),
            OneOf2::A(_) | OneOf2::B(_) => {
                let start = match end {
                    End::Front => 0,
                    End::Back => self.len() - count,
                };
                self.remove_range(start, count);
            }
        }
        self.shrink(limits);
    }

    fn remove_range(&mut self, start: usize, count: usize) {
        match self.0.as_mut() {
            OneOf2::A(pack) => pack.remove_range(start as i64, count),
            OneOf2::B(list) => list.remove_range(start, count),
        }
    }

    /// Keeps the elements from `start` to `stop` (both included; negative: from the end) and removes the others.
    pub fn trim(&mut self, start: i64, stop: i64, limits: &ListLimits) {
        let kept = self.resolve_range(start, stop);
        let len = self.len();
        self.remove_range(kept.end, len - kept.end);
        self.remove_range(0, kept.start);
        self.shrink(limits);
    }

    /// Replaces element `index` (negative: from the end); false if there is none.
    pub fn set(&mut self, index: i64, value: &[u8], limits: &ListLimits) -> bool {
        let Some(index) = self.resolve(index) else {
            return false;
        };
        self.make_room(value, limits);
        match self.0.as_mut() {
            OneOf2::A(pack) => match pack.seek(index as i64) {
                Some(pos) => pack.replace(pos, value),
                None => return false,
            },
            OneOf2::B(list) => {
                list.set(index, value, *limits);
                self.shrink(limits);
            }
        }
        true
    }

    /// Puts `value` beside the first element that equals `pivot`; false if there is none.
    pub fn insert(&mut self, side: Side, pivot: &[u8], value: &[u8], limits: &ListLimits) -> bool {
        let Some(index) = self.iter().position_of(pivot) else {
            return false;
        };
        self.make_room(value, limits);
        let index = match side {
            Side::Before => index,
            Side::After => index + 1,
        };
        match self.0.as_mut() {
            OneOf2::A(pack) => match pack.seek(index as i64) {
                Some(pos) => _ = pack.insert_before(pos, value),
                None => pack.push_back(value),
            },
            OneOf2::B(list) => list.insert(index, value, *limits),
        }
        true
    }

    /// Removes elements that equal `value`: the first `count`, the last `-count` if negative, all if 0. Returns how many.
    pub fn remove(&mut self, count: i64, value: &[u8], limits: &ListLimits) -> usize {
        let end = if count < 0 { End::Back } else { End::Front };
        let most = if count == 0 {
            usize::MAX
        } else {
            count.unsigned_abs() as usize
        };
        let removed = match self.0.as_mut() {
            OneOf2::A(pack) => remove_equal(pack, end, value, most),
            OneOf2::B(list) => list.remove_equal(end, value, most, *limits),
        };
        if removed > 0 {
            self.shrink(limits);
        }
        removed
    }

    /// Becomes a quicklist if `value` would take the listpack past the limit.
    fn make_room(&mut self, value: &[u8], limits: &ListLimits) {
        let OneOf2::A(pack) = self.0.as_mut() else { return };
        let bytes = pack.total_bytes().saturating_add(value.len());
        if bytes <= limits.max_bytes() && limits.max_entries().is_none_or(|max| pack.len() < max) {
            return;
        }
        let list = Quicklist::from_nodes([Node::packed(std::mem::take(pack))]);
        self.0 = Tagged2::from_b(Box::new(list));
    }

    /// Becomes a listpack if one small node is left.
    fn shrink(&mut self, limits: &ListLimits) {
        if let OneOf2::B(list) = self.0.as_mut()
            && let Some(pack) = list.take_if_small(*limits)
        {
            self.0 = Tagged2::from_a(pack);
        }
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}
