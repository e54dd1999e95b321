//! A small blocking client for RESP2 and RESP3 over TCP.
//!
//! Every read has a deadline, so a server that hangs fails a test instead of stopping it. Knows nothing of commands.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::reply::{DecodeError, Reply, encode_command};

/// How long a reply may take before the test fails.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(90);

/// One connection.
pub struct Client {
    stream: TcpStream,
    address: SocketAddr,
    /// Received bytes; those before `read_at` are used up.
    buffer: Vec<u8>,
    read_at: usize,
    timeout: Duration,
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// When nobody listens at `address`.
    pub fn connect(address: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        Client::over(stream, address)
    }

    /// Connects to a server that may be out of reach: waits so long at most.
    ///
    /// # Errors
    /// When nobody listens at `address`, or nothing comes back in time.
    pub fn connect_within(address: SocketAddr, wait: Duration) -> Result<Client> {
        let stream =
            TcpStream::connect_timeout(&address, wait).with_context(|| format!("connecting to {address}"))?;
        Client::over(stream, address)
    }

    fn over(stream: TcpStream, address: SocketAddr) -> Result<Client> {
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            address,
            buffer: Vec::new(),
            read_at: 0,
            timeout: REPLY_TIMEOUT,
        })
    }

    /// Where this client is connected to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how long [`Client::receive`] waits.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Sends one command and waits for its reply. An error reply is a reply.
    ///
    /// # Errors
    /// A broken connection, a deadline that passed, bytes that are no reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Reply> {
        self.send(args)?;
        self.receive()
    }

    /// Like [`Client::call`], for a command line in the form of [`crate::words::split`].
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub fn command(&mut self, line: &str) -> Result<Reply> {
        self.call(&crate::words::split(line)?)
            .with_context(|| line.to_owned())
    }

    /// Like [`Client::call`], for a reply that must be text.
    ///
    /// # Errors
    /// As for [`Client::call`], or it is none.
    pub fn text(&mut self, words: &[&str]) -> Result<String> {
        let reply = self.call(words)?;
        let text = reply.text().map(str::to_owned);
        text.with_context(|| format!("{words:?}: {reply:?}"))
    }

    /// Sends one command and does not wait.
    ///
    /// # Errors
    /// A broken connection.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<()> {
        let mut bytes = Vec::new();
        encode_command(args, &mut bytes);
        self.send_raw(&bytes)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// A broken connection.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .write_all(bytes)
            .with_context(|| format!("writing to {}", self.address))
    }

    /// Sends commands in one write and reads as many replies.
    ///
    /// Replies are drained while writing is still going on only by the kernel's buffers: keep a batch under a few
    /// hundred kilobytes.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub fn pipeline<A: AsRef<[u8]>>(&mut self, commands: &[Vec<A>]) -> Result<Vec<Reply>> {
        let mut bytes = Vec::new();
        for args in commands {
            encode_command(args, &mut bytes);
        }
        self.send_raw(&bytes)?;
        commands.iter().map(|_| self.receive()).collect()
    }

    /// Waits for the next reply.
    ///
    /// # Errors
    /// A connection closed by the server, a deadline that passed, bytes that are no reply.
    pub fn receive(&mut self) -> Result<Reply> {
        let deadline = Instant::now() + self.timeout;
        loop {
            if let Some(reply) = self.buffered()? {
                return Ok(reply);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no reply from {} within {:?}", self.address, self.timeout);
            }
            if self.fill(left)? == Some(0) {
                bail!("{} closed the connection", self.address);
            }
        }
    }

    /// The next reply if it arrives within `wait`; `None` if it does not.
    ///
    /// # Errors
    /// As for [`Client::receive`].
    pub fn receive_within(&mut self, wait: Duration) -> Result<Option<Reply>> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(reply) = self.buffered()? {
                return Ok(Some(reply));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            if self.fill(left)? == Some(0) {
                bail!("{} closed the connection", self.address);
            }
        }
    }

    /// Everything the server sends until it closes the connection, or until it is silent for `quiet`.
    /// The flag says whether it closed.
    ///
    /// # Errors
    /// A failing socket, a reset by the server excepted: that counts as closing.
    pub fn drain(&mut self, quiet: Duration) -> Result<(Vec<u8>, bool)> {
        let closed = loop {
            match self.fill(quiet) {
                Ok(Some(0)) | Err(_) => break true,
                Ok(Some(_)) => {}
                Ok(None) => break false,
            }
        };
        let bytes = self.buffer.split_off(self.read_at);
        self.buffer.clear();
        self.read_at = 0;
        Ok((bytes, closed))
    }

    /// The socket itself, for tests that misuse it.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn buffered(&mut self) -> Result<Option<Reply>> {
        let pending = &self.buffer[self.read_at..];
        if pending.is_empty() {
            return Ok(None);
        }
        if !could_be_complete(pending) {
            return Ok(None);
        }
        match Reply::decode(pending) {
            Ok((reply, used)) => {
                self.read_at += used;
                if self.read_at == self.buffer.len() {
                    self.buffer.clear();
                    self.read_at = 0;
                }
                Ok(Some(reply))
            }
            Err(DecodeError::Incomplete) => Ok(None),
            Err(DecodeError::Malformed) => {
                let head = &pending[..pending.len().min(200)];
                bail!(
                    "{} sent what is no reply: {}",
                    self.address,
                    crate::words::quote(head)
                )
            }
        }
    }

    /// Reads once: the number of bytes, or `None` when nothing came within `wait`.
    fn fill(&mut self, wait: Duration) -> Result<Option<usize>> {
        const CHUNK: usize = 64 * 1024;
        const BIG_CHUNK: usize = 4 * 1024 * 1024;
        if self.read_at > 0 {
            self.buffer.drain(..self.read_at);
            self.read_at = 0;
        }
        let old = self.buffer.len();
        // A reply of half a gigabyte must not be decoded once per 64 KB.
        let chunk = if old > BIG_CHUNK { BIG_CHUNK } else { CHUNK };
        self.buffer.resize(old + chunk, 0);
        self.stream
            .set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        let outcome = self.stream.read(&mut self.buffer[old..]);
        self.buffer.truncate(old + *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(count) => Ok(Some(count)),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("reading from {}", self.address)),
        }
    }
}

/// Spares decoding a big bulk string again and again: its header says how many bytes must be there.
fn could_be_complete(pending: &[u8]) -> bool {
    if pending.first() != Some(&b'$') {
        return true;
    }
    let Some(end) = pending.iter().take(32).position(|&byte| byte == b'\r') else {
        return true;
    };
    let wanted: Option<usize> = std::str::from_utf8(&pending[1..end])
        .ok()
        .and_then(|text| text.parse().ok());
    wanted.is_none_or(|wanted| pending.len() >= end + 2 + wanted + 2)
}
