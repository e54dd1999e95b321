//! The campaign of [`holdfast_tests::sentinel`]: `cargo run --release -p holdfast-tests --bin sentinel -- --failovers 10`.

use clap::Parser;
use holdfast_tests::sentinel::campaign;
use holdfast_tests::server::Role;

/// Real sentinels fail a primary over, again and again, under writes.
#[derive(Parser)]
struct Options {
    /// How often the primary fails, in turn by SIGKILL and by SIGSTOP.
    #[arg(long, default_value_t = 10)]
    failovers: usize,
    /// Use redis-server in place of Holdfast, to compare.
    #[arg(long)]
    redis: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let role = if options.redis {
        Role::Oracle
    } else {
        Role::Subject
    };
    let report = campaign(role, options.failovers)?;
    for (n, (failure, outage)) in report.outages.iter().enumerate() {
        println!(
            "failover {:>2}  {failure:?}  writes go on after {:.2} s",
            n + 1,
            outage.as_secs_f64()
        );
    }
    println!(
        "acknowledged with WAIT 1: {}, lost: {}",
        report.acked,
        report.lost.len()
    );
    anyhow::ensure!(report.lost.is_empty(), "lost: {:?}", report.lost);
    Ok(())
}
