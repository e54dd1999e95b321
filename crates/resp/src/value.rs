//! Replies as values: what a client sees. For tests and tools; the server itself never builds one.

mod display;
#[cfg(test)]
mod tests;

use memchr::memchr;

use crate::encode::Reply;
use crate::number::parse_i64;

/// One reply, RESP2 or RESP3. `Display` prints it as `redis-cli` does on a terminal.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A status, `+`.
    Simple(Vec<u8>),
    /// An error, `-` (and RESP3's `!`), without that byte.
    Error(Vec<u8>),
    /// An integer, `:`.
    Int(i64),
    /// A string, `$`.
    Bulk(Vec<u8>),
    /// No value: `$-1`, `*-1` and `_`.
    Null,
    /// `*`.
    Array(Vec<Value>),
    /// `%`, in the order sent.
    Map(Vec<(Value, Value)>),
    /// `~`, in the order sent.
    Set(Vec<Value>),
    /// `>`: a message that answers no command.
    Push(Vec<Value>),
    /// `,`.
    Double(f64),
    /// `#`.
    Bool(bool),
    /// `=`: a text and the three letters of its format.
    Verbatim([u8; 3], Vec<u8>),
    /// `(`: the digits of an integer of any size.
    BigNumber(Vec<u8>),
    /// `|`: attributes, and the reply that they belong to.
    Attribute(Vec<(Value, Value)>, Box<Value>),
}

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No type begins with this byte.
    #[error("no reply type begins with byte 0x{0:02x}")]
    UnknownType(u8),
    /// A length is not a number, or negative, or above the limit.
    #[error("invalid length")]
    InvalidLength,
    /// An integer, a double or a boolean does not parse.
    #[error("invalid number")]
    InvalidNumber,
    /// A string is not followed by CRLF, or a line ends in a bare CR or LF.
    #[error("missing CRLF")]
    MissingCrlf,
    /// Aggregates are nested more deeply than [`MAX_DEPTH`].
    #[error("nested too deeply")]
    TooDeep,
}

/// How deeply aggregates may be nested.
pub const MAX_DEPTH: usize = 128;
/// The longest string and the largest number of elements.
const MAX_LEN: usize = 1 << 30;

/// Decodes the reply at the front of `input`: the value and its length in bytes, or `None` if it is not whole.
/// Memory follows the bytes that are there, not the lengths they announce.
///
/// ```
/// use holdfast_resp::{Value, decode_value};
///
/// let (value, len) = decode_value(b"*2\r\n:1\r\n$1\r\na\r\n+OK\r\n")?.expect("whole");
/// assert_eq!((value.to_string().as_str(), len), ("1) (integer) 1\n2) \"a\"", 15));
/// # Ok::<(), holdfast_resp::ValueError>(())
/// ```
///
/// # Errors
/// The bytes are no reply, whatever follows.
pub fn decode_value(input: &[u8]) -> Result<Option<(Value, usize)>, ValueError> {
    let mut reader = Reader { rest: input };
    match reader.value(0) {
        Ok(value) => Ok(Some((value, input.len() - reader.rest.len()))),
        Err(Stop::Starved) => Ok(None),
        Err(Stop::Invalid(error)) => Err(error),
    }
}

impl Value {
    /// Writes the value as a server would; types that `reply`'s protocol lacks fall back.
    pub fn write(&self, reply: &mut Reply) {
        match self {
            Self::Simple(text) => reply.simple(&String::from_utf8_lossy(text)),
            Self::Error(text) => reply.error_bytes(text),
            Self::Int(value) => reply.int(*value),
            Self::Bulk(bytes) => reply.bulk(bytes),
            Self::Null => reply.null(),
            Self::Array(elements) => {
                reply.array(elements.len());
                elements.iter().for_each(|element| element.write(reply));
            }
            Self::Map(pairs) => {
                reply.map(pairs.len());
                write_pairs(pairs, reply);
            }
            Self::Set(elements) => {
                reply.set(elements.len());
                elements.iter().for_each(|element| element.write(reply));
            }
            Self::Push(elements) => {
                reply.push(elements.len());
                elements.iter().for_each(|element| element.write(reply));
            }
            Self::Double(value) => reply.double(*value),
            Self::Bool(value) => reply.bool(*value),
            Self::Verbatim(ext, text) => reply.verbatim(&String::from_utf8_lossy(ext), text),
            Self::BigNumber(digits) => reply.big_number(&String::from_utf8_lossy(digits)),
            Self::Attribute(pairs, value) => {
                if reply.attribute(pairs.len()) {
                    write_pairs(pairs, reply);
                }
                value.write(reply);
            }
        }
    }
}

fn write_pairs(pairs: &[(Value, Value)], reply: &mut Reply) {
    for (key, value) in pairs {
        key.write(reply);
        value.write(reply);
    }
}

