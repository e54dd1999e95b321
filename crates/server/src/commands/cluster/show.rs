//! The subcommands that show the cluster: INFO, NODES, SLOTS, SHARDS, REPLICAS, LINKS, MYID and their kin, in the forms of
//! 7.0.15 and 7.2.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use holdfast_cluster::state::{Node, Shard};
use holdfast_cluster::{NodeId, ShardId, SlotSet};

use super::super::ServerError;
use super::job::{Ask, Then};
use crate::cluster::endpoint;
use crate::cluster::plane::PeerStatus;
use crate::config::{EndpointType, Param};

type Outcome = Result<Then, ServerError>;

impl Ask<'_, '_> {
    fn peer(&self, node: NodeId) -> PeerStatus {
        if node == self.view.me {
            return PeerStatus {
                linked: true,
                offset: self.server.log.end_offset(),
                ..PeerStatus::default()
            };
        }
        self.cluster.plane().peer(node)
    }

    fn shard_of(&self, node: &Node) -> Option<&Shard> {
        self.view.state.shards.get(&node.shard)
    }
}

/// CLUSTER MYID
pub fn my_id(ask: &mut Ask<'_, '_>) -> Outcome {
    let me = ask.view.me;
    ask.reply.bulk(me.as_str().as_bytes());
    Ok(Then::Answered)
}

/// CLUSTER MYSHARDID
pub fn my_shard_id(ask: &mut Ask<'_, '_>) -> Outcome {
    let shard = ask.view.my_shard().map(|shard| shard.id);
    let shard = shard.ok_or_else(|| ServerError::new("ERR this node has no shard yet"))?;
    ask.reply.bulk(shard.as_str().as_bytes());
    Ok(Then::Answered)
}

/// CLUSTER COUNT-FAILURE-REPORTS node-id: nobody reports; the group's leader knows by itself.
pub fn count_failure_reports(ask: &mut Ask<'_, '_>) -> Outcome {
    let node = ask.known_node(ask.args.get(2))?.id;
    let failed = ask.peer(node).failed;
    ask.reply.int(i64::from(failed));
    Ok(Then::Answered)
}

/// CLUSTER INFO
pub fn info(ask: &mut Ask<'_, '_>) -> Outcome {
    let state = &ask.view.state;
    let assigned = state.assigned();
    let failed: usize = state
        .slots_by_shard()
        .iter()
        .filter(|(id, _)| {
            let shard = state.shards.get(id);
            shard.is_some_and(|shard| ask.peer(shard.primary).failed)
        })
        .map(|(_, slots)| slots.len())
        .sum();
    let serving = state
        .shards
        .keys()
        .filter(|shard| state.has_slots(**shard))
        .count();
    let group = ask.cluster.plane().group();
    let mut out = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        let _always = write!(out, "{name}:{value}\r\n");
    };
    let is_ok = ask.cluster.is_ok(&ask.server.config, &ask.view);
    line("cluster_state", &if is_ok { "ok" } else { "fail" });
    line("cluster_slots_assigned", &assigned);
    line("cluster_slots_ok", &(assigned - failed));
    line("cluster_slots_pfail", &0);
    line("cluster_slots_fail", &failed);
    line("cluster_known_nodes", &state.nodes.len());
    line("cluster_size", &serving);
    line("cluster_current_epoch", &state.epoch);
    line(
        "cluster_my_epoch",
        &ask.view.my_shard().map_or(0, |shard| shard.epoch),
    );
    line("cluster_stats_messages_sent", &group.sent);
    line("cluster_stats_messages_received", &group.received);
    line("total_cluster_links_buffer_limit_exceeded", &0);
    line("cluster_raft_role", &group.role);
    let leader = group.leader.map(|id| id.to_string()).unwrap_or_default();
    line("cluster_raft_leader", &leader);
    line("cluster_raft_term", &group.term);
    // What is applied here was agreed on, whenever the other number was read.
    line("cluster_raft_committed", &group.committed.max(state.index));
    line("cluster_raft_applied", &state.index);
    let voters: Vec<String> = state.voters().map(|node| node.id.to_string()).collect();
    line("cluster_raft_voters", &voters.len());
    line("cluster_raft_voter_ids", &voters.join(","));
    // How many nodes could take this one's place without an operator.
    let in_sync = ask.view.my_shard().map_or(0, |shard| shard.in_sync.len());
    line("cluster_in_sync_replicas", &in_sync);
    ask.reply.verbatim("txt", out.as_bytes());
    Ok(Then::Answered)
}

