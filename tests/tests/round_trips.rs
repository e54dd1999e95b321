//! Data of every type and encoding travel in files from one server to the other and back, and nothing is lost: values,
//! encodings, expiries, access clocks, the groups of streams, libraries of functions.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use holdfast_tests::client::Client;
use holdfast_tests::datasets::{borders, clocks, send};
use holdfast_tests::facts::{self, Clock, Facts};
use holdfast_tests::server::{Options, Role, Server, tool};

const DATABASES: u32 = 16;

/// Settings with which both servers name the same encodings.
fn options(clock: Clock, compressed: bool) -> Options {
    let policy = match clock {
        Clock::None | Clock::Replayed => "noeviction",
        Clock::Idle => "allkeys-lru",
        Clock::Frequency => "allkeys-lfu",
    };
    Options::new()
        .directive("maxmemory-policy", policy)
        .directive("lfu-decay-time", "0")
        .directive("rdbcompression", if compressed { "yes" } else { "no" })
        .encodings_of_redis()
}

fn fill(client: &mut Client, clock: Clock) -> Result<()> {
    send(client, &borders())?;
    let name = match clock {
        Clock::None | Clock::Replayed => return Ok(()),
        Clock::Idle => "IDLETIME",
        Clock::Frequency => "FREQ",
    };
    client.command("SET sample some-text")?;
    let payload = client.command("DUMP sample")?;
    for words in clocks(name, payload.bytes().context("DUMP answers a string")?) {
        let reply = client.call(&words)?;
        ensure!(!reply.is_error(), "{words:?}: {reply:?}");
    }
    Ok(())
}

fn facts(server: &Server, clock: Clock) -> Result<Facts> {
    facts::of(&mut server.connect()?, DATABASES, clock)
}

/// Saves `from`, has the file checked by Redis's own tool, and starts `to` with it.
fn hand_over(from: &Server, to: Role, options: &Options) -> Result<Server> {
    let saved = from.connect()?.command("SAVE")?;
    ensure!(!saved.is_error(), "{saved:?}: {}", from.log());
    check(&from.dir().join("dump.rdb"))?;
    Server::start(to, &options.clone().files_of(from.dir()))
}

fn check(file: &Path) -> Result<()> {
    let checked = Command::new(tool("redis-check-rdb", "apt-get install redis-tools")?)
        .arg(file)
        .output()?;
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    ensure!(
        checked.status.success() && text.contains("RDB looks OK"),
        "{text}"
    );
    Ok(())
}

fn there_and_back(first: Role, second: Role, clock: Clock, compressed: bool) -> Result<()> {
    let options = options(clock, compressed);
    let server = Server::start(first, &options)?;
    fill(&mut server.connect()?, clock)?;
    let before = facts(&server, clock)?;
    ensure!(before.len() > 400, "{} facts", before.len());
    let other = hand_over(&server, second, &options)?;
    let there = facts(&other, clock)?;
    let differ = facts::differences(&before, &there);
    ensure!(differ.is_empty(), "{first:?} to {second:?}, {clock:?}:\n{differ}");
    let again = hand_over(&other, first, &options)?;
    let differ = facts::differences(&before, &facts(&again, clock)?);
    ensure!(
        differ.is_empty(),
        "{first:?} to {second:?} and back, {clock:?}:\n{differ}"
    );
    Ok(())
}

#[test]
fn from_holdfast_to_redis_and_back() -> Result<()> {
    there_and_back(Role::Subject, Role::Oracle, Clock::None, true)?;
    there_and_back(Role::Subject, Role::Oracle, Clock::Idle, false)?;
    there_and_back(Role::Subject, Role::Oracle, Clock::Frequency, true)
}

#[test]
fn from_redis_to_holdfast_and_back() -> Result<()> {
    there_and_back(Role::Oracle, Role::Subject, Clock::None, false)?;
    there_and_back(Role::Oracle, Role::Subject, Clock::Idle, true)?;
    there_and_back(Role::Oracle, Role::Subject, Clock::Frequency, false)
}

/// The same commands make the same data on both, so that the tests above compare with what is right.
#[test]
fn both_make_the_same_of_the_same_commands() -> Result<()> {
    let subject = Server::start(Role::Subject, &options(Clock::None, true))?;
    let oracle = Server::start(Role::Oracle, &options(Clock::None, true))?;
    let of = |server: &Server| -> Result<Facts> {
        let mut client = server.connect()?;
        for words in borders() {
            // Groups note when they were read: that differs.
            if !words[0].starts_with(b"XREADGROUP")
                && !words[0].starts_with(b"XCLAIM")
                && words[1] != b"CREATECONSUMER"
            {
                client.call(&words)?;
            }
        }
        facts(server, Clock::None)
    };
    let differ = facts::differences(&of(&subject)?, &of(&oracle)?);
    ensure!(differ.is_empty(), "{differ}");
    Ok(())
}
