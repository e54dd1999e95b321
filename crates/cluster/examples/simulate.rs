//! The simulation of whole clusters.
//!
//! ```text
//! simulate --seeds 10000 [--from 1]   many stories; the first that fails is told, with its seed
//! simulate --seed 7                   one story; SIMULATION_TRACE=1 tells what happens
//! simulate --nodes 1000               failover times and traffic of a big cluster
//! ```

#[path = "../simulation/mod.rs"]
#[allow(dead_code)]
mod simulation;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    if let Some(nodes) = value("--nodes") {
        return match simulation::scale::run(nodes as usize, value("--seed").unwrap_or(1)) {
            Ok(figures) => {
                println!("{figures:?}");
                ExitCode::SUCCESS
            }
            Err(what) => failed(&what),
        };
    }
    if let Some(seed) = value("--seed") {
        return match simulation::story::run(seed) {
            Ok(told) => {
                println!("seed {seed}: {told:?}");
                ExitCode::SUCCESS
            }
            Err(what) => failed(&format!("seed {seed}: {what}")),
        };
    }
    let Some(seeds) = value("--seeds") else {
        return failed("say --seeds N, --seed N or --nodes N");
    };
    many(value("--from").unwrap_or(1), seeds)
}

/// Runs seeds on all cores.
fn many(from: u64, seeds: u64) -> ExitCode {
    let begin = std::time::Instant::now();
    let next = AtomicU64::new(from);
    let failures = Mutex::new(Vec::new());
    let healed = Mutex::new(Vec::new());
    let steps = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let told = std::panic::catch_unwind(|| simulation::story::run(seed));
                    match told.unwrap_or_else(|_| Err("it panicked".to_owned())) {
                        Ok(told) => {
                            steps.fetch_add(told.steps, Ordering::Relaxed);
                            healed
                                .lock()
                                .expect("no thread panics")
                                .push(told.healed_us / 1000);
                        }
                        Err(what) => {
                            println!("seed {seed}: {what}");
                            failures.lock().expect("no thread panics").push(seed);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics");
    let mut healed = healed.into_inner().expect("no thread panics");
    healed.sort_unstable();
    let at = |part: usize| {
        healed
            .get((healed.len().saturating_sub(1)) * part / 100)
            .copied()
            .unwrap_or(0)
    };
    println!(
        "{seeds} seeds, {} failed, {} steps in {:.0} s; all slots served after healing: median {} ms, 99 % {} ms, worst {} ms",
        failures.len(),
        steps.into_inner(),
        begin.elapsed().as_secs_f64(),
        at(50),
        at(99),
        at(100),
    );
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn failed(what: &str) -> ExitCode {
    println!("{what}");
    ExitCode::FAILURE
}
