//! Runs that take long. Most runs are over before they are ever noted here: the first note is made after about a
//! millisecond of Lua, by the run's own hook.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Scripts and functions are ended by different commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// EVAL and its kin.
    Script,
    /// FCALL.
    Function,
}

/// One run that has been noted.
#[derive(Debug)]
pub struct Running {
    /// Of what.
    pub kind: Kind,
    /// Digest or name.
    pub name: String,
    /// The command that runs it.
    pub command: Vec<Box<[u8]>>,
    /// Since about when.
    pub began: Instant,
    /// Row of its thread.
    row: usize,
    /// It has written: it cannot be ended without leaving half of its work.
    pub wrote: AtomicBool,
    killed: AtomicBool,
    slow: AtomicBool,
}

impl Running {
    /// True if somebody wants it to end.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }
}

/// Why a run was not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unkillable {
    /// There is none.
    None,
    /// There is one, of the other kind.
    Other(Kind),
    /// It has written.
    Wrote,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Busy {
    running: Mutex<Vec<Arc<Running>>>,
    slow_scripts: AtomicUsize,
    slow_functions: AtomicUsize,
    /// Set while some run is over its time: waits for locks end then.
    pub flag: AtomicBool,
    /// Threads that serve nobody because their run has not come to its end.
    stalled: Box<[AtomicBool]>,
}

/// What others are told while a script is over its time.
pub const BUSY_SCRIPT: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
/// The same for a function.
pub const BUSY_FUNCTION: &str =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";

impl Busy {
    /// For this many threads.
    pub fn new(rows: usize) -> Self {
        Self {
            running: Mutex::default(),
            slow_scripts: AtomicUsize::new(0),
            slow_functions: AtomicUsize::new(0),
            flag: AtomicBool::new(false),
            stalled: (0..rows).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// What commands are answered; None: they may run.
    #[inline]
    pub fn text(&self) -> Option<&'static str> {
        self.flag.load(Ordering::Relaxed).then(|| self.text_now())
    }

    /// The same, when it is known that something is over its time, or was until now.
    pub fn text_now(&self) -> &'static str {
        if self.slow_scripts.load(Ordering::Relaxed) > 0 {
            BUSY_SCRIPT
        } else {
            BUSY_FUNCTION
        }
    }

    /// True if this thread has been in one run for a while.
    pub fn is_stalled(&self, row: usize) -> bool {
        self.stalled.get(row).is_some_and(|s| s.load(Ordering::Relaxed))
    }

    /// Notes a run on the thread with this row.
    pub fn enter(
        &self,
        kind: Kind,
        name: String,
        command: Vec<Box<[u8]>>,
        row: usize,
        wrote: bool,
    ) -> Arc<Running> {
        let running = Arc::new(Running {
            kind,
            name,
            command,
            began: Instant::now(),
            row,
            wrote: AtomicBool::new(wrote),
            killed: AtomicBool::new(false),
            slow: AtomicBool::new(false),
        });
        self.stall(row, true);
        self.running.lock().push(Arc::clone(&running));
        running
    }

    /// It is over.
    pub fn leave(&self, running: &Arc<Running>) {
        self.stall(running.row, false);
        self.running.lock().retain(|r| !Arc::ptr_eq(r, running));
        if running.slow.load(Ordering::Relaxed) {
            self.counter(running.kind).fetch_sub(1, Ordering::Relaxed);
            let left =
                self.slow_scripts.load(Ordering::Relaxed) + self.slow_functions.load(Ordering::Relaxed);
            if left == 0 {
                self.flag.store(false, Ordering::Release);
            }
        }
    }

    /// Notes that a run is over its time, if it is for the first time.
    pub fn note_slow(&self, running: &Running, threshold_ms: u64) {
        let took = running.began.elapsed();
        if took < Duration::from_millis(threshold_ms) || running.slow.swap(true, Ordering::Relaxed) {
            return;
        }
        self.counter(running.kind).fetch_add(1, Ordering::Relaxed);
        self.flag.store(true, Ordering::Release);
        let (ms, command) = (took.as_millis(), kill_command(running.kind));
        tracing::warn!(
            "Slow script detected: still in execution after {ms} milliseconds. You can try killing the script using the {command} command. Script name is: {}.",
            running.name
        );
    }

    /// Asks the oldest run of this kind to end.
    ///
    /// # Errors
    /// As [`Unkillable`] says.
    pub fn kill(&self, kind: Kind) -> Result<(), Unkillable> {
        let running = self.running.lock();
        let Some(run) = running.iter().find(|r| r.kind == kind) else {
            return Err(match running.first() {
                Some(other) => Unkillable::Other(other.kind),
                None => Unkillable::None,
            });
        };
        if run.wrote.load(Ordering::Acquire) {
            return Err(Unkillable::Wrote);
        }
        run.killed.store(true, Ordering::Release);
        Ok(())
    }

    /// The oldest run of a kind.
    pub fn oldest(&self, kind: Kind) -> Option<Arc<Running>> {
        self.running.lock().iter().find(|r| r.kind == kind).cloned()
    }

    fn counter(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Script => &self.slow_scripts,
            Kind::Function => &self.slow_functions,
        }
    }

    fn stall(&self, row: usize, on: bool) {
        if let Some(stalled) = self.stalled.get(row) {
            stalled.store(on, Ordering::Relaxed);
        }
    }
}

/// The command that ends runs of a kind.
pub fn kill_command(kind: Kind) -> &'static str {
    match kind {
        Kind::Script => "SCRIPT KILL",
        Kind::Function => "FUNCTION KILL",
    }
}
