//! The append-only file: what one server writes, the other loads; what a crash leaves; when replies may leave; turning it
//! on and off; rewrites; a disk that is full.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use holdfast_tests::ask::{persistence, text};
use holdfast_tests::client::Client;
use holdfast_tests::datasets;
use holdfast_tests::server::{Options, Role, Server, tool};
use holdfast_tests::wait::wait_until;
use tempfile::TempDir;

fn rewritten(client: &mut Client) -> Result<()> {
    wait_until("the rewrite ends", || {
        Ok(persistence(client, "aof_rewrite_in_progress")? == "0"
            && persistence(client, "aof_rewrite_scheduled")? == "0")
    })?;
    ensure!(persistence(client, "aof_last_bgrewrite_status")? == "ok");
    Ok(())
}

fn options(dir: &Path) -> Options {
    Options::new().dir(dir).directive("appendonly", "yes")
}

fn start(role: Role, dir: &Path) -> Result<Server> {
    Server::start(role, &options(dir))
}

/// Files of the append-only directory, locks left out.
fn files(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir.join("appendonlydir"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".lock") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn increments(dir: &Path) -> Result<Vec<PathBuf>> {
    let names = files(dir)?.into_iter().filter(|name| name.ends_with(".incr.aof"));
    Ok(names.map(|name| dir.join("appendonlydir").join(name)).collect())
}

/// Every type, functions, transactions, scripts and several databases.
fn fill(client: &mut Client) -> Result<()> {
    datasets::fill(client)?;
    datasets::load_library(client)?;
    for line in [
        "PEXPIREAT int 9999999999999",
        "SELECT 7",
        "SET elsewhere 1 PXAT 9999999999998",
        "RPUSH list a b c d e",
        "SPOP nosuch",
        "LPOP list 2",
        "MULTI",
        "INCR counter",
        "SELECT 2",
        "SADD s 1 2 3 4 5 6 7 8",
        "SPOP s 3",
        "EXEC",
        "EVAL redis.call('incr',KEYS[1])redis.call('select',5)redis.call('set',KEYS[2],'x') 2 n m",
        "SET gone 1",
        "DEL gone",
        "MOVE n 3",
        "SELECT 0",
        "SET last 1 EX 1000",
    ] {
        let reply = client.command(line)?;
        ensure!(!reply.is_error(), "{line}: {reply:?}");
    }
    Ok(())
}

fn same_after(role: Role, dir: &Path, digest: &str) -> Result<()> {
    let server = start(role, dir)?;
    let mut client = server.connect()?;
    assert_eq!(
        text(&mut client, "DEBUG DIGEST")?,
        digest,
        "{role:?}: {:?}",
        files(dir)?
    );
    assert_eq!(text(&mut client, "FCALL f 0")?, ":42");
    assert_eq!(text(&mut client, "PEXPIRETIME int")?, ":9999999999999");
    server.terminate()
}

fn check_aof(dir: &Path) -> Result<()> {
    let manifest = dir.join("appendonlydir/appendonly.aof.manifest");
    let output = Command::new(tool("redis-check-aof", "apt-get install redis-tools")?)
        .arg(manifest)
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

#[test]
fn directories_are_read_by_both() -> Result<()> {
    for (writer, preamble) in [
        (Role::Subject, "yes"),
        (Role::Subject, "no"),
        (Role::Oracle, "yes"),
        (Role::Oracle, "no"),
    ] {
        let dir = TempDir::new()?;
        let server = Server::start(
            writer,
            &options(dir.path())
                .directive("aof-use-rdb-preamble", preamble)
                .directive("aof-timestamp-enabled", "yes"),
        )?;
        let mut client = server.connect()?;
        fill(&mut client)?;
        let before = text(&mut client, "DEBUG DIGEST")?;
        server.terminate()?;
        check_aof(dir.path())?;
        same_after(Role::Oracle, dir.path(), &before)?;
        let server = Server::start(
            writer,
            &options(dir.path()).directive("aof-use-rdb-preamble", preamble),
        )?;
        let mut client = server.connect()?;
        assert_eq!(text(&mut client, "DEBUG DIGEST")?, before, "{writer:?}");
        assert_eq!(
            text(&mut client, "BGREWRITEAOF")?,
            "+Background append only file rewriting started"
        );
        client.command("SELECT 9")?;
        client.command("RPUSH during a b c")?;
        rewritten(&mut client)?;
        client.command("RPUSH during d")?;
        let digest = text(&mut client, "DEBUG DIGEST")?;
        server.terminate()?;
        check_aof(dir.path())?;
        let suffix = if preamble == "yes" { "base.rdb" } else { "base.aof" };
        assert!(
            files(dir.path())?[0].ends_with(suffix),
            "{:?}",
            files(dir.path())?
        );
        same_after(Role::Oracle, dir.path(), &digest)?;
        same_after(Role::Subject, dir.path(), &digest)?;
    }
    Ok(())
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() -> Result<()> {
    let dir = TempDir::new()?;
    let mut total = 0;
    for _ in 0..3 {
        let server = Server::start(
            Role::Subject,
            &options(dir.path()).directive("appendfsync", "always"),
        )?;
        let mut client = server.connect()?;
        assert_eq!(text(&mut client, "INCRBY n 0")?, format!(":{total}"));
        for _ in 0..50 {
            total += 1;
            assert_eq!(text(&mut client, "INCR n")?, format!(":{total}"));
        }
        let many: Vec<Vec<String>> = (0..500)
            .map(|i| vec!["RPUSH".into(), "l".into(), i.to_string()])
            .collect();
        for reply in client.pipeline(&many)? {
            ensure!(!reply.is_error());
        }
        assert_eq!(text(&mut client, "WAITAOF 1 0 5000")?, "*2   :1   :0");
        server.kill()?;
    }
    let server = start(Role::Subject, dir.path())?;
    let mut client = server.connect()?;
    assert_eq!(text(&mut client, "GET n")?, "\"150\"");
    assert_eq!(text(&mut client, "LLEN l")?, ":1500");
    assert_eq!(persistence(&mut client, "aof_enabled")?, "1");
    Ok(())
}

#[test]
fn a_reader_learns_nothing_that_a_crash_could_take_back() -> Result<()> {
    let dir = TempDir::new()?;
    let server = Server::start(
        Role::Subject,
        &options(dir.path()).directive("appendfsync", "always"),
    )?;
    let (mut writer, mut waiter) = (server.connect()?, server.connect()?);
    waiter.send(&["BLPOP", "q", "0"])?;
    wait_until("it is blocked", || {
        Ok(text(&mut writer, "INFO clients")?.contains("blocked_clients:1"))
    })?;
    assert_eq!(text(&mut writer, "RPUSH q served")?, ":1");
    assert_eq!(waiter.receive()?.lines().join(" "), "*2   \"q\"   \"served\"");
    let replies = writer.pipeline(&[vec!["SET", "a", "1"], vec!["GET", "a"], vec!["QUIT"]])?;
    assert_eq!(replies.len(), 3);
    let mut muted = server.connect()?;
    muted.send(&["CLIENT", "REPLY", "OFF"])?;
    muted.send(&["SET", "silent", "1"])?;
    muted.send(&["CLIENT", "REPLY", "ON"])?;
    assert_eq!(muted.receive()?.lines().join(" "), "+OK");
    assert_eq!(text(&mut muted, "GET silent")?, "\"1\"");
    Ok(())
}

#[test]
fn it_is_turned_on_and_off_while_the_server_runs() -> Result<()> {
    let dir = TempDir::new()?;
    let server = Server::start(Role::Subject, &Options::new().dir(dir.path()))?;
    let mut client = server.connect()?;
    fill(&mut client)?;
    assert_eq!(
        text(&mut client, "WAITAOF 1 0 0")?,
        "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
    );
    assert_eq!(text(&mut client, "CONFIG SET appendonly yes")?, "+OK");
    client.command("SET after on")?;
    assert_eq!(text(&mut client, "WAITAOF 1 0 30000")?, "*2   :1   :0");
    rewritten(&mut client)?;
    for policy in ["always", "no", "everysec", "always"] {
        assert_eq!(
            text(&mut client, &format!("CONFIG SET appendfsync {policy}"))?,
            "+OK"
        );
        assert_eq!(text(&mut client, &format!("SET policy {policy}"))?, "+OK");
        assert_eq!(text(&mut client, "WAITAOF 1 0 30000")?, "*2   :1   :0");
    }
    let digest = text(&mut client, "DEBUG DIGEST")?;
    assert_eq!(text(&mut client, "CONFIG SET appendonly no")?, "+OK");
    assert_eq!(persistence(&mut client, "aof_enabled")?, "0");
    client.command("SET lost 1")?;
    server.kill()?;
    same_after(Role::Oracle, dir.path(), &digest)?;
    same_after(Role::Subject, dir.path(), &digest)?;
    let server = Server::start(Role::Subject, &Options::new().dir(dir.path()))?;
    let mut client = server.connect()?;
    client.command("SET fresh 1")?;
    // The old files stay until the new base is there, and go then.
    assert_eq!(text(&mut client, "CONFIG SET appendonly yes")?, "+OK");
    assert_eq!(text(&mut client, "WAITAOF 1 0 30000")?, "*2   :1   :0");
    rewritten(&mut client)?;
    assert_eq!(files(dir.path())?.len(), 3, "{:?}", files(dir.path())?);
    server.kill()?;
    let server = start(Role::Subject, dir.path())?;
    assert_eq!(text(&mut server.connect()?, "KEYS *")?, "*1   \"fresh\"");
    Ok(())
}

#[test]
fn the_server_does_not_end_before_its_first_base_is_there() -> Result<()> {
    let dir = TempDir::new()?;
    let server = Server::start(Role::Subject, &Options::new().dir(dir.path()))?;
    let mut client = server.connect()?;
    client.command("DEBUG POPULATE 3000 key 10")?;
    client.command("CONFIG SET rdb-key-save-delay 1000")?;
    assert_eq!(text(&mut client, "CONFIG SET appendonly yes")?, "+OK");
    assert!(text(&mut client, "SHUTDOWN NOSAVE")?.starts_with("-ERR Errors trying to SHUTDOWN"));
    client.command("CONFIG SET rdb-key-save-delay 0")?;
    rewritten(&mut client)?;
    server.terminate()?;
    let server = start(Role::Subject, dir.path())?;
    assert_eq!(text(&mut server.connect()?, "DBSIZE")?, ":3000");
    Ok(())
}

#[test]
fn the_append_only_file_wins_and_a_snapshot_alone_is_its_first_base() -> Result<()> {
    let dir = TempDir::new()?;
    let server = Server::start(Role::Subject, &Options::new().dir(dir.path()))?;
    let mut client = server.connect()?;
    client.command("SET from snapshot")?;
    client.command("SAVE")?;
    server.kill()?;
    let server = start(Role::Subject, dir.path())?;
    let mut client = server.connect()?;
    assert_eq!(text(&mut client, "GET from")?, "\"snapshot\"");
    client.command("SET from aof")?;
    server.terminate()?;
    let server = start(Role::Subject, dir.path())?;
    assert_eq!(text(&mut server.connect()?, "GET from")?, "\"aof\"");
    server.terminate()?;
    let server = Server::start(Role::Subject, &Options::new().dir(dir.path()))?;
    assert_eq!(text(&mut server.connect()?, "GET from")?, "\"snapshot\"");
    Ok(())
}

#[test]
fn a_torn_end_is_cut_off_and_writing_goes_on() -> Result<()> {
    let dir = TempDir::new()?;
    let server = start(Role::Subject, dir.path())?;
    let mut client = server.connect()?;
    client.command("SET a 1")?;
    client.command("MULTI")?;
    client.command("SET b 1")?;
    client.command("SET c 1")?;
    client.command("EXEC")?;
    server.terminate()?;
    let last = increments(dir.path())?.pop().context("an increment")?;
    let whole = std::fs::read(&last)?;
    // In the middle of the transaction: all of it goes.
    std::fs::write(&last, &whole[..whole.len() - 20])?;
    let strict = Server::start(
        Role::Subject,
        &options(dir.path()).directive("aof-load-truncated", "no"),
    );
    let error = format!("{:#}", strict.err().context("it does not start")?);
    assert!(
        error.contains("Unexpected end of file reading the append only file"),
        "{error}"
    );
    let server = start(Role::Subject, dir.path())?;
    let mut client = server.connect()?;
    assert_eq!(text(&mut client, "EXISTS a b c")?, ":1");
    assert!(server.log().contains("short read while loading the AOF file"));
    client.command("SET d 1")?;
    server.terminate()?;
    check_aof(dir.path())?;
    let server = start(Role::Oracle, dir.path())?;
    assert_eq!(text(&mut server.connect()?, "EXISTS a b c d")?, ":2");
    Ok(())
}

#[test]
fn what_cannot_be_loaded_is_named_and_left_alone() -> Result<()> {
    let make = || -> Result<TempDir> {
        let dir = TempDir::new()?;
        let server = start(Role::Subject, dir.path())?;
        server.connect()?.command("SET a 1")?;
        server.terminate()?;
        Ok(dir)
    };
    let refused = |dir: &Path| -> Result<String> {
        let server = Server::start(Role::Subject, &options(dir));
        Ok(format!("{:#}", server.err().context("it must not start")?))
    };
    let dir = make()?;
    let last = increments(dir.path())?.pop().context("an increment")?;
    let whole = std::fs::read(&last)?;
    for (damage, words) in [
        (
            &b"rubbish\r\n"[..],
            "Bad file format reading the append only file",
        ),
        (b"*1\r\n$6\r\nNOSUCH\r\n", "Unknown command 'NOSUCH'"),
    ] {
        let damaged = [&whole, damage].concat();
        std::fs::write(&last, &damaged)?;
        let error = refused(dir.path())?;
        assert!(error.contains(words), "{error}");
        assert_eq!(std::fs::read(&last)?, damaged);
    }
    std::fs::remove_file(&last)?;
    let error = refused(dir.path())?;
    assert!(error.contains("which does not exist"), "{error}");
    let dir = make()?;
    std::fs::write(
        dir.path().join("appendonlydir/appendonly.aof.manifest"),
        "file x seq\n",
    )?;
    let error = refused(dir.path())?;
    assert!(error.contains("Invalid AOF manifest file format"), "{error}");
    let dir = make()?;
    let first = start(Role::Subject, dir.path())?;
    let error = refused(dir.path())?;
    assert!(
        error.contains("another server uses this append only file"),
        "{error}"
    );
    assert_eq!(text(&mut first.connect()?, "GET a")?, "\"1\"");
    Ok(())
}

#[test]
fn the_single_file_of_older_servers_is_taken_over() -> Result<()> {
    let dir = TempDir::new()?;
    let source = start(Role::Subject, dir.path())?;
    source.connect()?.command("RPUSH l a b")?;
    source.terminate()?;
    let base = dir.path().join("appendonlydir/appendonly.aof.1.base.rdb");
    let preamble = std::fs::read(base)?;
    let tail = std::fs::read(increments(dir.path())?.pop().context("an increment")?)?;
    for preamble in [&preamble[..], b""] {
        let dir = TempDir::new()?;
        std::fs::write(dir.path().join("appendonly.aof"), [preamble, &tail].concat())?;
        let server = start(Role::Subject, dir.path())?;
        let mut client = server.connect()?;
        assert_eq!(text(&mut client, "LRANGE l 0 -1")?, "*2   \"a\"   \"b\"");
        client.command("RPUSH l c")?;
        server.terminate()?;
        let server = start(Role::Oracle, dir.path())?;
        assert_eq!(text(&mut server.connect()?, "LLEN l")?, ":3");
    }
    Ok(())
}

#[test]
fn it_is_rewritten_when_it_has_grown_and_after_a_save() -> Result<()> {
    let dir = TempDir::new()?;
    let server = Server::start(
        Role::Subject,
        &options(dir.path()).directive("auto-aof-rewrite-min-size", "100kb"),
    )?;
    let mut client = server.connect()?;
    let value = "x".repeat(1000);
    for _ in 0..300 {
        client.command(&format!("SET same {value}"))?;
    }
    wait_until("it is rewritten", || {
        Ok(persistence(&mut client, "aof_rewrites")? != "0")
    })?;
    rewritten(&mut client)?;
    let size: u64 = persistence(&mut client, "aof_current_size")?.parse()?;
    ensure!(size < 350_000, "{size}");
    client.command("DEBUG POPULATE 3000 key 10")?;
    client.command("CONFIG SET rdb-key-save-delay 100")?;
    assert_eq!(text(&mut client, "BGSAVE")?, "+Background saving started");
    assert_eq!(
        text(&mut client, "BGREWRITEAOF")?,
        "+Background append only file rewriting scheduled"
    );
    assert_eq!(persistence(&mut client, "aof_rewrite_scheduled")?, "1");
    wait_until("the save is over", || {
        Ok(persistence(&mut client, "rdb_bgsave_in_progress")? == "0")
    })?;
    wait_until("it begins", || {
        Ok(persistence(&mut client, "aof_rewrite_in_progress")? == "1")
    })?;
    assert_eq!(
        text(&mut client, "BGREWRITEAOF")?,
        "-ERR Background append only file rewriting already in progress"
    );
    assert!(text(&mut client, "BGSAVE")?.starts_with("-ERR Another child process is active (AOF?)"));
    assert_eq!(
        text(&mut client, "BGSAVE SCHEDULE")?,
        "+Background saving scheduled"
    );
    client.command("CONFIG SET rdb-key-save-delay 0")?;
    rewritten(&mut client)?;
    wait_until("the save comes", || {
        Ok(persistence(&mut client, "rdb_saves")? == "2")
    })?;
    assert_eq!(files(dir.path())?.len(), 3, "{:?}", files(dir.path())?);
    Ok(())
}

#[test]
fn the_data_are_loaded_again_from_the_file() -> Result<()> {
    for role in [Role::Subject, Role::Oracle] {
        let dir = TempDir::new()?;
        let server = start(role, dir.path())?;
        let mut client = server.connect()?;
        fill(&mut client)?;
        let digest = text(&mut client, "DEBUG DIGEST")?;
        for line in ["DEBUG LOADAOF", "DEBUG RELOAD", "BGREWRITEAOF"] {
            assert!(text(&mut client, line)?.starts_with('+'), "{role:?}: {line}");
            rewritten(&mut client)?;
            assert_eq!(text(&mut client, "DEBUG DIGEST")?, digest, "{role:?}: {line}");
        }
        assert_eq!(text(&mut client, "DEBUG LOADAOF")?, "+OK");
        assert_eq!(text(&mut client, "DEBUG DIGEST")?, digest);
        assert_eq!(text(&mut client, "FCALL f 0")?, ":42");
        client.command("SET more 1")?;
        server.terminate()?;
        let server = start(role, dir.path())?;
        assert_eq!(text(&mut server.connect()?, "GET more")?, "\"1\"");
    }
    Ok(())
}

/// A file system of this size that is gone afterwards. None: this machine does not let us make one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(bytes: usize) -> Result<Option<Self>> {
        let dir = TempDir::new()?;
        let made = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(dir.path())
            .output()?;
        Ok(made.status.success().then_some(Self(dir)))
    }

    fn resize(&self, bytes: usize) -> Result<()> {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,size={bytes}")])
            .arg(self.0.path())
            .status()?;
        ensure!(done.success());
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() -> Result<()> {
    let Some(disk) = SmallDisk::new(512 << 10)? else {
        // The same is tested on disks in memory, at every operation.
        println!("no file system can be mounted here");
        return Ok(());
    };
    let dir = disk.0.path();
    let server = Server::start(
        Role::Subject,
        &options(dir)
            .directive("appendfsync", "everysec")
            .directive("save", ""),
    )?;
    let mut client = server.connect()?;
    let value = "x".repeat(10_000);
    let mut acknowledged = 0;
    let refusal = loop {
        let reply = text(&mut client, &format!("RPUSH l {value}"))?;
        if reply.starts_with('-') {
            break reply;
        }
        acknowledged += 1;
        ensure!(acknowledged < 100_000, "the disk is never full");
    };
    assert!(
        refusal.starts_with("-MISCONF Errors writing to the AOF file: No space left on device"),
        "{refusal}"
    );
    assert_eq!(persistence(&mut client, "aof_last_write_status")?, "err");
    assert_eq!(text(&mut client, "LLEN l")?, format!(":{acknowledged}"));
    disk.resize(64 << 20)?;
    wait_until("it writes again", || {
        Ok(persistence(&mut client, "aof_last_write_status")? == "ok")
    })?;
    assert_eq!(text(&mut client, "SET back 1")?, "+OK");
    assert_eq!(text(&mut client, "WAITAOF 1 0 30000")?, "*2   :1   :0");
    server.kill()?;
    check_aof(dir)?;
    let server = start(Role::Oracle, dir)?;
    let mut client = server.connect()?;
    assert_eq!(text(&mut client, "LLEN l")?, format!(":{acknowledged}"));
    assert_eq!(text(&mut client, "GET back")?, "\"1\"");
    Ok(())
}

#[test]
fn a_rewrite_while_it_is_off_is_for_the_next_start() -> Result<()> {
    let dir = TempDir::new()?;
    let server = Server::start(Role::Subject, &Options::new().dir(dir.path()))?;
    let mut client = server.connect()?;
    client.command("SET a 1")?;
    client.command("BGREWRITEAOF")?;
    rewritten(&mut client)?;
    wait_until("the base is there", || {
        Ok(persistence(&mut client, "aof_last_rewrite_time_sec")? != "-1")
    })?;
    server.kill()?;
    for role in [Role::Subject, Role::Oracle] {
        let server = start(role, dir.path())?;
        assert_eq!(text(&mut server.connect()?, "GET a")?, "\"1\"");
        server.terminate()?;
    }
    Ok(())
}

#[test]
fn growth_is_measured_from_the_base_after_a_restart() -> Result<()> {
    for role in [Role::Subject, Role::Oracle] {
        let dir = TempDir::new()?;
        let server = start(role, dir.path())?;
        let mut client = server.connect()?;
        assert_eq!(text(&mut client, "SET base 1")?, "+OK");
        client.command("BGREWRITEAOF")?;
        rewritten(&mut client)?;
        for number in 0..100 {
            client.command(&format!("SET more {number}"))?;
        }
        server.terminate()?;
        let server = start(role, dir.path())?;
        let mut client = server.connect()?;
        let size =
            |client: &mut Client, field: &str| -> Result<u64> { Ok(persistence(client, field)?.parse()?) };
        let (base, all) = (
            size(&mut client, "aof_base_size")?,
            size(&mut client, "aof_current_size")?,
        );
        assert!(base > 0 && all > base + 1000, "{role:?}: {base} of {all}");
    }
    Ok(())
}
