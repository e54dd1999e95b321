//! The campaign of [`holdfast_tests::resync`], in all directions between Holdfast and redis-server:
//! `cargo run --release -p holdfast-tests --bin resync -- --keys 2000000`.

use clap::Parser;
use holdfast_tests::failover::median_and_worst;
use holdfast_tests::resync::{Plan, run};
use holdfast_tests::server::Role;

/// A replica's connection is ended again and again under load.
#[derive(Parser)]
struct Options {
    /// Keys of the data set, of all types.
    #[arg(long, default_value_t = 2_000_000)]
    keys: u64,
    /// How often the connection is ended.
    #[arg(long, default_value_t = 20)]
    disconnects: u64,
    /// Clients that write, in pipelines.
    #[arg(long, default_value_t = 2)]
    writers: u64,
    /// The part of the rate that the clients reach without a replica at which they write.
    #[arg(long, default_value_t = 0.55)]
    share: f64,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let (ours, theirs) = (Role::Subject, Role::Oracle);
    for (name, of, at) in [
        ("redis behind holdfast", ours, theirs),
        ("holdfast behind redis", theirs, ours),
        ("holdfast behind holdfast", ours, ours),
        ("redis behind redis", theirs, theirs),
    ] {
        eprintln!(
            "{name}: {} keys are written, then the replica is attached",
            options.keys
        );
        let report = run(Plan {
            of,
            at,
            keys: options.keys,
            disconnects: options.disconnects,
            writers: options.writers,
            share: options.share,
        })?;
        let (lag, worst) = median_and_worst(&report.lags);
        println!(
            "{name:25} disconnects {}  partial {}  full {}  digests equal  first synchronization {:.1} s  writes {} ({:.0}/s of {:.0}/s without replica)  lag ms: median {:.1} worst {:.1}",
            options.disconnects,
            report.partial,
            report.full,
            report.first_sync.as_secs_f64(),
            report.writes,
            report.writes as f64 / report.time.as_secs_f64(),
            report.most,
            lag.as_secs_f64() * 1000.0,
            worst.as_secs_f64() * 1000.0,
        );
        anyhow::ensure!(report.full == 1, "{} full synchronizations", report.full);
    }
    Ok(())
}
