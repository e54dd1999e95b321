//! `# Persistence`. The append only file is not written yet: its fields say what Redis says while it is off. A fork never happens here, so what belongs to one stays 0 for good.

use std::sync::atomic::Ordering;

use super::Row;
use crate::saving;

pub(super) const ROWS: &[Row] = &[
    ("loading", |s| u8::from(s.server.is_loading()).to_string()),
    ("async_loading", |_| zero()),
    ("current_cow_peak", |_| zero()),
    ("current_cow_size", |_| zero()),
    ("current_cow_size_age", |_| zero()),
    ("current_fork_perc", |_| "0.00".to_owned()),
    ("current_save_keys_processed", |s| {
        s.server.saving.keys().0.to_string()
    }),
    ("current_save_keys_total", |s| {
        s.server.saving.keys().1.to_string()
    }),
    ("rdb_changes_since_last_save", |s| {
        saving::changes(s.server).to_string()
    }),
    ("rdb_bgsave_in_progress", |s| {
        u8::from(s.server.saving.background_for().is_some()).to_string()
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
    ("rdb_current_bgsave_time_sec", |s| {
        match s.server.saving.background_for() {
            Some(time) => time.as_secs().to_string(),
            None => never(),
        }
    }),
    ("rdb_saves", |s| s.server.saving.saves().to_string()),
    ("rdb_last_cow_size", |_| zero()),
    ("rdb_last_load_keys_expired", |s| {
        s.server.saving.load_expired.load(Ordering::Relaxed).to_string()
    }),
    ("rdb_last_load_keys_loaded", |s| {
        s.server.saving.loaded.load(Ordering::Relaxed).to_string()
    }),
    ("aof_enabled", |_| zero()),
    ("aof_rewrite_in_progress", |_| zero()),
    ("aof_rewrite_scheduled", |_| zero()),
    ("aof_last_rewrite_time_sec", |_| never()),
    ("aof_current_rewrite_time_sec", |_| never()),
    ("aof_last_bgrewrite_status", |_| ok()),
    ("aof_rewrites", |_| zero()),
    ("aof_rewrites_consecutive_failures", |_| zero()),
    ("aof_last_write_status", |_| ok()),
    ("aof_last_cow_size", |_| zero()),
    ("module_fork_in_progress", |_| zero()),
    ("module_fork_last_cow_size", |_| zero()),
];

fn zero() -> String {
    "0".to_owned()
}

fn ok() -> String {
    "ok".to_owned()
}

fn never() -> String {
    "-1".to_owned()
}
