//! When a string of bytes is a 64-bit integer written the one way that gives the same bytes back.
//!
//! Packed encodings store such strings as numbers, so the rule has to be exact: no sign `+`, no leading zero, no `-0`.

/// Longest text of an `i64`: `-9223372036854775808`.
pub const MAX_INTEGER_TEXT: usize = 20;

/// The integer that `text` is the canonical decimal text of, if it is one: formatting the result gives `text` again.
pub fn parse_canonical(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > MAX_INTEGER_TEXT {
        return None;
    }
    let (negative, digits) = match text[0] {
        b'-' => (true, &text[1..]),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative {
        0_i64.checked_sub_unsigned(value)
    } else {
        i64::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_canonical_text_is_an_integer() {
        for text in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "-01",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
            "18446744073709551616",
        ] {
            assert_eq!(parse_canonical(text.as_bytes()), None, "{text:?}");
        }
        for value in [0, 1, -1, 9, 10, i64::MAX, i64::MIN, i64::MIN + 1] {
            assert_eq!(parse_canonical(value.to_string().as_bytes()), Some(value));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_formatting(text in "-?[0-9]{0,21}", value: i64) {
            let expected = text.parse::<i64>().ok().filter(|v| v.to_string() == text);
            prop_assert_eq!(parse_canonical(text.as_bytes()), expected);
            prop_assert_eq!(parse_canonical(value.to_string().as_bytes()), Some(value));
        }
    }
}
