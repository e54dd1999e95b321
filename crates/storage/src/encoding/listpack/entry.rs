//! One entry of a listpack: how a value becomes bytes and how the bytes are read back. It knows nothing of the
//! listpack around it.
//!
//! ```text
//!   head (1 to 9 bytes)               body             backlen (1 to 5 bytes)
//!   0vvvvvvv                          -                 integer 0..=127
//!   110vvvvv vvvvvvvv                 -                 integer of 13 bits, signed
//!   11110001 .. 11110100 + 2/3/4/8    -                 integer, little-endian, signed
//!   10llllll                          l bytes           string of up to 63 bytes
//!   1110llll llllllll                 l bytes           string of up to 4095 bytes
//!   11110000 + 4 bytes of length      l bytes           longer string, length little-endian
//! ```
//!
//! `backlen` is the length of head and body in groups of 7 bits, written so that it can be read from its last byte
//! towards the first: the last byte holds the lowest bits, and a set high bit says that one more byte stands to the
//! left. Source: the public description of the listpack format (antirez/listpack), checked against what `DUMP` of
//! redis-server 7.0.15 returns.

use std::borrow::Cow;

use crate::numeric::parse_i64;

/// The byte after the last entry. No head begins with it.
pub(super) const END: u8 = 0xFF;

const HEAD_STR6: u8 = 0x80;
const HEAD_INT13: u8 = 0xC0;
const HEAD_STR12: u8 = 0xE0;
const HEAD_STR32: u8 = 0xF0;
const HEAD_INT16: u8 = 0xF1;
const HEAD_INT24: u8 = 0xF2;
const HEAD_INT32: u8 = 0xF3;
const HEAD_INT64: u8 = 0xF4;

/// A value in a packed encoding: strings that are canonical integers are kept as integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The value is the decimal text of this integer.
    Int(i64),
    /// The value is these bytes.
    Bytes(&'a [u8]),
}

impl<'a> Item<'a> {
    /// Whether the value is exactly `value`.
    pub fn eq_bytes(&self, value: &[u8]) -> bool {
        match self {
            Self::Int(int) => parse_i64(value) == Some(*int),
            Self::Bytes(bytes) => *bytes == value,
        }
    }

    /// Appends the value's bytes to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(int) => out.extend_from_slice(itoa::Buffer::new().format(*int).as_bytes()),
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// Calls `f` with the value's bytes, without an allocation.
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Int(int) => f(itoa::Buffer::new().format(*int).as_bytes()),
            Self::Bytes(bytes) => f(bytes),
        }
    }

    /// The value's bytes; allocated only for an integer.
    pub fn to_cow(&self) -> Cow<'a, [u8]> {
        match self {
            Self::Int(_) => Cow::Owned(self.to_vec()),
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
        }
    }

    /// A copy of the value's bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.byte_len());
        self.write_to(&mut out);
        out
    }

    /// Length of the value in bytes.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Int(int) => itoa::Buffer::new().format(*int).len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// A value to compare many items with: whether it is an integer is found out once.
#[derive(Clone, Copy, Debug)]
pub struct Needle<'a> {
    bytes: &'a [u8],
    int: Option<i64>,
}

impl<'a> Needle<'a> {
    /// Prepares `value` for comparisons.
    pub fn new(value: &'a [u8]) -> Self {
        Self {
            bytes: value,
            int: parse_i64(value),
        }
    }

    /// Whether `item` is this value.
    #[inline]
    pub fn matches(&self, item: &Item<'_>) -> bool {
        match item {
            Item::Int(int) => self.int == Some(*int),
            Item::Bytes(bytes) => *bytes == self.bytes,
        }
    }
}

