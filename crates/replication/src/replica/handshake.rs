//! From the connection to FULLRESYNC or CONTINUE: what the replica says, and what the answers mean.
//!
//! ```text
//! PING -> +PONG -> [AUTH] [REPLCONF listening-port, ip-address] REPLCONF capa -> their answers, in order -> PSYNC
//!   -> +FULLRESYNC id offset | +CONTINUE [id]
//! ```

use crate::history::{ReplId, first_wanted};

/// What the primary wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// `masteruser`.
    pub user: Option<Vec<u8>>,
    /// `masterauth`.
    pub password: Vec<u8>,
}

/// From where the replica wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// From the beginning.
    Everything,
    /// From the end of its log.
    Rest {
        /// The history that it has.
        id: ReplId,
        /// The log's end.
        end: u64,
    },
}

/// What the replica says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// If the primary asks for it.
    pub auth: Option<Auth>,
    /// The port that its clients use.
    pub port: u16,
    /// `replica-announce-ip`.
    pub ip: Option<Vec<u8>>,
    /// From where it wants to go on.
    pub wanted: Wanted,
    /// It was the primary, and gives way to the one it speaks to, which is its replica (FAILOVER).
    pub gives_way: bool,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another line.
    Wait,
    /// The replica sends this and waits for another line.
    Send(Vec<u8>),
    /// A snapshot, then the stream behind `offset`.
    Full {
        /// The primary's history.
        id: ReplId,
        /// Bytes of it that the snapshot has.
        offset: u64,
    },
    /// The stream, from where the replica is.
    Continue {
        /// The history's name from here on, if the primary says it.
        id: Option<ReplId>,
    },
}

/// Why this primary will not do now. Every text is for the log; each is tried again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not answer as a server should.
    #[error("Error reply to PING from master: '{0}'")]
    Ping(String),
    /// The password is wrong.
    #[error("Unable to AUTH to MASTER: {0}")]
    Auth(String),
    /// It is loading, has no primary itself, or is busy.
    #[error("MASTER is currently unable to PSYNC but should be in the future: {0}")]
    NotNow(String),
    /// It does not know PSYNC, or does not let us.
    #[error("Master does not support PSYNC or is in error state (reply: {0})")]
    NoPsync(String),
    /// An answer that no primary gives.
    #[error("Unexpected reply to PSYNC from master: {0}")]
    Garbage(String),
    /// It goes on though everything was asked for.
    #[error("MASTER wants to continue a history that this replica does not have")]
    NothingToContinue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Pong,
    Auth,
    Conf,
    Psync,
}

/// One connection's way to the stream.
#[derive(Debug)]
pub struct Handshake {
    greeting: Greeting,
    /// What is still to be answered, in order.
    awaited: Vec<Awaited>,
    refused: Vec<String>,
}

impl Handshake {
    /// Begins; the bytes are to be sent.
    pub fn begin(greeting: Greeting) -> (Self, Vec<u8>) {
        let first = command(&[b"PING"]);
        let begun = Self {
            greeting,
            awaited: vec![Awaited::Pong],
            refused: Vec::new(),
        };
        (begun, first)
    }

    /// What the primary did not like, without which the link works all the same.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// Asks for a partial synchronization.
    pub fn wanted(&self) -> Wanted {
        self.greeting.wanted
    }

    /// A line of the primary. An empty one is a sign of life.
    ///
    /// # Errors
    /// See [`Refusal`]: the connection is of no use.
    pub fn line(&mut self, line: &[u8]) -> Result<Next, Refusal> {
        if line.is_empty() {
            return Ok(Next::Wait);
        }
        let Some(awaited) = self.awaited.first().copied() else {
            return Err(Refusal::Garbage(shown(line)));
        };
        if awaited != Awaited::Psync {
            self.awaited.remove(0);
        }
        let is_error = line.first() == Some(&b'-');
        match awaited {
            Awaited::Pong => {
                // A primary that wants a password, or does not let everybody PING, is alive.
                let alive = [b"-NOAUTH".as_slice(), b"-NOPERM", b"-ERR operation not permitted"];
                if line.first() != Some(&b'+') && !alive.iter().any(|a| line.starts_with(a)) {
                    return Err(Refusal::Ping(shown(line)));
                }
                return Ok(Next::Send(self.introduce()));
            }
            Awaited::Auth if is_error => return Err(Refusal::Auth(shown(line))),
            Awaited::Conf if is_error => self.refused.push(shown(line)),
            Awaited::Auth | Awaited::Conf => {}
            Awaited::Psync => return self.psync_answer(line),
        }
        if self.awaited.is_empty() {
            self.awaited.push(Awaited::Psync);
            return Ok(Next::Send(self.psync()));
        }
        Ok(Next::Wait)
    }

