//! Replicas of the server under test: `redis-server` 7.0 follows it in every way that it knows.

use std::time::Duration;

use anyhow::{Result, ensure};
use holdfast_tests::ask::{self, digest};
use holdfast_tests::client::Client;
use holdfast_tests::datasets;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::{look_for, wait_until};
use nix::sys::signal::Signal;

fn info(client: &mut Client, field: &str) -> Result<String> {
    ask::info(client, "everything", field)
}

fn number(client: &mut Client, field: &str) -> Result<u64> {
    ask::number(client, "everything", field)
}

fn primary(options: Options) -> Result<Server> {
    Server::start(Role::Subject, &options.directive("repl-diskless-sync-delay", "0"))
}

fn redis(options: Options) -> Result<Server> {
    let options = options.directive("repl-diskless-sync-delay", "0");
    Server::start(Role::Oracle, &options)
}

fn follow(replica: &Server, primary: &Server) -> Result<Client> {
    let mut client = replica.connect()?;
    let port = primary.address().port();
    let reply = client.command(&format!("REPLICAOF 127.0.0.1 {port}"))?;
    ensure!(!reply.is_error(), "{reply:?}");
    wait_until("the link comes up", || {
        Ok(info(&mut client, "master_link_status")? == "up")
    })?;
    Ok(client)
}

/// Waits until the replica has everything, and holds its data to the primary's.
fn same(primary: &mut Client, replica: &mut Client) -> Result<()> {
    wait_until("the replica has everything", || {
        let end = number(primary, "master_repl_offset")?;
        Ok(number(replica, "slave_repl_offset")? >= end)
    })?;
    let (ours, theirs) = (digest(primary)?, digest(replica)?);
    ensure!(ours == theirs, "{ours} here, {theirs} there");
    ensure!(ours != "0".repeat(40), "there are data");
    Ok(())
}

fn fill(client: &mut Client) -> Result<()> {
    datasets::fill(client)?;
    datasets::load_library(client)?;
    client.command("DEBUG POPULATE 20000 key 30")?;
    client.command("SELECT 7")?;
    client.command("SET elsewhere 1 PXAT 9999999999998")?;
    client.command("SELECT 0")?;
    Ok(())
}

/// Changes of every kind that a log has: relative times, random choices, transactions, scripts, other databases, expiry.
fn change(client: &mut Client, round: usize) -> Result<()> {
    for line in [
        "INCR counter",
        "SADD s 1 2 3 4 5 6 7 8 9",
        "SPOP s 3",
        "SRANDMEMBER s",
        "RPUSH l a b c d",
        "LPOP l 2",
        "SET soon x PX 30",
        "SET later x EX 1000",
        "GETEX later EX 2000",
        "INCRBYFLOAT f 1.1",
        "XADD x MAXLEN 5 * a b",
        "MULTI",
        "SET a 1",
        "SELECT 3",
        "SET b 2",
        "SELECT 0",
        "EXEC",
        "EVAL \"redis.call('set', KEYS[1], ARGV[1]); return redis.call('incr', KEYS[1])\" 1 e 41",
        "FCALL f 0",
        "RENAME a a2",
        "MOVE a2 9",
        "HSET h f 1 g 2",
        "HINCRBYFLOAT h f 0.5",
        "PFADD p a b c",
        "SETRANGE r 100 x",
        "COPY l l2",
        "SORT l2 ALPHA STORE l3",
        "ZADD z 1 a 2 b 3 c",
        "ZPOPMIN z",
        "SETEX gone 1 x",
        "PEXPIRE gone 20",
    ] {
        let reply = client.command(line)?;
        assert!(!reply.is_error(), "{line}: {reply:?}");
    }
    client.command(&format!("SET round:{round} {round}"))?;
    Ok(())
}