/// A value as an entry has it: the head and the body, ready to be written or compared.
#[derive(Clone, Copy)]
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_len: u8,
    body: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// The entry of `value`: as an integer where its bytes are the canonical text of one.
    pub(super) fn of(value: &'a [u8]) -> Self {
        match parse_i64(value) {
            Some(int) => Self::of_int(int),
            None => Self::of_string(value),
        }
    }

    /// The entry of an integer.
    pub(super) fn of_int(int: i64) -> Self {
        let le = int.to_le_bytes();
        match int {
            0..=0x7F => Self::from_head(&[le[0]]),
            -0x1000..=0xFFF => Self::from_head(&[HEAD_INT13 | (le[1] & 0x1F), le[0]]),
            -0x8000..=0x7FFF => Self::from_head(&[HEAD_INT16, le[0], le[1]]),
            -0x80_0000..=0x7F_FFFF => Self::from_head(&[HEAD_INT24, le[0], le[1], le[2]]),
            -0x8000_0000..=0x7FFF_FFFF => Self::from_head(&[HEAD_INT32, le[0], le[1], le[2], le[3]]),
            _ => Self::from_head(&[HEAD_INT64, le[0], le[1], le[2], le[3], le[4], le[5], le[6], le[7]]),
        }
    }

    fn of_string(body: &'a [u8]) -> Self {
        let len = u32::try_from(body.len()).expect("callers keep a listpack below MAX_BYTES");
        let le = len.to_le_bytes();
        let head = match len {
            0..=0x3F => Self::from_head(&[HEAD_STR6 | le[0]]),
            0x40..=0xFFF => Self::from_head(&[HEAD_STR12 | le[1], le[0]]),
            _ => Self::from_head(&[HEAD_STR32, le[0], le[1], le[2], le[3]]),
        };
        Self { body, ..head }
    }

    fn from_head(bytes: &[u8]) -> Self {
        let mut head = [0; 9];
        head[..bytes.len()].copy_from_slice(bytes);
        Self {
            head,
            head_len: bytes.len() as u8,
            body: &[],
        }
    }

    /// Length of head and body.
    fn data_len(&self) -> usize {
        usize::from(self.head_len) + self.body.len()
    }

    /// Length of the whole entry.
    pub(super) fn span(&self) -> usize {
        self.data_len() + backlen_size(self.data_len())
    }

    /// Writes the entry to the front of `out` and returns its length.
    pub(super) fn write(&self, out: &mut [u8]) -> usize {
        let head_len = usize::from(self.head_len);
        let data_len = self.data_len();
        out[..head_len].copy_from_slice(&self.head[..head_len]);
        out[head_len..data_len].copy_from_slice(self.body);
        write_backlen(data_len, &mut out[data_len..]);
        self.span()
    }

    /// First byte of the head: entries with another one hold another value.
    pub(super) fn first(&self) -> u8 {
        self.head[0]
    }

    /// Whether `entry`, which begins with [`Encoded::first`], holds this value. Each value has one encoding, so that is
    /// a comparison of bytes.
    #[inline]
    pub(super) fn matches(&self, entry: &[u8]) -> bool {
        let head_len = usize::from(self.head_len);
        let data_len = self.data_len();
        let Some(data) = entry.get(..data_len) else {
            return false;
        };
        // Names that share a length mostly differ in the last byte, which is cheaper to look at than to call memcmp.
        match self.body.last() {
            Some(last) if data[data_len - 1] != *last => false,
            _ => data[1..head_len] == self.head[1..head_len] && data[head_len..] == *self.body,
        }
    }
}

/// Length of the whole entry by its first byte, 0 where the first byte does not tell.
const SPANS: [u8; 256] = {
    let mut spans = [0; 256];
    let mut first = 0;
    while first < 256 {
        spans[first] = match first as u8 {
            0..HEAD_STR6 => 2,
            HEAD_STR6..HEAD_INT13 => 2 + (first as u8 - HEAD_STR6),
            HEAD_INT13..HEAD_STR12 => 3,
            HEAD_INT16 => 4,
            HEAD_INT24 => 5,
            HEAD_INT32 => 6,
            HEAD_INT64 => 10,
            HEAD_STR12..=HEAD_STR32 | 0xF5.. => 0,
        };
        first += 1;
    }
    spans
};

/// Length of every entry that begins with `first`, where that is one length.
#[inline]
pub(super) fn span_of_first(first: u8) -> Option<usize> {
    match SPANS[usize::from(first)] {
        0 => None,
        span => Some(usize::from(span)),
    }
}

/// Length of the whole entry at `pos` of a valid listpack.
#[inline]
pub(super) fn span_at(buf: &[u8], pos: usize) -> usize {
    match SPANS[usize::from(buf[pos])] {
        0 => {
            let data_len = long_string(buf, pos).map_or(0, |(head_len, body_len)| head_len + body_len);
            data_len + backlen_size(data_len)
        }
        span => usize::from(span),
    }
}

/// Lengths of head and body of a string whose length is not in the first byte.
fn long_string(buf: &[u8], pos: usize) -> Option<(usize, usize)> {
    let first = *buf.get(pos)?;
    if first & 0xF0 == HEAD_STR12 {
        let low = *buf.get(pos + 1)?;
        return Some((2, usize::from(first & 0x0F) << 8 | usize::from(low)));
    }
    if first == HEAD_STR32 {
        let len = buf.get(pos + 1..pos + 5)?;
        return Some((5, u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize));
    }
    None
}