    fn introduce(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(Auth { user, password }) = &self.greeting.auth {
            match user {
                Some(user) => out.extend(command(&[b"AUTH", user, password])),
                None => out.extend(command(&[b"AUTH", password])),
            }
            self.awaited.push(Awaited::Auth);
        }
        let port = self.greeting.port.to_string();
        let mut conf = |words: &[&[u8]]| {
            let mut argv: Vec<&[u8]> = vec![b"REPLCONF"];
            argv.extend_from_slice(words);
            out.extend(command(&argv));
            self.awaited.push(Awaited::Conf);
        };
        conf(&[b"listening-port", port.as_bytes()]);
        if let Some(ip) = &self.greeting.ip {
            conf(&[b"ip-address", ip]);
        }
        conf(&[b"capa", b"eof", b"capa", b"psync2"]);
        out
    }

    fn psync(&self) -> Vec<u8> {
        match self.greeting.wanted {
            Wanted::Everything => command(&[b"PSYNC", b"?", b"-1"]),
            Wanted::Rest { id, end } => {
                let first = first_wanted(end).to_string();
                let mut words: Vec<&[u8]> = vec![b"PSYNC", id.as_str().as_bytes(), first.as_bytes()];
                if self.greeting.gives_way {
                    words.push(b"FAILOVER");
                }
                command(&words)
            }
        }
    }

    fn psync_answer(&self, line: &[u8]) -> Result<Next, Refusal> {
        let words: Vec<&[u8]> = line.split(|&b| b == b' ').filter(|w| !w.is_empty()).collect();
        let garbage = || Refusal::Garbage(shown(line));
        match words.as_slice() {
            [b"+FULLRESYNC", id, offset] => {
                let id = ReplId::parse(id).ok_or_else(garbage)?;
                let offset = std::str::from_utf8(offset)
                    .ok()
                    .and_then(|o| o.parse::<i64>().ok());
                // Room is left for what follows: no history comes to its end.
                let offset = offset
                    .and_then(|o| u64::try_from(o).ok())
                    .filter(|o| *o < 1 << 62);
                Ok(Next::Full {
                    id,
                    offset: offset.ok_or_else(garbage)?,
                })
            }
            [b"+CONTINUE", rest @ ..] if rest.len() < 2 => {
                if self.greeting.wanted == Wanted::Everything {
                    return Err(Refusal::NothingToContinue);
                }
                let id = match rest.first() {
                    Some(id) => Some(ReplId::parse(id).ok_or_else(garbage)?),
                    None => None,
                };
                Ok(Next::Continue { id })
            }
            [b"-NOMASTERLINK" | b"-LOADING" | b"-BUSY" | b"-MASTERDOWN", ..] => {
                Err(Refusal::NotNow(shown(line)))
            }
            [error, ..] if error.starts_with(b"-") => Err(Refusal::NoPsync(shown(line))),
            _ => Err(garbage()),
        }
    }
}

