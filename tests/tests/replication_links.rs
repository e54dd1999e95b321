//! What was acknowledged by a replica is there in the end, whatever happens to the hosts and the links between them: cut in
//! one direction or both, slow, standing still, killed, two primaries after a partition. And forced disconnects under load.
//!
//! `REPLICATION_ROUNDS=20` goes through all of it so often.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use holdfast_tests::ask::info;
use holdfast_tests::client::Client;
use holdfast_tests::namespaces::Network;
use holdfast_tests::reply::Reply;
use holdfast_tests::resync::{Plan, run};
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::{Pauses, wait_until};
use nix::sys::signal::Signal;

/// The host of the client that writes.
const CLIENT: usize = 2;

/// Two servers on hosts of their own, one of which is the primary.
struct Pair {
    network: Arc<Network>,
    nodes: [Server; 2],
    primary: usize,
    to: Arc<Mutex<SocketAddr>>,
}

fn start(network: &Network, host: usize) -> Result<Server> {
    let options = Options::new()
        .directive("repl-diskless-sync-delay", "0")
        .directive("repl-backlog-size", "64mb")
        .directive("repl-ping-replica-period", "1")
        // The shortest that does not depend on how quick a busy machine is.
        .directive("repl-timeout", "6");
    network.host(host).start(Role::Subject, &options)
}

impl Pair {
    fn start() -> Result<Pair> {
        let network = Arc::new(Network::new(3)?);
        let nodes = [start(&network, 0)?, start(&network, 1)?];
        let to = Arc::new(Mutex::new(nodes[0].address()));
        let pair = Pair {
            network,
            nodes,
            primary: 0,
            to,
        };
        pair.follow(1)?;
        Ok(pair)
    }

    fn replica(&self) -> usize {
        1 - self.primary
    }

    /// A connection from the node's own host: it is there whatever is cut.
    fn client(&self, node: usize) -> Result<Client> {
        self.network.host(node).connect(self.nodes[node].address())
    }

    fn field(&self, node: usize, section: &str, field: &str) -> Result<String> {
        info(&mut self.client(node)?, section, field)
    }

    fn logs(&self) -> String {
        format!("{}\n---\n{}", self.nodes[0].log(), self.nodes[1].log())
    }

    fn follow(&self, node: usize) -> Result<()> {
        let primary = self.nodes[1 - node].address();
        let reply = self
            .client(node)?
            .command(&format!("REPLICAOF {} {}", primary.ip(), primary.port()))?;
        ensure!(!reply.is_error(), "{reply:?}");
        self.wait_for_link()
    }

    fn wait_for_link(&self) -> Result<()> {
        wait_until("the link is up", || {
            Ok(self.field(self.replica(), "replication", "master_link_status")? == "up")
        })
        .with_context(|| self.logs())
    }

    fn wait_for_loss(&self) -> Result<()> {
        wait_until("the link is down", || {
            Ok(self.field(self.replica(), "replication", "master_link_status")? == "down")
        })
        .with_context(|| self.logs())
    }

    fn wait_until_alone(&self) -> Result<()> {
        wait_until("the primary has no replica", || {
            Ok(self.field(self.primary, "replication", "connected_slaves")? == "0")
        })
        .with_context(|| self.logs())
    }

    fn heal(&self) -> Result<()> {
        self.network.heal_all();
        self.wait_for_link()
    }

    fn swap(&mut self) {
        self.primary = self.replica();
        *self.to.lock().unwrap_or_else(PoisonError::into_inner) = self.nodes[self.primary].address();
    }

    /// FAILOVER.
    fn fail_over(&mut self) -> Result<()> {
        let target = self.nodes[self.replica()].address();
        let mut client = self.client(self.primary)?;
        let command = format!("FAILOVER TO {} {} TIMEOUT 30000", target.ip(), target.port());
        wait_until("the replica may take over", || {
            Ok(!client.command(&command)?.is_error())
        })?;
        wait_until("the failover is over", || {
            let state = info(&mut client, "replication", "master_failover_state")?;
            Ok(state == "no-failover" && info(&mut client, "replication", "role")? == "slave")
        })
        .with_context(|| self.logs())?;
        self.swap();
        self.wait_for_link()
    }

    /// The replica is made the primary, whatever has become of the old one.
    fn promote(&mut self) -> Result<()> {
        let reply = self.client(self.replica())?.command("REPLICAOF NO ONE")?;
        ensure!(!reply.is_error(), "{reply:?}");
        self.swap();
        Ok(())
    }

    fn full_syncs(&self) -> Result<u64> {
        let count = |node| -> Result<u64> { Ok(self.field(node, "stats", "sync_full")?.parse()?) };
        Ok(count(0)? + count(1)?)
    }

    /// Nobody writes: both hold the same at the same offset.
    fn compare(&self) -> Result<()> {
        let (primary, replica) = (self.primary, self.replica());
        let offset = |node| self.field(node, "replication", "master_repl_offset");
        let digest = |node| self.client(node)?.command("DEBUG DIGEST");
        wait_until("both hold the same", || {
            let before = offset(primary)?;
            if before != offset(replica)? {
                return Ok(false);
            }
            let (p, r) = (digest(primary)?, digest(replica)?);
            let still = before == offset(primary)? && before == offset(replica)?;
            ensure!(p == r || !still, "at {before}: {p:?} {r:?}");
            Ok(p == r)
        })
        .with_context(|| self.logs())
    }
}

/// Writes numbered keys to whoever is the primary, each with WAIT 1.
struct Writer {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    thread: JoinHandle<BTreeSet<u64>>,
}

