//! The resumable machine: a command whose bytes arrive in pieces.
//!
//! ```text
//! Start -> Count -> Length -> Body    -> Length ... -> Complete
//!       |                  -> BigBody -> Length ... -> Complete
//!       -> Inline -------------------------------->    Complete
//! ```
//!
//! Each byte is looked at once: a line is searched for its end only in the bytes that are new, and an argument
//! is copied once to its place. Memory follows the bytes received, never a number that the client announced.

use bytes::{BufMut, Bytes};
use memchr::memchr;

use super::frame::{Frame, Slot};
use super::inline::split_into;
use super::{BigRead, DecodeLimits, MAX_ARGS, ProtocolError, UNAUTHENTICATED_ARGS, UNAUTHENTICATED_BULK_LEN};
use crate::number::parse_i64;

/// An argument of at least this many bytes gets memory of its own, so that its value can be moved.
pub(super) const BIG_ARG: usize = 32 << 10;
/// What a big argument reserves at first; it then grows fourfold as it fills.
const BIG_FIRST: usize = 1 << 20;
/// With less than this missing, a big argument is completed through the shared read buffer.
const BIG_READ_MIN: usize = 16 << 10;
/// Capacity, in bytes, of each buffer that is kept for the next command.
const KEPT_BYTES: usize = 64 << 10;

/// What feeding led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The input is used up, the command is not whole.
    Starved,
    /// The command is whole.
    Complete,
    /// A command without arguments went by.
    Empty,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Start,
    /// In the `*` line.
    Count,
    /// In a `$` line.
    Length,
    /// In an argument that goes to `text`, or in the CRLF behind it.
    Body,
    /// In an argument that goes to `big`, or in the CRLF behind it.
    BigBody,
    /// In the line of an inline command.
    Inline,
    /// All there; not yet consumed.
    Complete,
}

/// A command under construction.
#[derive(Debug, Default)]
pub(super) struct Partial {
    stage: Stage,
    /// The beginning of a line that was cut off.
    line: Vec<u8>,
    /// Small arguments, one behind the other, with the CRLF between them.
    text: Vec<u8>,
    slots: Vec<Slot>,
    shared: Vec<Bytes>,
    /// The big argument that is being received.
    big: Vec<u8>,
    /// Arguments of which not even the `$` line is complete.
    missing_args: usize,
    /// Length of the current argument.
    arg_len: usize,
    /// Bytes of the current small argument that are missing, CRLF included.
    missing_bytes: usize,
    /// Length of the command as sent, up to the end of the current argument.
    wire_len: usize,
}

