//! The connection to the primary, read by a thread that waits for it: plain or TLS, with an ear for the order to stop.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use holdfast_replication::replica::{BadPayload, Lines, Refusal, TooLong};

use super::Link;
use super::scan::BadStream;
use crate::client::Client;
use crate::config::Param;
use crate::loading::LoadError;
use crate::net::outbound;
use crate::server::Server;

/// Why a link is down.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// REPLICAOF says so, or the server ends.
    #[error("the primary is not followed any more")]
    Stopped,
    /// CLIENT KILL.
    #[error("somebody has closed the connection to the primary (CLIENT KILL)")]
    Killed,
    /// No connection, or it has failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The primary has closed it.
    #[error("Connection with master lost.")]
    Closed,
    /// `repl-timeout`.
    #[error("MASTER timeout: no data nor PING received...")]
    Silence,
    /// The handshake came to nothing.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// An answer without end.
    #[error("Bad protocol from MASTER: {0}")]
    Line(#[from] TooLong),
    /// No snapshot where there should be one.
    #[error("{0}")]
    Payload(#[from] BadPayload),
    /// The snapshot is none.
    #[error("Failed trying to load the MASTER synchronization DB: {0}")]
    Load(#[from] LoadError),
    /// What follows the snapshot is not its mark.
    #[error("Replication stream EOF marker is broken")]
    Mark,
    /// The stream is none.
    #[error("Protocol error from master: {0}")]
    Stream(#[from] BadStream),
    /// A command of the stream failed, and that is not to be ignored (`propagation-error-behavior`).
    #[error("a command of the master failed here: everything is asked for again")]
    Failed,
    /// What was applied does not agree with the offsets.
    #[error("the stream and the log do not agree: everything is asked for again")]
    Offsets,
}

impl Broken {
    /// What was applied last is not certain to be what the primary sent.
    pub fn spoils_history(&self) -> bool {
        matches!(self, Self::Stream(_) | Self::Offsets | Self::Failed)
    }
}

/// A read waits so long at most before orders are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Making a connection takes no longer.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of one read.
const READ: usize = 256 << 10;
/// An empty buffer that was larger is given back.
const KEPT: usize = 1 << 20;

enum Stream {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.sock,
        }
    }
}

/// See the module's documentation.
pub struct Socket<'l> {
    server: &'l Server,
    link: &'l Link,
    stream: Stream,
    /// What has come and was not taken.
    pub inbox: Vec<u8>,
    read: Box<[u8]>,
    lines: Lines,
    heard: Instant,
    /// Its row in CLIENT LIST, once it has one.
    pub client: Option<Arc<Client>>,
}

