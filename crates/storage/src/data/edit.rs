//! Collections lent to be changed: the doors that lend them, and the guard that records what became of them.
//!
//! Must not know: commands, replies, the log.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use super::{Collection, Data, WrongType, discard, keep_state, note_touched, remove_entry};
use crate::effects::{Effects, Event};
use crate::encoding::table::Pos;
use crate::keyspace::{Keyspace, Shard};
use crate::value::{Kind, ValueMut};

/// A collection lent to be changed. End it with [`Edit::finish`] or [`Edit::unchanged`]; an empty collection's key is
/// removed then.
#[derive(Debug)]
pub struct Edit<'d, T: Collection> {
    keyspace: &'d Keyspace,
    shard: &'d mut Shard,
    effects: &'d mut Effects,
    db: u32,
    pos: Pos,
    key: &'d [u8],
    new: bool,
    done: bool,
    /// When the next field expired before the change.
    next_expiry_ms: Option<i64>,
    kind: PhantomData<T>,
}

impl Data<'_, '_> {
    /// A collection to change, if the key exists.
    pub fn edit<'d, T: Collection>(&'d mut self, key: &'d [u8]) -> Result<Option<Edit<'d, T>>, WrongType> {
        let Some((s, pos)) = self.find_whole(key) else {
            return Ok(None);
        };
        self.check_kind::<T>(s, pos)?;
        Ok(Some(self.guard(s, pos, key, false)))
    }

    /// A collection to change; an empty one if the key does not exist. If it stays empty, no key comes into being.
    pub fn edit_or_create<'d, T: Collection>(&'d mut self, key: &'d [u8]) -> Result<Edit<'d, T>, WrongType> {
        match self.find_whole(key) {
            None => {
                let (s, pos) = self.insert_entry(self.db, key, T::empty().into_value(), None);
                Ok(self.guard(s, pos, key, true))
            }
            Some((s, pos)) => {
                self.check_kind::<T>(s, pos)?;
                Ok(self.guard(s, pos, key, false))
            }
        }
    }

    /// Notes the access and checks the type of what is about to be changed.
    #[inline]
    fn check_kind<T: Collection>(&mut self, s: u16, pos: Pos) -> Result<(), WrongType> {
        match self.lend(s, pos) {
            Some(v) if v.kind() == T::KIND => Ok(()),
            Some(_) | None => Err(WrongType),
        }
    }

    fn guard<'d, T: Collection>(&'d mut self, s: u16, pos: Pos, key: &'d [u8], new: bool) -> Edit<'d, T> {
        let keyspace = self.keyspace();
        let db = self.db;
        let shard = self.locked.shard(s);
        let next_expiry_ms = shard.dbs[db as usize].table.get(pos).next_field_expiry_ms();
        Edit {
            keyspace,
            shard,
            effects: self.effects,
            next_expiry_ms,
            db,
            pos,
            key,
            new,
            done: false,
            kind: PhantomData,
        }
    }
}

impl<T: Collection> Edit<'_, T> {
    /// True if the key did not exist before.
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// The value was changed by `changes` steps (the amount by which `rdb_changes_since_last_save` grows); `event`
    /// names it.
    pub fn finish(mut self, event: Event, changes: u64) {
        self.record(Some(event), changes.max(1));
    }

    /// Like [`Edit::finish`], and a further event.
    pub fn finish2(mut self, first: Event, second: Event, changes: u64) {
        self.effects.event(self.db, first, self.key);
        self.record(Some(second), changes.max(1));
    }

    /// What stands beside the value (a stream's groups) was changed by `changes` steps: they are logged, but those who
    /// watch or cache the value are not told. Events are noted before, with [`Edit::note`].
    pub fn finish_quietly(mut self, changes: u64) {
        if self.new {
            return self.record(None, changes.max(1));
        }
        self.done = true;
        self.effects.dirty += changes.max(1);
    }

    /// Notes an event before the change is finished.
    pub fn note(&mut self, event: Event) {
        self.effects.event(self.db, event, self.key);
    }

    /// Clients that wait for the key are to look at it once more, although it is not new.
    pub fn wake(&mut self) {
        if !self.new && self.shard.is_awaited(self.db, self.key) {
            self.effects.ready.push((self.db, self.key.into()));
        }
    }

    /// Puts another value in the place of the whole and gives the old one back.
    pub fn replace(&mut self, new: T) -> T {
        let old = std::mem::replace(&mut **self, new);
        let mut value = old.into_value();
        if let Some(origin) = ValueMut::of(&mut value)
            .into_undoable_open()
            .and_then(|big| big.origin().cloned())
        {
            // The snapshot's walk goes on with the old value; the copy for the caller costs what the change costs.
            let copy = value.as_ref().duplicate();
            origin.cut.removed(&origin, std::mem::replace(&mut value, copy));
        }
        T::from_value(value).unwrap_or_else(T::empty)
    }

    /// Nothing was changed.
    pub fn unchanged(mut self) {
        self.done = true;
        if self.new || self.is_empty() {
            self.remove();
        }
    }

    fn record(&mut self, event: Option<Event>, changes: u64) {
        self.done = true;
        self.effects.dirty += changes;
        self.shard.touch(self.db, self.key);
        note_touched(self.effects, self.db, self.key);
        let db = &mut self.shard.dbs[self.db as usize];
        let next_expiry_ms = db.table.get(self.pos).next_field_expiry_ms();
        self.keyspace
            .note_fields(db, self.key, self.next_expiry_ms, next_expiry_ms);
        if self.new && !self.is_empty() {
            if self.shard.is_awaited(self.db, self.key) {
                self.effects.ready.push((self.db, self.key.into()));
            }
            self.effects.event(self.db, Event::NEW, self.key);
        }
        // Who waits for a list may wait for it to grow (BLMOVEM EXACTLY).
        if T::KIND == Kind::List {
            self.wake();
        }
        if let Some(event) = event {
            self.effects.event(self.db, event, self.key);
        }
        if self.is_empty() {
            self.remove();
            if !self.new {
                self.effects.event(self.db, Event::DEL, self.key);
            }
        }
    }

    fn remove(&mut self) {
        keep_state(self.shard, self.db, self.pos);
        let entry = remove_entry(self.keyspace, &mut self.shard.dbs[self.db as usize], self.pos);
        discard(self.effects, entry.into_value());
    }
}

impl<T: Collection> Deref for Edit<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        T::of(self.shard.dbs[self.db as usize].table.get(self.pos).value())
            .expect("the kind was checked at the door")
    }
}

impl<T: Collection> DerefMut for Edit<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        keep_state(self.shard, self.db, self.pos);
        T::of_mut(
            self.shard.dbs[self.db as usize]
                .table
                .get_mut(self.pos)
                .value_mut(),
        )
        .expect("the kind was checked at the door")
    }
}

impl<T: Collection> Drop for Edit<'_, T> {
    fn drop(&mut self) {
        if !self.done {
            debug_assert!(
                std::thread::panicking(),
                "an Edit must be finished or given back as unchanged"
            );
            self.record(None, 1);
        }
    }
}
