//! Numbers from and to text, as strict as Redis. Knows nothing of values or replies; long doubles (the
//! arithmetic of INCRBYFLOAT) are in `longdouble`.
//!
//! Source: the answers of Redis 7.0.15 to the texts in the tests; C's `strtod` and `printf`.

use crate::floattext::{self, Scanned};

/// No text of a 64-bit integer is longer, sign included.
const MAX_I64_TEXT: usize = 20;

/// Parses a signed 64-bit integer that is written the one canonical way: decimal digits with an optional
/// minus; no plus, no leading zero, no space, no `-0`. Anything else is not an integer to Redis.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > MAX_I64_TEXT {
        return None;
    }
    let (negative, digits) = match text {
        [b'0'] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (&first, rest) = digits.split_first()?;
    if !(b'1'..=b'9').contains(&first) {
        return None;
    }
    let mut magnitude = u64::from(first - b'0');
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Parses a double as ZADD takes its scores: what C's `strtod` accepts to the last byte (decimal and hexadecimal
/// floats, `inf` and `infinity` in any case, a plus), but no leading space, no NaN, and nothing so large or so
/// small that it would become infinite or zero.
#[inline]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    if let Some(value) = parse_short_integer(text) {
        return Some(value);
    }
    let scanned = floattext::scan(text)?;
    let value = to_f64(text, &scanned);
    let out_of_range = match scanned {
        Scanned::Infinity { .. } => false,
        Scanned::Decimal(_) | Scanned::Hex(_) => value.is_infinite() || (value == 0.0 && !scanned.is_zero()),
    };
    (!out_of_range).then_some(value)
}

/// Parses one end of a score range as ZRANGEBYSCORE and ZCOUNT take it, without its `(`. It is laxer than
/// [`parse_f64`]: leading white space is skipped, the text ends at a zero byte, an empty text is 0, and what
/// is too large or too small becomes infinite or zero.
pub fn parse_score_bound(text: &[u8]) -> Option<f64> {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    let text = &text[..end];
    if text.is_empty() {
        return Some(0.0);
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let skipped = text.iter().take_while(|byte| is_space(byte)).count();
    let text = &text[skipped..];
    let scanned = floattext::scan(text)?;
    Some(to_f64(text, &scanned))
}

/// The common case of a score: at most 15 digits, so exact in a double.
#[inline]
fn parse_short_integer(text: &[u8]) -> Option<f64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let mut value = 0u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value as f64)
}

fn to_f64(text: &[u8], scanned: &Scanned<'_>) -> f64 {
    match scanned {
        Scanned::Infinity { negative } => sign(f64::INFINITY, *negative),
        Scanned::Hex(hex) => sign(hex_to_f64(hex), hex.negative),
        // The scanner accepts a subset of what Rust's parser does, and that rounds correctly.
        Scanned::Decimal(_) => {
            let text = std::str::from_utf8(text).expect("a decimal float is ASCII");
            text.parse().expect("a scanned decimal float parses")
        }
    }
}

fn sign(magnitude: f64, negative: bool) -> f64 {
    if negative { -magnitude } else { magnitude }
}

fn hex_to_f64(hex: &floattext::Hex) -> f64 {
    const MANTISSA_BITS: u32 = 53;
    const MIN_EXPONENT: i64 = -1074;
    const MAX_EXPONENT: i64 = 971;
    let (mantissa, exponent) = floattext::round(
        hex.mantissa,
        hex.sticky,
        hex.exponent,
        MANTISSA_BITS,
        MIN_EXPONENT,
    );
    if mantissa == 0 {
        return 0.0;
    }
    if exponent > MAX_EXPONENT {
        return f64::INFINITY;
    }
    let implicit = 1u64 << (MANTISSA_BITS - 1);
    // Subnormal numbers have a biased exponent of 0, the same scale as 1, and no implicit bit.
    let biased = if mantissa < implicit {
        0
    } else {
        exponent - MIN_EXPONENT + 1
    };
    f64::from_bits(((biased as u64) << (MANTISSA_BITS - 1)) | (mantissa & (implicit - 1)))
}

/// Integers of at most this magnitude are printed by [`format_f64_17g`] as integers; they have at most 17 digits.
const MAX_EXACT_INTEGER: f64 = 4_503_599_627_370_496.0;

/// Returns the text of C's `%.17g`, in which Redis 7.0 writes scores: 17 significant digits without trailing
/// zeros, an exponent below -4 or from 17 up, `inf`, `-inf`, `nan` and `-0`.
pub fn format_f64_17g(value: f64) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    push_f64_17g(&mut out, value);
    out
}