impl<'l> Socket<'l> {
    /// Connects.
    ///
    /// # Errors
    /// No address of the primary takes the connection.
    pub fn connect(server: &'l Server, link: &'l Link) -> Result<Self, Broken> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in (link.host.as_str(), link.port).to_socket_addrs()? {
            if link.is_stopped() {
                return Err(Broken::Stopped);
            }
            match outbound::connect(server, address, CONNECT.min(timeout(server))) {
                Ok(tcp) => return Self::over(server, link, tcp),
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    fn over(server: &'l Server, link: &'l Link, tcp: TcpStream) -> Result<Self, Broken> {
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(TICK))?;
        tcp.set_write_timeout(Some(timeout(server)))?;
        *link.socket.lock() = Some(tcp.try_clone()?);
        if link.is_stopped() {
            return Err(Broken::Stopped);
        }
        let stream = if server.config.flag(Param::TlsReplication) {
            let tls = outbound::over_tls(server, &link.host, tcp, CONNECT.min(timeout(server)))?;
            tls.sock.set_read_timeout(Some(TICK))?;
            Stream::Tls(Box::new(tls))
        } else {
            Stream::Plain(tcp)
        };
        Ok(Self {
            server,
            link,
            stream,
            inbox: Vec::new(),
            read: vec![0; READ].into(),
            lines: Lines::default(),
            heard: Instant::now(),
            client: None,
        })
    }

    /// The two ends.
    pub fn addresses(&self) -> (String, String) {
        let text = |a: io::Result<SocketAddr>| a.map_or_else(|_| "?:0".to_owned(), |a| a.to_string());
        let tcp = self.stream.tcp();
        (text(tcp.peer_addr()), text(tcp.local_addr()))
    }

    /// Number of the descriptor, for CLIENT LIST.
    pub fn descriptor(&self) -> i32 {
        use std::os::fd::AsRawFd;
        self.stream.tcp().as_raw_fd()
    }

    /// Sends.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes)?,
            Stream::Tls(tls) => {
                tls.write_all(bytes)?;
                tls.flush()?;
            }
        }
        if let Some(client) = &self.client {
            client.net_out.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Waits for bytes for a moment and puts them behind those in the inbox. False: none came.
    ///
    /// # Errors
    /// The link is down.
    pub fn fill(&mut self) -> Result<bool, Broken> {
        if self.inbox.is_empty() && self.inbox.capacity() > KEPT {
            self.inbox = Vec::new();
        }
        let mut read = std::mem::take(&mut self.read);
        let count = self.read_some(&mut read);
        self.read = read;
        let count = count?;
        self.inbox.extend_from_slice(&self.read[..count]);
        Ok(count > 0)
    }

    /// The next line.
    ///
    /// # Errors
    /// The link is down, or the line is too long.
    pub fn line(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            // Of empty lines in a row, the signs of life of a primary that prepares, one is enough.
            let blank = self.inbox.iter().take_while(|b| **b == b'\n').count();
            self.inbox.drain(..blank.saturating_sub(1));
            let mut input = self.inbox.as_slice();
            let line = self.lines.next(&mut input)?;
            let taken = self.inbox.len() - input.len();
            self.inbox.drain(..taken);
            match line {
                Some(line) => return Ok(line),
                None => {
                    self.fill()?;
                }
            }
        }
    }

    /// Reads what comes, without the inbox. 0: nothing came for a moment.
    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize, Broken> {
        self.check()?;
        let read = match &mut self.stream {
            Stream::Plain(tcp) => tcp.read(buf),
            Stream::Tls(tls) => tls.read(buf),
        };
        match read {
            Ok(0) => Err(self.check().err().unwrap_or(Broken::Closed)),
            Ok(n) => {
                self.heard = Instant::now();
                let (now, n64) = (self.server.now_ms(), n as u64);
                self.link.last_io_ms.store(now, Ordering::Relaxed);
                self.server
                    .replication
                    .follower
                    .received
                    .fetch_add(n64, Ordering::Relaxed);
                if let Some(client) = &self.client {
                    client.net_in.fetch_add(n64, Ordering::Relaxed);
                    client.last_active_ms.store(now, Ordering::Relaxed);
                }
                Ok(n)
            }
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                if self.heard.elapsed() > timeout(self.server) {
                    return Err(Broken::Silence);
                }
                Ok(0)
            }
            Err(e) => Err(self.check().err().unwrap_or(Broken::Io(e))),
        }
    }

    /// Bytes for somebody who wants them all, one after the other: first those in the inbox. Blocks until there are some.
    ///
    /// # Errors
    /// The link is down.
    pub fn read(
        &mut self,
        buf: &mut [u8],
        mut idle: impl FnMut(&mut Self) -> Result<(), Broken>,
    ) -> Result<usize, Broken> {
        if !self.inbox.is_empty() {
            let n = self.inbox.len().min(buf.len());
            buf[..n].copy_from_slice(&self.inbox[..n]);
            self.inbox.drain(..n);
            return Ok(n);
        }
        loop {
            idle(self)?;
            match self.read_some(buf)? {
                0 => {}
                n => return Ok(n),
            }
        }
    }

    /// Whether the link goes on.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self) -> Result<(), Broken> {
        if self.link.is_stopped() || self.server.shutdown.is_cancelled() {
            return Err(Broken::Stopped);
        }
        if self.client.as_ref().is_some_and(|client| client.is_killed()) {
            return Err(Broken::Killed);
        }
        Ok(())
    }
}

impl Drop for Socket<'_> {
    fn drop(&mut self) {
        *self.link.socket.lock() = None;
        if let Some(client) = &self.client {
            self.server.clients.remove(client.id);
        }
    }
}

/// `repl-timeout`.
fn timeout(server: &Server) -> Duration {
    Duration::from_secs(server.config.int(Param::ReplTimeout).max(1) as u64)
}
