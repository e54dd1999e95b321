//! The big list: a deque of listpacks. It knows nothing of keys, of negative indexes or of when a list is small enough
//! to be one listpack.
//!
//! ```text
//!   nodes: VecDeque   [ Packed, n ] [ Packed, n ] [ Plain ] [ Packed, n ] ...
//!                         |             |            |
//!                     listpack      listpack     one element above the limit
//! ```
//!
//! A first node that was made by a push at the front holds its elements from the last to the first, so that the next
//! push is an append: moving up to 8 KiB for each was half the cost of LPUSH. It is put in order when it is full.
//!
//! A node's number of entries stands beside its pointer, so finding element `k` reads a contiguous array and touches
//! one listpack: a million short elements are 2,500 nodes. Changes move bytes inside one node and pointers of nodes,
//! never the elements of other nodes. Small neighbours are joined after a change in the middle.

mod iter;
mod node;

use std::collections::VecDeque;

pub use iter::Iter;
use iter::NodeIter;
use node::Inner;
pub use node::{ListLimits, Node, NodeRef, remove_equal};

use super::listpack::{self, Item, Listpack};

/// Which end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head: LEFT.
    Front,
    /// The tail: RIGHT.
    Back,
}

/// A list of any length. Callers keep the limits the same or not: a node above a new limit stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Quicklist {
    nodes: VecDeque<Node>,
    len: usize,
}

/// A node's number and an element's number in it.
type Place = (usize, usize);

impl Quicklist {
    /// A list without elements.
    pub fn new() -> Self {
        Self::default()
    }

    /// A list of the elements of `nodes`, in order.
    pub fn from_nodes(nodes: impl IntoIterator<Item = Node>) -> Self {
        let nodes: VecDeque<Node> = nodes.into_iter().filter(|node| node.count() > 0).collect();
        let len = nodes.iter().map(Node::count).sum();
        Self { nodes, len }
    }

    /// A list of the same elements that shares its nodes with this one until either changes them.
    pub fn fork(&mut self) -> Self {
        Self {
            nodes: self.nodes.iter_mut().map(Node::fork).collect(),
            len: self.len,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The nodes in order.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeRef<'_>> {
        self.nodes.iter().map(Node::view)
    }

    /// Heap bytes: of the array of nodes, and of the nodes, estimated from the first `samples` of them (0: all).
    pub fn memory_usage(&self, samples: usize) -> usize {
        let samples = if samples == 0 {
            self.nodes.len()
        } else {
            samples.min(self.nodes.len())
        };
        let seen: usize = self.nodes.iter().take(samples).map(Node::bytes).sum();
        let all = (seen as u128 * self.nodes.len() as u128)
            .checked_div(samples as u128)
            .unwrap_or(0);
        all as usize + self.nodes.capacity() * size_of::<Node>()
    }

    /// The only node's listpack, if there is one node and its size is at most half of the limit.
    pub fn take_if_small(&mut self, limits: ListLimits) -> Option<Listpack> {
        if self.nodes.is_empty() {
            return Some(Listpack::new());
        }
        let node = self.nodes.front()?;
        let small = match limits.max_entries() {
            Some(entries) => node.count() <= entries / 2,
            None => node.bytes() <= limits.max_bytes() / 2,
        };
        if small { self.take_only_pack() } else { None }
    }

    /// The listpack of the only node; none, and nothing changed, if that is not what the list is.
    pub fn take_only_pack(&mut self) -> Option<Listpack> {
        if self.nodes.len() != 1 {
            return None;
        }
        let Inner::Packed(pack) = self.nodes.front_mut()?.inner.own() else {
            return None;
        };
        let pack = std::mem::take(pack);
        *self = Self::new();
        Some(pack)
    }

    /// Where element `index` is. Walks from the nearer end.
    fn seek(&self, index: usize) -> Option<Place> {
        if index >= self.len {
            return None;
        }
        let (head, tail) = self.nodes.as_slices();
        if index < self.len / 2 {
            return match seek_forward(head, index) {
                Ok(place) => Some(place),
                Err(rest) => seek_forward(tail, rest)
                    .ok()
                    .map(|(n, entry)| (n + head.len(), entry)),
            };
        }
        let from_end = self.len - index;
        match seek_backward(tail, from_end) {
            Ok((n, entry)) => Some((n + head.len(), entry)),
            Err(rest) => seek_backward(head, rest).ok(),
        }
    }

    /// Element `index`.
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        let (n, entry) = self.seek(index)?;
        self.nodes[n].at(entry)
    }