/// CLUSTER NODES
pub fn nodes(ask: &mut Ask<'_, '_>) -> Outcome {
    let slots = ask.view.state.slots_by_shard();
    let mut out = String::new();
    for node in ask.view.state.nodes.values() {
        out.push_str(&node_line(ask, node, &slots));
        out.push('\n');
    }
    ask.reply.verbatim("txt", out.as_bytes());
    Ok(Then::Answered)
}

/// `id ip:port@bus-port[,hostname] flags primary ping pong epoch link slots...`
fn node_line(ask: &Ask<'_, '_>, node: &Node, slots: &BTreeMap<ShardId, SlotSet>) -> String {
    let Node { id, endpoint: at, .. } = node;
    let (peer, is_me) = (ask.peer(*id), *id == ask.view.me);
    let shard = ask.shard_of(node);
    let primary = shard.map(|shard| shard.primary).filter(|primary| primary != id);
    let mut line = format!("{id} {}:{}@{}", at.ip, endpoint::port(at, ask.tls), at.bus_port);
    if !at.hostname.is_empty() {
        let _always = write!(line, ",{}", at.hostname);
    }
    let mut flags = Vec::new();
    if is_me {
        flags.push("myself");
    }
    flags.push(if primary.is_some() { "slave" } else { "master" });
    if peer.failed {
        flags.push("fail");
    }
    if at.ip.is_empty() && !is_me {
        flags.push("noaddr");
    }
    if is_me && ask.server.config.flag(Param::ClusterReplicaNoFailover) {
        flags.push("nofailover");
    }
    let _always = write!(
        line,
        " {} {} 0 {} {} {}",
        flags.join(","),
        primary.map_or("-".to_owned(), |primary| primary.to_string()),
        peer.heard_ms,
        shard.map_or(0, |shard| shard.epoch),
        if peer.linked { "connected" } else { "disconnected" },
    );
    if primary.is_some() {
        return line;
    }
    for (first, last) in slots.get(&node.shard).map(SlotSet::ranges).unwrap_or_default() {
        let _always = if first == last {
            write!(line, " {first}")
        } else {
            write!(line, " {first}-{last}")
        };
    }
    if is_me {
        for mark in marks(ask, node) {
            line.push_str(&mark);
        }
    }
    line
}

/// ` [slot->-target]` and ` [slot-<-source]` of this node's slots that are open.
fn marks(ask: &Ask<'_, '_>, me: &Node) -> Vec<String> {
    let state = &ask.view.state;
    let primary = |shard: ShardId| state.shards.get(&shard).map(|shard| shard.primary);
    let mut marks = Vec::new();
    for (slot, open) in &state.open_slots {
        let owner = state.owner(*slot).map(|shard| shard.id);
        if owner == Some(me.shard)
            && let Some(target) = open.migrating_to.and_then(primary)
        {
            marks.push(format!(" [{slot}->-{target}]"));
        }
        if open.importing == Some(me.shard)
            && let Some(source) = owner.and_then(primary).or(Some(me.id))
        {
            marks.push(format!(" [{slot}-<-{source}]"));
        }
    }
    marks
}

/// CLUSTER REPLICAS node-id, CLUSTER SLAVES node-id
pub fn replicas(ask: &mut Ask<'_, '_>) -> Outcome {
    let node = ask.known_node(ask.args.get(2))?;
    let shard = ask.shard_of(node).filter(|shard| shard.primary == node.id);
    let shard = shard.ok_or_else(|| ServerError::new("ERR The specified node is not a master"))?;
    let none = BTreeMap::new();
    let lines: Vec<String> = shard
        .replicas
        .iter()
        .filter_map(|id| ask.view.state.nodes.get(id))
        .map(|node| node_line(ask, node, &none))
        .collect();
    ask.reply.array(lines.len());
    for line in lines {
        ask.reply.bulk(line.as_bytes());
    }
    Ok(Then::Answered)
}

