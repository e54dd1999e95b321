//! The arithmetic of INCRBYFLOAT and HINCRBYFLOAT: x87 80-bit long doubles, done in integers so that every
//! platform gives the bytes that Redis gives on x86-64. Knows nothing of values or replies.
//!
//! ```text
//! value = (-1)^negative * mantissa * 2^exponent
//!         mantissa: 64 bits, top bit set unless exponent = -16445 (subnormal) or the value is zero
//! ```
//!
//! The numbers are read as C's `strtold` reads them (rounded once, ties to even), added with one rounding,
//! and printed as `%.17Lf` without trailing zeros. That is why 0.1 + 0.2 is 0.3.
//!
//! Source: the answers of Redis 7.0.15 on x86-64; the x87 extended format.

mod order;

use crate::floattext::{self, Decimal, Scanned};

const MANTISSA_BITS: u32 = 64;
/// Exponent of the smallest step: 2^-16445 is the least positive number.
const MIN_EXPONENT: i64 = -16445;
/// Exponent of the largest numbers, whose mantissas reach 2^64 - 1.
const MAX_EXPONENT: i64 = 16320;

/// Longest text, in bytes, that is taken for a long double.
pub const MAX_TEXT: usize = 5 * 1024 - 1;

/// Why INCRBYFLOAT refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IncrByFloatError {
    /// The present value or the increment is no float, or is out of the range of a long double.
    #[error("value is not a valid float")]
    NotAFloat,
    /// The sum is infinite or not a number.
    #[error("increment would produce NaN or Infinity")]
    NanOrInfinity,
}

/// Adds `increment` to `old`, both as text, and returns the sum's text: INCRBYFLOAT.
///
/// # Errors
/// If either text is no float, or if the sum is not finite.
pub fn incr_by_float(old: &[u8], increment: &[u8]) -> Result<Vec<u8>, IncrByFloatError> {
    let old = LongDouble::parse(old).ok_or(IncrByFloatError::NotAFloat)?;
    let increment = LongDouble::parse(increment).ok_or(IncrByFloatError::NotAFloat)?;
    let sum = old
        .checked_add(increment)
        .ok_or(IncrByFloatError::NanOrInfinity)?;
    Ok(sum.to_text())
}

/// Returns `value` as `%.17Lf` without trailing zeros, the form in which GEOPOS writes coordinates. An
/// infinite or undefined value is written `inf`, `-inf` or `nan`.
pub fn format_f64_human(value: f64) -> Vec<u8> {
    if value.is_nan() {
        b"nan".to_vec()
    } else {
        LongDouble::from(value).to_text()
    }
}

/// An 80-bit long double that is not NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongDouble {
    /// A number.
    Finite(Finite),
    /// Infinity; only as an operand, since no sum may become infinite.
    Infinite {
        /// Below zero.
        negative: bool,
    },
}

/// A finite long double, drawn at the top of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finite {
    negative: bool,
    mantissa: u64,
    exponent: i64,
}

impl From<f64> for LongDouble {
    /// Exact. NaN, which no caller has, becomes infinity.
    fn from(value: f64) -> LongDouble {
        let negative = value.is_sign_negative();
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        match ((bits >> 52) & 0x7ff) as i64 {
            0x7ff => LongDouble::Infinite { negative },
            0 => finite(negative, fraction.into(), false, -1074),
            biased => finite(negative, (fraction | 1 << 52).into(), false, biased - 1075),
        }
    }
}

impl LongDouble {
    /// Parses what `strtold` accepts to the last byte; no leading space, no NaN, no value that would become
    /// infinite or zero by its size, and at most [`MAX_TEXT`] bytes.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let scanned = floattext::scan(text)?;
        let value = match scanned {
            Scanned::Infinity { negative } => return Some(LongDouble::Infinite { negative }),
            Scanned::Hex(hex) => finite(hex.negative, hex.mantissa, hex.sticky, hex.exponent),
            Scanned::Decimal(decimal) => from_decimal(&decimal),
        };
        match value {
            LongDouble::Finite(Finite { mantissa: 0, .. }) if !scanned.is_zero() => None,
            LongDouble::Finite(_) => Some(value),
            LongDouble::Infinite { .. } => None,
        }
    }

    /// Tells whether the value is a number; HINCRBYFLOAT refuses other increments at once.
    pub fn is_finite(self) -> bool {
        matches!(self, LongDouble::Finite(_))
    }

    /// Returns the sum, rounded once, or `None` if it is not finite.
    pub fn checked_add(self, other: LongDouble) -> Option<LongDouble> {
        let (LongDouble::Finite(a), LongDouble::Finite(b)) = (self, other) else {
            return None;
        };
        Some(add(a, b)).filter(|sum| sum.is_finite())
    }

    /// Returns the text of `%.17Lf` without trailing zeros, and without the minus of `-0`.
    pub fn to_text(self) -> Vec<u8> {
        match self {
            LongDouble::Infinite { negative: true } => b"-inf".to_vec(),
            LongDouble::Infinite { negative: false } => b"inf".to_vec(),
            LongDouble::Finite(value) => print(value),
        }
    }
}

