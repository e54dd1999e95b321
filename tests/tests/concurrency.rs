//! Eight connections on threads of their own against a server with four workers: what one command or one transaction
//! does, the others see as a whole or not at all.
//!
//! Keys lie in different shards unless a test says otherwise, and come in changing order, so that a lock taken in the
//! wrong order shows as a reply that never comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use holdfast_tests::ask;
use holdfast_tests::client::Client;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;

const CONNECTIONS: usize = 8;
const WORKERS: usize = 4;

fn server() -> Result<Server> {
    Server::start(Role::Subject, &Options::new().threads(WORKERS))
}

/// Runs `work` on as many connections as it asks for, all starting together.
fn race<T: Send>(
    server: &Server,
    connections: usize,
    work: impl Fn(usize, &mut Client) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let barrier = Barrier::new(connections);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|index| {
                let (work, barrier) = (&work, &barrier);
                scope.spawn(move || {
                    let client = server.connect();
                    barrier.wait();
                    work(index, &mut client?).with_context(|| format!("connection {index}"))
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no thread panics"))
            .collect()
    })
}

fn integer(reply: Reply) -> Result<i64> {
    reply
        .integer()
        .with_context(|| format!("an integer was expected, not {reply:?}"))
}

fn texts(reply: &Reply) -> Result<Vec<Option<String>>> {
    let elements = reply
        .elements()
        .with_context(|| format!("an array was expected, not {reply:?}"))?;
    Ok(elements
        .into_iter()
        .map(|element| element.text().map(str::to_owned))
        .collect())
}

fn expect_ok(reply: &Reply) -> Result<()> {
    anyhow::ensure!(!reply.is_error(), "{reply:?}");
    Ok(())
}

/// MULTI, the commands, EXEC, in one write; the replies of EXEC, or `None` when it was aborted.
fn transaction(client: &mut Client, commands: &[&str]) -> Result<Option<Vec<Reply>>> {
    let lines = [&["MULTI"][..], commands, &["EXEC"]].concat();
    let words = lines
        .iter()
        .map(|line| holdfast_tests::words::split(line))
        .collect::<Result<Vec<_>>>()?;
    let mut replies = client.pipeline(&words)?;
    match replies.pop() {
        Some(Reply::Array(results)) => Ok(Some(results)),
        Some(reply) if reply.is_null() => Ok(None),
        other => anyhow::bail!("EXEC gave {other:?}, after {replies:?}"),
    }
}

#[test]
fn counters_give_every_value_once() -> Result<()> {
    const ROUNDS: usize = 60;
    const BATCH: usize = 25;
    let server = server()?;
    let seen = race(&server, CONNECTIONS, |_, client| {
        let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for round in 0..ROUNDS {
            let key = format!("counter:{}", round % 5);
            let batch = vec![vec!["INCR".to_owned(), key.clone()]; BATCH];
            for reply in client.pipeline(&batch)? {
                seen.entry(key.clone()).or_default().push(integer(reply)?);
            }
            // What was acknowledged is there for everyone, this connection included.
            let now: i64 = client
                .command(&format!("GET {key}"))?
                .text()
                .context("a number")?
                .parse()?;
            anyhow::ensure!(
                seen[&key].last().is_some_and(|last| now >= *last),
                "{key} went back to {now}"
            );
        }
        Ok(seen)
    })?;
    for key in 0..5 {
        let key = format!("counter:{key}");
        for one in &seen {
            assert!(one[&key].is_sorted(), "one connection saw {key} go back");
        }
        let mut all: Vec<i64> = seen.iter().flat_map(|one| one[&key].iter().copied()).collect();
        all.sort_unstable();
        let total = (CONNECTIONS * ROUNDS / 5 * BATCH) as i64;
        assert_eq!(all, (1..=total).collect::<Vec<_>>(), "{key}");
    }
    Ok(())
}

#[test]
fn a_transaction_is_seen_as_a_whole() -> Result<()> {
    const ROUNDS: usize = 400;
    let server = server()?;
    race(&server, CONNECTIONS, |index, client| {
        for round in 0..ROUNDS {
            if index < CONNECTIONS / 2 {
                let order = if round % 2 == 0 {
                    ["INCR left", "INCR right"]
                } else {
                    ["INCR right", "INCR left"]
                };
                let results = transaction(client, &order)?.context("nothing was watched")?;
                anyhow::ensure!(results[0] == results[1], "the pair came apart: {results:?}");
            } else if index % 2 == 0 {
                let results =
                    transaction(client, &["GET left", "GET right"])?.context("nothing was watched")?;
                anyhow::ensure!(
                    results[0] == results[1],
                    "a transaction saw half of another: {results:?}"
                );
            } else {
                let values = texts(&client.command("MGET right left")?)?;
                anyhow::ensure!(
                    values[0] == values[1],
                    "MGET saw half of a transaction: {values:?}"
                );
            }
        }
        Ok(())
    })?;
    let total = (CONNECTIONS / 2 * ROUNDS).to_string();
    assert_eq!(
        server.connect()?.command("GET left")?.text(),
        Some(total.as_str())
    );
    Ok(())
}

#[test]
fn mset_is_seen_as_a_whole() -> Result<()> {
    const ROUNDS: usize = 400;
    const KEYS: usize = 10;
    let server = server()?;
    race(&server, CONNECTIONS, |index, client| {
        for round in 0..ROUNDS {
            // Writers and readers name the keys in changing order.
            let order: Vec<usize> = (0..KEYS).map(|key| (key * 3 + index + round) % KEYS).collect();
            if index % 2 == 0 {
                let pairs: Vec<String> = order
                    .iter()
                    .map(|key| format!("m:{key} {index}-{round}"))
                    .collect();
                let name = if round % 5 == 4 { "MSETNX" } else { "MSET" };
                expect_ok(&client.command(&format!("{name} {}", pairs.join(" ")))?)?;
                if round % 50 == 49 {
                    let keys: Vec<String> = order.iter().map(|key| format!("m:{key}")).collect();
                    expect_ok(&client.command(&format!("DEL {}", keys.join(" ")))?)?;
                }
            } else {
                let keys: Vec<String> = order.iter().map(|key| format!("m:{key}")).collect();
                let values: BTreeSet<_> = texts(&client.command(&format!("MGET {}", keys.join(" ")))?)?
                    .into_iter()
                    .collect();
                anyhow::ensure!(values.len() == 1, "MGET saw half of an MSET or DEL: {values:?}");
            }
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn a_renamed_key_is_never_absent_nor_double() -> Result<()> {
    const ROUNDS: usize = 500;
    const NAMES: usize = 6;
    let server = server()?;
    server.connect()?.command("SET name:0 token")?;
    let all = (0..NAMES)
        .map(|name| format!("name:{name}"))
        .collect::<Vec<_>>()
        .join(" ");
    race(&server, CONNECTIONS, |index, client| {
        for round in 0..ROUNDS {
            if index < CONNECTIONS / 2 {
                let (from, to) = ((index + round) % NAMES, (index * 2 + round * 5 + 1) % NAMES);
                // The key is at one of the names only: most renames fail, and must leave nothing behind.
                let name = if round % 3 == 0 { "RENAMENX" } else { "RENAME" };
                client.command(&format!("{name} name:{from} name:{to}"))?;
            } else {
                let there = integer(client.command(&format!("EXISTS {all}"))?)?;
                anyhow::ensure!(there == 1, "the token is there {there} times");
            }
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn smove_and_lmove_lose_nothing() -> Result<()> {
    const ROUNDS: usize = 500;
    const ITEMS: usize = 40;
    let server = server()?;
    let mut setup = server.connect()?;
    for item in 0..ITEMS {
        setup.command(&format!("SADD set:0 {item}"))?;
        setup.command(&format!("RPUSH list:0 {item}"))?;
    }
    race(&server, CONNECTIONS, |index, client| {
        for round in 0..ROUNDS {
            let (from, to) = ((index + round) % 3, (index + round * 2 + 1) % 3);
            match index % 4 {
                0 => {
                    integer(client.command(&format!(
                        "SMOVE set:{from} set:{to} {}",
                        (round * 7 + index) % ITEMS
                    ))?)?;
                }
                1 => {
                    let side = if round % 2 == 0 { "LEFT" } else { "RIGHT" };
                    expect_ok(&client.command(&format!("LMOVE list:{from} list:{to} {side} RIGHT"))?)?;
                }
                2 => {
                    let union = client.command("SUNION set:2 set:0 set:1")?;
                    anyhow::ensure!(
                        texts(&union)?.len() == ITEMS,
                        "SUNION sees {} members",
                        texts(&union)?.len()
                    );
                    let cards = transaction(client, &["SCARD set:0", "SCARD set:1", "SCARD set:2"])?;
                    sum_is(cards, ITEMS)?;
                }
                _ => {
                    let lengths = transaction(client, &["LLEN list:2", "LLEN list:1", "LLEN list:0"])?;
                    sum_is(lengths, ITEMS)?;
                }
            }
        }
        Ok(())
    })?;
    let mut left: Vec<String> = Vec::new();
    for list in 0..3 {
        left.extend(
            texts(&setup.command(&format!("LRANGE list:{list} 0 -1"))?)?
                .into_iter()
                .flatten(),
        );
    }
    left.sort_by_key(|item| item.parse::<usize>().unwrap_or(usize::MAX));
    assert_eq!(left, (0..ITEMS).map(|item| item.to_string()).collect::<Vec<_>>());
    Ok(())
}

fn sum_is(results: Option<Vec<Reply>>, wanted: usize) -> Result<()> {
    let results = results.context("nothing was watched")?;
    let sum: i64 = results.iter().filter_map(Reply::integer).sum();
    anyhow::ensure!(sum == wanted as i64, "the parts {results:?} do not make {wanted}");
    Ok(())
}

#[test]
fn blpop_gives_every_element_once() -> Result<()> {
    const PER_PRODUCER: usize = 300;
    const PRODUCERS: usize = CONNECTIONS / 2;
    let server = server()?;
    let finished = AtomicUsize::new(0);
    let taken = race(&server, CONNECTIONS, |index, client| {
        let mut taken = Vec::new();
        if index < PRODUCERS {
            for item in 0..PER_PRODUCER {
                let list = (index + item) % 3;
                // Sometimes two lists at once: one client must not be served twice.
                if item % 10 == 0 {
                    let push = format!("RPUSH jobs:{list} {index}-{item}");
                    transaction(client, &[&push, "LPUSH other x"])?;
                } else {
                    expect_ok(&client.command(&format!("RPUSH jobs:{list} {index}-{item}"))?)?;
                }
            }
            if finished.fetch_add(1, Ordering::SeqCst) + 1 == PRODUCERS {
                for _ in PRODUCERS..CONNECTIONS {
                    expect_ok(&client.command("RPUSH jobs:2 end")?)?;
                }
            }
            return Ok(taken);
        }
        loop {
            let order = ["jobs:0 jobs:1 jobs:2", "jobs:1 jobs:0 jobs:2"][index % 2];
            let command = if taken.len() % 2 == 0 { "BLPOP" } else { "BLMPOP" };
            let reply = match command {
                "BLPOP" => client.command(&format!("BLPOP {order} 20"))?,
                _ => client.command(&format!("BLMPOP 20 3 {order} LEFT"))?,
            };
            let elements = reply
                .elements()
                .with_context(|| format!("{command} gave {reply:?}"))?;
            let item = match elements[1] {
                Reply::Array(items) => items[0].text(),
                single => single.text(),
            };
            let item = item
                .with_context(|| format!("{command} gave {reply:?}"))?
                .to_owned();
            if item == "end" {
                return Ok(taken);
            }
            taken.push(item);
        }
    })?;
    let mut all: Vec<String> = taken.into_iter().flatten().collect();
    // An `end` may overtake items of other lists: those are still there.
    let mut client = server.connect()?;
    for list in 0..3 {
        all.extend(
            texts(&client.command(&format!("LRANGE jobs:{list} 0 -1"))?)?
                .into_iter()
                .flatten(),
        );
    }
    let count = all.len();
    let distinct: BTreeSet<_> = all.into_iter().collect();
    assert_eq!(
        (count, distinct.len()),
        (PRODUCERS * PER_PRODUCER, PRODUCERS * PER_PRODUCER)
    );
    Ok(())
}

#[test]
fn blocked_clients_are_served_in_their_order() -> Result<()> {
    let server = server()?;
    let mut clients = (0..6).map(|_| server.connect()).collect::<Result<Vec<_>>>()?;
    let mut control = server.connect()?;
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(&["BLPOP", "queue", "0"])?;
        wait_until(&format!("client {index} blocks"), || {
            Ok(ask::number(&mut control, "clients", "blocked_clients")? == index as u64 + 1)
        })?;
    }
    control.command("RPUSH queue 0 1 2 3 4 5")?;
    for (index, client) in clients.iter_mut().enumerate() {
        assert_eq!(
            texts(&client.receive()?)?[1],
            Some(index.to_string()),
            "the one who waits longest comes first"
        );
    }
    Ok(())
}

#[test]
fn watch_makes_read_and_write_one_step() -> Result<()> {
    const ROUNDS: usize = 120;
    let server = server()?;
    server
        .connect()?
        .command("MSET sum 0 account:0 1000 account:1 1000 account:2 1000")?;
    let retries = race(&server, CONNECTIONS, |index, client| {
        if index == 0 {
            // The reader: money moves, but there is always as much.
            for _ in 0..ROUNDS * 10 {
                let values = texts(&client.command("MGET account:2 account:0 account:1")?)?;
                let total: i64 = values
                    .iter()
                    .flatten()
                    .filter_map(|value| value.parse::<i64>().ok())
                    .sum();
                anyhow::ensure!(total == 3000, "the accounts hold {values:?}");
            }
            return Ok(0);
        }
        let mut retries = 0;
        for round in 0..ROUNDS {
            while !add_one(client)? {
                retries += 1;
            }
            while !transfer(client, (index + round) % 3, (index + round + 1) % 3)? {
                retries += 1;
            }
        }
        Ok(retries)
    })?;
    let retries: usize = retries.into_iter().sum();
    println!("{retries} transactions had to be tried again");
    let total = ((CONNECTIONS - 1) * ROUNDS).to_string();
    assert_eq!(server.connect()?.command("GET sum")?.text(), Some(total.as_str()));
    Ok(())
}

fn number(client: &mut Client, key: &str) -> Result<i64> {
    Ok(client
        .command(&format!("GET {key}"))?
        .text()
        .context("a number")?
        .parse()?)
}

fn add_one(client: &mut Client) -> Result<bool> {
    expect_ok(&client.command("WATCH sum")?)?;
    let sum = number(client, "sum")?;
    Ok(transaction(client, &[&format!("SET sum {}", sum + 1)])?.is_some())
}

fn transfer(client: &mut Client, from: usize, to: usize) -> Result<bool> {
    expect_ok(&client.command(&format!("WATCH account:{from} account:{to}"))?)?;
    let (left, right) = (
        number(client, &format!("account:{from}"))?,
        number(client, &format!("account:{to}"))?,
    );
    let sets = [
        format!("SET account:{from} {}", left - 1),
        format!("SET account:{to} {}", right + 1),
    ];
    Ok(transaction(client, &[&sets[0], &sets[1]])?.is_some())
}

#[test]
fn swapdb_and_flushall_are_seen_as_a_whole() -> Result<()> {
    const ROUNDS: usize = 300;
    let server = server()?;
    let mut setup = server.connect()?;
    setup.command("MSET a old b old c old")?;
    setup.command("SELECT 1")?;
    setup.command("MSET a new b new c new")?;
    race(&server, CONNECTIONS, |index, client| {
        for round in 0..ROUNDS {
            match index {
                0 => expect_ok(&client.command("SWAPDB 0 1")?)?,
                1 if round % 10 == 0 => {
                    transaction(
                        client,
                        &[
                            "FLUSHALL",
                            "MSET a x b x c x",
                            "SELECT 1",
                            "MSET a y b y c y",
                            "SELECT 0",
                        ],
                    )?;
                }
                _ => {
                    let values: BTreeSet<_> = texts(&client.command("MGET c a b")?)?.into_iter().collect();
                    anyhow::ensure!(
                        values.len() == 1,
                        "MGET saw a database half swapped or flushed: {values:?}"
                    );
                }
            }
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn every_subscriber_gets_every_message_in_order() -> Result<()> {
    const MESSAGES: usize = 400;
    const PUBLISHERS: usize = 3;
    let server = server()?;
    let subscribed = Barrier::new(CONNECTIONS);
    race(&server, CONNECTIONS, |index, client| {
        if index < PUBLISHERS {
            subscribed.wait();
            for message in 0..MESSAGES {
                let heard = integer(client.command(&format!("PUBLISH news:{index} {message}"))?)?;
                anyhow::ensure!(
                    heard == (CONNECTIONS - PUBLISHERS) as i64,
                    "{heard} subscribers heard it"
                );
            }
            return Ok(());
        }
        // All others wait here too, so an error must not come before.
        let outcome = subscribe(client, index % 2 == 0, PUBLISHERS);
        subscribed.wait();
        outcome?;
        let mut next = [0; PUBLISHERS];
        for _ in 0..MESSAGES * PUBLISHERS {
            let message = texts(&client.receive()?)?;
            let (channel, number) = (&message[message.len() - 2], &message[message.len() - 1]);
            let publisher: usize = channel
                .as_deref()
                .and_then(|name| name.strip_prefix("news:"))
                .context("channel")?
                .parse()?;
            anyhow::ensure!(
                number.as_deref() == Some(next[publisher].to_string().as_str()),
                "message {number:?} of publisher {publisher} came when {} was due",
                next[publisher]
            );
            next[publisher] += 1;
        }
        Ok(())
    })?;
    Ok(())
}

fn subscribe(client: &mut Client, by_pattern: bool, publishers: usize) -> Result<()> {
    if by_pattern {
        return expect_ok(&client.command("PSUBSCRIBE news:*")?);
    }
    for publisher in 0..publishers {
        expect_ok(&client.command(&format!("SUBSCRIBE news:{publisher}"))?)?;
    }
    Ok(())
}
