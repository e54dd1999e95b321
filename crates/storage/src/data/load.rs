//! The door for keys that come out of a file or from another server: nothing is told, nothing is logged, nothing expires.
//!
//! Must not know: files, formats.

use super::{Data, discard};
use crate::encoding::entry::{Entry, INLINE_MAX};
use crate::value::Value;

/// A value that is to be loaded.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// A string of at most [`INLINE_MAX`] bytes that is no integer.
    Text(&'a [u8]),
    /// Any value.
    Value(Value),
}

impl Data<'_, '_> {
    /// Puts a key into the selected database. `access`: its access clock, if it is known. False: the key is there already,
    /// and is only replaced if `replace`; its expiry is not looked at.
    pub fn load(
        &mut self,
        key: &[u8],
        value: NewValue<'_>,
        expire_at_ms: Option<i64>,
        access: Option<u32>,
        replace: bool,
    ) -> bool {
        let (db, keyspace) = (self.db, self.keyspace());
        let h = keyspace.hash(key);
        let s = keyspace.shard_of(h.slot);
        if let Some(pos) = self.locked.shard(s).dbs[db as usize].table.find(h.hash, key) {
            if !replace {
                return false;
            }
            let old = self.remove_at(db, s, pos, key).0;
            discard(self.effects, old);
        }
        let mut entry = match value {
            NewValue::Text(text) => {
                debug_assert!(text.len() <= INLINE_MAX);
                Entry::new_str(key, text, expire_at_ms, false)
            }
            NewValue::Value(value) => Entry::new(key, value, expire_at_ms),
        };
        entry.set_access(access.unwrap_or_else(|| self.access.fresh(self.now_ms)));
        let shard = self.locked.shard(s);
        entry.set_epoch(shard.epoch);
        let d = &mut shard.dbs[db as usize];
        keyspace.note_fields(d, key, None, entry.next_field_expiry_ms());
        d.table.insert(h.hash, entry, |k| keyspace.table_hash(k));
        if shard.is_awaited(db, key) {
            self.effects.ready.push((db, key.into()));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::effects::Effects;
    use crate::keyspace::{Keyspace, ShardSet};

    #[test]
    fn what_is_loaded_is_there_and_nobody_is_told() {
        let (keyspace, mut effects) = (Keyspace::new(2, 8), Effects::default());
        effects.event_mask = u16::MAX;
        let (mut locked, mut rng) = (keyspace.lock(&ShardSet::All), SmallRng::seed_from_u64(1));
        let mut d = Data::new(&mut locked, 1, 1_000, &mut effects, &mut rng);
        assert!(d.load(b"k", NewValue::Text(b"old"), Some(5_000), Some(77), false));
        assert!(!d.load(b"k", NewValue::Text(b"new"), None, None, false));
        assert_eq!(d.expire_at_ms(b"k"), Some(Some(5_000)));
        assert_eq!(d.peek_entry(b"k").map(Entry::access), Some(77));
        assert!(d.load(b"k", NewValue::Value(Value::Int(3)), None, None, true));
        assert_eq!(d.expire_at_ms(b"k"), Some(None));
        assert!(d.effects.is_clean() && d.effects.events.is_empty());
        assert!(!d.exists_in(0, b"k"));
    }
}
