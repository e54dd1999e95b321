//! The tables as Markdown, and what machine they are from.

use std::process::Command;

use super::{Spread, cpu, memory, workers};
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
