//! Replays one seed of the differential test, or looks for as many differences as it can find.
//!
//! `cargo run -p holdfast-tests --bin differential -- --seed 7 --commands 100000 --families strings,lists`

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use holdfast_tests::differential::families::Family;
use holdfast_tests::differential::{Config, run};

/// Sends a random stream of commands to the server under test and to redis-server, and compares every reply.
#[derive(Parser)]
struct Arguments {
    /// The stream's seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many commands to compare.
    #[arg(long, default_value_t = 100_000)]
    commands: u64,
    /// The families to draw from, separated by commas; all when left out.
    #[arg(long, value_delimiter = ',')]
    families: Vec<Family>,
    /// Compare the state (digest, encodings, times to live) after this many commands.
    #[arg(long, default_value_t = 5000)]
    state_every: u64,
    /// Seconds to spend on shortening the commands that lead to a difference; 0 turns it off.
    #[arg(long, default_value_t = 30)]
    minimise: u64,
    /// Go on after a difference until this many kinds are found.
    #[arg(long, default_value_t = 1)]
    differences: usize,
    /// Print how often each command was compared and how many replies were errors.
    #[arg(long)]
    coverage: bool,
    /// Leave out commands that the server does not have yet.
    #[arg(long)]
    known_only: bool,
    /// Workers of the server under test.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let config = Config {
        seed: arguments.seed,
        commands: arguments.commands,
        families: arguments.families,
        state_every: arguments.state_every,
        minimise: Duration::from_secs(arguments.minimise),
        differences: arguments.differences,
        threads: arguments.threads,
        known_only: arguments.known_only,
        planted: None,
    };
    let report = run(&config)?;
    println!(
        "seed {}: {} commands compared; explained differences:",
        config.seed, report.commands
    );
    println!("{}", report.explained);
    if arguments.coverage {
        for (name, (total, errors)) in &report.coverage {
            println!("{name:>22} {total:>8} {errors:>8} errors");
        }
    }
    for (kind, (text, count)) in &report.differences {
        println!("\n=== {kind} ({count} times)\n{text}");
    }
    println!("\n{} kinds of unexplained differences", report.differences.len());
    Ok(if report.differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
