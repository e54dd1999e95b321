//! The append-only file on disks that fail: writes are refused or wait while nothing can be written, reads go on, and all is
//! well without a restart when the disk is back; nothing that was acknowledged is lost, whenever the server is killed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use holdfast_tests::ask::{persistence, text};
use holdfast_tests::client::Client;
use holdfast_tests::datasets::fill;
use holdfast_tests::faults::{Failing, OnSmallDisk};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server, copy_folder, tool};
use holdfast_tests::wait::{wait_for, wait_until};

fn options(policy: &str) -> Options {
    Options::new()
        .directive("appendonly", "yes")
        .directive("appendfsync", policy)
        .directive("auto-aof-rewrite-percentage", "0")
        .threads(2)
}

/// Waits; if it is in vain, the message carries the log.
fn until(what: &str, server: &Server, is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_until(what, is_so).with_context(|| server.log())
}

fn takes_writes(client: &mut Client) -> Result<bool> {
    Ok(client.command("SET after 1")? == Reply::ok())
}

/// Everything that the server holds is found by Redis's tool and by a server of each kind that starts on its files.
fn is_on_disk(server: &Server, dir: &Path) -> Result<()> {
    let mut client = server.connect()?;
    // What is acknowledged after the policy has changed is synced, and what came before it.
    ensure!(text(&mut client, "CONFIG SET appendfsync always")? == "+OK");
    // The thread that writes may just have met the fault's end.
    until("a write is taken", server, || {
        Ok(text(&mut client, "SET last-of-all 1")? == "+OK")
    })?;
    let digest = text(&mut client, "DEBUG DIGEST")?;
    let files = tempfile::tempdir()?;
    copy_folder(dir, files.path())?;
    let checked = Command::new(tool("redis-check-aof", "apt-get install redis-tools")?)
        .arg(files.path().join("appendonlydir/appendonly.aof.manifest"))
        .output()?;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    ensure!(
        checked.status.success() && said.contains("All AOF files and manifest are valid"),
        "{said}"
    );
    for role in [Role::Subject, Role::Oracle] {
        let again = Server::start(role, &options("everysec").files_of(files.path()))?;
        let loaded = text(&mut again.connect()?, "DEBUG DIGEST")?;
        ensure!(
            loaded == digest,
            "{role:?} holds {loaded}, not {digest}; it was:\n{}",
            server.log()
        );
    }
    Ok(())
}

/// Under `everysec`: `begin` breaks the disk, `end` mends it. Acknowledged writes wait in memory meanwhile; after a short
/// while none is taken any more.
fn hold<F>(
    server: &Server,
    dir: &Path,
    begin: impl FnOnce() -> Result<F>,
    end: impl FnOnce(F) -> Result<()>,
) -> Result<()> {
    let mut client = server.connect()?;
    fill(&mut client)?;
    let fault = begin()?;
    let mut number = 0;
    let refusal = wait_for("a write is refused", || {
        number += 1;
        let reply = client.call(&["SET", &format!("late:{number}"), &"x".repeat(2000)])?;
        Ok(reply.is_error().then(|| reply.lines().join(" ")))
    })
    .with_context(|| server.log())?;
    ensure!(
        refusal.starts_with("-MISCONF Errors writing to the AOF file: "),
        "{refusal}"
    );
    for line in ["SET k v", "DEL text", "PING"] {
        let reply = text(&mut client, line)?;
        ensure!(reply == refusal, "{line}: {reply}");
    }
    let reply = text(&mut client, "EVAL \"return redis.call('SET', KEYS[1], 1)\" 1 k")?;
    ensure!(
        reply.starts_with("-MISCONF Errors writing to the AOF file"),
        "{reply}"
    );
    ensure!(persistence(&mut client, "aof_last_write_status")? == "err");
    ensure!(text(&mut client, "GET text")? == "\"hello\"");
    ensure!(number < 2 || !client.command("GET late:1")?.is_null());
    end(fault)?;
    until("writes are taken again", server, || takes_writes(&mut client))?;
    ensure!(persistence(&mut client, "aof_last_write_status")? == "ok");
    is_on_disk(server, dir)
}

#[test]
fn a_full_disk() -> Result<()> {
    for role in [Role::Oracle, Role::Subject] {
        let disk = OnSmallDisk::start(role, options("everysec"), 4096)?;
        hold(&disk.server, &disk.dir(), || disk.fill(), |()| disk.free())
            .with_context(|| format!("{role:?}"))?;
    }
    Ok(())
}

fn increment(dir: &Path) -> Result<std::path::PathBuf> {
    let manifest = std::fs::read_to_string(dir.join("appendonlydir/appendonly.aof.manifest"))?;
    let last = manifest.lines().last().context("a line")?;
    let name = last.split(' ').nth(1).context("a name")?;
    Ok(dir.join("appendonlydir").join(name))
}

#[test]
fn writes_and_syncs_that_fail() -> Result<()> {
    for (calls, fault) in [
        ("write", "error=EIO"),
        ("fsync,fdatasync", "error=EIO"),
        ("write", "error=ENOSPC:when=2+"),
    ] {
        let server = Server::start(Role::Subject, &options("everysec"))?;
        let path = increment(server.dir())?;
        let begin = || Failing::begin(&server, calls, Some(&path), fault);
        hold(&server, server.dir(), begin, Failing::end).with_context(|| format!("{calls}, {fault}"))?;
    }
    Ok(())
}

