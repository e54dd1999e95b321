//! Primaries and replicas in tests: waiting for them, comparing them, and a primary that misbehaves.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::ask::{digest, info};
use crate::reply::{DecodeError, Reply};
use crate::server::Server;
use crate::wait::wait_until;

/// Makes `replica` follow `primary`.
///
/// # Errors
/// It does not want to.
pub fn follow(replica: &Server, primary: SocketAddr) -> Result<()> {
    let reply = replica
        .connect()?
        .command(&format!("REPLICAOF {} {}", primary.ip(), primary.port()))?;
    ensure!(!reply.is_error(), "REPLICAOF: {reply:?}");
    Ok(())
}

/// Waits until the replica's link is up.
///
/// # Errors
/// It never is; the message carries its log.
pub fn wait_for_link(replica: &Server) -> Result<()> {
    let mut client = replica.connect()?;
    wait_until("the link is up", || {
        Ok(info(&mut client, "replication", "master_link_status")? == "up")
    })
    .with_context(|| replica.log())
}

/// Waits until the replica has all that the primary has, which nobody writes to.
///
/// # Errors
/// It never has; the message carries its log.
pub fn wait_for_sync(primary: &Server, replica: &Server) -> Result<()> {
    let (mut p, mut r) = (primary.connect()?, replica.connect()?);
    wait_until("the replica has everything", || {
        let up = info(&mut r, "replication", "master_link_status")? == "up";
        // The primary's pings move its offset: read last.
        let has = info(&mut r, "replication", "slave_repl_offset")?;
        Ok(up && has == info(&mut p, "replication", "master_repl_offset")?)
    })
    .with_context(|| format!("replica:\n{}\nprimary:\n{}", replica.log(), primary.log()))
}

/// Compares the data of both at the same offset. Nobody writes, but keys may expire: then it is looked at again.
///
/// # Errors
/// They differ.
pub fn assert_same(primary: &Server, replica: &Server) -> Result<()> {
    let offset = |server: &Server| info(&mut server.connect()?, "replication", "master_repl_offset");
    wait_until("both hold the same", || {
        wait_for_sync(primary, replica)?;
        let before = offset(primary)?;
        let (p, r) = (digest(&mut primary.connect()?)?, digest(&mut replica.connect()?)?);
        let still = before == offset(primary)? && before == offset(replica)?;
        ensure!(
            p == r || !still,
            "at {before}: primary {p}, replica {r}; keys: {:?} {:?}",
            primary.connect()?.command("INFO keyspace")?.text(),
            replica.connect()?.command("INFO keyspace")?.text()
        );
        Ok(p == r)
    })
}

/// An RDB with the keys `k0..kn` of database 0, without a checksum.
pub fn small_rdb(keys: usize) -> Vec<u8> {
    let mut rdb = b"REDIS0009\xfe\x00".to_vec();
    for i in 0..keys {
        let key = format!("k{i}");
        rdb.extend([0, key.len() as u8]);
        rdb.extend(key.as_bytes());
        rdb.extend(b"\x05value");
    }
    rdb.extend([0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    rdb
}

/// What the fake primary has been asked for: the arguments of PSYNC.
pub type Asked = Vec<String>;

/// One connection of a replica to the fake primary.
pub struct Link {
    stream: TcpStream,
    buffer: Vec<u8>,
    stop: Arc<AtomicBool>,
}

impl Link {
    /// Sends; a replica that has gone is no error.
    pub fn send(&mut self, bytes: &[u8]) {
        let _gone = self.stream.write_all(bytes);
    }

    /// The next command, or None: the replica has closed, or the test is over.
    pub fn command(&mut self) -> Option<Vec<String>> {
        loop {
            while self.buffer.first() == Some(&b'\n') {
                self.buffer.remove(0);
            }
            match Reply::decode(&self.buffer) {
                Ok((Reply::Array(words), used)) => {
                    self.buffer.drain(..used);
                    let word = |w: &Reply| w.text().map(|t| t.to_owned()).unwrap_or_default();
                    return Some(words.iter().map(word).collect());
                }
                Ok(_) | Err(DecodeError::Malformed) => return None,
                Err(DecodeError::Incomplete) => {}
            }
            if !self.read() {
                return None;
            }
        }
    }

    /// Waits until the replica closes the connection, or the test is over.
    pub fn wait_for_close(&mut self) {
        while self.read() {
            self.buffer.clear();
        }
    }

    fn read(&mut self) -> bool {
        let mut piece = [0; 4096];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return false,
                Ok(n) => {
                    self.buffer.extend_from_slice(&piece[..n]);
                    return true;
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.stop.load(Ordering::Relaxed) {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
    }

    /// Answers as a primary does up to PSYNC, and returns its arguments.
    pub fn shake_hands(&mut self) -> Option<Asked> {
        loop {
            let words = self.command()?;
            match words[0].to_ascii_uppercase().as_str() {
                "PING" => self.send(b"+PONG\r\n"),
                "PSYNC" => return Some(words[1..].to_vec()),
                _ => self.send(b"+OK\r\n"),
            }
        }
    }

    /// A whole full synchronization.
    pub fn full_sync(&mut self, id: &str, offset: u64, rdb: &[u8]) {
        self.send(format!("+FULLRESYNC {id} {offset}\r\n${}\r\n", rdb.len()).as_bytes());
        self.send(rdb);
    }
}

/// A primary of our own that does what a test wants; it ends with the test.
pub struct FakePrimary {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Asked>>>,
    thread: Option<JoinHandle<()>>,
}

impl FakePrimary {
    /// Serves one connection after the other; `behave` is told how many there were before.
    ///
    /// # Errors
    /// No port is to be had.
    pub fn start(behave: impl Fn(usize, &mut Link, &dyn Fn(Asked)) + Send + 'static) -> Result<FakePrimary> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, noted) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { continue };
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let _always = stream.set_nodelay(true);
                let _always = stream.set_read_timeout(Some(Duration::from_millis(50)));
                let mut link = Link {
                    stream,
                    buffer: Vec::new(),
                    stop: Arc::clone(&stopped),
                };
                let note = |words| {
                    let mut asked = noted.lock().unwrap_or_else(PoisonError::into_inner);
                    asked.push(words);
                };
                behave(number, &mut link, &note);
            }
        });
        Ok(FakePrimary {
            address,
            stop,
            asked,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has been asked for so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has been asked so often.
    ///
    /// # Errors
    /// It never is.
    pub fn wait_for_questions(&self, count: usize) -> Result<Vec<Asked>> {
        wait_until("questions", || Ok(self.asked().len() >= count))?;
        Ok(self.asked())
    }
}

impl Drop for FakePrimary {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the accept; nothing more is wanted of it.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Cuts the link to the primary (CLIENT KILL TYPE master) and says whether there was one.
///
/// # Errors
/// The server does not answer.
pub fn cut_link(replica: &Server) -> Result<bool> {
    match replica.connect()?.command("CLIENT KILL TYPE master")? {
        Reply::Integer(n) => Ok(n > 0),
        other => bail!("{other:?}"),
    }
}