/// Rounds `mantissa * 2^exponent`, a little more if `sticky`, to the format.
fn finite(negative: bool, mantissa: u128, sticky: bool, exponent: i64) -> LongDouble {
    let (mantissa, exponent) = floattext::round(mantissa, sticky, exponent, MANTISSA_BITS, MIN_EXPONENT);
    if exponent > MAX_EXPONENT {
        LongDouble::Infinite { negative }
    } else {
        LongDouble::Finite(Finite {
            negative,
            mantissa,
            exponent,
        })
    }
}

fn add(a: Finite, b: Finite) -> LongDouble {
    if a.mantissa == 0 || b.mantissa == 0 {
        let negative = a.negative && b.negative;
        let sum = if a.mantissa == 0 { b } else { a };
        return LongDouble::Finite(if sum.mantissa == 0 {
            Finite { negative, ..sum }
        } else {
            sum
        });
    }
    let (high, low) = if a.exponent >= b.exponent { (a, b) } else { (b, a) };
    // The higher one moves left as far as 128 bits allow with one to spare; what then still sticks out of the
    // lower one on the right only matters for being there.
    let distance = high.exponent - low.exponent;
    let left = distance.min(63);
    let right = distance - left;
    let big = u128::from(high.mantissa) << left;
    let (small, sticky) = match u32::try_from(right) {
        Ok(right) if right < 64 => (low.mantissa >> right, low.mantissa & ((1u64 << right) - 1) != 0),
        _ => (0, true),
    };
    let small = u128::from(small);
    let exponent = high.exponent - left;
    if high.negative == low.negative {
        return finite(high.negative, big + small, sticky, exponent);
    }
    if big >= small {
        // With bits cut off, the difference lies below `big - small` by less than one.
        let negative = if big == small && !sticky {
            false
        } else {
            high.negative
        };
        finite(negative, big - small - u128::from(sticky), sticky, exponent)
    } else {
        // Only without a distance, so nothing was cut off.
        finite(low.negative, small - big, false, exponent)
    }
}

fn from_decimal(decimal: &Decimal<'_>) -> LongDouble {
    let negative = decimal.negative;
    let zero = LongDouble::Finite(Finite {
        negative,
        mantissa: 0,
        exponent: MIN_EXPONENT,
    });
    let mut digits: Vec<u8> = decimal.integer.iter().chain(decimal.fraction).copied().collect();
    let exponent = decimal.exponent - decimal.fraction.len() as i64;
    let Some(first) = digits.iter().position(|&digit| digit != b'0') else {
        return zero;
    };
    digits.drain(..first);
    // The value lies in [10^(magnitude - 1), 10^magnitude).
    let magnitude = exponent + digits.len() as i64;
    if magnitude > 4934 {
        return LongDouble::Infinite { negative };
    }
    if magnitude < -4951 {
        return zero;
    }
    if let Some(value) = from_short_decimal(negative, &digits, exponent) {
        return value;
    }
    let mut big = Big::from_digits(&digits);
    let mut binary = exponent;
    let mut sticky = false;
    if exponent >= 0 {
        big.multiply_by_power_of_five(exponent as u64);
    } else {
        // Enough bits that 128 or more of them outlive the division.
        let bits = 128 + (exponent.unsigned_abs() * 7).div_ceil(3);
        let words = bits.div_ceil(64);
        big.shift_left_words(words as usize);
        binary -= words as i64 * 64;
        sticky = big.divide_by_power_of_five(exponent.unsigned_abs());
    }
    let (top, dropped, cut) = big.top();
    finite(negative, top, sticky || cut, binary + dropped)
}

/// The common case, without a large number: digits that fit in a word, and a power of five that does.
fn from_short_decimal(negative: bool, digits: &[u8], exponent: i64) -> Option<LongDouble> {
    if digits.len() > TENS.1 || !(-(FIVES.1 as i64)..=0).contains(&exponent) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let left = u128::from(value).leading_zeros();
    let value = u128::from(value) << left;
    let power = u128::from(5u64.pow(exponent.unsigned_abs() as u32));
    // The quotient has 65 bits and more.
    let (quotient, sticky) = (value / power, value % power != 0);
    Some(finite(negative, quotient, sticky, exponent - i64::from(left)))
}

