//! Commands out of a stream of bytes: the decoder that each connection owns.
//!
//! The usual case, a whole multibulk command inside the read buffer, is decoded here without copying and
//! without allocating: its arguments are ranges of that buffer. Everything else (a command cut by the end of a
//! read, inline commands, errors) goes through the resumable machine in [`partial`], byte for byte with the
//! same outcome. Nothing here knows about sockets or about what the commands mean.

mod error;
mod frame;
mod inline;
mod partial;
#[cfg(test)]
mod tests;

pub use error::ProtocolError;
use frame::Slot;
pub use frame::{Frame, OwnedFrame};
pub use inline::split_args;
use partial::{Partial, Progress};

/// Bounds on what a client may send, in bytes. They may change between two calls, as `CONFIG SET` and `AUTH` do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The longest argument: `proto-max-bulk-len`. A primary's stream is not bound by it: pass `usize::MAX`.
    pub max_bulk_len: usize,
    /// The longest inline command, and the longest `*` or `$` line (64 KiB in Redis). Redis looks at it only while
    /// the line's end is missing, so that a longer line passes if it comes in one read; here the cut never matters.
    pub max_inline_len: usize,
    /// The longest multibulk command as sent, headers included: `client-query-buffer-limit`. Checked against the
    /// announced lengths, so a command that cannot pass is refused before its bytes are received.
    pub max_query_buffer: usize,
    /// Before AUTH a command may have 10 arguments of 16 KiB at most.
    pub authenticated: bool,
}

impl Default for DecodeLimits {
    /// The defaults of `redis.conf`, for a connection that needs no password.
    fn default() -> Self {
        Self {
            max_bulk_len: 512 << 20,
            max_inline_len: 64 << 10,
            max_query_buffer: 1 << 30,
            authenticated: true,
        }
    }
}

/// The most arguments that a client may send before it has authenticated.
const UNAUTHENTICATED_ARGS: usize = 10;
/// The longest argument that a client may send before it has authenticated.
const UNAUTHENTICATED_BULK_LEN: usize = 16 << 10;
/// The most arguments of a command, as in Redis: a count must fit in a C `int`.
const MAX_ARGS: usize = i32::MAX as usize;

impl DecodeLimits {
    fn args(&self) -> usize {
        if self.authenticated {
            MAX_ARGS
        } else {
            UNAUTHENTICATED_ARGS
        }
    }

    fn bulk_len(&self) -> usize {
        if self.authenticated {
            self.max_bulk_len
        } else {
            self.max_bulk_len.min(UNAUTHENTICATED_BULK_LEN)
        }
    }
}

/// Memory that decoding needs only while a command runs. One per worker, shared by all its connections.
#[derive(Debug, Default)]
pub struct DecodeScratch {
    /// Argument ranges of the command decoded last, or of the commands of a batch.
    slots: Vec<Slot>,
    /// Commands of a batch.
    batch: Vec<Whole>,
    /// The state of the last command that had to be assembled, kept for the next one.
    spare: Option<Box<Partial>>,
}

/// One command of a batch: where it ends in the input, and where its slots end.
#[derive(Clone, Copy, Debug)]
struct Whole {
    end: usize,
    slots_end: usize,
}

impl DecodeScratch {
    /// Command `i` of the batch that [`CommandDecoder::batch`] found in `input`, and the offset of its end.
    ///
    /// # Panics
    /// If there is no such command.
    #[inline]
    pub fn frame<'f>(&'f self, input: &'f [u8], i: usize) -> (Frame<'f>, usize) {
        let Whole { end, slots_end } = self.batch[i];
        let (start, slots_start) = match i.checked_sub(1) {
            None => (0, 0),
            Some(before) => (self.batch[before].end, self.batch[before].slots_end),
        };
        (
            Frame::in_place(&input[start..end], &self.slots[slots_start..slots_end]),
            end,
        )
    }

    /// An empty scratch; it grows to what the commands need and gives back what a huge one took.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Where a socket reads the missing bytes of a big argument: a `BufMut` that takes no more than those.
pub type BigRead<'a> = bytes::buf::Limit<&'a mut Vec<u8>>;

/// Slots that a scratch keeps for the next command.
const KEPT_SLOTS: usize = 16 << 10;

/// The decoder of one connection: a pointer wide while no command is half received.
///
/// ```
/// use holdfast_resp::{CommandDecoder, DecodeLimits, DecodeScratch};
///
/// let (mut decoder, mut scratch) = (CommandDecoder::new(), DecodeScratch::new());
/// let mut input: &[u8] = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*1\r\n$4\r\nPI";
/// let mut names = Vec::new();
/// while let Some(frame) = decoder.next(&mut input, &mut scratch, &DecodeLimits::default())? {
///     names.push(frame.name().to_vec());
/// }
/// assert_eq!(names, [b"GET".to_vec(), b"PING".to_vec()]);
/// assert!(input.is_empty() && decoder.buffered() > 0);
/// # Ok::<(), holdfast_resp::ProtocolError>(())
/// ```
#[derive(Debug, Default)]
pub struct CommandDecoder {
    /// The command that is being assembled, or was handed out by the call before.
    partial: Option<Box<Partial>>,
}

