//! The elements of a quicklist, or of a single listpack as if it were one, in one direction.

use std::collections::vec_deque;

use super::{End, Node};
use crate::encoding::listpack::{self, Item, Needle};

/// Where the rest of a node's elements is.
#[derive(Clone, Debug)]
pub(super) enum NodeIter<'a> {
    Packed(listpack::Iter<'a>),
    /// From the last entry to the first.
    Reversed(listpack::Iter<'a>),
    Plain(&'a [u8]),
    Done,
}

/// The elements of a list or of a part of it, in one direction.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    pub(super) nodes: vec_deque::Iter<'a, Node>,
    pub(super) current: NodeIter<'a>,
    pub(super) left: usize,
    pub(super) end: End,
}

impl<'a> Iter<'a> {
    /// The `left` next values of a single listpack, starting at `end`.
    pub(crate) fn of_pack(pack: listpack::Iter<'a>, left: usize, end: End) -> Self {
        Self {
            nodes: vec_deque::Iter::default(),
            current: NodeIter::Packed(pack),
            left,
            end,
        }
    }

    /// Number of the first element that equals `value`, counted from where the iterator stands; the iterator then stands
    /// behind it.
    pub fn position_of(&mut self, value: &[u8]) -> Option<usize> {
        let needle = Needle::new(value);
        self.position(|item| needle.matches(&item))
    }

    fn next_of_node(&mut self) -> Option<Item<'a>> {
        match &mut self.current {
            NodeIter::Packed(pack) => match self.end {
                End::Front => pack.next(),
                End::Back => pack.next_back(),
            },
            NodeIter::Reversed(pack) => match self.end {
                End::Front => pack.next_back(),
                End::Back => pack.next(),
            },
            NodeIter::Plain(element) => {
                let item = Item::Bytes(element);
                self.current = NodeIter::Done;
                Some(item)
            }
            NodeIter::Done => None,
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.left == 0 {
            return None;
        }
        loop {
            if let Some(item) = self.next_of_node() {
                self.left -= 1;
                return Some(item);
            }
            let node = match self.end {
                End::Front => self.nodes.next(),
                End::Back => self.nodes.next_back(),
            };
            self.current = node?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl std::iter::FusedIterator for Iter<'_> {}
