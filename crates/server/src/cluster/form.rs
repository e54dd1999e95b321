//! A cluster that forms itself (`cluster-initial-primaries`): as soon as enough nodes have found each other by
//! `cluster-seeds`, whoever leads proposes who is a primary and who a replica. One entry does it, and only while no slot has
//! an owner: a cluster is never formed twice. docs/adr/0022-forming.md has the reasons. Must not know: how nodes agree.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use holdfast_cluster::NodeId;
use holdfast_cluster::state::{ClusterState, Entry, Node};

use super::Cluster;
use crate::config::Param;
use crate::server::Server;
use crate::worker::Worker;

/// Once a second: forms the cluster, if that is to be done, and this node leads.
pub fn form(w: &mut Worker) {
    let server = Arc::clone(&w.server);
    let Some(cluster) = server.cluster.get() else {
        return;
    };
    let count = |param| usize::try_from(server.config.int(param)).unwrap_or(0);
    let primaries = count(Param::ClusterInitialPrimaries);
    let view = cluster.view();
    let leads = || cluster.plane().group().leader == Some(view.me);
    if primaries == 0 || view.state.assigned() > 0 || server.is_loading() || !leads() {
        return;
    }
    let is_there = |node: &Node| node.id == view.me || is_there(cluster, node.id);
    let replicas = count(Param::ClusterReplicasPerPrimary);
    let Some(shards) = plan(&view.state, primaries, replicas, is_there) else {
        return;
    };
    if cluster.forming.swap(true, Ordering::AcqRel) {
        return;
    }
    let pending = cluster.plane().propose(Entry::Layout { shards });
    tokio::spawn(async move {
        match pending.await {
            Ok(_) => tracing::info!(
                "The cluster has formed itself: {primaries} primaries, {replicas} replicas of each"
            ),
            Err(error) => tracing::warn!("the cluster could not form itself: {error}"),
        }
        if let Some(cluster) = server.cluster.get() {
            cluster.forming.store(false, Ordering::Release);
        }
    });
}

fn is_there(cluster: &Cluster, node: NodeId) -> bool {
    let peer = cluster.plane().peer(node);
    peer.linked && !peer.failed
}

/// The primaries with their replicas, if there are enough nodes for all: the same for whoever looks. Nodes are taken in the
/// order of their names and addresses; a replica goes to a primary on another host, if it can.
fn plan(
    state: &ClusterState,
    primaries: usize,
    replicas: usize,
    is_there: impl Fn(&Node) -> bool,
) -> Option<Vec<(NodeId, Vec<NodeId>)>> {
    let alone = |node: &&Node| {
        state
            .shard_of(node.id)
            .is_some_and(|shard| shard.primary == node.id && shard.replicas.is_empty())
    };
    let mut nodes: Vec<&Node> = state
        .nodes
        .values()
        .filter(alone)
        .filter(|node| is_there(node))
        .collect();
    nodes.sort_by_key(|node| {
        let at = &node.endpoint;
        (
            at.hostname.clone(),
            at.ip.parse::<IpAddr>().ok(),
            at.port,
            node.id,
        )
    });
    let wanted = primaries.checked_mul(replicas.checked_add(1)?)?;
    if wanted == 0 || nodes.len() < wanted {
        return None;
    }
    // Primaries on as many hosts as there are.
    let mut rest: Vec<&Node> = nodes[..wanted].to_vec();
    let mut shards: Vec<Vec<&Node>> = Vec::new();
    for _ in 0..primaries {
        let taken: Vec<&str> = shards.iter().map(|shard| host(shard[0])).collect();
        shards.push(vec![take(&mut rest, |node| !taken.contains(&host(node)))]);
    }
    for _ in 0..replicas {
        for shard in &mut shards {
            let hosts: Vec<&str> = shard.iter().map(|node| host(node)).collect();
            shard.push(take(&mut rest, |node| !hosts.contains(&host(node))));
        }
    }
    let ids = |shard: Vec<&Node>| {
        let mut ids = shard.into_iter().map(|node| node.id);
        ids.next().map(|primary| (primary, ids.collect()))
    };
    shards.into_iter().map(ids).collect()
}

