//! Replication ids and offsets: whose bytes the log holds, and what a replica that comes back may be given.
//!
//! A history is a stream of bytes with a name, the id. A server that is promoted goes on with a new id, as others may go
//! on with the old; it remembers the old one as valid up to the place of the promotion:
//!
//! ```text
//!   offsets    0 ................. second offset ............ end
//!   id2        <---- valid ------>|
//!   id         <----------------- valid -------------------->
//! ```
//!
//! Offsets of the log count the bytes before a place. Redis's protocol counts from 1 and names the first byte that is
//! wanted; this file alone translates. Facts: <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/>
//! and what 7.0.15 answers.
//!
//! Must not know: sockets, replies, what the bytes mean.

use std::fmt;

/// Name of a history: 40 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplId([u8; 40]);

impl ReplId {
    /// Of random bytes.
    pub fn new(random: [u8; 20]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut id = [0; 40];
        for (pair, byte) in id.chunks_exact_mut(2).zip(random) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(id)
    }

    /// Reads an id; None if it is not 40 hex digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let id: [u8; 40] = text.to_ascii_lowercase().try_into().ok()?;
        id.iter().all(u8::is_ascii_hexdigit).then_some(Self(id))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits are text")
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An older history that ours goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// Its id.
    pub id: ReplId,
    /// Offset of the log up to which it is ours.
    pub end: u64,
}

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    id: ReplId,
    second: Option<Second>,
}

/// What a replica asks for: `PSYNC <id> <offset>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Everything: `PSYNC ? -1`, or SYNC.
    Everything,
    /// To go on.
    Rest {
        /// The history that it has; None: it is no id that anybody can have.
        id: Option<ReplId>,
        /// The first byte that it wants, counted from 1.
        offset: i64,
    },
}

/// What it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The log from this offset on.
    Continue(u64),
    /// A snapshot, and the log after it.
    Full(Why),
}

/// Why a replica cannot go on where it was. The offsets are the protocol's, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It asked for it.
    Asked,
    /// It follows another history.
    OtherHistory,
    /// It has followed our older history further than we have.
    PastSecond {
        /// The first byte that it wants.
        wanted: i64,
        /// The last that it could have.
        end: u64,
    },
    /// The bytes that it wants are not kept any more.
    NotKept {
        /// The first byte that it wants.
        wanted: i64,
    },
    /// It wants bytes that do not exist yet.
    NotYet {
        /// The first byte that it wants.
        wanted: i64,
    },
}

impl History {
    /// A new history.
    pub fn new(id: ReplId) -> Self {
        Self { id, second: None }
    }

    /// A history that was read from a file.
    pub fn restored(id: ReplId, second: Option<Second>) -> Self {
        Self { id, second }
    }

    /// Its id.
    pub fn id(&self) -> ReplId {
        self.id
    }

    /// The older history.
    pub fn second(&self) -> Option<Second> {
        self.second
    }

    /// A replica becomes a primary at the log's `end`: from here on the history is its own, `id`.
    pub fn promoted(&mut self, id: ReplId, end: u64) {
        self.second = Some(Second { id: self.id, end });
        self.id = id;
    }

    /// The primary that is followed has been promoted, and calls its history `id` from our log's `end` on.
    pub fn renamed(&mut self, id: ReplId, end: u64) {
        if id != self.id {
            self.promoted(id, end);
        }
    }

    /// All data were replaced by those of another history, or nothing that was sent before is to count.
    pub fn replaced(&mut self, id: ReplId) {
        *self = Self::new(id);
    }

    /// What a replica gets that asks so, from a log that keeps the bytes from `first` up to `end`.
    pub fn answer(&self, ask: Ask, first: u64, end: u64) -> Answer {
        let Ask::Rest { id, offset: wanted } = ask else {
            return Answer::Full(Why::Asked);
        };
        // Offset of the log: the bytes before the wanted one.
        let place = wanted.checked_sub(1).and_then(|at| u64::try_from(at).ok());
        if id != Some(self.id) {
            match self.second {
                Some(second) if id == Some(second.id) => {
                    if place.is_some_and(|place| place > second.end) {
                        let end = second.end + 1;
                        return Answer::Full(Why::PastSecond { wanted, end });
                    }
                }
                Some(_) | None => return Answer::Full(Why::OtherHistory),
            }
        }
        match place {
            Some(place) if place > end => Answer::Full(Why::NotYet { wanted }),
            Some(place) if place >= first => Answer::Continue(place),
            Some(_) | None => Answer::Full(Why::NotKept { wanted }),
        }
    }
}

/// How an offset of the log is written in `PSYNC`: as the first byte behind it, counted from 1.
pub fn first_wanted(offset: u64) -> u64 {
    offset + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ReplId {
        ReplId::new([n; 20])
    }

    fn rest(n: u8, offset: i64) -> Ask {
        Ask::Rest {
            id: Some(id(n)),
            offset,
        }
    }

    #[test]
    fn ids_are_forty_hex_digits() {
        assert_eq!(id(0xa7).as_str(), "a7".repeat(20));
        assert_eq!(ReplId::parse("A7".repeat(20).as_bytes()), Some(id(0xa7)));
        for wrong in ["", "?", "a7", &"g".repeat(40), &"a".repeat(41)] {
            assert_eq!(ReplId::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_kept_can_be_had() {
        let history = History::new(id(1));
        for (offset, answer) in [
            (101, Answer::Continue(100)),
            (201, Answer::Continue(200)),
            (100, Answer::Full(Why::NotKept { wanted: 100 })),
            (0, Answer::Full(Why::NotKept { wanted: 0 })),
            (-1, Answer::Full(Why::NotKept { wanted: -1 })),
            (i64::MIN, Answer::Full(Why::NotKept { wanted: i64::MIN })),
            (202, Answer::Full(Why::NotYet { wanted: 202 })),
        ] {
            assert_eq!(history.answer(rest(1, offset), 100, 200), answer, "{offset}");
        }
        let other = Answer::Full(Why::OtherHistory);
        assert_eq!(history.answer(rest(2, 150), 100, 200), other);
        assert_eq!(
            history.answer(
                Ask::Rest {
                    id: None,
                    offset: 150
                },
                100,
                200
            ),
            other
        );
        assert_eq!(
            history.answer(Ask::Everything, 100, 200),
            Answer::Full(Why::Asked)
        );
    }

    #[test]
    fn the_older_history_counts_up_to_the_promotion() {
        let mut history = History::new(id(1));
        history.promoted(id(2), 150);
        assert_eq!(history.answer(rest(2, 201), 100, 200), Answer::Continue(200));
        assert_eq!(history.answer(rest(1, 151), 100, 200), Answer::Continue(150));
        assert_eq!(
            history.answer(rest(1, 152), 100, 200),
            Answer::Full(Why::PastSecond {
                wanted: 152,
                end: 151
            })
        );
        history.renamed(id(2), 170);
        assert_eq!(history.second(), Some(Second { id: id(1), end: 150 }));
        history.renamed(id(3), 180);
        assert_eq!(history.second(), Some(Second { id: id(2), end: 180 }));
        assert_eq!(
            history.answer(rest(1, 151), 100, 200),
            Answer::Full(Why::OtherHistory)
        );
        history.replaced(id(4));
        assert_eq!(history, History::new(id(4)));
    }
}
