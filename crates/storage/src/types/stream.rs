//! The stream: a log of entries with ascending ids, in macro nodes of many entries each, and the groups that read it.
//! Knows ids and limits, never keys, clients, clocks or replies.
//!
//! ```text
//!   nodes, ordered by the id of their first entry        groups, by name
//!   1-0 -> [ 1-0 | 1-1 | 4-0 | .. ]                      last id, entries read
//!   9-3 -> [ 9-3 | 9-4 | .. ]                            pending: id -> when, how often, to whom
//!   ...                                                  consumers -> ids
//! ```
//!
//! Entries are appended to the last node until that passes `stream-node-max-bytes` or `-entries`; they leave by being
//! marked, or with their whole node. 100 entries of two small fields share one allocation, about 14 bytes each. An
//! empty stream is a value like any other: its key stays.

use std::collections::BTreeMap;

use crate::encoding::block_map::BlockMap;
use crate::encoding::listpack::{Listpack, MAX_BYTES};

mod cursor;
mod dedup;
mod group;
mod id;
mod lag;
mod node;
mod refs;
mod restore;
mod trim;

#[cfg(test)]
mod tests;

pub use cursor::Range;
pub use dedup::{Dedup, DedupLimits};
pub use group::{Consumer, ConsumerId, Group, IdSet, Pending};
pub use id::StreamId;
pub use node::{Entry, Fields};
pub use refs::{Deleted, References};
pub use restore::{Damaged, Restore};
pub use trim::{Bound, Trim};

/// Up to where a macro node grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// `stream-node-max-bytes`; 0: as many as a listpack can hold.
    pub node_max_bytes: usize,
    /// `stream-node-max-entries`; 0: any number.
    pub node_max_entries: u64,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            node_max_bytes: 4096,
            node_max_entries: 100,
        }
    }
}

/// Why an entry cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The id is not greater than all that were there.
    #[error("the id is not greater than the last one")]
    NotNewer,
    /// No node can hold it.
    #[error("the entry is larger than a node can be")]
    TooLarge,
}

/// A stream, 8 bytes. A copy shares nodes and pending entries until either of the two changes them.
#[derive(Clone)]
pub struct Stream(Box<Inner>);

/// Macro nodes by their first ids. A copy shares them; the first change after that copies one block of them, some 100 KiB.
type Nodes = BlockMap<StreamId, Listpack, 32>;

#[derive(Clone, Default)]
struct Inner {
    nodes: Nodes,
    /// Entries that are not deleted.
    len: u64,
    /// The first of them, `0-0` if there are none.
    first_id: StreamId,
    /// The greatest id that ever was.
    last_id: StreamId,
    /// The greatest id that was deleted by itself.
    max_deleted_id: StreamId,
    /// Entries that were ever added.
    entries_added: u64,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// Ids that producers gave their messages, if any did.
    dedup: Option<Box<Dedup>>,
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("len", &self.0.len)
            .field("last_id", &self.0.last_id)
            .field("groups", &self.0.groups.len())
            .finish()
    }
}

impl Stream {
    /// A stream without entries and groups.
    pub fn new() -> Self {
        Self(Box::default())
    }

