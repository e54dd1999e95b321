//! The tables as Markdown, and what machine they are from.

use std::process::Command;

use super::{Spread, aof, cpu, encryption, memory, migration, persistence, replication, workers};
use crate::server::{Binary, Role};

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Report {
    /// CPU per command.
    pub cpu: Vec<cpu::Measured>,
    /// Memory per item.
    pub memory: Vec<memory::Measured>,
    /// One worker against two.
    pub workers: Vec<workers::Measured>,
    /// Saving and loading.
    pub persistence: Option<persistence::Measured>,
    /// Encryption at rest.
    pub encryption: Vec<encryption::Line>,
    /// The append-only file.
    pub aof: Vec<aof::Line>,
    /// A primary with replicas.
    pub replication: Option<replication::Measured>,
    /// Slots that change their node.
    pub migration: Vec<migration::Line>,
    /// Rounds per row.
    pub rounds: usize,
}

impl Report {
    /// The whole as a document.
    pub fn to_markdown(&self) -> String {
        let mut text = String::from("# Benchmarks\n\n");
        text.push_str("Written by `cargo run --release -p holdfast-tests --bin bench`. Ratios are Holdfast / Redis in the same\n");
        text.push_str("run; below 1 is better for CPU and memory. Absolute figures hold for this machine and hour only.\n\n");
        text.push_str(&machine());
        if !self.cpu.is_empty() {
            text.push_str(&self.cpu_table());
        }
        if !self.memory.is_empty() {
            text.push_str(&self.memory_table());
        }
        if !self.workers.is_empty() {
            text.push_str(&self.workers_table());
        }
        if let Some(measured) = &self.persistence {
            text.push_str(&persistence_table(measured, self.rounds));
        }
        if !self.encryption.is_empty() {
            text.push_str(&encryption::table(&self.encryption, self.rounds));
        }
        if !self.aof.is_empty() {
            text.push_str(&aof::table(&self.aof, self.rounds));
        }
        if let Some(measured) = &self.replication {
            text.push_str(&replication_table(measured, self.rounds));
        }
        if !self.migration.is_empty() {
            text.push_str(&migration::table(&self.migration, self.rounds));
        }
        text
    }

    fn cpu_table(&self) -> String {
        let mut text = format!(
            "\n## Server CPU per command\n\nBoth servers pinned to one core with one worker, `redis-benchmark` (50 clients, 64-byte values, \
             100,000 keys) to another,\n{} rounds in turns. Median, and the range of the rounds.\n\n",
            self.rounds
        );
        text.push_str("| | Holdfast, us | Redis, us | ratio | target | Holdfast, 1000/s | Redis, 1000/s | Holdfast p99, ms | Redis p99, ms |\n");
        text.push_str("|---|---|---|---|---|---|---|---|---|\n");
        for measured in &self.cpu {
            let (row, oracle) = (&measured.row, &measured.oracle);
            let line = match (&measured.subject, measured.ratio) {
                (Ok(subject), Some(ratio)) => format!(
                    "| {} | {} | {} | {}{} | {:.2} | {:.0} | {:.0} | {:.2} | {:.2} |\n",
                    row.name,
                    range(subject.cpu_us),
                    range(oracle.cpu_us),
                    range(ratio),
                    if ratio.median <= row.target {
                        ""
                    } else {
                        " (missed)"
                    },
                    row.target,
                    subject.thousand_per_second.median,
                    oracle.thousand_per_second.median,
                    subject.p99_ms.median,
                    oracle.p99_ms.median
                ),
                (Err(refusal), _) => format!(
                    "| {} | not yet: `{refusal}` | {} | | {:.2} | | {:.0} | | {:.2} |\n",
                    row.name,
                    range(oracle.cpu_us),
                    row.target,
                    oracle.thousand_per_second.median,
                    oracle.p99_ms.median
                ),
                (Ok(_), None) => format!("| {} | no round | | | | | | | |\n", row.name),
            };
            text.push_str(&line);
        }
        text
    }

