//! Glob patterns as KEYS, SCAN MATCH, PSUBSCRIBE and CONFIG GET take them. Bytes only: knows no encoding,
//! no file paths and no braces.
//!
//! | pattern | matches |
//! |---|---|
//! | `?` | any one byte |
//! | `*` | any bytes, none included |
//! | `[abc]`, `[a-c]`, `[^a]` | one byte in (not in) the set; a reversed range is turned round |
//! | `\x` | the byte `x` itself, also inside a set |
//! | other | itself |
//!
//! A set that is not closed ends with the pattern. Two oddities of Redis are kept: an empty text is matched
//! by the empty pattern alone (`*` does not match it), and a range's end may be any byte, `]` included.
//!
//! Matching takes time in the product of the two lengths at worst: on a mismatch only the last `*` is
//! tried further on, since an earlier one could only reach the same places later.
//!
//! Source: the KEYS command page, and Redis 7.0.15's answers to random patterns.

/// Tells whether the whole of `text` matches `pattern`. With `nocase`, ASCII letters match in either case,
/// except where the pattern escapes one inside a set.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut pattern = pattern;
    let mut rest = text;
    // What follows the last `*`, and the text from where it is to be tried next.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let matched = match (pattern.split_first(), rest.split_first()) {
            (None, None) => return true,
            (Some((b'*', after)), _) => {
                if after.is_empty() {
                    return true;
                }
                retry = Some((after, rest));
                pattern = after;
                continue;
            }
            (Some(_), Some((&byte, next))) => match match_one(pattern, byte, nocase) {
                Some(after) => {
                    pattern = after;
                    rest = next;
                    true
                }
                None => false,
            },
            // The text is at its end, so no later start can do better.
            (Some(_), None) => return false,
            (None, Some(_)) => false,
        };
        if matched {
            continue;
        }
        let Some((after, from)) = retry else { return false };
        let Some(from) = next_start(after, &from[1..], nocase) else {
            return false;
        };
        retry = Some((after, from));
        pattern = after;
        rest = from;
    }
}

/// Tells whether `pattern` holds a byte with a special meaning, so that it may match more than itself.
pub fn is_pattern(pattern: &[u8]) -> bool {
    pattern
        .iter()
        .any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// Returns the first place in `text` where a match of `after` may start, or `None` if there is none.
fn next_start<'t>(after: &[u8], text: &'t [u8], nocase: bool) -> Option<&'t [u8]> {
    let first = *after.first()?;
    if nocase || matches!(first, b'*' | b'?' | b'[' | b'\\') {
        return (!text.is_empty()).then_some(text);
    }
    memchr::memchr(first, text).map(|at| &text[at..])
}

/// Matches `byte` against the first item of `pattern`, which is not empty and does not start with `*`.
/// Returns the pattern after that item, or `None` if the byte does not match.
fn match_one(pattern: &[u8], byte: u8, nocase: bool) -> Option<&[u8]> {
    match pattern {
        [b'?', after @ ..] => Some(after),
        [b'[', set @ ..] => match_set(set, byte, nocase),
        [b'\\', literal, after @ ..] | [literal, after @ ..] => same(*literal, byte, nocase).then_some(after),
        [] => None,
    }
}

/// Matches `byte` against the set whose text, without the `[`, opens `set`. Returns the pattern after the
/// set, or `None` if the byte does not match.
fn match_set(set: &[u8], byte: u8, nocase: bool) -> Option<&[u8]> {
    let (negated, mut set) = match set {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        match set {
            [] => break,
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                set = rest;
            }
            [b']', rest @ ..] => {
                set = rest;
                break;
            }
            [a, b'-', b, rest @ ..] => {
                found |= in_range(*a.min(b), *a.max(b), byte, nocase);
                set = rest;
            }
            [literal, rest @ ..] => {
                found |= same(*literal, byte, nocase);
                set = rest;
            }
        }
    }
    (found != negated).then_some(set)
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    if nocase {
        a.eq_ignore_ascii_case(&b)
    } else {
        a == b
    }
}

/// The range is put in order before its ends are folded to lower case, as Redis does: without regard to
/// case, `[Z-a]` holds nothing.
fn in_range(low: u8, high: u8, byte: u8, nocase: bool) -> bool {
    if nocase {
        (low.to_ascii_lowercase()..=high.to_ascii_lowercase()).contains(&byte.to_ascii_lowercase())
    } else {
        (low..=high).contains(&byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The textbook definition: try every length for every `*`.
    fn naive(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', after @ ..], _) => (0..=text.len()).any(|n| naive(after, &text[n..], nocase)),
            (_, []) => false,
            (_, [byte, rest @ ..]) => {
                match_one(pattern, *byte, nocase).is_some_and(|after| naive(after, rest, nocase))
            }
        }
    }

    fn m(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), false)
    }

    #[test]
    fn the_command_page() {
        assert!(m("h?llo", "hallo") && m("h?llo", "hxllo") && !m("h?llo", "hllo"));
        assert!(m("h*llo", "hllo") && m("h*llo", "heeeello") && !m("h*llo", "hell"));
        assert!(m("h[ae]llo", "hallo") && m("h[ae]llo", "hello") && !m("h[ae]llo", "hillo"));
        assert!(m("h[^e]llo", "hbllo") && !m("h[^e]llo", "hello"));
        assert!(m("h[a-b]llo", "hbllo") && m("h[b-a]llo", "hallo") && !m("h[a-b]llo", "hcllo"));
        assert!(m("h\\*llo", "h*llo") && !m("h\\*llo", "hello"));
    }

    #[test]
    fn corners() {
        assert!(m("", "") && !m("*", "") && !m("**", "") && !m("", "a"));
        assert!(m("a*", "a") && m("a**", "a") && m("*a*", "a") && !m("a*?", "a"));
        assert!(m("[abc", "b") && m("[^", "x") && !m("[", "x") && m("[a-", "-"));
        assert!(m("[A-]", "Z") && m("[\\]]", "]") && m("[\\", "\\") && m("a\\", "a\\"));
        assert!(m("*b*d", "abcbdd") && !m("*b*d", "abcbc"));
    }

    #[test]
    fn letters_of_either_case() {
        assert!(matches(b"MaxMemory*", b"maxmemory-policy", true));
        assert!(matches(b"[A-C]x", b"bX", true) && !matches(b"[Z-a]", b"z", true));
        assert!(!matches(b"[\\A]", b"a", true) && matches(b"\\A", b"a", true));
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = "a*".repeat(5000) + "b";
        let text = "a".repeat(20_000);
        assert!(!m(&pattern, &text));
    }

    proptest! {
        #[test]
        fn equals_the_naive_matcher(
            pattern in r"[abA\*\?\[\]\^\\-]{0,12}",
            text in r"[abA\]\\\-]{1,12}",
            nocase: bool,
        ) {
            prop_assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), nocase),
                naive(pattern.as_bytes(), text.as_bytes(), nocase)
            );
        }
    }
}
