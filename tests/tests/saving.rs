//! Snapshot files: what one server saves, the other loads; what happens when a save fails; what a restart finds.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use holdfast_tests::ask::{persistence, text};
use holdfast_tests::client::Client;
use holdfast_tests::datasets;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server, tool};
use holdfast_tests::wait::wait_until;

fn start(role: Role, dir: &Path) -> Result<Server> {
    Server::start(role, &Options::new().directive("dir", &dir.to_string_lossy()))
}

fn fill(client: &mut Client) -> Result<()> {
    datasets::fill(client)?;
    datasets::load_library(client)?;
    client.command("PEXPIREAT int 9999999999999")?;
    client.command("SELECT 7")?;
    client.command("SET elsewhere 1 PXAT 9999999999998")?;
    client.command("RPUSH list a b c")?;
    client.command("SELECT 0")?;
    Ok(())
}

#[test]
fn files_are_read_by_both() -> Result<()> {
    for (from, to) in [
        (Role::Subject, Role::Oracle),
        (Role::Oracle, Role::Subject),
        (Role::Subject, Role::Subject),
    ] {
        for compression in ["yes", "no"] {
            let saver = Server::start(from, &Options::new())?;
            let mut client = saver.connect()?;
            client.command(&format!("CONFIG SET rdbcompression {compression}"))?;
            fill(&mut client)?;
            assert_eq!(client.command("SAVE")?, Reply::ok());
            let digest = text(&mut client, "DEBUG DIGEST")?;
            let file = saver.dir().join("dump.rdb");
            let checked = Command::new(tool("redis-check-rdb", "apt-get install redis-tools")?)
                .arg(&file)
                .output()?;
            assert!(
                checked.status.success(),
                "{}",
                String::from_utf8_lossy(&checked.stdout)
            );
            let reader = start(to, saver.dir())?;
            let mut client = reader.connect()?;
            assert_eq!(text(&mut client, "DEBUG DIGEST")?, digest, "{from:?} to {to:?}");
            assert_eq!(text(&mut client, "PEXPIRETIME int")?, ":9999999999999");
            assert_eq!(text(&mut client, "FCALL f 0")?, ":42");
            assert_eq!(
                text(&mut client, "XPENDING stream group - + 10")?
                    .matches("alice")
                    .count(),
                1
            );
        }
    }
    Ok(())
}

#[test]
fn a_background_save_is_of_one_moment() -> Result<()> {
    let saver = Server::subject()?;
    let mut client = saver.connect()?;
    client.command("DEBUG POPULATE 3000 key 10")?;
    client.command("SADD set a b c")?;
    let digest = text(&mut client, "DEBUG DIGEST")?;
    client.command("CONFIG SET rdb-key-save-delay 200")?;
    assert_eq!(text(&mut client, "BGSAVE")?, "+Background saving started");
    assert_eq!(
        text(&mut client, "BGSAVE")?,
        "-ERR Background save already in progress"
    );
    assert_eq!(
        text(&mut client, "SAVE")?,
        "-ERR Background save already in progress"
    );
    assert_eq!(text(&mut client, "BGSAVE SCHEDULE x")?, "-ERR syntax error");
    assert_eq!(persistence(&mut client, "rdb_bgsave_in_progress")?, "1");
    // Everything changes while it runs.
    for i in (0..3000).step_by(3) {
        client.command(&format!("SET key:{i} changed"))?;
        client.command(&format!("DEL key:{}", i + 1))?;
    }
    client.command("SADD set d")?;
    client.command("RENAME set other")?;
    client.command("SET new 1")?;
    client.command("FLUSHDB")?;
    client.command("CONFIG SET rdb-key-save-delay 0")?;
    wait_until("the save ends", || {
        Ok(persistence(&mut client, "rdb_bgsave_in_progress")? == "0")
    })?;
    assert_eq!(persistence(&mut client, "rdb_last_bgsave_status")?, "ok");
    assert_ne!(persistence(&mut client, "rdb_changes_since_last_save")?, "0");
    let reader = start(Role::Subject, saver.dir())?;
    assert_eq!(text(&mut reader.connect()?, "DEBUG DIGEST")?, digest);
    let reader = start(Role::Oracle, saver.dir())?;
    assert_eq!(text(&mut reader.connect()?, "DEBUG DIGEST")?, digest);
    Ok(())
}

