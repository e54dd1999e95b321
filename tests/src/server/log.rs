//! What a server writes to its standard output and error: the last lines are kept, and can be waited for.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const LINES_KEPT: usize = 200;

/// The last lines that a server wrote.
#[derive(Default)]
pub(super) struct Log {
    state: Mutex<LogState>,
    grown: Condvar,
}

#[derive(Default)]
struct LogState {
    lines: VecDeque<String>,
    /// Streams that have not come to their end.
    open: usize,
}

impl Log {
    pub(super) fn follow(self: &Arc<Log>, source: Option<impl Read + Send + 'static>) {
        let Some(source) = source else { return };
        self.lock().open += 1;
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n') {
                let Ok(line) = line else { break };
                let mut state = log.lock();
                if state.lines.len() == LINES_KEPT {
                    state.lines.pop_front();
                }
                state.lines.push_back(String::from_utf8_lossy(&line).into_owned());
                log.grown.notify_all();
            }
            log.lock().open -= 1;
            log.grown.notify_all();
        });
    }

    /// Waits until a kept line contains `text`; false after `wait`.
    pub(super) fn wait_for(&self, text: &str, wait: Duration) -> bool {
        self.wait(wait, |state| state.lines.iter().any(|line| line.contains(text)))
    }

    /// Waits until all has been read that a process wrote which has ended; false after `wait`, as a child of it may go on.
    pub(super) fn wait_for_end(&self, wait: Duration) -> bool {
        self.wait(wait, |state| state.open == 0)
    }

    fn wait(&self, wait: Duration, is_so: impl Fn(&LogState) -> bool) -> bool {
        let (_state, timeout) = self
            .grown
            .wait_timeout_while(self.lock(), wait, |state| !is_so(state))
            .unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn text(&self) -> String {
        self.lock()
            .lines
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }
}
