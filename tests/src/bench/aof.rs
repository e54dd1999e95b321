//! The append-only file beside Redis's: how many writes of 50 clients are acknowledged in a second under each policy, and
//! what that is of the same server's throughput without the file.
//!
//! Both servers write to the same disk, in turns. With `always` the figure is how many clients share a sync.

use anyhow::{Result, ensure};

use super::load::{self, Shape};
use super::rows::{Ground, KEYS, prepare};
use super::{Effort, Spread};
use crate::client::Client;
use crate::server::{Options, Role, Server};

/// 100 bytes.
const VALUE: &str =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyzAB";
/// Clients that write.
const CLIENTS: u64 = 50;

/// A load that both take.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// `appendfsync`; None: `appendonly no`.
    policy: Option<&'static str>,
    commands: u64,
    pipeline: u64,
}

const ROWS: &[Row] = &[
    Row {
        policy: Some("always"),
        commands: 300_000,
        pipeline: 1,
    },
    Row {
        policy: Some("always"),
        commands: 2_000_000,
        pipeline: 16,
    },
    Row {
        policy: Some("everysec"),
        commands: 300_000,
        pipeline: 1,
    },
    Row {
        policy: Some("everysec"),
        commands: 2_000_000,
        pipeline: 16,
    },
    Row {
        policy: None,
        commands: 300_000,
        pipeline: 1,
    },
    Row {
        policy: None,
        commands: 2_000_000,
        pipeline: 16,
    },
];

/// One load's figures.
#[derive(Debug, Clone)]
pub struct Line {
    /// What was measured.
    pub name: String,
    /// Thousand SETs per second of the server under test.
    pub subject: Spread,
    /// Of `redis-server`.
    pub oracle: Spread,
    /// Of each round, the first to the second.
    pub ratio: Spread,
}

/// Measures every row.
///
/// # Errors
/// A server or a load generator that fails.
pub fn measure(rounds: usize, effort: Effort) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for row in ROWS {
        let mut figures = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            for turn in 0..2 {
                let which = (round + turn) % 2;
                let role = [Role::Subject, Role::Oracle][which];
                figures[which].push(once(role, row, effort)?);
            }
        }
        let [subject, oracle] = figures;
        let ratios = subject.iter().zip(&oracle).map(|(s, o)| s / o);
        lines.push(Line {
            name: name(row),
            ratio: Spread::of(ratios),
            subject: Spread::of(subject.iter().copied()),
            oracle: Spread::of(oracle.iter().copied()),
        });
    }
    Ok(lines)
}

fn name(row: &Row) -> String {
    let policy = match row.policy {
        Some(policy) => format!("`appendfsync {policy}`"),
        None => "`appendonly no`".to_owned(),
    };
    match row.pipeline {
        1 => format!("{policy}, no pipeline"),
        n => format!("{policy}, pipeline {n}"),
    }
}

/// A fresh server, so that no earlier file is rewritten meanwhile.
fn once(role: Role, row: &Row, effort: Effort) -> Result<f64> {
    let options = Options::new()
        .directive("save", "")
        .directive("auto-aof-rewrite-percentage", "0");
    let options = match row.policy {
        Some(policy) => options
            .directive("appendonly", "yes")
            .directive("appendfsync", policy),
        None => options,
    };
    let server = Server::start(role, &options)?;
    let mut client: Client = server.connect()?;
    prepare(&mut client, Ground::Empty, 0)?;
    let shape = Shape {
        command: &["SET", "key:__rand_int__", VALUE],
        commands: effort.scale(row.commands),
        pipeline: row.pipeline,
        keys: KEYS,
        clients: CLIENTS,
        core: None,
    };
    let load = load::run(&server, &shape)?;
    let reply = client.command("INFO persistence")?;
    let wanted = format!("aof_enabled:{}", u8::from(row.policy.is_some()));
    ensure!(
        reply
            .text()
            .is_some_and(|text| text.contains(&wanted) && text.contains("aof_last_write_status:ok")),
        "the file is not written as it is meant to be"
    );
    Ok(load.per_second / 1000.0)
}

/// The table as Markdown.
pub fn table(lines: &[Line], rounds: usize) -> String {
    let mut text = format!(
        "\n## Append-only file\n\nThousand SETs of 100 bytes per second, `redis-benchmark` with {CLIENTS} clients on the same cores and disk, \
         {rounds} rounds in turns.\n\n| | Holdfast | Redis 7.0 | Holdfast / Redis |\n|---|---|---|---|\n"
    );
    let range = |s: Spread| format!("{:.2} ({:.2}-{:.2})", s.median, s.low, s.high);
    for line in lines {
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            line.name,
            range(line.subject),
            range(line.oracle),
            range(line.ratio)
        ));
    }
    text
}
