//! Transcripts: command lines and the replies they get, in a form that people read and write.
//!
//! ```text
//! # A remark.
//! > LPUSH l b a
//! :2
//! > LRANGE l 0 -1
//! *2
//!   "a"
//!   "b"
//! 2> BLPOP other 0
//! (waits)
//! > RPUSH other x
//! :1
//! 2<
//! *2
//!   "other"
//!   "x"
//! ```
//!
//! `N>` sends on connection N (1 when left out), `N<` reads what arrives there unasked or late. Replies are in the form
//! of [`Reply::lines`]: one unindented line per reply, nested elements indented. In their place may stand
//!
//! | form | meaning |
//! |---|---|
//! | `(any)` | any one reply or element |
//! | `(integer A..B)` | an integer, A and B included |
//! | `(error CODE)` | an error of that code, whatever its text |
//! | `(text PART)` | a string that contains PART |
//! | `(any order)` | on the line before an array: its elements may come in any order |
//! | `(waits)` | the client blocks; its reply is read by a later `N<` |
//! | `(no reply)` | nothing is sent back |
//! | `(closed)` | the server closes the connection |
//! | `(until)` | on the line before a reply: the command is repeated until it gets that reply |
//!
//! Where the subject differs from the oracle on purpose, `[redis]` and `[holdfast] the reason` stand on lines before
//! the reply of each.
//!
//! Knows neither sockets nor the server: it runs against an [`Endpoint`].

mod file;
mod matching;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::client::{Client, REPLY_TIMEOUT};
use crate::reply::Reply;
use crate::server::Server;
use crate::wait::{look_for, wait_until};
pub use file::Transcript;
use file::{Action, Item, Step};

/// How long a late reply is waited for while recording, where the file does not yet say that there is one.
const RECORD_WAIT: Duration = Duration::from_millis(300);
/// How long a command is repeated until it gets the reply that is due.
const UNTIL_PATIENCE: Duration = crate::wait::PATIENCE;
/// The connection that asks the server about its state.
const CONTROL: u32 = 0;

/// What came from a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A reply.
    Reply(Reply),
    /// Nothing, for as long as was waited.
    Nothing,
    /// The end of the connection.
    Closed,
}

/// A server as a transcript sees it: numbered connections, opened at first use.
pub trait Endpoint {
    /// Sends a command on a connection.
    ///
    /// # Errors
    /// A connection that cannot be opened or written.
    fn send(&mut self, connection: u32, args: &[Vec<u8>]) -> Result<()>;

    /// Waits for the next reply on a connection.
    ///
    /// # Errors
    /// Bytes that are no reply.
    fn receive(&mut self, connection: u32, wait: Duration) -> Result<Received>;
}

/// An [`Endpoint`] over TCP.
pub struct Sockets<'a> {
    server: &'a Server,
    clients: BTreeMap<u32, Client>,
}

impl<'a> Sockets<'a> {
    /// Connections to `server`, none of them open yet.
    pub fn new(server: &'a Server) -> Sockets<'a> {
        Sockets {
            server,
            clients: BTreeMap::new(),
        }
    }

    fn client(&mut self, connection: u32) -> Result<&mut Client> {
        if !self.clients.contains_key(&connection) {
            let client = self.server.connect()?;
            self.clients.insert(connection, client);
        }
        self.clients
            .get_mut(&connection)
            .context("the connection was just inserted")
    }
}

impl Endpoint for Sockets<'_> {
    fn send(&mut self, connection: u32, args: &[Vec<u8>]) -> Result<()> {
        self.client(connection)?.send(args)
    }

