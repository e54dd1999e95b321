//! What a running snapshot still needs of a big collection that goes on changing: how far the walk is, and the old
//! state of what changed ahead of it.
//!
//! Must not know: keys, files, how a collection is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::big_zset::BigZset;
use super::packed_table::SetTable;
use crate::snapshot::{Cut, Element, Meta, SnapshotError};
use crate::value::Kind;

/// A collection from this many elements on is walked in slices; below, it is copied.
pub(crate) const BIG: usize = if cfg!(test) { 64 } else { 1024 };
/// So is one of fewer elements that takes so many bytes.
const BIG_BYTES: usize = if cfg!(test) { 16 << 10 } else { 256 << 10 };
/// Bytes of an element that count as much as an element: a slice of large ones has fewer.
const BYTES_AS_ONE: usize = 128;

/// What an element of so many bytes counts in a slice.
pub(crate) fn weight(bytes: usize) -> usize {
    1 + bytes / BYTES_AS_ONE
}

/// Which collection it was at the cut.
#[derive(Debug)]
pub struct Origin {
    pub(crate) id: u64,
    pub(crate) db: u32,
    pub(crate) key: Box<[u8]>,
    pub(crate) expire_at_ms: Option<i64>,
    pub(crate) access: u32,
    pub(crate) len: usize,
    pub(crate) cut: Arc<Cut>,
}

impl Origin {
    pub(crate) fn meta(&self) -> Meta<'_> {
        Meta {
            db: self.db,
            key: &self.key,
            expire_at_ms: self.expire_at_ms,
            access: self.access,
        }
    }
}

/// A collection that can be walked in slices while it changes.
pub(crate) trait Undoable {
    /// Its kind.
    fn kind(&self) -> Kind;
    /// Number of elements now, if it can be walked in slices.
    fn elements(&self) -> usize;
    /// Bytes that it takes, about.
    fn bytes(&self) -> usize;
    /// It is walked in slices; else it is copied.
    fn is_big(&self) -> bool {
        let elements = self.elements();
        elements >= BIG || (elements > 1 && self.bytes() >= BIG_BYTES)
    }
    /// Begins: from now on old states are kept.
    fn open(&mut self, origin: Arc<Origin>);
    /// Which collection it was, while its walk is not finished and somebody wants it.
    fn origin(&self) -> Option<&Arc<Origin>>;
    /// Hands some elements as they were at the cut to `each`: about `most`, as [`weight`] counts them. True: these were the
    /// last.
    fn walk(&mut self, most: usize, each: &mut dyn FnMut(Element<'_>)) -> bool;
}

/// Place for an [`Undo`]: empty unless a snapshot is in the middle of the collection, and always empty in a copy.
pub(crate) struct UndoSlot<C, V: Payload>(Option<Box<Undo<C, V>>>);

impl<C, V: Payload> Default for UndoSlot<C, V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<C, V: Payload> Clone for UndoSlot<C, V> {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl<C, V: Payload> std::fmt::Debug for UndoSlot<C, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "walked" } else { "idle" })
    }
}

impl<C: Default + Send + 'static, V: Payload> UndoSlot<C, V> {
    /// True while a walk is, or seems to be, in the middle of the collection.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// The walk's state, unless nobody wants it any more.
    pub(crate) fn get(&mut self) -> Option<&mut Undo<C, V>> {
        if self.0.as_ref().is_some_and(|undo| undo.origin.cut.is_over()) {
            self.0 = None;
        }
        self.0.as_deref_mut()
    }

    pub(crate) fn origin(&self) -> Option<&Arc<Origin>> {
        let origin = &self.0.as_ref()?.origin;
        (!origin.cut.is_over()).then_some(origin)
    }

    pub(crate) fn open(&mut self, origin: Arc<Origin>) {
        self.0 = Some(Box::new(Undo {
            origin,
            cursor: C::default(),
            changed: BTreeSet::new(),
            old: Vec::new(),
            last_weight: 0,
            old_bytes: 0,
            finished: false,
        }));
    }

    /// The walk is through. What it needed is freed when no lock is held.
    pub(crate) fn finish(&mut self) {
        if let Some(mut undo) = self.0.take() {
            undo.finished = true;
            let cut = Arc::clone(&undo.origin.cut);
            cut.dispose(undo);
        }
    }

    /// Moves the state out, to be put into what takes the collection's place.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.take())
    }
}