/// CLUSTER SLOTS: each range with its primary and the replicas that are not dead.
pub fn slots(ask: &mut Ask<'_, '_>) -> Outcome {
    let preferred: EndpointType = endpoint::preferred(&ask.server.config);
    let state = std::sync::Arc::clone(&ask.view.state);
    let mut ranges: Vec<(u16, u16, ShardId)> = Vec::new();
    for (shard, slots) in state.slots_by_shard() {
        ranges.extend(
            slots
                .ranges()
                .into_iter()
                .map(|(first, last)| (first, last, shard)),
        );
    }
    ranges.sort_unstable_by_key(|(first, ..)| *first);
    ask.reply.array(ranges.len());
    for (first, last, shard) in ranges {
        let members: Vec<&Node> = state
            .shards
            .get(&shard)
            .map(|shard| {
                let alive = |id: &NodeId| *id == shard.primary || !ask.peer(*id).failed;
                let members = shard.members().filter(alive);
                members.filter_map(|id| state.nodes.get(&id)).collect()
            })
            .unwrap_or_default();
        ask.reply.array(2 + members.len());
        ask.reply.int(i64::from(first));
        ask.reply.int(i64::from(last));
        for node in members {
            endpoint::show(ask.reply, node, preferred, ask.tls);
        }
    }
    Ok(Then::Answered)
}

/// CLUSTER SHARDS
pub fn shards(ask: &mut Ask<'_, '_>) -> Outcome {
    let state = std::sync::Arc::clone(&ask.view.state);
    let slots = state.slots_by_shard();
    ask.reply.array(state.shards.len());
    for shard in state.shards.values() {
        let ranges = slots.get(&shard.id).map(SlotSet::ranges).unwrap_or_default();
        ask.reply.map(2);
        ask.reply.bulk(b"slots");
        ask.reply.array(2 * ranges.len());
        for (first, last) in ranges {
            ask.reply.int(i64::from(first));
            ask.reply.int(i64::from(last));
        }
        let nodes: Vec<&Node> = shard.members().filter_map(|id| state.nodes.get(&id)).collect();
        ask.reply.bulk(b"nodes");
        ask.reply.array(nodes.len());
        for node in nodes {
            shard_node(ask, node, shard.primary == node.id);
        }
    }
    Ok(Then::Answered)
}

fn shard_node(ask: &mut Ask<'_, '_>, node: &Node, is_primary: bool) {
    let preferred = endpoint::preferred(&ask.server.config);
    let peer = ask.peer(node.id);
    let at = &node.endpoint;
    let ports = [("port", at.port), ("tls-port", at.tls_port)];
    let ports: Vec<(&str, u16)> = ports.into_iter().filter(|(_, port)| *port != 0).collect();
    let hostname = !at.hostname.is_empty();
    let reply = &mut *ask.reply;
    reply.map(6 + ports.len() + usize::from(hostname));
    reply.bulk(b"id");
    reply.bulk(node.id.as_str().as_bytes());
    for (name, port) in ports {
        reply.bulk(name.as_bytes());
        reply.int(i64::from(port));
    }
    reply.bulk(b"ip");
    reply.bulk(at.ip.as_bytes());
    reply.bulk(b"endpoint");
    match preferred {
        EndpointType::Ip | EndpointType::Hostname => reply.bulk(endpoint::host(at, preferred).as_bytes()),
        EndpointType::Unknown => reply.null(),
    }
    if hostname {
        reply.bulk(b"hostname");
        reply.bulk(at.hostname.as_bytes());
    }
    reply.bulk(b"role");
    reply.bulk(if is_primary { b"master" } else { b"replica" });
    reply.bulk(b"replication-offset");
    reply.int(peer.offset as i64);
    reply.bulk(b"health");
    reply.bulk(if peer.failed { b"failed" } else { b"online" });
}