    fn memory_table(&self) -> String {
        let mut text = String::from(
            "\n## Memory\n\nGrowth of the resident set per item, in bytes; 1,000,000 items.\n\n\
             | shape | Holdfast | Redis | ratio | target |\n|---|---|---|---|---|\n",
        );
        for measured in &self.memory {
            let shape = &measured.shape;
            let line = match &measured.subject {
                Ok(subject) => format!(
                    "| {} | {:.0} | {:.0} | {:.2} | {:.0}{} |\n",
                    shape.name,
                    subject,
                    measured.oracle,
                    subject / measured.oracle,
                    shape.target,
                    // A figure is shown without its fraction, so it is judged without it.
                    if subject.round() <= shape.target {
                        ""
                    } else {
                        " (missed)"
                    }
                ),
                Err(refusal) => {
                    format!(
                        "| {} | not yet: `{refusal}` | {:.0} | | {:.0} |\n",
                        shape.name, measured.oracle, shape.target
                    )
                }
            };
            text.push_str(&line);
        }
        text
    }

    fn workers_table(&self) -> String {
        let mut text = String::from(
            "\n## One worker and two\n\nThousand commands per second. The load generator shares the cores, so a row in which it is the \
             bottleneck cannot gain.\n\n| | one worker | two workers | gain |\n|---|---|---|---|\n",
        );
        for measured in &self.workers {
            text.push_str(&format!(
                "| {} | {} | {} | {:.2} |\n",
                measured.row.name,
                range(measured.one),
                range(measured.two),
                measured.two.median / measured.one.median
            ));
        }
        text
    }
}

fn persistence_table(measured: &persistence::Measured, rounds: usize) -> String {
    let (ours, theirs) = (&measured.subject, &measured.oracle);
    let mut text = format!(
        "\n## Persistence\n\n{} keys with {} bytes that do not compress; {} connections that write with {} SETs on their way each, \
         and a probe\nthat sends one SET after the other; Holdfast with {} workers; {rounds} rounds in turns. Median, and the range \
         of the rounds.\nMemory is the proportional set size of the server and its children.\n\n{}\n",
        measured.keys,
        persistence::VALUE_BYTES,
        persistence::WRITERS,
        persistence::PIPELINE,
        persistence::THREADS,
        machine()
    );
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    text.push_str(&format!("- load average of the machine at the end: {load}\n\n"));
    text.push_str("| | Holdfast | Redis | ratio | target |\n|---|---|---|---|---|\n");
    let mut row = |name: &str, ours: Spread, theirs: Spread, target: &str, reached: bool| {
        text.push_str(&format!(
            "| {name} | {} | {} | {:.2}{} | {target} |\n",
            range(ours),
            range(theirs),
            ours.median / theirs.median,
            if reached { "" } else { " (missed)" },
        ));
    };
    let at_most = |ours: Spread, theirs: Spread, ratio: f64| ours.median <= theirs.median * ratio;
    row(
        "SAVE, nobody writing, s",
        ours.save_s,
        theirs.save_s,
        "1.00",
        at_most(ours.save_s, theirs.save_s, 1.0),
    );
    row(
        "loading at start, s",
        ours.load_s,
        theirs.load_s,
        "0.60",
        at_most(ours.load_s, theirs.load_s, 0.6),
    );
    let allowed = ours.memory_mb * 0.05 + 64.0 * 1.048_576;
    row(
        "growth of memory during BGSAVE, MB",
        ours.growth_mb,
        theirs.growth_mb,
        &format!("{allowed:.0} MB: 5 % + 64 MiB"),
        ours.growth_mb.median <= allowed,
    );
    row(
        "longest answer without a save, ms",
        ours.pause_ms,
        theirs.pause_ms,
        "",
        true,
    );
    row(
        "longest answer during BGSAVE, ms",
        ours.save_pause_ms,
        theirs.save_pause_ms,
        "5 ms more than without",
        ours.save_pause_ms.median <= ours.pause_ms.median + 5.0,
    );
    row(
        "BGSAVE while clients write, s",
        ours.background_s,
        theirs.background_s,
        "",
        true,
    );
    row(
        "writes without a save, 1000/s",
        ours.idle_writes,
        theirs.idle_writes,
        "",
        true,
    );
    row(
        "writes during BGSAVE, 1000/s",
        ours.writes,
        theirs.writes,
        "",
        true,
    );
    text.push_str(&format!(
        "\nMemory before BGSAVE: Holdfast {:.0} MB, Redis {:.0} MB.\n",
        ours.memory_mb, theirs.memory_mb
    ));
    text
}

