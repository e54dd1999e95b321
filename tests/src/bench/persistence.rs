//! Saving and loading: how long they take, what a save in the background takes of memory, and what clients notice of it.
//!
//! ```text
//!   writers (2 connections, 16 SETs at once, keys at random)  --- as fast as they can --->
//!   probe   (1 connection, one SET after the other)           how long did the slowest take?
//!                 BGSAVE ...............................done  the same time again without a save
//!   memory        BGSAVE ...............................done  proportional set size of the server and its children
//! ```

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{Effort, Spread};
use crate::ask::persistence;
use crate::client::Client;
use crate::reply::Reply;
use crate::server::{Options, Role, Server};
use crate::wait::wait_within;

/// Keys, and bytes of each value.
pub const KEYS: u64 = 2_000_000;
/// See there.
pub const VALUE_BYTES: usize = 100;
/// Connections that write, and commands that each has on its way.
pub const WRITERS: usize = 2;
/// See there.
pub const PIPELINE: usize = 16;
/// Workers of the server under test.
pub const THREADS: usize = 2;

/// Digits of a key's number.
const DIGITS: usize = 12;
/// How often memory is looked at: often enough for a save of a second, seldom enough not to slow it down.
const SAMPLE: Duration = Duration::from_millis(50);
/// A save that takes longer has failed.
const SAVE_TIMEOUT: Duration = Duration::from_secs(300);

/// One server's figures.
#[derive(Debug, Clone)]
pub struct Figures {
    /// SAVE, nobody writing, in seconds.
    pub save_s: Spread,
    /// From the log: loading at start, in seconds.
    pub load_s: Spread,
    /// BGSAVE with the writers, in seconds.
    pub background_s: Spread,
    /// Longest answer to the probe without a save, in milliseconds.
    pub pause_ms: Spread,
    /// The same during BGSAVE.
    pub save_pause_ms: Spread,
    /// What the writers wrote during BGSAVE, in thousand SETs per second.
    pub writes: Spread,
    /// The same without a save.
    pub idle_writes: Spread,
    /// Memory before BGSAVE, in MB.
    pub memory_mb: f64,
    /// The most that it grew by during BGSAVE, in MB.
    pub growth_mb: Spread,
}

/// Both servers.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Number of keys.
    pub keys: u64,
    /// The server under test.
    pub subject: Figures,
    /// `redis-server`.
    pub oracle: Figures,
}

/// Measures both servers in turns.
///
/// # Errors
/// A server that fails.
pub fn measure(rounds: usize, effort: Effort) -> Result<Measured> {
    let keys = effort.scale(KEYS);
    let mut found = [Samples::default(), Samples::default()];
    for round in 0..rounds {
        for (role, samples) in [Role::Subject, Role::Oracle].into_iter().zip(&mut found) {
            eprintln!("persistence: {role:?}, round {} of {rounds}", round + 1);
            one_round(role, keys, samples)?;
        }
    }
    let [subject, oracle] = found.map(Samples::figures);
    Ok(Measured {
        keys,
        subject,
        oracle,
    })
}

#[derive(Default)]
struct Samples {
    save_s: Vec<f64>,
    load_s: Vec<f64>,
    background_s: Vec<f64>,
    pause_ms: Vec<f64>,
    save_pause_ms: Vec<f64>,
    writes: Vec<f64>,
    idle_writes: Vec<f64>,
    memory_mb: Vec<f64>,
    growth_mb: Vec<f64>,
}

impl Samples {
    fn figures(self) -> Figures {
        Figures {
            save_s: Spread::of(self.save_s),
            load_s: Spread::of(self.load_s),
            background_s: Spread::of(self.background_s),
            pause_ms: Spread::of(self.pause_ms),
            save_pause_ms: Spread::of(self.save_pause_ms),
            writes: Spread::of(self.writes),
            idle_writes: Spread::of(self.idle_writes),
            memory_mb: Spread::of(self.memory_mb).median,
            growth_mb: Spread::of(self.growth_mb),
        }
    }
}