/// A command as it is sent.
fn command(argv: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", argv.len()).into_bytes();
    for word in argv {
        out.extend(format!("${}\r\n", word.len()).into_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn shown(line: &[u8]) -> String {
    const MOST: usize = 128;
    line[..line.len().min(MOST)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(wanted: Wanted) -> Greeting {
        Greeting {
            auth: None,
            port: 7000,
            ip: None,
            wanted,
            gives_way: false,
        }
    }

    fn rest() -> Wanted {
        Wanted::Rest {
            id: ReplId::new([7; 20]),
            end: 41,
        }
    }

    /// A handshake that has just asked, and what it has sent last.
    fn asked(greeting: Greeting) -> (Handshake, Vec<u8>) {
        let lines = 1 + usize::from(greeting.auth.is_some()) + 1 + usize::from(greeting.ip.is_some());
        let (mut handshake, first) = Handshake::begin(greeting);
        assert_eq!(first, b"*1\r\n$4\r\nPING\r\n");
        assert!(matches!(handshake.line(b"+PONG"), Ok(Next::Send(_))));
        for _ in 1..lines {
            assert_eq!(handshake.line(b"+OK"), Ok(Next::Wait));
        }
        match handshake.line(b"+OK") {
            Ok(Next::Send(psync)) => (handshake, psync),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn says_who_it_is_and_asks_to_go_on() {
        let mut g = greeting(rest());
        g.auth = Some(Auth {
            user: Some(b"u".to_vec()),
            password: b"p".to_vec(),
        });
        g.ip = Some(b"10.0.0.1".to_vec());
        let (mut handshake, _) = Handshake::begin(g.clone());
        assert_eq!(handshake.line(b""), Ok(Next::Wait));
        let Ok(Next::Send(said)) = handshake.line(b"-NOAUTH Authentication required.") else {
            panic!("a primary that wants a password is alive");
        };
        let said = String::from_utf8(said).unwrap();
        for part in [
            "AUTH\r\n$1\r\nu\r\n$1\r\np",
            "listening-port\r\n$4\r\n7000",
            "10.0.0.1",
            "psync2",
        ] {
            assert!(said.contains(part), "{said}");
        }
        let (mut handshake, psync) = asked(g);
        let psync = String::from_utf8(psync).unwrap();
        assert!(
            psync.contains(&"07".repeat(20)) && psync.contains("$2\r\n42\r\n"),
            "{psync}"
        );
        assert_eq!(handshake.line(b""), Ok(Next::Wait));
        assert_eq!(handshake.line(b"+CONTINUE"), Ok(Next::Continue { id: None }));
    }

    #[test]
    fn what_the_primary_does_not_know_is_no_hindrance_but_a_wrong_password_is() {
        let (mut handshake, _) = Handshake::begin(greeting(rest()));
        handshake.line(b"+PONG").unwrap();
        assert_eq!(
            handshake.line(b"-ERR Unrecognized REPLCONF option"),
            Ok(Next::Wait)
        );
        assert!(matches!(handshake.line(b"+OK"), Ok(Next::Send(_))));
        assert_eq!(handshake.refused().len(), 1);
        let mut g = greeting(rest());
        g.auth = Some(Auth {
            user: None,
            password: b"p".to_vec(),
        });
        let (mut handshake, _) = Handshake::begin(g);
        handshake.line(b"+PONG").unwrap();
        assert!(matches!(handshake.line(b"-WRONGPASS no"), Err(Refusal::Auth(_))));
        let (mut handshake, _) = Handshake::begin(greeting(rest()));
        assert!(matches!(handshake.line(b"-LOADING wait"), Err(Refusal::Ping(_))));
    }

    #[test]
    fn answers_to_psync() {
        let id = ReplId::new([9; 20]);
        let answer = |wanted, line: &str| asked(greeting(wanted)).0.line(line.as_bytes());
        assert_eq!(
            answer(Wanted::Everything, &format!("+FULLRESYNC {id} 77")),
            Ok(Next::Full { id, offset: 77 })
        );
        assert_eq!(
            answer(rest(), &format!("+CONTINUE {id}")),
            Ok(Next::Continue { id: Some(id) })
        );
        assert_eq!(
            answer(Wanted::Everything, "+CONTINUE"),
            Err(Refusal::NothingToContinue)
        );
        for later in ["-NOMASTERLINK Can't SYNC", "-LOADING x", "-BUSY script"] {
            assert!(
                matches!(answer(rest(), later), Err(Refusal::NotNow(_))),
                "{later}"
            );
        }
        assert!(matches!(
            answer(rest(), "-ERR unknown command"),
            Err(Refusal::NoPsync(_))
        ));
        for bad in [
            "+FULLRESYNC",
            "+FULLRESYNC abc 1",
            &format!("+FULLRESYNC {id}"),
            &format!("+FULLRESYNC {id} -1"),
            &format!("+FULLRESYNC {id} 9223372036854775807"),
            &format!("+FULLRESYNC {id} 1 2"),
            "+CONTINUE nohex",
            &format!("+CONTINUE {id} {id}"),
            "+OK",
            "$10",
            "HTTP/1.1 400 Bad Request",
            " ",
        ] {
            assert!(matches!(answer(rest(), bad), Err(Refusal::Garbage(_))), "{bad}");
        }
    }
}
