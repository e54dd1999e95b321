//! `# Commandstats` and `# Errorstats`: the counters of [`crate::stats`] by command and by code word of errors.

use std::fmt::Write;

use super::{Snapshot, fixed2, ratio};
use crate::registry::Registry;

pub(super) fn commandstats(s: &Snapshot<'_>, out: &mut String) {
    for entry in Registry::get().all() {
        let sum = s.server.stats.command_total(entry.id);
        if sum.calls == 0 && sum.rejected == 0 {
            continue;
        }
        let usec = sum.usec();
        let _always = write!(
            out,
            "cmdstat_{}:calls={},usec={usec},usec_per_call={},rejected_calls={},failed_calls={}\r\n",
            entry.spec.name,
            sum.calls,
            fixed2(ratio(usec, sum.calls)),
            sum.rejected,
            sum.failed
        );
    }
}

pub(super) fn errorstats(s: &Snapshot<'_>, out: &mut String) {
    for (code, count) in s.server.stats.error_totals() {
        let _always = write!(out, "errorstat_{code}:count={count}\r\n");
    }
}
