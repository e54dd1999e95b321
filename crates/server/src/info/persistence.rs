//! `# Persistence`. Nothing is written to files yet: the fields say what Redis says before the first save and with
//! the append only file switched off. A fork never happens here, so what belongs to one stays 0 for good.

use super::{Row, Snapshot};

pub(super) const ROWS: &[Row] = &[
    ("loading", |_| zero()),
    ("async_loading", |_| zero()),
    ("current_cow_peak", |_| zero()),
    ("current_cow_size", |_| zero()),
    ("current_cow_size_age", |_| zero()),
    ("current_fork_perc", |_| "0.00".to_owned()),
    ("current_save_keys_processed", |_| zero()),
    ("current_save_keys_total", |_| zero()),
    ("rdb_changes_since_last_save", |s| s.totals.dirty.to_string()),
    ("rdb_bgsave_in_progress", |_| zero()),
    // The start counts as the first save, as in Redis.
    ("rdb_last_save_time", started),
    ("rdb_last_bgsave_status", |_| ok()),
    ("rdb_last_bgsave_time_sec", |_| never()),
    ("rdb_current_bgsave_time_sec", |_| never()),
    ("rdb_saves", |_| zero()),
    ("rdb_last_cow_size", |_| zero()),
    ("rdb_last_load_keys_expired", |_| zero()),
    ("rdb_last_load_keys_loaded", |_| zero()),
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

fn started(s: &Snapshot<'_>) -> String {
    (s.server.started_ms / 1000).to_string()
}

fn zero() -> String {
    "0".to_owned()
}

fn ok() -> String {
    "ok".to_owned()
}

fn never() -> String {
    "-1".to_owned()
}