impl Writer {
    fn start(pair: &Pair) -> Writer {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (network, to) = (Arc::clone(&pair.network), Arc::clone(&pair.to));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            let mut acked = BTreeSet::new();
            let mut client: Option<Client> = None;
            let (mut n, mut pauses) = (0, Pauses::default());
            while !stopped.load(Ordering::Relaxed) {
                let address = *to.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(connected) = client.as_mut().filter(|c| c.address() == address) else {
                    client = network.host(CLIENT).connect(address).ok();
                    match &mut client {
                        Some(client) => {
                            client.set_timeout(Duration::from_secs(3));
                            pauses = Pauses::default();
                        }
                        None => pauses.rest(),
                    }
                    continue;
                };
                n += 1;
                match write(connected, n) {
                    Ok(true) => {
                        acked.insert(n);
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    // It may be there or not.
                    Ok(false) => {}
                    Err(_) => client = None,
                }
            }
            acked
        });
        Writer { stop, count, thread }
    }

    /// Waits until more has been acknowledged.
    fn go_on(&self) -> Result<()> {
        let goal = self.count.load(Ordering::Relaxed) + 20;
        wait_until("writes are acknowledged", || {
            Ok(self.count.load(Ordering::Relaxed) >= goal)
        })
    }

    fn finish(self) -> Result<BTreeSet<u64>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the writer panicked")
    }
}

fn write(client: &mut Client, n: u64) -> Result<bool> {
    let set = client.command(&format!("SET n:{n} {n}"))?;
    if set != Reply::ok() {
        return Ok(false);
    }
    Ok(client.command("WAIT 1 500")?.integer().is_some_and(|n| n > 0))
}

fn cut_and_slow(pair: &mut Pair, writer: &Writer) -> Result<()> {
    let full = pair.full_syncs()?;
    let (primary, replica) = (pair.primary, pair.replica());
    pair.network.cut(primary, replica);
    pair.wait_for_loss()?;
    pair.heal()?;
    writer.go_on()?;
    pair.network.cut_way(primary, replica);
    pair.wait_for_loss()?;
    pair.heal()?;
    writer.go_on()?;
    // The replica hears everything, and nothing is heard of it.
    pair.network.cut_way(replica, primary);
    pair.wait_until_alone()?;
    pair.heal()?;
    writer.go_on()?;
    pair.network.slow(replica, Duration::from_millis(40));
    writer.go_on()?;
    pair.fail_over()?;
    writer.go_on()?;
    pair.network.slow(replica, Duration::ZERO);
    pair.fail_over()?;
    writer.go_on()?;
    pair.nodes[pair.replica()].signal(Signal::SIGSTOP)?;
    pair.wait_until_alone()?;
    pair.nodes[pair.replica()].signal(Signal::SIGCONT)?;
    pair.wait_for_link()?;
    writer.go_on()?;
    ensure!(
        pair.full_syncs()? == full,
        "all of that is mended with what is missing:\n{}",
        pair.logs()
    );
    Ok(())
}

fn lose_the_primary(pair: &mut Pair, writer: &Writer) -> Result<()> {
    // It stands still, and finds itself replaced.
    let old = pair.primary;
    pair.nodes[old].signal(Signal::SIGSTOP)?;
    pair.promote()?;
    pair.nodes[old].signal(Signal::SIGCONT)?;
    pair.follow(old)?;
    writer.go_on()?;
    // Two primaries after a partition; clients are on the side of the old one for a while.
    let old = pair.primary;
    pair.network.cut(0, 1);
    let alone = pair.client(pair.replica())?.command("REPLICAOF NO ONE")?;
    ensure!(!alone.is_error(), "{alone:?}");
    for n in 0..50 {
        pair.client(old)?.command(&format!("SET unheard:{n} {n}"))?;
    }
    pair.swap();
    pair.network.heal_all();
    pair.follow(old)?;
    writer.go_on()?;
    // It is killed, and another comes in its place.
    let old = pair.primary;
    pair.nodes[old].signal(Signal::SIGKILL)?;
    pair.promote()?;
    pair.nodes[old] = start(&pair.network, old)?;
    pair.follow(old)?;
    writer.go_on()
}

#[test]
fn what_a_replica_has_acknowledged_outlives_links_and_hosts() -> Result<()> {
    let rounds = std::env::var("REPLICATION_ROUNDS").ok();
    let rounds: usize = rounds.map_or(Ok(1), |text| text.parse())?;
    let mut pair = Pair::start()?;
    let writer = Writer::start(&pair);
    writer.go_on()?;
    for _ in 0..rounds {
        cut_and_slow(&mut pair, &writer)?;
        lose_the_primary(&mut pair, &writer)?;
    }
    let acked = writer.finish()?;
    ensure!(acked.len() > 100, "{} writes", acked.len());
    pair.compare()?;
    let mut client = pair.client(pair.primary)?;
    for n in &acked {
        let found = client.command(&format!("GET n:{n}"))?;
        ensure!(
            found == Reply::Bulk(n.to_string().into_bytes()),
            "{n} is lost:\n{}",
            pair.logs()
        );
    }
    // What the other side of the partition has taken is gone, on both.
    assert_eq!(client.command("EXISTS unheard:0 unheard:49")?, Reply::Integer(0));
    Ok(())
}

/// The long form: `cargo run --release -p holdfast-tests --bin resync`.
#[test]
fn forced_disconnects_under_load_are_mended_with_what_is_missing() -> Result<()> {
    for (of, at) in [(Role::Subject, Role::Oracle), (Role::Oracle, Role::Subject)] {
        let report = run(Plan {
            of,
            at,
            keys: 2000,
            disconnects: 20,
            writers: 2,
            share: 0.2,
        })?;
        ensure!(report.full == 1 && report.partial >= 20, "{report:?}");
        ensure!(report.lags.len() == 100 && report.writes > 0, "{report:?}");
    }
    Ok(())
}
