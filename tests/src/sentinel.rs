//! A deployment as operators have it: three real `redis-sentinel` watch a primary and two replicas. A campaign makes the
//! primary fail again and again under writes, and looks for what was acknowledged and is gone.
//!
//! Each write is followed by WAIT 1: it counts as acknowledged once a replica has it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::ask::info;
use crate::client::Client;
use crate::ports::free_port;
use crate::reply::Reply;
use crate::server::{self, Binary, Role, tool};
use crate::wait::{Pauses, wait_until};

/// Name under which the sentinels know the primary.
const NAME: &str = "mymaster";

/// A process with a configuration file, which keeps its port when it is started again.
pub struct Node {
    program: PathBuf,
    extra: Vec<String>,
    port: u16,
    dir: PathBuf,
    child: Option<Child>,
}

impl Node {
    fn new(program: &Path, extra: &[&str], dir: PathBuf, config: &str) -> Result<Node> {
        fs::create_dir_all(&dir)?;
        let port = free_port()?;
        let text = format!("port {port}\nbind 127.0.0.1\ndir {}\n{config}", dir.display());
        fs::write(dir.join("node.conf"), text)?;
        Ok(Node {
            program: program.to_owned(),
            extra: extra.iter().map(|&word| word.to_owned()).collect(),
            port,
            dir,
            child: None,
        })
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// It does not.
    pub fn start(&mut self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))?;
        let mut command = Command::new(&self.program);
        command.arg(self.dir.join("node.conf")).args(&self.extra);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn()?);
        wait_until("it answers", || {
            let Ok(mut client) = Client::connect(self.address()) else {
                return Ok(false);
            };
            Ok(client.command("PING")? == Reply::Simple(b"PONG".to_vec()))
        })
        .with_context(|| self.log())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        server::signal(self.child.as_ref().context("it runs")?.id(), signal)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

/// How the primary fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The process is killed, and started again when the others have gone on.
    Kill,
    /// The process stands still, and goes on when the others have.
    Stop,
}

/// Servers and sentinels.
pub struct Deployment {
    nodes: Vec<Node>,
    sentinels: Vec<Node>,
    _dir: tempfile::TempDir,
}

impl Deployment {
    /// One primary, two replicas, three sentinels that agree on them.
    ///
    /// # Errors
    /// A program is missing, or they do not find each other.
    pub fn start(role: Role) -> Result<Deployment> {
        let dir = tempfile::Builder::new().prefix("holdfast-sentinel-").tempdir()?;
        let binary = Binary::find(role)?;
        let mut nodes = Vec::new();
        for n in 0..3 {
            let own = dir.path().join(format!("node{n}"));
            let mut config = "save \"\"\nappendonly no\nrepl-diskless-sync-delay 0\n".to_owned();
            if let Some(primary) = nodes.first().map(Node::address) {
                config += &format!("replicaof 127.0.0.1 {}\n", primary.port());
            }
            let mut node = Node::new(binary.path(), &[], own, &config)?;
            node.start()?;
            nodes.push(node);
        }
        let program = tool("redis-sentinel", "apt-get install redis-sentinel")?;
        let mut sentinels = Vec::new();
        for n in 0..3 {
            let config = format!(
                "sentinel monitor {NAME} 127.0.0.1 {} 2\nsentinel down-after-milliseconds {NAME} 1000\n\
                 sentinel failover-timeout {NAME} 6000\nsentinel parallel-syncs {NAME} 1\n",
                nodes[0].port
            );
            let own = dir.path().join(format!("sentinel{n}"));
            let mut sentinel = Node::new(&program, &["--sentinel"], own, &config)?;
            sentinel.start()?;
            // Its habits are made for networks of continents.
            Client::connect(sentinel.address())?
                .command("SENTINEL DEBUG INFO-PERIOD 500 PUBLISH-PERIOD 200 ASK-PERIOD 200")?;
            sentinels.push(sentinel);
        }
        let deployment = Deployment {
            nodes,
            sentinels,
            _dir: dir,
        };
        deployment.wait_until_whole()?;
        Ok(deployment)
    }

