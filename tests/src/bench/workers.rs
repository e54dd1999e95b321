//! One worker against two, on all cores.
//!
//! The load generator needs cores too: on a small machine only commands that cost the server much more than the
//! generator show what a second worker is worth.

use anyhow::Result;

use super::load::{self, Shape};
use super::rows::{Ground, KEYS, prepare};
use super::{Effort, Spread, start};
use crate::server::Role;

/// A command whose throughput is measured with one and with two workers.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    command: &'static [&'static str],
    commands: u64,
    pipeline: u64,
    keys: u64,
    ground: Ground,
}

/// What one and two workers serve.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The row.
    pub row: Row,
    /// Thousand commands per second with one worker.
    pub one: Spread,
    /// Thousand commands per second with two.
    pub two: Spread,
}

const VALUE: &str = super::rows::VALUE;

/// Every row.
pub const ROWS: &[Row] = &[
    Row {
        name: "GET, pipeline 16",
        command: &["GET", "key:__rand_int__"],
        commands: 2_000_000,
        pipeline: 16,
        keys: KEYS,
        ground: Ground::Strings,
    },
    Row {
        name: "SET, pipeline 16",
        command: &["SET", "key:__rand_int__", VALUE],
        commands: 2_000_000,
        pipeline: 16,
        keys: KEYS,
        ground: Ground::Strings,
    },
    Row {
        name: "SET, no pipeline",
        command: &["SET", "key:__rand_int__", VALUE],
        commands: 200_000,
        pipeline: 1,
        keys: KEYS,
        ground: Ground::Strings,
    },
    Row {
        name: "BITCOUNT of 4 KB, pipeline 16",
        command: &["BITCOUNT", "key:__rand_int__"],
        commands: 1_000_000,
        pipeline: 16,
        keys: KEYS / 10,
        ground: Ground::BigStrings,
    },
    Row {
        name: "LCS of two strings of 64 bytes, pipeline 16",
        command: &["LCS", "key:__rand_int__", "key:__rand_int__", "LEN"],
        commands: 200_000,
        pipeline: 16,
        keys: KEYS,
        ground: Ground::Strings,
    },
];

/// Measures one row.
///
/// # Errors
/// A server or a load generator that fails.
pub fn measure(row: &Row, rounds: usize, effort: Effort) -> Result<Measured> {
    let one = start(Role::Subject, None, 1)?;
    let two = start(Role::Subject, None, 2)?;
    let mut rates = [Vec::new(), Vec::new()];
    for server in [&one, &two] {
        prepare(&mut server.connect()?, row.ground, 0)?;
    }
    for _ in 0..rounds {
        for (server, rates) in [&one, &two].into_iter().zip(&mut rates) {
            let shape = Shape {
                command: row.command,
                commands: effort.scale(row.commands),
                pipeline: row.pipeline,
                keys: row.keys,
                clients: 50,
                core: None,
            };
            rates.push(load::run(server, &shape)?.per_second / 1000.0);
        }
    }
    let [one, two] = rates.map(Spread::of);
    Ok(Measured { row: *row, one, two })
}
