//! `# CPU`. The "main thread" is the one that answers: every worker is as main as the others.

use nix::sys::resource::{Usage, UsageWho};
use nix::sys::time::TimeVal;

use super::{Row, Snapshot};

pub(super) const ROWS: &[Row] = &[
    ("used_cpu_sys", |s| {
        seconds(s, UsageWho::RUSAGE_SELF, Usage::system_time)
    }),
    ("used_cpu_user", |s| {
        seconds(s, UsageWho::RUSAGE_SELF, Usage::user_time)
    }),
    ("used_cpu_sys_children", |s| {
        seconds(s, UsageWho::RUSAGE_CHILDREN, Usage::system_time)
    }),
    ("used_cpu_user_children", |s| {
        seconds(s, UsageWho::RUSAGE_CHILDREN, Usage::user_time)
    }),
    ("used_cpu_sys_main_thread", |s| {
        seconds(s, UsageWho::RUSAGE_THREAD, Usage::system_time)
    }),
    ("used_cpu_user_main_thread", |s| {
        seconds(s, UsageWho::RUSAGE_THREAD, Usage::user_time)
    }),
];

fn seconds(s: &Snapshot<'_>, who: UsageWho, which: impl Fn(&Usage) -> TimeVal) -> String {
    match s.usage(who).map(|usage| which(&usage)) {
        Some(time) => format!("{}.{:06}", time.tv_sec(), time.tv_usec()),
        None => "0.000000".to_owned(),
    }
}
