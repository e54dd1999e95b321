//! FAILOVER: a replica takes over, and no acknowledged write is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use holdfast_tests::ask::{digest, info};
use holdfast_tests::failover::{Plan, campaign, fail_over};
use holdfast_tests::replication::{follow, wait_for_link, wait_for_sync};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;
use nix::sys::signal::Signal;

fn error(text: &str) -> Reply {
    Reply::Error(text.into())
}

fn start(role: Role) -> Result<Server> {
    Server::start(role, &Options::new().directive("repl-diskless-sync-delay", "0"))
}

/// The first has the second as its replica.
fn pair(first: Role, second: Role) -> Result<(Server, Server)> {
    let (primary, replica) = (start(first)?, start(second)?);
    follow(&replica, primary.address())?;
    wait_for_link(&replica)?;
    let mut client = primary.connect()?;
    client.command("SET first 1")?;
    assert_eq!(client.command("WAIT 1 20000")?, Reply::Integer(1));
    Ok((primary, replica))
}

#[test]
fn roles_swap_and_nobody_needs_a_snapshot() -> Result<()> {
    for (first, second) in [
        (Role::Subject, Role::Subject),
        (Role::Subject, Role::Oracle),
        (Role::Oracle, Role::Subject),
    ] {
        let (a, b) = pair(first, second)?;
        for round in 0..4 {
            let (old, new) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
            fail_over(old, new)?;
            wait_for_link(old)?;
            let mut client = new.connect()?;
            assert_eq!(client.command(&format!("SET round {round}"))?, Reply::ok());
            assert_eq!(client.command("WAIT 1 20000")?, Reply::Integer(1));
            let mut behind = old.connect()?;
            assert_eq!(
                behind.command("GET round")?,
                Reply::Bulk(round.to_string().into_bytes())
            );
            assert!(
                behind.command("SET round x")?.is_error(),
                "a replica takes no writes"
            );
        }
        let (full_a, full_b) = (
            info(&mut a.connect()?, "stats", "sync_full")?,
            info(&mut b.connect()?, "stats", "sync_full")?,
        );
        assert_eq!(
            (full_a.as_str(), full_b.as_str()),
            ("1", "0"),
            "{}\n{}",
            a.log(),
            b.log()
        );
        assert_eq!(digest(&mut a.connect()?)?, digest(&mut b.connect()?)?);
    }
    Ok(())
}

/// The long form: `cargo run -p holdfast-tests --bin failover`.
#[test]
fn no_acknowledged_write_is_lost() -> Result<()> {
    let plan = Plan {
        role: Role::Subject,
        failovers: 6,
        writers: 4,
        keys: 1000,
    };
    let report = campaign(plan)?;
    assert!(report.acked > 4 * 6 * 200, "{} writes", report.acked);
    assert_eq!(report.took.len(), 6);
    assert!(report.lost.is_empty(), "{:?}", report.lost);
    assert_eq!(report.full_syncs, 1, "the first");
    // Each client has noted how long it stood still.
    assert!(report.pauses.len() == 24 && report.pauses.iter().all(|p| !p.is_zero()));
    Ok(())
}

