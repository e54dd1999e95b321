//! A reply in RESP2 or RESP3, as the tests see it.
//!
//! The decoder here is independent of the server's own crates on purpose: a mistake in one must not hide one in the
//! other. Its text form is the one used in transcripts: readable, and lossless apart from attributes.

use std::fmt;

use crate::words::quote;

/// One reply. Every wire type has its own arm, so that `$-1`, `*-1` and `_` are told apart.
#[derive(Clone, PartialEq)]
pub enum Reply {
    /// `+text`
    Simple(Vec<u8>),
    /// `-CODE text`
    Error(Vec<u8>),
    /// `:n`
    Integer(i64),
    /// `$n`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `*n`
    Array(Vec<Reply>),
    /// `%n`
    Map(Vec<(Reply, Reply)>),
    /// `~n`
    Set(Vec<Reply>),
    /// `>n`
    Push(Vec<Reply>),
    /// `,text`: kept as sent, since the text of a double is part of the protocol
    Double(Vec<u8>),
    /// `#t` or `#f`
    Boolean(bool),
    /// `(text`
    BigNumber(Vec<u8>),
    /// `=n`, with the three-letter format and the text
    Verbatim(Vec<u8>),
}

/// Why bytes are not (yet) a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// More bytes are needed.
    Incomplete,
    /// The bytes can never become a reply.
    Malformed,
}

const MAX_DEPTH: usize = 64;

impl Reply {
    /// Decodes the reply at the start of `bytes`; also returns how many bytes it took.
    ///
    /// # Errors
    /// [`DecodeError::Incomplete`] while the frame is unfinished, [`DecodeError::Malformed`] when it cannot be one.
    pub fn decode(bytes: &[u8]) -> Result<(Reply, usize), DecodeError> {
        let mut decoder = Decoder { bytes, at: 0 };
        let reply = decoder.reply(0)?;
        Ok((reply, decoder.at))
    }

    /// `+OK`.
    pub fn ok() -> Reply {
        Reply::Simple(b"OK".to_vec())
    }

    /// The bytes of a simple string, bulk string or verbatim string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Reply::Simple(bytes) | Reply::Bulk(bytes) => Some(bytes),
            Reply::Verbatim(bytes) => bytes.get(4..),
            Reply::Error(_)
            | Reply::Integer(_)
            | Reply::NullBulk
            | Reply::NullArray
            | Reply::Null
            | Reply::Array(_)
            | Reply::Map(_)
            | Reply::Set(_)
            | Reply::Push(_)
            | Reply::Double(_)
            | Reply::Boolean(_)
            | Reply::BigNumber(_) => None,
        }
    }

    /// The text of [`Reply::bytes`], where it is text.
    pub fn text(&self) -> Option<&str> {
        self.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The number of an integer reply.
    pub fn integer(&self) -> Option<i64> {
        if let Reply::Integer(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The elements of an array, set or push; a map gives keys and values in turn.
    pub fn elements(&self) -> Option<Vec<&Reply>> {
        match self {
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => Some(items.iter().collect()),
            Reply::Map(pairs) => Some(pairs.iter().flat_map(|(key, value)| [key, value]).collect()),
            Reply::Simple(_)
            | Reply::Error(_)
            | Reply::Integer(_)
            | Reply::Bulk(_)
            | Reply::NullBulk
            | Reply::NullArray
            | Reply::Null
            | Reply::Double(_)
            | Reply::Boolean(_)
            | Reply::BigNumber(_)
            | Reply::Verbatim(_) => None,
        }
    }

    /// Whether this is an error reply.
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }

    /// Whether this is one of the three nulls.
    pub fn is_null(&self) -> bool {
        matches!(self, Reply::NullBulk | Reply::NullArray | Reply::Null)
    }

    /// The text form as lines without indentation of the whole; nested elements are indented by two spaces.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.write_lines(0, &mut lines);
        lines
    }

    fn write_lines(&self, depth: usize, lines: &mut Vec<String>) {
        let pad = "  ".repeat(depth);
        let mut head = |text: String| lines.push(format!("{pad}{text}"));
        match self {
            Reply::Simple(text) => head(format!("+{}", plain_or_quoted(text))),
            Reply::Error(text) => head(format!("-{}", plain_or_quoted(text))),
            Reply::Integer(number) => head(format!(":{number}")),
            Reply::Bulk(bytes) => head(quote(bytes)),
            Reply::NullBulk => head("(nil)".into()),
            Reply::NullArray => head("(nil array)".into()),
            Reply::Null => head("_".into()),
            Reply::Double(text) => head(format!(",{}", String::from_utf8_lossy(text))),
            Reply::Boolean(value) => head(if *value { "#t" } else { "#f" }.into()),
            Reply::BigNumber(text) => head(format!("({}", String::from_utf8_lossy(text))),
            Reply::Verbatim(bytes) => head(format!("={}", quote(bytes))),
            Reply::Array(items) => write_items('*', items, depth, &pad, lines),
            Reply::Set(items) => write_items('~', items, depth, &pad, lines),
            Reply::Push(items) => write_items('>', items, depth, &pad, lines),
            Reply::Map(pairs) => {
                lines.push(format!("{pad}%{}", pairs.len()));
                for (key, value) in pairs {
                    key.write_lines(depth + 1, lines);
                    value.write_lines(depth + 1, lines);
                }
            }
        }
    }
}

