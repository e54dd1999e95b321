//! Periodic jobs, each one row in `JOBS`: they run on a thread of their own and never take a worker's time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_storage::evict::Policy;

use crate::aof::rewrite;
use crate::client::{ClientClass, flag};
use crate::cluster::{form, react, wide};
use crate::config::Param;
use crate::execute;
use crate::images;
use crate::memory;
use crate::observe::latency::Event;
use crate::replication;
use crate::saving;
use crate::server::Server;
use crate::stats::Counters;
use crate::worker::Worker;

type Job = fn(&mut Cron, &mut Worker);

/// Every job: its name, how often it runs (in ticks of `hz`; 0: once a second) and what it does.
const JOBS: &[(&str, u32, Job)] = &[
    ("active-expire", 1, active_expire),
    ("expire-fields", 1, expire_fields),
    ("evict", 1, evict),
    ("clients", 0, clients),
    ("save", 0, |_, w| saving::cron(&w.server)),
    ("snapshot-images", 1, |_, w| images::cron(&w.server)),
    ("replicas", 1, |_, w| {
        replication::primary::cron::run(&w.server, w.now_ms)
    }),
    ("append-only-file", 1, |_, w| rewrite::cron(&w.server)),
    ("client-memory", 1, client_memory),
    ("rates", 1, rates),
    ("tracking", 1, tracking),
    ("cluster", 1, |_, w| react::cron(w)),
    ("cluster-announce", 0, |_, w| react::announce(w)),
    ("cluster-form", 0, |_, w| form::form(w)),
    ("cluster-wide", 0, |_, w| wide::announce(w)),
];

/// State of the jobs between their runs.
#[derive(Debug, Default)]
struct Cron {
    /// Shard at which the search for expired keys goes on.
    expire_shard: usize,
    /// The same for expired fields of hashes.
    fields_shard: usize,
    last_rates: Option<(std::time::Instant, Counters)>,
    last_repl_out: u64,
}

/// What INFO shows as `instantaneous_*`: means over the last samples.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Commands in a second.
    pub ops: f64,
    /// Bytes received in a second.
    pub net_in: f64,
    /// Bytes sent in a second.
    pub net_out: f64,
    /// Bytes sent to replicas in a second.
    pub repl_out: f64,
    /// Batches of commands in a second.
    pub cycles: f64,
    /// Time of such a batch, in us.
    pub cycle_us: f64,
}

/// Output of all clients together from which on each gets only a small share.
const OUTPUT_CROWDED: usize = 512 << 20;

