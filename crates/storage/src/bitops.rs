//! Strings as arrays of bits: GETBIT, SETBIT, BITCOUNT, BITPOS and BITOP. Bit 0 is the highest bit of byte 0.
//! Knows no keys: a missing key is for the caller. Integers at bit offsets are in `bitfield`.
//!
//! Source: the pages of these commands, and the answers of Redis 7.0.15.

/// Returns the bit at `offset`; bits behind the end are 0.
pub fn get_bit(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte & (0x80 >> (offset % 8)) != 0)
}

/// Sets the bit at `offset` and returns what it was. Behind the end it changes nothing: the caller grows
/// the string first.
pub fn set_bit(bytes: &mut [u8], offset: u64, bit: bool) -> bool {
    let Some(byte) = usize::try_from(offset / 8).ok().and_then(|at| bytes.get_mut(at)) else {
        return false;
    };
    let mask = 0x80 >> (offset % 8);
    let old = *byte & mask != 0;
    if bit {
        *byte |= mask
    } else {
        *byte &= !mask
    }
    old
}

/// What the indexes of BITCOUNT and BITPOS count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, the default.
    Byte,
    /// Bits, since Redis 7.
    Bit,
}

/// Counts the bits that are set.
pub fn count(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let in_words: u64 = words
        .iter()
        .map(|word| u64::from(u64::from_ne_bytes(*word).count_ones()))
        .sum();
    in_words + tail.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Counts the bits that are set between two indexes, both included and negative ones counted from the end:
/// BITCOUNT.
pub fn count_range(bytes: &[u8], start: i64, end: i64, unit: Unit) -> u64 {
    // Two negative indexes in the wrong order mean nothing even if both lie before the beginning.
    if start < 0 && end < 0 && start > end {
        return 0;
    }
    resolve(bytes, start, end, unit).map_or(0, |(first, last)| count_bits(bytes, first, last))
}

/// Finds the first bit equal to `bit` between two indexes, both included and negative ones counted from the
/// end: BITPOS. Without an `end` the string counts as followed by zeros, unless nothing of it is left from
/// `start` on. Returns the position from the beginning of the string, or -1.
pub fn position(bytes: &[u8], bit: bool, start: i64, end: Option<i64>, unit: Unit) -> i64 {
    let Some((first, last)) = resolve(bytes, start, end.unwrap_or(-1), unit) else {
        return -1;
    };
    match find(bytes, bit, first, last) {
        Some(at) => at as i64,
        None if !bit && end.is_none() => bytes.len() as i64 * 8,
        None => -1,
    }
}

/// Turns indexes as the commands take them into the first and the last bit of the range, or `None` if it
/// is empty.
fn resolve(bytes: &[u8], start: i64, end: i64, unit: Unit) -> Option<(u64, u64)> {
    let scale = match unit {
        Unit::Byte => 1,
        Unit::Bit => 8,
    };
    let total = bytes.len() as i64 * scale;
    let from_end = |index: i64| if index < 0 { (total + index).max(0) } else { index };
    let first = from_end(start);
    let last = from_end(end).min(total - 1);
    if first > last {
        return None;
    }
    let (first, last) = (first as u64, last as u64);
    Some(match unit {
        Unit::Byte => (first * 8, last * 8 + 7),
        Unit::Bit => (first, last),
    })
}

/// Bits `from..8` of a byte.
fn mask_from(from: u64) -> u8 {
    0xff >> from
}

/// Bits `0..=to` of a byte.
fn mask_to(to: u64) -> u8 {
    !(0x7f >> to)
}

/// Counts bits `first..=last`, which lie within `bytes`.
fn count_bits(bytes: &[u8], first: u64, last: u64) -> u64 {
    let bytes = &bytes[(first / 8) as usize..=(last / 8) as usize];
    let before = bytes[0] & !mask_from(first % 8);
    let after = bytes[bytes.len() - 1] & !mask_to(last % 8);
    count(bytes) - u64::from(before.count_ones() + after.count_ones())
}

/// Finds the first of the bits `first..=last`, which lie within `bytes`, that is `bit`.
fn find(bytes: &[u8], bit: bool, first: u64, last: u64) -> Option<u64> {
    let flip = if bit { 0 } else { 0xff };
    let (from, to) = ((first / 8) as usize, (last / 8) as usize);
    let masked = |at: usize| {
        let low = if at == from { mask_from(first % 8) } else { 0xff };
        let high = if at == to { mask_to(last % 8) } else { 0xff };
        (bytes[at] ^ flip) & low & high
    };
    let in_byte =
        |at: usize| (masked(at) != 0).then(|| at as u64 * 8 + u64::from(masked(at).leading_zeros()));
    if let Some(found) = in_byte(from) {
        return Some(found);
    }
    if from == to {
        return None;
    }
    let middle = &bytes[from + 1..to];
    let skip = flip ^ 0xff;
    let (words, tail) = middle.as_chunks::<32>();
    let equal = words.iter().take_while(|word| **word == [!skip; 32]).count() * 32;
    let within = words.as_flattened()[equal..]
        .iter()
        .chain(tail)
        .position(|byte| byte ^ flip != 0);
    in_byte(within.map_or(to, |within| from + 1 + equal + within))
}

/// The operations of BITOP on two and more strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitOp {
    /// Bits that are set in all.
    And,
    /// Bits that are set in any.
    Or,
    /// Bits that are set in an odd number of them.
    Xor,
    /// Bits that are set in the first and in no other.
    Diff,
    /// Bits that are set in another, and not in the first.
    Diff1,
    /// Bits that are set in the first and in another.
    AndOr,
    /// Bits that are set in exactly one.
    One,
}