fn write_items(sign: char, items: &[Reply], depth: usize, pad: &str, lines: &mut Vec<String>) {
    lines.push(format!("{pad}{sign}{}", items.len()));
    for item in items {
        item.write_lines(depth + 1, lines);
    }
}

/// Simple strings and errors stand as they are unless that would lose something at the ends of the line.
fn plain_or_quoted(text: &[u8]) -> String {
    let plain = text.iter().all(|byte| matches!(byte, 0x20..=0x7e))
        && text.first() != Some(&b'"')
        && text.last() != Some(&b' ');
    if plain {
        String::from_utf8_lossy(text).into_owned()
    } else {
        quote(text)
    }
}

impl fmt::Debug for Reply {
    /// One line, cut short: meant for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LIMIT: usize = 1500;
        let text = self
            .lines()
            .iter()
            .map(|line| line.trim_start())
            .collect::<Vec<_>>()
            .join(" ");
        match text.char_indices().nth(LIMIT) {
            Some((end, _)) => write!(f, "{}... <{} characters>", &text[..end], text.len()),
            None => f.write_str(&text),
        }
    }
}

/// Encodes a command as an array of bulk strings.
pub fn encode_command<A: AsRef<[u8]>>(args: &[A], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Decoder<'_> {
    fn reply(&mut self, depth: usize) -> Result<Reply, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Malformed);
        }
        let line = self.line()?;
        let (&sign, rest) = line.split_first().ok_or(DecodeError::Malformed)?;
        let rest = rest.to_vec();
        match sign {
            b'+' => Ok(Reply::Simple(rest)),
            b'-' => Ok(Reply::Error(rest)),
            b':' => number(&rest).map(Reply::Integer),
            b',' => Ok(Reply::Double(rest)),
            b'(' => Ok(Reply::BigNumber(rest)),
            b'_' => Ok(Reply::Null),
            b'#' if rest == b"t" => Ok(Reply::Boolean(true)),
            b'#' if rest == b"f" => Ok(Reply::Boolean(false)),
            b'$' if rest == b"-1" => Ok(Reply::NullBulk),
            b'*' if rest == b"-1" => Ok(Reply::NullArray),
            b'$' => self.blob(length(&rest)?).map(Reply::Bulk),
            b'=' => self.blob(length(&rest)?).map(Reply::Verbatim),
            b'*' => self.items(length(&rest)?, depth).map(Reply::Array),
            b'~' => self.items(length(&rest)?, depth).map(Reply::Set),
            b'>' => self.items(length(&rest)?, depth).map(Reply::Push),
            b'%' => {
                let flat = self.items(length(&rest)?.saturating_mul(2), depth)?;
                let mut flat = flat.into_iter();
                let mut pairs = Vec::with_capacity(flat.len() / 2);
                while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
                    pairs.push((key, value));
                }
                Ok(Reply::Map(pairs))
            }
            _ => Err(DecodeError::Malformed),
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, DecodeError> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(DecodeError::Incomplete)?;
        let line = rest[..end]
            .strip_suffix(b"\r")
            .ok_or(DecodeError::Malformed)?
            .to_vec();
        self.at += end + 1;
        Ok(line)
    }

    fn blob(&mut self, length: usize) -> Result<Vec<u8>, DecodeError> {
        let end = self.at.checked_add(length).ok_or(DecodeError::Malformed)?;
        let tail = self.bytes.get(end..end + 2).ok_or(DecodeError::Incomplete)?;
        if tail != b"\r\n" {
            return Err(DecodeError::Malformed);
        }
        let blob = self.bytes[self.at..end].to_vec();
        self.at = end + 2;
        Ok(blob)
    }

    fn items(&mut self, count: usize, depth: usize) -> Result<Vec<Reply>, DecodeError> {
        let mut items = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            items.push(self.reply(depth + 1)?);
        }
        Ok(items)
    }
}

fn number(text: &[u8]) -> Result<i64, DecodeError> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(DecodeError::Malformed)
}

fn length(text: &[u8]) -> Result<usize, DecodeError> {
    usize::try_from(number(text)?).map_err(|_| DecodeError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wire_type_decodes_and_prints() {
        let cases: &[(&[u8], &str)] = &[
            (b"+OK\r\n", "+OK"),
            (b"-ERR x\r\n", "-ERR x"),
            (b":-5\r\n", ":-5"),
            (b"$3\r\na\nb\r\n", "\"a\\nb\""),
            (b"$-1\r\n", "(nil)"),
            (b"*-1\r\n", "(nil array)"),
            (b"_\r\n", "_"),
            (b"*2\r\n*1\r\n:1\r\n$0\r\n\r\n", "*2 *1 :1 \"\""),
            (b"%1\r\n+a\r\n,1.5\r\n", "%1 +a ,1.5"),
            (b"~1\r\n#t\r\n", "~1 #t"),
            (b">1\r\n(12\r\n", ">1 (12"),
            (b"=5\r\ntxt:a\r\n", "=\"txt:a\""),
        ];
        for (wire, text) in cases {
            let (reply, used) = Reply::decode(wire).unwrap();
            assert_eq!((format!("{reply:?}").as_str(), used), (*text, wire.len()));
            for cut in 0..wire.len() {
                assert_eq!(
                    Reply::decode(&wire[..cut]),
                    Err(DecodeError::Incomplete),
                    "{wire:?} cut at {cut}"
                );
            }
        }
    }
}
