//! A replica with an append-only file of its own: a full synchronization replaces what the file holds, and a restart finds
//! the primary's data and what came after them, whoever the primary is.

use std::path::Path;

use anyhow::{Result, ensure};
use holdfast_tests::ask::{info, text};
use holdfast_tests::client::Client;
use holdfast_tests::datasets::fill;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;
use tempfile::TempDir;

fn with_file(dir: &Path, policy: &str) -> Options {
    Options::new()
        .dir(dir)
        .directive("appendonly", "yes")
        .directive("appendfsync", policy)
        .directive("save", "")
}

/// The replica has all that the primary has, and its file has a base of that.
fn in_step(primary: &mut Client, replica: &mut Client) -> Result<()> {
    wait_until("the replica is in step", || {
        Ok(info(replica, "replication", "master_link_status")? == "up"
            && info(replica, "replication", "slave_repl_offset")?
                == info(primary, "replication", "master_repl_offset")?)
    })?;
    wait_until("the file has a new base", || {
        Ok(info(replica, "persistence", "aof_enabled")? == "1"
            && info(replica, "persistence", "aof_rewrite_in_progress")? == "0"
            && info(replica, "persistence", "aof_rewrite_scheduled")? == "0"
            && info(replica, "persistence", "aof_last_bgrewrite_status")? == "ok")
    })
}

#[test]
fn a_restart_after_a_full_synchronization_finds_the_new_data() -> Result<()> {
    for (role, policy) in [
        (Role::Subject, "always"),
        (Role::Subject, "everysec"),
        (Role::Oracle, "always"),
    ] {
        let primary = Server::start(role, &Options::new().directive("save", ""))?;
        let mut source = primary.connect()?;
        fill(&mut source)?;
        let dir = TempDir::new()?;
        let replica = Server::start(Role::Subject, &with_file(dir.path(), policy))?;
        let mut client = replica.connect()?;
        for line in ["SET of-before 1", "RPUSH list of before", "WAITAOF 1 0 60000"] {
            ensure!(!client.command(line)?.is_error(), "{line}");
        }
        client.command(&format!("REPLICAOF 127.0.0.1 {}", primary.address().port()))?;
        in_step(&mut source, &mut client)?;
        for line in ["SET behind the-base", "SELECT 3", "INCR elsewhere", "SELECT 0"] {
            ensure!(!source.command(line)?.is_error(), "{line}");
        }
        in_step(&mut source, &mut client)?;
        let digest = text(&mut source, "DEBUG DIGEST")?;
        assert_eq!(text(&mut client, "DEBUG DIGEST")?, digest, "{role:?} {policy}");
        if role == Role::Subject {
            // What the replica says that it has synced survives the worst.
            assert_eq!(text(&mut source, "SET last 1")?, "+OK");
            assert_eq!(text(&mut source, "WAITAOF 0 1 60000")?, "*2   :0   :1");
            let digest = text(&mut source, "DEBUG DIGEST")?;
            replica.kill()?;
            found(dir.path(), policy, &digest)?;
        } else {
            replica.terminate()?;
            found(dir.path(), policy, &digest)?;
        }
    }
    Ok(())
}

/// A server on its own, of either kind, finds these data in the file.
fn found(dir: &Path, policy: &str, digest: &str) -> Result<()> {
    for reader in [Role::Oracle, Role::Subject] {
        let server = Server::start(reader, &with_file(dir, policy))?;
        let mut client = server.connect()?;
        assert_eq!(text(&mut client, "DEBUG DIGEST")?, digest, "{reader:?}");
        assert_eq!(text(&mut client, "EXISTS of-before")?, ":0");
        server.terminate()?;
    }
    Ok(())
}

#[test]
fn who_is_killed_while_it_synchronizes_finds_the_old_data_or_the_new() -> Result<()> {
    let primary = Server::start(Role::Subject, &Options::new().directive("save", ""))?;
    let mut source = primary.connect()?;
    source.command("DEBUG POPULATE 20000 new 100")?;
    let new = text(&mut source, "DEBUG DIGEST")?;
    // At one moment after the other on the way: when it begins, while it is loaded, when it is in place.
    for moment in [
        "master_sync_in_progress:1",
        "async_loading:1",
        "master_link_status:up",
    ] {
        let dir = TempDir::new()?;
        let replica = Server::start(Role::Subject, &with_file(dir.path(), "always"))?;
        let mut client = replica.connect()?;
        ensure!(text(&mut client, "SET old 1")? == "+OK");
        let old = text(&mut client, "DEBUG DIGEST")?;
        if moment != "master_link_status:up" {
            // A second for each key: it does not come to its end.
            client.command("CONFIG SET key-load-delay 1000000")?;
        }
        client.command(&format!("REPLICAOF 127.0.0.1 {}", primary.address().port()))?;
        wait_until(moment, || {
            let all = client.command("INFO")?;
            Ok(all.text().is_some_and(|text| text.contains(moment)))
        })?;
        replica.kill()?;
        let server = Server::start(Role::Subject, &with_file(dir.path(), "always"))?;
        let now = text(&mut server.connect()?, "DEBUG DIGEST")?;
        assert!(
            now == old || now == new,
            "{moment}: {now} is neither {old} nor {new}"
        );
        if moment != "master_link_status:up" {
            assert_eq!(now, old, "{moment}: nothing of the new data counted yet");
        }
        server.terminate()?;
    }
    Ok(())
}