fn print(value: Finite) -> Vec<u8> {
    const DECIMALS: usize = 17;
    let mut digits = if value.exponent >= 0 {
        let mut big = Big::from_u64(value.mantissa);
        big.shift_left(value.exponent as u64);
        big.into_digits()
    } else {
        let scaled = u128::from(value.mantissa) * 10u128.pow(DECIMALS as u32);
        let scaled = shift_right_to_even(scaled, value.exponent.unsigned_abs());
        // The value lies below 2^64, or its exponent would not be negative.
        let one = 10u128.pow(DECIMALS as u32);
        let (integer, fraction) = ((scaled / one) as u64, (scaled % one) as u64);
        let mut text = integer.to_string().into_bytes();
        if fraction != 0 {
            text.extend_from_slice(format!(".{fraction:0DECIMALS$}").as_bytes());
            let end = text
                .iter()
                .rposition(|&digit| digit != b'0')
                .map_or(0, |last| last + 1);
            text.truncate(end);
        }
        text
    };
    if value.negative && digits != b"0" {
        digits.insert(0, b'-');
    }
    digits
}

fn shift_right_to_even(value: u128, shift: u64) -> u128 {
    if shift > 127 {
        // A scaled mantissa has at most 121 bits.
        return 0;
    }
    let kept = value >> shift;
    let rest = value & ((1u128 << shift) - 1);
    let half = 1u128 << (shift - 1);
    kept + u128::from(rest > half || (rest == half && kept & 1 == 1))
}

/// A natural number of any size, least significant word first, without zero words at the top.
struct Big(Vec<u64>);

/// The largest power of five in a word, and its exponent.
const FIVES: (u64, u64) = (5u64.pow(27), 27);
/// The largest power of ten in a word, and its exponent.
const TENS: (u64, usize) = (10u64.pow(19), 19);

impl Big {
    fn from_u64(value: u64) -> Big {
        Big(if value == 0 { Vec::new() } else { vec![value] })
    }

    fn from_digits(digits: &[u8]) -> Big {
        let mut big = Big(Vec::with_capacity(digits.len() / 19 + 1));
        for chunk in digits.chunks(TENS.1) {
            let value = chunk
                .iter()
                .fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            big.multiply_add(10u64.pow(chunk.len() as u32), value);
        }
        big
    }

    fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = addend;
        for word in &mut self.0 {
            let product = u128::from(*word) * u128::from(factor) + u128::from(carry);
            *word = product as u64;
            carry = (product >> 64) as u64;
        }
        if carry != 0 {
            self.0.push(carry);
        }
    }

    fn multiply_by_power_of_five(&mut self, exponent: u64) {
        for _ in 0..exponent / FIVES.1 {
            self.multiply_add(FIVES.0, 0);
        }
        self.multiply_add(5u64.pow((exponent % FIVES.1) as u32), 0);
    }

    /// Divides, rounding down, and tells whether there was a remainder.
    fn divide_by_power_of_five(&mut self, exponent: u64) -> bool {
        let mut sticky = false;
        for _ in 0..exponent / FIVES.1 {
            sticky |= self.divide(FIVES.0) != 0;
        }
        sticky | (self.divide(5u64.pow((exponent % FIVES.1) as u32)) != 0)
    }

    /// Divides, rounding down, and returns the remainder.
    fn divide(&mut self, divisor: u64) -> u64 {
        let mut remainder = 0u64;
        for word in self.0.iter_mut().rev() {
            let value = u128::from(remainder) << 64 | u128::from(*word);
            *word = (value / u128::from(divisor)) as u64;
            remainder = (value % u128::from(divisor)) as u64;
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        remainder
    }

    fn shift_left_words(&mut self, words: usize) {
        self.0.splice(0..0, std::iter::repeat_n(0, words));
    }

    fn shift_left(&mut self, bits: u64) {
        self.multiply_add(1 << (bits % 64), 0);
        self.shift_left_words((bits / 64) as usize);
    }

    /// Returns the two top words, how many bits lie below them, and whether any of those is set.
    fn top(&self) -> (u128, i64, bool) {
        match self.0.as_slice() {
            [] => (0, 0, false),
            [word] => (u128::from(*word), 0, false),
            [below @ .., low, high] => {
                let top = u128::from(*high) << 64 | u128::from(*low);
                (top, below.len() as i64 * 64, below.iter().any(|&word| word != 0))
            }
        }
    }

    fn into_digits(mut self) -> Vec<u8> {
        let mut chunks = Vec::new();
        while !self.0.is_empty() {
            chunks.push(self.divide(TENS.0));
        }
        let mut out = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.into_iter().rev() {
            out.push_str(&format!("{chunk:0width$}", width = TENS.1));
        }
        out.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn incr(old: &str, increment: &str) -> Result<String, IncrByFloatError> {
        incr_by_float(old.as_bytes(), increment.as_bytes()).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn sums() {
        for (old, increment, sum) in [
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-3", "0"),
            ("-1", "-0.5", "-1.5"),
            ("1e20", "1", "100000000000000000000"),
            ("1", "-1e-20", "1"),
            ("-0", "-0", "0"),
            ("-1e-30", "0", "0"),
            ("0x10", "0x.8", "16.5"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551616", "1", "18446744073709551616"),
            ("18446744073709551616", "3", "18446744073709551620"),
            (
                "17179869184",
                "-3.14159265358979",
                "17179869180.85840734653174877",
            ),
        ] {
            assert_eq!(incr(old, increment).as_deref(), Ok(sum), "{old} + {increment}");
        }
    }

    #[test]
    fn refusals() {
        for text in [
            "", " 1", "1 ", "abc", "nan", "1e5000", "1e-5000", "-1e5000", "1.2.3", "0x",
        ] {
            assert_eq!(incr("1", text), Err(IncrByFloatError::NotAFloat), "{text}");
            assert_eq!(incr(text, "1"), Err(IncrByFloatError::NotAFloat), "{text}");
        }
        for (old, increment) in [
            ("inf", "1"),
            ("1", "-inf"),
            ("inf", "-inf"),
            ("1.1e4932", "1.1e4932"),
        ] {
            assert_eq!(
                incr(old, increment),
                Err(IncrByFloatError::NanOrInfinity),
                "{old} + {increment}"
            );
        }
        let long = "1.".to_owned() + &"0".repeat(MAX_TEXT - 2);
        assert_eq!(incr(&long, "1").as_deref(), Ok("2"));
        assert_eq!(incr(&(long + "0"), "1"), Err(IncrByFloatError::NotAFloat));
    }

    #[test]
    fn limits_of_the_format() {
        let parse = |text: &str| LongDouble::parse(text.as_bytes());
        let parts = |negative, mantissa, exponent| {
            Some(LongDouble::Finite(Finite {
                negative,
                mantissa,
                exponent,
            }))
        };
        assert_eq!(
            parse("3.6451995318824746025e-4951"),
            parts(false, 1, MIN_EXPONENT)
        );
        assert_eq!(
            parse("1.8225997659412373013e-4951"),
            parts(false, 1, MIN_EXPONENT)
        );
        assert_eq!(parse("1.8225997659412373012e-4951"), None);
        assert_eq!(
            parse("1.18973149535723176502e+4932"),
            parts(false, u64::MAX, MAX_EXPONENT)
        );
        assert_eq!(
            parse("1.18973149535723176504e+4932"),
            parts(false, u64::MAX, MAX_EXPONENT)
        );
        assert_eq!(parse("1.18973149535723176509e+4932"), None);
        assert_eq!(parse("-1"), parts(true, 1 << 63, -63));
        assert_eq!(
            parse(&("1".to_owned() + &"0".repeat(5000) + "e-5000")),
            parse("1")
        );
        // Halfway between two numbers, but for a one five thousand digits behind the point.
        let tie = "18446744073709551617.".to_owned() + &"0".repeat(5000);
        assert_eq!(parse(&tie), parse("18446744073709551616"));
        assert_eq!(parse(&(tie + "1")), parse("18446744073709551618"));
    }

    #[test]
    fn doubles_are_printed_to_seventeen_decimals() {
        for (value, text) in [
            (13.361_389_338_970_184, "13.36138933897018433"),
            (-122.270_149_052_143_1, "-122.27014905214309692"),
            (1e22, "10000000000000000000000"),
            (0.0, "0"),
            (-0.0, "0"),
            (5e-324, "0"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(String::from_utf8(format_f64_human(value)).unwrap(), text);
        }
    }

    proptest! {
        /// A double's 17 decimals do not depend on the type that prints them.
        #[test]
        fn doubles_print_as_rust_prints_them(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let full = format!("{value:.17}");
            let text = full.trim_end_matches('0').trim_end_matches('.');
            let text = if text == "-0" { "0" } else { text };
            prop_assert_eq!(String::from_utf8(format_f64_human(value)).unwrap(), text);
        }

        /// A double survives the way through the longer format, and its exact decimal text is read exactly.
        #[test]
        fn exact_texts_are_exact(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite() && value != 0.0);
            prop_assert_eq!(LongDouble::parse(format!("{value:.1074}").as_bytes()), Some(LongDouble::from(value)));
        }

        /// Sums of integers that fit are exact.
        #[test]
        fn integers_add_up(a in -(1i64 << 62)..1 << 62, b in -(1i64 << 62)..1 << 62) {
            prop_assert_eq!(incr(&a.to_string(), &b.to_string()), Ok((a + b).to_string()));
        }

        #[test]
        fn addition_commutes_and_nothing_panics(a in r"-?[0-9]{1,25}\.?[0-9]{0,25}(e-?[0-9]{1,5})?", b in r"-?[0-9]{1,25}(e-?[0-9]{1,4})?") {
            prop_assert_eq!(incr(&a, &b), incr(&b, &a));
        }
    }
}