/// CLUSTER LINKS
pub fn links(ask: &mut Ask<'_, '_>) -> Outcome {
    let links = ask.cluster.plane().links();
    ask.reply.array(links.len());
    for link in links {
        let reply = &mut *ask.reply;
        reply.map(6);
        reply.bulk(b"direction");
        reply.bulk(if link.inbound { b"from" } else { b"to" });
        reply.bulk(b"node");
        reply.bulk(link.node.as_str().as_bytes());
        reply.bulk(b"create-time");
        reply.int(link.created_ms);
        reply.bulk(b"events");
        reply.bulk(if link.inbound { b"r" } else { b"rw" });
        reply.bulk(b"send-buffer-allocated");
        reply.int(link.queued as i64);
        reply.bulk(b"send-buffer-used");
        reply.int(link.queued as i64);
    }
    Ok(Then::Answered)
}

const HELP: &[(&str, &str)] = &[
    ("ADDSLOTS <slot> [<slot> ...]", "Gives hash slots to this node."),
    (
        "ADDSLOTSRANGE <first> <last> [<first> <last> ...]",
        "Gives ranges of hash slots to this node.",
    ),
    (
        "BUMPEPOCH",
        "Tells this node's configuration epoch; it is not raised for the asking.",
    ),
    (
        "CANCELSLOTMIGRATIONS",
        "Gives up the migrations that leave this node.",
    ),
    ("COUNT-FAILURE-REPORTS <node-id>", "1 if the node counts as dead."),
    ("COUNTKEYSINSLOT <slot>", "Counts the keys of a hash slot here."),
    (
        "DELSLOTS <slot> [<slot> ...]",
        "Takes hash slots from whoever has them.",
    ),
    (
        "DELSLOTSRANGE <first> <last> [<first> <last> ...]",
        "Takes ranges of hash slots from whoever has them.",
    ),
    (
        "FAILOVER [FORCE|TAKEOVER]",
        "Makes this replica the primary of its shard.",
    ),
    ("FLUSHSLOTS", "Takes all hash slots from this node."),
    ("FORGET <node-id>", "Makes a node leave the cluster."),
    ("GETKEYSINSLOT <slot> <count>", "Lists keys of a hash slot here."),
    (
        "GETSLOTMIGRATIONS",
        "Tells the migrations that this node has a part in.",
    ),
    ("INFO", "The state of the cluster as this node sees it."),
    ("KEYSLOT <key>", "The hash slot of a key."),
    ("LINKS", "The connections to other nodes."),
    (
        "MEET <ip> <port> [<bus-port>]",
        "Joins this node's cluster and another node.",
    ),
    (
        "MIGRATESLOTS SLOTSRANGE <first> <last> [<first> <last> ...] NODE <node-id> [...]",
        "Moves hash slots with their keys to other nodes.",
    ),
    (
        "MIGRATION (IMPORT <first> <last> [...]|CANCEL (ID <id>|ALL)|STATUS (ID <id>|ALL))",
        "Moves hash slots with their keys to this node; gives that up; tells how far it is.",
    ),
    ("MYID", "The name of this node."),
    ("MYSHARDID", "The name of this node's shard."),
    (
        "NODES",
        "The nodes: id, address, flags, primary, ping, pong, epoch, link, hash slots.",
    ),
    ("REPLICAS <node-id>", "The replicas of a primary."),
    ("REPLICATE <node-id>", "Makes this node a replica."),
    ("RESET [HARD|SOFT]", "Makes this node forget its cluster."),
    ("SAVECONFIG", "Writes the state to the disk."),
    (
        "SET-CONFIG-EPOCH <epoch>",
        "Accepted; epochs are given by the cluster.",
    ),
    (
        "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
        "Says to which node a hash slot belongs or moves.",
    ),
    ("SHARDS", "The shards with their nodes and hash slots."),
    (
        "SLOT-STATS (SLOTSRANGE <first> <last>|ORDERBY <metric> [LIMIT <n>] [ASC|DESC])",
        "What hash slots of this node hold and cost.",
    ),
    ("SLOTS", "The ranges of hash slots with their nodes."),
];

/// CLUSTER HELP
pub fn help(ask: &mut Ask<'_, '_>) -> Outcome {
    super::super::help_lines(ask.reply, "CLUSTER", HELP);
    Ok(Then::Answered)
}
