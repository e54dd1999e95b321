//! The intset: a sorted array of integers in one allocation, in the byte layout of Redis's intsets, so that RDB files
//! and `DUMP` carry it as it is. It knows nothing of strings.
//!
//! ```text
//!   +------------------+-----------+--------------------------------------------+
//!   | bytes a member   | members   | members, ascending, little-endian, signed  |
//!   | u32 LE: 2, 4, 8  | u32 LE    |                                            |
//!   +------------------+-----------+--------------------------------------------+
//!   0                  4           8
//! ```
//!
//! The width grows when a member needs it and never shrinks, as in Redis.

use std::cmp::Ordering;
use std::fmt;

use rand::Rng;

use super::thin::{ThinBuf, ThinFormat};

/// Bytes before the first member.
const HEADER: usize = 8;

/// Why bytes are not an intset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntsetError {
    /// The width is none of 2, 4 and 8.
    #[error("intset width is not 2, 4 or 8")]
    Width,
    /// Too short, or the length in the header does not match the bytes.
    #[error("intset size does not match its bytes")]
    Size,
    /// Members are not strictly ascending.
    #[error("intset members are not in order")]
    Order,
}

struct Format;

// SAFETY: the size is computed from the eight bytes alone; the tag is below 4.
#[allow(unsafe_code)]
unsafe impl ThinFormat for Format {
    const LEAD: usize = HEADER;
    const TAG: usize = 2;

    #[inline]
    fn size(lead: &[u8]) -> usize {
        let width = u32::from_le_bytes([lead[0], lead[1], lead[2], lead[3]]);
        let len = u32::from_le_bytes([lead[4], lead[5], lead[6], lead[7]]);
        (width as usize)
            .saturating_mul(len as usize)
            .saturating_add(HEADER)
    }
}

/// Bytes of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    fn of(value: i64) -> Self {
        if i16::try_from(value).is_ok() {
            Self::Two
        } else if i32::try_from(value).is_ok() {
            Self::Four
        } else {
            Self::Eight
        }
    }

    fn bytes(self) -> usize {
        self as usize
    }

    fn read(self, members: &[u8], index: usize) -> i64 {
        let at = index * self.bytes();
        let member = &members[at..at + self.bytes()];
        match self {
            Self::Two => i64::from(i16::from_le_bytes([member[0], member[1]])),
            Self::Four => i64::from(i32::from_le_bytes([member[0], member[1], member[2], member[3]])),
            Self::Eight => {
                let mut le = [0; 8];
                le.copy_from_slice(member);
                i64::from_le_bytes(le)
            }
        }
    }

    fn write(self, members: &mut [u8], index: usize, value: i64) {
        let at = index * self.bytes();
        members[at..at + self.bytes()].copy_from_slice(&value.to_le_bytes()[..self.bytes()]);
    }
}

/// An owned intset, 8 bytes, never null.
///
/// Holds at most `u32::MAX` members (callers convert long before).
#[derive(Clone)]
#[repr(transparent)]
pub struct Intset(ThinBuf<Format>);

impl Intset {
    pub(super) const POINTER_TAG: usize = Format::TAG;

    /// An empty set.
    pub fn new() -> Self {
        Self(ThinBuf::zeroed(&lead(Width::Two, 0)))
    }

    /// Reads an intset from bytes of any origin: width, size and order are checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IntsetError> {
        let buf = ThinBuf::copy_of(bytes).ok_or(IntsetError::Size)?;
        if ![2, 4, 8].contains(&bytes[0]) || bytes[1..4] != [0; 3] {
            return Err(IntsetError::Width);
        }
        let set = Self(buf);
        if !set.iter().is_sorted_by(|a, b| a < b) {
            return Err(IntsetError::Order);
        }
        Ok(set)
    }

    /// The bytes, as RDB and DUMP carry them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Size of the allocation.
    pub fn total_bytes(&self) -> usize {
        self.0.size()
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        let bytes = self.as_bytes();
        u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn width(&self) -> Width {
        match self.as_bytes()[0] {
            2 => Width::Two,
            4 => Width::Four,
            _ => Width::Eight,
        }
    }

    fn members(&self) -> &[u8] {
        &self.as_bytes()[HEADER..]
    }

    /// The member with number `index` in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.width().read(self.members(), index))
    }

    /// Whether `value` is a member.
    pub fn contains(&self, value: i64) -> bool {
        self.find(value).is_ok()
    }

    /// Where `value` is, or where it would be put.
    fn find(&self, value: i64) -> Result<usize, usize> {
        let (width, members) = (self.width(), self.members());
        let (mut low, mut high) = (0, self.len());
        // Numbers often come in ascending order: look past the end first.
        if high > 0 && width.read(members, high - 1) < value {
            return Err(high);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match width.read(members, middle).cmp(&value) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Adds `value`; false if it was a member.
    pub fn insert(&mut self, value: i64) -> bool {
        let Err(index) = self.find(value) else {
            return false;
        };
        let (old, len) = (self.width(), self.len());
        let new = old.max(Width::of(value));
        let grown = u32::try_from(len + 1).expect("an intset is converted long before 4 billion members");
        if new != old {
            // A wider lead with the old length first: widen from the end, so that nothing is overwritten unread.
            self.0.set_lead(&lead(new, grown));
            let members = self.0.body_mut();
            for k in (0..len).rev() {
                let member = old.read(members, k);
                new.write(members, k + usize::from(k >= index), member);
            }
            new.write(members, index, value);
            return true;
        }
        self.0.set_lead(&lead(old, grown));
        let members = self.0.body_mut();
        let bytes = old.bytes();
        members.copy_within(index * bytes..len * bytes, (index + 1) * bytes);
        old.write(members, index, value);
        true
    }

    /// Removes `value`; false if it was no member.
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.find(value) else { return false };
        let (width, len) = (self.width(), self.len());
        let bytes = width.bytes();
        self.0
            .body_mut()
            .copy_within((index + 1) * bytes.., index * bytes);
        self.0.set_lead(&lead(width, (len - 1) as u32));
        true
    }

    /// A member, each with the same chance.
    pub fn random<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<i64> {
        if self.is_empty() {
            return None;
        }
        self.get(rng.random_range(0..self.len()))
    }

    /// The members in ascending order, from either end.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            width: self.width(),
            members: self.members(),
            range: 0..self.len(),
        }
    }
}

