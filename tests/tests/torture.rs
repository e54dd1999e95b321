//! A few rounds of the campaign of kills; `cargo run -p holdfast-tests --bin torture` is the long form.

use std::time::Duration;

use anyhow::{Result, ensure};
use holdfast_tests::torture::{Config, Policy, run};

fn campaign(config: &Config) -> Result<()> {
    let report = run(config, |_, _| {})?;
    println!("{report:#?}");
    ensure!(report.acknowledged > 0, "nothing was written: {report:?}");
    Ok(())
}

#[test]
fn snapshots_are_of_one_moment() -> Result<()> {
    campaign(&Config::short(1, Policy::Snapshots))
}

#[test]
fn always_loses_nothing() -> Result<()> {
    let report = run(&Config::short(2, Policy::Always), |_, _| {})?;
    println!("{report:#?}");
    ensure!(report.acknowledged > 0 && report.lost == 0, "{report:?}");
    Ok(())
}

#[test]
fn everysec_loses_two_seconds_at_most() -> Result<()> {
    let mut config = Config::short(3, Policy::Everysec);
    config.longest = Duration::from_secs(3);
    config.rounds = 3;
    campaign(&config)
}

#[test]
fn encrypted_files_are_no_less_safe() -> Result<()> {
    let mut config = Config::short(4, Policy::Always);
    config.encrypted = true;
    config.rounds = 3;
    let report = run(&config, |_, _| {})?;
    ensure!(report.acknowledged > 0 && report.lost == 0, "{report:?}");
    Ok(())
}

#[test]
fn the_log_is_turned_on_under_load() -> Result<()> {
    let mut config = Config::short(5, Policy::Always);
    config.convert = true;
    campaign(&config)
}