/// Combines `sources` into a string as long as the longest; shorter ones are followed by zeros: BITOP.
pub fn combine(op: BitOp, sources: &[&[u8]]) -> Vec<u8> {
    let Some((first, others)) = sources.split_first() else {
        return Vec::new();
    };
    match op {
        BitOp::And | BitOp::Or | BitOp::Xor => {}
        BitOp::Diff | BitOp::Diff1 | BitOp::AndOr => return first_and_others(op, first, others),
        BitOp::One => return exactly_one(sources),
    }
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(first);
    out.resize(len, 0);
    for source in others {
        let (common, rest) = out.split_at_mut(source.len());
        let pairs = common.iter_mut().zip(*source);
        match op {
            BitOp::And => {
                pairs.for_each(|(a, b)| *a &= b);
                rest.fill(0);
            }
            BitOp::Or => pairs.for_each(|(a, b)| *a |= b),
            BitOp::Xor => pairs.for_each(|(a, b)| *a ^= b),
            BitOp::Diff | BitOp::Diff1 | BitOp::AndOr | BitOp::One => unreachable!("answered above"),
        }
    }
    out
}

/// The first string against all the others together.
fn first_and_others(op: BitOp, first: &[u8], others: &[&[u8]]) -> Vec<u8> {
    let mut out = combine(BitOp::Or, others);
    out.resize(out.len().max(first.len()), 0);
    let firsts = first.iter().chain(std::iter::repeat(&0));
    for (any, first) in out.iter_mut().zip(firsts) {
        *any = match op {
            BitOp::Diff => first & !*any,
            BitOp::Diff1 => *any & !first,
            BitOp::AndOr => first & *any,
            BitOp::And | BitOp::Or | BitOp::Xor | BitOp::One => unreachable!("the caller has other ways"),
        };
    }
    out
}

/// Bits that one string has and no other.
fn exactly_one(sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let (mut once, mut more) = (vec![0u8; len], vec![0u8; len]);
    for source in sources {
        for ((once, more), byte) in once.iter_mut().zip(&mut more).zip(*source) {
            *more |= *once & byte;
            *once |= byte;
        }
    }
    once.iter_mut().zip(&more).for_each(|(once, more)| *once &= !more);
    once
}

