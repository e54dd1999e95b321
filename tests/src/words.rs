//! Words of a command line, quoted the way `redis-cli` quotes them.
//!
//! Splits a line into binary arguments and writes bytes back in a readable form that splits to the same bytes.
//! Knows nothing of commands or replies.

/// Writes `bytes` in double quotes; everything outside printable ASCII becomes an escape, so the text is lossless.
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'"' => out.push_str("\\\""),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// Writes an argument bare where it can stand bare on a command line, quoted otherwise.
pub fn quote_if_needed(bytes: &[u8]) -> String {
    let bare = !bytes.is_empty()
        && bytes
            .iter()
            .all(|&byte| matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'\'' | b'\\'));
    if bare {
        String::from_utf8_lossy(bytes).into_owned()
    } else {
        quote(bytes)
    }
}

/// A command as one line.
pub fn join(args: &[Vec<u8>]) -> String {
    args.iter()
        .map(|arg| quote_if_needed(arg))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Like [`join`], with long arguments and long lists cut short, for messages.
pub fn join_short(args: &[Vec<u8>]) -> String {
    const ARGS: usize = 24;
    const BYTES: usize = 48;
    let mut words: Vec<String> = args
        .iter()
        .take(ARGS)
        .map(|arg| match arg.get(..BYTES) {
            Some(head) if arg.len() > BYTES => format!("{}...<{} bytes>", quote(head), arg.len()),
            _ => quote_if_needed(arg),
        })
        .collect();
    if args.len() > ARGS {
        words.push(format!("...<{} arguments>", args.len()));
    }
    words.join(" ")
}

/// Splits a line into arguments. Words stand bare, in double quotes with escapes (`\n \r \t \a \b \\ \" \xHH`), or in
/// single quotes.
///
/// # Errors
/// A quote that is not closed, or one that is followed by something other than a space.
pub fn split(line: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let bytes = line.as_bytes();
    let mut at = 0;
    let mut words = Vec::new();
    loop {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        let Some(&first) = bytes.get(at) else {
            return Ok(words);
        };
        let (word, next) = match first {
            b'"' => double_quoted(bytes, at + 1),
            b'\'' => single_quoted(bytes, at + 1),
            _ => Some(bare(bytes, at)),
        }
        .ok_or_else(|| anyhow::anyhow!("unbalanced quotes in {line:?}"))?;
        anyhow::ensure!(
            bytes.get(next).is_none_or(u8::is_ascii_whitespace),
            "a closing quote must end the word in {line:?}"
        );
        words.push(word);
        at = next;
    }
}

fn bare(bytes: &[u8], start: usize) -> (Vec<u8>, usize) {
    let end = bytes[start..]
        .iter()
        .position(u8::is_ascii_whitespace)
        .map_or(bytes.len(), |offset| start + offset);
    (bytes[start..end].to_vec(), end)
}

fn single_quoted(bytes: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let end = start + bytes.get(start..)?.iter().position(|&byte| byte == b'\'')?;
    Some((bytes[start..end].to_vec(), end + 1))
}

fn double_quoted(bytes: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let mut word = Vec::new();
    let mut at = start;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some((word, at + 1)),
            b'\\' => {
                let (byte, next) = escape(bytes, at + 1)?;
                word.push(byte);
                at = next;
            }
            byte => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

fn escape(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = match *bytes.get(at)? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 0x07,
        b'b' => 0x08,
        b'x' => {
            let digits = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
            return Some((u8::from_str_radix(digits, 16).ok()?, at + 3));
        }
        other => other,
    };
    Some((byte, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_a_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(split(&quote(&all)).unwrap(), vec![all.clone()]);
        assert_eq!(
            split(&join(&[all.clone(), vec![], b"x".to_vec()])).unwrap(),
            vec![all, vec![], b"x".to_vec()]
        );
    }

    #[test]
    fn a_line_splits_like_in_redis_cli() {
        assert_eq!(
            split(r#" SET k "a b" 'c"d' "#).unwrap(),
            [&b"SET"[..], b"k", b"a b", b"c\"d"].map(<[u8]>::to_vec)
        );
        assert!(split(r#"SET "k"#).is_err());
        assert!(split(r#"SET "k"x"#).is_err());
    }
}
