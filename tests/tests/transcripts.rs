//! Every transcript, over a socket, against the subject and against `redis-server`.
//!
//! `UPDATE=1 cargo test -p holdfast-tests --test transcripts` writes the oracle's replies into the files first;
//! `TRANSCRIPT=lists` runs the files whose name contains that word.

use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result};
use holdfast_tests::ports::free_cluster_ports;
use holdfast_tests::server::{Binary, Options, Role, Server};
use holdfast_tests::transcript::{Expect, Sockets, Transcript, record_file, run};

#[test]
fn transcripts_hold_for_redis() -> Result<()> {
    run_all(Role::Oracle)
}

#[test]
fn transcripts_hold_for_holdfast() -> Result<()> {
    run_all(Role::Subject)
}

/// Those of `cluster/`: each begins with a node of a cluster that is alone and has no slots.
#[test]
fn cluster_transcripts_hold_for_redis() -> Result<()> {
    run_cluster(Role::Oracle)
}

#[test]
fn cluster_transcripts_hold_for_holdfast() -> Result<()> {
    run_cluster(Role::Subject)
}

fn run_cluster(role: Role) -> Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/cluster");
    let dirs = if role == Role::Subject && !Binary::find(role)?.is_redis() {
        vec![dir.join("newer"), dir]
    } else {
        vec![dir]
    };
    run_files(role, &files_in(dirs)?, || {
        // The port and 10000 need not be a port.
        let bus = free_cluster_ports()?.1.to_string();
        Ok(Options::new()
            .directive("cluster-enabled", "yes")
            .directive("cluster-port", &bus)
            .directive("cluster-node-timeout", "500"))
    })
}

/// Records once, before either test reads the files.
fn record_if_asked() {
    static RECORDED: Once = Once::new();
    RECORDED.call_once(|| {
        if std::env::var_os("UPDATE").is_some() {
            for path in files(Role::Oracle).expect("the transcripts can be listed") {
                let server = Server::oracle().expect("redis-server starts");
                record_file(&path, &mut Sockets::new(&server)).expect("the transcript can be recorded");
            }
        }
    });
}

fn run_all(role: Role) -> Result<()> {
    record_if_asked();
    run_files(role, &files(role)?, || Ok(Options::new()))
}

/// Runs transcripts, each on a server of its own.
fn run_files(role: Role, files: &[PathBuf], options: impl Fn() -> Result<Options>) -> Result<()> {
    let expect = if Binary::find(role)?.is_redis() {
        Expect::Redis
    } else {
        Expect::Holdfast
    };
    let mut failures = Vec::new();
    for path in files {
        let transcript = Transcript::read(path)?;
        let server = Server::start(role, &options()?)?;
        match run(&transcript, &mut Sockets::new(&server), expect) {
            Ok(found) => failures.extend(found),
            Err(error) => failures.push(format!(
                "{error:#}\n  the server's log ends with\n{}",
                server.log()
            )),
        }
    }
    assert!(
        failures.is_empty(),
        "{} steps differ ({role:?}):\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
    Ok(())
}

/// The transcripts for `role`. Those in `later/` are of commands that are still to come: the oracle has them already.
/// Those in `newer/` are of commands that came after the oracle: written by hand, from the documentation.
fn files(role: Role) -> Result<Vec<PathBuf>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let (later, newer) = (dir.join("later"), dir.join("newer"));
    let dirs = match role {
        Role::Subject if Binary::find(role)?.is_redis() => vec![dir],
        Role::Subject => vec![dir, newer],
        Role::Oracle => vec![dir, later],
    };
    files_in(dirs)
}

fn files_in(dirs: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let wanted = std::env::var("TRANSCRIPT").unwrap_or_default();
    let mut files = Vec::new();
    for dir in dirs {
        for entry in std::fs::read_dir(&dir).with_context(|| format!("listing {}", dir.display()))? {
            let path = entry?.path();
            let named = path
                .file_stem()
                .is_some_and(|stem| stem.to_string_lossy().contains(&wanted));
            if named && path.extension().is_some_and(|extension| extension == "txt") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
