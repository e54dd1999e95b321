//! The benchmark runs and writes its tables. What they say is not judged here: see docs/benchmarks.md.

use std::process::Command;

use anyhow::Result;
use holdfast_tests::server::{Binary, Role};

#[test]
fn the_benchmark_runs() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tables = dir.path().join("benchmarks.md");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--smoke", "--out"])
        .arg(&tables)
        .env("HOLDFAST_BIN", Binary::find(Role::Subject)?.path())
        .output()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = std::fs::read_to_string(tables)?;
    for part in [
        "## Server CPU per command",
        "| GET, pipeline 16 |",
        "## Memory",
        "## One worker and two",
        "## Persistence",
        "| longest answer during BGSAVE, ms |",
        "## Encryption at rest",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    Ok(())
}