fn one_round(role: Role, keys: u64, samples: &mut Samples) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("holdfast-bench-").tempdir()?;
    let options = Options::new().threads(THREADS).dir(dir.path());
    let server = Server::start(role, &options)?;
    fill(&server, keys)?;
    let mut client = server.connect()?;
    client.set_timeout(SAVE_TIMEOUT);
    let began = Instant::now();
    expect_ok(&client.command("SAVE")?)?;
    samples.save_s.push(began.elapsed().as_secs_f64());
    with_writers(&server, keys, |written| {
        let (seconds, pause, rate) = {
            let (before, began) = (written.load(Ordering::Relaxed), Instant::now());
            let (saved, pause) = probed(&server, keys, || background_save(&mut client))?;
            saved?;
            let rate = rate_of(written, before, began);
            (began.elapsed(), pause, rate)
        };
        samples.background_s.push(seconds.as_secs_f64());
        samples.save_pause_ms.push(pause);
        samples.writes.push(rate);
        let (before, began) = (written.load(Ordering::Relaxed), Instant::now());
        let ((), pause) = probed(&server, keys, || std::thread::sleep(seconds))?;
        samples.pause_ms.push(pause);
        samples.idle_writes.push(rate_of(written, before, began));
        let before = resident_bytes(server.pid())?;
        let (saved, most) = watched(server.pid(), || background_save(&mut client))?;
        saved?;
        samples.memory_mb.push(before as f64 / 1e6);
        samples.growth_mb.push(most.saturating_sub(before) as f64 / 1e6);
        Ok(())
    })?;
    expect_ok(&client.command("SAVE")?)?;
    drop(client);
    server.kill()?;
    let server = Server::start(role, &options)?;
    samples.load_s.push(loaded_in(&server.log())?);
    Ok(())
}

/// Thousand commands per second since a moment.
fn rate_of(written: &AtomicU64, before: u64, began: Instant) -> f64 {
    (written.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64() / 1000.0
}

/// Seconds, from the line that both servers write when they have loaded a file.
fn loaded_in(log: &str) -> Result<f64> {
    let line = log
        .lines()
        .find_map(|line| line.split("DB loaded from disk: ").nth(1))
        .context("the log tells of no load")?;
    let seconds = line.split_whitespace().next().context("no number")?;
    Ok(seconds.parse()?)
}

fn expect_ok(reply: &Reply) -> Result<()> {
    anyhow::ensure!(*reply == Reply::ok(), "{reply:?}");
    Ok(())
}

/// Saves in the background and waits for the end.
fn background_save(client: &mut Client) -> Result<()> {
    let reply = client.command("BGSAVE")?;
    anyhow::ensure!(!reply.is_error(), "{reply:?}");
    wait_within(SAVE_TIMEOUT, "the save ends", || {
        Ok((persistence(client, "rdb_bgsave_in_progress")? == "0").then_some(()))
    })?;
    let status = persistence(client, "rdb_last_bgsave_status")?;
    anyhow::ensure!(status == "ok", "the save failed: {status}");
    Ok(())
}

/// A batch of SETs in which the numbers of the keys change.
struct Batch {
    bytes: Vec<u8>,
    /// Where the numbers stand.
    numbers: Vec<usize>,
}

impl Batch {
    /// Values that no compression makes smaller.
    fn new(commands: usize, rng: &mut SmallRng) -> Self {
        let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
        for _ in 0..commands {
            bytes.extend_from_slice(format!("*3\r\n$3\r\nSET\r\n${}\r\nkey:", DIGITS + 4).as_bytes());
            numbers.push(bytes.len());
            bytes.extend_from_slice(&[b'0'; DIGITS]);
            bytes.extend_from_slice(format!("\r\n${VALUE_BYTES}\r\n").as_bytes());
            bytes.extend((0..VALUE_BYTES).map(|_| rng.random::<u8>()));
            bytes.extend_from_slice(b"\r\n");
        }
        Self { bytes, numbers }
    }

    fn name(&mut self, mut key: impl FnMut() -> u64) {
        for &at in &self.numbers {
            let mut number = key();
            for digit in self.bytes[at..at + DIGITS].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
    }

    fn send(&self, stream: &mut TcpStream, replies: &mut Vec<u8>) -> Result<()> {
        stream.write_all(&self.bytes)?;
        replies.resize(5 * self.numbers.len(), 0);
        stream.read_exact(replies)?;
        anyhow::ensure!(
            replies.chunks(5).all(|reply| reply == b"+OK\r\n"),
            "{}",
            replies.escape_ascii()
        );
        Ok(())
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SAVE_TIMEOUT))?;
    Ok(stream)
}

fn fill(server: &Server, keys: u64) -> Result<()> {
    const AT_ONCE: u64 = 200;
    let (mut stream, mut rng) = (connect(server.address())?, SmallRng::seed_from_u64(1));
    let mut replies = Vec::new();
    let mut next = 0;
    // Not all keys have the same value, and not each one its own: what matters is that none compresses.
    let mut batches: Vec<Batch> = (0..50).map(|_| Batch::new(AT_ONCE as usize, &mut rng)).collect();
    while next < keys {
        let batch = &mut batches[(next / AT_ONCE % 50) as usize];
        batch.name(|| {
            next += 1;
            (next - 1).min(keys - 1)
        });
        batch.send(&mut stream, &mut replies)?;
    }
    Ok(())
}

/// Runs `work` while the writers write; it is given the number of their commands.
fn with_writers(server: &Server, keys: u64, work: impl FnOnce(&AtomicU64) -> Result<()>) -> Result<()> {
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let (stop, written) = (&stop, &written);
                scope.spawn(move || -> Result<()> {
                    let mut rng = SmallRng::seed_from_u64(n as u64 + 2);
                    let (mut batch, mut replies) = (Batch::new(PIPELINE, &mut rng), Vec::new());
                    let mut stream = connect(server.address())?;
                    while !stop.load(Ordering::Relaxed) {
                        batch.name(|| rng.random_range(0..keys));
                        batch.send(&mut stream, &mut replies)?;
                        written.fetch_add(PIPELINE as u64, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let result = work(&written);
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().expect("a writer does not panic")?;
        }
        result
    })
}

/// Runs `work` and tells how many milliseconds the slowest of a client's SETs took meanwhile.
fn probed<T>(server: &Server, keys: u64, work: impl FnOnce() -> T) -> Result<(T, f64)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let probe = scope.spawn(|| -> Result<f64> {
            let mut rng = SmallRng::seed_from_u64(99);
            let (mut batch, mut replies) = (Batch::new(1, &mut rng), Vec::new());
            let mut stream = connect(server.address())?;
            let mut longest = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                batch.name(|| rng.random_range(0..keys));
                let began = Instant::now();
                batch.send(&mut stream, &mut replies)?;
                longest = longest.max(began.elapsed());
            }
            Ok(longest.as_secs_f64() * 1000.0)
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        let longest = probe.join().expect("the probe does not panic")?;
        Ok((result, longest))
    })
}

