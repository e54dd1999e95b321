//! Clusters of a few nodes between which slots migrate: nodes that come back at their address, a client that follows
//! redirects, writers that know what each key must be, and a relay that cuts a node off.

pub mod relay;
pub mod torture;
pub mod writers;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::client::Client;
use crate::ports::free_cluster_ports;
use crate::reply::Reply;
use crate::server::{Options, Role, Server};
use crate::wait::{Pauses, wait_until, wait_within};

/// Number of hash slots.
pub const SLOTS: u16 = 16384;
/// How long a client goes on asking before it gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A node and what it takes to start it again.
pub struct Node {
    /// The process; None while it is down.
    pub server: Option<Server>,
    options: Options,
    /// Where clients reach it.
    pub address: SocketAddr,
    bus: u16,
    /// Its name.
    pub id: String,
}

impl Node {
    /// The process.
    ///
    /// # Errors
    /// It is down.
    pub fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("the node is down")
    }

    /// A connection to it.
    ///
    /// # Errors
    /// It is down.
    pub fn connect(&self) -> Result<Client> {
        self.server()?.connect()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it again, with its files, at its address.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.server = Some(Server::start(Role::Subject, &self.options)?);
        Ok(())
    }
}

/// Nodes of one cluster.
pub struct Nodes {
    /// The nodes; the first has all slots at the beginning.
    pub nodes: Vec<Node>,
    dirs: TempDir,
}

impl Nodes {
    /// `primaries` nodes that know each other, of which the first has all slots; `directives` for each.
    ///
    /// # Errors
    /// They do not come together; the message carries a log.
    pub fn start(primaries: usize, directives: &[(&str, &str)]) -> Result<Self> {
        let dirs = tempfile::tempdir()?;
        let mut nodes = Vec::new();
        for n in 0..primaries {
            let own: Vec<(String, String)> = Vec::new();
            nodes.push(node(dirs.path().join(n.to_string()), directives, &own)?);
        }
        let cluster = Self { nodes, dirs };
        cluster.meet()?;
        let reply = cluster.nodes[0]
            .connect()?
            .command("CLUSTER ADDSLOTSRANGE 0 16383")?;
        ensure!(reply.text() == Some("OK"), "ADDSLOTSRANGE: {reply:?}");
        cluster.wait_until_ok()?;
        Ok(cluster)
    }

    /// One more node, not yet a member; `own`: directives of its own.
    ///
    /// # Errors
    /// It does not start.
    pub fn add(&mut self, directives: &[(&str, &str)], own: &[(String, String)]) -> Result<usize> {
        let dir = self.dirs.path().join(self.nodes.len().to_string());
        self.nodes.push(node(dir, directives, own)?);
        self.meet()?;
        Ok(self.nodes.len() - 1)
    }

    /// The same behind a relay, which others take for the node.
    ///
    /// # Errors
    /// It does not start.
    pub fn add_behind(&mut self, relay: &relay::Relay, own: &[(String, String)]) -> Result<usize> {
        let dir = self.dirs.path().join(self.nodes.len().to_string());
        let node = node(dir, &[], own)?;
        relay.lead_to(node.server()?.address());
        self.nodes.push(node);
        self.meet()?;
        Ok(self.nodes.len() - 1)
    }

    fn meet(&self) -> Result<()> {
        let mut first = self.nodes[0].connect()?;
        for node in &self.nodes[1..] {
            let (ip, port, bus) = (
                node.server()?.address().ip(),
                node.server()?.address().port(),
                node.bus,
            );
            let known = first.text(&["CLUSTER", "NODES"])?;
            if known.contains(&node.id) {
                continue;
            }
            let reply = first.command(&format!("CLUSTER MEET {ip} {port} {bus}"))?;
            ensure!(
                reply.text() == Some("OK"),
                "MEET: {reply:?}\n{}",
                node.server()?.log()
            );
        }
        self.wait_for_all(&format!("all know {} nodes", self.nodes.len()), |client| {
            Ok(client.text(&["CLUSTER", "NODES"])?.lines().count() == self.nodes.len())
        })
    }

    /// Waits until it is so on every node that runs.
    ///
    /// # Errors
    /// It never is.
    pub fn wait_for_all(&self, what: &str, mut is_so: impl FnMut(&mut Client) -> Result<bool>) -> Result<()> {
        for node in self.nodes.iter().filter(|node| node.server.is_some()) {
            let mut client = node.connect()?;
            wait_until(what, || is_so(&mut client))
                .with_context(|| node.server().map_or(String::new(), Server::log))?;
        }
        Ok(())
    }

    /// Waits until all nodes serve.
    ///
    /// # Errors
    /// They never do.
    pub fn wait_until_ok(&self) -> Result<()> {
        self.wait_for_all("the cluster is well", |client| {
            Ok(client.text(&["CLUSTER", "INFO"])?.contains("cluster_state:ok"))
        })
    }

