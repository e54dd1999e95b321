//! The value of a key: owned, borrowed and borrowed to be changed. Matches on these enums have no wildcard, so a new
//! type leads the compiler to every place that must know it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::encoding::undo::{Origin, Undoable};
use crate::encoding::walked_str::WalkedStr;
use crate::snapshot::Element;

use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::Stream;
use crate::types::zset::Zset;

/// Type of a value, as TYPE names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    String,
    List,
    Set,
    Zset,
    Hash,
    Stream,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::String,
        Self::List,
        Self::Set,
        Self::Zset,
        Self::Hash,
        Self::Stream,
    ];

    /// The name that TYPE answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Zset => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
        }
    }
}

/// A string with an allocation of its own: shared with the network while nobody changes it, growable once somebody does.
#[derive(Debug)]
pub enum HeapStr {
    /// As it came.
    Shared(Bytes),
    /// Being changed in place.
    Owned(Vec<u8>),
    /// A snapshot is in the middle of it.
    Walked(Box<WalkedStr>),
}

/// Strings from this length on are walked in pieces by a snapshot; shorter ones are copied if they are changed while it
/// holds them, in some tenths of a millisecond.
const WALKED_FROM: usize = if cfg!(test) { 4 << 10 } else { 1 << 20 };

impl HeapStr {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Shared(b) => b,
            Self::Owned(v) => v,
            Self::Walked(walked) => walked.text.as_slice(),
        }
    }

    /// These bytes are about to change: a snapshot that has not seen them keeps them.
    pub(crate) fn note(&mut self, bytes: &Range<usize>) {
        if let Self::Walked(walked) = self {
            walked.note(bytes);
        }
    }

    /// The bytes, growable. Copies once if they are shared with somebody.
    pub fn make_mut(&mut self) -> &mut Vec<u8> {
        if let Self::Shared(b) = self {
            *self = Self::Owned(Vec::from(std::mem::take(b)));
        }
        match self {
            Self::Owned(v) => v,
            Self::Walked(walked) => walked.text.make_mut(),
            Self::Shared(_) => unreachable!("made owned above"),
        }
    }

    /// The bytes by reference count. They are copied if they are changed afterwards, not now.
    pub fn share(&mut self) -> Bytes {
        match self {
            Self::Owned(v) => *self = Self::Shared(Bytes::from(std::mem::take(v))),
            Self::Walked(walked) => return walked.text.share(),
            Self::Shared(_) => {}
        }
        self.to_bytes()
    }

    /// The bytes by reference count; copies if they are in the growable form.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Shared(b) => b.clone(),
            Self::Owned(v) => Bytes::copy_from_slice(v),
            Self::Walked(walked) => walked.text.to_bytes(),
        }
    }
}

impl Undoable for HeapStr {
    fn kind(&self) -> Kind {
        Kind::String
    }

    /// Bytes.
    fn elements(&self) -> usize {
        self.as_slice().len()
    }

    fn bytes(&self) -> usize {
        self.elements()
    }

    fn is_big(&self) -> bool {
        self.elements() >= WALKED_FROM
    }

    fn open(&mut self, origin: Arc<Origin>) {
        let mut text = std::mem::replace(self, Self::Owned(Vec::new()));
        // What an earlier snapshot that was given up has left.
        if let Self::Walked(walked) = &mut text {
            let inner = std::mem::replace(&mut walked.text, Self::Owned(Vec::new()));
            text = inner;
        }
        *self = Self::Walked(Box::new(WalkedStr::new(text, origin)));
    }

    fn origin(&self) -> Option<&Arc<Origin>> {
        match self {
            Self::Walked(walked) => Some(&walked.origin).filter(|origin| !origin.cut.is_over()),
            Self::Shared(_) | Self::Owned(_) => None,
        }
    }

