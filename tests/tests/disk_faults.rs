//! Snapshots on disks that fail: writes are refused while nothing can be saved, reads go on, the old file stays whole,
//! and all is well without a restart when the disk is back.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use holdfast_tests::ask::{info, persistence, text};
use holdfast_tests::client::Client;
use holdfast_tests::datasets::fill;
use holdfast_tests::faults::{Failing, OnSmallDisk};
use holdfast_tests::replication::{assert_same, follow, wait_for_link};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;

const MISCONF: &str = "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
    Commands that may modify the data set are disabled, because this instance is configured to report errors during \
    writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about \
    the RDB error.";

/// Saves in the background and waits for the end: `ok` or `err`.
fn bgsave(client: &mut Client) -> Result<String> {
    let began = text(client, "BGSAVE")?;
    ensure!(began == "+Background saving started", "{began}");
    wait_until("the save ends", || {
        Ok(persistence(client, "rdb_bgsave_in_progress")? == "0")
    })?;
    persistence(client, "rdb_last_bgsave_status")
}

/// What a replica cannot write to its append-only file it has, and does not claim to have on its disk; when there is room it
/// writes that as well.
#[test]
fn a_replica_on_a_full_disk_follows_and_says_what_is_not_synced() -> Result<()> {
    let options = Options::new().directive("repl-diskless-sync-delay", "0");
    let primary = Server::start(Role::Subject, &options)?;
    let with_file = options.clone().directive("appendonly", "yes");
    let replica = OnSmallDisk::start(Role::Subject, with_file, 8 << 10)?;
    let mut client = primary.connect()?;
    fill(&mut client)?;
    follow(&replica.server, primary.address())?;
    wait_for_link(&replica.server)?;
    client.command("SET before 1")?;
    assert_eq!(text(&mut client, "WAITAOF 0 1 30000")?, "*2   :0   :1");
    replica.fill()?;
    let value = "v".repeat(100_000);
    for i in 0..200 {
        let reply = client.call(&["SET", &format!("big{}", i % 10), &value])?;
        ensure!(!reply.is_error(), "{reply:?}");
    }
    // It has it, and not on its disk.
    assert_eq!(text(&mut client, "WAIT 1 30000")?, ":1");
    assert_eq!(text(&mut client, "WAITAOF 0 1 300")?, "*2   :0   :0");
    let mut reader = replica.server.connect()?;
    assert_eq!(text(&mut reader, "GET before")?, "\"1\"");
    assert_eq!(text(&mut reader, "STRLEN big9")?, ":100000");
    wait_until("it says that it cannot write", || {
        Ok(persistence(&mut reader, "aof_last_write_status")? == "err")
    })?;
    replica.remount("size=64m")?;
    replica.free()?;
    assert_eq!(text(&mut client, "WAITAOF 0 1 60000")?, "*2   :0   :1");
    assert_same(&primary, &replica.server)?;
    assert_eq!(info(&mut client, "stats", "sync_full")?, "1");
    wait_until("all is well", || {
        Ok(persistence(&mut reader, "aof_last_write_status")? == "ok")
    })?;
    // A restart finds what was claimed.
    let whole = text(&mut reader, "DEBUG DIGEST")?;
    assert_eq!(text(&mut reader, "REPLICAOF NO ONE")?, "+OK");
    assert_eq!(text(&mut reader, "DEBUG LOADAOF")?, "+OK");
    assert_eq!(text(&mut reader, "DEBUG DIGEST")?, whole);
    Ok(())
}

fn with_save_point() -> Options {
    Options::new().directive("save", "3600 1000000").threads(2)
}

