//! Sends a stream to both servers, batch by batch, and compares everything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, Result};

use super::chance::{self, Check};
use super::explained::Usage;
use super::families::USERS;
use super::pool::{Args, cmd};
use super::replies::{Same, compare};
use super::state;
use super::stream::{CONNECTIONS, Unit, is_left_to_chance};
use crate::client::Client;
use crate::reply::{Reply, encode_command};
use crate::server::Server;
use crate::words::join_short;

const BATCH_COMMANDS: usize = 64;
const BATCH_BYTES: usize = 48 * 1024;
const HISTORY: usize = 4000;
const HISTORY_SHOWN: usize = 12;
const SCAN_PAGES: usize = 20_000;

/// A difference that nothing explains.
#[derive(Debug, Clone)]
pub struct Difference {
    /// What kind of difference: the minimiser and the collector of several differences keep to one kind.
    pub kind: String,
    /// All that is to be said about it.
    pub text: String,
}

/// What was compared, counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// How often each explained difference came up.
    pub usage: Usage,
    /// For each command: how often it was compared, and how many of the replies were errors.
    pub coverage: BTreeMap<String, (u64, u64)>,
}

impl Tally {
    fn count(&mut self, args: &[Vec<u8>], reply: &Reply) {
        let name = args
            .first()
            .map(|name| String::from_utf8_lossy(name).to_ascii_uppercase())
            .unwrap_or_default();
        if name
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        {
            let (total, errors) = self.coverage.entry(name).or_default();
            *total += 1;
            *errors += u64::from(reply.is_error());
        }
    }
}

/// Both servers and the connections to them.
pub struct Driver<'a> {
    subject: Side<'a>,
    oracle: Side<'a>,
    queued: Vec<Vec<Args>>,
    history: VecDeque<(usize, Args)>,
    batch: Vec<(usize, Args)>,
    batch_bytes: usize,
    /// What was compared.
    pub tally: Tally,
    /// Commands compared so far.
    pub commands: u64,
}

pub(super) struct Side<'a> {
    server: &'a Server,
    clients: Vec<Client>,
    pub(super) control: Client,
}

impl<'a> Side<'a> {
    fn new(server: &'a Server) -> Result<Side<'a>> {
        let mut clients = (0..CONNECTIONS)
            .map(|_| server.connect())
            .collect::<Result<Vec<_>>>()?;
        let last = clients.last_mut().context("there is a connection")?;
        last.command("HELLO 3")?;
        Ok(Side {
            server,
            clients,
            control: server.connect()?,
        })
    }

    fn send(&mut self, connection: usize, commands: &[Args]) -> Result<()> {
        let mut bytes = Vec::new();
        for args in commands {
            encode_command(args, &mut bytes);
        }
        self.clients[connection]
            .send_raw(&bytes)
            .with_context(|| self.log())
    }

    fn receive(&mut self, connection: usize) -> Result<Reply> {
        self.clients[connection].receive().with_context(|| self.log())
    }

    fn log(&self) -> String {
        format!(
            "{}'s log ends with:\n{}",
            self.server.binary().path().display(),
            self.server.log()
        )
    }
}

impl<'a> Driver<'a> {
    /// Empties both servers and connects to them.
    ///
    /// # Errors
    /// A server that does not answer.
    pub fn new(subject: &'a Server, oracle: &'a Server) -> Result<Driver<'a>> {
        let mut driver = Driver {
            subject: Side::new(subject)?,
            oracle: Side::new(oracle)?,
            queued: vec![Vec::new(); CONNECTIONS],
            history: VecDeque::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            tally: Tally::default(),
            commands: 0,
        };
        for side in [&mut driver.subject, &mut driver.oracle] {
            let reply = side.control.command("FLUSHALL")?;
            anyhow::ensure!(!reply.is_error(), "FLUSHALL: {reply:?}");
            let mut remove = cmd("ACL").arg("DELUSER");
            for user in USERS {
                remove = remove.arg(user);
            }
            side.control.call(&remove.0)?;
        }
        Ok(driver)
    }