    fn walk(&mut self, _most: usize, each: &mut dyn FnMut(Element<'_>)) -> bool {
        let Self::Walked(walked) = self else {
            return true;
        };
        let last = walked.walk(|piece| each(Element::Bytes(piece)));
        if last {
            let text = std::mem::replace(&mut walked.text, Self::Owned(Vec::new()));
            *self = text;
        }
        last
    }
}

impl From<Bytes> for HeapStr {
    fn from(b: Bytes) -> Self {
        Self::Shared(b)
    }
}

/// An owned value.
#[derive(Debug)]
pub enum Value {
    /// A string that OBJECT ENCODING calls `int`.
    Int(i64),
    /// A string that is stored inside its entry if it is short.
    Str(Box<[u8]>),
    /// The same, but `raw` in OBJECT ENCODING whatever its length (it was changed in place).
    RawStr(Box<[u8]>),
    /// A long string.
    Heap(Box<HeapStr>),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    Zset(Zset),
    /// A stream.
    Stream(Stream),
}

/// A borrowed value.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// String, encoding `int`.
    Int(i64),
    /// String inside its entry; `raw` tells `raw` from `embstr`.
    Str {
        /// The string.
        bytes: &'a [u8],
        /// OBJECT ENCODING says `raw`.
        raw: bool,
    },
    /// Long string.
    Heap(&'a HeapStr),
    /// A list.
    List(&'a List),
    /// A set.
    Set(&'a Set),
    /// A hash.
    Hash(&'a Hash),
    /// A sorted set.
    Zset(&'a Zset),
    /// A stream.
    Stream(&'a Stream),
}

/// A value lent to be changed in place.
#[derive(Debug)]
pub enum ValueMut<'a> {
    /// String, encoding `int`.
    Int(&'a mut i64),
    /// String inside its entry; its length is fixed.
    Str(&'a mut [u8]),
    /// Long string.
    Heap(&'a mut Box<HeapStr>),
    /// A list.
    List(&'a mut List),
    /// A set.
    Set(&'a mut Set),
    /// A hash.
    Hash(&'a mut Hash),
    /// A sorted set.
    Zset(&'a mut Zset),
    /// A stream.
    Stream(&'a mut Stream),
}

impl ValueRef<'_> {
    /// Type of the value.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Int(_) | Self::Str { .. } | Self::Heap(_) => Kind::String,
            Self::List(_) => Kind::List,
            Self::Set(_) => Kind::Set,
            Self::Hash(_) => Kind::Hash,
            Self::Zset(_) => Kind::Zset,
            Self::Stream(_) => Kind::Stream,
        }
    }

    /// Name of the encoding, as OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Str { raw: false, .. } => "embstr",
            Self::Str { raw: true, .. } | Self::Heap(_) => "raw",
            Self::List(v) => v.encoding(),
            Self::Set(v) => v.encoding(),
            Self::Hash(v) => v.encoding(),
            Self::Zset(v) => v.encoding(),
            Self::Stream(v) => v.encoding(),
        }
    }

    /// A copy: collections element by element, long strings by reference while nobody changes them.
    pub fn duplicate(&self) -> Value {
        match self {
            Self::Int(i) => Value::Int(*i),
            Self::Str { bytes, raw: false } => Value::Str((*bytes).into()),
            Self::Str { bytes, raw: true } => Value::RawStr((*bytes).into()),
            Self::Heap(h) => Value::Heap(Box::new(HeapStr::Shared(h.to_bytes()))),
            Self::List(v) => Value::List((*v).clone()),
            Self::Set(v) => Value::Set((*v).clone()),
            Self::Hash(v) => Value::Hash((*v).clone()),
            Self::Zset(v) => Value::Zset((*v).clone()),
            Self::Stream(v) => Value::Stream((*v).clone()),
        }
    }

    /// Estimated bytes beside the entry itself, looking at `samples` elements of a collection (0: all).
    pub fn memory_usage(&self, samples: usize) -> usize {
        match self {
            Self::Int(_) | Self::Str { .. } => 0,
            Self::Heap(h) => size_of::<HeapStr>() + h.as_slice().len(),
            Self::List(v) => v.memory_usage(samples),
            Self::Set(v) => v.memory_usage(samples),
            Self::Hash(v) => v.memory_usage(samples),
            Self::Zset(v) => v.memory_usage(samples),
            Self::Stream(v) => v.memory_usage(samples),
        }
    }
}

impl<'a> ValueMut<'a> {
    /// An owned value, lent. Short strings outside of an entry are lent as their bytes.
    pub fn of(value: &'a mut Value) -> Self {
        match value {
            Value::Int(i) => Self::Int(i),
            Value::Str(s) | Value::RawStr(s) => Self::Str(s),
            Value::Heap(h) => Self::Heap(h),
            Value::List(v) => Self::List(v),
            Value::Set(v) => Self::Set(v),
            Value::Hash(v) => Self::Hash(v),
            Value::Zset(v) => Self::Zset(v),
            Value::Stream(v) => Self::Stream(v),
        }
    }

    fn undoable_any(self) -> Option<&'a mut dyn Undoable> {
        match self {
            Self::Int(_) | Self::Str(_) | Self::List(_) | Self::Stream(_) => None,
            Self::Heap(v) => Some(&mut **v),
            Self::Set(v) => v.undoable().map(|v| v as &mut dyn Undoable),
            Self::Hash(v) => Some(v),
            Self::Zset(v) => v.undoable().map(|v| v as &mut dyn Undoable),
        }
    }

    /// The collection, if it is so large that a snapshot walks it in slices.
    pub(crate) fn into_undoable(self) -> Option<&'a mut dyn Undoable> {
        self.undoable_any().filter(|big| big.is_big())
    }

    /// The collection, if a snapshot is in the middle of it.
    pub(crate) fn into_undoable_open(self) -> Option<&'a mut dyn Undoable> {
        self.undoable_any().filter(|big| big.origin().is_some())
    }
}

impl Value {
    /// Lends it.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Int(i) => ValueRef::Int(*i),
            Self::Str(bytes) => ValueRef::Str { bytes, raw: false },
            Self::RawStr(bytes) => ValueRef::Str { bytes, raw: true },
            Self::Heap(h) => ValueRef::Heap(h),
            Self::List(v) => ValueRef::List(v),
            Self::Set(v) => ValueRef::Set(v),
            Self::Hash(v) => ValueRef::Hash(v),
            Self::Zset(v) => ValueRef::Zset(v),
            Self::Stream(v) => ValueRef::Stream(v),
        }
    }

    /// How many allocations freeing this takes: the measure by which a value is freed in the background.
    pub fn free_effort(&self) -> usize {
        match self {
            Self::Int(_) | Self::Str(_) | Self::RawStr(_) => 0,
            Self::Heap(_) => 1,
            Self::List(v) => v.free_effort(),
            Self::Set(v) => v.free_effort(),
            Self::Hash(v) => v.free_effort(),
            Self::Zset(v) => v.free_effort(),
            Self::Stream(v) => v.free_effort(),
        }
    }
}
