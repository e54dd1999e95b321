//! A stream built out of what a file or another server sent: everything is checked, nothing is believed.

use super::id::StreamId;
use super::{Group, Stream, node};
use crate::encoding::listpack::{Listpack, ListpackError};

/// Why a stored stream cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// A node is no listpack.
    #[error("stream node: {0}")]
    Listpack(#[from] ListpackError),
    /// A node's entries do not agree with its numbers.
    #[error("stream node is damaged")]
    Node,
    /// Nodes do not ascend, or overlap.
    #[error("stream nodes are out of order")]
    Order,
    /// The stream's numbers do not agree with its nodes.
    #[error("stream numbers do not match its entries")]
    Numbers,
    /// Two groups, consumers or pending entries of one name.
    #[error("stream group is there twice")]
    Twice,
}

/// The numbers of a stream beside its nodes; the first entry's id is found in them. RDB files before version 10 lack the last two: see
/// [`Stream::restore_old`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    /// Number of entries.
    pub len: u64,
    /// The greatest id that ever was.
    pub last_id: StreamId,
    /// The greatest id that was deleted by itself.
    pub max_deleted_id: StreamId,
    /// Entries that were ever added.
    pub entries_added: u64,
}

impl Stream {
    /// Adds a macro node behind all others; `first` is the id that it is stored under.
    ///
    /// # Errors
    /// The bytes are no node, or it does not come after the others.
    pub fn restore_node(&mut self, first: StreamId, bytes: &[u8]) -> Result<(), Damaged> {
        let pack = Listpack::from_bytes(bytes)?;
        let (counts, last) = node::check(first, &pack).map_err(|_| Damaged::Node)?;
        let inner = &mut *self.0;
        // `last_id` is the last node's end until `restore_numbers` sets it.
        if !inner.nodes.is_empty() && first <= inner.last_id {
            return Err(Damaged::Order);
        }
        inner.last_id = last;
        inner.len += counts.live;
        inner.nodes.insert(first, pack);
        Ok(())
    }

    /// Sets the numbers once all nodes are there.
    ///
    /// # Errors
    /// They do not agree with the nodes.
    pub fn restore_numbers(&mut self, numbers: &Restore) -> Result<(), Damaged> {
        if numbers.len != self.0.len || (self.0.len > 0 && numbers.last_id < self.last_entry_id()) {
            return Err(Damaged::Numbers);
        }
        self.find_first();
        let inner = &mut *self.0;
        inner.last_id = numbers.last_id;
        inner.max_deleted_id = numbers.max_deleted_id;
        inner.entries_added = numbers.entries_added;
        Ok(())
    }

    /// As [`Stream::restore_numbers`] for files that know only length and last id: as many entries were added as are
    /// there.
    ///
    /// # Errors
    /// They do not agree with the nodes.
    pub fn restore_old(&mut self, len: u64, last_id: StreamId) -> Result<(), Damaged> {
        self.restore_numbers(&Restore {
            len,
            last_id,
            max_deleted_id: StreamId::ZERO,
            entries_added: len,
        })
    }

    /// Adds a group, which is filled with [`Group::restore_pending`], [`Group::create_consumer`] and
    /// [`Group::restore_owner`].
    ///
    /// # Errors
    /// There is one of this name.
    pub fn restore_group(
        &mut self,
        name: &[u8],
        last_id: StreamId,
        entries_read: Option<u64>,
    ) -> Result<&mut Group, Damaged> {
        if !self.create_group(name, Group::new(last_id, entries_read)) {
            return Err(Damaged::Twice);
        }
        self.group_mut(name).ok_or(Damaged::Twice)
    }
}
