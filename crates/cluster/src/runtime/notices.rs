//! What an operator should know, told once and not again for a while, however often it happens: strangers on the bus decide
//! how often that is. Must not know: what is told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long the same is not told again.
const QUIET: Duration = Duration::from_secs(60);
/// Things that are remembered; others are not told while there are so many.
const MAX_KNOWN: usize = 256;

/// When what was told last.
#[derive(Debug, Default)]
pub(super) struct Notices {
    told: Mutex<BTreeMap<String, Instant>>,
}

impl Notices {
    /// Whether this is to be told now.
    pub(super) fn due(&self, what: &str) -> bool {
        self.due_at(what, Instant::now())
    }

    fn due_at(&self, what: &str, now: Instant) -> bool {
        let mut told = self.told.lock();
        told.retain(|_, at| now.saturating_duration_since(*at) < QUIET);
        let due = told.len() < MAX_KNOWN && !told.contains_key(what);
        if due {
            told.insert(what.to_owned(), now);
        }
        due
    }

    /// It is over: should it happen again, it is news.
    pub(super) fn over(&self, what: &str) {
        self.told.lock().remove(what);
    }
}

/// An error with its reasons, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    with_sources(error.to_string(), error)
}

/// The same of what a stream ended with, without what only a debugger wants to see.
pub(super) fn chain_of_status(status: &tonic::Status) -> String {
    with_sources(status.message().to_owned(), status)
}

fn with_sources(mut text: String, error: &dyn std::error::Error) -> String {
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_in_a_while_and_strangers_do_not_fill_the_memory() {
        let (notices, start) = (Notices::default(), Instant::now());
        assert!(notices.due_at("a", start) && !notices.due_at("a", start));
        assert!(notices.due_at("b", start));
        notices.over("b");
        assert!(notices.due_at("b", start));
        assert!(notices.due_at("a", start + QUIET));
        for n in 0..2 * MAX_KNOWN {
            notices.due_at(&n.to_string(), start + QUIET);
        }
        assert_eq!(notices.told.lock().len(), MAX_KNOWN);
    }
}
