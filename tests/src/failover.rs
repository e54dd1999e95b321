//! Planned failovers under load: two servers swap their roles by FAILOVER again and again, while clients write numbered keys
//! to whoever takes them. What was acknowledged must be there in the end, and each client notes for how long it stood still.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::ask::{info, number};
use crate::client::Client;
use crate::replication::{assert_same, follow, wait_for_link};
use crate::reply::Reply;
use crate::server::{Options, Role, Server};
use crate::wait::{time_until, wait_until};

/// Writes of each client between two failovers.
const BETWEEN: u64 = 200;
/// A client that nobody takes a write from tries again after this time.
const BACK_OFF: Duration = Duration::from_millis(1);

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Both servers.
    pub role: Role,
    /// How often they swap.
    pub failovers: usize,
    /// Clients that write, each one write at a time.
    pub writers: usize,
    /// Keys that are there before.
    pub keys: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// The longest time between two acknowledged writes: one for each client and failover.
    pub pauses: Vec<Duration>,
    /// From FAILOVER until the target says that it is the primary.
    pub took: Vec<Duration>,
    /// Acknowledged writes.
    pub acked: usize,
    /// Keys of acknowledged writes that are gone.
    pub lost: Vec<String>,
    /// Full synchronizations of both servers; the first is needed.
    pub full_syncs: u64,
    /// Time under load.
    pub time: Duration,
}

impl Report {
    /// Takes up what another run came to.
    pub fn add(&mut self, other: Report) {
        self.pauses.extend(other.pauses);
        self.took.extend(other.took);
        self.acked += other.acked;
        self.lost.extend(other.lost);
        self.full_syncs += other.full_syncs;
        self.time += other.time;
    }
}

/// The middle and the longest of some times; zeros if there are none.
pub fn median_and_worst(times: &[Duration]) -> (Duration, Duration) {
    let mut times = times.to_vec();
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    (middle, times.last().copied().unwrap_or_default())
}

/// Runs the plan.
///
/// # Errors
/// The servers do not start, a failover does not come to its end, or the data of both differ in the end.
pub fn campaign(plan: Plan) -> Result<Report> {
    let options = Options::new()
        .directive("repl-diskless-sync-delay", "0")
        .directive("repl-backlog-size", "64mb");
    let nodes = [
        Server::start(plan.role, &options)?,
        Server::start(plan.role, &options)?,
    ];
    let filled = nodes[0]
        .connect()?
        .command(&format!("DEBUG POPULATE {} old 32", plan.keys))?;
    ensure!(!filled.is_error(), "{filled:?}");
    follow(&nodes[1], nodes[0].address())?;
    wait_for_link(&nodes[1])?;
    let addresses = [nodes[0].address(), nodes[1].address()];
    let writers: Vec<Writer> = (0..plan.writers)
        .map(|number| Writer::start(number, addresses, plan.failovers))
        .collect();
    let began = Instant::now();
    let mut report = Report::default();
    for round in 0..plan.failovers {
        wait_for_writes(&writers)?;
        let (old, new) = (&nodes[round % 2], &nodes[1 - round % 2]);
        for writer in &writers {
            writer.shared.round.store(round + 1, Ordering::SeqCst);
        }
        report.took.push(fail_over(old, new)?);
        wait_for_link(old)?;
    }
    wait_for_writes(&writers)?;
    report.time = began.elapsed();
    let (primary, replica) = (&nodes[plan.failovers % 2], &nodes[1 - plan.failovers % 2]);
    let mut client = primary.connect()?;
    for writer in writers {
        let (number, done) = (writer.number, writer.finish()?);
        report.acked += done.acked.len();
        report.pauses.extend(done.pauses);
        report.lost.extend(missing(&mut client, number, &done.acked)?);
    }
    assert_same(primary, replica)?;
    for node in &nodes {
        report.full_syncs += number(&mut node.connect()?, "stats", "sync_full")?;
    }
    Ok(report)
}

