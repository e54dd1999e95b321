//! A Redis replica behind Holdfast, and Holdfast behind Redis: under load of every type, with connections that break again
//! and again, and the data are equal in the end without a second full synchronization.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use holdfast_tests::ask::{info, number};
use holdfast_tests::client::Client;
use holdfast_tests::datasets::{self, borders};
use holdfast_tests::facts::{self, Clock};
use holdfast_tests::replication::{follow, wait_for_link};
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::torture::writer::Writer;
use holdfast_tests::wait::wait_until;

const WRITERS: usize = 3;
const SEED: u64 = 42;
const DISCONNECTS: u64 = 12;

fn start(role: Role, options: Options) -> Result<Server> {
    let options = options
        // A build for tests lags behind what redis-server writes, by seconds: partial synchronizations need all of that.
        .directive("repl-backlog-size", "1gb")
        .directive("repl-diskless-sync-delay", "0")
        .encodings_of_redis();
    Server::start(role, &options)
}

/// Until the replica has all that the primary has logged.
fn catch_up(replica: &Server, primary: &Server) -> Result<()> {
    let (mut of, mut at) = (primary.connect()?, replica.connect()?);
    of.command("SET the-last-word 1")?;
    let end = number(&mut of, "replication", "master_repl_offset")?;
    wait_until("the replica has everything", || {
        Ok(is_up(&mut at)? && number(&mut at, "replication", "slave_repl_offset")? >= end)
    })
    .with_context(|| replica.log())
}

fn is_up(replica: &mut Client) -> Result<bool> {
    Ok(info(replica, "replication", "master_link_status")? == "up")
}

fn equal(primary: &Server, replica: &Server) -> Result<()> {
    let of = facts::of(&mut primary.connect()?, 16, Clock::Replayed)?;
    let at = facts::of(&mut replica.connect()?, 16, Clock::Replayed)?;
    let differ = facts::differences(&of, &at);
    ensure!(
        differ.is_empty() && of.len() > 400,
        "{} facts; primary and replica differ:\n{differ}",
        of.len()
    );
    Ok(())
}

fn send(primary: &Server) -> Result<()> {
    let mut client = primary.connect()?;
    client.command("FLUSHALL")?;
    datasets::send(&mut client, &borders())?;
    datasets::send_logged_otherwise(&mut client)
}

/// Writers on the primary, while `during` runs.
fn under_load(primary: &Server, writers: &[Writer], during: impl FnOnce() -> Result<()>) -> Result<()> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = writers
            .iter()
            .map(|writer| scope.spawn(|| writer.run(SEED, primary.address(), &stop)))
            .collect();
        let done = during();
        stop.store(true, Ordering::SeqCst);
        for thread in threads {
            let end = thread.join().expect("no writer panics");
            ensure!(end.refused.is_none(), "{:?}", end.refused);
        }
        done
    })
}

fn replicate(of: Role, at: Role) -> Result<()> {
    let primary = start(of, Options::new().threads(3))?;
    send(&primary)?;
    let replica = start(at, Options::new().threads(3))?;
    let writers: Vec<Writer> = (0..WRITERS).map(|i| Writer::new(i, 0)).collect();
    // The full synchronization happens while everything changes, and so does all the rest.
    under_load(&primary, &writers, || {
        follow(&replica, primary.address())?;
        wait_for_link(&replica)?;
        send(&primary)?;
        let mut client = primary.connect()?;
        for synced in 1..=DISCONNECTS {
            let killed = client
                .command("CLIENT KILL TYPE replica")?
                .integer()
                .context("a number")?;
            ensure!(killed == 1, "{killed} replicas were connected");
            let mut at = replica.connect()?;
            wait_until("the replica is back", || {
                let partial = number(&mut client, "stats", "sync_partial_ok")?;
                let full = number(&mut client, "stats", "sync_full")?;
                Ok(partial + full > synced && is_up(&mut at)?)
            })
            .with_context(|| replica.log())?;
        }
        send(&primary)
    })?;
    catch_up(&replica, &primary)?;
    equal(&primary, &replica)?;
    let mut client = primary.connect()?;
    let full = number(&mut client, "stats", "sync_full")?;
    ensure!(full == 1, "full: {full}");
    let partial = number(&mut client, "stats", "sync_partial_ok")?;
    ensure!(partial >= DISCONNECTS, "partial: {partial}");
    // Each of them can go on alone, and with what it was told.
    ensure!(!replica.connect()?.command("REPLICAOF NO ONE")?.is_error());
    equal(&primary, &replica)?;
    ensure!(!replica.connect()?.command("SET own 1")?.is_error());
    Ok(())
}

#[test]
fn redis_behind_holdfast() -> Result<()> {
    replicate(Role::Subject, Role::Oracle)
}

#[test]
fn holdfast_behind_redis() -> Result<()> {
    replicate(Role::Oracle, Role::Subject)
}

#[test]
fn holdfast_behind_holdfast() -> Result<()> {
    replicate(Role::Subject, Role::Subject)
}