    /// Takes a unit; it may wait for its batch to fill.
    ///
    /// # Errors
    /// A server that breaks off. The inner result is a difference.
    pub fn take(&mut self, unit: &Unit) -> Result<Result<(), Difference>> {
        match unit {
            Unit::Commands(commands) => {
                for (connection, args) in commands {
                    let turn = self.batch.last().is_some_and(|(last, _)| last != connection);
                    if (turn || self.batch.len() >= BATCH_COMMANDS || self.batch_bytes > BATCH_BYTES)
                        && let Err(difference) = self.flush()?
                    {
                        return Ok(Err(difference));
                    }
                    self.batch_bytes += args.iter().map(|arg| arg.len() + 16).sum::<usize>();
                    self.batch.push((*connection, args.clone()));
                }
                Ok(Ok(()))
            }
            Unit::Scan {
                connection,
                before,
                after,
            } => {
                if let Err(difference) = self.flush()? {
                    return Ok(Err(difference));
                }
                self.scan(*connection, before, after)
            }
        }
    }

    /// Sends what waits and compares the replies.
    ///
    /// # Errors
    /// As for [`Driver::take`].
    pub fn flush(&mut self) -> Result<Result<(), Difference>> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let Some((connection, _)) = batch.first() else {
            return Ok(Ok(()));
        };
        let connection = *connection;
        let commands: Vec<Args> = batch.into_iter().map(|(_, args)| args).collect();
        // Where no reply decides what the oracle is asked, both servers can work at the same time.
        let together = !commands.iter().any(|args| is_left_to_chance(args));
        self.subject.send(connection, &commands)?;
        if together {
            self.oracle.send(connection, &commands)?;
        }
        let mut replies = Vec::with_capacity(commands.len());
        for args in &commands {
            let reply = self.subject.receive(connection);
            replies.push(reply.with_context(|| format!("subject, at {}", join_short(args)))?);
        }
        let checks: Vec<Option<Check>> = if together {
            commands.iter().map(|_| None).collect()
        } else {
            commands
                .iter()
                .zip(&replies)
                .map(|(args, reply)| chance::check(args, reply))
                .collect()
        };
        if !together {
            let mirrored: Vec<Args> = commands
                .iter()
                .zip(&checks)
                .flat_map(|(args, check)| {
                    check
                        .as_ref()
                        .map_or_else(|| vec![args.clone()], |check| check.commands.clone())
                })
                .collect();
            self.oracle.send(connection, &mirrored)?;
        }
        for ((args, subject), check) in commands.iter().zip(&replies).zip(&checks) {
            self.remember(connection, args);
            let answers = (0..check.as_ref().map_or(1, |check| check.commands.len()))
                .map(|_| self.oracle.receive(connection))
                .collect::<Result<Vec<_>>>()
                .with_context(|| format!("oracle, at {}", join_short(args)))?;
            self.commands += 1;
            self.tally.count(args, subject);
            let outcome = match check {
                Some(check) => check.judge(subject, &answers),
                None => self.compare_one(connection, args, subject, &answers[0]),
            };
            if let Err(detail) = outcome {
                return Ok(Err(self.difference(connection, args, subject, &answers, &detail)));
            }
        }
        Ok(Ok(()))
    }

    /// Compares what both servers hold: the digest, and each key's encoding and time to live.
    ///
    /// # Errors
    /// As for [`Driver::take`].
    pub fn compare_state(&mut self) -> Result<Result<(), Difference>> {
        if let Err(difference) = self.flush()? {
            return Ok(Err(difference));
        }
        let found = state::compare(&mut self.subject, &mut self.oracle, &mut self.tally.usage)?;
        Ok(match found {
            None => Ok(()),
            Some(found) => {
                let text = format!("{}\n{}", found.text, self.history_of(&found.keys));
                Err(Difference {
                    kind: found.kind,
                    text,
                })
            }
        })
    }

    /// Compares one reply; within EXEC, each reply by the rule of its command.
    fn compare_one(
        &mut self,
        connection: usize,
        args: &Args,
        subject: &Reply,
        oracle: &Reply,
    ) -> Result<(), String> {
        if *subject == Reply::Simple(b"QUEUED".to_vec()) && subject == oracle {
            self.queued[connection].push(args.clone());
            return Ok(());
        }
        let name = args
            .first()
            .map(|name| name.to_ascii_uppercase())
            .unwrap_or_default();
        let queue = match name.as_slice() {
            b"EXEC" | b"DISCARD" | b"RESET" if args.len() == 1 => {
                std::mem::take(&mut self.queued[connection])
            }
            _ => Vec::new(),
        };
        if let (Reply::Array(left), Reply::Array(right)) = (subject, oracle)
            && name == b"EXEC"
            && left.len() == right.len()
            && left.len() == queue.len()
        {
            for ((args, left), right) in queue.iter().zip(left).zip(right) {
                self.judge(args, left, right).map_err(|()| {
                    format!(
                        "within EXEC: {}\n  subject {left:?}\n  oracle  {right:?}",
                        join_short(args)
                    )
                })?;
            }
            return Ok(());
        }
        self.judge(args, subject, oracle).map_err(|()| String::new())
    }

    fn judge(&mut self, args: &[Vec<u8>], subject: &Reply, oracle: &Reply) -> Result<(), ()> {
        match compare(args, subject, oracle) {
            None => Err(()),
            Some(Same::Yes) => Ok(()),
            Some(Same::Explained(reason)) => {
                self.tally.usage.add(reason);
                Ok(())
            }
        }
    }

    fn scan(&mut self, connection: usize, before: &Args, after: &Args) -> Result<Result<(), Difference>> {
        let mut args = before.clone();
        args.push(b"0".to_vec());
        args.extend(after.iter().cloned());
        self.remember(connection, &args);
        self.commands += 1;
        let subject = scan_all(&mut self.subject.clients[connection], before, after)?;
        let oracle = scan_all(&mut self.oracle.clients[connection], before, after)?;
        self.tally.count(&args, &Reply::Null);
        if subject == oracle {
            return Ok(Ok(()));
        }
        let show = |outcome: &Scanned| match outcome {
            Scanned::Elements(elements) => Reply::Array(elements.iter().cloned().map(Reply::Bulk).collect()),
            Scanned::Refused(reply) => reply.clone(),
            Scanned::Endless => Reply::Error(b"(the scan does not end)".to_vec()),
        };
        let detail = "elements of the whole scan, sorted";
        Ok(Err(self.difference(
            connection,
            &args,
            &show(&subject),
            &[show(&oracle)],
            detail,
        )))
    }

    fn remember(&mut self, connection: usize, args: &Args) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back((connection, args.clone()));
    }

    fn difference(
        &self,
        connection: usize,
        args: &Args,
        subject: &Reply,
        oracle: &[Reply],
        detail: &str,
    ) -> Difference {
        let name = args
            .first()
            .map(|name| String::from_utf8_lossy(name).to_ascii_uppercase())
            .unwrap_or_default();
        // These are no commands, and each is only one of many.
        let name = if name.starts_with('~') {
            "~".to_owned()
        } else {
            name
        };
        let oracle_text = oracle
            .iter()
            .map(|reply| format!("{reply:?}"))
            .collect::<Vec<_>>()
            .join(" | ");
        let keys: Vec<Vec<u8>> = args
            .iter()
            .skip(1)
            .filter(|arg| arg.contains(&b':'))
            .cloned()
            .collect();
        let parting = oracle
            .first()
            .and_then(|oracle| first_difference(subject, oracle))
            .unwrap_or_default();
        let text = format!(
            "connection {connection}: {}\n  subject {subject:?}\n  oracle  {oracle_text}\n  {parting}\n  {detail}\n{}",
            join_short(args),
            self.history_of(&keys)
        );
        let inner = if detail.starts_with("within EXEC: ") {
            detail
                .split_whitespace()
                .nth(2)
                .unwrap_or_default()
                .to_ascii_uppercase()
        } else {
            String::new()
        };
        let kind = format!(
            "{name} {inner} {} / {}",
            shape(&name, subject),
            oracle
                .first()
                .map(|reply| shape(&name, reply))
                .unwrap_or_default()
        );
        Difference { kind, text }
    }

    /// The last commands that name one of `keys`; the last of all when there are none.
    fn history_of(&self, keys: &[Vec<u8>]) -> String {
        let keys: BTreeSet<_> = keys.iter().collect();
        let wide = [&b"FLUSHALL"[..], b"FLUSHDB", b"SWAPDB", b"SELECT"];
        let touches = |args: &Args| {
            keys.is_empty()
                || args.iter().skip(1).any(|arg| keys.contains(arg))
                || args
                    .first()
                    .is_some_and(|name| wide.contains(&name.to_ascii_uppercase().as_slice()))
        };
        let mut lines: Vec<String> = self
            .history
            .iter()
            .rev()
            .filter(|(_, args)| touches(args))
            .take(HISTORY_SHOWN)
            .map(|(connection, args)| format!("    {connection}> {}", join_short(args)))
            .collect();
        lines.reverse();
        format!(
            "  the last commands on its keys, this one included:\n{}",
            lines.join("\n")
        )
    }
}

