//! The arguments of one command and a cursor over them.
//!
//! Must not know: what the words mean.

use bytes::Bytes;
use holdfast_resp::Frame;
use holdfast_storage::numeric;

use crate::error::CmdError;

/// Arguments of one command; number 0 is its name.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a>(Frame<'a>);

impl<'a> Args<'a> {
    /// Arguments of a decoded command.
    pub fn new(frame: Frame<'a>) -> Self {
        Self(frame)
    }

    /// The command as it was decoded.
    pub fn frame(&self) -> Frame<'a> {
        self.0
    }

    /// Number of arguments, the name included.
    #[expect(clippy::len_without_is_empty, reason = "the name is always there")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Argument `i`.
    ///
    /// # Panics
    /// If there is none: the declared arity must make sure of it.
    #[inline]
    pub fn get(&self, i: usize) -> &'a [u8] {
        self.0.arg(i)
    }

    /// Argument `i`, if it is there.
    pub fn opt(&self, i: usize) -> Option<&'a [u8]> {
        self.0.get(i)
    }

    /// Argument `i` as shared bytes: big ones are not copied.
    pub fn bytes(&self, i: usize) -> Bytes {
        self.0.to_bytes(i)
    }

    /// True if argument `i` has memory of its own that can be kept by reference.
    pub fn is_shared(&self, i: usize) -> bool {
        self.0.shared(i).is_some()
    }

    /// Argument `i` as an integer, with Redis's strictness.
    pub fn int(&self, i: usize) -> Result<i64, CmdError> {
        int(self.get(i))
    }

    /// Argument `i` as a number.
    pub fn float(&self, i: usize) -> Result<f64, CmdError> {
        float(self.get(i))
    }

    /// True if argument `i` is this word (upper case), in any case.
    pub fn is(&self, i: usize, word: &str) -> bool {
        self.opt(i)
            .is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// All arguments from `i` on.
    pub fn from(
        &self,
        i: usize,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone + use<'a> {
        self.0.iter().skip(i)
    }

    /// Pairs of arguments from `i` on; a last single one is left out.
    pub fn pairs(&self, i: usize) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let frame = self.0;
        (0..frame.len().saturating_sub(i) / 2).map(move |n| (frame.arg(i + 2 * n), frame.arg(i + 2 * n + 1)))
    }

    /// A cursor at argument `i`.
    pub fn cursor(&self, i: usize) -> Cursor<'a> {
        Cursor { frame: self.0, at: i }
    }
}

/// Reads arguments one by one.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    frame: Frame<'a>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Index of the next argument.
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many arguments are left.
    pub fn left(&self) -> usize {
        self.frame.len().saturating_sub(self.at)
    }

    /// The next argument without taking it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.frame.get(self.at)
    }

    /// Takes the next argument if it is this word (upper case), in any case.
    pub fn accept(&mut self, word: &str) -> bool {
        let hit = self
            .peek()
            .is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()));
        self.at += usize::from(hit);
        hit
    }

    /// Takes the next argument; a syntax error if there is none.
    pub fn word(&mut self) -> Result<&'a [u8], CmdError> {
        self.next().ok_or(CmdError::Syntax)
    }

    /// Takes an integer; a syntax error if there is no argument.
    pub fn int(&mut self) -> Result<i64, CmdError> {
        int(self.word()?)
    }

    /// Takes a number; a syntax error if there is no argument.
    pub fn float(&mut self) -> Result<f64, CmdError> {
        float(self.word()?)
    }

    /// A syntax error unless everything has been taken.
    pub fn end(&self) -> Result<(), CmdError> {
        if self.left() == 0 {
            Ok(())
        } else {
            Err(CmdError::Syntax)
        }
    }
}

impl<'a> Iterator for Cursor<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let a = self.frame.get(self.at)?;
        self.at += 1;
        Some(a)
    }
}

/// Text as an integer.
pub fn int(text: &[u8]) -> Result<i64, CmdError> {
    numeric::parse_i64(text).ok_or(CmdError::NotInteger)
}

/// Text as a number.
pub fn float(text: &[u8]) -> Result<f64, CmdError> {
    numeric::parse_f64(text).ok_or(CmdError::NotFloat)
}