/// Under `always` no write is acknowledged that is not on the disk: its reply waits until it is.
#[test]
fn always_waits_for_the_disk() -> Result<()> {
    for fault in ["full", "fsync"] {
        let disk = OnSmallDisk::start(Role::Subject, options("always"), 4096)?;
        let (server, dir) = (&disk.server, disk.dir());
        let mut client = server.connect()?;
        fill(&mut client)?;
        ensure!(text(&mut client, "SET before 1")? == "+OK");
        let failing = match fault {
            "full" => {
                disk.fill()?;
                None
            }
            _ => Some(Failing::begin(server, "fsync,fdatasync", None, "error=EIO")?),
        };
        let mut waits = server.connect()?;
        waits.send(&["SET", "waits", &"x".repeat(20_000)])?; // more than a page that is begun has room for
        let mut other = server.connect()?;
        until("the server says so", server, || {
            Ok(persistence(&mut other, "aof_last_write_status")? == "err")
        })?;
        ensure!(
            waits.receive_within(Duration::from_millis(300))?.is_none(),
            "{fault}: a write was acknowledged that is not on the disk"
        );
        ensure!(text(&mut other, "GET before")? == "\"1\"", "reads go on");
        let refusal = text(&mut other, "SET refused 1")?;
        ensure!(
            refusal.starts_with("-MISCONF Errors writing to the AOF file: "),
            "{refusal}"
        );
        // Whoever is killed now has acknowledged nothing that is not there.
        let killed = tempfile::tempdir()?;
        copy_folder(&dir, killed.path())?;
        let again = Server::start(Role::Subject, &options("always").files_of(killed.path()))?;
        ensure!(text(&mut again.connect()?, "GET before")? == "\"1\"");
        drop(failing);
        if fault == "full" {
            disk.free()?;
        }
        let reply = waits.receive()?;
        ensure!(reply == Reply::ok(), "{fault}: {reply:?}");
        until("writes are taken again", server, || takes_writes(&mut other))?;
        ensure!(text(&mut other, "GET refused")? == "(nil)");
        is_on_disk(server, &dir).with_context(|| fault.to_owned())?;
    }
    Ok(())
}

/// A rewrite that fails leaves the log as it was, and the next one succeeds.
#[test]
fn rewrites_that_fail() -> Result<()> {
    for (calls, fault) in [
        ("rename,renameat,renameat2", "error=EIO"),
        ("fsync,fdatasync", "error=EIO:when=1..3"),
        ("openat", "error=ENOSPC:when=1..2"),
    ] {
        let server = Server::start(Role::Subject, &options("no"))?;
        let mut client = server.connect()?;
        fill(&mut client)?;
        let rewrite = |client: &mut Client| -> Result<String> {
            let reply = client.command("BGREWRITEAOF")?;
            if reply.is_error() {
                return Ok("err".into());
            }
            until("the rewrite ends", &server, || {
                Ok(persistence(client, "aof_rewrite_in_progress")? == "0"
                    && persistence(client, "aof_rewrite_scheduled")? == "0")
            })?;
            persistence(client, "aof_last_bgrewrite_status")
        };
        ensure!(rewrite(&mut client)? == "ok", "{}", server.log());
        let failing = Failing::begin(&server, calls, None, fault)?;
        let status = rewrite(&mut client)?;
        drop(failing);
        ensure!(status == "err", "{calls}: {status}\n{}", server.log());
        until("writes are taken", &server, || takes_writes(&mut client))?;
        is_on_disk(&server, server.dir()).with_context(|| calls.to_owned())?;
        ensure!(rewrite(&mut client)? == "ok", "{}", server.log());
        let left = std::fs::read_dir(server.dir().join("appendonlydir"))?.count();
        ensure!(left <= 4, "{left} files are in the directory of the log");
        is_on_disk(&server, server.dir()).with_context(|| calls.to_owned())?;
    }
    Ok(())
}

/// Two servers never write the same log.
#[test]
fn a_second_server_on_the_same_files() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = options("always").dir(dir.path());
    let first = Server::start(Role::Subject, &options)?;
    ensure!(text(&mut first.connect()?, "SET k v")? == "+OK");
    match Server::start(Role::Subject, &options) {
        Ok(_) => anyhow::bail!("a second server started on the same files"),
        Err(error) => {
            let error = format!("{error:#}");
            ensure!(
                error.contains("exit status: 1") && error.contains("another"),
                "{error}"
            );
        }
    }
    ensure!(text(&mut first.connect()?, "SET k w")? == "+OK");
    is_on_disk(&first, dir.path())?;
    first.kill()?;
    let next = Server::start(Role::Subject, &options)?;
    ensure!(text(&mut next.connect()?, "GET k")? == "\"w\"");
    Ok(())
}

/// Threads that come late do not take the data for empty before they are loaded: a rewrite then would replace them.
#[test]
fn a_slow_start_rewrites_nothing() -> Result<()> {
    tool("strace", "apt-get install strace")?;
    let dir = tempfile::tempdir()?;
    let first = Server::start(Role::Subject, &options("always").dir(dir.path()))?;
    fill(&mut first.connect()?)?;
    let digest = text(&mut first.connect()?, "DEBUG DIGEST")?;
    first.kill()?;
    // Each thread after the first two takes a second and a half to come into being; periodic jobs run meanwhile.
    let slow = [
        "-e",
        "trace=clone3,clone",
        "-e",
        "inject=clone3,clone:delay_exit=1500000:when=3..4",
    ];
    let wrapper: Vec<&str> = ["strace", "-D", "-f", "-o", "/dev/null"]
        .into_iter()
        .chain(slow)
        .collect();
    let second = Server::start(
        Role::Subject,
        &options("always").dir(dir.path()).wrapper(&wrapper),
    )?;
    let loaded = text(&mut second.connect()?, "DEBUG DIGEST")?;
    ensure!(loaded == digest, "{loaded}, not {digest}:\n{}", second.log());
    is_on_disk(&second, dir.path())
}
