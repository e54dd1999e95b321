//! Clusters of real processes, of either kind of server: on the loopback, or each node on a host of its own. Campaigns kill,
//! stop and cut off nodes under writes, and look for what was acknowledged and is gone.
//!
//! ```text
//! mod.rs      the nodes: formed by redis-cli, killed, started again at the same address        redis_cli.rs   runs it
//! client.rs   a client that knows who has which slot, and follows redirections
//! load.rs     writers of numbered keys, each write with WAIT 1; the check of what they were told
//! kills.rs    a primary is killed, again and again        parted.rs   links are cut, processes stand still
//! ```

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::ask::info;
use crate::client::Client;
use crate::namespaces::Network;
use crate::ports::free_cluster_ports;
use crate::server::{Options, Role, Server};
use crate::wait::wait_until;

pub mod client;
pub mod kills;
pub mod load;
pub mod parted;
mod redis_cli;

pub use redis_cli::{ask_redis_cli, redis_cli};

/// Slots of a cluster.
pub const SLOTS: u16 = 16384;

/// How long a node that is asked for its state may take to answer: it may stand still or be cut off.
const PATIENCE: Duration = Duration::from_secs(2);

/// Opens connections from somewhere: from this machine, or from a host of a network.
pub type Connect = Arc<dyn Fn(SocketAddr) -> Result<Client> + Send + Sync>;

/// What kind of cluster.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whose servers.
    pub role: Role,
    /// Shards.
    pub primaries: usize,
    /// Replicas of each.
    pub replicas: usize,
    /// Directives of every node.
    pub directives: Vec<(String, String)>,
    /// Each node is on a host of its own, and there is one more host for clients on each side of a partition: two.
    pub hosts: bool,
}

impl Setup {
    /// Three primaries with a replica each, on the loopback.
    pub fn new(role: Role) -> Setup {
        Setup {
            role,
            primaries: 3,
            replicas: 1,
            directives: Vec::new(),
            hosts: false,
        }
    }

    /// Each on a host of its own.
    #[must_use]
    pub fn on_hosts(mut self) -> Setup {
        self.hosts = true;
        self
    }

