//! What becomes of entries that groups still have pending when the entries are deleted.

use super::Stream;
use super::id::StreamId;

/// How a deletion treats groups that have the entry pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// It stays pending there (KEEPREF).
    #[default]
    Keep,
    /// It is pending nowhere any more (DELREF).
    Delete,
    /// Only an entry that every group has read and acknowledged is deleted (ACKED).
    Acknowledged,
}

/// What became of an entry that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// There is none of this id.
    Missing,
    /// It is gone.
    Gone,
    /// A group has not acknowledged it.
    Referenced,
}

impl Stream {
    /// Deletes an entry as `references` says.
    pub fn remove_with(&mut self, id: StreamId, references: References) -> Deleted {
        match references {
            References::Keep => {}
            References::Delete => {
                self.forget_everywhere(id);
            }
            References::Acknowledged => {
                if self.contains(id) && !self.is_acknowledged(id) {
                    return Deleted::Referenced;
                }
            }
        }
        if self.remove(id) {
            Deleted::Gone
        } else {
            Deleted::Missing
        }
    }

    /// Whether every group has read and acknowledged the entry.
    pub fn is_acknowledged(&self, id: StreamId) -> bool {
        self.groups()
            .all(|(_, group)| group.last_id >= id && group.pending(id).is_none())
    }

    /// The entry is pending in no group any more; true if it was in some.
    pub fn forget_everywhere(&mut self, id: StreamId) -> bool {
        let mut any = false;
        for group in self.0.groups.values_mut() {
            any |= group.acknowledge(id);
        }
        any
    }
}