/// Appends what [`format_f64_17g`] returns.
pub fn push_f64_17g(out: &mut Vec<u8>, value: f64) {
    const DIGITS: i32 = 17;
    if value.abs() <= MAX_EXACT_INTEGER && value.fract() == 0.0 && (value != 0.0 || value.is_sign_positive())
    {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value.is_nan() || value.is_infinite() {
        out.extend_from_slice(if value.is_nan() { b"nan" } else { b"inf" });
        return;
    }
    if value == 0.0 {
        out.push(b'0');
        return;
    }
    if let Some((digits, point)) = plain_digits(value.abs()) {
        push_plain(out, digits, point);
        return;
    }
    // `d.dddddddddddddddde-x`, correctly rounded with ties to even, as glibc's printf does.
    let text = format!("{:.*e}", DIGITS as usize - 1, value.abs());
    let (mantissa, exponent) = text
        .split_once('e')
        .expect("a number in scientific notation has an exponent");
    let exponent: i32 = exponent
        .parse()
        .expect("the exponent of a double is a small integer");
    let mantissa = mantissa.as_bytes();
    let digits: Vec<u8> = std::iter::once(mantissa[0])
        .chain(mantissa[2..].iter().copied())
        .collect();
    let significant = digits
        .iter()
        .rposition(|&digit| digit != b'0')
        .map_or(1, |last| last + 1);
    let digits = &digits[..significant];
    if !(-4..DIGITS).contains(&exponent) {
        out.push(digits[0]);
        push_fraction(out, &digits[1..]);
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.abs() < 10 {
            out.push(b'0');
        }
        out.extend_from_slice(itoa::Buffer::new().format(exponent.abs()).as_bytes());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        let integer = exponent as usize + 1;
        if digits.len() <= integer {
            out.extend_from_slice(digits);
            out.resize(out.len() + integer - digits.len(), b'0');
        } else {
            out.extend_from_slice(&digits[..integer]);
            push_fraction(out, &digits[integer..]);
        }
    }
}

/// Returns the 17 significant digits of a number from 0.0001 to 2^53, and how many of them stand before the point
/// (less than none if zeros follow it). This is what scores mostly are, and needs no arbitrary precision.
fn plain_digits(value: f64) -> Option<(u64, i32)> {
    const LEAST: u64 = 10u64.pow(16);
    if !(0.0001..9e15).contains(&value) {
        return None;
    }
    let bits = value.to_bits();
    let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
    // 1 to 66, since the value is below 2^53; the product below has at most 53 + 67 bits.
    let shift = 1075u64
        .checked_sub(bits >> 52)
        .filter(|shift| (1..=66).contains(shift))?;
    let mut point = match (mantissa >> shift) as u64 {
        0 => 0,
        integer => integer.ilog10() as i32 + 1,
    };
    while point <= 0 && (mantissa * 10u128.pow((17 - point) as u32)) >> shift < u128::from(LEAST) {
        point -= 1;
    }
    let scaled = mantissa * 10u128.pow((17 - point) as u32);
    let rest = scaled & ((1 << shift) - 1);
    let half = 1u128 << (shift - 1);
    let kept = (scaled >> shift) as u64;
    let digits = kept + u64::from(rest > half || (rest == half && kept & 1 == 1));
    // A carry into an 18th digit is left to the general way.
    (LEAST..10 * LEAST).contains(&digits).then_some((digits, point))
}

/// Writes digits without an exponent and without trailing zeros.
fn push_plain(out: &mut Vec<u8>, digits: u64, point: i32) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(digits).trim_end_matches('0').as_bytes();
    match usize::try_from(point) {
        Ok(point @ 1..) => {
            let (integer, fraction) = text.split_at(point.min(text.len()));
            out.extend_from_slice(integer);
            out.resize(out.len() + point - integer.len(), b'0');
            push_fraction(out, fraction);
        }
        Ok(0) | Err(_) => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + point.unsigned_abs() as usize, b'0');
            out.extend_from_slice(text);
        }
    }
}

fn push_fraction(out: &mut Vec<u8>, digits: &[u8]) {
    if !digits.is_empty() {
        out.push(b'.');
        out.extend_from_slice(digits);
    }
}

