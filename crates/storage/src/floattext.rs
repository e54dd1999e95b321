//! The grammar of C's `strtod`, shared by doubles and long doubles: takes a text apart and rounds binary
//! mantissas. Knows no limits of its callers' formats but those that are passed in.

/// A text that is a number to `strtod` from its first byte to its last. NaN is none, since every caller
/// refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanned<'a> {
    /// `inf` or `infinity`.
    Infinity {
        /// A minus stood before it.
        negative: bool,
    },
    /// A decimal float.
    Decimal(Decimal<'a>),
    /// A hexadecimal float.
    Hex(Hex),
}

/// `integer . fraction * 10^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal<'a> {
    pub negative: bool,
    /// Digits before the point, maybe none.
    pub integer: &'a [u8],
    /// Digits after the point, maybe none.
    pub fraction: &'a [u8],
    /// Power of ten, held within [`EXPONENT_LIMIT`].
    pub exponent: i64,
}

/// `mantissa * 2^exponent`, a little more if `sticky`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hex {
    pub negative: bool,
    pub mantissa: u128,
    /// Digits that are not all zero were cut off below the mantissa.
    pub sticky: bool,
    /// Power of two.
    pub exponent: i64,
}

/// Larger exponents are cut to this; no text that fits in memory can make up for it.
const EXPONENT_LIMIT: i64 = 1 << 50;

impl Scanned<'_> {
    /// Tells whether all digits are zero.
    pub fn is_zero(&self) -> bool {
        match self {
            Scanned::Infinity { .. } => false,
            Scanned::Decimal(d) => d.integer.iter().chain(d.fraction).all(|&digit| digit == b'0'),
            Scanned::Hex(hex) => hex.mantissa == 0 && !hex.sticky,
        }
    }
}

/// Takes `text` apart, or returns `None` if it is not wholly a number.
pub(crate) fn scan(text: &[u8]) -> Option<Scanned<'_>> {
    let (negative, body) = match text {
        [b'-', body @ ..] => (true, body),
        [b'+', body @ ..] => (false, body),
        body => (false, body),
    };
    if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
        return Some(Scanned::Infinity { negative });
    }
    match body {
        [b'0', b'x' | b'X', digits @ ..] => scan_hex(negative, digits).map(Scanned::Hex),
        digits => scan_decimal(negative, digits).map(Scanned::Decimal),
    }
}

fn scan_decimal(negative: bool, text: &[u8]) -> Option<Decimal<'_>> {
    let (integer, fraction, rest) = split_digits(text, u8::is_ascii_digit)?;
    let exponent = scan_exponent(rest, b'e')?;
    Some(Decimal {
        negative,
        integer,
        fraction,
        exponent,
    })
}

fn scan_hex(negative: bool, text: &[u8]) -> Option<Hex> {
    let (integer, fraction, rest) = split_digits(text, u8::is_ascii_hexdigit)?;
    let mut exponent = scan_exponent(rest, b'p')? - 4 * fraction.len() as i64;
    let mut mantissa = 0u128;
    let mut sticky = false;
    for &byte in integer.iter().chain(fraction) {
        let digit = char::from(byte)
            .to_digit(16)
            .expect("only hexadecimal digits were split off");
        if mantissa >> 124 == 0 {
            mantissa = mantissa << 4 | u128::from(digit);
        } else {
            sticky |= digit != 0;
            exponent += 4;
        }
    }
    Some(Hex {
        negative,
        mantissa,
        sticky,
        exponent,
    })
}

/// The digits before a point, those after it, and the text behind them.
type Digits<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Splits `digits [. digits] rest`; at least one digit must be there.
fn split_digits(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> Option<Digits<'_>> {
    let count = |text: &[u8]| text.iter().take_while(|byte| is_digit(byte)).count();
    let (integer, rest) = text.split_at(count(text));
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => rest.split_at(count(rest)),
        rest => (&rest[..0], rest),
    };
    (!integer.is_empty() || !fraction.is_empty()).then_some((integer, fraction, rest))
}

/// Parses nothing, or `mark`, an optional sign and digits up to the end of `text`.
fn scan_exponent(text: &[u8], mark: u8) -> Option<i64> {
    let Some((first, rest)) = text.split_first() else {
        return Some(0);
    };
    if first.to_ascii_lowercase() != mark {
        return None;
    }
    let (negative, digits) = match rest {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0i64, |sum, digit| {
        (sum * 10 + i64::from(digit - b'0')).min(EXPONENT_LIMIT)
    });
    Some(if negative { -magnitude } else { magnitude })
}

/// Rounds `mantissa * 2^exponent` (a little more if `sticky`) to `bits` significant bits (64 at most), ties
/// to even, but to no multiple of less than `2^min_exponent`. The result's mantissa is normalized unless
/// its exponent is `min_exponent`; there is no upper limit to its exponent.
pub(crate) fn round(mantissa: u128, sticky: bool, exponent: i64, bits: u32, min_exponent: i64) -> (u64, i64) {
    debug_assert!((1..=64).contains(&bits));
    if mantissa == 0 {
        return (0, min_exponent);
    }
    // All 128 bits in use, so that whatever is cut off lies to the right.
    let left = mantissa.leading_zeros();
    let mantissa = mantissa << left;
    let exponent = exponent - i64::from(left);
    let cut = i64::from(128 - bits).max(min_exponent - exponent);
    if cut > 128 {
        return (0, min_exponent);
    }
    let kept = if cut == 128 { 0 } else { (mantissa >> cut) as u64 };
    let half = 1u128 << (cut - 1);
    let below = mantissa & (half - 1);
    let above_half = mantissa & half != 0 && (below != 0 || sticky || kept & 1 == 1);
    match kept.checked_add(u64::from(above_half)) {
        Some(rounded) if bits == 64 || rounded >> bits == 0 => (rounded, exponent + cut),
        // Carried into a bit more: a power of two.
        Some(_) | None => (1 << (bits - 1), exponent + cut + 1),
    }
}
