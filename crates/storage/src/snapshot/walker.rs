//! The walk over the data as they were at the cut, one slice after the other.
//!
//! Must not know: what the sink makes of what it sees.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::cut::{Cut, Image, keep};
use super::{Meta, Progress, Sink, SnapshotError, meta_of};
use crate::encoding::entry::Entry;
use crate::encoding::table::Table;
use crate::encoding::undo::Undoable;
use crate::keyspace::{Keyspace, Locked, Shard};
use crate::value::{ValueMut, ValueRef};

/// Strings from this length on are shared with the sink's thread and not written under a lock.
const LONG_STRING: usize = 32 << 10;
/// A slice ends after so many entries, or elements of a big collection, ...
const SLICE_ENTRIES: usize = if cfg!(test) { 16 } else { 256 };
/// ... or so many bytes for the sink.
const SLICE_BYTES: usize = 32 << 10;

/// Walks over the data as they were when it was made.
///
/// A walker that is dropped before its end leaves nothing behind; the next snapshot may begin at once. Dropping takes the
/// shards' locks, so the caller must hold none.
#[derive(Debug)]
pub struct Walker<'k> {
    keyspace: &'k Keyspace,
    cut: Arc<Cut>,
    next_shard: u16,
    /// The big collection that the sink is in the middle of.
    open: Option<u64>,
}

impl<'k> Walker<'k> {
    /// Cuts: what is in the keyspace now is what the walk will see. `locked` must be all shards; it takes microseconds.
    /// None: another snapshot is not over.
    ///
    /// # Panics
    /// If a shard is not locked.
    pub fn begin(locked: &mut Locked<'k>) -> Option<Self> {
        assert!(locked.holds_all(), "a cut takes every shard");
        if locked.keyspace().running_cut().is_some() {
            return None;
        }
        let cut = Arc::new(Cut::default());
        for (_, shard) in locked.each() {
            shard.begin_snapshot(&cut);
        }
        locked.keyspace().set_cut(&cut);
        Some(Self {
            keyspace: locked.keyspace(),
            cut,
            next_shard: 0,
            open: None,
        })
    }

    /// What writers hand over.
    pub fn cut(&self) -> &Arc<Cut> {
        &self.cut
    }

    /// Why the next step will fail, if it will.
    pub fn error(&self) -> Option<SnapshotError> {
        self.cut.failed.get().copied()
    }

    /// How far the walk is: shards seen, and shards in all.
    pub fn position(&self) -> (usize, usize) {
        (self.next_shard as usize, self.keyspace.shard_count())
    }

    /// Walks one slice. At most one shard is locked, and only while it runs.
    pub fn step(&mut self, sink: &mut impl Sink) -> Result<Progress, SnapshotError> {
        self.cut.pressure.look();
        if let Some(error) = self.cut.failed.get() {
            return Err(*error);
        }
        if let Some(id) = self.open {
            if self.walk_big(id, sink)? {
                self.open = None;
            }
            return Ok(Progress::More);
        }
        if let Some(images) = self.cut.images.pop() {
            for image in images {
                let bytes = image.bytes;
                emit_image(image, sink);
                self.cut.sub_bytes(bytes);
            }
            return Ok(Progress::More);
        }
        let emptied = self.cut.tables.lock().pop();
        if let Some((db, table)) = emptied {
            self.emit_table(db, table, sink);
            return Ok(Progress::More);
        }
        // Those first that are kept for the walk alone.
        let removed = self.cut.removed.lock().keys().next().copied();
        let next_big = removed.or_else(|| self.cut.bigs.lock().keys().next().copied());
        if let Some(id) = next_big {
            if !self.begin_big(id, sink)? {
                self.open = Some(id);
            }
            return Ok(Progress::More);
        }
        if (self.next_shard as usize) < self.keyspace.shard_count() {
            self.walk_shard(sink);
            return Ok(Progress::More);
        }
        self.cut.over.store(true, Ordering::Release);
        self.cut.pressure.close();
        Ok(Progress::Done)
    }

    /// Walks one slice of the next shard.
    fn walk_shard(&mut self, sink: &mut impl Sink) {
        let mut locked = self.keyspace.lock_one(self.next_shard);
        let shard = locked.shard(self.next_shard);
        let end = sink.written() + SLICE_BYTES;
        let mut visited = 0;
        while let Some(db) = shard.dbs.iter().position(|db| db.unwalked.is_some()) {
            while let Some(cursor) = shard.dbs[db].unwalked {
                if visited >= SLICE_ENTRIES || sink.written() >= end {
                    return;
                }
                visited += 1;
                let (epoch, cut_db) = (shard.epoch, shard.dbs[db].cut_db);
                let next = shard.dbs[db].table.walk(cursor, |entry| {
                    if entry.epoch() != epoch {
                        visited += 1;
                        take(&self.cut, entry, epoch, db as u32, cut_db, sink);
                    }
                });
                shard.dbs[db].unwalked = (next != 0).then_some(next);
            }
        }
        shard.end_snapshot();
        shard.unfinished = 0;
        self.next_shard += 1;
    }

    /// Writes what an emptied database held.
    fn emit_table(&self, db: u32, mut table: Table, sink: &mut impl Sink) {
        let Some(epoch) = self.keyspace_epoch() else {
            return;
        };
        let mut cursor = 0;
        loop {
            cursor = table.walk(cursor, |entry| {
                if entry.epoch() != epoch {
                    entry.set_epoch(epoch);
                    sink.value(&meta_of(entry, db), entry.value());
                }
            });
            if cursor == 0 {
                break;
            }
        }
    }

