//! `# Persistence`. A fork never happens here, so what belongs to one stays 0 for good.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Row, Snapshot, bit, fixed2, ratio};
use crate::aof::State;
use crate::aof::rewrite::Rewriting;
use crate::images;
use crate::saving;
use crate::snapshots::Purpose;
use crate::throttle::Cause;

pub(super) const ROWS: &[Row] = &[
    ("loading", |s| u8::from(s.server.is_loading()).to_string()),
    ("async_loading", |s| bit(s.server.is_async_loading())),
    ("current_cow_peak", |s| {
        s.server.snapshots.images.bytes().1.to_string()
    }),
    ("current_cow_size", |s| {
        s.server.snapshots.images.bytes().0.to_string()
    }),
    ("current_cow_size_age", |_| zero()),
    ("current_fork_perc", |s| {
        let (done, total) = s.server.snapshots.keys();
        fixed2(100.0 * ratio(done, total))
    }),
    ("current_save_keys_processed", |s| {
        s.server.snapshots.keys().0.to_string()
    }),
    ("current_save_keys_total", |s| {
        s.server.snapshots.keys().1.to_string()
    }),
    ("rdb_changes_since_last_save", |s| {
        saving::changes(s.server).to_string()
    }),
    ("rdb_bgsave_in_progress", |s| {
        u8::from(saving_for(s).is_some()).to_string()
    }),
    // The start counts as the first save, as in Redis.
    ("rdb_last_save_time", |s| {
        s.server.saving.last_save_s().to_string()
    }),
    ("rdb_last_bgsave_status", |s| {
        if s.server.saving.last_failed() {
            "err"
        } else {
            "ok"
        }
        .to_owned()
    }),
    ("rdb_last_bgsave_time_sec", |s| {
        s.server.saving.last_took_s().to_string()
    }),
    ("rdb_current_bgsave_time_sec", |s| match saving_for(s) {
        Some(time) => time.as_secs().to_string(),
        None => never(),
    }),
    ("rdb_saves", |s| s.server.saving.saves().to_string()),
    ("rdb_last_cow_size", |s| {
        s.server
            .snapshots
            .last_save_images
            .load(Ordering::Relaxed)
            .to_string()
    }),
    ("rdb_last_load_keys_expired", |s| {
        s.server.loading.expired.load(Ordering::Relaxed).to_string()
    }),
    ("rdb_last_load_keys_loaded", |s| {
        s.server.loading.keys.load(Ordering::Relaxed).to_string()
    }),
    ("aof_enabled", |s| flag(s.server.aof.state() != State::Off)),
    ("aof_rewrite_in_progress", |s| flag(rewriting_for(s).is_some())),
    ("aof_rewrite_scheduled", |s| {
        flag(rewriting(s).scheduled.load(Ordering::Relaxed))
    }),
    ("aof_last_rewrite_time_sec", |s| {
        rewriting(s).last_took_s().to_string()
    }),
    ("aof_current_rewrite_time_sec", |s| match rewriting_for(s) {
        Some(time) => time.as_secs().to_string(),
        None => never(),
    }),
    ("aof_last_bgrewrite_status", |s| {
        status(rewriting(s).last_failed())
    }),
    ("aof_rewrites", |s| {
        rewriting(s).rewrites.load(Ordering::Relaxed).to_string()
    }),
    ("aof_rewrites_consecutive_failures", |s| {
        rewriting(s).failures().to_string()
    }),
    ("aof_last_write_status", |s| {
        status(s.server.aof.write_error().is_some())
    }),
    ("aof_last_cow_size", |s| {
        s.server
            .snapshots
            .last_rewrite_images
            .load(Ordering::Relaxed)
            .to_string()
    }),
    ("module_fork_in_progress", |_| zero()),
    ("module_fork_last_cow_size", |_| zero()),
    ("snapshot_buffer_limit", |s| images::limit(s.server).to_string()),
    ("snapshot_writers_slowed", |s| {
        s.server.throttle.times(Cause::Snapshot).to_string()
    }),
    ("snapshot_writers_stopped", |s| {
        s.server.throttle.times(Cause::SnapshotFull).to_string()
    }),
    ("snapshots_given_up", |s| {
        s.server.snapshots.images.given_up().to_string()
    }),
    ("encryption_at_rest", |s| {
        u8::from(s.server.saving.encryption.keys().is_some()).to_string()
    }),
    // The key that encrypts what is written from now on.
    ("encryption_key_id", |s| {
        let keys = s.server.saving.encryption.keys();
        keys.map_or_else(String::new, |keys| keys.first_id().to_owned())
    }),
];

/// How long a save or a full synchronization has been running: both are snapshots in Redis's sense.
fn saving_for(s: &Snapshot<'_>) -> Option<Duration> {
    let purposes = [Purpose::BackgroundSave, Purpose::FullSync];
    s.server.snapshots.running_for(&purposes)
}

/// Fields that are there while the append-only file is written.
fn aof_lines(s: &Snapshot<'_>, out: &mut String) {
    let aof = &s.server.aof;
    if aof.state() == State::Off {
        return;
    }
    let scheduled = rewriting(s).scheduled.load(Ordering::Relaxed);
    let rows = [
        ("aof_current_size", aof.current_size()),
        ("aof_base_size", rewriting(s).base_size()),
        ("aof_pending_rewrite", u64::from(scheduled)),
        // Bytes of the log that are not on the disk yet: they are in no buffer of their own.
        ("aof_buffer_length", aof.behind(s.server)),
        ("aof_pending_bio_fsync", u64::from(aof.is_syncing())),
        ("aof_delayed_fsync", aof.delayed_fsync.load(Ordering::Relaxed)),
        // How often writers had to wait because the disk was behind.
        ("aof_throttled", s.server.throttle.times(Cause::AppendOnlyFile)),
        // Connections whose replies wait for a sync.
        ("aof_waiting_replies", s.server.gate.waiting() as u64),
    ];
    for (name, value) in rows {
        let _always = write!(out, "{name}:{value}\r\n");
    }
}

/// Fields that depend on what is going on: about the append-only file, and about what is loaded.
pub(super) fn lines(s: &Snapshot<'_>, out: &mut String) {
    aof_lines(s, out);
    let Some(load) = s.server.loading.current() else {
        return;
    };
    let rows = [
        ("loading_start_time", (load.began_ms / 1000).to_string()),
        ("loading_total_bytes", load.total().to_string()),
        ("loading_rdb_used_mem", load.used_mem().to_string()),
        ("loading_loaded_bytes", load.bytes().to_string()),
        ("loading_loaded_perc", fixed2(load.percent())),
        ("loading_eta_seconds", load.eta_s().to_string()),
    ];
    for (name, value) in rows {
        let _always = write!(out, "{name}:{value}\r\n");
    }
}

fn rewriting<'s>(s: &'s Snapshot<'_>) -> &'s Rewriting {
    &s.server.aof.rewriting
}

fn rewriting_for(s: &Snapshot<'_>) -> Option<Duration> {
    s.server.snapshots.running_for(&[Purpose::Rewrite])
}

fn flag(on: bool) -> String {
    u8::from(on).to_string()
}

fn status(failed: bool) -> String {
    if failed { "err" } else { "ok" }.to_owned()
}

fn zero() -> String {
    "0".to_owned()
}

fn never() -> String {
    "-1".to_owned()
}