fn replication_table(measured: &replication::Measured, rounds: usize) -> String {
    let (ours, theirs) = (&measured.subject, &measured.oracle);
    let mut text = format!(
        "\n## Replication\n\n{} keys with {} bytes; the replicas of both primaries are Redis 7.0.15, on the same cores as everything \
         else; {rounds} rounds.\nMedian, and the range of the rounds. Memory is the proportional set size of the primary and its \
         children.\n\n{}\n",
        measured.keys,
        replication::VALUE_BYTES,
        machine()
    );
    text.push_str("| | Holdfast | Redis | ratio | target |\n|---|---|---|---|---|\n");
    let mut row = |name: &str, ours: Spread, theirs: Spread, target: &str| {
        text.push_str(&format!(
            "| {name} | {} | {} | {:.2} | {target} |\n",
            range(ours),
            range(theirs),
            ours.median / theirs.median,
        ));
    };
    row(
        "full synchronization, nobody writing, s",
        ours.sync_s,
        theirs.sync_s,
        "1.00",
    );
    row(
        "full synchronization while clients write, s",
        ours.loaded_sync_s,
        theirs.loaded_sync_s,
        "",
    );
    row("SETs meanwhile, 1000/s", ours.loaded_rate, theirs.loaded_rate, "");
    row(
        "growth of memory meanwhile, MB",
        ours.growth_mb,
        theirs.growth_mb,
        &format!("{:.0} MB: 5 % + 64 MiB", ours.memory_mb * 0.05 + 64.0),
    );
    row(
        "CPU of the primary for a SET, no replica, us",
        ours.alone_us,
        theirs.alone_us,
        "",
    );
    row(
        "CPU of the primary for a SET, two replicas, us",
        ours.followed_us,
        theirs.followed_us,
        "",
    );
    row(
        "SETs without replicas, 1000/s",
        ours.alone_rate,
        theirs.alone_rate,
        "",
    );
    row(
        "SETs with two replicas, 1000/s",
        ours.followed_rate,
        theirs.followed_rate,
        "",
    );
    row(
        "both replicas have everything after the load, ms",
        ours.lag_ms,
        theirs.lag_ms,
        "",
    );
    text.push_str(&format!(
        "\nMemory before: Holdfast {:.0} MB, Redis {:.0} MB.\n",
        ours.memory_mb, theirs.memory_mb
    ));
    text
}

/// The document with its part `title` as in `new`, or with that part at its end.
///
/// # Panics
/// If `new` has no such part.
pub fn replace_part(document: &str, title: &str, new: &str) -> String {
    let heading = format!("\n## {title}\n");
    let bounds = |text: &str| {
        let from = text.find(&heading)?;
        let behind = from + heading.len();
        let to = text[behind..].find("\n## ").map_or(text.len(), |at| behind + at);
        Some(from..to)
    };
    let part = &new[bounds(new).expect("what was measured is in the report")];
    match bounds(document) {
        Some(old) => format!("{}{part}{}", &document[..old.start], &document[old.end..]),
        None => format!("{document}{part}"),
    }
}

fn range(spread: Spread) -> String {
    let digits = usize::from(spread.median < 100.0) * 2;
    format!(
        "{:.digits$} ({:.digits$}-{:.digits$})",
        spread.median, spread.low, spread.high
    )
}

fn machine() -> String {
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu_info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "- date: {}\n- machine: {model}, {cores} cores, Linux {}\n- Holdfast: {}\n- Redis: {}\n",
        output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        kernel.trim(),
        version(Role::Subject),
        version(Role::Oracle),
    )
}

fn version(role: Role) -> String {
    match Binary::find(role) {
        Ok(binary) => output(&binary.path().to_string_lossy(), &["--version"]),
        Err(error) => format!("{error}"),
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return "unknown".to_owned();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .next()
        .unwrap_or("unknown")
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::replace_part;

    #[test]
    fn a_part_takes_the_place_of_the_old_one() {
        let document = "# Title\n\n## A\n\nold\n\n## B\n\nb\n";
        let new = "# Title\n\n## A\n\nnew\n";
        assert_eq!(
            replace_part(document, "A", new),
            "# Title\n\n## A\n\nnew\n\n## B\n\nb\n"
        );
        let new = "# Title\n\n## C\n\nc\n";
        assert_eq!(
            replace_part(document, "C", new),
            format!("{document}\n## C\n\nc\n")
        );
    }
}
