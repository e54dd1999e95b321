//! Integers of any width at any bit offset of a string: BITFIELD. Bit 0 is the highest bit of byte 0, and an
//! integer's highest bit comes first. Knows no keys; the caller grows the string before it is written to.
//!
//! Source: the BITFIELD command page, and the answers of Redis 7.0.15.

use crate::numeric;

/// The width of an integer and whether it has a sign: `i1` to `i64`, `u1` to `u63`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldType {
    signed: bool,
    bits: u8,
}

/// What happens when a result does not fit: OVERFLOW.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// Only the low bits are kept.
    #[default]
    Wrap,
    /// The nearest integer that fits is taken.
    Sat,
    /// Nothing changes and the reply is nil.
    Fail,
}

impl FieldType {
    /// Parses `i16`, `u8` and so on; `None` if Redis would answer `ERR Invalid bitfield type. Use something like
    /// i16 u8. Note that u64 is not supported but i64 is.`
    pub fn parse(text: &[u8]) -> Option<FieldType> {
        let (signed, width) = match text {
            [b'i', width @ ..] => (true, width),
            [b'u', width @ ..] => (false, width),
            _ => return None,
        };
        let bits = u8::try_from(numeric::parse_i64(width)?).ok()?;
        (1..=if signed { 64 } else { 63 })
            .contains(&bits)
            .then_some(FieldType { signed, bits })
    }

    /// Width in bits.
    pub fn bits(self) -> u64 {
        self.bits.into()
    }

    /// Parses an offset: a bit's number, or `#n` for the n-th integer of this type. `None` if Redis would
    /// answer `ERR bit offset is not an integer or out of range`, which it does too if the offset's byte lies at
    /// `max_bytes` (`proto-max-bulk-len`) or behind.
    pub fn parse_offset(self, text: &[u8], max_bytes: u64) -> Option<u64> {
        let (number, scale) = match text {
            [b'#', number @ ..] => (number, self.bits()),
            number => (number, 1),
        };
        let number = u64::try_from(numeric::parse_i64(number)?).ok()?;
        number
            .checked_mul(scale)
            .filter(|offset| i64::try_from(*offset).is_ok() && offset / 8 < max_bytes)
    }

    /// Length in bytes that a string must have to hold an integer of this type at `offset`.
    pub fn needed_len(self, offset: u64) -> u64 {
        (offset + self.bits()).div_ceil(8)
    }

    /// Returns the integer at `offset`; bits behind the end are 0.
    pub fn get(self, bytes: &[u8], offset: u64) -> i64 {
        let top = (window(bytes, offset) << (offset % 8)) >> 64;
        // The integer's bits are the highest of the 64.
        let top = top as u64;
        let shift = 64 - u32::from(self.bits);
        if self.signed {
            (top as i64) >> shift
        } else {
            (top >> shift) as i64
        }
    }

    /// Stores `value` at `offset` and returns the integer that was there, or `None` if it does not fit and
    /// `overflow` is [`Overflow::Fail`]. To an unsigned type a negative `value` is a very large one.
    pub fn set(self, bytes: &mut [u8], offset: u64, value: i64, overflow: Overflow) -> Option<i64> {
        let wide = if self.signed {
            i128::from(value)
        } else {
            i128::from(value as u64)
        };
        let (_, max) = self.limits();
        // Redis computes the room above the value in 64 bits, so that the lowest values seem too high to it.
        let room_wraps = self.signed && max - wide > i128::from(i64::MAX);
        let fitted = match overflow {
            Overflow::Sat if room_wraps && self.bits < 64 => max as i64,
            Overflow::Sat | Overflow::Wrap | Overflow::Fail => self.fit(wide, overflow)?,
        };
        let old = self.get(bytes, offset);
        self.write(bytes, offset, fitted);
        Some(old)
    }

    /// Adds `increment` to the integer at `offset` and returns the new one, or `None` if it does not fit and
    /// `overflow` is [`Overflow::Fail`].
    pub fn incr_by(self, bytes: &mut [u8], offset: u64, increment: i64, overflow: Overflow) -> Option<i64> {
        let sum = i128::from(self.get(bytes, offset)) + i128::from(increment);
        let fitted = self.fit(sum, overflow)?;
        self.write(bytes, offset, fitted);
        Some(fitted)
    }

    fn limits(self) -> (i128, i128) {
        if self.signed {
            let half = 1i128 << (self.bits - 1);
            (-half, half - 1)
        } else {
            (0, (1i128 << self.bits) - 1)
        }
    }

    fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.limits();
        if (min..=max).contains(&value) {
            return Some(value as i64);
        }
        match overflow {
            Overflow::Fail => None,
            Overflow::Sat => Some(value.clamp(min, max) as i64),
            Overflow::Wrap => {
                let shift = 128 - u32::from(self.bits);
                let low = value << shift;
                Some(if self.signed {
                    low >> shift
                } else {
                    (low as u128 >> shift) as i128
                } as i64)
            }
        }
    }

    /// Writes the low bits of `value`; what lies behind the end is left out.
    fn write(self, bytes: &mut [u8], offset: u64, value: i64) {
        let shift = 128 - u32::from(self.bits);
        let aligned = ((value as u128) << shift) >> (offset % 8);
        let mask = (u128::MAX << shift) >> (offset % 8);
        let merged = (window(bytes, offset) & !mask) | aligned;
        if let Some(tail) = usize::try_from(offset / 8)
            .ok()
            .and_then(|at| bytes.get_mut(at..))
        {
            tail.iter_mut()
                .zip(merged.to_be_bytes())
                .for_each(|(byte, new)| *byte = new);
        }
    }
}

