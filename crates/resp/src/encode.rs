//! Replies, as RESP2 or RESP3 bytes.
//!
//! A handler describes its reply in RESP3's terms; for a RESP2 client each type falls back as Redis lets it.
//! Nothing here knows who the client is or when the bytes leave.

#[cfg(test)]
mod tests;

use crate::number::format_double;

/// The version of the protocol that a client speaks, chosen with HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proto {
    /// What every client speaks at first.
    #[default]
    Resp2,
    /// With maps, sets, doubles, booleans, pushes.
    Resp3,
}

/// A place in a reply, to which [`Reply::truncate_to`] takes it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

/// The place of a length that is not known yet; finish it with one of `Reply::finish_*`.
#[derive(Debug)]
#[must_use = "the reply is broken until its length is filled in"]
pub struct Deferred {
    at: usize,
}

/// The bytes that a deferred header gets at first: enough for lengths up to 9.
const DEFERRED: &[u8; 4] = b"*0\r\n";

/// The output buffer of a client. One worker-wide `Vec` can serve all connections: see [`Reply::new`] and
/// [`Reply::into_inner`].
#[derive(Debug, Default)]
pub struct Reply {
    buf: Vec<u8>,
    proto: Proto,
}

/// The buffer.
impl Reply {
    /// Appends replies to `buf`, in protocol `proto`.
    pub fn new(buf: Vec<u8>, proto: Proto) -> Self {
        Self { buf, proto }
    }

    /// The buffer with all that was written.
    pub fn into_inner(self) -> Vec<u8> {
        self.buf
    }

    /// Takes the buffer out and leaves an empty one.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buf)
    }

    /// Forgets what was written and keeps the memory.
    pub fn clear(&mut self) {
        self.buf.clear();
    }

    /// All that was written.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Bytes written.
    #[inline]
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether nothing was written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// The protocol that the client speaks.
    #[inline]
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// HELLO: what follows is in `proto`.
    pub fn set_proto(&mut self, proto: Proto) {
        self.proto = proto;
    }

    /// The place reached so far.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark(self.buf.len())
    }

    /// Takes back all that was written since `mark`: an error replaces half a reply.
    pub fn truncate_to(&mut self, mark: Mark) {
        self.buf.truncate(mark.0);
    }

    /// Appends encoded bytes as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }
}

