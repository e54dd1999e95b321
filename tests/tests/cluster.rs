//! Nodes of clusters as processes: what survives a restart, what keeps a node from starting, and redis-cli's own view.

use std::path::Path;

use anyhow::{Result, ensure};
use holdfast_tests::client::Client;
use holdfast_tests::cluster::{ask_redis_cli, redis_cli};
use holdfast_tests::ports::free_cluster_ports;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;

/// A node in this directory, and its address for redis-cli.
fn node(dir: &Path) -> Result<Server> {
    Server::start(Role::Subject, &options(dir)?)
}

fn options(dir: &Path) -> Result<Options> {
    Ok(Options::new()
        .dir(dir)
        .directive("cluster-enabled", "yes")
        .directive("cluster-port", &free_cluster_ports()?.1.to_string()))
}

fn is_ok(reply: &Reply) -> bool {
    reply.text() == Some("OK")
}

#[test]
fn a_node_is_the_same_after_a_restart() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let server = node(dir.path())?;
    let mut client = server.connect()?;
    let id = client.text(&["CLUSTER", "MYID"])?;
    let shard = client.text(&["CLUSTER", "MYSHARDID"])?;
    ensure!(is_ok(&client.call(&[
        "CLUSTER",
        "ADDSLOTSRANGE",
        "0",
        "16383"
    ])?));
    serves(&mut client)?;
    ensure!(is_ok(&client.call(&["SET", "a", "1"])?));
    ensure!(is_ok(&client.call(&["CLUSTER", "DELSLOTS", "5"])?));
    ensure!(is_ok(&client.call(&["CLUSTER", "ADDSLOTS", "5"])?));
    drop(server); // kill -9: what was answered is on the disk
    let server = node(dir.path())?;
    let mut client = server.connect()?;
    assert_eq!(client.text(&["CLUSTER", "MYID"])?, id);
    assert_eq!(client.text(&["CLUSTER", "MYSHARDID"])?, shard);
    // What was agreed on last is in force again once the node leads.
    serves(&mut client)?;
    let nodes = client.text(&["CLUSTER", "NODES"])?;
    assert!(nodes.trim_end().ends_with("connected 0-16383"), "{nodes}");
    Ok(())
}

/// Waits until the node serves its slots: it gets its lease a moment after its start.
fn serves(client: &mut Client) -> Result<()> {
    wait_until("the cluster is up", || {
        Ok(client.text(&["CLUSTER", "INFO"])?.contains("cluster_state:ok"))
    })
}

/// The text with which a node does not start.
fn refusal(dir: &Path) -> Result<String> {
    match node(dir) {
        Ok(_) => anyhow::bail!("the node has started"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[test]
fn a_node_whose_file_is_damaged_foreign_or_in_use_does_not_start() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let server = node(dir.path())?;
    let text = refusal(dir.path())?;
    assert!(
        text.contains("already used by a different cluster node"),
        "{text}"
    );
    drop(server);
    let path = dir.path().join("nodes.conf");
    let good = std::fs::read(&path)?;
    let mut damaged = good.clone();
    damaged[64..].fill(0x55);
    std::fs::write(&path, &damaged)?;
    let text = refusal(dir.path())?;
    assert!(text.contains("The cluster configuration file"), "{text}");
    let redis = "9099e5c38fcadd9b5ce9a29d168594e53afebd79 :1@2 myself,master - 0 0 0 connected\nvars currentEpoch 0 lastVoteEpoch 0\n";
    std::fs::write(&path, redis)?;
    let text = refusal(dir.path())?;
    assert!(text.contains("it is not Holdfast's"), "{text}");
    std::fs::write(&path, good)?;
    node(dir.path())?;
    Ok(())
}

#[test]
fn a_node_takes_the_slots_of_the_keys_that_it_has() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(Role::Subject, &Options::new().dir(dir.path()))?;
    let mut client = server.connect()?;
    client.call(&["MSET", "a", "1", "{a}b", "2", "b", "3"])?;
    ensure!(is_ok(&client.call(&["SAVE"])?));
    drop(server);
    let server = node(dir.path())?;
    let mut client = server.connect()?;
    let nodes = client.text(&["CLUSTER", "NODES"])?;
    assert!(nodes.trim_end().ends_with("connected 3300 15495"), "{nodes}");
    assert_eq!(
        client.call(&["CLUSTER", "COUNTKEYSINSLOT", "15495"])?,
        Reply::Integer(2)
    );
    Ok(())
}

#[test]
fn redis_cli_checks_and_mends_a_node() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let server = node(dir.path())?;
    let mut client = server.connect()?;
    ensure!(is_ok(&client.call(&["CLUSTER", "ADDSLOTSRANGE", "0", "8000"])?));
    ensure!(is_ok(&client.call(&[
        "CLUSTER",
        "ADDSLOTSRANGE",
        "8002",
        "16383"
    ])?));
    let address = server.address().to_string();
    let (found, _) = ask_redis_cli(&["--cluster", "check", &address])?;
    assert!(
        found.contains("Not all 16384 slots are covered by nodes"),
        "{found}"
    );
    // The slot without keys is given to the node: redis-cli does so in a transaction of its own.
    ask_redis_cli(&["--cluster", "fix", &address])?;
    let found = redis_cli(&["--cluster", "check", &address])?;
    assert!(found.contains("[OK] All 16384 slots covered."), "{found}");
    let called = redis_cli(&["--cluster", "call", &address, "PING"])?;
    assert!(called.contains("PONG"), "{called}");
    let info = redis_cli(&["--cluster", "info", &address])?;
    assert!(info.contains("[OK] 0 keys in 1 masters."), "{info}");
    Ok(())
}
