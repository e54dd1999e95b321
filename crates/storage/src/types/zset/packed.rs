//! The small sorted set: one listpack of (member, score) pairs, in order.
//!
//! Knows nothing of limits. Scores are integers where they are whole and have up to 17 digits, and else their shortest
//! text, as in the listpacks of Redis 7.2's RDB files. So -0 becomes 0, as it does there.

use std::ops::Range;

use crate::encoding::listpack::{Item, Iter, Listpack, Position};

/// Whole scores below this are kept as integers: those that C's `%.17g` writes in full.
const INT_SCORE_LIMIT: f64 = 1e17;

/// A pair and where it stands.
pub(super) struct Pair<'a> {
    pub(super) at: Position,
    pub(super) member: Item<'a>,
    pub(super) score: f64,
}

/// The pairs from the lowest on.
pub(super) fn pairs(pack: &Listpack) -> impl Iterator<Item = Pair<'_>> {
    let mut items = pack.iter();
    std::iter::from_fn(move || {
        let at = items.position()?;
        let member = items.next()?;
        let score = score_of(items.next()?).unwrap_or(0.0);
        Some(Pair { at, member, score })
    })
}

/// Where a member stands, with its score.
pub(super) fn find(pack: &Listpack, member: &[u8]) -> Option<(Position, f64)> {
    let at = pack.find_first(member, 1)?;
    let score = score_of(pack.at(pack.next(at)?))?;
    Some((at, score))
}

/// Adds a member that is not in the listpack.
pub(super) fn insert(pack: &mut Listpack, member: &[u8], score: f64) {
    let mut buffer = ScoreText::new();
    let text = buffer.format(score);
    // Members that come in order need no walk.
    let last = pack.last().and_then(|text| pair_at(pack, pack.prev(text)?));
    if last.is_none_or(|pair| stands_before(&pair, score, member)) {
        pack.push_back_pair(member, text);
        return;
    }
    let behind = pairs(pack)
        .find(|pair| !stands_before(pair, score, member))
        .map(|pair| pair.at);
    match behind {
        Some(at) => {
            pack.insert_pair_before(at, member, text);
        }
        None => pack.push_back_pair(member, text),
    }
}

/// Changes the score of the member at `at`.
pub(super) fn update(pack: &mut Listpack, at: Position, member: &[u8], score: f64) {
    let previous = pack.prev(at).and_then(|text| {
        let member = pack.prev(text)?;
        pair_at(pack, member)
    });
    let next = pack.next(at).and_then(|text| pair_at(pack, pack.next(text)?));
    let stays = previous.is_none_or(|pair| stands_before(&pair, score, member))
        && next.is_none_or(|pair| !stands_before(&pair, score, member));
    if stays {
        if let Some(text) = pack.next(at) {
            pack.replace(text, ScoreText::new().format(score));
        }
    } else {
        pack.remove_at(at, 2);
        insert(pack, member, score);
    }
}

/// How many pairs stand before: the first one for which `before` does not hold, or all.
pub(super) fn count(pack: &Listpack, mut before: impl FnMut(&Pair<'_>) -> bool) -> usize {
    pairs(pack).take_while(|pair| before(pair)).count()
}

fn pair_at(pack: &Listpack, at: Position) -> Option<Pair<'_>> {
    let score = score_of(pack.at(pack.next(at)?))?;
    Some(Pair {
        at,
        member: pack.at(at),
        score,
    })
}

/// The order: by score, then by bytes.
pub(super) fn stands_before(pair: &Pair<'_>, score: f64, member: &[u8]) -> bool {
    pair.score < score || (pair.score == score && pair.member.with_bytes(|bytes| bytes < member))
}

/// The score that an item stands for; `None` if it is none.
pub(super) fn score_of(item: Item<'_>) -> Option<f64> {
    match item {
        Item::Int(int) => Some(int as f64),
        Item::Bytes(text) => {
            let score: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            (!score.is_nan()).then_some(score)
        }
    }
}

/// A score's text in the listpack, without an allocation.
struct ScoreText {
    int: itoa::Buffer,
    float: ryu::Buffer,
}

impl ScoreText {
    fn new() -> Self {
        Self {
            int: itoa::Buffer::new(),
            float: ryu::Buffer::new(),
        }
    }

    fn format(&mut self, score: f64) -> &[u8] {
        if score.abs() < INT_SCORE_LIMIT && score.trunc() == score {
            self.int.format(score as i64).as_bytes()
        } else {
            self.float.format(score).as_bytes()
        }
    }
}

/// Iterator over the pairs with some ranks. Pairs outside are passed over only when a step needs it.
#[derive(Debug, Clone)]
pub(super) struct PackedIter<'a> {
    items: Iter<'a>,
    ranks: Range<usize>,
    /// The ranks that `items` still has.
    held: Range<usize>,
}

impl<'a> PackedIter<'a> {
    /// `len` is the number of pairs.
    pub(super) fn new(pack: &'a Listpack, ranks: Range<usize>, len: usize) -> Self {
        let end = ranks.end.min(len);
        Self {
            items: pack.iter(),
            ranks: ranks.start.min(end)..end,
            held: 0..len,
        }
    }
}

impl<'a> Iterator for PackedIter<'a> {
    type Item = (Item<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next()?;
        while self.held.start < rank {
            self.items.next();
            self.items.next();
            self.held.start += 1;
        }
        self.held.start += 1;
        let member = self.items.next()?;
        Some((member, score_of(self.items.next()?)?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl ExactSizeIterator for PackedIter<'_> {}

impl DoubleEndedIterator for PackedIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next_back()?;
        while self.held.end > rank + 1 {
            self.items.next_back();
            self.items.next_back();
            self.held.end -= 1;
        }
        self.held.end -= 1;
        let score = score_of(self.items.next_back()?)?;
        Some((self.items.next_back()?, score))
    }
}
