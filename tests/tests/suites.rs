//! Programs of others in large numbers: redis-py's own test suite, a client in each of ten languages, cluster clients,
//! frameworks. What they do stands in `tests/suites`; each runs in a network namespace of its own, with downloads under the target folder.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use holdfast_tests::server::{Binary, Role};

/// One suite after the other: some of their tests have little patience with a busy machine.
static TURN: Mutex<()> = Mutex::new(());

/// Runs a suite against the server under test.
fn run(suite: &str, arguments: &[&str]) -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("cargo's folder for tests is inside the target folder");
    let output = Command::new(here.join("suites").join(suite).join("run"))
        .arg("--server")
        .arg(Binary::find(Role::Subject)?.path())
        .arg("--work")
        .arg(target.join("suites"))
        .args(arguments)
        .output()?;
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    anyhow::ensure!(output.status.success(), "{suite} {arguments:?}:\n{text}{errors}");
    Ok(())
}

#[test]
fn redis_py_suite_with_resp2() -> Result<()> {
    run("redis-py", &["--protocol", "2"])
}

#[test]
fn redis_py_suite_with_resp3() -> Result<()> {
    run("redis-py", &["--protocol", "3"])
}

#[test]
fn clients_of_ten_languages() -> Result<()> {
    run("languages", &[])
}

#[test]
fn cluster_clients_see_no_error_while_the_cluster_changes() -> Result<()> {
    run("cluster", &["--slots", "30"])
}

#[test]
fn frameworks_do_their_jobs() -> Result<()> {
    run("frameworks", &[])
}
