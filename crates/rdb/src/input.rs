//! Where bytes come from: memory, or a stream that nobody trusts to be as long as it says.

use std::io::{self, Read};

use crate::crc64::Crc64;
use crate::error::RdbError;

/// Bytes of a stream that are asked for at once: a length that lies costs no more memory than this beyond what came.
const STEP: usize = 64 << 10;

/// A source of bytes.
pub trait Input {
    /// Fills `buf`.
    ///
    /// # Errors
    /// The input ends before, or the medium fails.
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RdbError>;

    /// Appends `len` bytes to `out`, which grows no faster than bytes come.
    ///
    /// # Errors
    /// As [`Input::fill`].
    fn append(&mut self, len: u64, out: &mut Vec<u8>) -> Result<(), RdbError>;
}

impl Input for &[u8] {
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RdbError> {
        let (taken, rest) = self.split_at_checked(buf.len()).ok_or(RdbError::Truncated)?;
        buf.copy_from_slice(taken);
        *self = rest;
        Ok(())
    }

    fn append(&mut self, len: u64, out: &mut Vec<u8>) -> Result<(), RdbError> {
        let len = usize::try_from(len).map_err(|_| RdbError::Truncated)?;
        let (taken, rest) = self.split_at_checked(len).ok_or(RdbError::Truncated)?;
        out.extend_from_slice(taken);
        *self = rest;
        Ok(())
    }
}

/// A stream of bytes with a buffer, a count and a checksum of what was taken from it.
pub struct StreamInput<R> {
    stream: R,
    buffer: Box<[u8]>,
    /// What is in the buffer and not taken: from..to.
    from: usize,
    to: usize,
    /// Where in the buffer the checksum has come to.
    summed: usize,
    /// Bytes that were in the buffer before what is in it now.
    before: u64,
    crc: Option<Crc64>,
}

impl<R: Read> StreamInput<R> {
    /// Reads `stream`, with a checksum if `checked`.
    pub fn new(stream: R, checked: bool) -> Self {
        Self {
            stream,
            buffer: vec![0; STEP].into(),
            from: 0,
            to: 0,
            summed: 0,
            before: 0,
            crc: checked.then(Crc64::new),
        }
    }

    /// Number of bytes taken so far.
    pub fn offset(&self) -> u64 {
        self.before + self.from as u64
    }

    /// Checksum of the bytes taken so far; None if it is not computed.
    pub fn checksum(&mut self) -> Option<u64> {
        self.sum_up();
        self.crc.as_ref().map(Crc64::get)
    }

    fn sum_up(&mut self) {
        if let Some(crc) = &mut self.crc {
            crc.update(&self.buffer[self.summed..self.from]);
        }
        self.summed = self.from;
    }

    /// Some of the next bytes, `most` at most; none at the end of the stream.
    fn some(&mut self, most: usize) -> Result<&[u8], RdbError> {
        if self.from == self.to {
            self.sum_up();
            self.before += self.to as u64;
            (self.from, self.to, self.summed) = (0, 0, 0);
            self.to = loop {
                match self.stream.read(&mut self.buffer) {
                    Ok(n) => break n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(RdbError::Io(e)),
                }
            };
        }
        let taken = self.from..self.to.min(self.from + most);
        self.from = taken.end;
        Ok(&self.buffer[taken])
    }

    /// What is in the buffer and was not taken, and the stream behind it.
    pub fn into_rest(self) -> (Vec<u8>, R) {
        (self.buffer[self.from..self.to].to_vec(), self.stream)
    }

    /// True if nothing follows.
    ///
    /// # Errors
    /// The medium fails.
    pub fn is_at_end(&mut self) -> Result<bool, RdbError> {
        let empty = self.some(1)?.is_empty();
        if !empty {
            self.from -= 1;
        }
        Ok(empty)
    }
}

impl<R> std::fmt::Debug for StreamInput<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamInput")
            .field("offset", &(self.before + self.from as u64))
            .finish_non_exhaustive()
    }
}

impl<R: Read> Input for StreamInput<R> {
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RdbError> {
        let mut rest = buf;
        while !rest.is_empty() {
            let some = self.some(rest.len())?;
            if some.is_empty() {
                return Err(RdbError::Truncated);
            }
            let (head, tail) = rest.split_at_mut(some.len());
            head.copy_from_slice(some);
            rest = tail;
        }
        Ok(())
    }

    fn append(&mut self, len: u64, out: &mut Vec<u8>) -> Result<(), RdbError> {
        let mut left = len;
        out.reserve(left.min(STEP as u64) as usize);
        while left > 0 {
            let some = self.some(usize::try_from(left).unwrap_or(usize::MAX))?;
            if some.is_empty() {
                return Err(RdbError::Truncated);
            }
            left -= some.len() as u64;
            out.extend_from_slice(some);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crc64::checksum;

    /// Gives one byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let (Some((first, rest)), false) = (self.0.split_first(), buf.is_empty()) else {
                return Ok(0);
            };
            buf[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn a_stream_counts_and_sums_what_was_taken() {
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i * 7) as u8).collect();
        let mut whole = StreamInput::new(&bytes[..], true);
        let mut drops = StreamInput::new(Drops(&bytes[..1000]), true);
        let mut three = [0; 3];
        whole.fill(&mut three).unwrap();
        drops.fill(&mut three).unwrap();
        assert_eq!(three, [0, 7, 14]);
        assert_eq!(drops.checksum(), Some(checksum(&bytes[..3])));
        let mut out = Vec::new();
        drops.append(997, &mut out).unwrap();
        assert!(drops.is_at_end().unwrap());
        assert_eq!(
            (drops.offset(), drops.checksum()),
            (1000, Some(checksum(&bytes[..1000])))
        );
        out.clear();
        whole.append(150_000, &mut out).unwrap();
        assert_eq!(out, bytes[3..150_003]);
        assert!(!whole.is_at_end().unwrap());
        assert_eq!(
            (whole.offset(), whole.checksum()),
            (150_003, Some(checksum(&bytes[..150_003])))
        );
    }

    #[test]
    fn a_length_that_lies_costs_little() {
        let mut stream = StreamInput::new(&b"abc"[..], false);
        let mut out = Vec::new();
        assert!(matches!(
            stream.append(u64::MAX, &mut out),
            Err(RdbError::Truncated)
        ));
        assert!(out.capacity() <= STEP);
        let mut slice = &b"abc"[..];
        assert!(matches!(slice.append(4, &mut out), Err(RdbError::Truncated)));
        assert!(matches!(slice.fill(&mut [0; 4]), Err(RdbError::Truncated)));
        assert_eq!(stream.checksum(), None);
    }
}
