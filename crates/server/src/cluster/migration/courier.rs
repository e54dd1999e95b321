//! The source's connection to the target of a migration: commands go there, and marks between them come back when what stood
//! before them has been done. Only so many bytes are on their way as a target that stands still may hold.
//!
//! Must not know: what the commands say.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use holdfast_resp::{encode_command, parse_i64};

use crate::config::Param;
use crate::net::outbound;
use crate::server::Server;

/// Making a connection takes no longer.
const CONNECT: Duration = Duration::from_secs(5);
/// A read waits so long at most before orders are looked at.
const TICK: Duration = Duration::from_millis(20);
/// Bytes after which a mark is sent.
const BETWEEN_MARKS: usize = 256 << 10;
/// Marks that may be on their way.
const MARKS: usize = 8;
/// Longest line that the target may answer.
const LINE: usize = 64 << 10;

/// Why nothing more can be sent.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// No connection, or it has failed.
    #[error("the connection to the target: {0}")]
    Io(#[from] io::Error),
    /// The target has closed it.
    #[error("the target has closed the connection")]
    Closed,
    /// The target has refused something.
    #[error("the target: {0}")]
    Refused(String),
    /// The target says what nobody asked.
    #[error("the target answers something else than it was asked")]
    Confused,
    /// The target has done nothing for too long.
    #[error("the target has taken nothing for {} s", .0.as_secs())]
    Silence(Duration),
    /// Nobody wants it any more.
    #[error("it is no longer wanted")]
    Stopped,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

/// See the module's documentation.
pub struct Courier<'a> {
    stream: Stream,
    /// Asked now and then; true ends everything.
    stopped: &'a dyn Fn() -> bool,
    /// How long the target may do nothing.
    patience: Duration,
    inbox: Vec<u8>,
    marks: VecDeque<u64>,
    last_mark: u64,
    since_mark: usize,
    /// Bytes sent in all.
    pub sent: u64,
}