    /// Where clients find the sentinels.
    pub fn sentinels(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(Node::address).collect()
    }

    /// Whom the sentinels call the primary.
    ///
    /// # Errors
    /// Nobody says.
    pub fn primary(&self) -> Result<SocketAddr> {
        ask(&self.sentinels()).context("no sentinel knows a primary")
    }

    /// Waits until every sentinel knows the others and both replicas, and both follow the primary.
    ///
    /// # Errors
    /// They never do; the message carries the logs.
    pub fn wait_until_whole(&self) -> Result<()> {
        // A sentinel that changes a role ends the connections of clients, also of this one.
        wait_until("the deployment is whole", || Ok(self.is_whole().unwrap_or(false)))
            .with_context(|| self.logs())
    }

    fn is_whole(&self) -> Result<bool> {
        let Ok(primary) = self.primary() else {
            return Ok(false);
        };
        for sentinel in self.sentinels() {
            let reply = Client::connect(sentinel)?.command(&format!("SENTINEL MASTER {NAME}"))?;
            let Reply::Array(fields) = reply else {
                return Ok(false);
            };
            let texts: Vec<&str> = fields.iter().map(|f| f.text().unwrap_or_default()).collect();
            let field = |name: &str| texts.chunks(2).find(|pair| pair[0] == name).map(|pair| pair[1]);
            let whole = [
                ("num-slaves", "2"),
                ("num-other-sentinels", "2"),
                ("flags", "master"),
            ];
            if !whole.iter().all(|(name, value)| field(name) == Some(value)) {
                return Ok(false);
            }
        }
        let mut online = 0;
        for node in &self.nodes {
            let Ok(mut client) = Client::connect(node.address()) else {
                return Ok(false);
            };
            if node.address() == primary {
                continue;
            }
            let follows = info(&mut client, "replication", "master_port")? == primary.port().to_string();
            let up = info(&mut client, "replication", "master_link_status")? == "up";
            online += u32::from(follows && up);
        }
        Ok(online == 2)
    }

    /// Has the primary fail, waits until another one takes writes, and until all are together again. How long nobody took
    /// writes.
    ///
    /// # Errors
    /// Nobody takes over, or the failed one does not come back as a replica.
    pub fn fail_over(&mut self, failure: Failure, writer: &Writer) -> Result<Duration> {
        let old = self.primary()?;
        let failed = self
            .nodes
            .iter()
            .position(|n| n.address() == old)
            .context("it is one of ours")?;
        match failure {
            Failure::Kill => self.nodes[failed].end(),
            Failure::Stop => self.nodes[failed].signal(Signal::SIGSTOP)?,
        }
        let began = Instant::now();
        let sentinels = self.sentinels();
        wait_until("another primary", || {
            Ok(ask(&sentinels).is_some_and(|new| new != old))
        })
        .with_context(|| self.logs())?;
        let before = writer.count();
        wait_until("writes go on", || Ok(writer.count() > before)).with_context(|| self.logs())?;
        let outage = began.elapsed();
        match failure {
            Failure::Kill => self.nodes[failed].start()?,
            Failure::Stop => self.nodes[failed].signal(Signal::SIGCONT)?,
        }
        self.wait_until_whole()?;
        Ok(outage)
    }

    fn logs(&self) -> String {
        let all = self.nodes.iter().chain(&self.sentinels);
        let last = |text: String| text.lines().rev().take(40).map(str::to_owned).collect::<Vec<_>>();
        all.map(|n| {
            let mut lines = last(n.log());
            lines.reverse();
            format!("--- {}\n{}\n", n.address(), lines.join("\n"))
        })
        .collect()
    }
}

