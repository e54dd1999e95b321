//! `# Clients`.

use super::Row;
use crate::config::Param;

pub(super) const ROWS: &[Row] = &[
    ("connected_clients", |s| s.connections.count.to_string()),
    ("cluster_connections", |_| "0".to_owned()),
    ("maxclients", |s| {
        s.server.config.int(Param::Maxclients).to_string()
    }),
    ("client_recent_max_input_buffer", |s| {
        s.connections.max_input.to_string()
    }),
    ("client_recent_max_output_buffer", |s| {
        s.connections.max_output.to_string()
    }),
    ("blocked_clients", |s| s.server.blocking.clients().to_string()),
    ("tracking_clients", |s| {
        s.server.tracking.figures().clients.to_string()
    }),
    ("pubsub_clients", |s| s.connections.pubsub.to_string()),
    ("watching_clients", |s| s.connections.watching.to_string()),
    // Timeouts are kept by the runtime of each thread: there is no such table.
    ("clients_in_timeout_table", |_| "0".to_owned()),
    ("total_watched_keys", |s| s.interest.0.to_string()),
    ("total_blocking_keys", |s| s.interest.1.to_string()),
    ("total_blocking_keys_on_nokey", |_| "0".to_owned()),
];
