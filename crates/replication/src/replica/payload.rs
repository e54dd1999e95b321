//! How the snapshot of a full synchronization is framed: `$<length>`, or `$EOF:<mark>` with the mark again at its end.

/// Length of the mark.
pub const MARK: usize = 40;

/// What announces the snapshot's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// So many bytes.
    Length(u64),
    /// Bytes up to this mark.
    Marked([u8; MARK]),
}

/// The line announces no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    /// The primary gave up.
    #[error("MASTER aborted replication with an error: {0}")]
    Aborted(String),
    /// Something else.
    #[error(
        "Bad protocol from MASTER, the first byte is not '$' (we received '{0}'), are you sure the host and port are right?"
    )]
    Garbage(String),
}

impl Payload {
    /// Reads the line. None: an empty line, the primary is still preparing.
    ///
    /// # Errors
    /// See [`BadPayload`].
    pub fn parse(line: &[u8]) -> Result<Option<Self>, BadPayload> {
        let shown = || String::from_utf8_lossy(&line[..line.len().min(128)]).into_owned();
        match line {
            [] => Ok(None),
            [b'-', ..] => Err(BadPayload::Aborted(shown())),
            [b'$', b'E', b'O', b'F', b':', mark @ ..] => match mark.try_into() {
                Ok(mark) => Ok(Some(Self::Marked(mark))),
                Err(_) => Err(BadPayload::Garbage(shown())),
            },
            [b'$', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                let length = std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok());
                match length {
                    Some(length) if length <= i64::MAX as u64 => Ok(Some(Self::Length(length))),
                    Some(_) | None => Err(BadPayload::Garbage(shown())),
                }
            }
            _ => Err(BadPayload::Garbage(shown())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_marks_and_nothing_else() {
        let mark = [b'a'; MARK];
        let marked = [b"$EOF:".as_slice(), &mark].concat();
        assert_eq!(Payload::parse(b""), Ok(None));
        assert_eq!(Payload::parse(b"$178"), Ok(Some(Payload::Length(178))));
        assert_eq!(Payload::parse(b"$0"), Ok(Some(Payload::Length(0))));
        assert_eq!(Payload::parse(&marked), Ok(Some(Payload::Marked(mark))));
        assert!(matches!(Payload::parse(b"-ERR no"), Err(BadPayload::Aborted(_))));
        let short = &marked[..marked.len() - 1];
        let huge = b"$99999999999999999999".as_slice();
        for bad in [
            b"$".as_slice(),
            b"$-1",
            b"$1x",
            b"$EOF:",
            short,
            huge,
            b"REDIS0011",
            b"+OK",
            &[0xff; 300],
        ] {
            assert!(
                matches!(Payload::parse(bad), Err(BadPayload::Garbage(_))),
                "{bad:?}"
            );
        }
    }
}
