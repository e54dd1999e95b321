//! `# Replication`: a primary without replicas, for now. The backlog has no reader yet, so it is not active.

use super::Row;
use crate::config::Param;

pub(super) const ROWS: &[Row] = &[
    ("role", |_| "master".to_owned()),
    ("connected_slaves", |_| "0".to_owned()),
    ("master_failover_state", |_| "no-failover".to_owned()),
    ("master_replid", |s| s.server.repl_id.lock().clone()),
    ("master_replid2", |_| "0".repeat(40)),
    ("master_repl_offset", |s| s.server.log.end_offset().to_string()),
    ("second_repl_offset", |_| "-1".to_owned()),
    ("repl_backlog_active", |_| "0".to_owned()),
    ("repl_backlog_size", |s| {
        s.server.config.int(Param::ReplBacklogSize).to_string()
    }),
    ("repl_backlog_first_byte_offset", |_| "0".to_owned()),
    ("repl_backlog_histlen", |_| "0".to_owned()),
];
