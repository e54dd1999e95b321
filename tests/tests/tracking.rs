//! A reader with a cache of its own, kept right by client tracking, beside writers on other threads: it must never
//! serve a value that is older than one whose writer had its reply before the reader last heard from the server.
//!
//! And two publishers to one channel: all who listen see one order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use holdfast_tests::client::Client;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// All of their numbers begin with a 0, a 1 or a 2.
const KEYS: usize = 24;
const WRITERS: usize = 3;
const READERS: usize = 2;
const LOOKS: usize = 1_500;

/// What all threads share.
struct Known {
    /// The highest value of each key that some writer has been told.
    values: Vec<AtomicI64>,
    /// Readers that are not done.
    looking: AtomicUsize,
    /// A writer has failed.
    failed: AtomicBool,
}

fn server() -> Result<Server> {
    Server::start(
        Role::Subject,
        &Options::new()
            .threads(4)
            .directive("tracking-table-max-keys", "16"),
    )
}

fn key(index: usize) -> String {
    format!("key:{index:02}")
}

/// A connection in RESP3 and what it knows.
struct Reader {
    client: Client,
    cache: BTreeMap<String, i64>,
}

impl Reader {
    /// The reply to one command; what the server pushes before it is taken notice of.
    fn call(&mut self, line: &str) -> Result<Reply> {
        let words: Vec<&str> = line.split(' ').collect();
        self.client.send(&words)?;
        loop {
            match self.client.receive()? {
                Reply::Push(parts) => self.pushed(&parts)?,
                reply => return Ok(reply),
            }
        }
    }

    fn pushed(&mut self, parts: &[Reply]) -> Result<()> {
        anyhow::ensure!(
            parts[0].text() == Some("invalidate"),
            "an unknown push: {parts:?}"
        );
        match parts[1].elements() {
            None => self.cache.clear(),
            Some(keys) => {
                for key in keys {
                    self.cache.remove(key.text().context("a key")?);
                }
            }
        }
        Ok(())
    }
}

fn read(server: &Server, known: &Known, how: &str, in_exec: bool, seed: u64) -> Result<()> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut reader = Reader {
        client: server.connect()?,
        cache: BTreeMap::new(),
    };
    reader.call("HELLO 3")?;
    reader.call(&format!("CLIENT TRACKING on{how}"))?;
    let mut hits = 0;
    for look in 0..LOOKS {
        let index = rng.random_range(0..KEYS);
        let (key, at_least) = (key(index), known.values[index].load(Ordering::Acquire));
        reader.call("PING")?;
        if let Some(&cached) = reader.cache.get(&key) {
            hits += 1;
            anyhow::ensure!(
                cached >= at_least,
                "look {look}{how}: {key} was {at_least} already, and the cache says {cached}"
            );
            if rng.random_bool(0.9) {
                continue;
            }
        }
        let reply = if in_exec {
            reader.call("MULTI")?;
            reader.call(&format!("GET {key}"))?;
            let all = reader.call("EXEC")?;
            all.elements().context("an array")?[0].clone()
        } else {
            reader.call(&format!("GET {key}"))?
        };
        let value = reply.text().map_or(Ok(0), str::parse::<i64>)?;
        anyhow::ensure!(value >= at_least, "the server itself went back");
        reader.cache.insert(key, value);
    }
    anyhow::ensure!(hits > 0, "the cache was never of use{how}");
    Ok(())
}

fn write(server: &Server, known: &Known, seed: u64) -> Result<()> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut client = server.connect()?;
    while known.looking.load(Ordering::Relaxed) > 0 && !known.failed.load(Ordering::Relaxed) {
        let index = rng.random_range(0..KEYS);
        let other = rng.random_range(0..KEYS);
        match rng.random_range(0..4) {
            0 => {
                client.command("MULTI")?;
                client.command(&format!("INCR {}", key(index)))?;
                client.command(&format!("INCR {}", key(other)))?;
                let all = client.command("EXEC")?;
                for (index, value) in [index, other]
                    .into_iter()
                    .zip(all.elements().context("an array")?)
                {
                    known.values[index].fetch_max(value.integer().context("a number")?, Ordering::Release);
                }
            }
            _ => {
                let value = client.command(&format!("INCR {}", key(index)))?;
                known.values[index].fetch_max(value.integer().context("a number")?, Ordering::Release);
            }
        }
    }
    Ok(())
}

fn a_cache_is_never_behind(how: &str, in_exec: bool) -> Result<()> {
    let server = server()?;
    let known = Known {
        values: (0..KEYS).map(|_| AtomicI64::new(0)).collect(),
        looking: AtomicUsize::new(READERS),
        failed: AtomicBool::new(false),
    };
    let (server, known) = (&server, &known);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS as u64)
            .map(|seed| {
                scope.spawn(move || {
                    let result = read(server, known, how, in_exec, seed);
                    known.looking.fetch_sub(1, Ordering::Relaxed);
                    result
                })
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS as u64)
            .map(|seed| {
                scope.spawn(move || {
                    let result = write(server, known, 100 + seed);
                    known.failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    result
                })
            })
            .collect();
        let threads = readers.into_iter().chain(writers);
        threads
            .map(|thread| thread.join().expect("no thread panics"))
            .collect::<Result<Vec<()>>>()
    })?;
    Ok(())
}

#[test]
fn a_cache_of_what_was_read_is_never_behind() -> Result<()> {
    a_cache_is_never_behind("", false)
}

#[test]
fn a_cache_of_what_was_read_in_transactions_is_never_behind() -> Result<()> {
    a_cache_is_never_behind(" NOLOOP", true)
}

#[test]
fn a_cache_of_keys_with_a_prefix_is_never_behind() -> Result<()> {
    a_cache_is_never_behind(" BCAST PREFIX key:1 PREFIX key:2 PREFIX key:0", false)
}

#[test]
fn all_who_listen_to_a_channel_see_the_messages_of_two_publishers_in_one_order() -> Result<()> {
    const MESSAGES: usize = 1_500;
    let server = Server::start(Role::Subject, &Options::new().threads(4))?;
    let mut listeners = Vec::new();
    for line in ["SUBSCRIBE c", "SUBSCRIBE c", "PSUBSCRIBE c*", "PSUBSCRIBE ?"] {
        let mut client = server.connect()?;
        client.command(line)?;
        listeners.push(client);
    }
    let server = &server;
    let orders = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..3)
            .map(|publisher| {
                scope.spawn(move || -> Result<()> {
                    let mut client = server.connect()?;
                    for message in 0..MESSAGES {
                        client.command(&format!("PUBLISH c {publisher}:{message}"))?;
                    }
                    Ok(())
                })
            })
            .collect();
        let listeners: Vec<_> = listeners
            .into_iter()
            .map(|mut client| {
                scope.spawn(move || -> Result<Vec<String>> {
                    (0..3 * MESSAGES)
                        .map(|_| {
                            let message = client.receive()?;
                            let parts = message.elements().context("a message")?;
                            let text = parts.last().and_then(|part| part.text()).context("a text")?;
                            Ok(text.to_owned())
                        })
                        .collect()
                })
            })
            .collect();
        for publisher in publishers {
            publisher.join().expect("no thread panics")?;
        }
        listeners
            .into_iter()
            .map(|thread| thread.join().expect("no thread panics"))
            .collect::<Result<Vec<_>>>()
    })?;
    for order in &orders[1..] {
        let differs = order.iter().zip(&orders[0]).position(|(a, b)| a != b);
        assert_eq!(differs, None, "the first message that differs");
    }
    Ok(())
}