/// Returns `source` with every bit turned: BITOP NOT.
pub fn not(source: &[u8]) -> Vec<u8> {
    source.iter().map(|byte| !byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(bytes: &[u8]) -> Vec<bool> {
        (0..bytes.len() as u64 * 8).map(|at| get_bit(bytes, at)).collect()
    }

    #[test]
    fn single_bits() {
        let mut bytes = [0u8; 2];
        assert!(!set_bit(&mut bytes, 7, true));
        assert!(set_bit(&mut bytes, 7, true));
        assert_eq!(bytes, [1, 0]);
        assert!(
            get_bit(&bytes, 7) && !get_bit(&bytes, 6) && !get_bit(&bytes, 16) && !get_bit(&bytes, u64::MAX)
        );
        assert!(!set_bit(&mut bytes, 16, true) && set_bit(&mut bytes, 7, false));
        assert_eq!(bytes, [0, 0]);
    }

    #[test]
    fn the_bitcount_page() {
        let text = b"foobar";
        assert_eq!(count(text), 26);
        assert_eq!(count_range(text, 0, 0, Unit::Byte), 4);
        assert_eq!(count_range(text, 1, 1, Unit::Byte), 6);
        assert_eq!(count_range(text, 5, 30, Unit::Bit), 17);
        assert_eq!(count_range(text, -1, -3, Unit::Byte), 0);
        assert_eq!(count_range(text, i64::MIN, i64::MAX, Unit::Bit), 26);
    }

    #[test]
    fn the_bitpos_page() {
        assert_eq!(position(b"\xff\xf0\x00", false, 0, None, Unit::Byte), 12);
        assert_eq!(position(b"\x00\xff\xf0", true, 2, Some(-1), Unit::Byte), 16);
        assert_eq!(position(b"\x00\xff\xf0", true, 7, Some(15), Unit::Bit), 8);
        assert_eq!(position(b"\xff\xff\xff", false, 0, None, Unit::Byte), 24);
        assert_eq!(position(b"\xff\xff\xff", false, 0, Some(-1), Unit::Byte), -1);
        assert_eq!(position(b"\x00", true, 0, None, Unit::Byte), -1);
        assert_eq!(position(b"", false, 0, None, Unit::Byte), -1);
    }

    #[test]
    fn strings_of_different_lengths() {
        let sources: [&[u8]; 3] = [b"\xff\x0f\xaa", b"\xf0", b"\x11\xff"];
        assert_eq!(combine(BitOp::And, &sources), b"\x10\0\0");
        assert_eq!(combine(BitOp::Or, &sources), b"\xff\xff\xaa");
        assert_eq!(combine(BitOp::Xor, &sources), b"\x1e\xf0\xaa");
        assert_eq!(not(b"\x0f\xff"), b"\xf0\0");
        assert!(combine(BitOp::Or, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn counts_and_finds_as_bit_by_bit(
            mut bytes in prop::collection::vec(any::<u8>(), 1..20),
            fill in prop::option::of((any::<bool>(), 0usize..100)),
            a in 0usize..1000,
            b in 0usize..1000,
            bit: bool,
        ) {
            if let Some((ones, n)) = fill {
                let at = a % bytes.len();
                bytes.splice(at..at, std::iter::repeat_n(if ones { 0xff } else { 0 }, n));
            }
            let all = bits(&bytes);
            let (a, b) = (a % all.len(), b % all.len());
            let (first, last) = (a.min(b), a.max(b));
            let range = &all[first..=last];
            prop_assert_eq!(count(&bytes), all.iter().filter(|bit| **bit).count() as u64);
            let counted = count_range(&bytes, first as i64, last as i64, Unit::Bit);
            prop_assert_eq!(counted, range.iter().filter(|bit| **bit).count() as u64);
            let found = range.iter().position(|other| *other == bit).map_or(-1, |at| (first + at) as i64);
            prop_assert_eq!(position(&bytes, bit, first as i64, Some(last as i64), Unit::Bit), found);
        }

        #[test]
        fn combines_bit_by_bit(
            sources in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5),
        ) {
            let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            let len = slices.iter().map(|source| source.len()).max().unwrap_or(0) as u64 * 8;
            let set = |at| slices.iter().filter(|source| get_bit(source, at)).count();
            let and: Vec<bool> = (0..len).map(|at| set(at) == slices.len()).collect();
            let or: Vec<bool> = (0..len).map(|at| set(at) > 0).collect();
            let xor: Vec<bool> = (0..len).map(|at| set(at) % 2 == 1).collect();
            prop_assert_eq!(bits(&combine(BitOp::And, &slices)), and);
            prop_assert_eq!(bits(&combine(BitOp::Or, &slices)), or);
            prop_assert_eq!(bits(&combine(BitOp::Xor, &slices)), xor);
            let one: Vec<bool> = (0..len).map(|at| set(at) == 1).collect();
            prop_assert_eq!(bits(&combine(BitOp::One, &slices)), one);
            let first = |at| get_bit(slices[0], at);
            let others = |at| slices[1..].iter().any(|source| get_bit(source, at));
            let diff: Vec<bool> = (0..len).map(|at| first(at) && !others(at)).collect();
            let diff1: Vec<bool> = (0..len).map(|at| !first(at) && others(at)).collect();
            let and_or: Vec<bool> = (0..len).map(|at| first(at) && others(at)).collect();
            prop_assert_eq!(bits(&combine(BitOp::Diff, &slices)), diff);
            prop_assert_eq!(bits(&combine(BitOp::Diff1, &slices)), diff1);
            prop_assert_eq!(bits(&combine(BitOp::AndOr, &slices)), and_or);
        }
    }
}