/// Returns a number of bytes as INFO's `_human` fields write it: `0B`, `1023B`, `1.00K`, `1.50M`, up to `P`.
pub fn bytes_human(bytes: u64) -> String {
    const UNITS: [(u32, char); 5] = [(50, 'P'), (40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    match UNITS.iter().find(|(shift, _)| bytes >> shift != 0) {
        // Redis knows no unit above petabytes and falls back to bytes.
        Some((50, _)) if bytes >> 60 != 0 => format!("{bytes}B"),
        Some((shift, unit)) => format!("{:.2}{unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn g17(value: f64) -> String {
        String::from_utf8(format_f64_17g(value)).unwrap()
    }

    #[test]
    fn integers() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            "+1",
            "-0",
            "00",
            "01",
            "-01",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "123456789012345678901",
            "1\0",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn scores() {
        for (text, value) in [
            ("1", 1.0),
            ("007", 7.0),
            ("+5", 5.0),
            ("5.", 5.0),
            (".5", 0.5),
            ("1E5", 1e5),
            ("-1e-2", -0.01),
            ("inf", f64::INFINITY),
            ("+INF", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x10", 16.0),
            ("-0x1", -1.0),
            ("0x.8", 0.5),
            ("0X1.8P+1", 3.0),
            ("0x1p-1074", 5e-324),
            ("0x1.fffffffffffff7p1023", f64::MAX),
            ("0x1.00000000000008p0", 1.0),
            (
                "0x1.00000000000008000000000000000000000000001p0",
                1.0 + f64::EPSILON,
            ),
            ("4.9e-324", 5e-324),
            ("0e99999999999999999999", 0.0),
            ("1000000000000000000000", 1e21),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        assert!(parse_f64(b"-0").unwrap().is_sign_negative());
        for text in [
            "",
            " ",
            ".",
            "+",
            "-",
            "e5",
            "1e",
            "1e+",
            " 1",
            "1 ",
            "\t1",
            "++1",
            "1_0",
            "nan",
            "-nan",
            "nan(1)",
            "infi",
            "infinit",
            "inf ",
            "0x",
            "0x.",
            "0xp1",
            "0x1p",
            "1f",
            "1e400",
            "-1e400",
            "1e-400",
            "0x1p1024",
            "0x1p-1076",
            "1e99999999999999999999",
            "1\0",
            "é",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bounds_of_score_ranges() {
        for (text, value) in [
            ("", 0.0),
            (" \t1", 1.0),
            ("1\0x", 1.0),
            ("1e400", f64::INFINITY),
            ("-1e400", f64::NEG_INFINITY),
            ("1e-400", 0.0),
            ("-inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_score_bound(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["nan", "1 ", "1x", "(1"] {
            assert_eq!(parse_score_bound(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn seventeen_digits() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-1.5, "-1.5"),
            (3.3, "3.2999999999999998"),
            (0.1, "0.10000000000000001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e20, "1e+20"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (1e-100, "1e-100"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            // 18 digits that end in 5: ties go to even.
            (1.0 + 2f64.powi(-17), "1.0000076293945312"),
            (1.0 + 3.0 * 2f64.powi(-17), "1.0000228881835938"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(g17(value), text);
        }
    }

    #[test]
    fn humans() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_572_864, "1.50M"),
            (1 << 30, "1.00G"),
            (3 << 40, "3.00T"),
            (5 << 50, "5.00P"),
            (1 << 60, "1152921504606846976B"),
        ] {
            assert_eq!(bytes_human(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn every_integer_comes_back(value: i64) {
            prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn an_integer_is_its_own_canonical_text(text in "-?[0-9]{0,21}") {
            let canonical = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
            prop_assert_eq!(parse_i64(text.as_bytes()), canonical);
        }

        #[test]
        fn every_double_comes_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(parse_f64(g17(value).as_bytes()).map(f64::to_bits), Some(value.to_bits()));
        }

        /// The short way to the digits gives those of the long one.
        #[test]
        fn plain_digits_are_the_general_ones(mantissa in 1u64..1 << 53, shift in 0i32..67) {
            let value = mantissa as f64 / 2f64.powi(shift);
            if let Some((digits, point)) = plain_digits(value) {
                let text = format!("{value:.16e}");
                let (general, exponent) = text.split_once('e').unwrap();
                prop_assert_eq!(digits.to_string(), general.replace('.', ""));
                prop_assert_eq!(point - 1, exponent.parse::<i32>().unwrap());
            }
        }

        #[test]
        fn hexadecimal_rounds_once(mantissa: u64, exponent in -1000i32..900) {
            let expected = mantissa as f64 * 2f64.powi(exponent);
            prop_assert_eq!(parse_f64(format!("0x{mantissa:x}p{exponent}").as_bytes()), Some(expected));
        }

        #[test]
        fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..30)) {
            let _ = (parse_i64(&text), parse_f64(&text), parse_score_bound(&text));
        }
    }
}