/// Old states in one piece, as [`weight`] counts them: what one slice of the walk takes.
const PIECE: usize = 256;

/// The part of an element beside its name.
pub(crate) trait Payload: Send + 'static {
    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize;
}

/// What an entry of a table was.
pub(crate) struct OldEntry {
    pub(crate) value: Box<[u8]>,
    /// When the field expired.
    pub(crate) expire_at_ms: Option<i64>,
}

impl Payload for OldEntry {
    fn heap_bytes(&self) -> usize {
        self.value.len()
    }
}

impl Payload for f64 {
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// The state of one walk: `C` says how far it is, `V` is what an element has beside its name.
pub(crate) struct Undo<C, V: Payload> {
    origin: Arc<Origin>,
    /// Elements before it have been seen.
    pub(crate) cursor: C,
    /// Elements ahead of the walk, or that came there, which changed since the cut: the walk passes them over.
    changed: BTreeSet<Box<[u8]>>,
    /// Those of them that existed at the cut and had not been seen, as they were, in pieces: neither this nor the set grows by
    /// being moved as a whole.
    old: Vec<Vec<(Box<[u8]>, V)>>,
    /// What the last piece weighs.
    last_weight: usize,
    old_bytes: usize,
    finished: bool,
}

impl<C, V: Payload> Undo<C, V> {
    /// An element is about to change. `old`: what it is now, if it is there and ahead of the walk. `ahead`: it will be
    /// there, ahead of the walk, after the change.
    pub(crate) fn note(&mut self, name: &[u8], old: Option<V>, ahead: bool) {
        if (old.is_none() && !ahead) || self.changed.contains(name) {
            return;
        }
        let mut bytes = name.len() + size_of::<Box<[u8]>>();
        self.changed.insert(name.into());
        if let Some(old) = old {
            bytes += name.len() + size_of::<(Box<[u8]>, V)>() + old.heap_bytes();
            self.last_weight += weight(name.len() + old.heap_bytes());
            let old = (name.into(), old);
            match self.old.last_mut() {
                Some(piece) if self.last_weight <= PIECE => piece.push(old),
                Some(_) | None => {
                    self.last_weight = weight(old.0.len() + old.1.heap_bytes());
                    self.old.push(vec![old]);
                }
            }
        }
        self.old_bytes += bytes;
        self.origin.cut.add_bytes(bytes);
    }

    /// True if the walk has to pass this element over.
    pub(crate) fn is_changed(&self, name: &[u8]) -> bool {
        !self.changed.is_empty() && self.changed.contains(name)
    }

    /// Takes some of the old states out; none if there are no more.
    pub(crate) fn take_old(&mut self) -> Vec<(Box<[u8]>, V)> {
        self.last_weight = PIECE; // the piece before is full
        self.old.pop().unwrap_or_default()
    }
}

impl<C, V: Payload> Drop for Undo<C, V> {
    fn drop(&mut self) {
        self.origin.cut.sub_bytes(self.old_bytes);
        if !self.finished && !self.origin.cut.is_over() {
            self.origin.cut.fail(SnapshotError::Lost);
        }
    }
}

macro_rules! undoable {
    ($t:ty, $kind:expr, |$($part:ident),+| $element:expr) => {
        impl Undoable for $t {
            fn kind(&self) -> Kind {
                $kind
            }
            fn elements(&self) -> usize {
                self.len()
            }
            fn bytes(&self) -> usize {
                self.heap_bytes()
            }
            fn open(&mut self, origin: Arc<Origin>) {
                self.undo.open(origin);
            }
            fn origin(&self) -> Option<&Arc<Origin>> {
                self.undo.origin()
            }
            fn walk(&mut self, most: usize, each: &mut dyn FnMut(Element<'_>)) -> bool {
                self.walk(most, |$($part),+| each($element))
            }
        }
    };
}
undoable!(SetTable, Kind::Set, |member, _none, _time| Element::Member(
    member
));
undoable!(BigZset, Kind::Zset, |member, score| Element::Scored(
    member, score
));