/// The value of the entry at `pos` of a valid listpack.
#[inline]
pub(super) fn item_at(buf: &[u8], pos: usize) -> Item<'_> {
    let first = buf[pos];
    let byte = |k: usize| buf[pos + k];
    match first {
        0..HEAD_STR6 => Item::Int(i64::from(first)),
        HEAD_STR6..HEAD_INT13 => Item::Bytes(&buf[pos + 1..pos + 1 + usize::from(first & 0x3F)]),
        HEAD_INT13..HEAD_STR12 => {
            // Sign-extend 13 bits through an i16.
            let raw = u16::from(first & 0x1F) << 8 | u16::from(byte(1));
            Item::Int(i64::from((raw << 3) as i16 >> 3))
        }
        HEAD_INT16 => Item::Int(i64::from(i16::from_le_bytes([byte(1), byte(2)]))),
        HEAD_INT24 => Item::Int(i64::from(i32::from_le_bytes([0, byte(1), byte(2), byte(3)]) >> 8)),
        HEAD_INT32 => Item::Int(i64::from(i32::from_le_bytes([
            byte(1),
            byte(2),
            byte(3),
            byte(4),
        ]))),
        HEAD_INT64 => {
            let mut le = [0; 8];
            le.copy_from_slice(&buf[pos + 1..pos + 9]);
            Item::Int(i64::from_le_bytes(le))
        }
        HEAD_STR12..=HEAD_STR32 | 0xF5.. => {
            let (head_len, body_len) = long_string(buf, pos).unwrap_or((0, 0));
            Item::Bytes(&buf[pos + head_len..pos + head_len + body_len])
        }
    }
}

/// Start of the entry that ends right before `end` in a valid listpack.
#[inline]
pub(super) fn start_before(buf: &[u8], end: usize) -> usize {
    // Nearly all are one group.
    let last = buf[end - 1];
    if last & 0x80 == 0 {
        return end - 1 - usize::from(last);
    }
    let mut len = 0;
    let mut groups = 0;
    loop {
        let byte = buf[end - 1 - groups];
        len |= usize::from(byte & 0x7F) << (7 * groups);
        groups += 1;
        if byte & 0x80 == 0 || groups == 5 {
            return end - groups - len;
        }
    }
}

/// Checks the entry at `pos` of bytes that may be anything: that it lies before `end` as a whole, and that its backlen
/// tells its length. Returns its length and whether it is the one encoding that we would write for its value.
pub(super) fn check_at(buf: &[u8], pos: usize, end: usize) -> Option<(usize, bool)> {
    let buf = buf.get(..end)?;
    let first = *buf.get(pos)?;
    let span = match SPANS[usize::from(first)] {
        0 => {
            let (head_len, body_len) = long_string(buf, pos)?;
            head_len + body_len + backlen_size(head_len + body_len)
        }
        span => usize::from(span),
    };
    let entry = buf.get(pos..pos.checked_add(span)?)?;
    let mut backlen = [0; 5];
    // The backlen's own size follows from the length of the data, and that from the whole by trying the five sizes.
    let backlen_len = (1..=5).find(|&n| n < span && backlen_size(span - n) == n)?;
    write_backlen(span - backlen_len, &mut backlen);
    if entry[span - backlen_len..] != backlen[..backlen_len] {
        return None;
    }
    let canonical = match item_at(buf, pos) {
        Item::Int(int) => Encoded::of_int(int),
        Item::Bytes(bytes) => Encoded::of(bytes),
    };
    Some((span, canonical.span() == span && canonical.first() == first))
}

/// Size of the backlen of an entry whose head and body take `data_len` bytes. The limits are one less than the groups
/// of bits could hold, except the first: so it is in every file that Redis wrote.
const fn backlen_size(data_len: usize) -> usize {
    match data_len {
        0..=0x7F => 1,
        0x80..0x3FFF => 2,
        0x3FFF..0x1F_FFFF => 3,
        0x1F_FFFF..0xFFF_FFFF => 4,
        _ => 5,
    }
}

fn write_backlen(data_len: usize, out: &mut [u8]) {
    let size = backlen_size(data_len);
    for (group, byte) in out[..size].iter_mut().rev().enumerate() {
        let more = if group + 1 == size { 0 } else { 0x80 };
        *byte = (data_len >> (7 * group)) as u8 & 0x7F | more;
    }
}