#[test]
fn a_save_that_fails_stops_writes_until_one_succeeds() -> Result<()> {
    let server = Server::start(Role::Subject, &Options::new().directive("save", "3600 1"))?;
    let mut client = server.connect()?;
    assert_eq!(client.command("SET k v")?, Reply::ok());
    // A directory in the place of the temporary file: no permission could stop root.
    let obstacle = server.dir().join(format!("temp-{}.rdb", server.pid()));
    std::fs::create_dir(&obstacle)?;
    assert_eq!(text(&mut client, "SAVE")?, "-ERR");
    assert_eq!(client.command("SET k v")?, Reply::ok());
    client.command("BGSAVE")?;
    wait_until("the save fails", || {
        Ok(persistence(&mut client, "rdb_last_bgsave_status")? == "err")
    })?;
    for line in ["SET k w", "PING", "DEL k"] {
        let reply = text(&mut client, line)?;
        assert!(
            reply.starts_with("-MISCONF Redis is configured to save RDB snapshots"),
            "{line}: {reply}"
        );
    }
    assert_eq!(text(&mut client, "GET k")?, "\"v\"");
    client.command("CONFIG SET stop-writes-on-bgsave-error no")?;
    assert_eq!(client.command("SET k x")?, Reply::ok());
    client.command("CONFIG SET stop-writes-on-bgsave-error yes")?;
    assert!(text(&mut client, "SET k w")?.starts_with("-MISCONF"));
    assert_eq!(
        text(&mut client, "SHUTDOWN")?,
        "-ERR Errors trying to SHUTDOWN. Check logs."
    );
    std::fs::remove_dir(&obstacle)?;
    client.command("BGSAVE")?;
    wait_until("the save succeeds", || {
        Ok(persistence(&mut client, "rdb_last_bgsave_status")? == "ok")
    })?;
    assert_eq!(client.command("SET k w")?, Reply::ok());
    assert_eq!(persistence(&mut client, "rdb_changes_since_last_save")?, "1");
    Ok(())
}

#[test]
fn save_points_save() -> Result<()> {
    let server = Server::start(Role::Subject, &Options::new().directive("save", "1 3"))?;
    let mut client = server.connect()?;
    client.command("MSET a 1 b 2 c 3")?;
    wait_until("a save point is reached", || {
        Ok(persistence(&mut client, "rdb_saves")? != "0")
    })?;
    assert_eq!(persistence(&mut client, "rdb_changes_since_last_save")?, "0");
    assert!(server.log().contains("3 changes in 1 seconds. Saving..."));
    Ok(())
}

#[test]
fn the_end_saves_if_it_is_to() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let run = |save: &str, end: &str| -> Result<String> {
        let options = Options::new()
            .directive("dir", &dir.path().to_string_lossy())
            .directive("save", save);
        let mut server = Server::start(Role::Subject, &options)?;
        let mut client = server.connect()?;
        let before = text(&mut client, "GET k")?;
        client.command(&format!(
            "SET k {}",
            if end.is_empty() { "SIGTERM" } else { end }.replace(' ', "-")
        ))?;
        if end.is_empty() {
            server.terminate()?;
        } else {
            client.send(&end.split(' ').collect::<Vec<_>>())?;
            wait_until("it ends", || Ok(!server.is_running()?))?;
        }
        Ok(before)
    };
    assert_eq!(run("", "SHUTDOWN")?, "(nil)");
    assert_eq!(run("", "SHUTDOWN SAVE")?, "(nil)");
    assert_eq!(run("3600 1", "SHUTDOWN NOSAVE")?, "\"SHUTDOWN-SAVE\"");
    assert_eq!(run("3600 1", "SHUTDOWN")?, "\"SHUTDOWN-SAVE\"");
    assert_eq!(run("3600 1", "")?, "\"SHUTDOWN\"");
    assert_eq!(run("", "")?, "\"SIGTERM\"");
    assert_eq!(run("", "SHUTDOWN NOSAVE")?, "\"SIGTERM\"");
    Ok(())
}

#[test]
fn a_file_that_is_damaged_ends_the_start() -> Result<()> {
    let saver = Server::subject()?;
    let mut client = saver.connect()?;
    fill(&mut client)?;
    client.command("SAVE")?;
    let file = saver.dir().join("dump.rdb");
    let good = std::fs::read(&file)?;
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [
        &good[..good.len() - 1],
        &good[..good.len() / 2],
        &flipped,
        b"REDIS0099",
        b"no file",
    ] {
        std::fs::write(&file, bad)?;
        let error = match start(Role::Subject, saver.dir()) {
            Ok(_) => panic!("it started"),
            Err(error) => format!("{error:#}"),
        };
        assert!(error.contains("Fatal error loading the DB"), "{error}");
        assert_eq!(std::fs::read(&file)?, bad, "the file stays as it was");
    }
    std::fs::write(&file, good)?;
    let reader = start(Role::Subject, saver.dir())?;
    assert_eq!(
        text(&mut reader.connect()?, "DEBUG DIGEST")?,
        text(&mut client, "DEBUG DIGEST")?
    );
    Ok(())
}