/// Asks the sentinels for the primary, as a client does.
pub fn ask(sentinels: &[SocketAddr]) -> Option<SocketAddr> {
    sentinels.iter().find_map(|sentinel| {
        let mut client = Client::connect(*sentinel).ok()?;
        client.set_timeout(Duration::from_millis(500));
        let reply = client
            .command(&format!("SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}"))
            .ok()?;
        let Reply::Array(words) = reply else { return None };
        let text = format!("{}:{}", words.first()?.text()?, words.get(1)?.text()?);
        text.parse().ok()
    })
}

/// Writes numbered keys to whoever is the primary, each with WAIT 1.
pub struct Writer {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    acked: Arc<Mutex<BTreeSet<u64>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    /// Begins to write.
    pub fn start(sentinels: Vec<SocketAddr>) -> Writer {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let acked = Arc::new(Mutex::new(BTreeSet::new()));
        let shared = (Arc::clone(&stop), Arc::clone(&count), Arc::clone(&acked));
        let thread = std::thread::spawn(move || {
            let (stop, count, acked) = shared;
            let mut client: Option<Client> = None;
            let (mut n, mut pauses) = (0, Pauses::default());
            while !stop.load(Ordering::Relaxed) {
                let Some(connected) = &mut client else {
                    client = ask(&sentinels).and_then(|a| Client::connect(a).ok());
                    match &mut client {
                        Some(c) => {
                            c.set_timeout(Duration::from_millis(800));
                            pauses = Pauses::default();
                        }
                        None => pauses.rest(),
                    }
                    continue;
                };
                n += 1;
                match write(connected, n) {
                    Ok(true) => {
                        let mut acked = acked.lock().unwrap_or_else(PoisonError::into_inner);
                        acked.insert(n);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    // Not acknowledged by a replica: it may be there or not.
                    Ok(false) => {}
                    Err(_) => client = None,
                }
            }
        });
        Writer {
            stop,
            count,
            acked,
            thread: Some(thread),
        }
    }

    /// Acknowledged writes.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Ends, and tells which numbers were acknowledged.
    pub fn finish(mut self) -> BTreeSet<u64> {
        self.end();
        std::mem::take(&mut *self.acked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// True once a replica has it, too.
fn write(client: &mut Client, n: u64) -> Result<bool> {
    let set = client.command(&format!("SET n:{n} {n}"))?;
    ensure!(set == Reply::ok(), "{set:?}");
    match client.command("WAIT 1 500")? {
        Reply::Integer(replicas) => Ok(replicas > 0),
        other => anyhow::bail!("{other:?}"),
    }
}

/// What a campaign found.
#[derive(Debug)]
pub struct Report {
    /// For each failover: how, and how long nobody took writes.
    pub outages: Vec<(Failure, Duration)>,
    /// Acknowledged writes.
    pub acked: usize,
    /// Those of them that are gone.
    pub lost: Vec<u64>,
}

/// Has the primary fail so often, in turn by a kill and by standing still.
///
/// # Errors
/// A failover does not come to its end.
pub fn campaign(role: Role, failovers: usize) -> Result<Report> {
    let mut deployment = Deployment::start(role)?;
    let writer = Writer::start(deployment.sentinels());
    wait_until("the first writes", || Ok(writer.count() > 20))?;
    let mut outages = Vec::new();
    for n in 0..failovers {
        let failure = if n % 2 == 0 { Failure::Kill } else { Failure::Stop };
        let outage = deployment.fail_over(failure, &writer)?;
        outages.push((failure, outage));
    }
    let acked = writer.finish();
    let mut client = Client::connect(deployment.primary()?)?;
    let mut lost = Vec::new();
    for n in &acked {
        if client.command(&format!("EXISTS n:{n}"))? != Reply::Integer(1) {
            lost.push(*n);
        }
    }
    Ok(Report {
        outages,
        acked: acked.len(),
        lost,
    })
}
