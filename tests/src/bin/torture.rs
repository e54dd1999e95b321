//! The long form of the campaign of kills; `tests/tests/torture.rs` is the short one.
//!
//! `cargo run -p holdfast-tests --bin torture -- --rounds 200 --policy always [--encrypted] [--convert] [--oracle]`

use std::time::Duration;

use clap::Parser;
use holdfast_tests::server::Role;
use holdfast_tests::torture::{Config, Policy, run};

/// Kills a server under load, again and again, and looks for what is missing or there by half.
#[derive(Parser)]
struct Arguments {
    /// Which steps are done, and when servers are killed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of kills.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Clients that write.
    #[arg(long, default_value_t = 6)]
    writers: usize,
    /// How data are kept.
    #[arg(long, value_enum, default_value_t = Policy::Always)]
    policy: Policy,
    /// With encrypted files.
    #[arg(long)]
    encrypted: bool,
    /// Turn the append-only file off before each round, and on under load.
    #[arg(long)]
    convert: bool,
    /// How long a round lasts, at most, in milliseconds.
    #[arg(long, default_value_t = 1500)]
    longest_ms: u64,
    /// Kill redis-server instead: how the campaign is tested itself.
    #[arg(long)]
    oracle: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = Config {
        seed: arguments.seed,
        rounds: arguments.rounds,
        writers: arguments.writers,
        policy: arguments.policy,
        encrypted: arguments.encrypted,
        convert: arguments.convert,
        longest: Duration::from_millis(arguments.longest_ms),
        role: if arguments.oracle {
            Role::Oracle
        } else {
            Role::Subject
        },
    };
    let report = run(&config, |round, report| {
        if round % 10 == 0 {
            println!("{round} rounds: {report:?}");
        }
    })?;
    println!("{report:#?}");
    Ok(())
}
