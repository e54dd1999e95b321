//! Clusters of several nodes as processes: they are made and changed by redis-cli, primaries give way or are killed, the
//! majority is lost. Times are generous, so that a busy machine is not taken for a dead one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use holdfast_tests::ask::{info, number};
use holdfast_tests::client::Client;
use holdfast_tests::cluster::redis_cli;
use holdfast_tests::ports::{free_cluster_ports, free_port};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server, tool};
use holdfast_tests::wait::{wait_for, wait_until};
use tempfile::TempDir;

/// A node that can come back at its address.
struct Node {
    options: Options,
    server: Option<Server>,
    address: SocketAddr,
}

struct Nodes {
    nodes: Vec<Node>,
    dir: TempDir,
}

impl Nodes {
    /// So many nodes, each alone.
    fn start(count: usize, failover_ms: u32) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("holdfast-group-").tempdir()?;
        let mut nodes = Self {
            nodes: Vec::new(),
            dir,
        };
        for _ in 0..count {
            nodes.add(failover_ms)?;
        }
        Ok(nodes)
    }

    fn add(&mut self, failover_ms: u32) -> Result<usize> {
        let own: PathBuf = self.dir.path().join(self.nodes.len().to_string());
        std::fs::create_dir(&own)?;
        let (port, bus) = free_cluster_ports()?;
        let options = Options::new()
            .dir(&own)
            .port(port)
            .directive("cluster-enabled", "yes")
            .directive("cluster-port", &bus.to_string())
            .directive("cluster-failover-time", &failover_ms.to_string())
            .directive("repl-diskless-sync-delay", "0");
        let server = Server::start(Role::Subject, &options)?;
        self.nodes.push(Node {
            options,
            address: server.address(),
            server: Some(server),
        });
        Ok(self.nodes.len() - 1)
    }

    /// A shard of all slots on the first node, with the second as its replica; the others have nothing.
    fn one_shard(count: usize, failover_ms: u32) -> Result<Self> {
        let nodes = Self::start(count, failover_ms)?;
        nodes.ok(0, "CLUSTER ADDSLOTSRANGE 0 16383")?;
        let meet = nodes.meet_words(0);
        for node in 1..count {
            nodes.ok(node, &meet)?;
        }
        for node in 0..count {
            wait_until("all know each other", || {
                Ok(nodes.field(node, "cluster_known_nodes")? == count.to_string())
            })
            .with_context(|| nodes.log(node))?;
        }
        if count > 2 {
            wait_until("all vote", || {
                Ok(nodes.field(0, "cluster_raft_voters")? == count.to_string())
            })?;
            let ids = nodes.field(0, "cluster_raft_voter_ids")?;
            let (mut ids, mut known): (Vec<_>, Vec<_>) = (
                ids.split(',').map(str::to_owned).collect(),
                (0..count).map(|node| nodes.id(node)).collect::<Result<_>>()?,
            );
            ids.sort();
            known.sort();
            ensure!(ids == known, "{ids:?} vote, of {known:?}");
        }
        nodes.ok(1, &format!("CLUSTER REPLICATE {}", nodes.id(0)?))?;
        nodes.wait_for_in_sync(0)?;
        Ok(nodes)
    }

    fn meet_words(&self, node: usize) -> String {
        let port = self.nodes[node].address.port();
        // The bus has a port of its own.
        let bus = self.bus_port(node).unwrap_or_default();
        format!("CLUSTER MEET 127.0.0.1 {port} {bus}")
    }

    fn bus_port(&self, node: usize) -> Result<u16> {
        let nodes = self.ask(node, "CLUSTER NODES")?;
        let own = nodes
            .lines()
            .find(|line| line.contains("myself"))
            .context("itself")?;
        let port = own
            .split_once('@')
            .and_then(|(_, rest)| rest.split([' ', ',']).next());
        Ok(port.context("a bus port")?.parse()?)
    }

    fn connect(&self, node: usize) -> Result<Client> {
        Client::connect(self.nodes[node].address)
    }

    fn ask(&self, node: usize, command: &str) -> Result<String> {
        let words: Vec<&str> = command.split(' ').collect();
        self.connect(node)?.text(&words)
    }

    fn ok(&self, node: usize, command: &str) -> Result<()> {
        let reply = self.connect(node)?.command(command)?;
        ensure!(
            reply.text() == Some("OK"),
            "{command}: {reply:?}\n{}",
            self.log(node)
        );
        Ok(())
    }

    fn id(&self, node: usize) -> Result<String> {
        self.ask(node, "CLUSTER MYID")
    }

    fn field(&self, node: usize, field: &str) -> Result<String> {
        let text = self.ask(node, "CLUSTER INFO")?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.unwrap_or_default().trim().to_owned())
    }

    fn role(&self, node: usize) -> Result<String> {
        info(&mut self.connect(node)?, "replication", "role")
    }

    fn wait_for_in_sync(&self, primary: usize) -> Result<()> {
        wait_until("a replica is in sync", || {
            Ok(self.field(primary, "cluster_in_sync_replicas")? == "1")
        })
        .with_context(|| self.log(primary))
    }

    fn log(&self, node: usize) -> String {
        self.nodes[node]
            .server
            .as_ref()
            .map_or_else(String::new, Server::log)
    }

    fn kill(&mut self, node: usize) {
        drop(self.nodes[node].server.take());
    }

    fn start_again(&mut self, node: usize) -> Result<()> {
        let server = Server::start(Role::Subject, &self.nodes[node].options)?;
        self.nodes[node].server = Some(server);
        Ok(())
    }

    fn address(&self, node: usize) -> String {
        self.nodes[node].address.to_string()
    }
}

