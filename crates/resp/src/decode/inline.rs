//! The words of a line: inline commands, and the lines of config files, which follow the same rules.
//!
//! Words are separated by white space. `"..."` takes `\n \r \t \b \a \xHH` and any other `\c` for `c`; `'...'`
//! takes `\'` only. Quotes may open inside a word; a closing quote must end its word. As in Redis an open word
//! is ended by space, tab, CR or LF, while form feed and vertical tab separate only in front of a word.
//! A NUL byte is an ordinary byte here, where Redis takes it for the end of the line.

use super::frame::Slot;

/// The words of `line`, unquoted. `None` if a quote is left open or text follows a closing one.
///
/// ```
/// let words = holdfast_resp::split_args(br#"save "a b" 'c\'d' "\x41""#).unwrap();
/// assert_eq!(words, [&b"save"[..], b"a b", b"c'd", b"A"]);
/// ```
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = line;
    let mut words = Vec::new();
    loop {
        let mut word = Vec::new();
        if !take_word(&mut rest, &mut word).ok()? {
            return Some(words);
        }
        words.push(word);
    }
}

/// Appends the words of `line` to `text` and their places to `slots`.
pub(super) fn split_into(line: &[u8], text: &mut Vec<u8>, slots: &mut Vec<Slot>) -> Result<(), Unbalanced> {
    let mut rest = line;
    loop {
        let start = text.len();
        if !take_word(&mut rest, text)? {
            return Ok(());
        }
        slots.push(Slot::new(start, text.len() - start));
    }
}

/// A quote is left open, or text follows a closing one.
#[derive(Debug)]
pub(super) struct Unbalanced;

/// Moves the next word from the front of `rest` to the end of `out`; false if there is none.
fn take_word(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, Unbalanced> {
    while let [byte, tail @ ..] = *rest
        && is_space(*byte)
    {
        *rest = tail;
    }
    if rest.is_empty() {
        return Ok(false);
    }
    loop {
        match *rest {
            [] | [b' ' | b'\t' | b'\r' | b'\n', ..] => return Ok(true),
            [b'"', tail @ ..] => return double_quoted(tail, rest, out),
            [b'\'', tail @ ..] => return single_quoted(tail, rest, out),
            [byte, tail @ ..] => {
                out.push(*byte);
                *rest = tail;
            }
        }
    }
}

fn double_quoted<'l>(mut text: &'l [u8], rest: &mut &'l [u8], out: &mut Vec<u8>) -> Result<bool, Unbalanced> {
    loop {
        text = match text {
            [] => return Err(Unbalanced),
            [b'"', tail @ ..] => return closed(tail, rest),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex_digit(*high) << 4 | hex_digit(*low));
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                tail
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        }
    }
}

fn single_quoted<'l>(mut text: &'l [u8], rest: &mut &'l [u8], out: &mut Vec<u8>) -> Result<bool, Unbalanced> {
    loop {
        text = match text {
            [] => return Err(Unbalanced),
            [b'\'', tail @ ..] => return closed(tail, rest),
            [b'\\', b'\'', tail @ ..] => {
                out.push(b'\'');
                tail
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        }
    }
}

/// What follows a closing quote must be white space or the end.
fn closed<'l>(tail: &'l [u8], rest: &mut &'l [u8]) -> Result<bool, Unbalanced> {
    *rest = tail;
    match tail.first() {
        Some(byte) if !is_space(*byte) => Err(Unbalanced),
        Some(_) | None => Ok(true),
    }
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte.wrapping_sub(b'A').wrapping_add(10),
    }
}