/// The 16 bytes from that of bit `offset` on, followed by zeros at the end, first byte highest. An integer
/// takes at most 9 of them.
fn window(bytes: &[u8], offset: u64) -> u128 {
    let tail = usize::try_from(offset / 8)
        .ok()
        .and_then(|at| bytes.get(at..))
        .unwrap_or(&[]);
    if let Some(chunk) = tail.first_chunk::<16>() {
        return u128::from_be_bytes(*chunk);
    }
    let mut padded = [0; 16];
    padded[..tail.len()].copy_from_slice(tail);
    u128::from_be_bytes(padded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitops::{get_bit, set_bit};
    use proptest::prelude::*;

    fn ty(text: &str) -> FieldType {
        FieldType::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn types_and_offsets() {
        for text in [
            "", "i", "u", "i0", "i65", "u64", "u-1", "i08", "x8", "8", "U8", "i8 ", "i300",
        ] {
            assert_eq!(FieldType::parse(text.as_bytes()), None, "{text}");
        }
        let offset = |text: &str| ty("u5").parse_offset(text.as_bytes(), 512 << 20);
        assert_eq!(offset("17"), Some(17));
        assert_eq!(offset("#3"), Some(15));
        assert_eq!(offset("4294967295"), Some(4294967295));
        for text in [
            "",
            "#",
            "-1",
            "#-1",
            "x",
            "4294967296",
            "#858993460",
            "#9223372036854775807",
        ] {
            assert_eq!(offset(text), None, "{text}");
        }
    }

    #[test]
    fn overflows() {
        let mut bytes = [0u8; 4];
        assert_eq!(ty("u2").incr_by(&mut bytes, 0, 3, Overflow::Wrap), Some(3));
        assert_eq!(ty("u2").incr_by(&mut bytes, 0, 1, Overflow::Sat), Some(3));
        assert_eq!(ty("u2").incr_by(&mut bytes, 0, 1, Overflow::Fail), None);
        assert_eq!(ty("u2").incr_by(&mut bytes, 0, 1, Overflow::Wrap), Some(0));
        assert_eq!(ty("u2").incr_by(&mut bytes, 0, -1, Overflow::Sat), Some(0));
        assert_eq!(ty("i8").set(&mut bytes, 8, 127, Overflow::Wrap), Some(0));
        assert_eq!(ty("i8").incr_by(&mut bytes, 8, 1, Overflow::Wrap), Some(-128));
        assert_eq!(ty("i8").incr_by(&mut bytes, 8, -1, Overflow::Sat), Some(-128));
        assert_eq!(ty("u8").set(&mut bytes, 8, -1, Overflow::Sat), Some(128));
        assert_eq!(ty("u8").get(&bytes, 8), 255);
        assert_eq!(bytes, [0, 255, 0, 0]);
        let mut bytes = [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(
            ty("i64").incr_by(&mut bytes, 0, i64::MAX, Overflow::Wrap),
            Some(-2)
        );
    }

    #[test]
    fn behind_the_end_is_zero() {
        assert_eq!(ty("u8").get(&[0xff], 4), 0xf0);
        assert_eq!(ty("i64").get(&[0xff], u64::MAX), 0);
        let mut bytes = [0u8];
        ty("u8").set(&mut bytes, 4, 0xff, Overflow::Wrap);
        assert_eq!(bytes, [0x0f]);
        assert_eq!(ty("u8").needed_len(4), 2);
        assert_eq!(ty("u8").needed_len(8), 2);
    }

    proptest! {
        #[test]
        fn gets_and_sets_bit_by_bit(
            bytes in prop::collection::vec(any::<u8>(), 0..30),
            offset in 0u64..200,
            signed: bool,
            bits in 1u8..=63,
            value: i64,
        ) {
            let field = FieldType { signed, bits };
            let mut naive = 0i64;
            for n in 0..field.bits() {
                naive = naive << 1 | i64::from(get_bit(&bytes, offset + n));
            }
            if signed && naive >> (bits - 1) != 0 {
                naive |= i64::MIN >> (63 - bits);
            }
            prop_assert_eq!(field.get(&bytes, offset), naive);

            let mut ours = bytes.clone();
            let mut theirs = bytes;
            prop_assert_eq!(field.set(&mut ours, offset, value, Overflow::Wrap), Some(naive));
            for n in 0..field.bits() {
                set_bit(&mut theirs, offset + n, value >> (field.bits() - 1 - n) & 1 == 1);
            }
            prop_assert_eq!(ours, theirs);
        }
    }
}
