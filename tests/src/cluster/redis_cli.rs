//! `redis-cli`, which makes clusters and changes them.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::server::tool;

/// Runs redis-cli, saying yes to what it asks; what it printed.
///
/// # Errors
/// It failed; the message has its words.
pub fn redis_cli(words: &[&str]) -> Result<String> {
    let (text, well) = ask_redis_cli(words)?;
    ensure!(well, "redis-cli {words:?}: {text}");
    Ok(text)
}

/// The same, and whether it ended well.
///
/// # Errors
/// It is not there.
pub fn ask_redis_cli(words: &[&str]) -> Result<(String, bool)> {
    let mut child = Command::new(tool("redis-cli", "apt-get install redis-tools")?)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // It may have ended without asking.
    let _asked = child.stdin.take().context("no input")?.write_all(b"yes\nyes\n");
    let output = child.wait_with_output()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((text, output.status.success()))
}
