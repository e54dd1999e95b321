//! Fields of hashes whose time is over: what the doors do with them.
//!
//! A look-up removes some of them ([`BATCH`]) and hides the others, so that a hash of which many fields end at once
//! stalls nobody; who changes the hash removes all.

use super::{Data, OnExpired, note_touched};
use crate::effects::{Class, Event, FieldRemoval, Gone};
use crate::encoding::table::Pos;
use crate::value::{ValueMut, ValueRef};

/// Fields that one look-up removes at most.
const BATCH: usize = 1024;

const HEXPIRED: Event = Event(Class::Hash, "hexpired");

impl Data<'_, '_> {
    /// Removes some of a hash's fields whose time is over. True: there are more.
    pub fn expire_fields_if_due(&mut self, key: &[u8]) -> bool {
        self.find(key).is_some_and(|(s, pos)| self.hides_fields(s, pos))
    }

    /// As [`Data::find`], for one who is going to change the value: no field of a hash is hidden.
    #[inline]
    pub(super) fn find_whole(&mut self, key: &[u8]) -> Option<(u16, Pos)> {
        let (mut s, mut pos) = self.find(key)?;
        while self.hides_fields(s, pos) {
            (s, pos) = self.find(key)?;
        }
        Some((s, pos))
    }

    #[inline]
    fn hides_fields(&mut self, s: u16, pos: Pos) -> bool {
        let (db, now_ms) = (self.db as usize, self.now_ms);
        let d = &self.locked.shard(s).dbs[db];
        // Who hides for another reason is not going to change anything.
        d.fields.is_due(now_ms)
            && self.on_expired == OnExpired::Remove
            && matches!(d.table.get(pos).value(), ValueRef::Hash(hash) if hash.hides_some())
    }

    /// What a look-up does if fields of some hash are due in this part of the database.
    #[cold]
    pub(super) fn expire_fields(&mut self, db: u32, s: u16, pos: Pos, key: &[u8]) -> Option<(u16, Pos)> {
        let (keyspace, now_ms) = (self.keyspace(), self.now_ms);
        let shard = self.locked.shard(s);
        if self.on_expired == OnExpired::Remove
            && matches!(shard.dbs[db as usize].table.get(pos).value(), ValueRef::Hash(hash) if hash.next_expiry_ms().is_some_and(|at| at <= now_ms))
        {
            super::keep_state(shard, db, pos);
        }
        let d = &mut shard.dbs[db as usize];
        let ValueMut::Hash(hash) = d.table.get_mut(pos).value_mut() else {
            return Some((s, pos));
        };
        let before = hash.next_expiry_ms();
        if before.is_none() {
            return Some((s, pos));
        }
        match self.on_expired {
            OnExpired::Ignore => {
                hash.hide_until(i64::MIN);
                return Some((s, pos));
            }
            OnExpired::Hide => {
                hash.hide_until(now_ms);
                return (!hash.is_empty()).then_some((s, pos));
            }
            OnExpired::Remove => {}
        }
        if hash.all_due(now_ms) {
            self.effects.expired_fields += hash.expiring_len() as u64;
            self.remove_silently(db, s, pos, Gone::Emptied, key);
            return None;
        }
        hash.hide_until(i64::MIN);
        let fields = hash.take_due(now_ms, BATCH);
        if fields.is_empty() {
            return Some((s, pos));
        }
        hash.hide_until(now_ms);
        let after = hash.next_expiry_ms();
        keyspace.note_fields(d, key, before, after);
        shard.touch(db, key);
        note_touched(self.effects, db, key);
        self.effects.expired_fields += fields.len() as u64;
        self.effects.field_removals.push(FieldRemoval {
            db,
            key: key.into(),
            fields,
        });
        self.effects.event(db, HEXPIRED, key);
        Some((s, pos))
    }

    /// The events of a hash that is gone because all its fields have expired.
    pub(super) fn tell_emptied(&mut self, db: u32, key: &[u8]) {
        self.effects.event(db, HEXPIRED, key);
        self.effects.event(db, Event::DEL, key);
    }
}
