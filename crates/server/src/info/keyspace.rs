//! `# Keyspace`: one line for each database that is not empty.

use std::fmt::Write;

use super::Snapshot;

pub(super) fn lines(s: &Snapshot<'_>, out: &mut String) {
    for (index, db) in s.databases.iter().enumerate().filter(|(_, db)| db.keys > 0) {
        let (sum, count) = db.ttl_sample;
        let _always = write!(
            out,
            "db{index}:keys={},expires={},avg_ttl={}",
            db.keys,
            db.expires,
            sum.checked_div(count).unwrap_or(0)
        );
        // As Redis 7.4, where there are such keys; else the line is that of Redis 7.2.
        if db.subexpiry > 0 {
            let _always = write!(out, ",subexpiry={}", db.subexpiry);
        }
        out.push_str("\r\n");
    }
}