    /// With this directive.
    #[must_use]
    pub fn directive(mut self, name: &str, value: &str) -> Setup {
        self.directives.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// One node; its address and its folder outlive its processes.
struct Node {
    options: Options,
    address: SocketAddr,
    id: String,
    server: Option<Server>,
    stopped: bool,
}

/// A cluster that has formed.
pub struct Cluster {
    setup: Setup,
    nodes: Vec<Node>,
    network: Option<Arc<Network>>,
    _dir: TempDir,
}

impl Cluster {
    /// Starts the nodes and has `redis-cli --cluster create` make a cluster of them; waits until all replicas follow.
    ///
    /// # Errors
    /// A program is missing, or the cluster does not form; the message carries the logs.
    pub fn start(setup: Setup) -> Result<Cluster> {
        let dir = tempfile::Builder::new().prefix("holdfast-cluster-").tempdir()?;
        let count = setup.primaries * (1 + setup.replicas);
        let network = match setup.hosts {
            true => Some(Arc::new(Network::new(count + 2)?)),
            false => None,
        };
        let mut cluster = Cluster {
            setup,
            nodes: Vec::new(),
            network,
            _dir: dir,
        };
        for number in 0..count {
            let own = cluster._dir.path().join(format!("node{number}"));
            std::fs::create_dir(&own)?;
            // A host has all its ports for itself.
            let (port, bus) = match cluster.setup.hosts {
                true => (6379, 16379),
                false => free_cluster_ports()?,
            };
            let mut options = Options::new()
                .dir(&own)
                .port(port)
                .directive("cluster-enabled", "yes")
                .directive("cluster-port", &bus.to_string())
                .directive("repl-diskless-sync-delay", "0");
            for (name, value) in &cluster.setup.directives {
                options = options.directive(name, value);
            }
            let server = cluster.launch(number, &options)?;
            cluster.nodes.push(Node {
                options,
                address: server.address(),
                id: String::new(),
                server: Some(server),
                stopped: false,
            });
            let id = cluster.ask(number, "CLUSTER MYID")?;
            cluster.nodes[number].id = id;
        }
        let mut words = vec!["--cluster".to_owned(), "create".to_owned()];
        words.extend(cluster.nodes.iter().map(|node| node.address.to_string()));
        words.push("--cluster-replicas".to_owned());
        words.push(cluster.setup.replicas.to_string());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = cluster.redis_cli(&words).with_context(|| cluster.logs())?;
        ensure!(said.contains("[OK] All 16384 slots covered."), "{said}");
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    fn launch(&self, number: usize, options: &Options) -> Result<Server> {
        match &self.network {
            Some(network) => network.host(number).start(self.setup.role, options),
            None => Server::start(self.setup.role, options),
        }
    }

    /// [`redis_cli()`] beside the first node.
    ///
    /// # Errors
    /// It failed; the message has its words.
    pub fn redis_cli(&self, words: &[&str]) -> Result<String> {
        match &self.network {
            Some(network) => network.host(0).inside(|| redis_cli(words)),
            None => redis_cli(words),
        }
    }

    /// How many nodes.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// What kind of servers.
    pub fn role(&self) -> Role {
        self.setup.role
    }

    /// Where all nodes listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    /// The name of a node.
    pub fn id(&self, node: usize) -> &str {
        &self.nodes[node].id
    }

    /// The network of the hosts.
    ///
    /// # Errors
    /// The cluster is on the loopback.
    pub fn network(&self) -> Result<&Network> {
        self.network
            .as_deref()
            .context("the nodes have no hosts of their own")
    }

    /// Connects from beside a node; or from one of the two clients' hosts, which come after the nodes'. Waits so long for a
    /// connection at most.
    pub fn connect_from(&self, host: usize, wait: Duration) -> Connect {
        match &self.network {
            Some(network) => {
                let network = Arc::clone(network);
                Arc::new(move |address| {
                    network
                        .host(host)
                        .inside(|| Client::connect_within(address, wait))
                })
            }
            None => Arc::new(move |address| Client::connect_within(address, wait)),
        }
    }

    /// The number of the host of the clients on the others' side of a partition; the next one is for those beside the node
    /// that is cut off.
    pub fn clients(&self) -> usize {
        self.count()
    }

    /// A connection to a node, from beside it.
    ///
    /// # Errors
    /// It does not run or does not accept.
    pub fn connect(&self, node: usize) -> Result<Client> {
        let mut client = self.connect_from(node, PATIENCE)(self.nodes[node].address)?;
        client.set_timeout(PATIENCE);
        Ok(client)
    }

    fn ask(&self, node: usize, command: &str) -> Result<String> {
        let words: Vec<&str> = command.split(' ').collect();
        let ask = || self.connect(node)?.text(&words);
        // The whole machine may have stood still for longer than a reply may take.
        ask().or_else(|_| ask())
    }

    /// A field of a node's CLUSTER INFO; empty if it is not there.
    ///
    /// # Errors
    /// The node does not answer.
    pub fn cluster_info(&self, node: usize, field: &str) -> Result<String> {
        let text = self.ask(node, "CLUSTER INFO")?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.unwrap_or_default().trim().to_owned())
    }

    /// The numbers of the nodes that call themselves primaries of slots, of those that run and answer.
    pub fn primaries(&self) -> Vec<usize> {
        (0..self.count())
            .filter(|node| self.is_primary(*node).unwrap_or(false))
            .collect()
    }

    fn is_primary(&self, node: usize) -> Result<bool> {
        if self.nodes[node].server.is_none() || self.nodes[node].stopped {
            return Ok(false);
        }
        let nodes = self.ask(node, "CLUSTER NODES")?;
        let myself = nodes
            .lines()
            .find(|line| line.contains("myself"))
            .context("no line of its own")?;
        let words: Vec<&str> = myself.split(' ').collect();
        Ok(words.len() > 8 && words[2].contains("master"))
    }

    /// The primary that a node follows, by the node's own word.
    ///
    /// # Errors
    /// It does not answer.
    pub fn primary_of(&self, node: usize) -> Result<Option<usize>> {
        let nodes = self.ask(node, "CLUSTER NODES")?;
        let myself = nodes.lines().find(|line| line.contains("myself"));
        let primary = myself.and_then(|line| line.split(' ').nth(3)).unwrap_or_default();
        Ok(self.nodes.iter().position(|node| node.id == primary))
    }

    /// The node that leads the control plane; none in a cluster that has no such thing.
    pub fn leader(&self) -> Option<usize> {
        let mut leaders = (0..self.count()).filter_map(|node| {
            let running = self.nodes[node].server.is_some() && !self.nodes[node].stopped;
            let leader = self
                .cluster_info(node, "cluster_raft_leader")
                .ok()
                .filter(|_| running)?;
            self.nodes.iter().position(|node| node.id == leader)
        });
        leaders.next()
    }

    /// The server of a node.
    ///
    /// # Errors
    /// It was killed.
    pub fn server(&self, node: usize) -> Result<&Server> {
        self.nodes[node].server.as_ref().context("the node was killed")
    }

    /// Whether its process was not killed here.
    pub fn runs(&self, node: usize) -> bool {
        self.nodes[node].server.is_some()
    }

    /// SIGKILL.
    pub fn kill(&mut self, node: usize) {
        drop(self.nodes[node].server.take());
        self.nodes[node].stopped = false;
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// It does not run.
    pub fn stop(&mut self, node: usize) -> Result<()> {
        self.signal(node, Signal::SIGSTOP)?;
        self.nodes[node].stopped = true;
        Ok(())
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&mut self, node: usize) -> Result<()> {
        self.signal(node, Signal::SIGCONT)?;
        self.nodes[node].stopped = false;
        Ok(())
    }

    fn signal(&self, node: usize, signal: Signal) -> Result<()> {
        self.server(node)?.signal(signal)
    }

    /// Starts a node that was killed, at its address and on its data.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&mut self, node: usize) -> Result<()> {
        ensure!(self.nodes[node].server.is_none(), "node {node} runs");
        let server = self.launch(node, &self.nodes[node].options)?;
        self.nodes[node].server = Some(server);
        Ok(())
    }

    /// Waits until all nodes agree that all is well, and every replica has what its primary has.
    ///
    /// # Errors
    /// They never do; the message carries what was amiss and the logs.
    pub fn wait_until_whole(&self) -> Result<()> {
        let mut amiss = String::new();
        let waited = wait_until("the cluster is whole", || {
            // A node that is busy with a role that changes ends connections: that is looked at again.
            amiss = match self.amiss() {
                Ok(None) => return Ok(true),
                Ok(Some(what)) => what,
                Err(error) => format!("{error:#}"),
            };
            Ok(false)
        });
        waited.with_context(|| format!("{amiss}\n{}", self.logs()))
    }

    /// What is not as it should be.
    fn amiss(&self) -> Result<Option<String>> {
        let count = self.count().to_string();
        let mut primaries = 0;
        for node in 0..self.count() {
            for (field, wanted) in [("cluster_state", "ok"), ("cluster_known_nodes", &count)] {
                let found = self.cluster_info(node, field)?;
                if found != wanted {
                    return Ok(Some(format!("node {node}: {field} is {found}")));
                }
            }
            let view = self.ask(node, "CLUSTER NODES")?;
            if let Some(line) = view
                .lines()
                .find(|line| line.contains("fail") || line.contains("handshake"))
            {
                return Ok(Some(format!("node {node} sees {line}")));
            }
            let mut client = self.connect(node)?;
            if self.is_primary(node)? {
                primaries += 1;
                let replicas = info(&mut client, "replication", "connected_slaves")?;
                if replicas != self.setup.replicas.to_string() {
                    return Ok(Some(format!("node {node} has {replicas} replicas")));
                }
                if self.setup.role == Role::Subject {
                    let in_sync = self.cluster_info(node, "cluster_in_sync_replicas")?;
                    if in_sync != self.setup.replicas.to_string() {
                        return Ok(Some(format!("node {node} has {in_sync} replicas in sync")));
                    }
                }
            } else if info(&mut client, "replication", "master_link_status")? != "up" {
                return Ok(Some(format!("node {node} does not follow")));
            }
        }
        if primaries != self.setup.primaries {
            return Ok(Some(format!("{primaries} primaries")));
        }
        Ok(None)
    }

    /// The last lines of all logs.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let log = node.server.as_ref().map_or("(killed)".to_owned(), Server::log);
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(25)..].join("\n");
            text.push_str(&format!(
                "--- node {number} {} {}\n{last}\n",
                node.address, node.id
            ));
        }
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A process that stands still is killed as well as any.
        for node in &mut self.nodes {
            node.server = None;
        }
    }
}

