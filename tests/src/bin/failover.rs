//! The campaign of [`holdfast_tests::failover`], beside redis-server doing the same:
//! `cargo run --release -p holdfast-tests --bin failover -- --failovers 20`.

use clap::Parser;
use holdfast_tests::failover::{Plan, Report, campaign, median_and_worst};
use holdfast_tests::server::Role;

/// Two servers swap their roles by FAILOVER, again and again, under writes.
#[derive(Parser)]
struct Options {
    /// How often, for each of the two kinds of servers.
    #[arg(long, default_value_t = 20)]
    failovers: usize,
    /// Clients that write, each one write at a time.
    #[arg(long, default_value_t = 8)]
    writers: usize,
    /// Keys that are there before.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    /// Blocks into which the failovers are divided; the two kinds take turns.
    #[arg(long, default_value_t = 4)]
    blocks: usize,
    /// Without redis-server.
    #[arg(long)]
    alone: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut sides = vec![("holdfast", Role::Subject, Report::default())];
    if !options.alone {
        sides.push(("redis", Role::Oracle, Report::default()));
    }
    let blocks = options.blocks.clamp(1, options.failovers.max(1));
    for block in 0..blocks {
        for (_, role, report) in &mut sides {
            let begun = options.failovers * block / blocks;
            report.add(campaign(Plan {
                role: *role,
                failovers: options.failovers * (block + 1) / blocks - begun,
                writers: options.writers,
                keys: options.keys,
            })?);
        }
    }
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    for (name, _, report) in &sides {
        let (median, worst) = median_and_worst(&report.pauses);
        let (took, took_worst) = median_and_worst(&report.took);
        println!(
            "{name:9} failovers {}  pause of a client ms: median {:.1} worst {:.1}  until the target is primary ms: median {:.1} worst {:.1}",
            report.took.len(),
            ms(median),
            ms(worst),
            ms(took),
            ms(took_worst),
        );
        println!(
            "{name:9} acknowledged {} ({:.0}/s)  lost {}  full synchronizations {} in {blocks} pairs",
            report.acked,
            report.acked as f64 / report.time.as_secs_f64(),
            report.lost.len(),
            report.full_syncs,
        );
    }
    let lost = &sides[0].2.lost;
    anyhow::ensure!(lost.is_empty(), "lost: {lost:?}");
    Ok(())
}
