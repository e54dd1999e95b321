//! Random command streams to subject and oracle, every reply compared.
//!
//! [`stream`] makes the commands of a seed from [`pool`] and [`families`]; [`driver`] sends them in batches to both
//! servers and compares by the rules of [`replies`], [`chance`] and `state`; [`explained`] lists the differences that
//! are meant; [`minimise`] shortens what shows another.

pub mod chance;
pub mod driver;
pub mod explained;
pub mod families;
pub mod minimise;
pub mod pool;
pub mod replies;
mod state;
pub mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::server::{Options, Role, Server};
use crate::words::join_short;
use driver::{Difference, Driver, Tally};
use families::Family;
use stream::{Stream, Unit};

/// One run.
#[derive(Debug, Clone)]
pub struct Config {
    /// The stream's seed.
    pub seed: u64,
    /// How many commands to compare.
    pub commands: u64,
    /// The families to draw from; empty means all.
    pub families: Vec<Family>,
    /// The state is compared after this many commands, and at the end.
    pub state_every: u64,
    /// How long to spend on shortening the commands that lead to a difference.
    pub minimise: Duration,
    /// How many kinds of differences to collect before stopping.
    pub differences: usize,
    /// The subject's workers.
    pub threads: usize,
    /// Leave out commands that the subject does not have yet. For work on a half-finished server.
    pub known_only: bool,
    /// Another subject than the server under test, with directives of its own: this is how the test is tested.
    pub planted: Option<(String, String)>,
}

impl Config {
    /// All families, stopping at the first difference.
    pub fn new(seed: u64, commands: u64) -> Config {
        Config {
            seed,
            commands,
            families: Vec::new(),
            state_every: 5000,
            minimise: Duration::from_secs(60),
            differences: 1,
            threads: 2,
            known_only: false,
            planted: None,
        }
    }
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    /// Commands compared.
    pub commands: u64,
    /// The explained differences, counted, as text.
    pub explained: String,
    /// For each command: how often it was compared, and how many of the replies were errors.
    pub coverage: BTreeMap<String, (u64, u64)>,
    /// Each kind of difference: its text with the commands that lead to it, and how often it came up.
    pub differences: BTreeMap<String, (String, u64)>,
}

/// Runs the stream of a seed against both servers.
///
/// After a difference both servers are emptied and the stream goes on, until enough kinds are found.
///
/// # Errors
/// A server that cannot be started or breaks off.
pub fn run(config: &Config) -> Result<Report> {
    // Redis looks for expired timeouts of blocked clients `hz` times a second only.
    let options = Options::new().threads(config.threads).directive("hz", "500");
    let oracle = Server::start(Role::Oracle, &options)?;
    let subject = match &config.planted {
        None => Server::start(Role::Subject, &options)?,
        Some((name, value)) => Server::start(Role::Oracle, &options.directive(name, value))?,
    };
    let missing = if config.known_only {
        missing_commands(&subject, &oracle)?
    } else {
        BTreeSet::new()
    };
    let stream = Stream::new(config.seed, &config.families);
    let mut stream = stream.filter(|unit| !unit.names().iter().any(|name| missing.contains(name)));
    let mut report = Report::default();
    let mut tally = Tally::default();
    while report.commands < config.commands && report.differences.len() < config.differences {
        let mut units = Vec::new();
        let (difference, commands) = run_until_difference(
            config,
            &mut stream,
            &mut units,
            report.commands,
            &mut tally,
            &subject,
            &oracle,
        )?;
        report.commands += commands;
        let Some(difference) = difference else { break };
        if let Some((_, count)) = report.differences.get_mut(&difference.kind) {
            *count += 1;
            continue;
        }
        let text = explain(config, units, &difference, &subject, &oracle)?;
        report.differences.insert(difference.kind, (text, 1));
    }
    report.explained = tally.usage.to_text();
    report.coverage = tally.coverage;
    Ok(report)
}

/// Commands, in capitals, that the oracle has and the subject has not.
fn missing_commands(subject: &Server, oracle: &Server) -> Result<BTreeSet<String>> {
    let list = |server: &Server| -> Result<BTreeSet<String>> {
        let reply = server.connect()?.command("COMMAND LIST")?;
        let names = reply
            .elements()
            .with_context(|| format!("COMMAND LIST: {reply:?}"))?;
        Ok(names
            .iter()
            .filter_map(|name| name.text())
            .map(str::to_ascii_uppercase)
            .collect())
    };
    Ok(list(oracle)?.difference(&list(subject)?).cloned().collect())
}

fn run_until_difference(
    config: &Config,
    stream: &mut dyn Iterator<Item = Unit>,
    units: &mut Vec<Unit>,
    before: u64,
    tally: &mut Tally,
    subject: &Server,
    oracle: &Server,
) -> Result<(Option<Difference>, u64)> {
    let mut driver = Driver::new(subject, oracle)?;
    std::mem::swap(&mut driver.tally, tally);
    let mut next_state = config.state_every;
    let mut found = None;
    while before + driver.commands < config.commands && found.is_none() {
        if driver.commands >= next_state {
            next_state += config.state_every;
            found = driver.compare_state()?.err();
            continue;
        }
        let Some(unit) = stream.next() else { break };
        units.push(unit);
        found = units.last().map_or(Ok(Ok(())), |unit| driver.take(unit))?.err();
    }
    if found.is_none() {
        found = driver.compare_state()?.err();
    }
    std::mem::swap(&mut driver.tally, tally);
    Ok((found, driver.commands.max(1)))
}

fn explain(
    config: &Config,
    units: Vec<Unit>,
    difference: &Difference,
    subject: &Server,
    oracle: &Server,
) -> Result<String> {
    if config.minimise.is_zero() {
        return Ok(difference.text.clone());
    }
    let units = minimise::minimise(units, &difference.kind, config.minimise, subject, oracle)?;
    let lines: Vec<String> = units
        .iter()
        .flat_map(|unit| match unit {
            Unit::Commands(commands) => commands
                .iter()
                .map(|(connection, args)| format!("    {connection}> {}", join_short(args)))
                .collect(),
            Unit::Scan {
                connection,
                before,
                after,
            } => {
                vec![format!(
                    "    {connection}> {} (the whole scan) {}",
                    join_short(before),
                    join_short(after)
                )]
            }
        })
        .collect();
    let shown = if lines.len() <= 60 {
        format!(
            "  the fewest commands found that lead to it:\n{}",
            lines.join("\n")
        )
    } else {
        format!(
            "  it takes {} commands at least, as far as was tried",
            lines.len()
        )
    };
    let again = minimise::replay(&units, subject, oracle)?
        .map_or_else(|| difference.text.clone(), |found| found.text);
    Ok(format!("{again}\n{shown}"))
}