/// Where two collections part, so that nobody has to compare long lines by eye.
fn first_difference(subject: &Reply, oracle: &Reply) -> Option<String> {
    let (left, right) = (subject.elements()?, oracle.elements()?);
    if left.len() != right.len() {
        return Some(format!("{} elements / {}", left.len(), right.len()));
    }
    let index = left.iter().zip(&right).position(|(left, right)| left != right)?;
    let around = index.saturating_sub(1)..(index + 2).min(left.len());
    Some(format!(
        "they part at element {index}: {:?} / {:?}",
        &left[around.clone()],
        &right[around]
    ))
}

/// A word or two that say what kind of reply it is: differences of one kind share them.
fn shape(name: &str, reply: &Reply) -> String {
    const ERROR_BYTES: usize = 28;
    let text = format!("{reply:?}");
    let length = if reply.is_error() || name == "OBJECT" {
        ERROR_BYTES
    } else {
        1
    };
    text.chars().take(length).collect()
}

#[derive(PartialEq)]
enum Scanned {
    Elements(BTreeSet<Vec<u8>>),
    Refused(Reply),
    Endless,
}

/// Follows the cursor to the end. Fields and values, members and scores are joined, so that pairs are compared.
fn scan_all(client: &mut Client, before: &Args, after: &Args) -> Result<Scanned> {
    let paired = matches!(before[0].to_ascii_uppercase().as_slice(), b"HSCAN" | b"ZSCAN");
    let mut cursor = b"0".to_vec();
    let mut found = BTreeSet::new();
    for _ in 0..SCAN_PAGES {
        let mut args = before.clone();
        args.push(cursor);
        args.extend(after.iter().cloned());
        let reply = client.call(&args)?;
        let Some(page) = reply.elements() else {
            return Ok(Scanned::Refused(reply));
        };
        let [next, elements] = page[..] else {
            return Ok(Scanned::Refused(reply.clone()));
        };
        let bytes: Vec<Vec<u8>> = elements
            .elements()
            .unwrap_or_default()
            .into_iter()
            .map(|element| {
                element
                    .bytes()
                    .map_or_else(|| format!("{element:?}").into_bytes(), <[u8]>::to_vec)
            })
            .collect();
        found.extend(
            bytes
                .chunks(if paired { 2 } else { 1 })
                .map(|group| group.join(&b" => "[..])),
        );
        cursor = next.bytes().context("a cursor is a string")?.to_vec();
        if cursor == b"0" {
            return Ok(Scanned::Elements(found));
        }
    }
    Ok(Scanned::Endless)
}

/// Asks one side's control connection.
pub(super) fn ask(side: &mut Side<'_>, line: &[&str]) -> Result<Reply> {
    side.control.call(&cmd_words(line)).with_context(|| side.log())
}

/// Asks one side's control connection many things at once.
pub(super) fn ask_all(side: &mut Side<'_>, commands: &[Args]) -> Result<Vec<Reply>> {
    let mut replies = Vec::with_capacity(commands.len());
    for chunk in commands.chunks(BATCH_COMMANDS) {
        replies.extend(side.control.pipeline(chunk).with_context(|| side.log())?);
    }
    Ok(replies)
}

fn cmd_words(words: &[&str]) -> Args {
    words
        .iter()
        .skip(1)
        .fold(cmd(words[0]), |command, word| command.arg(*word))
        .0
}
