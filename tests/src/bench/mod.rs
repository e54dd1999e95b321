//! The benchmark: the server under test beside `redis-server`, on one machine, in one run.
//!
//! An absolute figure of one machine says little; the ratio of two servers measured in turns on the same core holds.
//! [`rows`] says what is measured, [`cpu`] measures CPU per command, [`memory`] the resident set per item, [`workers`]
//! one worker against two, [`persistence`] saving and loading, [`encryption`] what keys cost, [`aof`] the append-only file,
//! [`replication`] a primary with replicas, [`migration`] slots that change their node, and [`report`] writes the tables.

pub mod aof;
pub mod cpu;
pub mod encryption;
pub mod load;
pub mod memory;
pub mod migration;
pub mod persistence;
pub mod replication;
pub mod report;
pub mod rows;
pub mod workers;

use crate::server::{Options, Role, Server};
use anyhow::Result;

/// How much to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// What docs/benchmarks.md is written from.
    Full,
    /// A tenth of the commands and items, one round: for a look while working.
    Quick,
    /// A hundredth or less: only shows that everything runs.
    Smoke,
}

impl Effort {
    /// Scales a number of commands or items.
    pub fn scale(self, full: u64) -> u64 {
        match self {
            Effort::Full => full,
            Effort::Quick => (full / 10).max(1000),
            Effort::Smoke => (full / 500).max(1000),
        }
    }
}

/// A server for measuring, with one worker unless said otherwise; pinned to `core` where one is given.
///
/// # Errors
/// As for [`Server::start`].
pub fn start(role: Role, core: Option<usize>, threads: usize) -> Result<Server> {
    let options = Options::new().threads(threads);
    let options = match core {
        None => options,
        Some(core) => {
            crate::server::tool("taskset", "apt-get install util-linux")?;
            options.wrapper(&["taskset", "-c", &core.to_string()])
        }
    };
    Server::start(role, &options)
}

/// The middle value, and the least and the greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl Spread {
    /// Of the given values; zeros where there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let median = (at(values.len().saturating_sub(1) / 2) + at(values.len() / 2)) / 2.0;
        Spread {
            median,
            low: at(0),
            high: at(values.len().saturating_sub(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(
            Spread::of([3.0, 1.0, 2.0]),
            Spread {
                median: 2.0,
                low: 1.0,
                high: 3.0
            }
        );
        assert_eq!(
            Spread::of([4.0, 1.0]),
            Spread {
                median: 2.5,
                low: 1.0,
                high: 4.0
            }
        );
        assert_eq!(Spread::of([7.0]).median, 7.0);
    }
}
