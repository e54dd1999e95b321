//! How far a group is behind: the arithmetic of `entries-read` and `lag`. Both are exact only where no entry was
//! deleted by itself behind the group; where one was, they are unknown until the group has passed it.
//!
//! Source: the page of XINFO GROUPS, and what redis-server 7.0.15 answers.

use super::Stream;
use super::group::Group;
use super::id::StreamId;

impl Stream {
    /// How many entries a group has read that stands at `id`, counted from the first entry that ever was; None if
    /// deleted entries make that unknowable.
    pub fn entries_read_at(&self, id: StreamId) -> Option<u64> {
        let inner = &*self.0;
        let added = inner.entries_added;
        if added == 0 {
            return Some(0);
        }
        if inner.len == 0 && id <= inner.last_id {
            return Some(added);
        }
        if id == inner.last_id {
            return Some(added);
        }
        if id > inner.last_id {
            return None;
        }
        let before_first = added.checked_sub(inner.len)?;
        if inner.max_deleted_id.is_zero() || inner.max_deleted_id < inner.first_id {
            if id < inner.first_id {
                return Some(before_first);
            }
            if id == inner.first_id {
                return Some(before_first + 1);
            }
        }
        None
    }

    /// Whether an entry from `from` on was deleted by itself, among those that are there.
    pub fn has_holes_from(&self, from: StreamId) -> bool {
        let inner = &*self.0;
        let is_inside = inner.first_id <= inner.max_deleted_id;
        inner.len > 0 && is_inside && from <= inner.max_deleted_id
    }

    /// How many entries a group has not been given yet; None if that cannot be told.
    /// Negative if the group was told that it has read more than there ever was.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.0.entries_added;
        if added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_holes_from(group.last_id) => read,
            Some(_) | None => self.entries_read_at(group.last_id)?,
        };
        Some(added.wrapping_sub(read) as i64)
    }

    /// The number of entries that a group has read that had read `read` of them and was then given the entry `id`, the
    /// next one after its last.
    pub fn entries_read_after(&self, read: Option<u64>, id: StreamId) -> Option<u64> {
        match read {
            Some(read) if !self.has_holes_from(id) => Some(read.saturating_add(1).min(i64::MAX as u64)),
            Some(_) | None if self.0.entries_added > 0 => self.entries_read_at(id),
            unknown => unknown,
        }
    }
}
