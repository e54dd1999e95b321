//! More than 200,000 random commands, every reply compared with `redis-server`'s, and the state at the end.
//!
//! `HOLDFAST_DIFFERENTIAL_COMMANDS` sets how many commands each seed gets. To replay a seed alone:
//! `cargo run -p holdfast-tests --bin differential -- --seed N`.

use anyhow::Result;
use holdfast_tests::differential::{Config, run};

const COMMANDS: u64 = 60_000;

fn differential(seed: u64) -> Result<()> {
    let commands = match std::env::var("HOLDFAST_DIFFERENTIAL_COMMANDS") {
        Ok(text) => text.parse()?,
        Err(_) => COMMANDS,
    };
    let report = run(&Config::new(seed, commands))?;
    println!(
        "seed {seed}: {} commands compared; explained differences:\n{}",
        report.commands, report.explained
    );
    let texts: Vec<_> = report
        .differences
        .values()
        .map(|(text, _)| text.as_str())
        .collect();
    assert!(
        texts.is_empty(),
        "seed {seed}, after {} commands: {}",
        report.commands,
        texts.join("\n\n")
    );
    Ok(())
}

#[test]
fn differential_seed_1() -> Result<()> {
    differential(1)
}

#[test]
fn differential_seed_2() -> Result<()> {
    differential(2)
}

#[test]
fn differential_seed_3() -> Result<()> {
    differential(3)
}

#[test]
fn differential_seed_4() -> Result<()> {
    differential(4)
}

/// The test must see what it is there to see: an encoding that changes at another size, for one.
#[test]
fn a_planted_difference_is_found_and_shortened() -> Result<()> {
    let mut config = Config::new(5, 20_000);
    config.planted = Some(("hash-max-listpack-value".to_owned(), "20".to_owned()));
    let report = run(&config)?;
    let (kind, (text, _)) = report
        .differences
        .first_key_value()
        .expect("the difference is found");
    assert!(kind.contains("listpack"), "{kind}: {text}");
    assert!(text.contains("the fewest commands found"), "{text}");
    Ok(())
}
