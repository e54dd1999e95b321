//! The long form of [`holdfast_tests::slots::torture`]: `cargo run -p holdfast-tests --bin slots -- --rounds 100 --seed 7`.

use clap::Parser;
use holdfast_tests::slots::torture;

/// Slots migrate under load while either side is killed.
#[derive(Parser)]
struct Options {
    /// How often.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Where the random numbers begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let report = torture::run(options.rounds, options.seed)?;
    for (n, (victim, end)) in report.rounds.iter().enumerate() {
        println!("round {:>3}  killed: {victim:?}  ended: {end}", n + 1);
    }
    println!("{:?}", report.seen);
    Ok(())
}
