//! The fields of `# Replication` that only a replica has.

use std::fmt::Write;

use super::{Snapshot, bit, ratio};
use crate::config::Param;
use crate::replication::Role;
use crate::replication::replica::LinkState;

/// Writes them, if this server is a replica.
pub(super) fn lines(s: &Snapshot<'_>, out: &mut String) {
    let replication = &s.server.replication;
    let Role::Replica { host, port } = replication.role() else {
        return;
    };
    let link = replication.follower.link();
    let state = link.as_ref().map_or(LinkState::Connect, |link| link.state());
    let up = state == LinkState::Connected;
    let ago = |at: Option<i64>| at.map_or(-1, |at| (s.now_ms - at).max(0) / 1000);
    let heard = link.as_ref().and_then(|link| link.last_io_ms());
    let offset = s.server.log.end_offset();
    let waiting = link.as_ref().map_or(0, |link| link.waiting_bytes());
    let config = &s.server.config;
    let mut field = |name: &str, value: &dyn std::fmt::Display| {
        let _always = write!(out, "{name}:{value}\r\n");
    };
    field("master_host", &host);
    field("master_port", &port);
    field("master_link_status", &if up { "up" } else { "down" });
    field("master_last_io_seconds_ago", &ago(heard.filter(|_| up)));
    field("master_sync_in_progress", &bit(state == LinkState::Transfer));
    field("slave_read_repl_offset", &(offset + waiting));
    field("slave_repl_offset", &offset);
    if state == LinkState::Transfer {
        let (total, read) = link.as_ref().map_or((0, 0), |link| link.transfer());
        let percent = 100.0 * ratio(read, total);
        field("master_sync_total_bytes", &total);
        field("master_sync_read_bytes", &read);
        field("master_sync_left_bytes", &(total as i64 - read as i64));
        field("master_sync_perc", &format_args!("{percent:.2}"));
        field("master_sync_last_io_seconds_ago", &ago(heard));
    }
    if !up {
        let down = link.as_ref().and_then(|link| link.down_since_ms());
        field("master_link_down_since_seconds", &ago(down));
    }
    field("slave_priority", &config.int(Param::ReplicaPriority));
    field("slave_read_only", &bit(config.flag(Param::ReplicaReadOnly)));
    field("replica_announced", &bit(config.flag(Param::ReplicaAnnounced)));
}
