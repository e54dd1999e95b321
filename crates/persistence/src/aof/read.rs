//! Commands out of an append-only file, one after the other, and how far the file is whole.
//!
//! A file may end in the middle of a command, or of a transaction: the machine stopped. [`AofReader::good_to`] is the
//! length to which it may be cut so that everything before it is complete.

use std::io::{self, BufRead, Read};

use holdfast_resp::{CommandDecoder, DecodeLimits, DecodeScratch, Frame, OwnedFrame};

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
    #[error("it ends within a command or a transaction, and is whole up to byte {good_to}")]
    Truncated {
        /// Length of the whole part, in bytes.
        good_to: u64,
    },
    /// It is no command.
    #[error("{what} at byte {at}")]
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
/// Most arguments of a command, as in the protocol: what was acknowledged can be read again.
const ARGS_MAX: u64 = i32::MAX as u64;
/// Longest argument: `proto-max-bulk-len` may say almost anything. Memory is taken as bytes are there, not as they are
/// announced.
const ARG_MAX: u64 = 1 << 40;
/// Commands that are looked at together.
const BATCH: usize = 256;
/// A file that this server has written is bound by nothing but the limits above.
const LIMITS: DecodeLimits = DecodeLimits {
    max_bulk_len: ARG_MAX as usize,
    max_inline_len: LINE_MAX,
    max_query_buffer: usize::MAX,
    authenticated: true,
};

/// See the module's documentation.
#[derive(Debug)]
pub struct AofReader<R> {
    file: R,
    /// Bytes read.
    at: u64,
    good_to: u64,
    in_multi: bool,
    scratch: DecodeScratch,
}

impl<R: BufRead> AofReader<R> {
    /// A reader of a file whose next byte is byte `at`: 0, or the end of an RDB preamble.
    pub fn new(file: R, at: u64) -> Self {
        Self {
            file,
            at,
            good_to: at,
            in_multi: false,
            scratch: DecodeScratch::new(),
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
                note_transaction(&mut self.in_multi, &args[0], start)?;
            }
            self.end_of_item();
            // Notes of a newer server are passed over, as Redis does.
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    /// Hands over the next commands, one or many, as they lie in the reader's buffer: several times as fast as one by one.
    /// `apply` says whether to go on; if not, those behind are not taken. False: the file is at its end, and whole.
    pub fn next_commands(&mut self, mut apply: impl FnMut(Frame<'_>) -> bool) -> Result<bool, AofError> {
        if let Err(error) = self.file.fill_buf().map(<[u8]>::len)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return self.whole(Err(error));
        }
        let bytes = self.file.fill_buf()?;
        let found = CommandDecoder::new().batch(bytes, &mut self.scratch, &LIMITS, BATCH);
        if found == 0 {
            // A note, or what the buffer's end cuts, or what is wrong.
            return match self.next_item()? {
                None => Ok(false),
                Some(Item::Time(_)) => Ok(true),
                Some(Item::Command(args)) => {
                    let owned = OwnedFrame::from_args(args.iter().map(Vec::as_slice));
                    let _it_stops_by_itself = owned.frame().is_none_or(&mut apply);
                    Ok(true)
                }
            };
        }
        let mut used = 0;
        for i in 0..found {
            let (frame, end) = self.scratch.frame(bytes, i);
            note_transaction(&mut self.in_multi, frame.name(), self.at)?;
            self.at += (end - used) as u64;
            used = end;
            if !self.in_multi {
                self.good_to = self.at;
            }
            if !apply(frame) {
                break;
            }
        }
        self.file.consume(used);
        Ok(true)
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
        let got = self.file.by_ref().take(len).read_to_end(&mut bytes);
        let got = self.whole(got)? as u64;
        self.at += got;
        if got < len {
            return Err(self.truncated());
        }
        let mut end = [0; 2];
        for byte in &mut end {
            let got = self.file.by_ref().take(1).read(std::slice::from_mut(byte));
            if self.whole(got)? == 0 {
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
            .read_until(b'\n', &mut line);
        let got = self.whole(got)?;
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

    /// A file may know that its end is cut off: an encrypted one ends within a block.
    fn whole<T>(&self, read: io::Result<T>) -> Result<T, AofError> {
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.truncated(),
            _ => AofError::Io(error),
        })
    }

    fn truncated(&self) -> AofError {
        AofError::Truncated {
            good_to: self.good_to,
        }
    }
}

/// Follows the beginnings and the ends of transactions.
fn note_transaction(in_multi: &mut bool, name: &[u8], start: u64) -> Result<(), AofError> {
    let begins = name.eq_ignore_ascii_case(b"multi");
    let ends = name.eq_ignore_ascii_case(b"exec");
    match (begins, ends, *in_multi) {
        (true, _, true) => return Err(format_error(start, "a transaction within a transaction")),
        (_, true, false) => return Err(format_error(start, "the end of no transaction")),
        (true, _, false) => *in_multi = true,
        (_, true, true) => *in_multi = false,
        (false, false, _) => {}
    }
    Ok(())
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
    fn many_commands_at_once_are_the_same_as_one_by_one() {
        let text = format!("{SET}{MULTI}{SET}{SET}{EXEC}#TS:5\r\n{SET}").repeat(50);
        for buffer in [16, 64, 100, 4096] {
            for len in (0..text.len()).rev().step_by(37) {
                let cut = &text.as_bytes()[..len];
                let (items, end, good_to) = all(cut);
                let commands = items
                    .iter()
                    .filter(|item| matches!(item, Item::Command(_)))
                    .count();
                let mut reader = AofReader::new(io::BufReader::with_capacity(buffer, cut), 0);
                let mut seen = 0;
                let fast_end = loop {
                    match reader.next_commands(|frame| {
                        seen += usize::from(frame.len() > 0);
                        true
                    }) {
                        Ok(true) => {}
                        Ok(false) => break Ok(()),
                        Err(error) => break Err(error),
                    }
                };
                assert_eq!(
                    (seen, reader.good_to()),
                    (commands, good_to),
                    "{len} bytes, buffer of {buffer}"
                );
                assert_eq!(end.is_ok(), fast_end.is_ok());
            }
        }
        let mut reader = AofReader::new(text.as_bytes(), 0);
        let mut seen = 0;
        let more = reader.next_commands(|_| {
            seen += 1;
            seen < 3
        });
        assert!(more.is_ok_and(|more| more));
        assert_eq!(reader.position(), (SET.len() * 2 + MULTI.len()) as u64);
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
            ("*1\r\n$9999999999999\r\n", 4),
            (EXEC, 0),
            (&[MULTI, MULTI].concat(), 15),
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