impl std::fmt::Debug for Courier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier")
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl<'a> Courier<'a> {
    /// Connects, as a replica connects to its primary: by TLS if `tls-replication` says so, with `masteruser` and
    /// `masterauth`.
    ///
    /// # Errors
    /// See [`Broken`].
    pub fn connect(
        server: &Server,
        host: &str,
        port: u16,
        patience: Duration,
        stopped: &'a dyn Fn() -> bool,
    ) -> Result<Self, Broken> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the target has no address");
        for address in (host, port).to_socket_addrs()? {
            if stopped() {
                return Err(Broken::Stopped);
            }
            match outbound::connect(server, address, CONNECT)
                .and_then(|tcp| over(server, tcp, host, patience))
            {
                Ok(stream) => {
                    let mut courier = Self {
                        stream,
                        stopped,
                        patience,
                        inbox: Vec::new(),
                        marks: VecDeque::new(),
                        last_mark: 0,
                        since_mark: 0,
                        sent: 0,
                    };
                    courier.log_in(server)?;
                    return Ok(courier);
                }
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    fn log_in(&mut self, server: &Server) -> Result<(), Broken> {
        let (user, password) = (
            server.config.text(Param::Masteruser),
            server.config.text(Param::Masterauth),
        );
        if password.is_empty() {
            return Ok(());
        }
        let mut words: Vec<&[u8]> = vec![b"AUTH"];
        if !user.is_empty() {
            words.push(&user);
        }
        words.push(&password);
        self.ask_ok(&words, self.patience)
    }

    /// Sends a command and waits for its OK.
    ///
    /// # Errors
    /// See [`Broken`].
    pub fn ask_ok(&mut self, words: &[&[u8]], patience: Duration) -> Result<(), Broken> {
        match self.ask(words, patience)?.as_slice() {
            b"+OK" => Ok(()),
            _ => Err(Broken::Confused),
        }
    }

    /// Sends a command and waits for its number.
    ///
    /// # Errors
    /// See [`Broken`].
    pub fn ask_number(&mut self, words: &[&[u8]], patience: Duration) -> Result<i64, Broken> {
        let line = self.ask(words, patience)?;
        let number = line.strip_prefix(b":").and_then(parse_i64);
        number.ok_or(Broken::Confused)
    }

    fn ask(&mut self, words: &[&[u8]], patience: Duration) -> Result<Vec<u8>, Broken> {
        self.settle()?;
        let mut bytes = Vec::new();
        encode_command(&mut bytes, words);
        self.write(&bytes)?;
        self.line(patience)
    }

    /// Sends commands, whole or in parts. Waits while too many bytes are on their way. `whole`: a command ends here, so that a
    /// mark may follow.
    ///
    /// # Errors
    /// See [`Broken`].
    pub fn send(&mut self, bytes: &[u8], whole: bool) -> Result<(), Broken> {
        self.write(bytes)?;
        self.sent += bytes.len() as u64;
        self.since_mark += bytes.len();
        if whole && self.since_mark >= BETWEEN_MARKS {
            self.mark()?;
        }
        while self.marks.len() > MARKS {
            self.take_mark()?;
        }
        Ok(())
    }

    /// Waits until the target has done all that was sent.
    ///
    /// # Errors
    /// See [`Broken`].
    pub fn settle(&mut self) -> Result<(), Broken> {
        if self.since_mark > 0 {
            self.mark()?;
        }
        while !self.marks.is_empty() {
            self.take_mark()?;
        }
        Ok(())
    }

    fn mark(&mut self) -> Result<(), Broken> {
        self.last_mark += 1;
        self.since_mark = 0;
        self.marks.push_back(self.last_mark);
        let number = self.last_mark.to_string();
        let mut bytes = Vec::new();
        encode_command(&mut bytes, &[b"CLUSTER", b"SYNCSLOTS", b"ACK", number.as_bytes()]);
        self.write(&bytes)
    }

    fn take_mark(&mut self) -> Result<(), Broken> {
        let line = self.line(self.patience)?;
        let number = line.strip_prefix(b":").and_then(parse_i64);
        let wanted = self.marks.pop_front().and_then(|mark| i64::try_from(mark).ok());
        if number.is_none() || number != wanted {
            return Err(Broken::Confused);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        // A target that takes nothing is noticed by the socket's own patience.
        for piece in bytes.chunks(BETWEEN_MARKS) {
            self.check()?;
            let written = match &mut self.stream {
                Stream::Plain(tcp) => tcp.write_all(piece),
                Stream::Tls(tls) => tls.write_all(piece).and_then(|()| tls.flush()),
            };
            written.map_err(|error| match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Broken::Silence(self.patience),
                _ => Broken::Io(error),
            })?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Broken> {
        if (self.stopped)() {
            return Err(Broken::Stopped);
        }
        Ok(())
    }

    /// The next line, without its end.
    fn line(&mut self, patience: Duration) -> Result<Vec<u8>, Broken> {
        let began = Instant::now();
        loop {
            if let Some(end) = self.inbox.windows(2).position(|two| two == b"\r\n") {
                let line = self.inbox[..end].to_vec();
                self.inbox.drain(..end + 2);
                return match line.strip_prefix(b"-") {
                    Some(error) => Err(Broken::Refused(String::from_utf8_lossy(error).into_owned())),
                    None => Ok(line),
                };
            }
            if self.inbox.len() > LINE {
                return Err(Broken::Confused);
            }
            self.check()?;
            let mut read = [0; 4096];
            let got = match &mut self.stream {
                Stream::Plain(tcp) => tcp.read(&mut read),
                Stream::Tls(tls) => tls.read(&mut read),
            };
            match got {
                Ok(0) => return Err(Broken::Closed),
                Ok(n) => self.inbox.extend_from_slice(&read[..n]),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) =>
                {
                    if began.elapsed() > patience {
                        return Err(Broken::Silence(patience));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn over(server: &Server, tcp: TcpStream, host: &str, patience: Duration) -> io::Result<Stream> {
    tcp.set_nodelay(true)?;
    tcp.set_write_timeout(Some(patience))?;
    tcp.set_read_timeout(Some(TICK))?;
    if !server.config.flag(Param::TlsReplication) {
        return Ok(Stream::Plain(tcp));
    }
    let tls = outbound::over_tls(server, host, tcp, CONNECT)?;
    tls.sock.set_read_timeout(Some(TICK))?;
    Ok(Stream::Tls(Box::new(tls)))
}