    fn receive(&mut self, connection: u32, wait: Duration) -> Result<Received> {
        match self.client(connection)?.receive_within(wait) {
            Ok(Some(reply)) => Ok(Received::Reply(reply)),
            Ok(None) => Ok(Received::Nothing),
            Err(error) if is_close(&error) => {
                self.clients.remove(&connection);
                Ok(Received::Closed)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_close(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    text.contains("closed the connection") || text.contains("reset by peer")
}

/// Whose replies a run expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Those of Redis, the alternatives marked `[redis]` among them.
    Redis,
    /// Those marked `[holdfast]` where there are any, else Redis's.
    Holdfast,
}

/// Runs a transcript and returns what did not match, one message each.
///
/// # Errors
/// A connection that breaks where the transcript does not say so.
pub fn run(transcript: &Transcript, endpoint: &mut dyn Endpoint, expect: Expect) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for item in &transcript.items {
        let Item::Step(step) = item else { continue };
        let expected = step.expected(expect);
        let actual = perform(step, expected, endpoint).with_context(|| transcript.place(step))?;
        if !matching::matches(expected, &actual) {
            failures.push(format!(
                "{}: {}\n  expected\n{}\n  got\n{}",
                transcript.place(step),
                step.title(),
                indent(expected),
                indent(&actual)
            ));
        }
    }
    Ok(failures)
}

/// Runs a transcript against the oracle and writes the replies that it got into it. Forms with room, such as `(any)`,
/// stay where they still match.
///
/// # Errors
/// A connection that breaks where the transcript does not say so.
pub fn record(transcript: &mut Transcript, endpoint: &mut dyn Endpoint) -> Result<()> {
    let name = transcript.name.clone();
    for item in &mut transcript.items {
        let Item::Step(step) = item else { continue };
        let expected = step.redis.clone();
        let actual = perform(step, &expected, endpoint).with_context(|| format!("{name}:{}", step.line))?;
        if !matching::matches(&expected, &actual) {
            let modifiers = expected
                .iter()
                .filter(|line| *line == file::ANY_ORDER || *line == file::UNTIL);
            step.redis = modifiers.cloned().chain(actual).collect();
        }
    }
    Ok(())
}

/// Reads, records and writes back the transcript at `path`.
///
/// # Errors
/// An unreadable file, or as for [`record`].
pub fn record_file(path: &Path, endpoint: &mut dyn Endpoint) -> Result<()> {
    let mut transcript = Transcript::read(path)?;
    record(&mut transcript, endpoint)?;
    std::fs::write(path, transcript.to_text()).with_context(|| format!("writing {}", path.display()))
}

/// Performs one step; the lines are those a transcript would hold.
fn perform(step: &Step, expected: &[String], endpoint: &mut dyn Endpoint) -> Result<Vec<String>> {
    let Action::Send(args) = &step.action else {
        return read_replies(step.connection, replies_wanted(step, expected), endpoint);
    };
    if expected.first().is_some_and(|line| line == file::WAITS) {
        let before = blocked_clients(endpoint)?;
        endpoint.send(step.connection, args)?;
        wait_for_blocked(endpoint, before + 1)?;
        return Ok(vec![file::WAITS.to_owned()]);
    }
    let repeat = expected.first().is_some_and(|line| line == file::UNTIL);
    let patience = if repeat { UNTIL_PATIENCE } else { Duration::ZERO };
    let mut actual = Vec::new();
    look_for(patience, || {
        endpoint.send(step.connection, args)?;
        let wanted = replies_wanted(step, expected);
        actual = read_replies(step.connection, wanted, endpoint)?;
        Ok(matching::matches(expected, &actual).then_some(()))
    })?;
    Ok(actual)
}

/// How many replies a step waits for.
enum Wanted {
    Count(usize),
    Close,
    Silence,
    /// Not known yet: the step is being recorded for the first time.
    AtLeast(usize),
}

fn replies_wanted(step: &Step, expected: &[String]) -> Wanted {
    if expected.iter().any(|line| line == file::CLOSED) {
        return Wanted::Close;
    }
    if expected.iter().any(|line| line == file::NO_REPLY) {
        return Wanted::Silence;
    }
    match expected
        .iter()
        .filter(|line| matching::is_reply_head(line))
        .count()
    {
        0 => Wanted::AtLeast(step.likely_replies()),
        count => Wanted::Count(count),
    }
}

fn read_replies(connection: u32, wanted: Wanted, endpoint: &mut dyn Endpoint) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let (count, patience) = match wanted {
        Wanted::Silence => return Ok(vec![file::NO_REPLY.to_owned()]),
        Wanted::Count(count) => (count, REPLY_TIMEOUT),
        Wanted::Close => (usize::MAX, REPLY_TIMEOUT),
        Wanted::AtLeast(count) => (count, RECORD_WAIT),
    };
    for _ in 0..count {
        match endpoint.receive(connection, patience)? {
            Received::Reply(reply) => lines.extend(reply.lines()),
            Received::Nothing => {
                lines.push(file::NO_REPLY.to_owned());
                break;
            }
            Received::Closed => {
                lines.push(file::CLOSED.to_owned());
                break;
            }
        }
    }
    Ok(lines)
}

fn wait_for_blocked(endpoint: &mut dyn Endpoint, wanted: u64) -> Result<()> {
    wait_until("the client blocks", || Ok(blocked_clients(endpoint)? >= wanted))
}

fn blocked_clients(endpoint: &mut dyn Endpoint) -> Result<u64> {
    endpoint.send(CONTROL, &[b"INFO".to_vec(), b"clients".to_vec()])?;
    let Received::Reply(reply) = endpoint.receive(CONTROL, REPLY_TIMEOUT)? else {
        anyhow::bail!("no reply to INFO clients");
    };
    let text = reply.text().context("INFO replies with text")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("blocked_clients:"));
    Ok(line.context("INFO has no blocked_clients")?.trim().parse()?)
}

fn indent(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