/// Simple types.
impl Reply {
    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A status: `+text`. Line ends within are replaced by spaces.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.buf.push(b'+');
        self.line(text.as_bytes());
    }

    /// An error: `-text`; `text` begins with the code word (`ERR`, `WRONGTYPE`) and has no `-`. Line ends are
    /// cut off at both sides and replaced by spaces within, as Redis does.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// [`error`](Self::error) for a text that quotes the client's bytes.
    pub fn error_bytes(&mut self, text: &[u8]) {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let start = text.iter().position(|byte| !is_end(byte)).unwrap_or(text.len());
        let end = text
            .iter()
            .rposition(|byte| !is_end(byte))
            .map_or(start, |last| last + 1);
        self.buf.push(b'-');
        self.line(&text[start..end]);
    }

    /// An integer: `:value`.
    #[inline]
    pub fn int(&mut self, value: i64) {
        if (0..10).contains(&value) {
            return self.raw(&[b':', b'0' + value as u8, b'\r', b'\n']);
        }
        self.number(b':', value);
    }

    /// A string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.buf.reserve(bytes.len() + 32);
        self.header(b'$', bytes.len());
        self.raw(bytes);
        self.raw(b"\r\n");
    }

    /// A string that spells an integer.
    #[inline]
    pub fn bulk_int(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// No value: `$-1`, in RESP3 `_`.
    #[inline]
    pub fn null(&mut self) {
        self.raw(match self.proto {
            Proto::Resp2 => b"$-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// No array: `*-1`, in RESP3 `_`.
    #[inline]
    pub fn null_array(&mut self) {
        self.raw(match self.proto {
            Proto::Resp2 => b"*-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// A floating-point number; in RESP2 a string with the same text, that of [`format_double`].
    pub fn double(&mut self, value: f64) {
        match self.proto {
            Proto::Resp2 => {
                // The longest text has 24 bytes, so the length has one or two digits: written behind the
                // text's place it would have to move, so the text is made first, on the side of the buffer.
                let at = self.buf.len();
                self.raw(b"$00\r\n");
                let start = self.buf.len();
                format_double(value, &mut self.buf);
                let len = self.buf.len() - start;
                if len < 10 {
                    self.buf[at + 2] = b'0' + len as u8;
                    self.buf.copy_within(at + 2.., at + 1);
                    self.buf.pop();
                } else {
                    self.buf[at + 1] = b'0' + (len / 10) as u8;
                    self.buf[at + 2] = b'0' + (len % 10) as u8;
                }
            }
            Proto::Resp3 => {
                self.buf.push(b',');
                format_double(value, &mut self.buf);
            }
        }
        self.raw(b"\r\n");
    }

    /// An integer of any size, given by its digits; in RESP2 a string.
    pub fn big_number(&mut self, digits: &str) {
        match self.proto {
            Proto::Resp2 => self.bulk(digits.as_bytes()),
            Proto::Resp3 => {
                self.buf.push(b'(');
                self.line(digits.as_bytes());
            }
        }
    }

    /// A truth value; in RESP2 the integers 1 and 0.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.raw(match (self.proto, value) {
            (Proto::Resp2, true) => b":1\r\n",
            (Proto::Resp2, false) => b":0\r\n",
            (Proto::Resp3, true) => b"#t\r\n",
            (Proto::Resp3, false) => b"#f\r\n",
        });
    }

    /// A text for people, with the three letters of its format (`txt`, `mkd`); in RESP2 a string.
    pub fn verbatim(&mut self, ext: &str, text: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => {
                let mut format = [b' '; 4];
                format[3] = b':';
                for (place, byte) in format[..3].iter_mut().zip(ext.bytes()) {
                    *place = byte;
                }
                self.header(b'=', text.len() + 4);
                self.raw(&format);
                self.raw(text);
                self.raw(b"\r\n");
            }
        }
    }
}

/// Aggregates: a header, behind which the caller writes the elements.
impl Reply {
    /// An array of `len` elements.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// A map of `pairs` keys and values, each key before its value; in RESP2 an array of twice as many.
    #[inline]
    pub fn map(&mut self, pairs: usize) {
        let (kind, len) = self.map_header(pairs);
        self.header(kind, len);
    }

    /// A set of `len` members; in RESP2 an array.
    #[inline]
    pub fn set(&mut self, len: usize) {
        self.header(self.kind(b'~'), len);
    }

    /// A message that answers no command, of `len` elements; in RESP2 an array.
    pub fn push(&mut self, len: usize) {
        self.header(self.kind(b'>'), len);
    }

    /// Attributes of the reply that follows: `pairs` keys and values. RESP2 has none: false says that nothing was
    /// written and that the pairs must not be written either.
    #[must_use]
    pub fn attribute(&mut self, pairs: usize) -> bool {
        if self.proto == Proto::Resp3 {
            self.header(b'|', pairs);
        }
        self.proto == Proto::Resp3
    }

    /// Begins an aggregate whose length comes later. Lengths below 10 cost nothing, larger ones move the elements
    /// by the digits that are missing. Nested ones are finished from the inside out.
    #[inline]
    pub fn defer(&mut self) -> Deferred {
        let at = self.buf.len();
        self.raw(DEFERRED);
        Deferred { at }
    }

    /// The deferred aggregate is an array of `len` elements.
    #[inline]
    pub fn finish_array(&mut self, deferred: Deferred, len: usize) {
        self.finish(deferred, b'*', len);
    }

    /// The deferred aggregate is a map of `pairs` keys and values.
    pub fn finish_map(&mut self, deferred: Deferred, pairs: usize) {
        let (kind, len) = self.map_header(pairs);
        self.finish(deferred, kind, len);
    }

    /// The deferred aggregate is a set of `len` members.
    pub fn finish_set(&mut self, deferred: Deferred, len: usize) {
        self.finish(deferred, self.kind(b'~'), len);
    }

    /// The deferred aggregate is a push of `len` elements.
    pub fn finish_push(&mut self, deferred: Deferred, len: usize) {
        self.finish(deferred, self.kind(b'>'), len);
    }

    fn finish(&mut self, deferred: Deferred, kind: u8, len: usize) {
        let Deferred { at } = deferred;
        self.buf[at] = kind;
        if len < 10 {
            self.buf[at + 1] = b'0' + len as u8;
        } else {
            let mut digits = itoa::Buffer::new();
            self.buf.splice(at + 1..at + 2, digits.format(len).bytes());
        }
    }

    /// The type byte of an aggregate that is an array in RESP2.
    fn kind(&self, resp3: u8) -> u8 {
        match self.proto {
            Proto::Resp2 => b'*',
            Proto::Resp3 => resp3,
        }
    }

    fn map_header(&self, pairs: usize) -> (u8, usize) {
        match self.proto {
            Proto::Resp2 => (b'*', pairs * 2),
            Proto::Resp3 => (b'%', pairs),
        }
    }

    #[inline]
    fn header(&mut self, kind: u8, len: usize) {
        push_header(&mut self.buf, kind, len);
    }

    fn number(&mut self, kind: u8, value: i64) {
        let mut digits = itoa::Buffer::new();
        self.buf.push(kind);
        self.raw(digits.format(value).as_bytes());
        self.raw(b"\r\n");
    }

    /// `text` as the rest of a line.
    #[inline]
    fn line(&mut self, text: &[u8]) {
        let start = self.buf.len();
        self.raw(text);
        if memchr::memchr2(b'\r', b'\n', text).is_some() {
            for byte in &mut self.buf[start..] {
                if matches!(byte, b'\r' | b'\n') {
                    *byte = b' ';
                }
            }
        }
        self.raw(b"\r\n");
    }
}

/// Appends a command as the replication log and the AOF hold it: an array of bulk strings.
pub fn encode_command(out: &mut Vec<u8>, argv: &[&[u8]]) {
    out.reserve(argv.iter().map(|arg| arg.len() + 16).sum::<usize>() + 16);
    push_header(out, b'*', argv.len());
    for arg in argv {
        push_header(out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// A type byte, a length and CRLF.
#[inline]
fn push_header(out: &mut Vec<u8>, kind: u8, len: usize) {
    if len < 10 {
        return out.extend_from_slice(&[kind, b'0' + len as u8, b'\r', b'\n']);
    }
    if len < 100 {
        let digits = [
            kind,
            b'0' + (len / 10) as u8,
            b'0' + (len % 10) as u8,
            b'\r',
            b'\n',
        ];
        return out.extend_from_slice(&digits);
    }
    let mut digits = itoa::Buffer::new();
    out.push(kind);
    out.extend_from_slice(digits.format(len).as_bytes());
    out.extend_from_slice(b"\r\n");
}