/// The first node that is preferred, or else the first. There must be one.
fn take<'n>(nodes: &mut Vec<&'n Node>, is_preferred: impl Fn(&Node) -> bool) -> &'n Node {
    let at = nodes.iter().position(|node| is_preferred(node)).unwrap_or(0);
    nodes.remove(at)
}

fn host(node: &Node) -> &str {
    &node.endpoint.ip
}

/// What an operator should know at the start.
pub fn warn(server: &Server) {
    let config = &server.config;
    let seeds = !config.text(Param::ClusterSeeds).is_empty();
    if config.int(Param::ClusterInitialPrimaries) > 1 && !seeds {
        tracing::warn!(
            "cluster-initial-primaries waits for other nodes, and there are no cluster-seeds to find them by"
        );
    }
}

#[cfg(test)]
mod tests {
    use holdfast_cluster::state::{Endpoint, Newcomer};
    use holdfast_cluster::{ClusterId, ShardId, SlotSet};

    use super::*;

    fn newcomer(n: u8, ip: &str) -> Newcomer {
        Newcomer {
            id: NodeId::from_bytes([n; 20]),
            raft_id: u64::from(n),
            endpoint: Endpoint {
                ip: ip.to_owned(),
                port: 6379,
                bus_port: 16379,
                ..Endpoint::default()
            },
            shard: ShardId::from_bytes([n; 20]),
            slots: SlotSet::new(),
        }
    }

    fn state(ips: &[&str]) -> ClusterState {
        let mut ips = ips.iter().zip(1..);
        let (ip, n) = ips.next().expect("a node");
        let mut state =
            ClusterState::founded(ClusterId::from_bytes([9; 20]), newcomer(n, ip)).expect("a cluster");
        for (ip, n) in ips {
            state
                .apply(u64::from(n), &Entry::NodeJoin(newcomer(n, ip)))
                .expect("it joins");
        }
        state
    }

    fn numbers(shards: Option<Vec<(NodeId, Vec<NodeId>)>>) -> Option<Vec<Vec<u8>>> {
        let number = |id: NodeId| u8::from_str_radix(&id.as_str()[..2], 16).expect("hex");
        let all = |(primary, replicas): (NodeId, Vec<NodeId>)| {
            std::iter::once(primary).chain(replicas).map(number).collect()
        };
        shards.map(|shards| shards.into_iter().map(all).collect())
    }

    #[test]
    fn nodes_are_taken_by_address_and_replicas_live_elsewhere() {
        let all = |_: &Node| true;
        let hosts = state(&[
            "10.0.0.10",
            "10.0.0.9",
            "10.0.0.2",
            "10.0.0.3",
            "10.0.0.4",
            "10.0.0.5",
            "10.0.0.6",
        ]);
        assert_eq!(
            numbers(plan(&hosts, 3, 1, all)),
            Some(vec![vec![3, 6], vec![4, 7], vec![5, 2]])
        );
        let shared = state(&["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"]);
        assert_eq!(
            numbers(plan(&shared, 2, 1, all)),
            Some(vec![vec![1, 4], vec![3, 2]])
        );
        let one_host = state(&["10.0.0.1"; 4]);
        assert_eq!(
            numbers(plan(&one_host, 2, 1, all)),
            Some(vec![vec![1, 3], vec![2, 4]])
        );
        assert_eq!(numbers(plan(&one_host, 1, 0, all)), Some(vec![vec![1]]));
    }

    #[test]
    fn it_waits_for_enough_nodes_that_are_there_and_belong_to_nobody() {
        let mut three = state(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        assert_eq!(plan(&three, 2, 1, |_| true), None);
        assert_eq!(plan(&three, 3, 0, |node| node.endpoint.ip != "10.0.0.2"), None);
        assert_eq!(plan(&three, usize::MAX, usize::MAX, |_| true), None);
        let set = Entry::SetReplica {
            node: NodeId::from_bytes([2; 20]),
            primary: NodeId::from_bytes([1; 20]),
        };
        three.apply(9, &set).expect("a replica");
        assert_eq!(plan(&three, 3, 0, |_| true), None);
    }
}