impl CommandDecoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next whole command from the front of `input` and advances `input` past it.
    ///
    /// `None`: `input` is used up. What was left of it, the beginning of a command, is kept in the decoder, so
    /// the caller may reuse its read buffer at once. Commands without arguments (`*0`, an empty line) are
    /// skipped, as in Redis. Total work is linear in the bytes received, however they are cut into reads, and
    /// so is memory.
    ///
    /// # Errors
    /// The stream cannot be understood any further: answer with [`ProtocolError::write_reply`] and close. The
    /// decoder and `input` are of no use afterwards.
    pub fn next<'f, 'i: 'f>(
        &'f mut self,
        input: &mut &'i [u8],
        scratch: &'f mut DecodeScratch,
        limits: &DecodeLimits,
    ) -> Result<Option<Frame<'f>>, ProtocolError> {
        if let Some(partial) = &self.partial
            && partial.is_complete()
        {
            self.recycle(scratch);
        }
        loop {
            if self.partial.is_none() {
                match input.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        scratch.slots.clear();
                        if let Some(end) = take_whole(input, &mut scratch.slots, limits) {
                            let (command, rest) = input.split_at(end);
                            *input = rest;
                            return Ok(Some(Frame::in_place(command, &scratch.slots)));
                        }
                        scratch.slots.shrink_to(KEPT_SLOTS);
                    }
                    Some(_) => {}
                }
            }
            match self.assemble(input, scratch, limits)? {
                Progress::Starved => return Ok(None),
                Progress::Complete => break,
                Progress::Empty => self.recycle(scratch),
            }
        }
        Ok(self.partial.as_deref().map(Partial::frame))
    }

    /// Finds the commands that lie whole and plain at the front of `input`, at most `max`, without consuming them:
    /// [`DecodeScratch::frame`] gives them, and the caller advances its input past what it executes. So the keys of many
    /// commands are known before the first of them runs. 0: use [`next`](Self::next).
    pub fn batch(
        &mut self,
        input: &[u8],
        scratch: &mut DecodeScratch,
        limits: &DecodeLimits,
        max: usize,
    ) -> usize {
        scratch.slots.clear();
        scratch.batch.clear();
        match &self.partial {
            Some(partial) if partial.is_complete() => self.recycle(scratch),
            Some(_) => return 0,
            None => {}
        }
        let mut at = 0;
        while scratch.batch.len() < max && scratch.slots.len() < KEPT_SLOTS && input.get(at) == Some(&b'*') {
            let kept = scratch.slots.len();
            let Some(len) = take_whole(&input[at..], &mut scratch.slots, limits) else {
                scratch.slots.truncate(kept);
                break;
            };
            at += len;
            scratch.batch.push(Whole {
                end: at,
                slots_end: scratch.slots.len(),
            });
        }
        scratch.batch.len()
    }

    /// The place into which the socket should read, while a big argument is half received: reading there spares
    /// a copy of its bytes. Call [`next`](Self::next) afterwards, with an empty input too.
    ///
    /// `None` when no big argument is pending, or so little is missing that the shared read buffer serves better.
    pub fn big_buf(&mut self) -> Option<BigRead<'_>> {
        self.partial.as_mut().and_then(|partial| partial.big_buf())
    }

    /// Bytes of an unfinished command that are held here: `qbuf` of CLIENT LIST.
    pub fn buffered(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.buffered())
    }

    #[cold]
    fn assemble(
        &mut self,
        input: &mut &[u8],
        scratch: &mut DecodeScratch,
        limits: &DecodeLimits,
    ) -> Result<Progress, ProtocolError> {
        let partial = self
            .partial
            .get_or_insert_with(|| scratch.spare.take().unwrap_or_default());
        let progress = partial.feed(input, limits);
        if progress.is_err() {
            self.partial = None;
        }
        progress
    }

    #[cold]
    fn recycle(&mut self, scratch: &mut DecodeScratch) {
        if let Some(mut partial) = self.partial.take()
            && scratch.spare.is_none()
        {
            partial.reset();
            scratch.spare = Some(partial);
        }
    }
}

/// Decodes a multibulk command that lies wholly in `input`, whose first byte is `*`, and returns its length.
/// `None` for whatever is not plain: cut off, empty, beyond a limit, malformed. The slots are then meaningless.
#[inline]
fn take_whole(input: &[u8], slots: &mut Vec<Slot>, limits: &DecodeLimits) -> Option<usize> {
    let window = &input[..input.len().min(limits.max_query_buffer).min(Slot::MAX_OFFSET)];
    let (count, mut at) = take_length(window, 1)?;
    if count == 0 || count > limits.args() {
        return None;
    }
    let max_len = limits.bulk_len();
    for _ in 0..count {
        if *window.get(at)? != b'$' {
            return None;
        }
        let (len, start) = take_length(window, at + 1)?;
        at = start + len + 2;
        if len > max_len || at > window.len() {
            return None;
        }
        slots.push(Slot::new(start, len));
    }
    Some(at)
}

/// The canonical decimal number at `at`, ended by `\r` and one more byte (which Redis does not look at either),
/// and the offset behind it. At most 10 digits, so that sums with it cannot overflow.
#[inline(always)]
fn take_length(window: &[u8], at: usize) -> Option<(usize, usize)> {
    match window.get(at..)? {
        [a @ b'0'..=b'9', b'\r', _, ..] => Some((usize::from(a - b'0'), at + 3)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => {
            Some((usize::from(a - b'0') * 10 + usize::from(b - b'0'), at + 4))
        }
        [b'1'..=b'9', rest @ ..] => {
            let digits = 1 + rest
                .iter()
                .take(10)
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let end = at + digits;
            if digits > 10 || window.get(end) != Some(&b'\r') || end + 2 > window.len() {
                return None;
            }
            let value = window[at..end]
                .iter()
                .fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0'));
            Some((value, end + 2))
        }
        _ => None,
    }
}
