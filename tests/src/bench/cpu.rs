//! CPU per command: both servers on one core, the load on another, rounds in turns.

use anyhow::{Context, Result};

use super::load::{self, Load, Shape};
use super::rows::{KEYS, Row, prepare};
use super::{Effort, Spread};
use crate::server::Server;

/// Connections that carry the load.
const CLIENTS: u64 = 50;

/// One server's figures for a row.
#[derive(Debug, Clone)]
pub struct Figures {
    /// CPU microseconds of the server per command.
    pub cpu_us: Spread,
    /// Thousand commands per second.
    pub thousand_per_second: Spread,
    /// The 99th percentile of the latency, in milliseconds.
    pub p99_ms: Spread,
}

/// A measured row.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The row.
    pub row: Row,
    /// The server under test, or why it cannot run the row.
    pub subject: Result<Figures, String>,
    /// `redis-server`.
    pub oracle: Figures,
    /// The ratio of CPU per command, ours to Redis's, round by round.
    pub ratio: Option<Spread>,
}

/// Measures one row.
///
/// # Errors
/// A server or a load generator that fails.
pub fn measure(
    row: &Row,
    subject: &Server,
    oracle: &Server,
    rounds: usize,
    effort: Effort,
    core: Option<usize>,
) -> Result<Measured> {
    let refusal = refusal(row, subject)?;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for round in 0..rounds {
        // Who goes first changes, so that a machine that warms up or slows down favours neither.
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                theirs.push(one_round(row, oracle, effort, core)?);
            } else if refusal.is_none() {
                ours.push(one_round(row, subject, effort, core)?);
            }
        }
    }
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours.0 / theirs.0);
    let ratio = if ours.is_empty() {
        None
    } else {
        Some(Spread::of(ratios))
    };
    Ok(Measured {
        row: *row,
        subject: match refusal {
            Some(text) => Err(text),
            None => Ok(figures(&ours)),
        },
        oracle: figures(&theirs),
        ratio,
    })
}

fn figures(rounds: &[(f64, Load)]) -> Figures {
    Figures {
        cpu_us: Spread::of(rounds.iter().map(|(cpu_us, _)| *cpu_us)),
        thousand_per_second: Spread::of(rounds.iter().map(|(_, load)| load.per_second / 1000.0)),
        p99_ms: Spread::of(rounds.iter().map(|(_, load)| load.p99_ms)),
    }
}

/// The error that the server gives to the row's command, if it gives one.
fn refusal(row: &Row, server: &Server) -> Result<Option<String>> {
    let mut client = server.connect()?;
    prepare(&mut client, super::rows::Ground::Empty, 0)?;
    let command: Vec<String> = row
        .command
        .iter()
        .map(|word| word.replace("__rand_int__", "000000000001"))
        .collect();
    let reply = client.call(&command)?;
    Ok(reply.is_error().then(|| format!("{reply:?}")))
}

fn one_round(row: &Row, server: &Server, effort: Effort, core: Option<usize>) -> Result<(f64, Load)> {
    let commands = effort.scale(row.commands);
    prepare(&mut server.connect()?, row.ground, commands)?;
    let shape = Shape {
        command: row.command,
        commands,
        pipeline: row.pipeline,
        keys: KEYS,
        clients: CLIENTS,
        core,
    };
    let before = cpu_ns(server.pid())?;
    let load = load::run(server, &shape)?;
    let cpu_us = (cpu_ns(server.pid())?.saturating_sub(before)) as f64 / 1000.0 / commands as f64;
    Ok((cpu_us, load))
}

/// CPU time of all of a process's threads, user and system, in nanoseconds, from the scheduler's own account.
///
/// # Errors
/// When the process is gone or the kernel keeps no such account.
pub fn cpu_ns(pid: u32) -> Result<u64> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path().join("schedstat");
        // A thread may end between listing and reading.
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let running = text.split_whitespace().next().context("an empty schedstat")?;
        total += running
            .parse::<u64>()
            .with_context(|| format!("{} holds {text:?}", path.display()))?;
    }
    Ok(total)
}
