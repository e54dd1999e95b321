//! Measures the server under test beside `redis-server` and writes docs/benchmarks.md.
//!
//! `cargo run --release -p holdfast-tests --bin bench`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use holdfast_tests::bench::report::{Report, replace_part};
use holdfast_tests::bench::{
    Effort, aof, cpu, encryption, memory, migration, persistence, replication, rows, start, workers,
};
use holdfast_tests::server::{Role, tool};

/// The core that the servers share, and the one of the load generator.
const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;

/// Measures the server under test beside redis-server: CPU per command, memory per item, one worker against two, saving and
/// loading, encryption at rest, the append-only file, replication, slots that migrate.
#[derive(Parser)]
struct Arguments {
    /// One round of a tenth of the commands; nothing is written unless --out is given.
    #[arg(long)]
    quick: bool,
    /// Shows that everything runs; the figures mean nothing.
    #[arg(long)]
    smoke: bool,
    /// Measure this part only; in docs/benchmarks.md it takes the place of the old one.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Measure only rows and shapes whose name contains one of these words.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Rounds per row.
    #[arg(long)]
    rounds: Option<usize>,
    /// Where to write the tables.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Cpu,
    Memory,
    Workers,
    Persistence,
    Encryption,
    Aof,
    Replication,
    Migration,
}

impl Part {
    /// Its heading in the document.
    fn title(self) -> &'static str {
        match self {
            Part::Cpu => "Server CPU per command",
            Part::Memory => "Memory",
            Part::Workers => "One worker and two",
            Part::Persistence => "Persistence",
            Part::Encryption => "Encryption at rest",
            Part::Aof => "Append-only file",
            Part::Replication => "Replication",
            Part::Migration => "Slot migration",
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    build_subject()?;
    let effort = match (arguments.smoke, arguments.quick) {
        (true, _) => Effort::Smoke,
        (false, true) => Effort::Quick,
        (false, false) => Effort::Full,
    };
    let rounds = arguments
        .rounds
        .unwrap_or(if effort == Effort::Full { 3 } else { 1 });
    let mut report = Report {
        rounds,
        ..Report::default()
    };
    let chosen = |part| arguments.only.is_none_or(|only| only == part);
    if chosen(Part::Cpu) {
        measure_cpu(&arguments, effort, rounds, &mut report)?;
    }
    if chosen(Part::Memory) {
        for shape in memory::SHAPES
            .iter()
            .filter(|shape| wanted(&arguments, shape.name))
        {
            eprintln!("memory: {}", shape.name);
            report.memory.push(memory::measure(shape, effort)?);
        }
    }
    if chosen(Part::Workers) {
        for row in workers::ROWS.iter().filter(|row| wanted(&arguments, row.name)) {
            eprintln!("workers: {}", row.name);
            report.workers.push(workers::measure(row, rounds, effort)?);
        }
    }
    if chosen(Part::Persistence) && arguments.rows.is_empty() {
        report.persistence = Some(persistence::measure(rounds, effort)?);
    }
    if chosen(Part::Encryption) && arguments.rows.is_empty() {
        eprintln!("encryption");
        report.encryption = encryption::measure(rounds, effort)?;
    }
    if chosen(Part::Aof) && arguments.rows.is_empty() {
        eprintln!("append-only file");
        report.aof = aof::measure(rounds, effort)?;
    }
    if chosen(Part::Replication) && arguments.rows.is_empty() {
        eprintln!("replication");
        report.replication = Some(replication::measure(rounds, effort)?);
    }
    if chosen(Part::Migration) && arguments.rows.is_empty() {
        report.migration = migration::measure(rounds, effort)?;
    }
    let mut text = report.to_markdown();
    println!("{text}");
    let whole = effort == Effort::Full && arguments.rows.is_empty();
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    if let (Some(part), true, None) = (arguments.only, whole, &arguments.out) {
        // The other parts stay as they were measured.
        let document = std::fs::read_to_string(&default)?;
        text = replace_part(&document, part.title(), &text);
    }
    if let Some(path) = arguments.out.or(whole.then_some(default)) {
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("written to {}", path.display());
    }
    Ok(())
}

fn wanted(arguments: &Arguments, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    arguments.rows.is_empty()
        || arguments
            .rows
            .iter()
            .any(|word| name.contains(&word.to_ascii_lowercase()))
}

fn measure_cpu(arguments: &Arguments, effort: Effort, rounds: usize, report: &mut Report) -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let pinned = cores > LOAD_CORE;
    if !pinned {
        eprintln!("one core only: servers and load generator share it");
    }
    let subject = start(Role::Subject, pinned.then_some(SERVER_CORE), 1)?;
    let oracle = start(Role::Oracle, pinned.then_some(SERVER_CORE), 1)?;
    for row in rows::ROWS.iter().filter(|row| wanted(arguments, row.name)) {
        eprintln!("cpu: {}", row.name);
        let measured = cpu::measure(
            row,
            &subject,
            &oracle,
            rounds,
            effort,
            pinned.then_some(LOAD_CORE),
        )?;
        if let (Ok(figures), Some(ratio)) = (&measured.subject, measured.ratio) {
            eprintln!(
                "     {:.2} us / {:.2} us = {:.2} (target {:.2})",
                figures.cpu_us.median, measured.oracle.cpu_us.median, ratio.median, row.target
            );
        }
        report.cpu.push(measured);
    }
    Ok(())
}

/// Builds the server in the profile that this program was built in, unless `HOLDFAST_BIN` names one.
fn build_subject() -> Result<()> {
    tool("redis-server", "apt-get install redis-server")?;
    tool("redis-benchmark", "apt-get install redis-tools")?;
    if std::env::var_os("HOLDFAST_BIN").is_some() {
        return Ok(());
    }
    let exe = std::env::current_exe()?;
    let folder = exe
        .parent()
        .and_then(Path::file_name)
        .context("the program stands in no folder")?;
    let profile = if folder == "debug" {
        "dev".into()
    } else {
        folder.to_string_lossy()
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["build", "-p", "holdfast", "--profile", &profile])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("running cargo build")?;
    if !status.success() {
        bail!("the server does not build");
    }
    Ok(())
}
