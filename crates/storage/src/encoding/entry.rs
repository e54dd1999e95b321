//! One key of the keyspace in one allocation: header, optional expiry, key, and either the value itself (integers,
//! short strings) or one word that owns it (long strings, collections).
//!
//! ```text
//!  0      1      2     3     4            7      8
//!  +------+------+-----+-----+-------------+------+----------+-----------+--------+-------+---------+
//!  | kind | flags| klen| vlen| access (24b)| epoch| expiry   | klen,vlen | word   | key   | value   |
//!  | u8   | u8   | u8  | u8  | u24         | u8   | i64, opt.| 2xu32,opt.| 8, opt.| bytes | bytes   |
//!  +------+------+-----+-----+-------------+------+----------+-----------+--------+-------+---------+
//!                                                  flag TTL   flag LONG   kind     always  inline strings
//! ```
//!
//! A 16-byte key with an 8-byte value is 32 bytes in all; Redis spends a dict entry, a key string and an object on it.
//!
//! Must not know: tables, databases, time.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;

use bytes::Bytes;

use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::Stream;
use crate::types::zset::Zset;
use crate::value::{HeapStr, Kind, Value, ValueMut, ValueRef};

/// Longest string that stands inside the entry; longer ones have an allocation of their own that can be shared.
pub const INLINE_MAX: usize = 2048;
/// Longest string that OBJECT ENCODING calls `embstr`.
pub const EMBSTR_MAX: usize = 44;
/// Longest key: what its length field holds. The protocol's limits (`proto-max-bulk-len`) come first.
pub const KEY_MAX: usize = u32::MAX as usize;

const HEADER: usize = 8;
const ALIGN: usize = 8;

const TTL: u8 = 1;
const LONG: u8 = 2;
const RAW: u8 = 4;

// How the payload is stored; the low values equal `Kind`'s discriminants only by chance and are never exposed.
const P_INT: u8 = 0;
const P_INLINE: u8 = 1;
const P_HEAP: u8 = 2;
const P_LIST: u8 = 3;
const P_SET: u8 = 4;
const P_HASH: u8 = 5;
const P_ZSET: u8 = 6;
const P_STREAM: u8 = 7;

const _: () = {
    assert!(size_of::<List>() == 8 && align_of::<List>() <= 8);
    assert!(size_of::<Set>() == 8 && align_of::<Set>() <= 8);
    assert!(size_of::<Hash>() == 8 && align_of::<Hash>() <= 8);
    assert!(size_of::<Zset>() == 8 && align_of::<Zset>() <= 8);
    assert!(size_of::<Stream>() == 8 && align_of::<Stream>() <= 8);
    assert!(size_of::<Box<HeapStr>>() == 8);
    assert!(size_of::<Option<Entry>>() == 8);
};

/// Owner of one entry.
pub struct Entry(NonNull<u8>);

// SAFETY: an entry owns all that it points to, and every owned type is Send (checked below).
unsafe impl Send for Entry {}
const _: () = {
    const fn send<T: Send>() {}
    send::<List>();
    send::<Set>();
    send::<Hash>();
    send::<Zset>();
    send::<Stream>();
    send::<HeapStr>();
};

/// The fixed part of an entry, decoded.
#[derive(Clone, Copy)]
struct Shape {
    payload: u8,
    flags: u8,
    klen: usize,
    /// Length of an inline value, else 0.
    vlen: usize,
}

impl Shape {
    fn new(payload: u8, klen: usize, vlen: usize, ttl: bool, raw: bool) -> Self {
        let long = klen > 255 || vlen > 255;
        Self {
            payload,
            flags: if ttl { TTL } else { 0 } | if long { LONG } else { 0 } | if raw { RAW } else { 0 },
            klen,
            vlen,
        }
    }
    fn lens_at(self) -> usize {
        HEADER + if self.flags & TTL != 0 { 8 } else { 0 }
    }
    fn word_at(self) -> usize {
        self.lens_at() + if self.flags & LONG != 0 { 8 } else { 0 }
    }
    fn key_at(self) -> usize {
        self.word_at() + if self.payload == P_INLINE { 0 } else { 8 }
    }
    fn value_at(self) -> usize {
        self.key_at() + self.klen
    }
    fn layout(self) -> Layout {
        let size = size_class(self.value_at() + self.vlen);
        Layout::from_size_align(size, ALIGN).expect("a key and an inline value are far below isize::MAX")
    }
}

