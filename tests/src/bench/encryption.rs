//! What encryption at rest costs: two servers under test, one of which has a key, take the same writes in turns.
//!
//! Both log every write with `appendfsync everysec`. The ratio of throughput is the promise; the ratio of CPU per command
//! holds on a busy machine, too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::cpu::cpu_ns;
use super::load::{self, Shape};
use super::rows::{Ground, KEYS, prepare};
use super::{Effort, Spread};
use crate::reply::Reply;
use crate::server::{Options, Role, Server};

const KEY: &str = "bench 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
/// 100 bytes.
const VALUE: &str =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyzAB";
/// Keys that are saved and loaded, of 100 bytes each.
const SAVED: u64 = 1_000_000;

/// A load that both take.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    commands: u64,
    pipeline: u64,
}

/// Every load.
pub const ROWS: &[Row] = &[
    Row {
        name: "SET of 100 bytes, pipeline 16",
        commands: 2_000_000,
        pipeline: 16,
    },
    Row {
        name: "SET of 100 bytes, no pipeline",
        commands: 300_000,
        pipeline: 1,
    },
];

/// A figure of both servers, and of each round the ratio of encrypted to plain.
#[derive(Debug, Clone)]
pub struct Line {
    /// What was measured, with its unit.
    pub name: String,
    /// Without a key.
    pub plain: Spread,
    /// With one.
    pub encrypted: Spread,
    /// Encrypted to plain.
    pub ratio: Spread,
}

/// Measures everything.
///
/// # Errors
/// A server or a load generator that fails.
pub fn measure(rounds: usize, effort: Effort) -> Result<Vec<Line>> {
    let folder = tempfile::tempdir()?;
    let (plain, encrypted) = (start(&folder, false)?, start(&folder, true)?);
    let mut lines = Vec::new();
    for row in ROWS {
        let one = |server: &Server| -> Result<[f64; 2]> {
            prepare(&mut server.connect()?, Ground::Empty, 0)?;
            let commands = effort.scale(row.commands);
            let shape = Shape {
                command: &["SET", "key:__rand_int__", VALUE],
                commands,
                pipeline: row.pipeline,
                keys: KEYS,
                clients: 50,
                core: None,
            };
            let before = cpu_ns(server.pid())?;
            let load = load::run(server, &shape)?;
            let cpu_us = cpu_ns(server.pid())?.saturating_sub(before) as f64 / 1000.0 / commands as f64;
            Ok([load.per_second / 1000.0, cpu_us])
        };
        let names = [format!("{}, 1000/s", row.name), format!("{}, CPU us", row.name)];
        lines.extend(in_turns(rounds, names, [&plain, &encrypted], one)?);
    }
    for server in [&plain, &encrypted] {
        let mut client = server.connect()?;
        let populate = format!("DEBUG POPULATE {} key 100", effort.scale(SAVED));
        ensure!(!client.command("FLUSHALL")?.is_error() && !client.command(&populate)?.is_error());
    }
    let save_and_load = |server: &Server| -> Result<[f64; 2]> {
        let mut client = server.connect()?;
        let mut seconds = [0.0; 2];
        for (command, seconds) in ["SAVE", "DEBUG RELOAD NOSAVE"].iter().zip(&mut seconds) {
            let began = Instant::now();
            ensure!(client.command(command)? == Reply::ok(), "{command}");
            *seconds = began.elapsed().as_secs_f64();
        }
        Ok(seconds)
    };
    let names = ["SAVE, s", "loading what was saved, s"].map(str::to_owned);
    lines.extend(in_turns(rounds, names, [&plain, &encrypted], save_and_load)?);
    Ok(lines)
}

fn start(folder: &TempDir, encrypted: bool) -> Result<Server> {
    let options = Options::new()
        .directive("appendonly", "yes")
        .directive("appendfsync", "everysec");
    if !encrypted {
        return Server::start(Role::Subject, &options);
    }
    let keys = folder.path().join("keys");
    fs::write(&keys, KEY)?;
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600))?;
    let options = options.directive("encryption-key-file", &keys.to_string_lossy());
    Server::start(Role::Subject, &options)
}

/// Takes two figures of each server in each round; who goes first changes.
fn in_turns(
    rounds: usize,
    names: [String; 2],
    servers: [&Server; 2],
    one: impl Fn(&Server) -> Result<[f64; 2]>,
) -> Result<Vec<Line>> {
    let mut rounds_of = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            rounds_of[which].push(one(servers[which])?);
        }
    }
    let [plain, encrypted] = rounds_of;
    let line = |(figure, name): (usize, String)| {
        let of = |rounds: &[[f64; 2]]| Spread::of(rounds.iter().map(|round| round[figure]));
        let ratios = plain.iter().zip(&encrypted).map(|(p, e)| e[figure] / p[figure]);
        Line {
            name,
            plain: of(&plain),
            encrypted: of(&encrypted),
            ratio: Spread::of(ratios),
        }
    };
    Ok(names.into_iter().enumerate().map(line).collect())
}

/// The table as Markdown.
pub fn table(lines: &[Line], rounds: usize) -> String {
    let mut text = format!(
        "\n## Encryption at rest\n\nHoldfast with `encryption-key-file` beside Holdfast without; both with `appendonly yes` and \
         `appendfsync everysec`,\n`redis-benchmark` with 50 clients on the same cores, {rounds} rounds in turns. Throughput is to fall by \
         10 % at most.\n\n| | plain | encrypted | encrypted / plain |\n|---|---|---|---|\n"
    );
    let range = |s: Spread| format!("{:.2} ({:.2}-{:.2})", s.median, s.low, s.high);
    for line in lines {
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            line.name,
            range(line.plain),
            range(line.encrypted),
            range(line.ratio)
        ));
    }
    text
}