    /// The epoch of this snapshot.
    fn keyspace_epoch(&self) -> Option<u8> {
        Some(self.keyspace.lock_one(0).shard(0).epoch)
    }

    /// Begins a big collection, and ends it if it is there no more. True: it is finished.
    fn begin_big(&mut self, id: u64, sink: &mut impl Sink) -> Result<bool, SnapshotError> {
        self.with_big(id, |big| {
            let origin = big.origin().ok_or(SnapshotError::Lost)?;
            sink.begin(&origin.meta(), big.kind(), origin.len);
            Ok(())
        })?;
        self.walk_big(id, sink)
    }

    /// Walks one slice of a big collection. True: it is finished.
    fn walk_big(&mut self, id: u64, sink: &mut impl Sink) -> Result<bool, SnapshotError> {
        let done = self.with_big(id, |big| {
            Ok(big.walk(SLICE_ENTRIES, &mut |element| sink.element(element)))
        })?;
        if done {
            sink.end();
            self.cut.bigs.lock().remove(&id);
            let removed = self.cut.removed.lock().remove(&id);
            if let Some(image) = removed {
                self.cut.sub_bytes(image.bytes);
            }
            self.cut.free_spent();
        }
        Ok(done)
    }

    /// Lends a big collection, wherever it is by now.
    fn with_big<R>(
        &mut self,
        id: u64,
        f: impl FnOnce(&mut dyn Undoable) -> Result<R, SnapshotError>,
    ) -> Result<R, SnapshotError> {
        // It may be renamed between the look-up of its place and the lock; then its new place is looked up.
        loop {
            let place = self.cut.bigs.lock().get(&id).cloned();
            let Some((db, key)) = place else {
                let mut removed = self.cut.removed.lock();
                let image = removed.get_mut(&id);
                let big = image.and_then(|image| ValueMut::of(&mut image.value).into_undoable_open());
                return f(big.ok_or(SnapshotError::Lost)?);
            };
            let hash = self.keyspace.hash(&key);
            let number = self.keyspace.shard_of(hash.slot);
            let mut locked = self.keyspace.lock_one(number);
            let table = &mut locked.shard(number).dbs[db as usize].table;
            if let Some(pos) = table.find(hash.hash, &key)
                && let Some(big) = table.get_mut(pos).value_mut().into_undoable_open()
                && big.origin().is_some_and(|origin| origin.id == id)
            {
                return f(big);
            }
            if self.cut.bigs.lock().get(&id) == Some(&(db, key)) {
                return Err(SnapshotError::Lost);
            }
        }
    }
}

impl Drop for Walker<'_> {
    fn drop(&mut self) {
        self.cut.over.store(true, Ordering::Release);
        self.cut.pressure.close();
        for number in self.next_shard..self.keyspace.shard_count() as u16 {
            self.keyspace
                .lock_one(number)
                .shard(number)
                .end_snapshot_of(&self.cut);
        }
        // No door can leave anything any more.
        self.cut.free();
    }
}

/// Takes an entry of an older epoch: at once, or to be written later if it is large.
fn take(cut: &Arc<Cut>, entry: &mut Entry, epoch: u8, db: u32, cut_db: u32, sink: &mut impl Sink) {
    let large = match entry.value() {
        ValueRef::Heap(text) => text.as_slice().len() >= LONG_STRING,
        ValueRef::List(list) => list.node_count() > 1,
        ValueRef::Stream(stream) => stream.node_count() > 1,
        ValueRef::Int(_)
        | ValueRef::Str { .. }
        | ValueRef::Set(_)
        | ValueRef::Hash(_)
        | ValueRef::Zset(_) => false,
    };
    if large || entry.value_mut().into_undoable().is_some() {
        return keep(cut, entry, epoch, db, cut_db);
    }
    entry.set_epoch(epoch);
    sink.value(&meta_of(entry, cut_db), entry.value());
}

/// Writes an image; no lock is held.
fn emit_image(image: Image, sink: &mut impl Sink) {
    let meta = Meta {
        db: image.db,
        key: &image.key,
        expire_at_ms: image.expire_at_ms,
        access: image.access,
    };
    sink.value(&meta, image.value.as_ref());
}

impl Shard {
    fn begin_snapshot(&mut self, cut: &Arc<Cut>) {
        // After a snapshot that was not finished there are entries of several epochs. Before the numbers come round,
        // they are made one: in practice never.
        if self.unfinished == u8::MAX - 1 {
            let epoch = self.epoch;
            for db in &mut self.dbs {
                let mut cursor = 0;
                loop {
                    cursor = db.table.walk(cursor, |entry| entry.set_epoch(epoch));
                    if cursor == 0 {
                        break;
                    }
                }
            }
            self.unfinished = 0;
        }
        self.unfinished += 1;
        self.epoch = self.epoch.wrapping_add(1);
        self.snapshot = Some(Arc::clone(cut));
        for (number, db) in self.dbs.iter_mut().enumerate() {
            db.cut_db = number as u32;
            db.unwalked = Some(0);
        }
    }

    fn end_snapshot(&mut self) {
        self.snapshot = None;
    }

    fn end_snapshot_of(&mut self, cut: &Arc<Cut>) {
        if self.snapshot.as_ref().is_some_and(|own| Arc::ptr_eq(own, cut)) {
            self.end_snapshot();
        }
    }
}