/// Functions are logged without any key being locked.
#[test]
fn no_acknowledged_function_is_lost() -> Result<()> {
    let (a, b) = pair(Role::Subject, Role::Subject)?;
    let stop = AtomicBool::new(false);
    let loaders: Vec<Vec<String>> = std::thread::scope(|scope| {
        let load = |loader: usize, (a, b, stop): (&Server, &Server, &AtomicBool)| -> Result<Vec<String>> {
            let mut clients = [a.connect()?, b.connect()?];
            let (mut loaded, mut at) = (Vec::new(), 0);
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("lib_{loader}_{n}");
                let code = format!(
                    "#!lua name={name}\nredis.register_function('f_{loader}_{n}', function() return {n} end)"
                );
                let reply = clients[at].call(&["FUNCTION", "LOAD", &code])?;
                if reply == Reply::Bulk(name.clone().into_bytes()) {
                    loaded.push(name);
                } else {
                    let text = reply.lines().join(" ");
                    ensure!(text.starts_with("-READONLY"), "{text}");
                    at = 1 - at;
                }
            }
            Ok(loaded)
        };
        let threads: Vec<_> = (0..2)
            .map(|loader| {
                let shared = (&a, &b, &stop);
                scope.spawn(move || load(loader, shared))
            })
            .collect();
        let swapped = (0..4).try_for_each(|round| -> Result<()> {
            let (old, new) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
            let mut client = new.connect()?;
            let before = info(&mut client, "replication", "master_repl_offset")?;
            wait_until("functions are loaded", || {
                Ok(info(&mut client, "replication", "master_repl_offset")? != before)
            })?;
            fail_over(old, new)?;
            wait_for_link(old)
        });
        stop.store(true, Ordering::Relaxed);
        let loaded: Result<Vec<_>> = threads.into_iter().map(|t| t.join().expect("no panic")).collect();
        swapped.and(loaded)
    })?;
    wait_for_sync(&a, &b)?;
    for server in [&a, &b] {
        let mut client = server.connect()?;
        for name in loaders.iter().flatten() {
            let found = client.command(&format!("FUNCTION LIST LIBRARYNAME {name}"))?;
            assert_ne!(found, Reply::Array(Vec::new()), "{name} is lost");
        }
    }
    assert!(loaders.iter().all(|loaded| loaded.len() > 4));
    assert_eq!(info(&mut b.connect()?, "stats", "sync_full")?, "0", "{}", b.log());
    Ok(())
}

#[test]
fn writes_wait_until_the_target_is_there_or_the_time_is_over() -> Result<()> {
    let (a, b) = pair(Role::Subject, Role::Oracle)?;
    let mut client = a.connect()?;
    let port = b.address().port();
    for (command, text) in [
        (
            "FAILOVER TO 127.0.0.1 1",
            "ERR FAILOVER target HOST and PORT is not a replica.",
        ),
        (
            "FAILOVER FORCE",
            "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
        ),
        ("FAILOVER ABORT", "ERR No failover in progress."),
    ] {
        assert_eq!(client.command(command)?, error(text), "{command}");
    }
    assert_eq!(
        b.connect()?.command("FAILOVER")?,
        error("ERR FAILOVER is not valid when server is a replica.")
    );
    // A replica that stands still does not acknowledge.
    b.signal(Signal::SIGSTOP)?;
    client.command("SET ahead 1")?;
    assert_eq!(
        client.command(&format!("FAILOVER TO 127.0.0.1 {port}"))?,
        Reply::ok()
    );
    assert_eq!(
        info(&mut client, "replication", "master_failover_state")?,
        "waiting-for-sync"
    );
    assert_eq!(
        client.command("FAILOVER")?,
        error("ERR FAILOVER already in progress.")
    );
    let mut waits = a.connect()?;
    waits.send(&["SET", "waits", "1"])?;
    assert_eq!(
        client.command("GET first")?,
        Reply::Bulk(b"1".to_vec()),
        "reads go on"
    );
    assert!(waits.receive_within(Duration::from_millis(50))?.is_none());
    assert_eq!(
        client.command("CLIENT UNPAUSE")?,
        Reply::ok(),
        "that is another pause"
    );
    assert!(waits.receive_within(Duration::from_millis(50))?.is_none());
    assert_eq!(
        client.command("REPLICAOF 127.0.0.1 1")?,
        error("ERR REPLICAOF not allowed while failing over.")
    );
    assert_eq!(client.command("FAILOVER ABORT")?, Reply::ok());
    assert_eq!(waits.receive()?, Reply::ok());
    assert_eq!(info(&mut client, "replication", "role")?, "master");
    assert_eq!(
        client.command(&format!("FAILOVER TO 127.0.0.1 {port} TIMEOUT 50"))?,
        Reply::ok()
    );
    waits.send(&["SET", "waits", "2"])?;
    assert_eq!(waits.receive()?, Reply::ok(), "it is given up");
    assert_eq!(info(&mut client, "replication", "role")?, "master");
    b.signal(Signal::SIGCONT)?;
    assert_eq!(client.command("WAIT 1 20000")?, Reply::Integer(1));
    assert_eq!(b.connect()?.command("GET waits")?, Reply::Bulk(b"2".to_vec()));
    Ok(())
}