/// Runs `work` and tells the most memory that the process and its children took meanwhile.
fn watched<T>(pid: u32, work: impl FnOnce() -> T) -> Result<(T, u64)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| -> Result<u64> {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                most = most.max(resident_bytes(pid)?);
                std::thread::sleep(SAMPLE);
            }
            Ok(most)
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        let most = watcher.join().expect("the watcher does not panic")?;
        Ok((result, most))
    })
}

/// Proportional set size of a process and its children, in bytes: pages that they share count once.
pub(super) fn resident_bytes(pid: u32) -> Result<u64> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut total = pss(pid).context("the server is gone")?;
    for child in children.split_whitespace() {
        // It may be gone again.
        total += child.parse().ok().and_then(pss).unwrap_or(0);
    }
    Ok(total)
}

fn pss(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_names_its_keys_and_keeps_its_length() {
        let mut batch = Batch::new(2, &mut SmallRng::seed_from_u64(1));
        let length = batch.bytes.len();
        let mut next = 41;
        batch.name(|| {
            next += 1;
            next
        });
        assert_eq!(batch.bytes.len(), length);
        let text = batch.bytes.escape_ascii().to_string();
        assert!(text.contains("$16\\r\\nkey:000000000042\\r\\n$100\\r\\n"));
        assert!(text.contains("key:000000000043"));
    }

    #[test]
    fn the_time_is_read_off_the_log() {
        let log = "1:M 1 Jan 2026 * Done loading RDB\n1:M 1 Jan 2026 * DB loaded from disk: 1.534 seconds\n";
        assert_eq!(loaded_in(log).unwrap(), 1.534);
        assert!(loaded_in("nothing").is_err());
    }
}