/// Runs the jobs until the server ends. `row` is the row of counters of this thread.
pub fn run(server: &Arc<Server>, row: usize) {
    let mut worker = Worker::new(Arc::clone(server), row);
    let mut cron = Cron::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else {
        tracing::error!(
            "no runtime for the periodic jobs: expired keys are removed only when they are looked up"
        );
        return;
    };
    let mut tick = 0u32;
    runtime.block_on(async {
        loop {
            let hz = server.config.int(Param::Hz).clamp(1, 500) as u32;
            let pause = Duration::from_micros(1_000_000 / u64::from(hz));
            tokio::select! {
                () = server.shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if server.cron_paused.load(Ordering::Relaxed) {
                continue;
            }
            tick = tick.wrapping_add(1);
            worker.begin_batch();
            for (name, every, job) in JOBS {
                let every = if *every == 0 { hz } else { *every };
                if tick.is_multiple_of(every) {
                    tracing::trace!(name, "periodic job");
                    job(&mut cron, &mut worker);
                }
            }
            worker.end_batch();
        }
    });
}

fn active_expire(cron: &mut Cron, w: &mut Worker) {
    if w.import_mode
        || !w.server.active_expire.load(Ordering::Relaxed)
        || w.server.replication.is_replica()
        || w.server.is_paused_at(w.now_ms)
    {
        return;
    }
    if w.server.throttle.stops() {
        return; // what goes away leaves as much behind as what is written
    }
    let began = std::time::Instant::now();
    let cycle = w.server.observe.begin_event(&w.server.config);
    let complete = remove_expired(cron, w, began);
    w.server.observe.end_event(Event::ExpireCycle, cycle, w.now_ms);
    let stats = &w.server.stats;
    stats
        .expire_us
        .fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
    stats
        .expire_caps
        .fetch_add(u64::from(!complete), Ordering::Relaxed);
}

/// Removes expired keys: looks at shard after shard, but only at chunks whose earliest expiry has passed, so it costs
/// little when nothing is due. Effort 1 to 10 bounds the time of one run to 2.5 .. 25 % of the period. False: the
/// time was over before the round was.
fn remove_expired(cron: &mut Cron, w: &mut Worker, began: std::time::Instant) -> bool {
    const BATCH: usize = 64;
    let server = Arc::clone(&w.server);
    let effort = server.config.int(Param::ActiveExpireEffort).clamp(1, 10) as u64;
    let hz = server.config.int(Param::Hz).clamp(1, 500) as u64;
    let budget = Duration::from_micros(1_000_000 / hz * effort * 25 / 1000);
    let shards = server.keyspace.shard_count();
    let mut due: Vec<Box<[u8]>> = Vec::new();
    for _ in 0..shards {
        let shard = cron.expire_shard % shards;
        for db in volatile_dbs(&server, shard as u16) {
            let mut chunk = 0;
            loop {
                due.clear();
                let complete = {
                    let mut locked = server.keyspace.lock_one(shard as u16);
                    let table = &mut locked.shard(shard as u16).dbs[db as usize].table;
                    if chunk >= table.chunk_count() {
                        break;
                    }
                    table.expired_in_chunk(chunk, w.now_ms, BATCH, &mut due)
                };
                for key in &due {
                    execute::expire(w, db, key);
                }
                if complete {
                    chunk += 1;
                }
                if began.elapsed() > budget {
                    return false;
                }
            }
        }
        cron.expire_shard = (shard + 1) % shards;
    }
    true
}

/// Removes expired fields of hashes: a look at each shard's earliest time while there are hashes with such fields, and
/// nothing at all otherwise. A run takes up to a twentieth of the period.
fn expire_fields(cron: &mut Cron, w: &mut Worker) {
    const BATCH: usize = 64;
    let server = Arc::clone(&w.server);
    let stands_still = !server.active_expire.load(Ordering::Relaxed)
        || server.replication.is_replica()
        || server.is_paused_at(w.now_ms);
    if stands_still || !server.keyspace.has_timed_hashes() {
        return;
    }
    let began = std::time::Instant::now();
    let hz = server.config.int(Param::Hz).clamp(1, 500) as u64;
    let budget = Duration::from_micros(1_000_000 / hz / 20);
    let shards = server.keyspace.shard_count();
    for _ in 0..shards {
        let shard = (cron.fields_shard % shards) as u16;
        loop {
            let mut due: Vec<(u32, Box<[u8]>)> = Vec::new();
            for (db, d) in (0..).zip(&server.keyspace.lock_one(shard).shard(shard).dbs) {
                let more = BATCH - due.len();
                due.extend(d.fields.due(w.now_ms, more).map(|key| (db, key.into())));
            }
            let mut left = due.len() == BATCH;
            for (db, key) in &due {
                left |= execute::expire_fields(w, *db, key);
            }
            if began.elapsed() > budget {
                return;
            }
            if !left {
                break;
            }
        }
        cron.fields_shard = (usize::from(shard) + 1) % shards;
    }
}

/// The databases that have keys with an expiry in a shard.
fn volatile_dbs(server: &Server, shard: u16) -> Vec<u32> {
    let mut locked = server.keyspace.lock_one(shard);
    let dbs = locked.shard(shard).dbs.iter().enumerate();
    dbs.filter(|(_, db)| db.table.volatile_len() > 0)
        .map(|(i, _)| i as u32)
        .collect()
}

/// Evicts although nobody writes: CONFIG SET maxmemory takes effect by itself.
fn evict(_: &mut Cron, w: &mut Worker) {
    let used = memory::used();
    let server = Arc::clone(&w.server);
    server.stats.peak_memory.fetch_max(used, Ordering::Relaxed);
    let over = w.maxmemory > 0 && used > w.maxmemory;
    server.stats.note_exceeded(over, w.now_ms);
    if w.maxmemory > 0 && w.policy != Policy::NoEviction {
        server.make_room(w);
    }
}

/// Ends clients that have been idle for `timeout`, or whose output has been over its soft limit for too long.
fn clients(_: &mut Cron, w: &mut Worker) {
    let server = &w.server;
    let timeout_ms = server.config.int(Param::Timeout) * 1000;
    let mut output = 0;
    for client in server.clients.all() {
        output += client.output.load(Ordering::Relaxed);
        let idle = w.now_ms - client.last_active_ms.load(Ordering::Relaxed);
        let waits = client.has_flag(flag::BLOCKED)
            || client.has_flag(flag::MONITOR)
            || client.class() != ClientClass::Normal;
        if timeout_ms > 0 && idle > timeout_ms && !waits {
            tracing::debug!(client = client.id, "closing an idle client");
            client.kill();
        }
        // A replica's limits have a job of their own.
        if client.class() != ClientClass::Replica && server.over_soft_limit(&client, w.now_ms) {
            tracing::warn!(
                client = client.id,
                addr = client.addr,
                "closing a client: its output is over the soft limit"
            );
            w.counters.output_limit_disconnections += 1;
            client.kill();
        }
    }
    server
        .output_crowded
        .store(output > OUTPUT_CROWDED, Ordering::Relaxed);
}

/// Holds `maxmemory-clients` against what changes while connections are idle: the limit, and their mailboxes.
fn client_memory(_: &mut Cron, w: &mut Worker) {
    w.server.client_memory.note_all(&w.server.clients);
}

/// Forgets tracked keys where `tracking-table-max-keys` was made smaller.
fn tracking(_: &mut Cron, w: &mut Worker) {
    const STEPS: usize = 10_000;
    w.server
        .tracking
        .limit(&w.server.clients, w.tracking_max_keys, STEPS);
}

fn rates(cron: &mut Cron, w: &mut Worker) {
    let total = w.server.totals();
    let now = std::time::Instant::now();
    if let Some((then, last)) = &cron.last_rates {
        let seconds = now.duration_since(*then).as_secs_f64();
        if seconds < 0.1 {
            return;
        }
        let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
        let mut r = w.server.rates.lock();
        // A running mean over about 1.6 s, as INFO of Redis shows.
        let blend = |old: f64, new: f64| old + (new - old) * 0.125;
        r.ops = blend(r.ops, rate(total.commands, last.commands));
        r.net_in = blend(r.net_in, rate(total.net_in, last.net_in));
        r.net_out = blend(r.net_out, rate(total.net_out, last.net_out));
        let sent = w.server.replication.primary.counts.sent.load(Ordering::Relaxed);
        let before = std::mem::replace(&mut cron.last_repl_out, sent);
        r.repl_out = blend(r.repl_out, rate(sent, before));
        let cycles = total.cycles.saturating_sub(last.cycles);
        let cycle_nanos = total.cycle_nanos.saturating_sub(last.cycle_nanos);
        r.cycles = blend(r.cycles, cycles as f64 / seconds);
        let cycle_us = cycle_nanos.checked_div(cycles).unwrap_or(0) as f64 / 1000.0;
        r.cycle_us = blend(r.cycle_us, cycle_us);
    }
    cron.last_rates = Some((now, total));
}
