//! Snapshots without fork: the data as they were at one moment, read while writers go on.
//!
//! ```text
//! begin (every shard locked): each shard gets a new epoch and a handle of the cut
//! walk  (one shard locked for a short slice at a time): entries of an older epoch go to the sink, and get the new one
//! write (a door in `data`): an entry of an older epoch hands over its image before it changes, and gets the new epoch
//! ```
//!
//! So each entry that existed at the cut is seen once: by the walk as it is, or as the image that a writer left. What
//! is made after the cut has the new epoch from the start. There is no second copy of the data: extra memory is the
//! images that wait, which [`Cut::waiting_bytes`] tells, so that writers can be held back.
//!
//! A big collection is not copied and not read in one go. It gets an `Undo`: the walk takes it in slices, and a
//! change of an element that the walk has not reached leaves the element's old state there. A big list is shared node by
//! node. So no lock is held for longer than a slice, whatever the size of a value.
//!
//! Must not know: files, formats, the log. What is seen goes to a [`Sink`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::encoding::entry::Entry;
use crate::encoding::table::Table;
use crate::encoding::undo::{Origin, Undoable};
use crate::keyspace::{Keyspace, Locked, Shard};
use crate::value::{HeapStr, Kind, Value, ValueMut, ValueRef};

#[cfg(test)]
mod tests;

/// What belongs to a key beside its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta<'a> {
    /// Database at the cut.
    pub db: u32,
    /// Key.
    pub key: &'a [u8],
    /// Unix time in milliseconds.
    pub expire_at_ms: Option<i64>,
    /// Access clock, 24 bits.
    pub access: u32,
}

