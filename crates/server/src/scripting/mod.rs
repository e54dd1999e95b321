//! Scripts and functions: what all threads share, and how a run is driven.
//!
//! ```text
//! commands/scripting    EVAL, FCALL, SCRIPT, FUNCTION: arguments and replies
//!   -> run              which shards a run locks, and whether it must start over with all of them
//!   -> host             what a running script asks for: commands, the log, the clock
//!   -> local            this thread's Lua state, with what it has compiled
//! cache, libraries      sources, by digest and by name: one for all threads
//! busy                  runs that take long: who may end them, who is refused meanwhile
//! ```
//!
//! docs/adr/0010-scripting.md has the reasons.

pub mod busy;
pub mod cache;
mod host;
pub mod libraries;
pub mod local;
pub mod run;

use std::sync::Arc;

use holdfast_scripting::CjsonSettings;

use busy::Busy;
use cache::ScriptCache;
use libraries::Libraries;

/// What all threads share.
#[derive(Debug)]
pub struct Scripts {
    /// Sources of EVAL and SCRIPT LOAD.
    pub cache: ScriptCache,
    /// Libraries of functions.
    pub libraries: Libraries,
    /// Runs that take long.
    pub busy: Busy,
    /// What scripts have set in `cjson`.
    pub cjson: Arc<CjsonSettings>,
}

impl Scripts {
    /// For a server with this many rows of counters, one for each thread.
    pub fn new(rows: usize) -> Self {
        Self {
            cache: ScriptCache::default(),
            libraries: Libraries::default(),
            busy: Busy::new(rows),
            cjson: Arc::default(),
        }
    }
}

/// Whether a script has been seen to keep to the keys that it declares. While it does, it locks their shards alone.
#[derive(Debug, Default)]
pub struct Learned(std::sync::atomic::AtomicU8);

const UNKNOWN: u8 = 0;
const DECLARED: u8 = 1;
const UNDECLARED: u8 = 2;

impl Learned {
    /// True if its shards are enough.
    pub fn is_declared(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed) == DECLARED
    }

    /// True if nothing is known yet.
    pub fn is_unknown(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed) == UNKNOWN
    }

    /// Notes how a run went. What has once touched something else stays undeclared.
    pub fn note(&self, kept_to_its_keys: bool) {
        use std::sync::atomic::Ordering::Relaxed;
        if kept_to_its_keys {
            let _stays_what_it_was = self.0.compare_exchange(UNKNOWN, DECLARED, Relaxed, Relaxed);
        } else {
            self.0.store(UNDECLARED, Relaxed);
        }
    }
}