    /// Makes one node the replica of another, and waits until it may be promoted.
    ///
    /// # Errors
    /// It does not follow.
    pub fn replicate(&self, replica: usize, primary: usize) -> Result<()> {
        let mut client = self.nodes[replica].connect()?;
        let reply = client.call(&["CLUSTER", "REPLICATE", &self.nodes[primary].id])?;
        ensure!(reply.text() == Some("OK"), "REPLICATE: {reply:?}");
        crate::replication::wait_for_link(self.nodes[replica].server()?)
    }

    /// Begins a migration of slots `first..=last`, and returns its name.
    ///
    /// # Errors
    /// It is refused.
    pub fn migrate(&self, from: usize, to: usize, first: u16, last: u16) -> Result<String> {
        let mut client = self.nodes[from].connect()?;
        let (first, last) = (first.to_string(), last.to_string());
        let words = [
            "CLUSTER",
            "MIGRATESLOTS",
            "SLOTSRANGE",
            &first,
            &last,
            "NODE",
            &self.nodes[to].id,
        ];
        let mut asked_before = false;
        wait_until("slots begin to travel", || {
            let reply = client.call(&words)?;
            let says = |end: &[u8]| matches!(&reply, Reply::Error(text) if text.ends_with(end));
            // A node may hear later than another that the slots have become its own.
            let too_early = says(b"is not owned by the source of the migration");
            // A majority that is slow to answer may have agreed all the same.
            let open = says(b"the cluster's majority did not answer");
            let begun = asked_before && says(b"being migrated already");
            asked_before |= open;
            ensure!(
                too_early || open || begun || reply.text() == Some("OK"),
                "MIGRATESLOTS: {reply:?}"
            );
            Ok(!too_early && !open)
        })?;
        let newest = rows(&mut client)?
            .into_iter()
            .next()
            .context("no migration is told")?;
        Ok(newest["name"].clone())
    }

    /// What a node tells of a migration; None: nothing.
    ///
    /// # Errors
    /// It does not answer.
    pub fn migration(&self, node: usize, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        migration(&mut self.nodes[node].connect()?, name)
    }

    /// Waits until a migration is over, and returns how it ended.
    ///
    /// # Errors
    /// It never is.
    pub fn wait_for_end(&self, node: usize, name: &str) -> Result<String> {
        let server = self.nodes[node].server()?;
        let mut client = server.connect()?;
        let mut last = String::new();
        wait_within(PATIENCE * 2, "the migration ends", || {
            let row = migration(&mut client, name)?.context("it is forgotten")?;
            last = format!("{row:?}");
            Ok(has_ended(&row).then(|| row["state"].clone()))
        })
        .with_context(|| format!("{last}\n{}", server.log()))
    }

    /// Waits until a node has no key of slots that are not its own.
    ///
    /// # Errors
    /// It keeps some.
    pub fn wait_until_empty(&self, node: usize) -> Result<()> {
        let mut client = self.nodes[node].connect()?;
        wait_until("the keys are gone", || {
            Ok(client.command("DBSIZE")? == Reply::Integer(0))
        })
        .with_context(|| self.nodes[node].server().map_or(String::new(), Server::log))
    }

    /// A client of the cluster.
    pub fn client(&self) -> ClusterClient {
        ClusterClient::new(self.nodes.iter().map(|node| node.address).collect())
    }
}

fn node(dir: PathBuf, directives: &[(&str, &str)], own: &[(String, String)]) -> Result<Node> {
    std::fs::create_dir_all(&dir)?;
    let (port, bus) = free_cluster_ports()?;
    let mut options = Options::new()
        .dir(&dir)
        .port(port)
        .directive("cluster-enabled", "yes")
        .directive("cluster-announce-ip", "127.0.0.1")
        .directive("cluster-port", &bus.to_string());
    for (name, value) in directives {
        options = options.directive(name, value);
    }
    let mut announced = port;
    for (name, value) in own {
        options = options.directive(name, value);
        if name == "cluster-announce-port" {
            announced = value.parse()?;
        }
    }
    let server = Server::start(Role::Subject, &options)?;
    let id = server.connect()?.text(&["CLUSTER", "MYID"])?;
    Ok(Node {
        server: Some(server),
        options,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, announced)),
        bus,
        id,
    })
}

/// The rows of CLUSTER GETSLOTMIGRATIONS.
///
/// # Errors
/// The node does not answer as it should.
pub fn rows(client: &mut Client) -> Result<Vec<BTreeMap<String, String>>> {
    let reply = client.command("CLUSTER GETSLOTMIGRATIONS")?;
    fields(&reply)
}

/// What a node tells of a migration; None: nothing.
fn migration(client: &mut Client, name: &str) -> Result<Option<BTreeMap<String, String>>> {
    Ok(rows(client)?.into_iter().find(|row| row["name"] == name))
}

/// Whether a row tells that its migration is over.
fn has_ended(row: &BTreeMap<String, String>) -> bool {
    matches!(row["state"].as_str(), "success" | "failed" | "cancelled")
}