/// Has a command executed by whoever has its key, as long as that takes.
struct Follower {
    nodes: Vec<SocketAddr>,
    client: Option<Client>,
    next: usize,
}

impl Follower {
    fn new(nodes: &Nodes) -> Self {
        Self {
            nodes: nodes.nodes.iter().map(|node| node.address).collect(),
            client: None,
            next: 0,
        }
    }

    fn call(&mut self, words: &[&str]) -> Result<Reply> {
        wait_for(&format!("somebody executes {words:?}"), || {
            let Some(client) = &mut self.client else {
                let address = self.nodes[self.next % self.nodes.len()];
                self.next += 1;
                self.client = Client::connect(address).ok();
                return Ok(None);
            };
            let Ok(reply) = client.call(words) else {
                self.client = None;
                return Ok(None);
            };
            let moved = match &reply {
                Reply::Error(text) => String::from_utf8_lossy(text).into_owned(),
                _ => return Ok(Some(reply)),
            };
            let to = moved
                .strip_prefix("MOVED ")
                .and_then(|rest| rest.split(' ').nth(1));
            match to {
                // It may be the one that is dead.
                Some(to) => self.client = Client::connect(to.parse()?).ok(),
                None if moved.starts_with("CLUSTERDOWN") => self.client = None,
                None => bail!("{words:?}: {moved}"),
            }
            Ok(None)
        })
    }
}