#[test]
fn redis_follows_with_a_snapshot_from_memory_and_from_disk() -> Result<()> {
    for (load, diskless) in [("disabled", "yes"), ("swapdb", "yes"), ("disabled", "no")] {
        let primary = primary(Options::new().directive("repl-diskless-sync", diskless))?;
        let mut ours = primary.connect()?;
        fill(&mut ours)?;
        let replica = redis(Options::new().directive("repl-diskless-load", load))?;
        let mut theirs = follow(&replica, &primary)?;
        same(&mut ours, &mut theirs)?;
        for round in 0..30 {
            change(&mut ours, round)?;
        }
        assert_eq!(ours.command("WAIT 1 20000")?, Reply::Integer(1));
        wait_until("what is over is gone here", || {
            Ok(ours.command("EXISTS soon gone")? == Reply::Integer(0))
        })?;
        same(&mut ours, &mut theirs)?;
        assert_eq!(theirs.command("FUNCTION LIST")?, ours.command("FUNCTION LIST")?);
        assert_eq!(number(&mut ours, "sync_full")?, 1);
        let line = info(&mut ours, "slave0")?;
        let port = replica.address().port();
        assert!(
            line.starts_with(&format!("ip=127.0.0.1,port={port},state=online,offset=")),
            "{line}"
        );
        let role = ours.command("ROLE")?;
        let replicas = role.elements().unwrap_or_default()[2]
            .elements()
            .unwrap_or_default();
        assert_eq!(replicas.len(), 1, "{role:?}");
        let listed = ours.command("CLIENT LIST TYPE replica")?;
        assert!(
            listed.text().unwrap_or_default().contains(" flags=S "),
            "{listed:?}"
        );
    }
    Ok(())
}

#[test]
fn a_replica_goes_on_where_it_was() -> Result<()> {
    let primary = primary(Options::new())?;
    let mut ours = primary.connect()?;
    fill(&mut ours)?;
    let replica = redis(Options::new())?;
    let mut theirs = follow(&replica, &primary)?;
    for round in 0..20 {
        change(&mut ours, round)?;
        assert_eq!(ours.command("CLIENT KILL TYPE replica")?, Reply::Integer(1));
        change(&mut ours, round)?;
        wait_until("it is back", || {
            Ok(number(&mut ours, "sync_partial_ok")? == round as u64 + 1)
        })?;
    }
    assert_eq!(ours.command("WAIT 1 20000")?, Reply::Integer(1));
    same(&mut ours, &mut theirs)?;
    assert_eq!(number(&mut ours, "sync_full")?, 1);
    // What it has missed is not kept any more: it gets everything anew.
    ours.command("CONFIG SET repl-backlog-size 16384")?;
    let port = primary.address().port();
    theirs.command("REPLICAOF 127.0.0.1 1")?;
    for _ in 0..10 {
        ours.call(&["SET", "big", &"x".repeat(60_000)])?;
    }
    theirs.command(&format!("REPLICAOF 127.0.0.1 {port}"))?;
    wait_until("it is back", || {
        Ok(info(&mut theirs, "master_link_status")? == "up")
    })?;
    assert_eq!(number(&mut ours, "sync_full")?, 2);
    ours.command("SET last 1")?;
    assert_eq!(ours.command("WAIT 1 20000")?, Reply::Integer(1));
    same(&mut ours, &mut theirs)
}

#[test]
fn replicas_share_a_snapshot_and_have_replicas_of_their_own() -> Result<()> {
    let options = Options::new().directive("repl-diskless-sync-max-replicas", "2");
    let primary = Server::start(Role::Subject, &options)?;
    let mut ours = primary.connect()?;
    fill(&mut ours)?;
    let (a, b, c) = (
        redis(Options::new())?,
        redis(Options::new())?,
        redis(Options::new())?,
    );
    let port = primary.address().port();
    b.connect()?.command(&format!("REPLICAOF 127.0.0.1 {port}"))?;
    let mut first = follow(&a, &primary)?;
    let mut second = follow(&b, &primary)?;
    let log = primary.log();
    assert_eq!(log.matches("Starting BGSAVE for SYNC").count(), 1, "{log}");
    let mut behind = follow(&c, &a)?;
    for round in 0..10 {
        change(&mut ours, round)?;
    }
    assert_eq!(ours.command("WAIT 2 20000")?, Reply::Integer(2));
    for replica in [&mut first, &mut second, &mut behind] {
        same(&mut ours, replica)?;
    }
    assert_eq!(
        info(&mut behind, "master_replid")?,
        info(&mut ours, "master_replid")?
    );
    // The one in the middle becomes a primary; the one behind it follows it in our history, and goes back to us.
    first.command("REPLICAOF NO ONE")?;
    first.command("SET promoted 1")?;
    wait_until("the one behind is told", || {
        Ok(behind.command("EXISTS promoted")? == Reply::Integer(1))
    })?;
    Ok(())
}