/// While saves fail: `begin` breaks the disk, `end` mends it. What was saved before must still be there, whole; what is
/// in memory must be served, and saved in the end.
fn hold<F>(
    server: &Server,
    dir: &Path,
    begin: impl FnOnce() -> Result<F>,
    end: impl FnOnce(F) -> Result<()>,
) -> Result<()> {
    let mut client = server.connect()?;
    fill(&mut client)?;
    ensure!(bgsave(&mut client)? == "ok", "{}", server.log());
    let saved = std::fs::read(dir.join("dump.rdb")).ok(); // not there if a new folder is to be named
    client.call(&["SET", "later", &"x".repeat(1000)])?;
    let digest = text(&mut client, "DEBUG DIGEST")?;
    let fault = begin()?;
    ensure!(bgsave(&mut client)? == "err", "{}", server.log());
    for line in ["SET k v", "DEL later", "PING"] {
        let reply = text(&mut client, line)?;
        ensure!(reply == MISCONF, "{line}: {reply}");
    }
    let reply = text(&mut client, "EVAL \"return redis.call('SET', KEYS[1], 1)\" 1 k")?;
    ensure!(
        reply.starts_with("-MISCONF Redis is configured to save RDB snapshots"),
        "{reply}"
    );
    let whole = "EVAL \"#!lua\nreturn 1\" 0";
    ensure!(text(&mut client, whole)? == MISCONF);
    for reads in [
        "EVAL \"#!lua flags=no-writes\nreturn 1\" 0",
        "EVAL \"return #redis.call('GET', KEYS[1]) - 4\" 1 text",
    ] {
        let reply = text(&mut client, reads)?;
        ensure!(reply == ":1", "{reads}: {reply}");
    }
    let reply = text(&mut client, "SAVE")?;
    ensure!(reply == "-ERR", "{reply}");
    ensure!(text(&mut client, "GET text")? == "\"hello\"");
    ensure!(text(&mut client, "DEBUG DIGEST")? == digest);
    end(fault)?;
    let now = std::fs::read(dir.join("dump.rdb"));
    ensure!(now.ok() == saved, "the old file was changed");
    ensure!(bgsave(&mut client)? == "ok", "{}", server.log());
    ensure!(client.command("SET k v")? == Reply::ok());
    client.command("DEL k")?;
    ensure!(text(&mut client, "DEBUG DIGEST")? == digest);
    ensure!(text(&mut client, "SAVE")? == "+OK");
    let left: Vec<_> = std::fs::read_dir(dir)?
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|name| name != "dump.rdb")
        .collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    let again = Server::start(Role::Subject, &Options::new().files_of(dir))?;
    let loaded = text(&mut again.connect()?, "DEBUG DIGEST")?;
    ensure!(loaded == digest, "{loaded}, not {digest}");
    Ok(())
}

fn on_small_disk(
    role: Role,
    begin: impl FnOnce(&OnSmallDisk) -> Result<()>,
    end: impl FnOnce(&OnSmallDisk) -> Result<()>,
) -> Result<()> {
    let disk = OnSmallDisk::start(role, with_save_point(), 2048)?;
    hold(&disk.server, &disk.dir(), || begin(&disk), |()| end(&disk)).with_context(|| format!("{role:?}"))
}

#[test]
fn a_full_disk() -> Result<()> {
    for role in [Role::Oracle, Role::Subject] {
        on_small_disk(role, OnSmallDisk::fill, OnSmallDisk::free)?;
    }
    Ok(())
}

#[test]
fn a_read_only_disk() -> Result<()> {
    for role in [Role::Oracle, Role::Subject] {
        on_small_disk(role, |disk| disk.remount("ro"), |disk| disk.remount("rw"))?;
    }
    Ok(())
}

#[test]
fn calls_that_fail() -> Result<()> {
    for (calls, fault) in [
        ("fsync,fdatasync", "error=EIO"),
        ("rename,renameat,renameat2", "error=EIO"),
        ("openat", "error=EROFS"),
        ("write", "error=EIO"),
        ("write", "error=ENOSPC"),
    ] {
        let server = Server::start(Role::Subject, &with_save_point())?;
        // Calls name it as the server does, or by a descriptor of what lies in the server's folder.
        let name = PathBuf::from(format!("temp-{}.rdb", server.pid()));
        let by_name = calls.starts_with("rename") || calls == "openat";
        let path = if by_name { name } else { server.dir().join(name) };
        let begin = || Failing::begin(&server, calls, Some(&path), fault);
        hold(&server, server.dir(), begin, Failing::end).with_context(|| calls.to_owned())?;
    }
    Ok(())
}

/// A directory stands where the file should.
#[test]
fn a_name_that_is_taken() -> Result<()> {
    let server = Server::start(Role::Subject, &with_save_point())?;
    let (file, kept) = (server.dir().join("dump.rdb"), server.dir().join("kept.rdb"));
    hold(
        &server,
        server.dir(),
        || {
            std::fs::rename(&file, &kept)?;
            std::fs::create_dir(&file)?;
            Ok(std::fs::write(file.join("something"), "")?)
        },
        |()| {
            std::fs::remove_dir_all(&file)?;
            Ok(std::fs::rename(&kept, &file)?)
        },
    )
}

/// The folder is gone: nothing can be saved there ever again, and the operator names another.
#[test]
fn a_folder_that_is_gone() -> Result<()> {
    let (dir, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let options = with_save_point()
        .dir(dir.path())
        .directive("enable-protected-configs", "yes");
    let server = Server::start(Role::Subject, &options)?;
    hold(
        &server,
        other.path(),
        || Ok(std::fs::remove_dir_all(dir.path())?),
        |()| {
            let reply = server
                .connect()?
                .call(&["CONFIG", "SET", "dir", &other.path().to_string_lossy()])?;
            ensure!(!reply.is_error(), "{reply:?}");
            Ok(())
        },
    )
}
