//! What a slow replica has yet to read does not count for `maxmemory`, as in 7.0.15: keys that are evicted for it would be
//! written to the same log. And DEBUG REPLICATE.

use anyhow::Result;
use holdfast_tests::ask::{info, number};
use holdfast_tests::client::Client;
use holdfast_tests::replication::{follow, wait_for_link, wait_for_sync};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use nix::sys::signal::Signal;

const MB: u64 = 1 << 20;

fn a_slow_replica(role: Role) -> Result<()> {
    let options = Options::new()
        .directive("repl-diskless-sync-delay", "0")
        .directive("client-output-buffer-limit", "replica 0 0 0")
        .directive("maxmemory-policy", "allkeys-lru");
    let (primary, replica) = (
        Server::start(role, &options)?,
        Server::start(Role::Oracle, &options)?,
    );
    let mut client = primary.connect()?;
    let value = "v".repeat(10_000);
    let write = |client: &mut Client, times: usize| -> Result<()> {
        for i in 0..times {
            let reply = client.call(&["SET", &format!("k{}", i % 200), &value])?;
            assert_eq!(reply, Reply::ok());
        }
        Ok(())
    };
    write(&mut client, 200)?;
    follow(&replica, primary.address())?;
    wait_for_link(&replica)?;
    assert_eq!(number(&mut client, "memory", "mem_not_counted_for_evict")?, 0);
    let limit = number(&mut client, "memory", "used_memory")? + 12 * MB;
    assert!(
        !client
            .command(&format!("CONFIG SET maxmemory {limit}"))?
            .is_error()
    );
    replica.signal(Signal::SIGSTOP)?;
    // The sockets take some MB of it.
    write(&mut client, 5000)?;
    let not_counted = number(&mut client, "memory", "mem_not_counted_for_evict")?;
    let used = number(&mut client, "memory", "used_memory")?;
    assert!(not_counted > 20 * MB, "{not_counted}");
    assert!(
        used > limit && used - not_counted < limit,
        "{used} {not_counted} {limit}"
    );
    let buffers = number(&mut client, "memory", "mem_total_replication_buffers")?;
    let backlog = number(&mut client, "memory", "mem_replication_backlog")?;
    assert!(buffers > not_counted && backlog < 2 * MB, "{buffers} {backlog}");
    assert_eq!(number(&mut client, "stats", "evicted_keys")?, 0);
    assert_eq!(client.command("DBSIZE")?, Reply::Integer(200));
    // What counts is still looked at.
    for i in 0..3000 {
        client.call(&["SET", &format!("new{i}"), &value])?;
    }
    assert_ne!(number(&mut client, "stats", "evicted_keys")?, 0);
    replica.signal(Signal::SIGCONT)?;
    wait_for_sync(&primary, &replica)?;
    assert!(number(&mut client, "memory", "mem_not_counted_for_evict")? < MB);
    Ok(())
}

#[test]
fn no_key_is_evicted_for_a_slow_replica() -> Result<()> {
    a_slow_replica(Role::Subject)
}

#[test]
fn redis_server_does_the_same() -> Result<()> {
    a_slow_replica(Role::Oracle)
}

#[test]
fn debug_replicate_runs_on_replicas_alone() -> Result<()> {
    for role in [Role::Subject, Role::Oracle] {
        let options = Options::new().directive("repl-diskless-sync-delay", "0");
        let primary = Server::start(role, &options)?;
        let replicas = [
            Server::start(Role::Subject, &options)?,
            Server::start(Role::Oracle, &options)?,
        ];
        for replica in &replicas {
            follow(replica, primary.address())?;
            wait_for_link(replica)?;
        }
        let mut client = primary.connect()?;
        client.command("SET here 1")?;
        assert_eq!(client.command("DEBUG REPLICATE SET there 2")?, Reply::ok());
        for replica in &replicas {
            wait_for_sync(&primary, replica)?;
            let mut client = replica.connect()?;
            assert_eq!(client.command("GET there")?, Reply::Bulk(b"2".to_vec()));
            // A replica's log is its primary's.
            let before = info(&mut client, "replication", "master_replid")?;
            assert_eq!(client.command("DEBUG REPLICATE SET nowhere 3")?, Reply::ok());
            assert_eq!(info(&mut client, "replication", "master_replid")?, before);
            assert_eq!(client.command("EXISTS nowhere")?, Reply::Integer(0));
        }
        assert_eq!(client.command("EXISTS there nowhere")?, Reply::Integer(0));
        assert!(client.command("DEBUG REPLICATE")?.is_error());
    }
    Ok(())
}