#[test]
fn writes_wait_for_good_replicas() -> Result<()> {
    let primary = primary(Options::new().directive("min-replicas-to-write", "1"))?;
    let mut ours = primary.connect()?;
    let refused = Reply::Error("NOREPLICAS Not enough good replicas to write.".into());
    assert_eq!(ours.command("SET k v")?, refused);
    let reads = ours.command("EVAL \"return redis.call('get', KEYS[1])\" 1 k")?;
    assert!(!reads.is_error(), "{reads:?}");
    let replica = redis(Options::new())?;
    let mut theirs = follow(&replica, &primary)?;
    wait_until("it counts", || Ok(ours.command("SET k v")? == Reply::ok()))?;
    assert_eq!(info(&mut ours, "min_slaves_good_slaves")?, "1");
    theirs.command("REPLICAOF NO ONE")?;
    wait_until("it does not count any more", || {
        Ok(ours.command("SET k v")? == refused)
    })
}

#[test]
fn a_replica_that_stands_still_is_dropped_at_its_limit() -> Result<()> {
    let primary = primary(
        Options::new()
            .directive("client-output-buffer-limit", "replica 4mb 0 0")
            .directive("repl-backlog-size", "65536"),
    )?;
    let mut ours = primary.connect()?;
    fill(&mut ours)?;
    let replicas = [redis(Options::new())?, redis(Options::new())?];
    let mut still = follow(&replicas[0], &primary)?;
    let mut moves = follow(&replicas[1], &primary)?;
    wait_until("both follow", || {
        ours.command("SET k v")?;
        Ok(ours.command("WAIT 2 1000")? == Reply::Integer(2))
    })?;
    replicas[0].signal(Signal::SIGSTOP)?;
    let value = "x".repeat(100_000);
    let mut most = 0;
    for i in 0..400 {
        assert_eq!(
            ours.call(&["SET", &format!("big:{}", i % 10), &value])?,
            Reply::ok()
        );
        // The other one is not to be slower than this connection: one limit holds for both.
        ours.command("WAIT 1 20000")?;
        most = most.max(number(&mut ours, "mem_clients_slaves")?);
    }
    wait_until("it is dropped", || {
        Ok(number(&mut ours, "replicas_dropped_lag")? == 1)
    })?;
    // A tick passes between two looks, and a block is more than a write.
    assert!(most < 16 << 20, "{most} bytes were held for it");
    wait_until("nothing is held any more", || {
        Ok(number(&mut ours, "mem_clients_slaves")? < 1 << 20)
    })?;
    replicas[0].signal(Signal::SIGCONT)?;
    wait_until("it is back", || {
        Ok(number(&mut ours, "sync_full")? == 3 && info(&mut still, "master_link_status")? == "up")
    })?;
    ours.command("SET last 1")?;
    assert_eq!(ours.command("WAIT 2 20000")?, Reply::Integer(2));
    same(&mut ours, &mut still)?;
    same(&mut ours, &mut moves)
}

/// Writes without end on a connection of its own, until told to stop.
fn load(primary: &Server) -> Result<impl FnOnce() -> Result<u64>> {
    let mut client = primary.connect()?;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&stop);
    let thread = std::thread::spawn(move || -> Result<u64> {
        let (mut written, value) = (0u64, "y".repeat(1000));
        while !told.load(std::sync::atomic::Ordering::Relaxed) {
            let batch: Vec<Vec<String>> = (0..20)
                .map(|i| {
                    let key = format!("key:{}", (written * 20 + i) * 7919 % 20_000);
                    vec!["SET".to_owned(), key, value.clone()]
                })
                .collect();
            for reply in client.pipeline(&batch)? {
                ensure!(reply == Reply::ok(), "{reply:?}");
            }
            written += 1;
        }
        Ok(written * 20)
    });
    Ok(move || {
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        thread.join().expect("it does not panic")
    })
}

