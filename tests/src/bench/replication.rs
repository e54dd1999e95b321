//! A primary with replicas: what a full synchronization takes of time and memory, what replicas cost the primary, how far
//! they are behind. The replicas are `redis-server` for both primaries, so that only the primary differs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::load::{self, Shape};
use super::persistence::resident_bytes;
use super::rows::VALUE;
use super::{Effort, Spread, cpu};
use crate::ask::number;
use crate::client::Client;
use crate::server::{Options, Role, Server};
use crate::wait::{wait_until, wait_within};

/// Keys of the data set.
const KEYS: u64 = 2_000_000;
/// Bytes of each value.
pub const VALUE_BYTES: u64 = 100;
/// Commands of one load.
const COMMANDS: u64 = 2_000_000;
/// Keys that the load writes.
const WRITTEN: u64 = 100_000;
const MB: f64 = (1 << 20) as f64;
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(600);

/// What one primary showed.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Seconds of a full synchronization, without other load.
    pub sync_s: Spread,
    /// The same while clients write as fast as they can.
    pub loaded_sync_s: Spread,
    /// Thousand SETs per second meanwhile.
    pub loaded_rate: Spread,
    /// Megabytes that the primary and its children took more at most meanwhile.
    pub growth_mb: Spread,
    /// Megabytes that they took before the first round.
    pub memory_mb: f64,
    /// The primary's CPU for one SET without replicas, in us.
    pub alone_us: Spread,
    /// The same with two.
    pub followed_us: Spread,
    /// Thousand SETs per second without replicas.
    pub alone_rate: Spread,
    /// The same with two, on the same cores.
    pub followed_rate: Spread,
    /// Milliseconds after the load until both replicas had acknowledged everything.
    pub lag_ms: Spread,
}

/// What both primaries showed.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Keys of the data set.
    pub keys: u64,
    /// The server under test.
    pub subject: Figures,
    /// Redis.
    pub oracle: Figures,
}

/// Measures both primaries, one after the other.
///
/// # Errors
/// A server that does not start, or does not do what it is told.
pub fn measure(rounds: usize, effort: Effort) -> Result<Measured> {
    Ok(Measured {
        keys: effort.scale(KEYS),
        subject: figures(Role::Subject, rounds, effort)?,
        oracle: figures(Role::Oracle, rounds, effort)?,
    })
}

#[derive(Default)]
struct Rounds {
    sync_s: Vec<f64>,
    loaded_sync_s: Vec<f64>,
    loaded_rate: Vec<f64>,
    growth_mb: Vec<f64>,
    alone: Vec<(f64, f64)>,
    followed: Vec<(f64, f64)>,
    lag_ms: Vec<f64>,
}

fn figures(role: Role, rounds: usize, effort: Effort) -> Result<Figures> {
    let options = Options::new()
        .threads(2)
        .directive("repl-diskless-sync-delay", "0")
        // Redis would drop its replica under load otherwise, and begin anew.
        .directive("client-output-buffer-limit", "replica 4gb 4gb 60")
        .directive("repl-timeout", "600");
    let primary = Server::start(role, &options)?;
    let mut client = primary.connect()?;
    client.set_timeout(PATIENCE);
    let keys = effort.scale(KEYS);
    let filled = client.command(&format!("DEBUG POPULATE {keys} filled {VALUE_BYTES}"))?;
    ensure!(!filled.is_error(), "{filled:?}");
    let commands = effort.scale(COMMANDS);
    let mut all = Rounds::default();
    run(&primary, WRITTEN * 4)?;
    let memory_mb = resident_bytes(primary.pid())? as f64 / MB;
    for _ in 0..rounds {
        all.alone.push(run(&primary, commands)?);
        all.sync_s.push(follow(&primary)?.1);
        let loaded = follow_under_load(&primary, &mut client)?;
        all.loaded_sync_s.push(loaded.seconds);
        all.loaded_rate.push(loaded.rate);
        all.growth_mb.push(loaded.growth_mb);
        let replicas = [follow(&primary)?.0, follow(&primary)?.0];
        all.followed.push(run(&primary, commands)?);
        let ended = Instant::now();
        let waited = client.command("WAIT 2 600000")?;
        ensure!(waited.integer() == Some(2), "{waited:?}: {}", primary.log());
        all.lag_ms.push(ended.elapsed().as_secs_f64() * 1000.0);
        drop(replicas);
        wait_until_alone(&mut client)?;
    }
    let of = |values: &[(f64, f64)], second: bool| {
        Spread::of(values.iter().map(|v| if second { v.1 } else { v.0 }))
    };
    Ok(Figures {
        sync_s: Spread::of(all.sync_s),
        loaded_sync_s: Spread::of(all.loaded_sync_s),
        loaded_rate: Spread::of(all.loaded_rate),
        growth_mb: Spread::of(all.growth_mb),
        memory_mb,
        alone_us: of(&all.alone, false),
        followed_us: of(&all.followed, false),
        alone_rate: of(&all.alone, true),
        followed_rate: of(&all.followed, true),
        lag_ms: Spread::of(all.lag_ms),
    })
}