/// One element of a big collection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Element<'a> {
    /// Of a set.
    Member(&'a [u8]),
    /// Of a hash: field, value, and when the field expires (Unix ms).
    Field(&'a [u8], &'a [u8], Option<i64>),
    /// Of a sorted set: member and score.
    Scored(&'a [u8], f64),
}

/// Takes what a snapshot sees. Called with a shard locked: it may write to memory and nothing else.
pub trait Sink {
    /// A whole value.
    fn value(&mut self, meta: &Meta<'_>, value: ValueRef<'_>);
    /// A collection of `len` elements begins; exactly so many follow: those of sets and hashes in any order, fields
    /// whose time is over among them, those of sorted sets nearly in order.
    fn begin(&mut self, meta: &Meta<'_>, kind: Kind, len: usize);
    /// Its next element.
    fn element(&mut self, element: Element<'_>);
    /// It ends.
    fn end(&mut self);
    /// Bytes written since the sink was made: slices end by it.
    fn written(&self) -> usize;
}

/// A value as it was at the cut, on its way to the walk.
#[derive(Debug)]
struct Image {
    db: u32,
    key: Box<[u8]>,
    expire_at_ms: Option<i64>,
    access: u32,
    value: Value,
    /// Id of the origin if the value is a collection that is being walked.
    big: Option<u64>,
    bytes: usize,
}

/// Database and key of a collection, as they are now.
type Place = (u32, Box<[u8]>);

/// What the walk and the writers of one snapshot share.
#[derive(Debug, Default)]
pub struct Cut {
    images: Mutex<VecDeque<Image>>,
    /// Databases that were emptied before the walk had seen all of them, with their numbers at the cut.
    tables: Mutex<Vec<(u32, Table)>>,
    /// Where the big collections are that are to be walked, by the ids of their origins.
    bigs: Mutex<HashMap<u64, Place>>,
    next_id: AtomicU64,
    bytes: AtomicUsize,
    over: AtomicBool,
    failed: AtomicBool,
}

impl Cut {
    /// Bytes of images that wait for the walk.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// True once nobody needs images any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(crate) fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sub_bytes(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The state of a collection was lost: the snapshot would be wrong, so it fails.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    fn push(&self, mut image: Image) {
        image.bytes = size_of::<Image>()
            + image.key.len()
            + match &image.value {
                // Their bytes are shared with the original.
                Value::Heap(_) | Value::List(_) | Value::Stream(_) => {
                    image.value.free_effort() * size_of::<Value>()
                }
                Value::Int(_)
                | Value::Str(_)
                | Value::RawStr(_)
                | Value::Set(_)
                | Value::Hash(_)
                | Value::Zset(_) => image.value.as_ref().memory_usage(1),
            };
        self.add_bytes(image.bytes);
        self.images.lock().push_back(image);
    }

    fn pop(&self) -> Option<Image> {
        let image = self.images.lock().pop_front()?;
        self.sub_bytes(image.bytes);
        Some(image)
    }

    /// A collection that is being walked has another name now.
    pub(crate) fn moved(&self, id: u64, db: u32, key: &[u8]) {
        self.bigs.lock().insert(id, (db, key.into()));
    }

    /// A collection that is being walked has left the keyspace: the walk ends with what is here.
    pub(crate) fn removed(&self, origin: &Origin, value: Value) {
        self.push(Image {
            db: origin.db,
            key: origin.key.clone(),
            expire_at_ms: origin.expire_at_ms,
            access: origin.access,
            value,
            big: Some(origin.id),
            bytes: 0,
        });
        // Last: who does not find the place any more finds the image.
        self.bigs.lock().remove(&origin.id);
    }

    /// A database was emptied. `db`: its number at the cut.
    pub(crate) fn emptied(&self, db: u32, table: Table) {
        self.tables.lock().push((db, table));
    }

    /// Where the collections are that belong to database `db` now: (id, key).
    pub(crate) fn bigs_of(&self, db: u32) -> Vec<(u64, Box<[u8]>)> {
        let bigs = self.bigs.lock();
        let of_db = bigs.iter().filter(|(_, (d, _))| *d == db);
        of_db.map(|(id, (_, key))| (*id, key.clone())).collect()
    }

    /// Two databases have changed places.
    pub(crate) fn swapped(&self, a: u32, b: u32) {
        for (db, _) in self.bigs.lock().values_mut() {
            if *db == a {
                *db = b;
            } else if *db == b {
                *db = a;
            }
        }
    }
}

/// Hands the entry's state over before it changes. The entry is of an older epoch. `db`: number now, `cut_db`: number
/// at the cut.
#[cold]
pub(crate) fn keep(cut: &Arc<Cut>, entry: &mut Entry, epoch: u8, db: u32, cut_db: u32) {
    entry.set_epoch(epoch);
    if cut.is_over() || open_big(cut, entry, db, cut_db) {
        return;
    }
    let (expire_at_ms, access, key) = (entry.expire_at_ms(), entry.access(), entry.key().into());
    cut.push(Image {
        db: cut_db,
        key,
        expire_at_ms,
        access,
        value: image_of(entry),
        big: None,
        bytes: 0,
    });
}

/// Makes a big collection ready to be walked in slices. False: it is none.
fn open_big(cut: &Arc<Cut>, entry: &mut Entry, db: u32, cut_db: u32) -> bool {
    let (key, expire_at_ms, access): (Box<[u8]>, _, _) =
        (entry.key().into(), entry.expire_at_ms(), entry.access());
    let Some(big) = entry.value_mut().into_undoable() else {
        return false;
    };
    let id = cut.next_id.fetch_add(1, Ordering::Relaxed);
    cut.moved(id, db, &key);
    big.open(Arc::new(Origin {
        id,
        db: cut_db,
        key,
        expire_at_ms,
        access,
        len: big.elements(),
        cut: Arc::clone(cut),
    }));
    true
}

/// A copy that costs little: long strings and long lists share their bytes with the original.
fn image_of(entry: &mut Entry) -> Value {
    match entry.value_mut() {
        ValueMut::Heap(text) => Value::Heap(Box::new(HeapStr::Shared(text.share()))),
        ValueMut::List(list) => Value::List(list.fork()),
        ValueMut::Stream(stream) => Value::Stream(stream.fork()),
        ValueMut::Int(_) | ValueMut::Str(_) | ValueMut::Set(_) | ValueMut::Hash(_) | ValueMut::Zset(_) => {
            entry.value().duplicate()
        }
    }
}

/// Strings from this length on are shared with the sink's thread and not written under a lock.
const LONG_STRING: usize = 32 << 10;
/// A slice ends after so many entries, or elements of a big collection, ...
const SLICE_ENTRIES: usize = if cfg!(test) { 16 } else { 256 };
/// ... or so many bytes for the sink.
const SLICE_BYTES: usize = 32 << 10;

/// Whether a snapshot is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to walk.
    More,
    /// Everything has been seen.
    Done,
}

/// The state of a collection was lost on the way: a mistake of this program. Nothing is wrong with the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot lost the state of a collection")]
pub struct SnapshotLost;

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

    /// How far the walk is: shards seen, and shards in all.
    pub fn position(&self) -> (usize, usize) {
        (self.next_shard as usize, self.keyspace.shard_count())
    }

    /// Walks one slice. At most one shard is locked, and only while it runs.
    pub fn step(&mut self, sink: &mut impl Sink) -> Result<Progress, SnapshotLost> {
        if self.cut.failed.load(Ordering::Acquire) {
            return Err(SnapshotLost);
        }
        if let Some(id) = self.open {
            if self.walk_big(id, sink)? {
                self.open = None;
            }
            return Ok(Progress::More);
        }
        if let Some(image) = self.cut.pop() {
            emit_image(image, sink);
            return Ok(Progress::More);
        }
        let emptied = self.cut.tables.lock().pop();
        if let Some((db, table)) = emptied {
            self.emit_table(db, table, sink);
            return Ok(Progress::More);
        }
        let next_big = self.cut.bigs.lock().keys().next().copied();
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
    fn begin_big(&mut self, id: u64, sink: &mut impl Sink) -> Result<bool, SnapshotLost> {
        self.with_big(id, |big| {
            let origin = big.origin().ok_or(SnapshotLost)?;
            sink.begin(&origin.meta(), big.kind(), origin.len);
            Ok(())
        })?;
        self.walk_big(id, sink)
    }

    /// Walks one slice of a big collection. True: it is finished.
    fn walk_big(&mut self, id: u64, sink: &mut impl Sink) -> Result<bool, SnapshotLost> {
        let done = self.with_big(id, |big| {
            Ok(big.walk(SLICE_ENTRIES, &mut |element| sink.element(element)))
        })?;
        if done {
            sink.end();
            self.cut.bigs.lock().remove(&id);
            let mut images = self.cut.images.lock();
            if let Some(at) = images.iter().position(|image| image.big == Some(id))
                && let Some(image) = images.remove(at)
            {
                self.cut.sub_bytes(image.bytes);
            }
        }
        Ok(done)
    }

    /// Lends a big collection, wherever it is by now.
    fn with_big<R>(
        &mut self,
        id: u64,
        f: impl FnOnce(&mut dyn Undoable) -> Result<R, SnapshotLost>,
    ) -> Result<R, SnapshotLost> {
        // It may be renamed between the look-up of its place and the lock; then its new place is looked up.
        loop {
            let place = self.cut.bigs.lock().get(&id).cloned();
            let Some((db, key)) = place else {
                let mut images = self.cut.images.lock();
                let image = images.iter_mut().find(|image| image.big == Some(id));
                let big = image.and_then(|image| ValueMut::of(&mut image.value).into_undoable_open());
                return f(big.ok_or(SnapshotLost)?);
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
                return Err(SnapshotLost);
            }
        }
    }
}

impl Drop for Walker<'_> {
    fn drop(&mut self) {
        self.cut.over.store(true, Ordering::Release);
        for number in self.next_shard..self.keyspace.shard_count() as u16 {
            self.keyspace
                .lock_one(number)
                .shard(number)
                .end_snapshot_of(&self.cut);
        }
    }
}