/// Rounds up to the allocator's size classes (multiples of 16, then four steps a doubling), so that a value may change
/// in place as long as the class stays.
fn size_class(size: usize) -> usize {
    if size <= 128 {
        return size.next_multiple_of(16);
    }
    let step = (size - 1).ilog2() - 2;
    size.next_multiple_of(1 << step)
}

impl Entry {
    /// A new entry that owns `value`.
    ///
    /// `expire_at_ms`: Unix time in milliseconds.
    pub fn new(key: &[u8], value: Value, expire_at_ms: Option<i64>) -> Self {
        match value {
            Value::Str(s) => Self::new_str(key, &s, expire_at_ms, false),
            Value::RawStr(s) => Self::new_str(key, &s, expire_at_ms, true),
            Value::Int(v) => Self::new_word(key, P_INT, v, expire_at_ms),
            Value::Heap(v) => Self::new_word(key, P_HEAP, v, expire_at_ms),
            Value::List(v) => Self::new_word(key, P_LIST, v, expire_at_ms),
            Value::Set(v) => Self::new_word(key, P_SET, v, expire_at_ms),
            Value::Hash(v) => Self::new_word(key, P_HASH, v, expire_at_ms),
            Value::Zset(v) => Self::new_word(key, P_ZSET, v, expire_at_ms),
            Value::Stream(v) => Self::new_word(key, P_STREAM, v, expire_at_ms),
        }
    }

    /// `payload` must be the kind of `T`: private, and called from `new` alone.
    fn new_word<T>(key: &[u8], payload: u8, value: T, expire_at_ms: Option<i64>) -> Self {
        const { assert!(size_of::<T>() == 8 && align_of::<T>() <= ALIGN) };
        let shape = Shape::new(payload, key.len(), 0, expire_at_ms.is_some(), false);
        let entry = Self::alloc(shape, key, expire_at_ms);
        // SAFETY: every payload but the inline one has a word of 8 bytes at this 8-aligned offset; `value` moves there.
        unsafe { entry.0.as_ptr().add(shape.word_at()).cast::<T>().write(value) };
        entry
    }

    /// A new string entry: inline if short, else with an allocation of its own. Integers are not recognised here.
    pub fn new_str(key: &[u8], value: &[u8], expire_at_ms: Option<i64>, raw: bool) -> Self {
        if value.len() > INLINE_MAX {
            let heap = Value::Heap(Box::new(HeapStr::from(Bytes::copy_from_slice(value))));
            return Self::new(key, heap, expire_at_ms);
        }
        let shape = Shape::new(P_INLINE, key.len(), value.len(), expire_at_ms.is_some(), raw);
        let mut entry = Self::alloc(shape, key, expire_at_ms);
        entry.inline_mut(shape).copy_from_slice(value);
        entry
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let s = self.shape();
        // SAFETY: key_at..key_at+klen lies inside the allocation that `alloc` made for this shape and is initialised.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(s.key_at()), s.klen) }
    }

    /// When the key expires: Unix time in milliseconds.
    #[inline]
    pub fn expire_at_ms(&self) -> Option<i64> {
        if self.byte(1) & TTL == 0 {
            return None;
        }
        // SAFETY: flag TTL says that an initialised i64 stands after the header; the offset is a multiple of 8.
        Some(unsafe { self.0.as_ptr().add(HEADER).cast::<i64>().read() })
    }

    /// Sets, changes or (None) removes the expiry. May move the entry's bytes.
    pub fn set_expire_at_ms(&mut self, at: Option<i64>) {
        let old = self.shape();
        if let (true, Some(ms)) = (old.flags & TTL != 0, at) {
            // SAFETY: as in `expire_at_ms`.
            unsafe { self.0.as_ptr().add(HEADER).cast::<i64>().write(ms) };
            return;
        }
        if (old.flags & TTL != 0) == at.is_some() {
            return;
        }
        let mut new = old;
        new.flags ^= TTL;
        let body = old.value_at() + old.vlen - old.lens_at();
        self.reshape(old, new, at, |from, to| {
            // SAFETY: everything behind the expiry (lengths, word, key, value) is `body` bytes in both shapes; the
            // caller gives the old bytes' start and the new ones', both allocations hold these ranges.
            unsafe { std::ptr::copy(from.add(old.lens_at()), to.add(new.lens_at()), body) }
        });
    }

