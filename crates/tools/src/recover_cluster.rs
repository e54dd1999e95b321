//! `recover-cluster`: the way out when a majority of the nodes that vote is lost for good. One node's log becomes the truth,
//! and that node the only one that votes; the others that are left follow it as soon as they hear of it. It tells what
//! there is, and does nothing unless it is told to.
//!
//! Must not know: how nodes agree, the server.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_cluster::engine::{self, Kept};
use holdfast_cluster::state::Node;
use holdfast_cluster::storage::{DiskStore, Store};

use crate::cli::RecoverCluster;

/// How long another node may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells, and recovers if told to. True: the node can be started.
///
/// # Errors
/// The file cannot be read, or is in use, or cannot be written.
pub fn run(options: &RecoverCluster, out: &mut dyn Write) -> Result<bool, String> {
    let file = &options.file;
    if !file.is_file() {
        return Err(format!(
            "{}: no such file; it is named by cluster-config-file",
            file.display()
        ));
    }
    let shown = file.display();
    let mut store = DiskStore::open(file)
        .map_err(|error| format!("{shown}: {error}; if the node runs, stop it first"))?;
    let restored = store.load().map_err(|error| format!("{shown}: {error}"))?;
    let kept = engine::describe(&restored).map_err(|error| format!("{shown}: {error}"))?;
    let voters: Vec<&Node> = kept.state.voters().collect();
    let others: Vec<&Node> = voters
        .iter()
        .copied()
        .filter(|node| node.id != kept.node)
        .collect();
    let answering: Vec<&Node> = others.iter().copied().filter(|node| answers(node)).collect();
    tell(&kept, &voters, &answering, out).map_err(|error| error.to_string())?;
    let say = |out: &mut dyn Write, text: &str| writeln!(out, "{text}").map_err(|error| error.to_string());
    if kept.state.voters().any(|node| node.id == kept.node) && others.is_empty() {
        say(
            out,
            "This node is the only one that votes: there is nothing to recover. Start it.",
        )?;
        return Ok(true);
    }
    let is_voter = voters.iter().any(|node| node.id == kept.node);
    if answering.len() + usize::from(is_voter) > voters.len() / 2 {
        say(
            out,
            "A majority of those who vote is there, so nothing is lost: start this node, and the cluster goes on.",
        )?;
        if !options.even_if_they_answer {
            return Ok(false);
        }
    }
    if !options.yes_the_others_are_gone {
        say(
            out,
            "Nothing has been changed. Look at all nodes that are left, and take the one with the highest term, and the \
             highest index of those. Be sure that the nodes that do not answer never come back with their files: empty \
             their directories. Then run this again with --yes-the-others-are-gone.",
        )?;
        return Ok(false);
    }
    if !answering.is_empty() && !options.even_if_they_answer {
        say(
            out,
            "Refused: other nodes that vote answer, and may know more than this one. Stop them and compare their logs; they \
             follow this one when it is recovered. --even-if-they-answer overrides this.",
        )?;
        return Ok(false);
    }
    let copy = with_suffix(file, ".before-recovery");
    if copy.exists() {
        return Err(format!("{} is there already: take it away first", copy.display()));
    }
    std::fs::copy(file, &copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    let recovered = engine::recover_alone(restored).map_err(|error| format!("{shown}: {error}"))?;
    store
        .replace(recovered)
        .map_err(|error| format!("{shown}: {error}"))?;
    say(
        out,
        &format!(
            "Done. The file as it was is {}. Start this node now, then the others that are left. Failovers follow by \
             themselves; forget nodes that are gone with CLUSTER FORGET.",
            copy.display()
        ),
    )?;
    Ok(true)
}

fn tell(kept: &Kept, voters: &[&Node], answering: &[&Node], out: &mut dyn Write) -> io::Result<()> {
    let state = &kept.state;
    writeln!(out, "node:    {}", kept.node)?;
    writeln!(out, "log:     term {}, index {}", kept.last_term, kept.last_index)?;
    writeln!(
        out,
        "cluster: {} nodes, {} shards, {} slots assigned",
        state.nodes.len(),
        state.shards.len(),
        state.assigned()
    )?;
    writeln!(out, "nodes that vote:")?;
    for node in voters {
        let seen = match (
            node.id == kept.node,
            answering.iter().any(|other| other.id == node.id),
        ) {
            (true, _) => "this node",
            (false, true) => "answers",
            (false, false) => "does not answer",
        };
        writeln!(
            out,
            "  {} {}:{} {seen}",
            node.id,
            host(node),
            node.endpoint.bus_port
        )?;
    }
    Ok(())
}

fn host(node: &Node) -> &str {
    if node.endpoint.ip.is_empty() {
        &node.endpoint.hostname
    } else {
        &node.endpoint.ip
    }
}

/// Whether somebody listens where the node's bus is.
fn answers(node: &Node) -> bool {
    let addresses = (host(node), node.endpoint.bus_port).to_socket_addrs();
    addresses.is_ok_and(|mut addresses| {
        addresses.any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