#[test]
fn a_primary_gives_way_under_load_and_nothing_is_lost() -> Result<()> {
    let nodes = Nodes::one_shard(2, 10_000)?;
    let stop = AtomicBool::new(false);
    let counted = std::thread::scope(|scope| -> Result<i64> {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (nodes, stop) = (&nodes, &stop);
                scope.spawn(move || -> Result<i64> {
                    let mut client = Follower::new(nodes);
                    let key = format!("counter:{writer}");
                    let mut counted = 0;
                    while !stop.load(Ordering::Relaxed) {
                        counted += 1;
                        // Each is executed once: a write that was lost, or made twice, shows in the next number.
                        let reply = client.call(&["INCR", &key])?;
                        ensure!(reply == Reply::Integer(counted), "{counted}: {reply:?}");
                    }
                    Ok(counted)
                })
            })
            .collect();
        let hand_over = || -> Result<()> {
            // Who has logged nothing has no place to go on from.
            wait_until("something is written", || {
                Ok(nodes.connect(0)?.command("DBSIZE")? == Reply::Integer(2))
            })?;
            for (from, to) in [(0, 1), (1, 0), (0, 1)] {
                nodes.wait_for_in_sync(from)?;
                nodes.ok(to, "CLUSTER FAILOVER")?;
                ensure!(nodes.role(to)? == "master", "{}", nodes.log(to));
                wait_until("the other one follows", || {
                    Ok(info(&mut nodes.connect(from)?, "replication", "master_link_status")? == "up")
                })?;
            }
            Ok(())
        };
        let done = hand_over();
        stop.store(true, Ordering::Relaxed);
        let mut counted = 0;
        for writer in writers {
            counted += writer
                .join()
                .map_err(|_| anyhow::anyhow!("a writer panicked"))??;
        }
        done.map(|()| counted)
    })?;
    assert!(counted > 0);
    for node in 0..2 {
        let full = number(&mut nodes.connect(node)?, "stats", "sync_full")?;
        assert_eq!(
            full,
            u64::from(node == 0),
            "the histories go on from each other:\n{}\n{}",
            nodes.log(0),
            nodes.log(1)
        );
    }
    let error = nodes.connect(1)?.command("CLUSTER FAILOVER")?;
    assert!(format!("{error:?}").contains("You should send CLUSTER FAILOVER to a replica"));
    Ok(())
}

#[test]
fn a_killed_primary_is_replaced_and_a_lost_majority_serves_nothing() -> Result<()> {
    let mut nodes = Nodes::one_shard(3, 2_000)?;
    let mut client = Follower::new(&nodes);
    let mut primary = nodes.connect(0)?;
    for number in 0..100 {
        let words = ["SET".to_owned(), format!("key:{number}"), number.to_string()];
        ensure!(primary.call(&words)?.text() == Some("OK"));
    }
    ensure!(primary.command("WAIT 1 60000")? == Reply::Integer(1));
    let old = nodes.id(0)?;
    nodes.kill(0);
    ensure!(client.call(&["SET", "after", "1"])?.text() == Some("OK"));
    assert_eq!(nodes.role(1)?, "master");
    for number in 0..100 {
        let found = client.call(&["GET", &format!("key:{number}")])?;
        assert_eq!(found.text(), Some(&number.to_string()[..]), "key:{number}");
    }
    nodes.start_again(0)?;
    wait_until("the deposed one follows", || {
        let mut client = nodes.connect(0)?;
        Ok(info(&mut client, "replication", "role")? == "slave"
            && info(&mut client, "replication", "master_link_status")? == "up")
    })
    .with_context(|| nodes.log(0))?;
    assert_eq!(nodes.id(0)?, old);
    nodes.wait_for_in_sync(1)?;
    // Of three votes one is left.
    nodes.kill(0);
    nodes.kill(2);
    wait_until("it serves no more", || {
        let reply = nodes.connect(1)?.command("SET a 1")?;
        Ok(format!("{reply:?}").contains("CLUSTERDOWN"))
    })?;
    assert_eq!(nodes.field(1, "cluster_state")?, "fail");
    nodes.kill(1);
    for node in 0..3 {
        nodes.start_again(node)?;
    }
    ensure!(client.call(&["SET", "again", "1"])?.text() == Some("OK"));
    Ok(())
}

