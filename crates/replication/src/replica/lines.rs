//! Lines out of a stream, before anything else is sent in it.

/// Longest line of a primary: Redis's own replicas take 1024 bytes.
const LONGEST: usize = 1024;

/// The primary sends a line without end: it is no primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than {LONGEST} bytes")]
pub struct TooLong;

/// Collects a line that comes in pieces. What follows it is left where it is.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes the next line from the front of `input`, without its end. None: `input` is used up, and kept.
    ///
    /// # Errors
    /// See [`TooLong`].
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, TooLong> {
        let end = input.iter().position(|&b| b == b'\n');
        let (piece, rest) = input.split_at(end.unwrap_or(input.len()));
        if self.begun.len() + piece.len() > LONGEST {
            return Err(TooLong);
        }
        self.begun.extend_from_slice(piece);
        *input = rest;
        if end.is_none() {
            return Ok(None);
        }
        *input = &rest[1..];
        let mut line = std::mem::take(&mut self.begun);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_any_pieces_and_the_rest_stays() {
        let all = b"+OK\r\n\n+CONTINUE\nstream".as_slice();
        for step in 1..all.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for mut piece in all[..all.len() - 6].chunks(step) {
                while let Some(line) = lines.next(&mut piece).unwrap() {
                    seen.push(line);
                }
                assert!(piece.is_empty());
            }
            assert_eq!(seen, [&b"+OK"[..], b"", b"+CONTINUE"], "{step}");
        }
        let mut input = all;
        let mut lines = Lines::default();
        for _ in 0..3 {
            lines.next(&mut input).unwrap().unwrap();
        }
        assert_eq!(input, b"stream");
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::default();
        for _ in 0..LONGEST / 16 {
            assert_eq!(lines.next(&mut [b'x'; 16].as_slice()), Ok(None));
        }
        assert_eq!(lines.next(&mut b"x".as_slice()), Err(TooLong));
        assert_eq!(Lines::default().next(&mut [b'x'; 2000].as_slice()), Err(TooLong));
    }
}
