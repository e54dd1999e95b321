//! What writers hand over to a snapshot: the images of what they are about to change, and where collections are that
//! are walked in slices.
//!
//! Must not know: sinks; in which order the walk goes.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::SnapshotError;
use super::pressure::{Gauge, PressureWatcher};
use crate::encoding::entry::Entry;
use crate::encoding::table::Table;
use crate::encoding::undo::Origin;
use crate::value::{HeapStr, Value, ValueMut};

/// A value as it was at the cut, on its way to the walk.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) db: u32,
    pub(super) key: Box<[u8]>,
    pub(super) expire_at_ms: Option<i64>,
    pub(super) access: u32,
    pub(super) value: Value,
    pub(super) bytes: usize,
}

impl Image {
    /// Bytes that it takes. What it shares with the original is not counted.
    fn cost(&self) -> usize {
        /// Of an allocation that the allocator rounds up.
        const ROUNDED: usize = 16;
        let value = match &self.value {
            Value::Heap(_) | Value::List(_) | Value::Stream(_) => {
                self.value.free_effort() * size_of::<Value>()
            }
            Value::Str(text) | Value::RawStr(text) => text.len() + ROUNDED,
            Value::Int(_) => 0,
            Value::Set(_) | Value::Hash(_) | Value::Zset(_) => self.value.as_ref().memory_usage(1),
        };
        size_of::<Self>() + self.key.len() + ROUNDED + value
    }
}

/// Something to be freed.
struct Spent {
    _freed: Box<dyn Send>,
}

impl std::fmt::Debug for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spent")
    }
}

/// Images in the order in which they came, in pieces: a long queue is never moved as a whole.
#[derive(Debug, Default)]
pub(super) struct Images(Mutex<VecDeque<Vec<Image>>>);

impl Images {
    const PIECE: usize = 64;

    fn push(&self, image: Image) {
        let mut pieces = self.0.lock();
        match pieces.back_mut() {
            Some(piece) if piece.len() < Self::PIECE => piece.push(image),
            Some(_) | None => {
                let mut piece = Vec::with_capacity(Self::PIECE);
                piece.push(image);
                pieces.push_back(piece);
            }
        }
    }

    /// The oldest ones.
    pub(super) fn pop(&self) -> Option<Vec<Image>> {
        self.0.lock().pop_front()
    }
}

/// Database and key of a collection, as they are now.
pub(super) type Place = (u32, Box<[u8]>);

/// What the walk and the writers of one snapshot share.
#[derive(Debug, Default)]
pub struct Cut {
    pub(super) images: Images,
    pub(super) pressure: Gauge,
    /// Collections that left the keyspace while they were being walked, by the ids of their origins.
    pub(super) removed: Mutex<HashMap<u64, Image>>,
    /// Databases that were emptied before the walk had seen all of them, with their numbers at the cut.
    pub(super) tables: Mutex<Vec<(u32, Table)>>,
    /// Where the big collections are that are to be walked, by the ids of their origins.
    pub(super) bigs: Mutex<HashMap<u64, Place>>,
    /// What walks of collections needed, to be freed by the walk while it holds no lock.
    spent: Mutex<Vec<Spent>>,
    next_id: AtomicU64,
    pub(super) over: AtomicBool,
    /// Why it failed, if it did.
    pub(super) failed: OnceLock<SnapshotError>,
}

impl Cut {
    /// Bytes of images that wait for the walk.
    pub fn waiting_bytes(&self) -> usize {
        self.pressure.bytes()
    }

    /// The most bytes that ever waited.
    pub fn peak_bytes(&self) -> usize {
        self.pressure.peak()
    }

    /// Tells `watcher` when images fill their share of memory, `limit` bytes, and when they do no more.
    pub fn watch(&self, limit: usize, watcher: Arc<dyn PressureWatcher>) {
        self.pressure.watch(limit, watcher);
    }

    /// Ends the snapshot early: images are freed, writers leave no more of them, and the walk fails with the next step,
    /// whenever that comes.
    pub fn give_up(&self) {
        self.fail(SnapshotError::GivenUp);
        self.over.store(true, Ordering::Release);
        self.pressure.close();
        self.free();
    }

    /// Forgets everything that waits. Nobody wants it any more.
    pub(super) fn free(&self) {
        while let Some(images) = self.images.pop() {
            self.sub_bytes(images.iter().map(|image| image.bytes).sum());
        }
        let removed = std::mem::take(&mut *self.removed.lock());
        self.sub_bytes(removed.values().map(|image| image.bytes).sum());
        let tables = std::mem::take(&mut *self.tables.lock());
        drop((removed, tables));
        self.free_spent();
    }

    /// True once nobody needs images any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(crate) fn add_bytes(&self, bytes: usize) {
        self.pressure.add(bytes);
    }

    pub(crate) fn sub_bytes(&self, bytes: usize) {
        self.pressure.sub(bytes);
    }

    /// Has the walk free something when it holds no lock.
    pub(crate) fn dispose(&self, spent: Box<dyn Send>) {
        self.spent.lock().push(Spent { _freed: spent });
    }

    pub(super) fn free_spent(&self) {
        let spent = std::mem::take(&mut *self.spent.lock());
        drop(spent);
    }

    /// The snapshot would be wrong, or is not wanted: the first reason counts.
    pub(crate) fn fail(&self, why: SnapshotError) {
        let _first = self.failed.set(why);
    }

    fn push(&self, mut image: Image) {
        image.bytes = image.cost();
        self.add_bytes(image.bytes);
        self.images.push(image);
        if self.is_over() {
            self.free(); // it was given up meanwhile
        }
    }

    /// A collection that is being walked has another name now.
    pub(crate) fn moved(&self, id: u64, db: u32, key: &[u8]) {
        self.bigs.lock().insert(id, (db, key.into()));
    }

    /// A collection that is being walked has left the keyspace: the walk ends with what is here.
    pub(crate) fn removed(&self, origin: &Origin, value: Value) {
        let mut image = Image {
            db: origin.db,
            key: origin.key.clone(),
            expire_at_ms: origin.expire_at_ms,
            access: origin.access,
            value,
            bytes: 0,
        };
        image.bytes = image.cost();
        self.add_bytes(image.bytes);
        self.removed.lock().insert(origin.id, image);
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
        ValueMut::Int(_)
        | ValueMut::Str(_)
        | ValueMut::Set(_)
        | ValueMut::Hash(_)
        | ValueMut::Zset(_)
        | ValueMut::Stream(_) => entry.value().duplicate(),
    }
}
