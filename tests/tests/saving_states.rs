//! SAVE, BGSAVE, BGREWRITEAOF and LASTSAVE in every state of the server: while a snapshot is written, while the append-only
//! file is rewritten, and on a disk that fails. Both servers have to say the same.

use std::path::Path;

use anyhow::{Result, ensure};
use holdfast_tests::ask::{persistence, text};
use holdfast_tests::client::Client;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;

const ROLES: [Role; 2] = [Role::Oracle, Role::Subject];
/// Microseconds for each key: a save of [`KEYS`] takes longer than any test.
const SLOW: &str = "CONFIG SET rdb-key-save-delay 100000";
const FAST: &str = "CONFIG SET rdb-key-save-delay 0";
const KEYS: &str = "DEBUG POPULATE 10000 key 10";

fn wait_for(client: &mut Client, field: &str, value: &str) -> Result<()> {
    wait_until(&format!("{field} is {value}"), || {
        Ok(persistence(client, field)? == value)
    })
}

/// Nothing is written any more, nor is to be.
fn quiet(client: &mut Client) -> Result<()> {
    for field in [
        "rdb_bgsave_in_progress",
        "aof_rewrite_in_progress",
        "aof_rewrite_scheduled",
    ] {
        wait_for(client, field, "0")?;
    }
    Ok(())
}

/// The replies to some lines, each with its line.
fn replies(client: &mut Client, lines: &[&str]) -> Result<Vec<String>> {
    let one = |line: &&str| Ok(format!("{line} => {}", text(client, line)?));
    lines.iter().map(one).collect()
}

fn same(mut scenario: impl FnMut(Role) -> Result<Vec<String>>) -> Result<()> {
    let [wanted, got] = [ROLES[0], ROLES[1]].map(&mut scenario);
    assert_eq!(got?, wanted?, "left: Holdfast, right: Redis");
    Ok(())
}

fn start(role: Role, more: &[(&str, &str)]) -> Result<Server> {
    let options = Options::new().directive("save", "");
    let options = more
        .iter()
        .fold(options, |options, (name, value)| options.directive(name, value));
    Server::start(role, &options)
}

#[test]
fn while_a_snapshot_is_written() -> Result<()> {
    same(|role| {
        let server = start(role, &[("appendonly", "yes")])?;
        let mut client = server.connect()?;
        quiet(&mut client)?;
        client.command(KEYS)?;
        let saves = |client: &mut Client| persistence(client, "rdb_saves");
        let (saved, before) = (saves(&mut client).ok(), text(&mut client, "LASTSAVE")?);
        let mut told = replies(&mut client, &[SLOW, "BGSAVE"])?;
        wait_for(&mut client, "rdb_bgsave_in_progress", "1")?;
        told.extend(replies(
            &mut client,
            &[
                "BGSAVE",
                "BGSAVE SCHEDULE",
                "SAVE",
                "BGREWRITEAOF",
                "BGREWRITEAOF",
                "SET written meanwhile",
                "MULTI",
                "BGSAVE SCHEDULE",
                "BGREWRITEAOF",
                "EXEC",
            ],
        )?);
        told.push(persistence(&mut client, "aof_rewrite_scheduled")?);
        ensure!(text(&mut client, "LASTSAVE")? == before, "nothing has been saved");
        client.command(FAST)?;
        if role == Role::Oracle {
            // Its child has the delay of its beginning.
            end_child(&server)?;
        }
        quiet(&mut client)?;
        told.push(persistence(&mut client, "aof_last_bgrewrite_status")?);
        told.push(text(&mut client, "GET written")?);
        if let Some(saved) = saved {
            told.push(format!(
                "{}",
                saves(&mut client)? != saved || role == Role::Oracle
            ));
        }
        Ok(told)
    })
}

