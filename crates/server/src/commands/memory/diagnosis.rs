//! What MEMORY DOCTOR says: rules over the figures, nothing else.

use std::fmt::Write;

/// The figures, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub used: u64,
    pub peak: u64,
    /// What the kernel counts.
    pub rss: u64,
    /// What the allocator counts: in allocations, in pages with allocations, in physical pages.
    pub allocated: u64,
    pub active: u64,
    pub resident: u64,
    pub clients: u64,
    pub client_memory: u64,
}

/// Below this there is nothing to judge.
const LITTLE: u64 = 5 << 20;
/// Differences below this are of no interest, whatever their share.
const NOTICEABLE: u64 = 10 << 20;
/// Memory of a client that is much.
const BIG_CLIENT: u64 = 200 << 10;

/// A finding: when it holds, and what is said then.
type Rule = (fn(&State) -> bool, &'static str);

const RULES: &[Rule] = &[
    (
        |s| s.peak * 2 > s.used * 3,
        "Peak: at some time over 1.5 times as much memory was in use as now. What was freed may stay with the process for a \
         while and raises the ratio of fragmentation; MEMORY PURGE gives it back.",
    ),
    (
        |s| exceeds(s.rss, s.used, 14),
        "Fragmentation: the process holds over 1.4 times the memory that is in use. If the peak is not the reason, the sizes of \
         values have changed much; MEMORY MALLOC-STATS shows where the allocator has gaps, a restart closes them.",
    ),
    (
        |s| exceeds(s.active, s.allocated, 11),
        "Allocator: pages are over 10 % larger than what is allocated in them, because allocations of one size were freed and \
         those of other sizes cannot use the gaps.",
    ),
    (
        |s| exceeds(s.resident, s.active, 11),
        "Allocator: it keeps over 10 % more pages than it uses, for later. MEMORY PURGE gives them back.",
    ),
    (
        |s| exceeds(s.rss, s.resident, 11),
        "Process: it is over 10 % larger than what the allocator holds: stacks, the program itself, or memory that the kernel \
         has not taken back yet.",
    ),
    (
        |s| s.clients > 0 && s.client_memory / s.clients > BIG_CLIENT,
        "Clients: they hold over 200 KB each on average. CLIENT LIST shows which of them do not read their replies, or send \
         long pipelines; client-output-buffer-limit and maxmemory-clients bound them.",
    ),
];

/// True if `whole` is over `tenths` tenths of `part`, and noticeably larger.
fn exceeds(whole: u64, part: u64, tenths: u64) -> bool {
    u128::from(whole) * 10 > u128::from(part) * u128::from(tenths) && whole.saturating_sub(part) > NOTICEABLE
}

/// The report.
pub(super) fn report(state: &State) -> String {
    if state.used < LITTLE {
        return "There is very little memory in use: nothing can be told yet.\n".to_owned();
    }
    let mut text = String::new();
    for (_, finding) in RULES.iter().filter(|(holds, _)| holds(state)) {
        let _always = write!(text, " * {finding}\n\n");
    }
    if text.is_empty() {
        return "No problem with the use of memory was found.\n".to_owned();
    }
    format!("What can be said about the use of memory:\n\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn healthy() -> State {
        State {
            used: 100 * MB,
            peak: 110 * MB,
            rss: 120 * MB,
            allocated: 100 * MB,
            active: 105 * MB,
            resident: 112 * MB,
            clients: 10,
            client_memory: MB,
        }
    }

    #[test]
    fn each_rule_speaks_for_itself() {
        let none = "No problem";
        assert!(report(&healthy()).starts_with(none));
        type Case = (fn(&mut State), &'static str);
        let cases: [Case; 7] = [
            (|s| s.used = 4 * MB, "very little"),
            (|s| s.peak = 151 * MB, "* Peak"),
            (|s| (s.rss, s.resident) = (141 * MB, 140 * MB), "* Fragmentation"),
            (|s| s.active = 111 * MB, "* Allocator: pages"),
            (|s| s.resident = 116 * MB, "* Allocator: it keeps"),
            (|s| s.rss = 124 * MB, "* Process"),
            (|s| s.client_memory = 3 * MB, "* Clients"),
        ];
        for (change, said) in cases {
            let mut state = healthy();
            change(&mut state);
            assert!(report(&state).contains(said), "{said}: {}", report(&state));
        }
    }

    #[test]
    fn small_differences_are_no_matter() {
        let state = State {
            used: 6 * MB,
            peak: 6 * MB,
            rss: 15 * MB,
            allocated: 6 * MB,
            active: 8 * MB,
            resident: 12 * MB,
            ..State::default()
        };
        assert!(report(&state).starts_with("No problem"));
    }
}
