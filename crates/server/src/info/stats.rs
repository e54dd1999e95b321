//! `# Stats`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Row, Snapshot, fixed2};
use crate::observe::runs_others;
use crate::registry::Registry;
use crate::replication::primary::Counts;
use crate::throttle::Cause;

pub(super) const ROWS: &[Row] = &[
    ("total_connections_received", |s| s.totals.connections.to_string()),
    ("total_commands_processed", |s| s.totals.commands.to_string()),
    ("instantaneous_ops_per_sec", |s| format!("{:.0}", s.rates.ops)),
    ("total_net_input_bytes", |s| s.totals.net_in.to_string()),
    ("total_net_output_bytes", |s| s.totals.net_out.to_string()),
    ("total_net_repl_input_bytes", |_| zero()),
    ("total_net_repl_output_bytes", |s| count(s, |c| &c.sent)),
    ("instantaneous_input_kbps", |s| fixed2(s.rates.net_in / 1024.0)),
    ("instantaneous_output_kbps", |s| fixed2(s.rates.net_out / 1024.0)),
    ("instantaneous_input_repl_kbps", |_| "0.00".to_owned()),
    ("instantaneous_output_repl_kbps", |s| {
        fixed2(s.rates.repl_out / 1024.0)
    }),
    ("rejected_connections", |s| {
        s.totals.rejected_connections.to_string()
    }),
    ("sync_full", |s| count(s, |c| &c.full)),
    ("sync_partial_ok", |s| count(s, |c| &c.partial)),
    ("sync_partial_err", |s| count(s, |c| &c.refused)),
    // How often writers were slowed for full synchronizations, what these hold, and replicas that were dropped or put off.
    ("sync_writers_slowed", |s| {
        s.server.throttle.times(Cause::FullSync).to_string()
    }),
    ("sync_held_bytes", |s| {
        s.server
            .replication
            .primary
            .held
            .load(Ordering::Relaxed)
            .to_string()
    }),
    ("sync_put_off", |s| count(s, |c| &c.put_off)),
    ("replicas_dropped_lag", |s| count(s, |c| &c.lagged)),
    ("replicas_dropped_timeout", |s| count(s, |c| &c.timed_out)),
    ("expired_keys", |s| s.totals.expired.to_string()),
    // The names that Redis and Valkey have for the same number.
    ("expired_subkeys", |s| s.totals.expired_fields.to_string()),
    ("expired_fields", |s| s.totals.expired_fields.to_string()),
    // The search for expired keys visits only groups with a key that is due: there is no estimate of what it missed.
    ("expired_stale_perc", |_| "0.00".to_owned()),
    ("expired_time_cap_reached_count", |s| {
        s.server.stats.expire_caps.load(Ordering::Relaxed).to_string()
    }),
    ("expire_cycle_cpu_milliseconds", |s| {
        (s.server.stats.expire_us.load(Ordering::Relaxed) / 1000).to_string()
    }),
    ("evicted_keys", |s| s.totals.evicted.to_string()),
    ("evicted_clients", |s| {
        s.server.client_memory.evicted().to_string()
    }),
    ("total_eviction_exceeded_time", |s| {
        s.server.stats.exceeded_ms(s.now_ms).0.to_string()
    }),
    ("current_eviction_exceeded_time", |s| {
        s.server.stats.exceeded_ms(s.now_ms).1.to_string()
    }),
    ("keyspace_hits", |s| s.totals.hits.to_string()),
    ("keyspace_misses", |s| s.totals.misses.to_string()),
    ("pubsub_channels", |s| s.server.pubsub.channel_count().to_string()),
    ("pubsub_patterns", |s| s.server.pubsub.pattern_count().to_string()),
    ("pubsubshard_channels", |s| {
        s.server.pubsub.shard_channel_count().to_string()
    }),
    // This server never forks.
    ("latest_fork_usec", |_| zero()),
    ("total_forks", |_| zero()),
    ("migrate_cached_sockets", |_| zero()),
    ("slave_expires_tracked_keys", |_| zero()),
    ("active_defrag_hits", |_| zero()),
    ("active_defrag_misses", |_| zero()),
    ("active_defrag_key_hits", |_| zero()),
    ("active_defrag_key_misses", |_| zero()),
    ("total_active_defrag_time", |_| zero()),
    ("current_active_defrag_time", |_| zero()),
    ("tracking_total_keys", |s| {
        s.server.tracking.figures().keys.to_string()
    }),
    ("tracking_total_items", |s| {
        s.server.tracking.figures().items.to_string()
    }),
    ("tracking_total_prefixes", |s| {
        s.server.tracking.figures().prefixes.to_string()
    }),
    ("unexpected_error_replies", |_| zero()),
    ("total_error_replies", |s| s.totals.errors.to_string()),
    ("dump_payload_sanitizations", |_| zero()),
    ("total_reads_processed", |s| s.totals.reads.to_string()),
    ("total_writes_processed", |s| s.totals.writes.to_string()),
    ("io_threaded_reads_processed", |_| zero()),
    ("io_threaded_writes_processed", |_| zero()),
    // Reply buffers belong to the threads and keep their size.
    ("reply_buffer_shrinks", |_| zero()),
    ("reply_buffer_expands", |_| zero()),
    // A cycle is one batch of a worker: from the first command of what was read to the sending of the replies.
    ("eventloop_cycles", |s| s.totals.cycles.to_string()),
    ("eventloop_duration_sum", |s| {
        (s.totals.cycle_nanos / 1000).to_string()
    }),
    ("eventloop_duration_cmd_sum", |s| {
        (command_nanos(s) / 1000).to_string()
    }),
    ("instantaneous_eventloop_cycles_per_sec", |s| {
        format!("{:.0}", s.rates.cycles)
    }),
    ("instantaneous_eventloop_duration_usec", |s| {
        format!("{:.0}", s.rates.cycle_us)
    }),
    ("client_query_buffer_limit_disconnections", |s| {
        s.totals.query_limit_disconnections.to_string()
    }),
    ("client_output_buffer_limit_disconnections", |s| {
        s.totals.output_limit_disconnections.to_string()
    }),
    ("acl_access_denied_auth", |s| s.totals.auth_failures.to_string()),
    ("acl_access_denied_cmd", |s| {
        s.totals.acl_denied_commands.to_string()
    }),
    ("acl_access_denied_key", |s| s.totals.acl_denied_keys.to_string()),
    ("acl_access_denied_db", |s| {
        s.totals.acl_denied_databases.to_string()
    }),
    ("acl_access_denied_channel", |s| {
        s.totals.acl_denied_channels.to_string()
    }),
];

/// Commands that run others are left out: those others are counted.
fn command_nanos(s: &Snapshot<'_>) -> u64 {
    let counted = Registry::get()
        .all()
        .filter(|entry| entry.spec.name != "exec" && !runs_others(entry));
    counted
        .map(|entry| s.server.stats.command_total(entry.id).nanos)
        .sum()
}

/// A count of the primary's.
fn count(s: &Snapshot<'_>, which: fn(&Counts) -> &AtomicU64) -> String {
    which(&s.server.replication.primary.counts)
        .load(Ordering::Relaxed)
        .to_string()
}

fn zero() -> String {
    "0".to_owned()
}