    /// Asks for the entry's first two cache lines, which hold key and short value.
    #[inline]
    pub fn prefetch(&self) {
        super::prefetch::prefetch(self.0.as_ptr());
        super::prefetch::prefetch(self.0.as_ptr().wrapping_add(64));
    }

    /// The type of the value.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self.byte(0) {
            P_INT | P_INLINE | P_HEAP => Kind::String,
            P_LIST => Kind::List,
            P_SET => Kind::Set,
            P_HASH => Kind::Hash,
            P_ZSET => Kind::Zset,
            P_STREAM => Kind::Stream,
            other => unreachable!("entry with payload kind {other}"),
        }
    }

    /// When the next field of a hash expires, Unix ms; None for what is no hash, too.
    #[inline]
    pub fn next_field_expiry_ms(&self) -> Option<i64> {
        if self.byte(0) == P_HASH
            && let ValueRef::Hash(hash) = self.value()
        {
            return hash.next_expiry_ms();
        }
        None
    }

    /// Access clock (LRU seconds or LFU counter), 24 bits.
    #[inline]
    pub fn access(&self) -> u32 {
        self.word4() & 0x00FF_FFFF
    }

    /// Sets the access clock; the upper 8 bits of `clock` are ignored.
    #[inline]
    pub fn set_access(&mut self, clock: u32) {
        let v = (self.word4() & 0xFF00_0000) | (clock & 0x00FF_FFFF);
        // SAFETY: bytes 4..8 belong to the header; the offset is aligned to 4.
        unsafe { self.0.as_ptr().add(4).cast::<u32>().write(v) };
    }

    /// The snapshot epoch in which the entry was made or last taken: see [`crate::snapshot`].
    #[inline]
    pub fn epoch(&self) -> u8 {
        (self.word4() >> 24) as u8
    }

    /// Sets the snapshot epoch.
    #[inline]
    pub fn set_epoch(&mut self, epoch: u8) {
        let v = (self.word4() & 0x00FF_FFFF) | u32::from(epoch) << 24;
        // SAFETY: as in `set_access`.
        unsafe { self.0.as_ptr().add(4).cast::<u32>().write(v) };
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> ValueRef<'_> {
        let s = self.shape();
        // SAFETY: the payload kind says which type the word holds; `new_word` wrote it, and it stays until
        // `take_word` or drop. The word is 8-aligned. The inline range is initialised. The borrow is tied to &self.
        unsafe {
            let word = self.0.as_ptr().add(s.word_at());
            match s.payload {
                P_INT => ValueRef::Int(word.cast::<i64>().read()),
                P_INLINE => ValueRef::Str {
                    bytes: std::slice::from_raw_parts(self.0.as_ptr().add(s.value_at()), s.vlen),
                    raw: s.flags & RAW != 0 || s.vlen > EMBSTR_MAX,
                },
                P_HEAP => ValueRef::Heap(&*word.cast::<Box<HeapStr>>()),
                P_LIST => ValueRef::List(&*word.cast::<List>()),
                P_SET => ValueRef::Set(&*word.cast::<Set>()),
                P_HASH => ValueRef::Hash(&*word.cast::<Hash>()),
                P_ZSET => ValueRef::Zset(&*word.cast::<Zset>()),
                P_STREAM => ValueRef::Stream(&*word.cast::<Stream>()),
                other => unreachable!("entry with payload kind {other}"),
            }
        }
    }

    /// The value, to be changed in place.
    #[inline]
    pub fn value_mut(&mut self) -> ValueMut<'_> {
        let s = self.shape();
        // SAFETY: as in `value`; the borrow is exclusive.
        unsafe {
            let word = self.0.as_ptr().add(s.word_at());
            match s.payload {
                P_INT => ValueMut::Int(&mut *word.cast::<i64>()),
                P_INLINE => ValueMut::Str(std::slice::from_raw_parts_mut(
                    self.0.as_ptr().add(s.value_at()),
                    s.vlen,
                )),
                P_HEAP => ValueMut::Heap(&mut *word.cast::<Box<HeapStr>>()),
                P_LIST => ValueMut::List(&mut *word.cast::<List>()),
                P_SET => ValueMut::Set(&mut *word.cast::<Set>()),
                P_HASH => ValueMut::Hash(&mut *word.cast::<Hash>()),
                P_ZSET => ValueMut::Zset(&mut *word.cast::<Zset>()),
                P_STREAM => ValueMut::Stream(&mut *word.cast::<Stream>()),
                other => unreachable!("entry with payload kind {other}"),
            }
        }
    }

    /// Replaces the value and the expiry and gives the old value back if it owned an allocation (so that the caller may
    /// free it elsewhere). Short strings change in place if the size class stays. Access clock and epoch stay.
    pub fn replace(&mut self, value: Value, expire_at_ms: Option<i64>) -> Option<Value> {
        match value {
            Value::Str(s) if s.len() <= INLINE_MAX => self.replace_str(&s, expire_at_ms, false),
            Value::RawStr(s) if s.len() <= INLINE_MAX => self.replace_str(&s, expire_at_ms, true),
            other => {
                let (access, epoch) = (self.access(), self.epoch());
                let mut old = std::mem::replace(self, Self::new(self.key(), other, expire_at_ms));
                self.set_access(access);
                self.set_epoch(epoch);
                old.take_owned()
            }
        }
    }

    /// [`Entry::replace`] for a string of at most [`INLINE_MAX`] bytes, without building a [`Value`].
    pub fn replace_str(&mut self, value: &[u8], expire_at_ms: Option<i64>, raw: bool) -> Option<Value> {
        debug_assert!(value.len() <= INLINE_MAX);
        let old = self.shape();
        let new = Shape::new(P_INLINE, old.klen, value.len(), expire_at_ms.is_some(), raw);
        if old.payload == P_INLINE && old.key_at() == new.key_at() && old.layout() == new.layout() {
            self.write_header(new, expire_at_ms);
            self.inline_mut(new).copy_from_slice(value);
            return None;
        }
        let (access, epoch) = (self.access(), self.epoch());
        let mut old = std::mem::replace(self, Self::new_str(self.key(), value, expire_at_ms, raw));
        self.set_access(access);
        self.set_epoch(epoch);
        old.take_owned()
    }

    /// Replaces the value by an integer, in place if it was one.
    pub fn replace_int(&mut self, value: i64, expire_at_ms: Option<i64>) -> Option<Value> {
        let same_shape = self.expire_at_ms().is_some() == expire_at_ms.is_some();
        if let (ValueMut::Int(v), true) = (self.value_mut(), same_shape) {
            *v = value;
            self.set_expire_at_ms(expire_at_ms);
            return None;
        }
        self.replace(Value::Int(value), expire_at_ms)
    }

    /// Turns a string into one with an allocation of its own that can grow, and lends it.
    pub fn make_heap(&mut self) -> Option<&mut HeapStr> {
        if self.kind() != Kind::String {
            return None;
        }
        if self.byte(0) != P_HEAP {
            let bytes = match self.value() {
                ValueRef::Int(i) => Bytes::copy_from_slice(itoa::Buffer::new().format(i).as_bytes()),
                ValueRef::Str { bytes, .. } => Bytes::copy_from_slice(bytes),
                ValueRef::Heap(_)
                | ValueRef::List(_)
                | ValueRef::Set(_)
                | ValueRef::Hash(_)
                | ValueRef::Zset(_)
                | ValueRef::Stream(_) => {
                    unreachable!("checked to be a string without a heap allocation")
                }
            };
            let expire = self.expire_at_ms();
            self.replace(Value::Heap(Box::new(HeapStr::from(bytes))), expire);
        }
        match self.value_mut() {
            ValueMut::Heap(h) => Some(&mut **h),
            ValueMut::Int(_)
            | ValueMut::Str(_)
            | ValueMut::List(_)
            | ValueMut::Set(_)
            | ValueMut::Hash(_)
            | ValueMut::Zset(_)
            | ValueMut::Stream(_) => None,
        }
    }

    /// Takes the entry apart.
    pub fn into_value(mut self) -> Value {
        match self.value() {
            ValueRef::Str { bytes, raw: false } => Value::Str(bytes.into()),
            ValueRef::Str { bytes, raw: true } => Value::RawStr(bytes.into()),
            ValueRef::Int(i) => Value::Int(i),
            ValueRef::Heap(_)
            | ValueRef::List(_)
            | ValueRef::Set(_)
            | ValueRef::Hash(_)
            | ValueRef::Zset(_)
            | ValueRef::Stream(_) => self.take_owned().expect("these kinds own an allocation"),
        }
    }

    /// Bytes of this entry's own allocation.
    pub fn allocation_size(&self) -> usize {
        self.shape().layout().size()
    }

    fn shape(&self) -> Shape {
        let flags = self.byte(1);
        let (klen, vlen) = if flags & LONG == 0 {
            (self.byte(2) as usize, self.byte(3) as usize)
        } else {
            let at = HEADER + if flags & TTL != 0 { 8 } else { 0 };
            // SAFETY: flag LONG says that two initialised u32 stand at this 8-aligned offset.
            unsafe {
                let p = self.0.as_ptr().add(at).cast::<u32>();
                (p.read() as usize, p.add(1).read() as usize)
            }
        };
        Shape {
            payload: self.byte(0),
            flags,
            klen,
            vlen,
        }
    }

    #[inline]
    fn byte(&self, i: usize) -> u8 {
        debug_assert!(i < HEADER);
        // SAFETY: the header's 8 bytes are always allocated and initialised.
        unsafe { self.0.as_ptr().add(i).read() }
    }

    #[inline]
    fn word4(&self) -> u32 {
        // SAFETY: bytes 4..8 belong to the header; the offset is aligned to 4.
        unsafe { self.0.as_ptr().add(4).cast::<u32>().read() }
    }

    fn inline_mut(&mut self, s: Shape) -> &mut [u8] {
        // SAFETY: the caller passes the entry's own shape; the range lies inside the allocation. Bytes may be
        // uninitialised right after `alloc`, which zeroes the value range for that reason.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().add(s.value_at()), s.vlen) }
    }

    /// Allocates and fills header, lengths and key; the word is uninitialised and must be put at once, an inline value is zeroed.
    fn alloc(shape: Shape, key: &[u8], expire_at_ms: Option<i64>) -> Self {
        assert!(key.len() <= KEY_MAX, "key longer than the protocol allows");
        let layout = shape.layout();
        // SAFETY: the layout has a size of at least 16.
        let p = unsafe { alloc(layout) };
        let Some(p) = NonNull::new(p) else {
            handle_alloc_error(layout)
        };
        // SAFETY: fresh allocation of at least value_at + vlen bytes.
        unsafe {
            p.as_ptr().cast::<u64>().write(0);
            p.as_ptr()
                .add(shape.key_at())
                .copy_from_nonoverlapping(key.as_ptr(), key.len());
            p.as_ptr().add(shape.value_at()).write_bytes(0, shape.vlen);
        }
        let mut entry = Self(p);
        entry.write_header(shape, expire_at_ms);
        entry
    }

    fn write_header(&mut self, s: Shape, expire_at_ms: Option<i64>) {
        debug_assert_eq!(s.flags & TTL != 0, expire_at_ms.is_some());
        let p = self.0.as_ptr();
        // SAFETY: header, expiry and lengths lie inside the allocation made for this shape (or one of equal layout).
        unsafe {
            p.write(s.payload);
            p.add(1).write(s.flags);
            if let Some(ms) = expire_at_ms {
                p.add(HEADER).cast::<i64>().write(ms);
            }
            if s.flags & LONG != 0 {
                let lens = p.add(s.lens_at()).cast::<u32>();
                lens.write(s.klen as u32);
                lens.add(1).write(s.vlen as u32);
            } else {
                p.add(2).write(s.klen as u8);
                p.add(3).write(s.vlen as u8);
            }
        }
    }

    /// Changes the allocation from one shape to another of the same content; `shift` moves the part behind the expiry.
    fn reshape(&mut self, old: Shape, new: Shape, at: Option<i64>, shift: impl Fn(*const u8, *mut u8)) {
        let (from, to) = (old.layout(), new.layout());
        let grow = to.size() > from.size();
        // SAFETY: the pointer was allocated with the layout `from`; growing happens before the bytes move up, shrinking
        // after they moved down, so `shift` always works inside a block that holds both ranges.
        unsafe {
            if grow {
                let p = realloc(self.0.as_ptr(), from, to.size());
                self.0 = NonNull::new(p).unwrap_or_else(|| handle_alloc_error(to));
            }
            shift(self.0.as_ptr(), self.0.as_ptr());
            if to.size() < from.size() {
                let p = realloc(self.0.as_ptr(), from, to.size());
                self.0 = NonNull::new(p).unwrap_or_else(|| handle_alloc_error(to));
            }
        }
        self.write_header(new, at);
    }

    /// Moves an owned value out and leaves the integer 0, so that drop frees only the entry.
    fn take_owned(&mut self) -> Option<Value> {
        let s = self.shape();
        if matches!(s.payload, P_INT | P_INLINE) {
            return None;
        }
        // SAFETY: the word is initialised with the type of its payload kind; ownership moves out exactly once because
        // the payload kind becomes P_INT (same layout: a word) right after.
        unsafe {
            let word = self.0.as_ptr().add(s.word_at());
            let value = match s.payload {
                P_HEAP => Value::Heap(word.cast::<Box<HeapStr>>().read()),
                P_LIST => Value::List(word.cast::<List>().read()),
                P_SET => Value::Set(word.cast::<Set>().read()),
                P_HASH => Value::Hash(word.cast::<Hash>().read()),
                P_ZSET => Value::Zset(word.cast::<Zset>().read()),
                P_STREAM => Value::Stream(word.cast::<Stream>().read()),
                other => unreachable!("entry with payload kind {other}"),
            };
            self.0.as_ptr().write(P_INT);
            word.cast::<u64>().write(0);
            Some(value)
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        drop(self.take_owned());
        let layout = self.shape().layout();
        // SAFETY: allocated by `alloc` or `realloc` with exactly the layout of the present shape.
        unsafe { dealloc(self.0.as_ptr(), layout) };
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("kind", &self.kind())
            .field("expire_at_ms", &self.expire_at_ms())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(e: &Entry) -> Vec<u8> {
        match e.value() {
            ValueRef::Int(i) => i.to_string().into_bytes(),
            ValueRef::Str { bytes, .. } => bytes.to_vec(),
            ValueRef::Heap(h) => h.as_slice().to_vec(),
            other => panic!("no string: {other:?}"),
        }
    }

    #[test]
    fn small_entries_are_small() {
        assert_eq!(
            Entry::new_str(&[b'k'; 16], &[b'v'; 8], None, false).allocation_size(),
            32
        );
        assert_eq!(
            Entry::new_str(&[b'k'; 16], &[b'v'; 32], None, false).allocation_size(),
            64
        );
        assert_eq!(
            Entry::new_str(&[b'k'; 16], &[b'v'; 32], Some(1), false).allocation_size(),
            64
        );
        assert_eq!(Entry::new(&[b'k'; 16], Value::Int(7), None).allocation_size(), 32);
    }

    #[test]
    fn every_length_survives_every_change() {
        let lens = [
            0, 1, 7, 8, 44, 45, 100, 254, 255, 256, 1000, 2047, 2048, 2049, 5000,
        ];
        for &k in &[0usize, 1, 16, 255, 256, 3000] {
            let key = vec![b'k'; k];
            for &a in &lens {
                for &b in &lens {
                    let (va, vb) = (vec![b'a'; a], vec![b'b'; b]);
                    let mut e = Entry::new_str(&key, &va, None, false);
                    e.set_access(0x00AB_CDEF);
                    assert_eq!((e.key(), text(&e)), (&key[..], va.clone()));
                    e.set_expire_at_ms(Some(77));
                    assert_eq!(
                        (e.key(), text(&e), e.expire_at_ms()),
                        (&key[..], va.clone(), Some(77))
                    );
                    e.replace(Value::Str(vb.clone().into()), Some(78));
                    assert_eq!(
                        (e.key(), text(&e), e.expire_at_ms()),
                        (&key[..], vb.clone(), Some(78))
                    );
                    e.set_expire_at_ms(None);
                    assert_eq!(
                        (e.key(), text(&e), e.expire_at_ms()),
                        (&key[..], vb.clone(), None)
                    );
                    e.replace_int(-5, Some(1));
                    assert_eq!(
                        (e.key(), text(&e), e.expire_at_ms()),
                        (&key[..], b"-5".to_vec(), Some(1))
                    );
                    e.make_heap().unwrap().make_mut().extend_from_slice(b"xx");
                    assert_eq!(
                        (e.key(), text(&e), e.expire_at_ms()),
                        (&key[..], b"-5xx".to_vec(), Some(1))
                    );
                    e.replace(Value::Str(va.clone().into()), None);
                    assert_eq!(
                        (e.key(), text(&e), e.access()),
                        (&key[..], va.clone(), 0x00AB_CDEF)
                    );
                }
            }
        }
    }
}
