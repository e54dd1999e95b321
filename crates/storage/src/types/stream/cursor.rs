//! A walk over a stream's entries between two ids, from either end.

use super::Nodes;
use super::id::StreamId;
use super::node::{Entry, NodeIter};
use crate::encoding::block_map::Iter;
use crate::encoding::listpack::Listpack;

/// The entries between two ids, deleted ones left out.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    from: StreamId,
    to: StreamId,
    nodes: Iter<'a, StreamId, Listpack>,
    front: Option<NodeIter<'a>>,
    back: Option<NodeIter<'a>>,
}

impl<'a> Range<'a> {
    pub(super) fn new(nodes: &'a Nodes, from: StreamId, to: StreamId) -> Self {
        if from > to {
            return Self {
                from,
                to,
                nodes: Iter::default(),
                front: None,
                back: None,
            };
        }
        // The node that begins at or before `from` may reach into the range.
        let begin = nodes.range(..=from).next_back().map_or(from, |(first, _)| first);
        Self {
            from,
            to,
            nodes: nodes.range(begin..=to),
            front: None,
            back: None,
        }
    }
}

impl<'a> Range<'a> {
    /// There is nothing more at either end.
    fn finish(&mut self) -> Option<Entry<'a>> {
        self.nodes = Iter::default();
        self.front = None;
        self.back = None;
        None
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if self.front.is_none()
                && let Some((first, pack)) = self.nodes.next()
            {
                self.front = Some(NodeIter::new(first, pack));
            }
            // The last node is in the hands of the other end, if that has come so far.
            let node = self.front.as_mut().or(self.back.as_mut())?;
            match node.find(|raw| !raw.deleted && raw.entry.id >= self.from) {
                Some(raw) if raw.entry.id <= self.to => return Some(raw.entry),
                Some(_) => return self.finish(),
                None if self.front.is_some() => self.front = None,
                None => return self.finish(),
            }
        }
    }
}

impl<'a> DoubleEndedIterator for Range<'a> {
    fn next_back(&mut self) -> Option<Entry<'a>> {
        loop {
            if self.back.is_none()
                && let Some((first, pack)) = self.nodes.next_back()
            {
                self.back = Some(NodeIter::new(first, pack));
            }
            let node = self.back.as_mut().or(self.front.as_mut())?;
            match node.rfind(|raw| !raw.deleted && raw.entry.id <= self.to) {
                Some(raw) if raw.entry.id >= self.from => return Some(raw.entry),
                Some(_) => return self.finish(),
                None if self.back.is_some() => self.back = None,
                None => return self.finish(),
            }
        }
    }
}
