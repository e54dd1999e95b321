//! The load: `redis-benchmark`, pinned to a core of its own, and what it says.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::server::{Server, tool};

/// What `redis-benchmark` reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Commands per second.
    pub per_second: f64,
    /// The 99th percentile of the latency, in milliseconds.
    pub p99_ms: f64,
}

/// How `redis-benchmark` is run.
#[derive(Debug, Clone)]
pub struct Shape<'a> {
    /// The command; `__rand_int__` becomes a random number of 12 digits.
    pub command: &'a [&'a str],
    /// How many commands.
    pub commands: u64,
    /// Commands sent at once.
    pub pipeline: u64,
    /// Random numbers are below this.
    pub keys: u64,
    /// Connections.
    pub clients: u64,
    /// The core to run on.
    pub core: Option<usize>,
}

/// Runs the load to its end.
///
/// # Errors
/// A missing `redis-benchmark`, or one that fails.
pub fn run(server: &Server, shape: &Shape<'_>) -> Result<Load> {
    let program = tool("redis-benchmark", "apt-get install redis-tools")?;
    let mut command = match shape.core {
        None => Command::new(program),
        Some(core) => {
            let mut command = Command::new(tool("taskset", "apt-get install util-linux")?);
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
    };
    command
        .args([
            "--csv",
            "--precision",
            "3",
            "-h",
            "127.0.0.1",
            "-p",
            &server.address().port().to_string(),
        ])
        .args([
            "-c",
            &shape.clients.to_string(),
            "-n",
            &shape.commands.to_string(),
        ])
        .args(["-P", &shape.pipeline.to_string(), "-r", &shape.keys.to_string()])
        .args(shape.command);
    let output = command.output().context("running redis-benchmark")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.contains("ERR") {
        bail!(
            "redis-benchmark failed: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    parse(&text).with_context(|| format!("redis-benchmark printed\n{text}"))
}

/// Reads the last line: a name, then requests per second and six latencies, each in quotes.
fn parse(text: &str) -> Result<Load> {
    const FIELDS_AFTER_NAME: usize = 7;
    let line = text
        .lines()
        .rfind(|line| line.starts_with('"'))
        .context("no line of figures")?;
    let fields: Vec<&str> = line
        .trim()
        .trim_matches('"')
        .rsplitn(FIELDS_AFTER_NAME + 1, "\",\"")
        .collect();
    let number = |from_end: usize| -> Result<f64> {
        fields
            .get(from_end)
            .context("too few fields")?
            .parse()
            .context("no number")
    };
    Ok(Load {
        per_second: number(6)?,
        p99_ms: number(1)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read_from_its_end() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
                    \"p99_latency_ms\",\"max_latency_ms\"\n\
                    \"SET a,\",\"b\",\"91324.20\",\"0.300\",\"0.100\",\"0.299\",\"0.431\",\"0.543\",\"1.207\"\n";
        assert_eq!(
            parse(text).unwrap(),
            Load {
                per_second: 91324.20,
                p99_ms: 0.543
            }
        );
    }
}