/// Ends a child that saves, as Redis does by itself at SHUTDOWN.
fn end_child(server: &Server) -> Result<()> {
    let pid = server.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    for child in children.split_whitespace() {
        let done = std::process::Command::new("kill")
            .args(["-USR1", child])
            .status()?;
        ensure!(done.success());
    }
    Ok(())
}

#[test]
fn while_the_append_only_file_is_rewritten() -> Result<()> {
    same(|role| {
        let server = start(role, &[("appendonly", "yes")])?;
        let mut client = server.connect()?;
        quiet(&mut client)?;
        client.command(KEYS)?;
        let mut told = replies(&mut client, &[SLOW, "BGREWRITEAOF"])?;
        wait_for(&mut client, "aof_rewrite_in_progress", "1")?;
        told.extend(replies(
            &mut client,
            &[
                "BGREWRITEAOF",
                "BGSAVE",
                "BGSAVE SCHEDULE",
                "MULTI",
                "BGREWRITEAOF",
                "EXEC",
                "SET written meanwhile",
            ],
        )?);
        client.command(FAST)?;
        if role == Role::Oracle {
            end_child(&server)?;
        }
        quiet(&mut client)?;
        // The save that was put off comes by itself.
        wait_for(&mut client, "rdb_changes_since_last_save", "0")?;
        quiet(&mut client)?;
        told.push(persistence(&mut client, "rdb_last_bgsave_status")?);
        told.push(text(&mut client, "GET written")?);
        Ok(told)
    })
}

/// A directory stands where the file is to be.
fn block(dir: &Path, name: &str) -> Result<()> {
    std::fs::create_dir(dir.join(name))?;
    std::fs::write(dir.join(name).join("in-the-way"), "")?;
    Ok(())
}

#[test]
fn on_a_disk_that_fails() -> Result<()> {
    same(|role| {
        let server = start(role, &[("save", "3600 1000000")])?;
        let mut client = server.connect()?;
        let mut told = replies(&mut client, &["SET k v"])?;
        let before = text(&mut client, "LASTSAVE")?;
        block(server.dir(), "dump.rdb")?;
        told.extend(replies(&mut client, &["SAVE", "SET k w", "BGSAVE"])?);
        wait_for(&mut client, "rdb_last_bgsave_status", "err")?;
        quiet(&mut client)?;
        told.extend(replies(
            &mut client,
            &["SET k x", "GET k", "SAVE", "PING", "BGREWRITEAOF"],
        )?);
        quiet(&mut client)?;
        ensure!(text(&mut client, "LASTSAVE")? == before, "nothing has been saved");
        std::fs::remove_dir_all(server.dir().join("dump.rdb"))?;
        told.extend(replies(&mut client, &["SAVE", "SET k y", "BGSAVE SCHEDULE"])?);
        quiet(&mut client)?;
        told.push(persistence(&mut client, "rdb_last_bgsave_status")?);
        Ok(told)
    })
}

#[test]
fn a_rewrite_that_fails_is_told_and_the_file_goes_on() -> Result<()> {
    same(|role| {
        let server = start(role, &[("appendonly", "yes")])?;
        let mut client = server.connect()?;
        quiet(&mut client)?;
        let mut told = replies(&mut client, &["SET k v"])?;
        block(&server.dir().join("appendonlydir"), "appendonly.aof.2.base.rdb")?;
        told.extend(replies(&mut client, &["BGREWRITEAOF"])?);
        wait_for(&mut client, "aof_last_bgrewrite_status", "err")?;
        quiet(&mut client)?;
        told.extend(replies(&mut client, &["SET k w", "BGSAVE"])?);
        quiet(&mut client)?;
        std::fs::remove_dir_all(server.dir().join("appendonlydir/appendonly.aof.2.base.rdb"))?;
        told.extend(replies(&mut client, &["BGREWRITEAOF"])?);
        wait_for(&mut client, "aof_last_bgrewrite_status", "ok")?;
        quiet(&mut client)?;
        told.extend(replies(&mut client, &["DEBUG LOADAOF", "GET k"])?);
        Ok(told)
    })
}
