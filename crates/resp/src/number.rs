//! Texts of numbers, exactly as Redis reads and writes them. Knows no protocol.

#[cfg(test)]
mod tests;

use std::io::Write as _;

/// A canonical decimal integer: what `i64::to_string` prints and nothing else. No plus sign, no leading zero, no
/// space, no `-0`, no overflow. These are the rules of every integer that Redis takes from a client.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Nineteen digits fit in a u64.
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Appends the text of `value` as C's `%.17g` writes it, which is how Redis 7.0 prints scores and coordinates:
/// 17 significant digits without trailing zeros, an exponent below 1e-4 and from 1e17 on; `inf`, `-inf`, `nan`.
pub fn format_double(value: f64, out: &mut Vec<u8>) {
    let magnitude = value.abs();
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if magnitude.is_infinite() {
        out.extend_from_slice(b"inf");
    } else if magnitude < MAX_EXACT && magnitude.trunc() == magnitude {
        out.extend_from_slice(itoa::Buffer::new().format(magnitude as u64).as_bytes());
    } else if let Some((digits, exponent)) = everyday_digits(magnitude) {
        lay_out(itoa::Buffer::new().format(digits).as_bytes(), exponent, out);
    } else {
        lay_out_rounded(magnitude, out);
    }
}

/// Below this, integers have at most 17 digits: all of them are significant and none is rounded.
const MAX_EXACT: f64 = 1e17;

/// The 17 digits nearest to `value`, ties to even, and the decimal exponent of the first. Only for fractions
/// between about 1e-11 and 1e17, where 128 bits hold all of `mantissa * 10^k`: exact, and several times faster
/// than the general way.
fn everyday_digits(value: f64) -> Option<(u64, i32)> {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = value.to_bits();
    let binary_exponent = (bits >> MANTISSA_BITS) as i32 - 1023;
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1) | 1 << MANTISSA_BITS;
    // log10(2) = 0.30103: at most one too small, for the mantissa is left out.
    let mut exponent = (binary_exponent * 30103).div_euclid(100_000);
    loop {
        // value * 10^k = mantissa * 5^k / 2^shift has 17 digits before the point. 5^27 fits in a u64.
        let k = 16 - exponent;
        let shift = MANTISSA_BITS as i32 - binary_exponent - k;
        if !(0..=27).contains(&k) || !(1..128).contains(&shift) {
            return None;
        }
        let product = u128::from(mantissa) * u128::from(5u64.pow(k as u32));
        let (floor, rest, half) = (product >> shift, product & ((1 << shift) - 1), 1 << (shift - 1));
        let up = rest > half || rest == half && floor & 1 == 1;
        let digits = floor + u128::from(up);
        if digits < MAX_EXACT as u128 {
            return Some((digits as u64, exponent));
        }
        exponent += 1;
    }
}

/// Lays out the 17 digits nearest to `value`, which is finite and positive.
fn lay_out_rounded(value: f64, out: &mut Vec<u8>) {
    // d.dddddddddddddddde-ddd: 16 decimals, the exponent without padding.
    let mut text = [0u8; 32];
    let mut unwritten = &mut text[..];
    write!(unwritten, "{value:.16e}").expect("23 bytes at most");
    let unwritten_len = unwritten.len();
    let text = &text[..text.len() - unwritten_len];
    let mut digits = [0u8; 17];
    digits[0] = text[0];
    digits[1..].copy_from_slice(&text[2..18]);
    let exponent = parse_i64(&text[19..]).expect("core writes a canonical exponent");
    lay_out(&digits, exponent as i32, out);
}

/// Writes `d.ddd * 10^exponent` as `%g` does.
fn lay_out(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    let significant = digits
        .iter()
        .rposition(|digit| *digit != b'0')
        .map_or(1, |last| last + 1);
    let digits = &digits[..significant];
    match exponent {
        -4..0 => {
            out.extend_from_slice(&b"0.0000"[..(1 - exponent) as usize]);
            out.extend_from_slice(digits);
        }
        0..17 => {
            let whole = exponent as usize + 1;
            let (before, after) = digits.split_at(whole.min(digits.len()));
            out.extend_from_slice(before);
            out.resize(out.len() + whole - before.len(), b'0');
            push_fraction(after, out);
        }
        exponent => {
            out.push(digits[0]);
            push_fraction(&digits[1..], out);
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(out, "e{sign}{:02}", exponent.abs()).expect("a Vec takes all");
        }
    }
}

fn push_fraction(digits: &[u8], out: &mut Vec<u8>) {
    if !digits.is_empty() {
        out.push(b'.');
        out.extend_from_slice(digits);
    }
}