#[test]
fn writers_are_slowed_for_a_full_synchronization_that_takes_long() -> Result<()> {
    const BUFFER: u64 = 16 << 20;
    let options = Options::new()
        .directive("repl-full-sync-buffer", &BUFFER.to_string())
        .directive("repl-backlog-size", "65536");
    let primary = primary(options)?;
    let mut ours = primary.connect()?;
    ours.command("DEBUG POPULATE 20000 key 2000")?;
    ours.command("DEBUG POPULATE 20000 other 2000")?;
    let replica = redis(Options::new())?;
    let mut theirs = replica.connect()?;
    // Not compressible, so that no socket takes all of the snapshot.
    ours.command("CONFIG SET rdbcompression no")?;
    ours.command("CONFIG SET rdb-key-save-delay 100")?;
    let port = primary.address().port();
    theirs.command(&format!("REPLICAOF 127.0.0.1 {port}"))?;
    wait_until("the snapshot is on its way", || {
        Ok(info(&mut ours, "slave0")?.contains("send_bulk"))
    })?;
    replica.signal(Signal::SIGSTOP)?;
    ours.command("CONFIG SET rdb-key-save-delay 0")?;
    let stop = load(&primary)?;
    let mut most = 0;
    wait_until("writers are slowed", || {
        most = most.max(number(&mut ours, "sync_held_bytes")?);
        Ok(number(&mut ours, "sync_writers_slowed")? > 0)
    })?;
    look_for(Duration::from_secs(2), || {
        most = most.max(number(&mut ours, "sync_held_bytes")?);
        Ok(None::<()>)
    })?;
    assert_eq!(number(&mut ours, "sync_full")?, 1);
    // Between two looks at it, writers go on: a machine at work may be slow to look. Unslowed, it would be hundreds.
    assert!(most < 2 * BUFFER, "{most} bytes were held");
    replica.signal(Signal::SIGCONT)?;
    wait_until("it is there", || {
        Ok(info(&mut theirs, "master_link_status")? == "up")
    })?;
    let written = stop()?;
    assert!(written > 1000, "{written} writes");
    assert_eq!(number(&mut ours, "sync_full")?, 1, "{}", primary.log());
    ours.command("SET last 1")?;
    assert_eq!(ours.command("WAIT 1 20000")?, Reply::Integer(1));
    same(&mut ours, &mut theirs)?;
    wait_until("nothing is held any more", || {
        Ok(number(&mut ours, "mem_clients_slaves")? == 0)
    })
}

#[test]
fn writers_are_not_slowed_for_long_for_a_replica_that_is_gone() -> Result<()> {
    let options = Options::new()
        .directive("repl-full-sync-buffer", "2mb")
        .directive("repl-timeout", "2");
    let primary = primary(options)?;
    let mut ours = primary.connect()?;
    ours.command("DEBUG POPULATE 20000 key 2000")?;
    ours.command("CONFIG SET rdbcompression no")?;
    // A replica that asks and takes nothing.
    let mut gone = primary.connect()?;
    gone.send(&["REPLCONF", "listening-port", "1", "capa", "eof", "capa", "psync2"])?;
    assert_eq!(gone.receive()?, Reply::ok());
    gone.send(&["PSYNC", "?", "-1"])?;
    let stop = load(&primary)?;
    wait_until("writers are slowed", || {
        Ok(number(&mut ours, "sync_writers_slowed")? > 0)
    })?;
    wait_until("it is dropped", || {
        Ok(number(&mut ours, "replicas_dropped_timeout")? == 1)
    })?;
    wait_until("it is gone", || Ok(number(&mut ours, "connected_slaves")? == 0))?;
    stop()?;
    assert!(
        primary
            .log()
            .contains("Disconnecting timedout replica (full sync)")
    );
    // The walk has ended with its last replica: others may walk.
    wait_until("a save can begin", || Ok(ours.command("SAVE")? == Reply::ok()))
}

#[test]
fn the_end_waits_for_replicas_that_are_behind() -> Result<()> {
    for command in ["SHUTDOWN NOSAVE", "a signal"] {
        let primary = primary(Options::new())?;
        let mut ours = primary.connect()?;
        let replica = redis(Options::new())?;
        let mut theirs = follow(&replica, &primary)?;
        ours.command("SET k v")?;
        assert_eq!(ours.command("WAIT 1 20000")?, Reply::Integer(1));
        replica.signal(Signal::SIGSTOP)?;
        for i in 0..200 {
            assert_eq!(
                ours.call(&["SET", &format!("k{i}"), &"x".repeat(50_000)])?,
                Reply::ok()
            );
        }
        if command == "a signal" {
            primary.signal(Signal::SIGTERM)?;
        } else {
            ours.send(&command.split(' ').collect::<Vec<_>>())?;
        }
        wait_until("it waits", || {
            Ok(primary
                .log()
                .contains("Waiting for replicas before shutting down."))
        })?;
        replica.signal(Signal::SIGCONT)?;
        wait_until("it is over", || {
            Ok(primary
                .log()
                .contains("1 of 1 replicas are in sync when shutting down."))
        })?;
        wait_until("the link is down", || {
            Ok(info(&mut theirs, "master_link_status")? == "down")
        })?;
        assert_eq!(theirs.command("DBSIZE")?, Reply::Integer(201));
    }
    Ok(())
}