/// CPU of the primary for one SET in us, and thousand SETs per second.
fn run(primary: &Server, commands: u64) -> Result<(f64, f64)> {
    let before = cpu::cpu_ns(primary.pid())?;
    let load = load::run(
        primary,
        &Shape {
            command: &["SET", "key:__rand_int__", VALUE],
            commands,
            pipeline: 16,
            keys: WRITTEN,
            clients: 20,
            core: None,
        },
    )?;
    // A thread that has ended takes its time along.
    let used = cpu::cpu_ns(primary.pid())?.saturating_sub(before);
    Ok((used as f64 / 1000.0 / commands as f64, load.per_second / 1000.0))
}

/// A new replica, and the seconds from REPLICAOF until it has the data.
fn follow(primary: &Server) -> Result<(Server, f64)> {
    let replica = Server::start(Role::Oracle, &Options::new())?;
    let mut client = replica.connect()?;
    let port = primary.address().port();
    let began = Instant::now();
    let reply = client.command(&format!("REPLICAOF 127.0.0.1 {port}"))?;
    ensure!(!reply.is_error(), "{reply:?}");
    // While it loads it answers with an error.
    client.set_timeout(PATIENCE);
    wait_within(PATIENCE, "the link is up", || {
        let info = client.command("INFO replication")?;
        let up = |text: &str| text.contains("master_link_status:up");
        Ok(info.text().is_some_and(up).then_some(()))
    })?;
    Ok((replica, began.elapsed().as_secs_f64()))
}

struct Loaded {
    seconds: f64,
    rate: f64,
    growth_mb: f64,
}

/// The same while clients write.
fn follow_under_load(primary: &Server, client: &mut Client) -> Result<Loaded> {
    let stop = Arc::new(AtomicBool::new(false));
    let peak = Arc::new(AtomicU64::new(0));
    let pid = primary.pid();
    let before = resident_bytes(pid)?;
    let watch = {
        let (stop, peak) = (Arc::clone(&stop), Arc::clone(&peak));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                peak.fetch_max(resident_bytes(pid).unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    };
    let (synced, written) = std::thread::scope(|scope| {
        let load = scope.spawn(|| -> Result<(u64, Duration)> {
            let (began, mut written) = (Instant::now(), 0);
            while !stop.load(Ordering::Relaxed) {
                run(primary, WRITTEN)?;
                written += WRITTEN;
            }
            Ok((written, began.elapsed()))
        });
        let synced = follow(primary);
        stop.store(true, Ordering::Relaxed);
        (synced, load.join().expect("the load does not panic"))
    });
    watch.join().expect("the watch does not panic");
    let ((replica, seconds), (written, time)) = (synced?, written?);
    let waited = client.command("WAIT 1 600000")?;
    ensure!(waited.integer() == Some(1), "{waited:?}");
    drop(replica);
    wait_until_alone(client)?;
    let growth = peak.load(Ordering::Relaxed).saturating_sub(before);
    Ok(Loaded {
        seconds,
        rate: written as f64 / 1000.0 / time.as_secs_f64(),
        growth_mb: growth as f64 / MB,
    })
}

fn wait_until_alone(client: &mut Client) -> Result<()> {
    wait_until("the replicas are gone", || {
        Ok(number(client, "replication", "connected_slaves")? == 0)
    })
}
