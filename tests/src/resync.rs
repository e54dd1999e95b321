//! A replica whose connection is ended again and again while clients write to a data set of all types: it goes on where it
//! was each time, and holds the same in the end. Between, it is measured how far it lags behind.

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
    /// Milliseconds that a client rests between two pipelines: a build for tests must not lag behind for good.
    pub rest_ms: u64,
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
    let stop = AtomicBool::new(false);
    let writes = AtomicU64::new(0);
    let mut report = Report {
        partial: 0,
        full: 0,
        first_sync: Duration::ZERO,
        writes: 0,
        time: Duration::ZERO,
        lags: Vec::new(),
    };
    let began = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let load: Vec<_> = (0..plan.writers)
            .map(|writer| {
                let (stop, writes, address) = (&stop, &writes, primary.address());
                scope.spawn(move || -> Result<()> {
                    let mut client = Client::connect(address)?;
                    let mut rng = StdRng::seed_from_u64(writer);
                    while !stop.load(Ordering::Relaxed) {
                        let commands: Vec<_> = (0..BATCH)
                            .map(|_| command(rng.random_range(0..plan.keys), rng.random()))
                            .collect();
                        send(&mut client, &commands)?;
                        writes.fetch_add(BATCH as u64, Ordering::Relaxed);
                        if plan.rest_ms > 0 {
                            std::thread::sleep(Duration::from_millis(plan.rest_ms));
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let done = under_load(&plan, &primary, &replica, &mut report);
        stop.store(true, Ordering::Relaxed);
        for thread in load {
            thread.join().ok().context("a client panicked")??;
        }
        done
    })?;
    report.time = began.elapsed();
    report.writes = writes.into_inner();
    assert_same(&primary, &replica)?;
    let size = |server: &Server| server.connect()?.command("DBSIZE");
    let keys = size(&primary)?;
    ensure!(keys == size(&replica)? && keys != Reply::Integer(0), "{keys:?}");
    report.partial = count(&mut client, "sync_partial_ok")?;
    report.full = count(&mut client, "sync_full")?;
    Ok(report)
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
