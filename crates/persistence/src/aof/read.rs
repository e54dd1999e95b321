//! Commands out of an append-only file, one after the other, and how far the file is whole.
//!
//! A file may end in the middle of a command, or of a transaction: the machine stopped. [`AofReader::good_to`] is the
//! length to which it may be cut so that everything before it is complete.

use std::io::{self, BufRead, Read};

/// What stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A command with its arguments; never without a name.
    Command(Vec<Vec<u8>>),
    /// `#TS:`: the commands behind it were written at this time or later, Unix seconds.
    Time(i64),
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum AofError {
    /// It ends within a command or a transaction; what is before byte `good_to` is whole.
    #[error("Unexpected end of file reading the append only file (whole up to byte {good_to})")]
    Truncated {
        /// Length of the whole part, in bytes.
        good_to: u64,
    },
    /// It is no command.
    #[error("Bad file format reading the append only file: {what} at byte {at}")]
    Format {
        /// Where.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Longest line of a number or an annotation.
const LINE_MAX: usize = 128;
/// Most arguments of a command.
const ARGS_MAX: u64 = 1 << 20;
/// Longest argument: what the protocol allows at most.
const ARG_MAX: u64 = 512 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub struct AofReader<R> {
    file: R,
    /// Bytes read.
    at: u64,
    good_to: u64,
    in_multi: bool,
}

impl<R: BufRead> AofReader<R> {
    /// A reader of a file whose next byte is byte `at`: 0, or the end of an RDB preamble.
    pub fn new(file: R, at: u64) -> Self {
        Self {
            file,
            at,
            good_to: at,
            in_multi: false,
        }
    }

    /// The file is whole up to this byte, as far as it has been read.
    pub fn good_to(&self) -> u64 {
        self.good_to
    }

    /// Bytes read up to now, for the progress.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next item; None at the end of a whole file.
    pub fn next_item(&mut self) -> Result<Option<Item>, AofError> {
        loop {
            let start = self.at;
            let Some(line) = self.line()? else {
                return if self.in_multi {
                    Err(self.truncated())
                } else {
                    Ok(None)
                };
            };
            let item = match line.split_first() {
                Some((b'#', note)) => annotation(note).map(Item::Time),
                Some((b'*', count)) => Some(Item::Command(self.command(count, start)?)),
                Some(_) | None => return Err(format_error(start, "expected '*' or '#'")),
            };
            if let Some(Item::Command(args)) = &item {
                if args[0].eq_ignore_ascii_case(b"multi") {
                    self.in_multi = true;
                } else if args[0].eq_ignore_ascii_case(b"exec") {
                    self.in_multi = false;
                }
            }
            self.end_of_item();
            // Notes of a newer server are passed over, as Redis does.
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn end_of_item(&mut self) {
        if !self.in_multi {
            self.good_to = self.at;
        }
    }

    fn command(&mut self, count: &[u8], start: u64) -> Result<Vec<Vec<u8>>, AofError> {
        let count =
            number(count, ARGS_MAX).ok_or(format_error(start, "a number of arguments that cannot be"))?;
        if count == 0 {
            return Err(format_error(start, "a command without a name"));
        }
        let mut args = Vec::with_capacity(count.min(64) as usize);
        for _ in 0..count {
            let at = self.at;
            let line = self.line()?.ok_or_else(|| self.truncated())?;
            let len = line.strip_prefix(b"$").and_then(|digits| number(digits, ARG_MAX));
            args.push(self.argument(len.ok_or(format_error(at, "a length that cannot be"))?)?);
        }
        Ok(args)
    }

    fn argument(&mut self, len: u64) -> Result<Vec<u8>, AofError> {
        // Grows with what is there, whatever length is claimed.
        let mut bytes = Vec::with_capacity(len.min(64 << 10) as usize);
        let got = self.file.by_ref().take(len).read_to_end(&mut bytes)? as u64;
        self.at += got;
        if got < len {
            return Err(self.truncated());
        }
        let mut end = [0; 2];
        for byte in &mut end {
            if self.file.by_ref().take(1).read(std::slice::from_mut(byte))? == 0 {
                return Err(self.truncated());
            }
            self.at += 1;
        }
        if end != *b"\r\n" {
            return Err(format_error(
                self.at - 2,
                "an argument that does not end where it should",
            ));
        }
        Ok(bytes)
    }

    /// The next line without its end. None: the file is at its end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, AofError> {
        let start = self.at;
        let mut line = Vec::new();
        let got = self
            .file
            .by_ref()
            .take(LINE_MAX as u64)
            .read_until(b'\n', &mut line)?;
        self.at += got as u64;
        if got == 0 {
            return Ok(None);
        }
        match line.strip_suffix(b"\r\n") {
            Some(text) => Ok(Some(text.to_vec())),
            None if got == LINE_MAX || line.ends_with(b"\n") => {
                Err(format_error(start, "a line that does not end"))
            }
            None => Err(self.truncated()),
        }
    }

    fn truncated(&self) -> AofError {
        AofError::Truncated {
            good_to: self.good_to,
        }
    }
}

fn format_error(at: u64, what: &'static str) -> AofError {
    AofError::Format { at, what }
}

fn number(digits: &[u8], max: u64) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number <= max).then_some(number)
}

fn annotation(note: &[u8]) -> Option<i64> {
    std::str::from_utf8(note.strip_prefix(b"TS:")?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> (Vec<Item>, Result<(), AofError>, u64) {
        let mut reader = AofReader::new(bytes, 0);
        let mut items = Vec::new();
        let end = loop {
            match reader.next_item() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        (items, end, reader.good_to())
    }

    fn command(args: &[&str]) -> Item {
        Item::Command(args.iter().map(|arg| arg.as_bytes().to_vec()).collect())
    }

    const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n";
    const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";
    const EXEC: &str = "*1\r\n$4\r\nEXEC\r\n";

    #[test]
    fn commands_and_times() {
        let text = format!("#TS:1700000000\r\n{SET}#a note\r\n{MULTI}{SET}{EXEC}");
        let (items, end, good_to) = all(text.as_bytes());
        end.unwrap();
        assert_eq!(good_to, text.len() as u64);
        assert_eq!(
            items,
            [
                Item::Time(1_700_000_000),
                command(&["SET", "a", ""]),
                command(&["MULTI"]),
                command(&["SET", "a", ""]),
                command(&["EXEC"]),
            ]
        );
    }

    #[test]
    fn every_cut_is_whole_up_to_a_command_outside_of_transactions() {
        let text = format!("{SET}{MULTI}{SET}{EXEC}{SET}");
        let ends = [0, SET.len(), text.len() - SET.len(), text.len()];
        for len in 0..text.len() {
            let (_, end, good_to) = all(&text.as_bytes()[..len]);
            let whole = ends.iter().rev().find(|end| **end <= len).unwrap();
            assert_eq!(good_to, *whole as u64, "{len} bytes");
            match end {
                Ok(()) => assert_eq!(len, *whole),
                Err(AofError::Truncated { good_to }) => assert_eq!(good_to, *whole as u64),
                Err(other) => panic!("{len} bytes: {other}"),
            }
        }
    }

    #[test]
    fn what_is_no_command_is_named_with_its_place() {
        for (text, at) in [
            ("*0\r\n", 0),
            ("*-1\r\n", 0),
            ("SET a b\r\n", 0),
            ("*1\r\n$-1\r\n", 4),
            ("*1\r\n$2\r\nabc\r\n", 10),
            ("*1\n$1\r\na\r\n", 0),
            ("*99999999999\r\n", 0),
            ("*1\r\n$99999999999\r\n", 4),
        ] {
            let (_, end, good_to) = all(text.as_bytes());
            assert!(
                matches!(end, Err(AofError::Format { at: found, .. }) if found == at),
                "{text:?}: {end:?}"
            );
            assert_eq!(good_to, 0);
        }
        let (items, end, _) = all("#a note\r\n".repeat(100_000).as_bytes());
        assert!(items.is_empty() && end.is_ok());
        let endless = [b'#'; 4096];
        assert!(matches!(all(&endless).1, Err(AofError::Format { .. })));
    }

    #[test]
    fn a_claimed_length_takes_no_memory() {
        let (_, end, _) = all(b"*1\r\n$536870912\r\nabc");
        assert!(matches!(end, Err(AofError::Truncated { good_to: 0 })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (_, _, good_to) = all(&bytes);
            prop_assert!(good_to <= bytes.len() as u64);
        }
    }
}
