//! Numbers as C reads and writes them: `strtod` and `%.{precision}g`.

use std::io::Write;

/// The number at the start of `text` and how many bytes it takes, as `strtod` reads it without leading blanks: decimal,
/// hexadecimal, `inf`, `infinity`, `nan`, `nan(...)`, each with a sign.
pub(super) fn parse(text: &[u8]) -> Option<(f64, usize)> {
    let signed = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let magnitude = &text[signed..];
    let (value, len) = named(magnitude)
        .or_else(|| hexadecimal(magnitude))
        .or_else(|| decimal(magnitude))?;
    let negative = text[0] == b'-';
    Some((if negative { -value } else { value }, signed + len))
}

fn named(text: &[u8]) -> Option<(f64, usize)> {
    let starts_with = |name: &[u8]| {
        text.get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    if starts_with(b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if starts_with(b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if !starts_with(b"nan") {
        return None;
    }
    let inner = text[3..].strip_prefix(b"(").unwrap_or_default();
    let word = count(inner, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let len = if inner.get(word) == Some(&b')') {
        3 + word + 2
    } else {
        3
    };
    Some((f64::NAN, len))
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = count(text, |byte| byte.is_ascii_digit());
    let mut len = whole;
    let mut digits = whole;
    if text.get(len) == Some(&b'.') {
        let fraction = count(&text[len + 1..], |byte| byte.is_ascii_digit());
        digits += fraction;
        len += 1 + fraction;
    }
    if digits == 0 {
        return None;
    }
    len += exponent(&text[len..], b'e').map_or(0, |(_, len)| len);
    let number = std::str::from_utf8(&text[..len]).ok()?;
    Some((number.parse().ok()?, len))
}

fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let digits = match text {
        [b'0', b'x' | b'X', rest @ ..] => rest,
        _ => return None,
    };
    let whole = count(digits, |byte| byte.is_ascii_hexdigit());
    let fraction = match digits.get(whole) {
        Some(b'.') => count(&digits[whole + 1..], |byte| byte.is_ascii_hexdigit()),
        _ => 0,
    };
    if whole + fraction == 0 {
        return None;
    }
    let mut mantissa = 0u64;
    let mut exponent_of_mantissa = 0i64;
    let fraction_digits = digits.get(whole + 1..whole + 1 + fraction).unwrap_or_default();
    let all = digits[..whole].iter().chain(fraction_digits);
    for (place, digit) in all.enumerate() {
        let digit = u64::from(char::from(*digit).to_digit(16).unwrap_or(0));
        let is_fraction = place >= whole;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            exponent_of_mantissa -= if is_fraction { 4 } else { 0 };
        } else {
            // Too small to be kept, but it may decide which way to round.
            mantissa |= u64::from(digit != 0);
            exponent_of_mantissa += if is_fraction { 0 } else { 4 };
        }
    }
    let mut len = 2 + whole;
    if digits.get(whole) == Some(&b'.') {
        len += 1 + fraction;
    }
    let (binary, exponent_len) = exponent(&text[len..], b'p').unwrap_or((0, 0));
    Some((
        scale(mantissa, exponent_of_mantissa.saturating_add(binary)),
        len + exponent_len,
    ))
}

/// An exponent with its letter, and how many bytes it takes.
fn exponent(text: &[u8], letter: u8) -> Option<(i64, usize)> {
    if !text.first()?.eq_ignore_ascii_case(&letter) {
        return None;
    }
    let negative = text.get(1) == Some(&b'-');
    let start = 1 + usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    let digits = count(&text[start..], |byte| byte.is_ascii_digit());
    if digits == 0 {
        return None;
    }
    let value = text[start..start + digits].iter().fold(0i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    Some((if negative { -value } else { value }, start + digits))
}

fn count(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| belongs(**byte)).count()
}

/// `mantissa * 2^exponent`, rounded to the nearest, ties to even.
fn scale(mantissa: u64, exponent: i64) -> f64 {
    const MIN_EXPONENT: i64 = -1074;
    const MAX_EXPONENT: i64 = 1023;
    if mantissa == 0 {
        return 0.0;
    }
    let top = exponent.saturating_add(63 - i64::from(mantissa.leading_zeros()));
    if top > MAX_EXPONENT {
        return f64::INFINITY;
    }
    if top < MIN_EXPONENT - 1 {
        return 0.0;
    }
    // The exponent of the last bit that a double keeps.
    let last = (top - 52).max(MIN_EXPONENT);
    let dropped = last - exponent;
    let kept = match u32::try_from(dropped) {
        Ok(dropped @ 0..=100) => {
            let wide = u128::from(mantissa);
            let (kept, rest) = (wide >> dropped, wide & ((1 << dropped) - 1));
            let half = (1u128 << dropped) >> 1;
            let up = rest > half || rest == half && dropped > 0 && kept & 1 == 1;
            (kept + u128::from(up)) as f64
        }
        Ok(_) => 0.0,
        // Fewer bits than a double has: nothing to round.
        Err(_) => return mantissa as f64 * power_of_two(exponent),
    };
    kept * power_of_two(last)
}

/// 2 to a power between -1074 and 1023.
fn power_of_two(exponent: i64) -> f64 {
    if exponent >= -1022 {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    } else {
        f64::from_bits(1 << (exponent + 1074))
    }
}

/// Appends a number as `%.{precision}g` does.
pub(super) fn format(number: f64, precision: usize, out: &mut Vec<u8>) {
    if number.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    let number = number.abs();
    if number.is_infinite() {
        return out.extend_from_slice(b"inf");
    }
    // Below this, whole numbers have no digit that is rounded away.
    let exact = 10u64.pow(precision.min(15) as u32);
    if number.trunc() == number && number < exact as f64 {
        return out.extend_from_slice(itoa::Buffer::new().format(number as u64).as_bytes());
    }
    // d.ddde-ddd, with as many digits as wanted.
    let mut text = [0u8; 40];
    let mut unwritten = &mut text[..];
    write!(unwritten, "{number:.*e}", precision - 1).expect("24 bytes at most");
    let unwritten_len = unwritten.len();
    lay_out(&text[..text.len() - unwritten_len], precision, out);
}

fn lay_out(scientific: &[u8], precision: usize, out: &mut Vec<u8>) {
    let split = scientific.iter().position(|byte| *byte == b'e');
    let (mantissa, exponent) = scientific.split_at(split.expect("core writes an exponent"));
    let exponent: i32 = std::str::from_utf8(&exponent[1..])
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("core writes a plain number");
    let mut digits: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();
    while digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
    }
    if exponent < -4 || exponent >= precision as i32 {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        let magnitude = exponent.unsigned_abs();
        write!(out, "e{sign}{magnitude:02}").expect("a vector takes all");
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + exponent.unsigned_abs() as usize - 1, b'0');
        out.extend_from_slice(&digits);
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            out.extend_from_slice(&digits);
            out.resize(out.len() + whole - digits.len(), b'0');
        } else {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    fn text(number: f64, precision: usize) -> String {
        let mut out = Vec::new();
        format(number, precision, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn written_as_percent_g() {
        assert_eq!(text(0.1, 14), "0.1");
        assert_eq!(text(-0.0, 14), "-0");
        assert_eq!(text(1e15, 14), "1e+15");
        assert_eq!(text(123_456_789_012_345.0, 14), "1.2345678901234e+14");
        assert_eq!(text(1e-5, 14), "1e-05");
        assert_eq!(text(0.000_123, 14), "0.000123");
        assert_eq!(text(1234.5, 3), "1.23e+03");
        assert_eq!(text(99999.0, 3), "1e+05");
        assert_eq!(text(1e100, 14), "1e+100");
        assert_eq!(text(f64::NEG_INFINITY, 14), "-inf");
        assert_eq!(text(5e-324, 14), "4.9406564584125e-324");
        assert_eq!(text(100.0, 1), "1e+02");
    }

    #[test]
    fn read_as_strtod() {
        assert_eq!(parse(b"12.5e1x"), Some((125.0, 6)));
        assert_eq!(parse(b"1."), Some((1.0, 2)));
        assert_eq!(parse(b"-.5"), Some((-0.5, 3)));
        assert_eq!(parse(b"1e"), Some((1.0, 1)));
        assert_eq!(parse(b"1e+"), Some((1.0, 1)));
        assert_eq!(parse(b"0x"), Some((0.0, 1)));
        assert_eq!(parse(b"0x1.8p1"), Some((3.0, 7)));
        assert_eq!(parse(b"-0x.8"), Some((-0.5, 5)));
        assert_eq!(parse(b"0x1p"), Some((1.0, 3)));
        assert_eq!(parse(b"inFinit"), Some((f64::INFINITY, 3)));
        assert_eq!(parse(b"1e999"), Some((f64::INFINITY, 5)));
        assert!(parse(b"nan(a_1)x").is_some_and(|(value, len)| value.is_nan() && len == 8));
        assert!(parse(b"nan(a-1)x").is_some_and(|(value, len)| value.is_nan() && len == 3));
        assert_eq!(parse(b"-"), None);
        assert_eq!(parse(b"."), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn hexadecimal_is_rounded_once() {
        assert_eq!(parse(b"0x1p-1074"), Some((5e-324, 9)));
        assert_eq!(parse(b"0x1p-1075"), Some((0.0, 9)));
        assert_eq!(parse(b"0x1.8p-1075"), Some((5e-324, 11)));
        assert_eq!(parse(b"0x1p-9999999999999999999999"), Some((0.0, 27)));
        assert_eq!(parse(b"0x1p99999999999999999999999"), Some((f64::INFINITY, 27)));
        // 2^53 + 1 lies in the middle: to even, but upwards if anything follows.
        assert_eq!(parse(b"0x20000000000001"), Some((9_007_199_254_740_992.0, 16)));
        assert_eq!(
            parse(b"0x20000000000001.0000000001"),
            Some((9_007_199_254_740_994.0, 27))
        );
        assert_eq!(parse(b"0x1.fffffffffffff8p1023"), Some((f64::INFINITY, 23)));
    }
}
