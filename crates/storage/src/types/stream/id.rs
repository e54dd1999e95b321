//! The id of a stream's entry: milliseconds and a sequence number, ordered by both.

use std::fmt;

/// An id, `ms-seq` in text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix time in milliseconds, or whatever number the client chose.
    pub ms: u64,
    /// Number among the ids of one millisecond.
    pub seq: u64,
}

impl StreamId {
    /// `0-0`: no entry has it.
    pub const ZERO: Self = Self { ms: 0, seq: 0 };
    /// The greatest id.
    pub const MAX: Self = Self {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// An id of its two parts.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// Whether it is `0-0`.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// The least id that is greater; none after the greatest.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self::new(self.ms.checked_add(1)?, 0)),
        }
    }

    /// The greatest id that is less; none before `0-0`.
    pub fn prev(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self::new(self.ms.checked_sub(1)?, u64::MAX)),
        }
    }

    /// The 16 bytes under which RDB stores it: both parts big endian, so that bytes sort as ids do.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.ms.to_be_bytes());
        bytes[8..].copy_from_slice(&self.seq.to_be_bytes());
        bytes
    }

    /// Reads what [`StreamId::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self::new((number >> 64) as u64, number as u64)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours() {
        let id = StreamId::new(5, u64::MAX);
        assert_eq!(id.next(), Some(StreamId::new(6, 0)));
        assert_eq!(StreamId::new(6, 0).prev(), Some(id));
        assert_eq!((StreamId::MAX.next(), StreamId::ZERO.prev()), (None, None));
        assert_eq!(id.to_string(), "5-18446744073709551615");
    }

    #[test]
    fn bytes_sort_as_ids_do() {
        let ids = [
            StreamId::ZERO,
            StreamId::new(0, 7),
            StreamId::new(1, 0),
            StreamId::new(256, 3),
            StreamId::MAX,
        ];
        for pair in ids.windows(2) {
            assert!(pair[0].to_bytes() < pair[1].to_bytes());
        }
        assert!(ids.iter().all(|id| StreamId::from_bytes(id.to_bytes()) == *id));
    }
}
