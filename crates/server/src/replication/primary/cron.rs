//! What happens to replicas with time: snapshots that are due, pings, timeouts, limits of their lag; and the pace of writers
//! while replicas are given a snapshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use holdfast_replication::{Door, Look};

use super::{Attached, Stage, sync};
use crate::config::Param;
use crate::memory;
use crate::server::Server;
use crate::stats::Counters;
use crate::throttle::Cause;

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// When things were done last.
#[derive(Debug, Default)]
pub struct Clock {
    second_ms: i64,
    ping_ms: i64,
}

/// The periodic job, at each tick.
pub fn run(server: &Arc<Server>, now_ms: i64) {
    sync::begin_due(server);
    limit_lag(server, now_ms);
    let primary = &server.replication.primary;
    let mut clock = primary.clock.lock();
    if now_ms - clock.second_ms < 1000 {
        return;
    }
    clock.second_ms = now_ms;
    end_silent(server, now_ms);
    primary.refresh_good(server);
    let period_ms = server.config.int(Param::ReplPingReplicaPeriod) * 1000;
    if now_ms - clock.ping_ms >= period_ms {
        clock.ping_ms = now_ms;
        if primary.count() > 0 && server.replication.append_aside(&server.log, PING).is_some() {
            server.log.notify();
        }
    }
    let ttl_s = server.config.int(Param::ReplBacklogTtl);
    let alone_ms = now_ms - primary.alone_since_ms.load(Ordering::Relaxed);
    if primary.has_backlog()
        && primary.count() == 0
        && ttl_s > 0
        && alone_ms > ttl_s * 1000
        && !server.replication.is_replica()
    {
        primary.drop_backlog(server);
        tracing::info!("Replication backlog freed after {ttl_s} seconds without connected replicas.");
    }
}

/// Ends replicas that are too far behind the log: `client-output-buffer-limit replica` says what that is. Those that are on
/// their way through a full synchronization are waited for instead.
fn limit_lag(server: &Server, now_ms: i64) {
    let primary = &server.replication.primary;
    for replica in primary.replicas() {
        let lag = match replica.stage() {
            Stage::Online => server.log.end_offset().saturating_sub(replica.place()),
            Stage::Waiting | Stage::Sending | Stage::Sent => 0,
        };
        let client = &replica.client;
        client.output.store(lag as usize, Ordering::Relaxed);
        if replica.is_catching_up() || client.is_killed() {
            continue;
        }
        if server.over_hard_limit(client, lag as usize) || server.over_soft_limit(client, now_ms) {
            tracing::warn!(
                "Client {} scheduled to be closed ASAP for overcoming of output buffer limits: replica {} is {lag} bytes behind.",
                crate::commands::client_line(client, now_ms),
                replica.name()
            );
            primary.counts.lagged.fetch_add(1, Ordering::Relaxed);
            primary.lagged.lock().note(&replica, now_ms);
            let mut counters = Counters {
                output_limit_disconnections: 1,
                ..Counters::default()
            };
            server.stats.add(server.threads, &mut counters);
            client.kill();
        }
    }
}

/// Ends replicas from which nothing is heard, and those that take nothing of their snapshot.
fn end_silent(server: &Server, now_ms: i64) {
    let timeout_ms = server.config.int(Param::ReplTimeout) * 1000;
    let primary = &server.replication.primary;
    for replica in primary.replicas() {
        let what = match replica.stage() {
            Stage::Online if !replica.is_old && replica.silent_ms(now_ms) > timeout_ms => "streaming sync",
            Stage::Sending if replica.stuck_ms(now_ms).min(replica.silent_ms(now_ms)) > timeout_ms => {
                "full sync"
            }
            Stage::Online | Stage::Sending | Stage::Waiting | Stage::Sent => continue,
        };
        if !replica.client.is_killed() {
            tracing::warn!("Disconnecting timedout replica ({what}): {}", replica.name());
            primary.counts.timed_out.fetch_add(1, Ordering::Relaxed);
            replica.client.kill();
        }
    }
}

/// Replicas that were dropped for their lag: from the second time on their next full synchronization waits, longer each
/// time, so that a replica that can never keep up does not cost one after the other.
#[derive(Debug, Default)]
pub struct Lagged(HashMap<String, (u32, i64)>);

impl Lagged {
    /// After this time it is forgotten.
    const KEPT_MS: i64 = 3600 * 1000;
    const FIRST: Duration = Duration::from_secs(10);
    const LONGEST: Duration = Duration::from_secs(600);
    const MOST: usize = 128;

    fn note(&mut self, replica: &Attached, now_ms: i64) {
        self.note_name(replica.name(), now_ms);
    }

    fn note_name(&mut self, name: String, now_ms: i64) {
        self.0.retain(|_, (_, at)| now_ms - *at < Self::KEPT_MS);
        if self.0.len() < Self::MOST {
            let (times, at) = self.0.entry(name).or_default();
            *times = times.saturating_add(1);
            *at = now_ms;
        }
    }

    /// How long a replica has to wait for its next full synchronization.
    pub fn penalty(&mut self, replica: &Attached, now_ms: i64) -> Option<Duration> {
        self.penalty_of(&replica.name(), now_ms)
    }