#[test]
fn slots_whose_owner_is_gone_for_long_are_not_covered() -> Result<()> {
    let mut nodes = Nodes::start(3, 2_000)?;
    let addresses = [0, 1, 2].map(|node| nodes.address(node));
    let mut words = vec!["--cluster", "create"];
    words.extend(addresses.iter().map(String::as_str));
    redis_cli(&words)?;
    nodes.ok(0, "CONFIG SET cluster-node-timeout 5000")?;
    nodes.kill(2);
    wait_until("the cluster is down", || {
        Ok(nodes.field(0, "cluster_state")? == "fail")
    })
    .with_context(|| nodes.log(0))?;
    // A key of the slots that are served.
    let reply = nodes.connect(0)?.command("SET bar 1")?;
    assert_eq!(reply, Reply::Error(b"CLUSTERDOWN The cluster is down".to_vec()));
    nodes.ok(0, "CONFIG SET cluster-require-full-coverage no")?;
    wait_until("what is there is served", || {
        Ok(nodes.connect(0)?.command("SET bar 1")?.text() == Some("OK"))
    })?;
    nodes.ok(0, "CONFIG SET cluster-require-full-coverage yes")?;
    nodes.start_again(2)?;
    wait_until("the cluster is well", || {
        Ok(nodes.field(0, "cluster_state")? == "ok")
    })
}

/// Has redis-cli fetch what each primary has; how many keys that is, by redis-check-rdb.
fn keys_of_a_backup(node: &str) -> Result<usize> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().to_str().context("a path of letters")?;
    redis_cli(&["--cluster", "backup", node, folder])?;
    ensure!(dir.path().join("nodes.json").exists(), "no nodes.json");
    let mut keys = 0;
    for file in std::fs::read_dir(dir.path())? {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == "rdb") {
            let check = tool("redis-check-rdb", "apt-get install redis-tools")?;
            let output = std::process::Command::new(check).arg(&path).output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status.success(), "{said}");
            let line = said
                .lines()
                .find_map(|line| line.strip_prefix("[info] ")?.strip_suffix(" keys read"));
            keys += line.with_context(|| said.to_string())?.parse::<usize>()?;
        }
    }
    Ok(keys)
}

#[test]
fn redis_cli_makes_and_changes_a_cluster() -> Result<()> {
    const KEYS: usize = 200;
    let mut nodes = Nodes::start(3, 10_000)?;
    let first = nodes.address(0);
    let addresses = [0, 1, 2].map(|node| nodes.address(node));
    let mut words = vec!["--cluster", "create"];
    words.extend(addresses.iter().map(String::as_str));
    let said = redis_cli(&words)?;
    ensure!(said.contains("[OK] All 16384 slots covered."), "{said}");
    let mut client = Follower::new(&nodes);
    let has_all = |client: &mut Follower| -> Result<()> {
        for number in 0..KEYS {
            let found = client.call(&["GET", &format!("key:{number}")])?;
            ensure!(
                found.text() == Some(&number.to_string()[..]),
                "key:{number}: {found:?}"
            );
        }
        Ok(())
    };
    for number in 0..KEYS {
        client.call(&["SET", &format!("key:{number}"), &number.to_string()])?;
    }
    // Slots with their keys, one by one.
    let (from, to) = (nodes.id(0)?, nodes.id(1)?);
    redis_cli(&[
        "--cluster",
        "reshard",
        &first,
        "--cluster-from",
        &from,
        "--cluster-to",
        &to,
        "--cluster-slots",
        "60",
        "--cluster-yes",
    ])?;
    let said = redis_cli(&["--cluster", "check", &first])?;
    ensure!(
        said.contains("5401 slots") || said.contains("slots:[60-5460]"),
        "{said}"
    );
    has_all(&mut client)?;
    // Each gets a third again.
    redis_cli(&["--cluster", "rebalance", &first, "--cluster-threshold", "1"])?;
    let said = redis_cli(&["--cluster", "info", &first])?;
    ensure!(said.matches("| 546").count() == 3, "{said}");
    has_all(&mut client)?;
    assert_eq!(keys_of_a_backup(&first)?, KEYS);
    // A fourth node, its slots, and a replica of it, which leaves again.
    let fourth = nodes.add(10_000)?;
    redis_cli(&["--cluster", "add-node", &nodes.address(fourth), &first])?;
    redis_cli(&[
        "--cluster",
        "reshard",
        &first,
        "--cluster-from",
        &to,
        "--cluster-to",
        &nodes.id(fourth)?,
        "--cluster-slots",
        "20",
        "--cluster-yes",
    ])?;
    has_all(&mut client)?;
    let replica = nodes.add(10_000)?;
    let primary = nodes.id(fourth)?;
    redis_cli(&[
        "--cluster",
        "add-node",
        &nodes.address(replica),
        &first,
        "--cluster-slave",
        "--cluster-master-id",
        &primary,
    ])?;
    nodes.wait_for_in_sync(fourth)?;
    let refused = redis_cli(&["--cluster", "del-node", &first, &primary]);
    ensure!(refused.is_err(), "a node with slots does not leave");
    redis_cli(&["--cluster", "del-node", &first, &nodes.id(replica)?])?;
    wait_until("it is alone, and has nothing", || {
        Ok(nodes.field(replica, "cluster_known_nodes")? == "1"
            && nodes.connect(replica)?.command("DBSIZE")? == Reply::Integer(0))
    })?;
    redis_cli(&[
        "--cluster",
        "reshard",
        &first,
        "--cluster-from",
        &primary,
        "--cluster-to",
        &to,
        "--cluster-slots",
        "20",
        "--cluster-yes",
    ])?;
    redis_cli(&["--cluster", "del-node", &first, &primary])?;
    has_all(&mut client)?;
    // What a server by itself has comes in.
    let outside = Server::subject()?;
    let mut other = outside.connect()?;
    for number in 0..20 {
        other.call(&["SET", &format!("outside:{number}"), "1"])?;
    }
    let from = outside.address().to_string();
    redis_cli(&[
        "--cluster",
        "import",
        &first,
        "--cluster-from",
        &from,
        "--cluster-copy",
    ])?;
    for number in 0..20 {
        let found = client.call(&["GET", &format!("outside:{number}")])?;
        assert_eq!(found.text(), Some("1"), "outside:{number}");
    }
    let said = redis_cli(&["--cluster", "call", &first, "DBSIZE"])?;
    for address in &addresses {
        ensure!(said.contains(&format!("{address}: ")), "{said}");
    }
    let said = redis_cli(&["--cluster", "info", &first])?;
    ensure!(said.contains("[OK] 220 keys in 3 masters."), "{said}");
    Ok(())
}

