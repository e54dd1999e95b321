//! The end of a server that has replicas: it waits for them, and SHUTDOWN ABORT calls it off; as in 7.0.15.

use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_tests::ask::info;
use holdfast_tests::client::Client;
use holdfast_tests::replication::{follow, wait_for_link};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;
use nix::sys::signal::Signal;

const ERRORS: &str = "-ERR Errors trying to SHUTDOWN. Check logs.";

/// A primary whose replica stands still and lacks a write.
fn pair(role: Role) -> Result<(Server, Server)> {
    let options = Options::new()
        .directive("repl-diskless-sync-delay", "0")
        .directive("shutdown-timeout", "3600");
    let (primary, replica) = (
        Server::start(role, &options)?,
        Server::start(Role::Oracle, &options)?,
    );
    follow(&replica, primary.address())?;
    wait_for_link(&replica)?;
    let mut client = primary.connect()?;
    client.command("SET first 1")?;
    assert_eq!(client.command("WAIT 1 30000")?, Reply::Integer(1));
    replica.signal(Signal::SIGSTOP)?;
    client.command("SET second 2")?;
    Ok((primary, replica))
}

fn wait_for_the_end(client: &mut Client, waits: bool) -> Result<()> {
    wait_until("it waits for its replicas, or no more", || {
        let left = info(client, "server", "shutdown_in_milliseconds")?;
        Ok(left.parse::<u64>().is_ok_and(|ms| ms > 0 && ms <= 3_600_000) == waits)
    })
}

/// 7.0.15 is not asked here: it crashed once when two clients had asked for its end and were told to go on. The cause is unknown.
#[test]
fn an_end_that_waits_for_replicas_is_called_off() -> Result<()> {
    let (primary, replica) = pair(Role::Subject)?;
    let mut client = primary.connect()?;
    let none = "-ERR No shutdown in progress.";
    assert_eq!(client.command("SHUTDOWN ABORT")?.lines().join(" "), none);
    let syntax = client.command("SHUTDOWN ABORT NOW")?.lines().join(" ");
    assert_eq!(syntax, "-ERR syntax error");
    let mut asks = [primary.connect()?, primary.connect()?];
    asks[0].send(&["SHUTDOWN"])?;
    wait_for_the_end(&mut client, true)?;
    // There is one end at a time.
    asks[1].send(&["SHUTDOWN", "NOW"])?;
    let mut writes = primary.connect()?;
    writes.send(&["SET", "third", "3"])?;
    wait_until("two wait for the end, and one for leave to write", || {
        let list = client.command("CLIENT LIST")?.lines().join(" ");
        Ok(list.matches("cmd=shutdown").count() == 2 && list.contains("cmd=set "))
    })?;
    assert_eq!(
        client.command("GET second")?,
        Reply::Bulk(b"2".to_vec()),
        "reads go on"
    );
    // That is another pause.
    assert_eq!(client.command("CLIENT UNPAUSE")?, Reply::ok());
    assert!(writes.receive_within(Duration::from_millis(100))?.is_none());
    assert!(asks[1].receive_within(Duration::ZERO)?.is_none());
    assert_eq!(client.command("SHUTDOWN ABORT")?, Reply::ok());
    assert_eq!(writes.receive()?, Reply::ok());
    for ask in &mut asks {
        assert_eq!(ask.receive()?.lines().join(" "), ERRORS);
        let pong = ask.command("PING").with_context(|| primary.log())?;
        assert_eq!(pong, Reply::Simple(b"PONG".to_vec()));
    }
    wait_for_the_end(&mut client, false)?;
    assert_eq!(client.command("SHUTDOWN ABORT")?.lines().join(" "), none);
    wait_until("the log says so", || {
        Ok(primary.log().contains("Shutdown manually aborted."))
    })?;

    // A signal's is called off as well.
    primary.signal(Signal::SIGTERM)?;
    wait_for_the_end(&mut client, true)?;
    assert_eq!(client.command("SHUTDOWN ABORT")?, Reply::ok());
    assert_eq!(client.command("SET fourth 4")?, Reply::ok());

    // And in the end it ends, when the replica has everything.
    asks[0].send(&["SHUTDOWN", "NOSAVE"])?;
    wait_for_the_end(&mut client, true)?;
    replica.signal(Signal::SIGCONT)?;
    drop((client, writes, asks));
    primary.wait_for_end()?;
    assert_eq!(
        replica.connect()?.command("MGET second third fourth")?,
        Reply::Array(["2", "3", "4"].map(|n| Reply::Bulk(n.into())).into())
    );
    Ok(())
}

#[test]
fn a_pause_of_a_client_outlives_an_end_that_is_called_off() -> Result<()> {
    for role in [Role::Subject, Role::Oracle] {
        let (primary, _replica) = pair(role)?;
        let mut client = primary.connect()?;
        assert_eq!(client.command("CLIENT PAUSE 3600000 WRITE")?, Reply::ok());
        let mut asks = primary.connect()?;
        asks.send(&["SHUTDOWN"])?;
        wait_for_the_end(&mut client, true)?;
        assert_eq!(client.command("SHUTDOWN ABORT")?, Reply::ok());
        assert_eq!(asks.receive()?.lines().join(" "), ERRORS);
        let again = client.command("SHUTDOWN ABORT")?.lines().join(" ");
        assert_eq!(again, "-ERR No shutdown in progress.");
        let mut writes = primary.connect()?;
        writes.send(&["SET", "third", "3"])?;
        assert!(writes.receive_within(Duration::from_millis(100))?.is_none());
        assert_eq!(client.command("CLIENT UNPAUSE")?, Reply::ok());
        assert_eq!(writes.receive()?, Reply::ok());
    }
    Ok(())
}

#[test]
fn who_lags_at_the_end_is_named() -> Result<()> {
    for role in [Role::Subject, Role::Oracle] {
        let (primary, replica) = pair(role)?;
        let mut client = primary.connect()?;
        assert_eq!(client.command("CONFIG SET shutdown-timeout 1")?, Reply::ok());
        client.send(&["SHUTDOWN"])?;
        let lags = format!("Lagging replica {} reported offset ", replica.address());
        wait_until("the log says so", || {
            let log = primary.log();
            let all = [
                &lags,
                " behind master, lag=",
                "0 of 1 replicas are in sync when shutting down.",
            ];
            Ok(all.iter().all(|part| log.contains(part)))
        })
        .with_context(|| primary.log())?;
        primary.wait_for_end()?;
    }
    Ok(())
}
