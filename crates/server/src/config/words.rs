//! Quoting words of a configuration line, so that `holdfast_resp::split_args` reads them back.

/// Writes `word` so that it reads back, always within double quotes.
pub fn quote(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len() + 2);
    out.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    out.push(b'"');
    out
}

/// Writes `word` bare where that reads back as the same word, quoted otherwise.
pub fn quote_if_needed(word: &[u8]) -> Vec<u8> {
    let bare = !word.is_empty()
        && word
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\' | b'#'));
    if bare { word.to_vec() } else { quote(word) }
}

#[cfg(test)]
mod tests {
    use holdfast_resp::split_args as split;

    use super::*;

    #[test]
    fn quoting_reads_back() {
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(split(&quote(&every)), Some(vec![every.clone()]));
        for word in [&b""[..], b"a", b"a b", b"#", b"'", b"\xff\0", b"\\"] {
            assert_eq!(split(&quote_if_needed(word)), Some(vec![word.to_vec()]));
        }
        assert_eq!(quote_if_needed(b"/tmp/x"), b"/tmp/x");
    }
}