/// Has `old` give way to `new`, and waits until both say so. How long that took.
///
/// # Errors
/// It never comes to its end; the message carries the logs.
pub fn fail_over(old: &Server, new: &Server) -> Result<Duration> {
    let (mut of, mut to) = (old.connect()?, new.connect()?);
    let command = format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 30000", new.address().port());
    let mut began = Instant::now();
    wait_until("the replica may take over", || {
        began = Instant::now();
        // It is not known as one before it has presented itself.
        Ok(of.command(&command)? == Reply::ok())
    })?;
    time_until("the replica takes over", || {
        Ok(info(&mut to, "replication", "role")? == "master")
    })
    .with_context(|| format!("{}\n{}", old.log(), new.log()))?;
    let took = began.elapsed();
    wait_until("the failover is over", || {
        Ok(info(&mut of, "replication", "master_failover_state")? == "no-failover")
    })?;
    let role = info(&mut of, "replication", "role")?;
    ensure!(role == "slave", "the old primary is a {role}:\n{}", old.log());
    Ok(took)
}

fn wait_for_writes(writers: &[Writer]) -> Result<()> {
    let goals: Vec<u64> = writers.iter().map(|w| w.count() + BETWEEN).collect();
    wait_until("all clients write", || {
        let late = writers.iter().zip(&goals).find(|(w, goal)| w.count() < **goal);
        if let Some((writer, _)) = late {
            ensure!(!writer.has_ended(), "client {} has ended", writer.number);
        }
        Ok(late.is_none())
    })
}

/// The keys of acknowledged writes that are not there.
fn missing(client: &mut Client, number: usize, acked: &[u64]) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for numbers in acked.chunks(1000) {
        let commands: Vec<Vec<String>> = numbers
            .iter()
            .map(|n| vec!["GET".to_owned(), key(number, *n)])
            .collect();
        for (n, reply) in numbers.iter().zip(client.pipeline(&commands)?) {
            if reply != Reply::Bulk(n.to_string().into_bytes()) {
                missing.push(key(number, *n));
            }
        }
    }
    Ok(missing)
}

fn key(writer: usize, n: u64) -> String {
    format!("w{writer}:{n}")
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Number of the failover that was begun last.
    round: AtomicUsize,
    acked: AtomicU64,
}

/// A client that writes.
struct Writer {
    number: usize,
    shared: std::sync::Arc<Shared>,
    thread: Option<JoinHandle<Result<Done>>>,
}

/// What a client has done.
#[derive(Debug)]
struct Done {
    acked: Vec<u64>,
    pauses: Vec<Duration>,
}

impl Writer {
    fn start(number: usize, nodes: [SocketAddr; 2], rounds: usize) -> Writer {
        let shared = std::sync::Arc::new(Shared::default());
        let own = std::sync::Arc::clone(&shared);
        let thread = Some(std::thread::spawn(move || write(number, nodes, rounds, &own)));
        Writer {
            number,
            shared,
            thread,
        }
    }

    fn count(&self) -> u64 {
        self.shared.acked.load(Ordering::Relaxed)
    }

    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn finish(mut self) -> Result<Done> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it runs")?;
        thread.join().ok().context("a client's thread panicked")?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn write(number: usize, nodes: [SocketAddr; 2], rounds: usize, shared: &Shared) -> Result<Done> {
    let mut done = Done {
        acked: Vec::new(),
        pauses: vec![Duration::ZERO; rounds],
    };
    let mut clients = [Client::connect(nodes[0])?, Client::connect(nodes[1])?];
    let (mut at, mut refused, mut last) = (0, 0, Instant::now());
    for n in 0.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let reply = clients[at].command(&format!("SET {} {n}", key(number, n)))?;
        if reply == Reply::ok() {
            let now = Instant::now();
            if let Some(round) = shared.round.load(Ordering::SeqCst).checked_sub(1) {
                done.pauses[round] = done.pauses[round].max(now - last);
            }
            (last, refused) = (now, 0);
            done.acked.push(n);
            shared.acked.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let text = reply.lines().join(" ");
        ensure!(text.starts_with("-READONLY"), "{text}");
        at = 1 - at;
        refused += 1;
        if refused > 1 {
            std::thread::sleep(BACK_OFF);
        }
    }
    Ok(done)
}