/// Why reading stopped.
enum Stop {
    Starved,
    Invalid(ValueError),
}

impl From<ValueError> for Stop {
    fn from(error: ValueError) -> Self {
        Self::Invalid(error)
    }
}

struct Reader<'i> {
    rest: &'i [u8],
}

impl<'i> Reader<'i> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > MAX_DEPTH {
            return Err(ValueError::TooDeep.into());
        }
        let [kind, rest @ ..] = self.rest else {
            return Err(Stop::Starved);
        };
        self.rest = rest;
        Ok(match kind {
            b'+' => Value::Simple(self.line()?.to_vec()),
            b'-' => Value::Error(self.line()?.to_vec()),
            b':' => Value::Int(parse_i64(self.line()?).ok_or(ValueError::InvalidNumber)?),
            b'$' => match self.len()? {
                Some(len) => Value::Bulk(self.bytes(len)?.to_vec()),
                None => Value::Null,
            },
            b'!' => {
                let len = self.some_len()?;
                Value::Error(self.bytes(len)?.to_vec())
            }
            b'=' => self.verbatim()?,
            b'*' => match self.len()? {
                Some(len) => Value::Array(self.elements(len, depth)?),
                None => Value::Null,
            },
            b'~' => {
                let len = self.some_len()?;
                Value::Set(self.elements(len, depth)?)
            }
            b'>' => {
                let len = self.some_len()?;
                Value::Push(self.elements(len, depth)?)
            }
            b'%' => {
                let len = self.some_len()?;
                Value::Map(self.pairs(len, depth)?)
            }
            b'|' => {
                let len = self.some_len()?;
                Value::Attribute(self.pairs(len, depth)?, Box::new(self.value(depth + 1)?))
            }
            b'_' => match self.line()? {
                b"" => Value::Null,
                _ => return Err(ValueError::InvalidLength.into()),
            },
            b'#' => match self.line()? {
                b"t" => Value::Bool(true),
                b"f" => Value::Bool(false),
                _ => return Err(ValueError::InvalidNumber.into()),
            },
            b',' => Value::Double(double(self.line()?)?),
            b'(' => Value::BigNumber(big_number(self.line()?)?.to_vec()),
            other => return Err(ValueError::UnknownType(*other).into()),
        })
    }

    fn elements(&mut self, len: usize, depth: usize) -> Result<Vec<Value>, Stop> {
        // No collect with a capacity: the length is only an announcement.
        let mut elements = Vec::new();
        for _ in 0..len {
            elements.push(self.value(depth + 1)?);
        }
        Ok(elements)
    }

    fn pairs(&mut self, len: usize, depth: usize) -> Result<Vec<(Value, Value)>, Stop> {
        let mut pairs = Vec::new();
        for _ in 0..len {
            pairs.push((self.value(depth + 1)?, self.value(depth + 1)?));
        }
        Ok(pairs)
    }

    fn verbatim(&mut self) -> Result<Value, Stop> {
        let len = self.some_len()?;
        match self.bytes(len)? {
            [a, b, c, b':', text @ ..] => Ok(Value::Verbatim([*a, *b, *c], text.to_vec())),
            _ => Err(ValueError::InvalidLength.into()),
        }
    }

    /// A length; `None` for -1.
    fn len(&mut self) -> Result<Option<usize>, Stop> {
        match parse_i64(self.line()?) {
            Some(-1) => Ok(None),
            Some(len) if (0..=MAX_LEN as i64).contains(&len) => Ok(Some(len as usize)),
            Some(_) | None => Err(ValueError::InvalidLength.into()),
        }
    }

    fn some_len(&mut self) -> Result<usize, Stop> {
        self.len()?.ok_or(Stop::Invalid(ValueError::InvalidLength))
    }

    fn line(&mut self) -> Result<&'i [u8], Stop> {
        let end = memchr(b'\n', self.rest).ok_or(Stop::Starved)?;
        let line = self.rest[..end]
            .strip_suffix(b"\r")
            .ok_or(ValueError::MissingCrlf)?;
        if line.contains(&b'\r') {
            return Err(ValueError::MissingCrlf.into());
        }
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    fn bytes(&mut self, len: usize) -> Result<&'i [u8], Stop> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Stop::Starved)?;
        match rest {
            [b'\r', b'\n', rest @ ..] => {
                self.rest = rest;
                Ok(bytes)
            }
            [] | [b'\r'] => Err(Stop::Starved),
            _ => Err(ValueError::MissingCrlf.into()),
        }
    }
}

fn double(text: &[u8]) -> Result<f64, ValueError> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(ValueError::InvalidNumber)
}

fn big_number(text: &[u8]) -> Result<&[u8], ValueError> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ValueError::InvalidNumber);
    }
    Ok(text)
}