#[test]
fn a_reload_changes_nothing() -> Result<()> {
    let server = Server::subject()?;
    let mut client = server.connect()?;
    fill(&mut client)?;
    let digest = text(&mut client, "DEBUG DIGEST")?;
    assert_eq!(client.command("DEBUG RELOAD")?, Reply::ok());
    assert_eq!(text(&mut client, "DEBUG DIGEST")?, digest);
    assert_eq!(client.command("SET more 1")?, Reply::ok());
    assert_eq!(client.command("DEBUG RELOAD NOSAVE")?, Reply::ok());
    assert_eq!(text(&mut client, "FCALL f 0")?, ":42");
    assert_eq!(text(&mut client, "DEBUG DIGEST")?, digest);
    assert!(
        text(&mut client, "DEBUG RELOAD NOSAVE NOFLUSH")?
            .starts_with("-ERR Error trying to load the RDB dump")
    );
    assert_eq!(client.command("DEBUG RELOAD NOSAVE NOFLUSH MERGE")?, Reply::ok());
    assert_eq!(text(&mut client, "DEBUG DIGEST")?, digest);
    assert!(text(&mut client, "DEBUG RELOAD WHAT")?.starts_with("-ERR DEBUG RELOAD only supports"));
    Ok(())
}

#[test]
fn a_dialect_is_written_where_fields_expire_and_both_are_read() -> Result<()> {
    let options = Options::new().directive("rdb-dialect", "valkey");
    let server = Server::start(Role::Subject, &options)?;
    let mut client = server.connect()?;
    let file = server.dir().join("dump.rdb");
    let begins = |magic: &[u8]| -> Result<bool> { Ok(std::fs::read(&file)?.starts_with(magic)) };
    client.command("HSET plain f v")?;
    assert_eq!(client.command("SAVE")?, Reply::ok());
    assert!(begins(b"REDIS0010")?);
    // One that is written whole, and one that is written element by element.
    client.command("HSET small f v g w")?;
    client.command("HPEXPIREAT small 9999999999999 FIELDS 1 f")?;
    let fields: Vec<String> = (0..4000).map(|i| format!("f{i} v")).collect();
    client.command(&format!("HSET big {}", fields.join(" ")))?;
    client.command("HPEXPIREAT big 9999999999998 FIELDS 2 f7 f3999")?;
    let times = |client: &mut Client| -> Result<String> {
        Ok(format!(
            "{} {}",
            text(client, "HPEXPIRETIME small FIELDS 2 f g")?,
            text(client, "HPEXPIRETIME big FIELDS 3 f7 f8 f3999")?
        ))
    };
    let (digest, expected) = (text(&mut client, "DEBUG DIGEST")?, times(&mut client)?);
    for (dialect, magic) in [
        ("valkey", &b"VALKEY080"[..]),
        ("redis", b"REDIS0012"),
        ("valkey", b"VALKEY080"),
    ] {
        client.command(&format!("CONFIG SET rdb-dialect {dialect}"))?;
        assert_eq!(client.command("DEBUG RELOAD")?, Reply::ok());
        assert!(begins(magic)?, "{dialect}");
        assert_eq!(text(&mut client, "DEBUG DIGEST")?, digest);
        assert_eq!(times(&mut client)?, expected);
        let payload = client.command("DUMP small")?;
        let payload = payload.bytes().context("a payload")?.to_vec();
        let version = if dialect == "valkey" { 80 } else { 12 };
        assert_eq!(payload[payload.len() - 10], version);
        client.command("DEL copy")?;
        assert_eq!(
            client.call(&[b"RESTORE", &b"copy"[..], b"0", &payload])?,
            Reply::ok()
        );
        assert_eq!(
            text(&mut client, "HPEXPIRETIME copy FIELDS 2 f g")?,
            text(&mut client, "HPEXPIRETIME small FIELDS 2 f g")?
        );
        client.command("DEL copy")?;
    }
    Ok(())
}
