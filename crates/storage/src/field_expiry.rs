//! Which hashes of one database in one shard have fields that expire, by the time of the next one: so that who looks
//! for fields whose time is over finds them without a search, and pays nothing while there are none.
//!
//! The doors of [`crate::data`] keep it exact: a hash with expiring fields stands here once, with its next time.

use std::collections::BTreeSet;

/// See the module's documentation.
#[derive(Debug)]
pub struct FieldIndex {
    by_time: BTreeSet<(i64, Box<[u8]>)>,
    /// The earliest time, or the end of time.
    next_ms: i64,
}

impl Default for FieldIndex {
    fn default() -> Self {
        Self {
            by_time: BTreeSet::new(),
            next_ms: i64::MAX,
        }
    }
}

impl FieldIndex {
    /// Whether a field of some hash is due.
    #[inline]
    pub fn is_due(&self, now_ms: i64) -> bool {
        self.next_ms <= now_ms
    }

    /// Number of hashes with fields that expire.
    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }

    /// Up to `most` hashes of which a field is due, the earliest first.
    pub fn due(&self, now_ms: i64, most: usize) -> impl Iterator<Item = &[u8]> {
        let due = self.by_time.iter().take_while(move |(at, _)| *at <= now_ms);
        due.take(most).map(|(_, key)| &**key)
    }

    /// The next time of a key's hash was `before` and is `after`; None: no field expires, or the key is no hash, or no
    /// more. Returns by how much the number of hashes has changed.
    pub fn note(&mut self, key: &[u8], before: Option<i64>, after: Option<i64>) -> isize {
        if before == after {
            return 0;
        }
        let was = before.is_some_and(|at| self.by_time.remove(&(at, key.into())));
        let is = after.is_some_and(|at| self.by_time.insert((at, key.into())));
        self.next_ms = self.by_time.first().map_or(i64::MAX, |(at, _)| *at);
        isize::from(is) - isize::from(was)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_the_order_of_their_times() {
        let mut index = FieldIndex::default();
        assert!(index.is_empty() && !index.is_due(i64::MAX - 1));
        assert_eq!(index.note(b"a", None, Some(20)), 1);
        assert_eq!(index.note(b"b", None, Some(10)), 1);
        assert_eq!(index.note(b"a", Some(20), Some(5)), 0);
        assert_eq!(index.due(10, 9).collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(index.due(10, 1).count(), 1);
        assert!(index.is_due(5) && !index.is_due(4));
        assert_eq!(index.note(b"a", Some(5), None), -1);
        assert_eq!((index.len(), index.is_due(9), index.is_due(10)), (1, false, true));
        assert_eq!(index.note(b"c", None, None), 0);
    }
}