/// Rows of names and values.
///
/// # Errors
/// They are not.
pub fn fields(reply: &Reply) -> Result<Vec<BTreeMap<String, String>>> {
    let rows = reply.elements().with_context(|| format!("{reply:?}"))?;
    rows.iter()
        .map(|row| {
            let words = row.elements().context("a row")?;
            ensure!(words.len() % 2 == 0, "{row:?}");
            Ok(words
                .chunks_exact(2)
                .map(|pair| {
                    let value = match pair[1] {
                        Reply::Integer(n) => n.to_string(),
                        other => other.text().unwrap_or_default().to_owned(),
                    };
                    (pair[0].text().unwrap_or_default().to_owned(), value)
                })
                .collect())
        })
        .collect()
}

/// The slot of a key (the Redis Cluster specification).
pub fn key_slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|b| *b == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|b| *b == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    let crc = tag.unwrap_or(key).iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 != 0 {
                (crc << 1) ^ 0x1021
            } else {
                crc << 1
            }
        })
    });
    crc % SLOTS
}

/// What came of a command.
#[derive(Debug)]
pub enum Answer {
    /// A reply that is no redirect.
    Reply(Reply),
    /// The connection broke, or the node lost its lease meanwhile: it may have run, or not.
    Unknown,
}

/// A client that follows redirects, and asks again while nobody serves.
pub struct ClusterClient {
    seeds: Vec<SocketAddr>,
    owners: BTreeMap<u16, SocketAddr>,
    links: BTreeMap<SocketAddr, Client>,
    /// MOVED that it got.
    pub moved: u64,
    /// ASK that it got.
    pub asked: u64,
    /// Times that nobody served.
    pub down: u64,
    /// The longest time that an answer took, redirects included.
    pub longest: Duration,
}

impl ClusterClient {
    /// A client that knows these nodes.
    pub fn new(seeds: Vec<SocketAddr>) -> Self {
        Self {
            seeds,
            owners: BTreeMap::new(),
            links: BTreeMap::new(),
            moved: 0,
            asked: 0,
            down: 0,
            longest: Duration::ZERO,
        }
    }

    fn link(&mut self, address: SocketAddr) -> Result<&mut Client> {
        Ok(match self.links.entry(address) {
            Entry::Occupied(link) => link.into_mut(),
            Entry::Vacant(place) => place.insert(Client::connect(address)?),
        })
    }

    /// Runs commands for one slot in one write. Of several, none or all are redirected: they are a transaction.
    ///
    /// # Errors
    /// Nobody serves for very long.
    pub fn call<A: AsRef<[u8]>>(&mut self, slot: u16, commands: &[Vec<A>]) -> Result<Answer> {
        let (began, mut turn, mut pauses) = (Instant::now(), 0, Pauses::default());
        loop {
            ensure!(
                began.elapsed() < PATIENCE,
                "nobody has served slot {slot} for {PATIENCE:?}"
            );
            let seed = self.seeds[turn % self.seeds.len()];
            let address = self.owners.get(&slot).copied().unwrap_or(seed);
            turn += 1;
            let Ok(link) = self.link(address) else {
                // It never got anything: somebody else is asked.
                self.owners.remove(&slot);
                pauses.rest();
                continue;
            };
            let Ok(replies) = link.pipeline(commands) else {
                self.links.remove(&address);
                self.owners.remove(&slot);
                return Ok(Answer::Unknown);
            };
            // The first error says where all of it goes: a transaction with a redirect in it does nothing.
            let error = replies.iter().find_map(|reply| match reply {
                Reply::Error(error) => Some(String::from_utf8_lossy(error).into_owned()),
                _ => None,
            });
            let last = replies.into_iter().next_back().context("no reply")?;
            let Some(error) = error else {
                self.longest = self.longest.max(began.elapsed());
                return Ok(Answer::Reply(last));
            };
            if let Some(moved) = error.strip_prefix("MOVED ") {
                self.moved += 1;
                let (_, address) = moved.split_once(' ').context("MOVED names an address")?;
                self.owners.insert(slot, address.parse()?);
            } else if error.starts_with("ASK ") {
                self.asked += 1;
            } else if error.starts_with("CLUSTERDOWN")
                || error.starts_with("TRYAGAIN")
                || error.starts_with("LOADING")
            {
                self.down += 1;
                self.owners.remove(&slot);
                pauses.rest();
            } else if error.starts_with("ERR The lease of this node ended") {
                // It stood still while the command ran, as on a machine that is busy.
                self.owners.remove(&slot);
                return Ok(Answer::Unknown);
            } else {
                bail!("{address}: {error}");
            }
        }
    }

    /// One command about one key; asked again if the connection breaks, so it must do no harm to run twice.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn one<A: AsRef<[u8]> + Clone>(&mut self, words: &[A]) -> Result<Reply> {
        let slot = key_slot(words.get(1).context("a key")?.as_ref());
        loop {
            if let Answer::Reply(reply) = self.call(slot, &[words.to_vec()])? {
                return Ok(reply);
            }
        }
    }
}