/// Writes the keys of one database in a locked shard as they are, without a snapshot.
pub fn write_all(shard: &Shard, db: u32, sink: &mut impl Sink) {
    for entry in shard.dbs[db as usize].table.iter() {
        sink.value(&meta_of(entry, db), entry.value());
    }
}

fn meta_of(entry: &Entry, db: u32) -> Meta<'_> {
    Meta {
        db,
        key: entry.key(),
        expire_at_ms: entry.expire_at_ms(),
        access: entry.access(),
    }
}

/// Takes an entry of an older epoch: at once, or to be written later if it is large.
fn take(cut: &Arc<Cut>, entry: &mut Entry, epoch: u8, db: u32, cut_db: u32, sink: &mut impl Sink) {
    let large = match entry.value() {
        ValueRef::Heap(text) => text.as_slice().len() >= LONG_STRING,
        ValueRef::List(list) => list.node_count() > 1,
        ValueRef::Stream(stream) => stream.nodes().len() > 1,
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
fn emit_image(mut image: Image, sink: &mut impl Sink) {
    if image.big.is_some()
        && let Some(big) = ValueMut::of(&mut image.value).into_undoable_open()
    {
        if let Some(origin) = big.origin() {
            sink.begin(&origin.meta(), big.kind(), origin.len);
        }
        while !big.walk(usize::MAX, &mut |element| sink.element(element)) {}
        return sink.end();
    }
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
