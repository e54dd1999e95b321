//! `# Replication`: what this server is, its replicas, its history. The fields of a replica stand behind the role.

use std::fmt::Write;

use super::{Part, Row, Snapshot, bit};
use crate::config::Param;

pub(super) const PARTS: &[Part] = &[
    Part::Rows(&[("role", |s| {
        let replica = s.server.replication.is_replica();
        if replica { "slave" } else { "master" }.to_owned()
    })]),
    Part::Lines(super::replica::lines),
    Part::Rows(&[("connected_slaves", |s| {
        s.server.replication.primary.count().to_string()
    })]),
    Part::Lines(replicas),
    Part::Rows(HISTORY),
];

const HISTORY: &[Row] = &[
    ("master_failover_state", |s| {
        s.server.replication.failover.state().name().to_owned()
    }),
    ("master_replid", |s| {
        s.server.replication.history().id().to_string()
    }),
    ("master_replid2", |s| {
        let second = s.server.replication.history().second();
        second.map_or_else(|| "0".repeat(40), |second| second.id.to_string())
    }),
    ("master_repl_offset", |s| s.server.log.end_offset().to_string()),
    ("second_repl_offset", |s| {
        let second = s.server.replication.history().second();
        second.map_or_else(|| "-1".to_owned(), |second| (second.end + 1).to_string())
    }),
    ("repl_backlog_active", |s| {
        bit(s.server.replication.primary.has_backlog())
    }),
    ("repl_backlog_size", |s| {
        s.server.config.int(Param::ReplBacklogSize).to_string()
    }),
    ("repl_backlog_first_byte_offset", |s| {
        let first = s.server.log.extent().first + 1;
        if_active(s, first)
    }),
    ("repl_backlog_histlen", |s| {
        let extent = s.server.log.extent();
        if_active(s, extent.end - extent.first)
    }),
];

fn if_active(s: &Snapshot<'_>, value: u64) -> String {
    let active = s.server.replication.primary.has_backlog();
    if active { value } else { 0 }.to_string()
}

/// One line for each replica, and how many of them are good where that matters.
fn replicas(s: &Snapshot<'_>, out: &mut String) {
    let (primary, config) = (&s.server.replication.primary, &s.server.config);
    if config.int(Param::MinReplicasToWrite) > 0 && config.int(Param::MinReplicasMaxLag) > 0 {
        let _always = write!(out, "min_slaves_good_slaves:{}\r\n", primary.good());
    }
    for (number, replica) in primary.replicas().iter().enumerate() {
        let _always = write!(
            out,
            "slave{number}:ip={},port={},state={},offset={},lag={}\r\n",
            replica.ip(),
            replica.who.port,
            replica.stage().name(),
            replica.acked(),
            replica.silent_ms(s.now_ms) / 1000
        );
    }
}