/// The slot of a key without a hash tag, or of a tag: CRC-16/XMODEM of its bytes, modulo 16384.
pub fn slot_of(key: &[u8]) -> u16 {
    let mut crc = 0u16;
    for byte in key {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 };
        }
    }
    crc % SLOTS
}

/// A hash tag for each slot, made once.
pub fn tags() -> &'static [String] {
    static TAGS: OnceLock<Vec<String>> = OnceLock::new();
    TAGS.get_or_init(|| {
        let mut tags = vec![String::new(); usize::from(SLOTS)];
        let mut left = tags.len();
        let mut numbers = 0u64..;
        while left > 0
            && let Some(number) = numbers.next()
        {
            let tag = format!("{number:x}");
            let place = &mut tags[usize::from(slot_of(tag.as_bytes()))];
            if place.is_empty() {
                *place = tag;
                left -= 1;
            }
        }
        tags
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_keys_and_tags_of_slots() {
        // The specification's example: CRC-16 of 123456789 is 0x31c3.
        assert_eq!(slot_of(b"123456789"), 0x31c3 % SLOTS);
        assert_eq!(slot_of(b"foo"), 12182);
        let tags = tags();
        assert_eq!(tags.len(), usize::from(SLOTS));
        for slot in [0, 5460, 16383] {
            assert_eq!(slot_of(tags[usize::from(slot)].as_bytes()), slot);
        }
    }
}