    fn penalty_of(&self, name: &str, now_ms: i64) -> Option<Duration> {
        let (times, at) = self.0.get(name)?;
        let again = times.checked_sub(2).filter(|_| now_ms - at < Self::KEPT_MS)?;
        let wait = Self::FIRST.saturating_mul(1u32.checked_shl(again).unwrap_or(u32::MAX));
        Some(wait.min(Self::LONGEST))
    }
}

// ---- the pace of writers ----

/// Memory that full synchronizations may take beside 5 % of what is in use.
const FIXED: u64 = 64 << 20;
/// Writers are not slowed longer for a replica that seems to stand still.
const STOPPED_MS: i64 = 10_000;
/// How often the pace is set while much is held, and at most and at least while little is, in ms.
const QUICK_MS: u64 = 2;
const SLOW_MS: u64 = 20;
/// Between two looks while little is held, writers at this rate write less than a quarter of the bound, in bytes per ms.
const FASTEST: u64 = 800_000;

/// Slows writers while replicas are on their way, on a thread of its own that ends with the last of them.
pub fn begin_pacing(server: &Arc<Server>) {
    let primary = &server.replication.primary;
    if primary.pacing.swap(true, Ordering::AcqRel) {
        return;
    }
    let paced = Arc::clone(server);
    let thread = std::thread::Builder::new()
        .name("sync-pace".into())
        .spawn(move || pace(&paced));
    if let Err(error) = thread {
        primary.pacing.store(false, Ordering::Release);
        tracing::warn!(%error, "no thread that slows writers during a full synchronization");
    }
}

fn pace(server: &Arc<Server>) {
    let began = Instant::now();
    let mut door = Door::default();
    let primary = &server.replication.primary;
    loop {
        let end = server.log.end_offset();
        let replicas = primary.replicas();
        let oldest = replicas
            .iter()
            .filter(|r| r.is_catching_up())
            .map(|r| r.place())
            .chain(migration_place(server))
            .min();
        let Some(oldest) = oldest.filter(|_| !server.shutdown.is_cancelled()) else {
            server.throttle.set(&server.clients, Cause::FullSync, false);
            primary.pacing.store(false, Ordering::Release);
            // One that has come since the look has found this thread at work.
            if (primary.replicas().iter().any(|r| r.is_catching_up()) || migration_place(server).is_some())
                && !server.shutdown.is_cancelled()
                && !primary.pacing.swap(true, Ordering::AcqRel)
            {
                continue;
            }
            return;
        };
        let look = Look {
            now_ms: began.elapsed().as_millis() as u64,
            held: end.saturating_sub(oldest) + server.snapshots.images.bytes().0,
            bound: bound(server),
            end,
        };
        primary.held.store(look.held, Ordering::Relaxed);
        let open = door.is_open(look);
        server.throttle.set(&server.clients, Cause::FullSync, !open);
        if !open {
            drop_stopped(server, &replicas);
        }
        let little_ms = (look.bound / 4 / FASTEST).clamp(QUICK_MS, SLOW_MS);
        let ms = if look.held > look.bound / 4 {
            QUICK_MS
        } else {
            little_ms
        };
        std::thread::sleep(Duration::from_millis(ms));
    }
}

/// Offset from which on the log is kept for slots that migrate: the target is waited for as a replica on its way is.
fn migration_place(server: &Server) -> Option<u64> {
    server
        .cluster
        .get()
        .and_then(|cluster| cluster.migrations.place())
}

/// Ends replicas on their way that neither take nor say anything, while writers are slowed for them.
fn drop_stopped(server: &Server, replicas: &[Arc<Attached>]) {
    let timeout_ms = STOPPED_MS.min(server.config.int(Param::ReplTimeout) * 1000);
    let now_ms = server.now_ms();
    for replica in replicas.iter().filter(|r| r.is_catching_up()) {
        if replica.stuck_ms(now_ms).min(replica.silent_ms(now_ms)) > timeout_ms && !replica.client.is_killed()
        {
            tracing::warn!(
                "Disconnecting timedout replica (full sync): {}. Writers were slowed for it, and it has taken nothing for {} s",
                replica.name(),
                timeout_ms / 1000
            );
            server
                .replication
                .primary
                .counts
                .timed_out
                .fetch_add(1, Ordering::Relaxed);
            replica.client.kill();
        }
    }
}

/// Bytes that full synchronizations may take: `repl-full-sync-buffer`.
fn bound(server: &Server) -> u64 {
    match server.config.int(Param::ReplFullSyncBuffer) {
        0 => FIXED + memory::used() / 20,
        bytes => bytes.unsigned_abs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_dropped_again_waits_longer() {
        let mut lagged = Lagged::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            lagged.note_name("a".to_owned(), 1000);
            waits.push(lagged.penalty_of("a", 2000).map_or(0, |wait| wait.as_secs()));
        }
        assert_eq!(waits[..8], [0, 10, 20, 40, 80, 160, 320, 600]);
        assert!(waits[8..].iter().all(|wait| *wait == 600));
        assert_eq!(lagged.penalty_of("b", 2000), None);
        assert_eq!(lagged.penalty_of("a", 1000 + Lagged::KEPT_MS), None);
        lagged.note_name("a".to_owned(), 1000 + Lagged::KEPT_MS);
        assert_eq!(
            lagged.penalty_of("a", 1000 + Lagged::KEPT_MS),
            None,
            "it begins anew"
        );
        for i in 0..1000 {
            lagged.note_name(i.to_string(), 1000 + Lagged::KEPT_MS);
        }
        assert!(lagged.0.len() <= Lagged::MOST);
    }
}