#[test]
fn who_cannot_be_met_is_told_so() -> Result<()> {
    let nodes = Nodes::start(4, 2_000)?;
    let refused = |node: usize, words: &str, why: &str| -> Result<()> {
        let reply = nodes.connect(node)?.command(words)?;
        ensure!(
            reply.is_error() && format!("{reply:?}").contains(why),
            "{words}: {reply:?}"
        );
        Ok(())
    };
    refused(0, &nodes.meet_words(0), "this is the node itself")?;
    let nobody = format!("CLUSTER MEET 127.0.0.1 {} {}", free_port()?, free_port()?);
    refused(0, &nobody, "no answer")?;
    // Both claim a slot.
    nodes.ok(0, "CLUSTER ADDSLOTS 7")?;
    nodes.ok(1, "CLUSTER ADDSLOTS 7 8")?;
    refused(1, &nodes.meet_words(0), "Slot 7")?;
    nodes.ok(1, "CLUSTER DELSLOTS 7")?;
    nodes.ok(0, &nodes.meet_words(1))?;
    nodes.ok(2, &nodes.meet_words(3))?;
    for node in 0..4 {
        wait_until("the two know each other", || {
            Ok(nodes.field(node, "cluster_known_nodes")? == "2")
        })?;
    }
    refused(0, &nodes.meet_words(2), "several nodes")?;
    let stranger = "0".repeat(40);
    refused(0, &format!("CLUSTER FORGET {stranger}"), "Unknown node")?;
    refused(
        0,
        &format!("CLUSTER FORGET {}", nodes.id(0)?),
        "can't forget myself",
    )?;
    refused(
        0,
        &format!("CLUSTER REPLICATE {}", nodes.id(0)?),
        "Can't replicate myself",
    )?;
    refused(0, &format!("CLUSTER REPLICATE {stranger}"), "Unknown node")?;
    Ok(())
}