impl Partial {
    pub(super) fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    pub(super) fn frame(&self) -> Frame<'_> {
        Frame::assembled(&self.text, &self.slots, &self.shared)
    }

    pub(super) fn buffered(&self) -> usize {
        if self.is_complete() {
            return 0;
        }
        let shared = self.shared.iter().map(Bytes::len).sum::<usize>();
        self.line.len() + self.text.len() + self.big.len() + shared
    }

    /// Back to the start of a command, keeping what memory is worth keeping.
    pub(super) fn reset(&mut self) {
        self.stage = Stage::Start;
        for buf in [&mut self.line, &mut self.text] {
            buf.clear();
            buf.shrink_to(KEPT_BYTES);
        }
        self.slots.clear();
        self.slots.shrink_to(KEPT_BYTES / size_of::<Slot>());
        self.shared = Vec::new();
        self.big = Vec::new();
        self.wire_len = 0;
    }

    /// Room for the rest of the big argument.
    pub(super) fn big_buf(&mut self) -> Option<BigRead<'_>> {
        if self.stage != Stage::BigBody {
            return None;
        }
        let missing = self.arg_len + 2 - self.big.len();
        if missing < BIG_READ_MIN {
            return None;
        }
        let room = self.grow_big();
        Some((&mut self.big).limit(room))
    }

    /// Advances over `input` until the command is whole or the input is used up.
    pub(super) fn feed(
        &mut self,
        input: &mut &[u8],
        limits: &DecodeLimits,
    ) -> Result<Progress, ProtocolError> {
        loop {
            match self.stage {
                Stage::Start => match input.first() {
                    None => return Ok(Progress::Starved),
                    Some(b'*') => self.stage = Stage::Count,
                    Some(_) => self.stage = Stage::Inline,
                },
                Stage::Count => match take_line(&mut self.line, input, limits.max_inline_len) {
                    Taken::More => return Ok(Progress::Starved),
                    Taken::TooLong => return Err(ProtocolError::TooBigMultibulkCount),
                    Taken::Line(line) => {
                        let wire_len = line.len() + 2;
                        let count = arg_count(line, limits)?;
                        self.line.clear();
                        if count == 0 {
                            return Ok(Progress::Empty);
                        }
                        self.wire_len = wire_len;
                        self.missing_args = count;
                        self.stage = Stage::Length;
                    }
                },
                Stage::Length => match take_line(&mut self.line, input, limits.max_inline_len) {
                    Taken::More => return Ok(Progress::Starved),
                    Taken::TooLong => return Err(ProtocolError::TooBigBulkCount),
                    Taken::Line(line) => {
                        let header_len = line.len() + 2;
                        let len = bulk_len(line, limits)?;
                        self.line.clear();
                        self.begin_arg(header_len, len, limits)?;
                    }
                },
                Stage::Body => {
                    let (now, rest) = input.split_at(self.missing_bytes.min(input.len()));
                    *input = rest;
                    self.text.extend_from_slice(now);
                    self.missing_bytes -= now.len();
                    if self.missing_bytes > 0 {
                        return Ok(Progress::Starved);
                    }
                    self.slots
                        .push(Slot::new(self.text.len() - self.arg_len - 2, self.arg_len));
                    self.end_arg();
                }
                Stage::BigBody => {
                    while self.big.len() < self.arg_len + 2 {
                        if input.is_empty() {
                            return Ok(Progress::Starved);
                        }
                        let room = self.grow_big();
                        let (now, rest) = input.split_at(room.min(input.len()));
                        *input = rest;
                        self.big.extend_from_slice(now);
                    }
                    self.big.truncate(self.arg_len);
                    self.slots.push(Slot::shared(self.shared.len()));
                    self.shared.push(Bytes::from(std::mem::take(&mut self.big)));
                    self.end_arg();
                }
                Stage::Inline => {
                    return match take_inline(&mut self.line, input, limits.max_inline_len) {
                        Taken::More => Ok(Progress::Starved),
                        Taken::TooLong => Err(ProtocolError::TooBigInline),
                        Taken::Line(line) => {
                            split_into(line, &mut self.text, &mut self.slots)
                                .map_err(|_| ProtocolError::UnbalancedQuotes)?;
                            if self.slots.is_empty() {
                                return Ok(Progress::Empty);
                            }
                            self.stage = Stage::Complete;
                            Ok(Progress::Complete)
                        }
                    };
                }
                Stage::Complete => return Ok(Progress::Complete),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn big_pointer(&self) -> *const u8 {
        self.big.as_ptr()
    }

    fn begin_arg(
        &mut self,
        header_len: usize,
        len: usize,
        limits: &DecodeLimits,
    ) -> Result<(), ProtocolError> {
        // Saturating: a primary's stream has no limit on an argument's length.
        self.wire_len = self
            .wire_len
            .saturating_add(header_len)
            .saturating_add(len)
            .saturating_add(2);
        if self.wire_len > limits.max_query_buffer {
            return Err(ProtocolError::QueryBufferLimit);
        }
        self.arg_len = len;
        self.missing_args -= 1;
        if len >= BIG_ARG || self.text.len() > Slot::MAX_OFFSET - 2 * BIG_ARG {
            self.stage = Stage::BigBody;
        } else {
            self.missing_bytes = len + 2;
            self.stage = Stage::Body;
        }
        Ok(())
    }

    fn end_arg(&mut self) {
        self.stage = if self.missing_args == 0 {
            Stage::Complete
        } else {
            Stage::Length
        };
    }

    /// Makes room in `big` and returns how many bytes it takes now: all that is missing, or a part of that while
    /// little has arrived.
    fn grow_big(&mut self) -> usize {
        let missing = self.arg_len + 2 - self.big.len();
        if self.big.capacity() == self.big.len() {
            self.big
                .reserve_exact(missing.min((3 * self.big.len()).max(BIG_FIRST)));
        }
        missing.min(self.big.capacity() - self.big.len())
    }
}

/// The number of arguments that a `*` line announces. Zero and less are the same.
fn arg_count(line: &[u8], limits: &DecodeLimits) -> Result<usize, ProtocolError> {
    let count = line
        .get(1..)
        .and_then(parse_i64)
        .ok_or(ProtocolError::InvalidMultibulkLength)?;
    let count = usize::try_from(count).unwrap_or(0);
    if count > MAX_ARGS {
        return Err(ProtocolError::InvalidMultibulkLength);
    }
    if !limits.authenticated && count > UNAUTHENTICATED_ARGS {
        return Err(ProtocolError::UnauthenticatedMultibulkLength);
    }
    Ok(count)
}

/// The length that a `$` line announces.
fn bulk_len(line: &[u8], limits: &DecodeLimits) -> Result<usize, ProtocolError> {
    let number = match line {
        [b'$', number @ ..] => number,
        [other, ..] => return Err(ProtocolError::ExpectedDollar(*other)),
        // An empty line: what stands in the place of `$` is the CR that ended it.
        [] => return Err(ProtocolError::ExpectedDollar(b'\r')),
    };
    let len = parse_i64(number)
        .and_then(|len| usize::try_from(len).ok())
        .filter(|len| *len <= limits.max_bulk_len)
        .ok_or(ProtocolError::InvalidBulkLength)?;
    if !limits.authenticated && len > UNAUTHENTICATED_BULK_LEN {
        return Err(ProtocolError::UnauthenticatedBulkLength);
    }
    Ok(len)
}

/// What became of a line.
enum Taken<'a> {
    /// It is whole; without its end.
    Line(&'a [u8]),
    /// All input went to the line's beginning.
    More,
    /// No end within the allowed length.
    TooLong,
}

/// A `*` or `$` line: it ends with CR and one more byte, whatever that is. `line` holds its beginning.
fn take_line<'a, 'i: 'a>(line: &'a mut Vec<u8>, input: &mut &'i [u8], max_len: usize) -> Taken<'a> {
    if line.last() == Some(&b'\r') {
        let [_, rest @ ..] = *input else {
            return Taken::More;
        };
        *input = rest;
        line.pop();
        return Taken::Line(line);
    }
    let window = &input[..input
        .len()
        .min(max_len.saturating_add(1).saturating_sub(line.len()))];
    match memchr(b'\r', window) {
        Some(at) if at + 1 < input.len() => {
            let head = &input[..at];
            *input = &input[at + 2..];
            Taken::Line(joined(line, head))
        }
        None if line.len() + window.len() > max_len => Taken::TooLong,
        Some(_) | None => {
            line.extend_from_slice(window);
            *input = &[];
            Taken::More
        }
    }
}

/// An inline command: it ends with LF or CRLF. `line` holds its beginning.
fn take_inline<'a, 'i: 'a>(line: &'a mut Vec<u8>, input: &mut &'i [u8], max_len: usize) -> Taken<'a> {
    let window = &input[..input
        .len()
        .min(max_len.saturating_add(1).saturating_sub(line.len()))];
    match memchr(b'\n', window) {
        Some(at) => {
            let head = &input[..at];
            *input = &input[at + 1..];
            let whole = joined(line, head);
            Taken::Line(whole.strip_suffix(b"\r").unwrap_or(whole))
        }
        None if line.len() + window.len() > max_len => Taken::TooLong,
        None => {
            line.extend_from_slice(window);
            *input = &[];
            Taken::More
        }
    }
}

/// `head` behind what `line` holds; without a copy where that is nothing.
fn joined<'a>(line: &'a mut Vec<u8>, head: &'a [u8]) -> &'a [u8] {
    if line.is_empty() {
        return head;
    }
    line.extend_from_slice(head);
    line
}
