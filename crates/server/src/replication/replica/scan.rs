//! Finds where the commands of a primary's stream end, however they are cut into reads; each byte is looked at once.
//!
//! A primary sends nothing but arrays of bulk strings, and empty lines as signs of life. A client's decoder would do as
//! well, but it takes a cut command apart; here its bytes have to stay together, to be appended to the log.

use holdfast_resp::parse_i64;

/// The stream is no primary's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadStream {
    /// It has something else where a command should begin, or an argument.
    #[error("a byte that begins neither a command nor an argument: {0:#04x}")]
    Byte(u8),
    /// A number that is none, or beyond reason.
    #[error("a length that is none")]
    Length,
    /// A command of more bytes than anybody sends.
    #[error("a command of more than {MOST} bytes")]
    TooLong,
}

/// Longest command: an argument of 512 MB is the most that a default server takes, and many of them together make 4 GB.
const MOST: usize = 4 << 30;
/// Longest `*` or `$` line.
const LINE: usize = 32;
/// Most arguments, as in Redis.
const ARGUMENTS: i64 = i32::MAX as i64;

/// A piece of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A command of so many bytes.
    Command(usize),
    /// So many bytes that say nothing.
    Nothing(usize),
}

/// The state between two reads: what of the first command has been looked at.
#[derive(Debug, Default)]
pub struct Scan {
    at: usize,
    /// Arguments that are still to come, once their number is known.
    left: Option<i64>,
}

impl Scan {
    /// True if a part of a command has been looked at.
    pub fn is_midway(&self) -> bool {
        self.at > 0
    }

    /// The piece at the front of `input`, which must begin where the last piece ended. None: it has not come whole; then
    /// the same bytes and more are to be shown again.
    ///
    /// # Errors
    /// See [`BadStream`].
    pub fn next(&mut self, input: &[u8]) -> Result<Option<Piece>, BadStream> {
        if self.at == 0 {
            match input {
                [] => return Ok(None),
                [b'\n', ..] => return Ok(Some(Piece::Nothing(1))),
                [b'\r', b'\n', ..] => return Ok(Some(Piece::Nothing(2))),
                [b'\r'] => return Ok(None),
                [b'*', ..] => {}
                [other, ..] => return Err(BadStream::Byte(*other)),
            }
        }
        loop {
            match self.left {
                None => {
                    let Some((count, end)) = number(input, 1)? else {
                        return Ok(None);
                    };
                    if count > ARGUMENTS {
                        return Err(BadStream::Length);
                    }
                    (self.left, self.at) = (Some(count), end);
                }
                Some(..=0) => {
                    let end = std::mem::take(self).at;
                    return Ok(Some(Piece::Command(end)));
                }
                Some(left) => {
                    match input.get(self.at) {
                        None => return Ok(None),
                        Some(b'$') => {}
                        Some(other) => return Err(BadStream::Byte(*other)),
                    }
                    let Some((len, start)) = number(input, self.at + 1)? else {
                        return Ok(None);
                    };
                    let len = usize::try_from(len).map_err(|_| BadStream::Length)?;
                    let end = start.saturating_add(len).saturating_add(2);
                    if end > MOST {
                        return Err(BadStream::TooLong);
                    }
                    if end > input.len() {
                        return Ok(None);
                    }
                    (self.left, self.at) = (Some(left - 1), end);
                }
            }
        }
    }
}

/// The number of a line that begins at `at`, and the offset behind the line.
fn number(input: &[u8], at: usize) -> Result<Option<(i64, usize)>, BadStream> {
    let rest = &input[at.min(input.len())..];
    let line = &rest[..rest.len().min(LINE)];
    match line.windows(2).position(|w| w == b"\r\n") {
        Some(end) => {
            let value = parse_i64(&line[..end]).ok_or(BadStream::Length)?;
            Ok(Some((value, at + end + 2)))
        }
        None if line.len() == LINE => Err(BadStream::Length),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhe\r\nl\r\n";

    fn pieces(all: &[u8], step: usize) -> Vec<Piece> {
        let (mut scan, mut seen, mut from) = (Scan::default(), Vec::new(), 0);
        for end in (0..all.len()).step_by(step).skip(1).chain([all.len()]) {
            while let Some(piece) = scan.next(&all[from..end]).unwrap() {
                from += match piece {
                    Piece::Command(n) | Piece::Nothing(n) => n,
                };
                seen.push(piece);
            }
        }
        assert_eq!(from, all.len(), "in steps of {step}");
        seen
    }

    #[test]
    fn commands_are_found_however_they_are_cut() {
        let all = [SET, b"\n", SET, b"\r\n", b"*0\r\n", b"*1\r\n$0\r\n\r\n", SET].concat();
        let want = [
            Piece::Command(SET.len()),
            Piece::Nothing(1),
            Piece::Command(SET.len()),
            Piece::Nothing(2),
            Piece::Command(4),
            Piece::Command(10),
            Piece::Command(SET.len()),
        ];
        for step in 1..all.len() {
            assert_eq!(pieces(&all, step), want);
        }
    }

    #[test]
    fn what_no_primary_sends_is_refused() {
        for (bad, why) in [
            (&b"PING\r\n"[..], BadStream::Byte(b'P')),
            (b"$3\r\n", BadStream::Byte(b'$')),
            (b"\rx", BadStream::Byte(b'\r')),
            (b"*x\r\n", BadStream::Length),
            (b"*99999999999\r\n", BadStream::Length),
            (b"*1\r\n$-1\r\n", BadStream::Length),
            (b"*1\r\n:1\r\n", BadStream::Byte(b':')),
            (b"*1\r\n$9999999999999\r\n", BadStream::TooLong),
            (&[b'*'; 64], BadStream::Length),
        ] {
            assert_eq!(Scan::default().next(bad), Err(why), "{}", bad.escape_ascii());
        }
    }
}