fn lead(width: Width, len: u32) -> [u8; HEADER] {
    let mut lead = [0; HEADER];
    lead[0] = width as u8;
    lead[4..].copy_from_slice(&len.to_le_bytes());
    lead
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Intset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Intset {
    type Item = i64;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The members of an intset in ascending order, from either end.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    width: Width,
    members: &'a [u8],
    range: std::ops::Range<usize>,
}

impl Iterator for Iter<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        self.range
            .next()
            .map(|index| self.width.read(self.members, index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<i64> {
        self.range
            .next_back()
            .map(|index| self.width.read(self.members, index))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl std::iter::FusedIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    fn value() -> impl Strategy<Value = i64> {
        prop_oneof![
            -20..20_i64,
            any::<i16>().prop_map(i64::from),
            any::<i32>().prop_map(i64::from),
            any::<i64>()
        ]
    }

    #[test]
    fn bytes_are_those_of_redis() {
        // DUMP of SADD s 1 2 -3 and of SADD s 1 65536, without type and footer, redis-server 7.0.15.
        let mut set = Intset::new();
        assert!(set.insert(1) && set.insert(2) && set.insert(-3) && !set.insert(2));
        assert_eq!(set.as_bytes(), b"\x02\0\0\0\x03\0\0\0\xfd\xff\x01\0\x02\0");
        let mut set = Intset::new();
        assert!(set.insert(1) && set.insert(65536));
        assert_eq!(set.as_bytes(), b"\x04\0\0\0\x02\0\0\0\x01\0\0\0\0\0\x01\0");
    }

    #[test]
    fn damaged_bytes_are_refused() {
        for (bytes, error) in [
            (&b""[..], IntsetError::Size),
            (b"\x02\0\0\0\x01\0\0", IntsetError::Size),
            (b"\x02\0\0\0\x02\0\0\0\x01\0", IntsetError::Size),
            (b"\x03\0\0\0\x00\0\0\0", IntsetError::Width),
            (b"\x02\x01\0\0\0\0\0\0", IntsetError::Width),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", IntsetError::Size),
            (b"\x02\0\0\0\x02\0\0\0\x02\0\x01\0", IntsetError::Order),
            (b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0", IntsetError::Order),
        ] {
            assert_eq!(Intset::from_bytes(bytes).err(), Some(error), "{bytes:?}");
        }
    }

    #[test]
    fn random_reaches_every_member() {
        let mut set = Intset::new();
        let mut rng = SmallRng::seed_from_u64(1);
        assert_eq!(set.random(&mut rng), None);
        (0..10).for_each(|value| assert!(set.insert(value * 1000)));
        let seen: BTreeSet<_> = (0..1000).filter_map(|_| set.random(&mut rng)).collect();
        assert_eq!(seen.len(), 10);
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_set(ops in prop::collection::vec((any::<bool>(), value()), 0..200)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (add, value) in ops {
                if add {
                    prop_assert_eq!(set.insert(value), model.insert(value));
                } else {
                    prop_assert_eq!(set.remove(value), model.remove(&value));
                }
                prop_assert_eq!(set.contains(value), add);
                prop_assert_eq!(set.len(), model.len());
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert!(set.iter().rev().eq(model.iter().rev().copied()));
            prop_assert_eq!(set.get(0), model.first().copied());
            prop_assert_eq!(set.get(set.len()), None);
            let read = Intset::from_bytes(set.as_bytes()).unwrap();
            prop_assert_eq!(read.as_bytes(), set.as_bytes());
        }

        #[test]
        fn bytes_of_any_origin_never_panic(width in prop::sample::select(vec![0_u32, 2, 3, 4, 8, 16]), len in 0..5_u32, mut tail in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = [width.to_le_bytes(), len.to_le_bytes()].concat();
            bytes.append(&mut tail);
            if let Ok(set) = Intset::from_bytes(&bytes) {
                prop_assert_eq!(set.iter().count(), set.len());
                prop_assert!(set.iter().all(|value| set.contains(value)));
            }
        }
    }
}