    /// The element at one end.
    pub fn peek(&self, end: End) -> Option<Item<'_>> {
        match end {
            End::Front => self.nodes.front()?.at(0),
            End::Back => self.nodes.back().and_then(|node| node.at(node.count() - 1)),
        }
    }

    /// Adds an element at one end.
    pub fn push(&mut self, end: End, value: &[u8], limits: ListLimits) {
        let added = match end {
            End::Front => self
                .nodes
                .front_mut()
                .is_some_and(|node| node.try_insert(0, value, limits)),
            End::Back => self
                .nodes
                .back_mut()
                .is_some_and(|node| node.try_insert(node.count(), value, limits)),
        };
        if !added {
            match end {
                End::Front => {
                    if let Some(full) = self.nodes.front_mut() {
                        full.straighten();
                    }
                    self.nodes.push_front(Node::of_first(value, limits));
                }
                End::Back => self.nodes.push_back(Node::of_value(value, limits)),
            }
        }
        self.len += 1;
    }

    /// Removes the element at one end, if there is one.
    pub fn pop(&mut self, end: End) {
        let node = match end {
            End::Front => self.nodes.front_mut(),
            End::Back => self.nodes.back_mut(),
        };
        let Some(node) = node else {
            return;
        };
        if node.count() > 1 {
            node.pop(end);
            self.len -= 1;
            return;
        }
        match end {
            End::Front => self.nodes.pop_front(),
            End::Back => self.nodes.pop_back(),
        };
        self.len -= 1;
        self.release_slack();
    }

    /// Removes the `count` elements from number `start` on; fewer if the list ends.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        let count = count.min(self.len.saturating_sub(start));
        let Some((first, mut entry)) = self.seek(start).filter(|_| count > 0) else {
            return;
        };
        let mut left = count;
        // Whole nodes go in one drain; at most the first and the last are cut.
        let mut whole = first..first;
        let mut n = first;
        while left > 0 {
            let node = &mut self.nodes[n];
            let part = left.min(node.count() - entry);
            if part == node.count() {
                whole = if whole.is_empty() {
                    n..n + 1
                } else {
                    whole.start..n + 1
                };
            } else {
                node.remove(entry..entry + part);
            }
            left -= part;
            entry = 0;
            n += 1;
        }
        self.nodes.drain(whole);
        self.len -= count;
        self.release_slack();
    }

    /// Replaces element `index`; false if there is none.
    pub fn set(&mut self, index: usize, value: &[u8], limits: ListLimits) -> bool {
        let Some((n, entry)) = self.seek(index) else {
            return false;
        };
        let count = self.nodes[n].count();
        if let Inner::Packed(pack) = self.nodes[n].inner.own()
            && let Some(pos) = pack.seek(entry as i64)
        {
            let bytes = pack.total_bytes() - pack.span(pos) + Listpack::entry_bound(value.len());
            if limits.allows(bytes, count) {
                pack.replace(pos, value);
                return true;
            }
        }
        if self.nodes[n].count() == 1 {
            self.nodes[n] = Node::of_value(value, limits);
            return true;
        }
        self.nodes[n].remove(entry..entry + 1);
        self.len -= 1;
        self.insert_at((n, entry), value, limits);
        true
    }

    /// Puts `value` before element `index`, or at the end if `index` is the length or more.
    pub fn insert(&mut self, index: usize, value: &[u8], limits: ListLimits) {
        match self.seek(index) {
            Some(place) => self.insert_at(place, value, limits),
            None => self.push(End::Back, value, limits),
        }
    }

    /// Puts `value` before element `entry` of node `n`; `entry` may be one past the node's last.
    fn insert_at(&mut self, (n, entry): Place, value: &[u8], limits: ListLimits) {
        self.len += 1;
        if self.nodes[n].try_insert(entry, value, limits) {
            return;
        }
        let count = self.nodes[n].count();
        if entry == 0 {
            let before = n.checked_sub(1).and_then(|before| self.nodes.get_mut(before));
            if !before.is_some_and(|node| node.try_insert(node.count(), value, limits)) {
                self.nodes.insert(n, Node::of_value(value, limits));
            }
            return;
        }
        if entry == count {
            if !self
                .nodes
                .get_mut(n + 1)
                .is_some_and(|node| node.try_insert(0, value, limits))
            {
                self.nodes.insert(n + 1, Node::of_value(value, limits));
            }
            return;
        }
        let mut tail = self.nodes[n].split_off(entry);
        let added = self.nodes[n].try_insert(entry, value, limits) || tail.try_insert(0, value, limits);
        self.nodes.insert(n + 1, tail);
        if !added {
            self.nodes.insert(n + 1, Node::of_value(value, limits));
        }
        let last = if added { n + 1 } else { n + 2 };
        self.join(last, limits);
        self.join(n, limits);
    }

    /// Joins node `n` with a neighbour if they are small enough.
    fn join(&mut self, n: usize, limits: ListLimits) {
        for left in [n.checked_sub(1), Some(n)].into_iter().flatten() {
            if left + 1 >= self.nodes.len() {
                continue;
            }
            let Some(right) = self.nodes.remove(left + 1) else {
                return;
            };
            match self.nodes[left].try_join(right, limits) {
                None => return,
                Some(right) => self.nodes.insert(left + 1, right),
            }
        }
    }

    /// Removes elements that equal `value`: at most `most` of them, the first ones from `end` on. Returns how many.
    pub fn remove_equal(&mut self, end: End, value: &[u8], most: usize, limits: ListLimits) -> usize {
        let mut removed = 0;
        let count = self.nodes.len();
        let mut touched = false;
        for k in 0..count {
            if removed == most {
                break;
            }
            let n = match end {
                End::Front => k,
                End::Back => count - 1 - k,
            };
            let hits = self.nodes[n].remove_equal(end, value, most - removed);
            removed += hits;
            touched |= hits > 0;
        }
        if touched {
            self.len -= removed;
            self.join_all(limits);
        }
        removed
    }

    /// Drops empty nodes and joins small neighbours, in one pass.
    fn join_all(&mut self, limits: ListLimits) {
        let mut joined: VecDeque<Node> = VecDeque::with_capacity(self.nodes.len());
        for node in self.nodes.drain(..).filter(|node| node.count() > 0) {
            let left_over = match joined.back_mut() {
                Some(last) => last.try_join(node, limits),
                None => Some(node),
            };
            joined.extend(left_over);
        }
        self.nodes = joined;
        self.release_slack();
    }

    /// Gives memory of the array of nodes back when little of it is used.
    fn release_slack(&mut self) {
        if self.nodes.capacity() > 64 && self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    /// The elements in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            nodes: self.nodes.iter(),
            current: NodeIter::Done,
            left: self.len,
            end: End::Front,
        }
    }

    /// The elements from the last to the first.
    pub fn iter_rev(&self) -> Iter<'_> {
        Iter {
            end: End::Back,
            ..self.iter()
        }
    }

    /// The `count` elements from number `start` on; fewer if the list ends.
    pub fn iter_range(&self, start: usize, count: usize) -> Iter<'_> {
        match self.seek(start) {
            Some((n, entry)) => Iter {
                nodes: self.nodes.range(n + 1..),
                current: self.nodes[n].iter_from(entry),
                left: count.min(self.len - start),
                end: End::Front,
            },
            None => Iter::of_pack(listpack::Iter::default(), 0, End::Front),
        }
    }
}

