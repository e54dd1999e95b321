//! Texts of numbers, exactly as Redis reads and writes them. Knows no protocol.

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
    // Integers up to here have at most 17 digits: all of them are significant and none is rounded.
    if value.abs() < 1e17 && value.trunc() == value {
        if value == 0.0 && value.is_sign_negative() {
            out.push(b'-');
        }
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else {
        format_general(value, out);
    }
}

/// Lays the 17 digits out as `%g` does. `value` is finite.
fn format_general(value: f64, out: &mut Vec<u8>) {
    // d.dddddddddddddddde-ddd: 16 decimals, the exponent without padding.
    let mut scientific = [0u8; 32];
    let mut unwritten = &mut scientific[..];
    write!(unwritten, "{:.16e}", value.abs()).expect("24 bytes at most");
    let unwritten_len = unwritten.len();
    let scientific = &scientific[..scientific.len() - unwritten_len];
    let mut digits = [0u8; 17];
    digits[0] = scientific[0];
    digits[1..].copy_from_slice(&scientific[2..18]);
    let exponent = std::str::from_utf8(&scientific[19..])
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0i32);
    let significant = digits
        .iter()
        .rposition(|digit| *digit != b'0')
        .map_or(1, |last| last + 1);
    let digits = &digits[..significant];

    if value < 0.0 {
        out.push(b'-');
    }
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
            write!(
                out,
                "e{}{:02}",
                if exponent < 0 { '-' } else { '+' },
                exponent.abs()
            )
            .expect("a Vec takes all");
        }
    }
}

fn push_fraction(digits: &[u8], out: &mut Vec<u8>) {
    if !digits.is_empty() {
        out.push(b'.');
        out.extend_from_slice(digits);
    }
}
