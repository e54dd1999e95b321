//! A primary that ends in order and starts again from its snapshot: its replicas go on where they were. After a crash, when
//! they have more than the file, they do not.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use holdfast_tests::ask::{info, number};
use holdfast_tests::datasets::fill;
use holdfast_tests::replication::{assert_same, follow, wait_for_link, wait_for_sync};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;

fn options() -> Options {
    Options::new()
        .directive("repl-diskless-sync-delay", "0")
        // Nothing that comes by itself may stand behind what is in the file.
        .directive("repl-ping-replica-period", "1")
}

fn replication(server: &Server, field: &str) -> Result<String> {
    info(&mut server.connect()?, "replication", field)
}

fn stat(server: &Server, field: &str) -> Result<u64> {
    number(&mut server.connect()?, "stats", field)
}

fn now_ms() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis())
}

/// Has everything of a primary saved and ends it.
fn end(primary: Server) -> Result<()> {
    primary.connect()?.send(&["SHUTDOWN", "SAVE"])?;
    primary.wait_for_end()
}

fn a_restart(first: Role, second: Role, at: Role) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("holdfast-restart-").tempdir()?;
    let primary = Server::start(first, &options().dir(dir.path()))?;
    let replica = Server::start(at, &options())?;
    let mut client = primary.connect()?;
    fill(&mut client)?;
    follow(&replica, primary.address())?;
    wait_for_link(&replica)?;
    // These are in the file when their time is over.
    for server in [&primary, &replica] {
        server.connect()?.command("DEBUG SET-ACTIVE-EXPIRE 0")?;
    }
    let over = now_ms() + 1500;
    for i in 0..300 {
        client.command(&format!("SET short{i} v PXAT {over}"))?;
    }
    client.command("SELECT 3")?;
    client.command(&format!("SET short v PXAT {over}"))?;
    assert_eq!(client.command("WAIT 1 30000")?, Reply::Integer(1));
    let keys = |server: &Server, db: u32| -> Result<Option<i64>> {
        let mut client = server.connect()?;
        client.command(&format!("SELECT {db}"))?;
        Ok(client.command("DBSIZE")?.integer())
    };
    let before = keys(&replica, 0)?.context("a number")?;
    let id = replication(&primary, "master_replid")?;
    end(primary)?;
    wait_until("the time of some keys is over", || Ok(now_ms() > over + 10))?;

    let again = Server::start(second, &options().dir(dir.path()))?;
    assert_eq!(replication(&again, "master_replid2")?, id, "{}", again.log());
    assert_ne!(replication(&again, "master_replid")?, id);
    assert_eq!(replication(&again, "repl_backlog_active")?, "1");
    follow(&replica, again.address())?;
    wait_for_link(&replica)?;
    assert_same(&again, &replica)?;
    assert_eq!(
        stat(&again, "sync_full")?,
        0,
        "{}\n{}",
        again.log(),
        replica.log()
    );
    assert_eq!(stat(&again, "sync_partial_ok")?, 1);
    // What the file's reader left out is gone there, too.
    assert_eq!(keys(&replica, 0)?, Some(before - 300), "{}", again.log());
    assert_eq!(
        (keys(&again, 0)?, keys(&replica, 3)?),
        (Some(before - 300), Some(0))
    );
    let mut client = again.connect()?;
    client.command("SELECT 5")?;
    client.command("SET after 1")?;
    assert_same(&again, &replica)
}

#[test]
fn replicas_of_both_kinds_go_on_when_their_primary_starts_again() -> Result<()> {
    a_restart(Role::Subject, Role::Subject, Role::Subject)?;
    a_restart(Role::Subject, Role::Subject, Role::Oracle)
}

#[test]
fn a_binary_is_changed_for_the_other_and_the_replicas_go_on() -> Result<()> {
    a_restart(Role::Oracle, Role::Subject, Role::Oracle)?;
    a_restart(Role::Oracle, Role::Subject, Role::Subject)
}

/// A replica's file says where in its primary's history it is: started as a primary, it is one whom the others can follow.
#[test]
fn a_replica_that_starts_as_a_primary_is_followed_by_the_others() -> Result<()> {
    for other in [Role::Subject, Role::Oracle] {
        let dir = tempfile::Builder::new().prefix("holdfast-restart-").tempdir()?;
        let primary = Server::start(Role::Subject, &options())?;
        let chosen = Server::start(Role::Subject, &options().dir(dir.path()))?;
        let behind = Server::start(other, &options())?;
        for replica in [&chosen, &behind] {
            follow(replica, primary.address())?;
            wait_for_link(replica)?;
        }
        let mut client = primary.connect()?;
        client.command("CONFIG SET repl-ping-replica-period 3600")?;
        for i in 0..100 {
            client.command(&format!("SET k{i} {i}"))?;
        }
        wait_for_sync(&primary, &chosen)?;
        wait_for_sync(&primary, &behind)?;
        primary.kill()?;
        end(chosen)?;
        let chosen = Server::start(Role::Subject, &options().dir(dir.path()))?;
        follow(&behind, chosen.address())?;
        wait_for_link(&behind)?;
        chosen.connect()?.command("SET own 1")?;
        assert_same(&chosen, &behind)?;
        assert_eq!(stat(&chosen, "sync_full")?, 0, "{}", chosen.log());
    }
    Ok(())
}

#[test]
fn replicas_that_have_more_than_the_file_begin_anew() -> Result<()> {
    for at in [Role::Subject, Role::Oracle] {
        let dir = tempfile::Builder::new().prefix("holdfast-restart-").tempdir()?;
        let primary = Server::start(Role::Subject, &options().dir(dir.path()))?;
        let replica = Server::start(at, &options())?;
        follow(&replica, primary.address())?;
        wait_for_link(&replica)?;
        let mut client = primary.connect()?;
        client.command("SET kept 1")?;
        assert_eq!(client.command("SAVE")?, Reply::ok());
        client.command("SET lost 1")?;
        assert_eq!(client.command("WAIT 1 30000")?, Reply::Integer(1));
        primary.kill()?;
        let again = Server::start(Role::Subject, &options().dir(dir.path()))?;
        follow(&replica, again.address())?;
        wait_for_link(&replica)?;
        again.connect()?.command("SET later 1")?;
        assert_same(&again, &replica)?;
        assert_eq!(stat(&again, "sync_full")?, 1, "{}", again.log());
        let mut client = replica.connect()?;
        assert_eq!(client.command("EXISTS kept later")?, Reply::Integer(2));
        assert_eq!(client.command("EXISTS lost")?, Reply::Integer(0));
    }
    Ok(())
}

/// A server that nobody follows has no history to go on with, as 7.0.15: its offset begins at 0 again.
#[test]
fn a_server_without_replicas_starts_without_a_history() -> Result<()> {
    for role in [Role::Oracle, Role::Subject] {
        let dir = tempfile::Builder::new().prefix("holdfast-restart-").tempdir()?;
        let server = Server::start(role, &options().dir(dir.path()))?;
        server.connect()?.command("SET a 1")?;
        end(server)?;
        let server = Server::start(role, &options().dir(dir.path()))?;
        assert_eq!(server.connect()?.command("GET a")?, Reply::Bulk(b"1".to_vec()));
        assert_eq!(replication(&server, "master_repl_offset")?, "0");
        assert_eq!(replication(&server, "master_replid2")?, "0".repeat(40));
        assert_eq!(replication(&server, "repl_backlog_active")?, "0");
        assert_eq!(replication(&server, "second_repl_offset")?, "-1");
    }
    Ok(())
}