    // ---- numbers ----

    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.0.len
    }

    /// Whether there are no entries; the stream itself may still have groups and a last id.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The id of the first entry, `0-0` if there is none.
    pub fn first_id(&self) -> StreamId {
        self.0.first_id
    }

    /// The greatest id that ever was.
    pub fn last_id(&self) -> StreamId {
        self.0.last_id
    }

    /// The greatest id that was deleted by itself (trimming does not count).
    pub fn max_deleted_id(&self) -> StreamId {
        self.0.max_deleted_id
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.0.entries_added
    }

    /// Sets the greatest id; the caller has made sure that no entry has a greater one.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.0.last_id = id;
    }

    /// Sets how many entries were ever added.
    pub fn set_entries_added(&mut self, count: u64) {
        self.0.entries_added = count;
    }

    /// Sets the greatest id that was deleted.
    pub fn set_max_deleted_id(&mut self, id: StreamId) {
        self.0.max_deleted_id = id;
    }

    // ---- entries ----

    /// Appends an entry.
    ///
    /// # Errors
    /// The id is not greater than the last one, or the entry is too large; nothing has changed.
    pub fn append<'f>(
        &mut self,
        id: StreamId,
        fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])> + Clone,
        limits: &StreamLimits,
    ) -> Result<(), AppendError> {
        let inner = &mut *self.0;
        if id <= inner.last_id {
            return Err(AppendError::NotNewer);
        }
        let (mut size, mut bound) = (0_usize, 0_usize);
        for (field, value) in fields.clone() {
            size = size.saturating_add(field.len()).saturating_add(value.len());
            let both = Listpack::entry_bound(field.len()).saturating_add(Listpack::entry_bound(value.len()));
            bound = bound.saturating_add(both);
        }
        // A node that begins with this entry holds its fields twice.
        const NUMBERS: usize = 128;
        if bound.saturating_add(NUMBERS) > MAX_BYTES {
            return Err(AppendError::TooLarge);
        }
        let max_bytes = match limits.node_max_bytes {
            0 => MAX_BYTES,
            bytes => bytes.min(MAX_BYTES),
        };
        let fits = |pack: &Listpack| {
            pack.total_bytes().saturating_add(size) < max_bytes
                && pack.has_room(bound.saturating_add(NUMBERS))
                && (limits.node_max_entries == 0 || {
                    let counts = node::counts(pack);
                    counts.live.saturating_add(counts.deleted) < limits.node_max_entries
                })
        };
        let last = inner.nodes.iter().next_back();
        let last = last.and_then(|(first, pack)| fits(pack).then_some(first));
        match last.and_then(|first| Some((first, inner.nodes.get_mut(&first)?))) {
            Some((first, pack)) => node::push(pack, first, id, fields),
            None => {
                let mut pack = node::create(fields.clone().map(|(field, _)| field));
                node::push(&mut pack, id, id, fields);
                inner.nodes.insert(id, pack);
            }
        }
        if inner.len == 0 {
            inner.first_id = id;
        }
        inner.len += 1;
        inner.last_id = id;
        inner.entries_added = inner.entries_added.saturating_add(1);
        Ok(())
    }

    /// The entry of this id.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// Whether there is an entry of this id.
    pub fn contains(&self, id: StreamId) -> bool {
        self.get(id).is_some()
    }

    /// The entries from one id to another, both included, from either end.
    pub fn range(&self, from: StreamId, to: StreamId) -> Range<'_> {
        Range::new(&self.0.nodes, from, to)
    }

    /// All entries.
    pub fn iter(&self) -> Range<'_> {
        self.range(StreamId::ZERO, StreamId::MAX)
    }

    /// The id of the last entry that is there, `0-0` if there is none.
    pub fn last_entry_id(&self) -> StreamId {
        self.iter().next_back().map_or(StreamId::ZERO, |entry| entry.id)
    }

    /// Deletes the entry of this id. False if there is none.
    pub fn remove(&mut self, id: StreamId) -> bool {
        if !self.unlink(id) {
            return false;
        }
        self.0.max_deleted_id = self.0.max_deleted_id.max(id);
        true
    }

    /// Takes an entry out without remembering that it was deleted by itself.
    fn unlink(&mut self, id: StreamId) -> bool {
        let inner = &mut *self.0;
        let Some((first, pack)) = inner.nodes.range(..=id).next_back() else {
            return false;
        };
        let found = node::NodeIter::new(first, pack)
            // Deleted ones may be greater than what follows: XSETID can take the last id back behind them.
            .filter(|raw| !raw.deleted)
            .take_while(|raw| raw.entry.id <= id)
            .find(|raw| raw.entry.id == id)
            .map(|raw| raw.position);
        let Some(position) = found else { return false };
        if node::counts(pack).live <= 1 {
            inner.nodes.remove(&first);
        } else if let Some(pack) = inner.nodes.get_mut(&first) {
            node::mark(pack, position);
            node::count_deleted(pack, 1);
        }
        inner.len -= 1;
        if id == inner.first_id {
            self.find_first();
        }
        true
    }

    /// Sets `first_id` to what it is.
    fn find_first(&mut self) {
        self.0.first_id = self.iter().next().map_or(StreamId::ZERO, |entry| entry.id);
    }

    // ---- groups ----

    /// Number of groups.
    pub fn group_count(&self) -> usize {
        self.0.groups.len()
    }

    /// The groups, by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.0.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.0.groups.get(name)
    }

    /// The same, to change.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.0.groups.get_mut(name)
    }

    /// Adds a group; false if there is one of this name.
    pub fn create_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.0.groups.contains_key(name) {
            return false;
        }
        self.0.groups.insert(name.into(), group);
        true
    }

    /// Removes a group; false if there is none of this name.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        self.0.groups.remove(name).is_some()
    }

    // ---- messages that came before ----

    /// The ids that producers gave their messages; None if none ever did.
    pub fn dedup(&self) -> Option<&Dedup> {
        self.0.dedup.as_deref()
    }

    /// The same, to change; made if need be.
    pub fn dedup_mut(&mut self) -> &mut Dedup {
        self.0.dedup.get_or_insert_default()
    }

    // ---- form ----

    /// The macro nodes: the id of the first entry and the listpack, as RDB stores them.
    pub fn nodes(&self) -> impl Iterator<Item = (StreamId, &Listpack)> {
        self.0.nodes.iter()
    }

    /// Number of macro nodes.
    pub fn node_count(&self) -> usize {
        self.0.nodes.len()
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Estimated bytes on the heap, looking at `samples` nodes (0: all).
    pub fn memory_usage(&self, samples: usize) -> usize {
        let nodes = self.0.nodes.len();
        let looked = if samples == 0 { nodes } else { nodes.min(samples) };
        let bytes: usize = self
            .nodes()
            .take(looked)
            .map(|(_, pack)| pack.total_bytes())
            .sum();
        let packs = match looked {
            0 => 0,
            looked => (bytes as f64 / looked as f64 * nodes as f64) as usize,
        };
        let groups: usize = self
            .groups()
            .map(|(name, group)| size_of::<(Box<[u8]>, Group)>() * 3 / 2 + name.len() + group.memory_usage())
            .sum();
        let dedup = self.dedup().map_or(0, Dedup::memory_usage);
        size_of::<Inner>() + packs + self.0.nodes.memory_usage() + groups + dedup
    }

    /// Allocations to free, roughly.
    pub fn free_effort(&self) -> usize {
        let groups: usize = self.groups().map(|(_, group)| group.free_effort()).sum();
        1 + self.0.nodes.len() + groups + self.dedup().map_or(0, Dedup::free_effort)
    }

    /// Number of nodes that a radix tree over the nodes' keys has, which is how Redis keeps them: XINFO STREAM tells.
    pub fn radix_tree_nodes(&self) -> usize {
        let keys: Vec<[u8; 16]> = self.nodes().map(|(first, _)| first.to_bytes()).collect();
        match keys.as_slice() {
            [] => 1,
            keys => radix_nodes(keys, 0),
        }
    }
}

/// Nodes of the part of a radix tree below a common prefix of `depth` bytes. The keys are sorted, and no two are equal.
fn radix_nodes(keys: &[[u8; 16]], depth: usize) -> usize {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
        return 0;
    };
    let shared = (depth..16).take_while(|&i| first[i] == last[i]).count();
    if depth + shared == 16 {
        // One key: the chain of its remaining bytes, and the leaf.
        return usize::from(shared > 0) + 1;
    }
    let at = depth + shared;
    let below: usize = keys
        .chunk_by(|a, b| a[at] == b[at])
        .map(|same| radix_nodes(same, at + 1))
        .sum();
    usize::from(shared > 0) + 1 + below
}