/// Nodes that a search sums up before it looks at each of them.
const STRIDE: usize = 16;

/// The place of element `index` of `nodes`, or how far beyond their end it is.
fn seek_forward(nodes: &[Node], mut index: usize) -> Result<Place, usize> {
    let mut base = 0;
    for chunk in nodes.chunks(STRIDE) {
        let count: usize = chunk.iter().map(Node::count).sum();
        if index >= count {
            index -= count;
            base += chunk.len();
            continue;
        }
        for (k, node) in chunk.iter().enumerate() {
            match index.checked_sub(node.count()) {
                None => return Ok((base + k, index)),
                Some(rest) => index = rest,
            }
        }
    }
    Err(index)
}

/// The place of the element that is `from_end` (1: the last) before the end of `nodes`, or how far before their start it
/// is.
fn seek_backward(nodes: &[Node], mut from_end: usize) -> Result<Place, usize> {
    let mut end = nodes.len();
    for chunk in nodes.rchunks(STRIDE) {
        let count: usize = chunk.iter().map(Node::count).sum();
        end -= chunk.len();
        if from_end > count {
            from_end -= count;
            continue;
        }
        for (k, node) in chunk.iter().enumerate().rev() {
            match node.count().checked_sub(from_end) {
                Some(entry) => return Ok((end + k, entry)),
                None => from_end -= node.count(),
            }
        }
    }
    Err(from_end)
}
