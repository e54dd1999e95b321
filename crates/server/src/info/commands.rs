//! `# Commandstats`, `# Errorstats` and `# Latencystats`: the counters of [`crate::stats`] by command and by code word of
//! errors.

use std::fmt::Write;

use super::{Snapshot, fixed2, ratio};
use crate::registry::Registry;

pub(super) fn commandstats(s: &Snapshot<'_>, out: &mut String) {
    for entry in Registry::get().all() {
        let sum = s.server.stats.command_total(entry.id);
        if sum.calls == 0 && sum.rejected == 0 {
            continue;
        }
        let usec = sum.nanos / 1000;
        let _always = write!(
            out,
            "cmdstat_{}:calls={},usec={usec},usec_per_call={},rejected_calls={},failed_calls={}\r\n",
            entry.spec.name,
            sum.calls,
            fixed2(ratio(sum.nanos, sum.calls) / 1000.0),
            sum.rejected,
            sum.failed
        );
    }
}

/// Percentiles of the times of each command, in us.
pub(super) fn latencystats(s: &Snapshot<'_>, out: &mut String) {
    if !s.server.config.latency_tracking() {
        return;
    }
    let percentiles = s.server.config.latency_percentiles();
    for entry in Registry::get().all() {
        let times = s.server.stats.times(entry.id);
        if times.total() == 0 {
            continue;
        }
        let values: Vec<String> = percentiles
            .iter()
            .map(|p| format!("p{p}={:.3}", times.percentile(*p) as f64 / 1000.0))
            .collect();
        let _always = write!(
            out,
            "latency_percentiles_usec_{}:{}\r\n",
            entry.spec.name,
            values.join(",")
        );
    }
}

pub(super) fn errorstats(s: &Snapshot<'_>, out: &mut String) {
    for (code, count) in s.server.stats.error_totals() {
        let _always = write!(out, "errorstat_{code}:count={count}\r\n");
    }
}
