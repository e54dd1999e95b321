//! Strangers on the cluster bus: they are refused, the log says so in words that an operator understands, and the cluster
//! goes on. The way out of a lost majority.

mod authority;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use authority::Authority;
use holdfast_tests::nodes::{self, Node};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Binary, Role};
use holdfast_tests::wait::wait_until;

fn wait_for_log(node: &Node, words: &str) -> Result<()> {
    wait_until(&format!("the log says: {words}"), || {
        Ok(node.log().contains(words))
    })
}

fn knows(node: &Node, count: usize) -> Result<bool> {
    Ok(node.text(&["CLUSTER", "NODES"])?.lines().count() == count)
}

/// Changes are still agreed on.
fn goes_on(nodes: &[Node], value: &str) -> Result<()> {
    let set = ["CONFIG", "SET", "notify-keyspace-events", value];
    ensure!(nodes[0].text(&set)? == "OK");
    wait_until("the change is everywhere", || {
        for node in nodes {
            let reply = node.call(&["CONFIG", "GET", "notify-keyspace-events"])?;
            if !reply.lines().iter().any(|line| line.contains(value)) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// MEET fails, and both nodes stay what they were.
fn meet_fails(first: &Node, other: &Node) -> Result<String> {
    let address = other.address()?;
    let words = [
        "CLUSTER",
        "MEET",
        &address.ip().to_string(),
        &address.port().to_string(),
        &other.bus_port().to_string(),
    ];
    match first.call(&words)? {
        Reply::Error(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        reply => anyhow::bail!("they met: {reply:?}"),
    }
}

#[test]
fn garbage_on_the_bus_is_sent_away_and_an_open_bus_says_so() -> Result<()> {
    let nodes = nodes::start(2, &[])?;
    wait_for_log(&nodes[0], "set cluster-bus-secret, or tls-cluster")?;
    for garbage in [
        &b"GET / HTTP/1.0\r\n\r\n"[..],
        b"*1\r\n$4\r\nPING\r\n",
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 252],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand then nonsense that is no frame at all, for a while",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", nodes[0].bus_port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(garbage)?;
        // Whatever is said before, the connection ends.
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        ensure!(
            ended.as_ref().is_ok() || ended.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset),
            "it was not sent away"
        );
    }
    wait_for_log(
        &nodes[0],
        "127.0.0.1 was sent away, as it does not speak the bus's protocol",
    )?;
    goes_on(&nodes, "AK")?;
    let told = nodes[0].log().matches("was sent away").count();
    assert_eq!(told, 1, "it is told once, not for each");
    Ok(())
}

#[test]
fn another_secret_and_another_cluster_are_refused() -> Result<()> {
    let ours = nodes::start(2, &[("cluster-bus-secret", "ours")])?;
    ensure!(
        !ours[0].log().contains("may speak on the cluster bus"),
        "it is not open"
    );
    let stranger = Node::start(&[("cluster-bus-secret", "theirs")])?;
    let text = meet_fails(&ours[0], &stranger)?;
    assert!(text.contains("the nodes did not meet"), "{text}");
    wait_for_log(
        &stranger,
        "127.0.0.1 was refused, as it does not know the secret of this bus",
    )?;
    wait_for_log(&ours[0], "does not let this node speak")?;
    assert!(knows(&ours[0], 2)? && knows(&stranger, 1)?);
    // Nodes that know the secret, but are a cluster already.
    let others = nodes::start(2, &[("cluster-bus-secret", "ours")])?;
    let text = meet_fails(&ours[0], &others[0])?;
    assert!(text.contains("belong to clusters of several nodes"), "{text}");
    assert!(knows(&ours[0], 2)? && knows(&others[1], 2)?);
    goes_on(&ours, "AK")?;
    goes_on(&others, "AE")
}

/// The certificate and the key of a node.
fn sign(authority: &Authority) -> Result<[PathBuf; 2]> {
    authority.sign("node")?;
    Ok(["node.crt", "node.key"].map(|name| authority.path(name)))
}

fn secured<'a>(ca: &'a Path, [certificate, key]: &'a [PathBuf; 2]) -> Vec<(&'static str, &'a str)> {
    let text = |path: &'a Path| path.to_str().unwrap_or_default();
    vec![
        ("tls-cluster", "yes"),
        ("tls-ca-cert-file", text(ca)),
        ("tls-cert-file", text(certificate)),
        ("tls-key-file", text(key)),
    ]
}

#[test]
fn a_node_with_a_foreign_certificate_is_no_peer() -> Result<()> {
    let (ours, theirs) = (Authority::new()?, Authority::new()?);
    let (own, foreign) = (sign(&ours)?, sign(&theirs)?);
    let nodes = nodes::start(2, &secured(&ours.path("ca.crt"), &own))?;
    ensure!(
        !nodes[0].log().contains("may speak on the cluster bus"),
        "it is not open"
    );
    goes_on(&nodes, "AK")?;
    // It believes another authority; or ours, with a certificate of the other.
    for believed in [&theirs, &ours] {
        let stranger = Node::start(&secured(&believed.path("ca.crt"), &foreign))?;
        let text = meet_fails(&stranger, &nodes[0])?;
        assert!(text.contains("the nodes did not meet"), "{text}");
        wait_for_log(&stranger, "the cluster bus: peer 127.0.0.1")?;
        assert!(knows(&stranger, 1)? && knows(&nodes[0], 2)?);
    }
    // One that speaks without TLS.
    let mut stream = TcpStream::connect(("127.0.0.1", nodes[1].bus_port()))?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    wait_for_log(&nodes[1], "127.0.0.1 was sent away, as it does not speak TLS")?;
    goes_on(&nodes, "AE")
}

fn recover(node: &Node, words: &[&str]) -> Result<(bool, String)> {
    let output = Command::new(Binary::find(Role::Subject)?.path())
        .arg("recover-cluster")
        .args(words)
        .arg(node.dir().join("nodes.conf"))
        .output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

#[test]
fn one_node_is_made_the_truth_when_a_majority_is_lost() -> Result<()> {
    let mut nodes = nodes::start(3, &[])?;
    ensure!(nodes[0].text(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])? == "OK");
    wait_until("three nodes vote", || {
        let info = nodes[0].text(&["CLUSTER", "INFO"])?;
        Ok(info.contains("cluster_raft_voters:3") && info.contains("cluster_state:ok"))
    })?;
    ensure!(nodes[0].text(&["SET", "a", "1"])? == "OK");
    ensure!(nodes[0].text(&["ACL", "SETUSER", "ann", "on", "nopass"])? == "OK");
    let (good, text) = recover(&nodes[0], &[])?;
    ensure!(
        !good && text.contains("if the node runs, stop it first"),
        "{text}"
    );
    nodes[1].kill();
    nodes[2].kill();
    wait_until("the cluster is down", || {
        let reply = nodes[0].call(&["SET", "a", "2"])?;
        Ok(matches!(reply, Reply::Error(text) if text.starts_with(b"CLUSTERDOWN")))
    })?;
    let id = nodes[0].text(&["CLUSTER", "MYID"])?;
    nodes[0].end()?;
    // One of two that answers may know more.
    nodes[1].restart()?;
    let yes = "--yes-the-others-are-gone";
    let (good, text) = recover(&nodes[0], &[yes])?;
    ensure!(!good, "a majority is there, so it must not: {text}");
    nodes[1].kill();
    let (good, text) = recover(&nodes[0], &[])?;
    ensure!(
        !good && text.contains(&id) && text.contains("Nothing has been changed"),
        "{text}"
    );
    let (good, text) = recover(&nodes[0], &[yes])?;
    ensure!(good && text.contains("Done."), "{text}");
    let (good, text) = recover(&nodes[0], &[yes])?;
    ensure!(good && text.contains("there is nothing to recover"), "{text}");
    nodes[0].restart()?;
    wait_until("it serves", || {
        Ok(nodes[0].call(&["SET", "a", "2"])?.text() == Some("OK"))
    })?;
    assert_eq!(nodes[0].text(&["CLUSTER", "MYID"])?, id);
    ensure!(
        !nodes[0].call(&["ACL", "GETUSER", "ann"])?.is_null(),
        "what was agreed on is there"
    );
    // One that was left follows, with its old files.
    nodes[1].restart()?;
    wait_until("the other follows", || {
        let info = nodes[1].text(&["CLUSTER", "INFO"])?;
        Ok(info.contains(&format!("cluster_raft_leader:{id}")) && knows(&nodes[1], 3)?)
    })?;
    goes_on(&nodes[..2], "AK")
}
