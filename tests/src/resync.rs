//! A replica whose connection is ended again and again while clients write to a data set of all types: it goes on where it
//! was each time, and holds the same in the end. Between, it is measured how far it lags behind.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::ask::{info, number};
use crate::client::Client;
use crate::datasets::send;
use crate::replication::{assert_same, follow, wait_for_link};
use crate::reply::Reply;
use crate::server::{Options, Role, Server};
use crate::wait::{time_until, wait_until};

/// Commands of one pipeline.
const BATCH: usize = 64;
/// For so long it is measured how fast the clients are.
const MEASURED: Duration = Duration::from_secs(3);
/// A client that was slow makes up for so long of it.
const CATCH_UP: Duration = Duration::from_millis(200);
/// Looks at the lag between two disconnects.
const LOOKS: u64 = 5;

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The primary.
    pub of: Role,
    /// The replica.
    pub at: Role,
    /// Keys of the data set.
    pub keys: u64,
    /// How often the connection is ended.
    pub disconnects: u64,
    /// Clients that write, in pipelines.
    pub writers: u64,
    /// The part of the rate that these clients reach without a replica at which they write: who writes as fast as the
    /// primary can, on the cores of both, leaves a replica behind for good.
    pub share: f64,
}

/// What came of it; the data of both were equal.
#[derive(Debug)]
pub struct Report {
    /// Synchronizations that went on where the replica was, and whole ones; the first is needed.
    pub partial: u64,
    /// See there.
    pub full: u64,
    /// From the first REPLICAOF until the link was up.
    pub first_sync: Duration,
    /// Writes per second without a replica and without a pause.
    pub most: f64,
    /// Writes under load.
    pub writes: u64,
    /// Time under load.
    pub time: Duration,
    /// From the reply to a write until the replica shows it.
    pub lags: Vec<Duration>,
}

/// Runs the plan.
///
/// # Errors
/// The replica does not come back, or holds something else in the end.
pub fn run(plan: Plan) -> Result<Report> {
    let options = Options::new()
        .directive("repl-backlog-size", "1gb")
        .directive("client-output-buffer-limit", "replica 0 0 0")
        .directive("repl-diskless-sync-delay", "0");
    let primary = Server::start(plan.of, &options)?;
    let replica = Server::start(plan.at, &options)?;
    let mut client = primary.connect()?;
    for begin in (0..plan.keys).step_by(BATCH) {
        let commands: Vec<_> = (begin..plan.keys.min(begin + BATCH as u64))
            .map(|n| command(n, n))
            .collect();
        send(&mut client, &commands)?;
    }
    let load = Load {
        address: primary.address(),
        keys: plan.keys,
        stop: AtomicBool::new(false),
        writes: AtomicU64::new(0),
    };
    let most = load.most(plan.writers)?;
    let mut report = Report {
        partial: 0,
        full: 0,
        first_sync: Duration::ZERO,
        most,
        writes: 0,
        time: Duration::ZERO,
        lags: Vec::new(),
    };
    let began = Instant::now();
    load.during(plan.writers, Some(most * plan.share), || {
        under_load(&plan, &primary, &replica, &mut report)
    })?;
    report.time = began.elapsed();
    report.writes = load.writes.into_inner();
    assert_same(&primary, &replica)?;
    let size = |server: &Server| server.connect()?.command("DBSIZE");
    let keys = size(&primary)?;
    ensure!(keys == size(&replica)? && keys != Reply::Integer(0), "{keys:?}");
    report.partial = count(&mut client, "sync_partial_ok")?;
    report.full = count(&mut client, "sync_full")?;
    Ok(report)
}

/// Clients that write.
struct Load {
    address: SocketAddr,
    keys: u64,
    stop: AtomicBool,
    writes: AtomicU64,
}

impl Load {
    /// Writes per second without a pause.
    fn most(&self, writers: u64) -> Result<f64> {
        let began = Instant::now();
        self.during(writers, None, || {
            std::thread::sleep(MEASURED);
            Ok(())
        })?;
        Ok(self.writes.swap(0, Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
    }

    /// Has clients write while something is done, so many writes per second at most.
    fn during(&self, writers: u64, per_second: Option<f64>, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let pause = per_second.map(|all| Duration::from_secs_f64((BATCH as u64 * writers) as f64 / all));
        self.stop.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..writers)
                .map(|writer| scope.spawn(move || self.write(writer, pause)))
                .collect();
            let done = work();
            self.stop.store(true, Ordering::Relaxed);
            for thread in threads {
                thread.join().ok().context("a client panicked")??;
            }
            done
        })
    }

    /// One client; `pause`: from the begin of a pipeline to that of the next one.
    fn write(&self, writer: u64, pause: Option<Duration>) -> Result<()> {
        let mut client = Client::connect(self.address)?;
        let mut rng = StdRng::seed_from_u64(writer);
        let mut due = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let commands: Vec<_> = (0..BATCH)
                .map(|_| command(rng.random_range(0..self.keys), rng.random()))
                .collect();
            send(&mut client, &commands)?;
            self.writes.fetch_add(BATCH as u64, Ordering::Relaxed);
            if let Some(pause) = pause {
                // What was missed in a stall is made up for, and not all at once.
                due = (due + pause).max(Instant::now().checked_sub(CATCH_UP).unwrap_or(due));
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        Ok(())
    }
}

fn under_load(plan: &Plan, primary: &Server, replica: &Server, report: &mut Report) -> Result<()> {
    let began = Instant::now();
    follow(replica, primary.address())?;
    wait_for_link(replica)?;
    report.first_sync = began.elapsed();
    let (mut of, mut at) = (primary.connect()?, replica.connect()?);
    for n in 1..=plan.disconnects {
        for look in 0..LOOKS {
            report.lags.push(lag(&mut of, &mut at, n * LOOKS + look)?);
        }
        let killed = of.command("CLIENT KILL TYPE replica")?;
        ensure!(killed == Reply::Integer(1), "{killed:?} connections were ended");
        wait_until("the replica is back", || {
            let back = count(&mut of, "sync_partial_ok")? + count(&mut of, "sync_full")?;
            Ok(back > n && info(&mut at, "replication", "master_link_status")? == "up")
        })?;
    }
    Ok(())
}

/// From the reply to a write until the replica shows it.
fn lag(of: &mut Client, at: &mut Client, n: u64) -> Result<Duration> {
    let value = n.to_string();
    of.command(&format!("SET lag {value}"))?;
    time_until("the replica shows it", || {
        Ok(at.command("GET lag")? == Reply::Bulk(value.clone().into_bytes()))
    })
}

fn count(client: &mut Client, field: &str) -> Result<u64> {
    number(client, "stats", field)
}

/// A write to a key, whose number says of which type it is.
fn command(key: u64, n: u64) -> Vec<String> {
    let small = n % 10;
    let line = match key % 8 {
        0 => format!("SET string:{key} {n}:{key}"),
        1 => format!("SET expires:{key} {n} EX 1000000"),
        2 => format!("INCRBY number:{key} {small}"),
        3 => format!("LPUSH list:{key} {n} {key}"),
        4 => format!("SADD set:{key} {small} {n}"),
        5 => format!("ZADD zset:{key} {small} member{small} {key} other"),
        6 => format!("HSET hash:{key} field{small} {n} other {key}"),
        _ => format!("XADD stream:{key} MAXLEN 5 * field {n}"),
    };
    line.split(' ').map(str::to_owned).collect()
}
