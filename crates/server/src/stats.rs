//! Counters. Each thread adds to a row of its own, so counting never makes threads meet; INFO sums the rows.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::observe::histogram::{Distribution, Histogram};
use crate::registry::Registry;

macro_rules! counters {
    ($($(#[$m:meta])* $name:ident),* $(,)?) => {
        /// What a thread has counted since it last added it to its row.
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        pub struct Counters { $($(#[$m])* pub $name: u64),* }

        #[repr(align(128))]
        #[derive(Debug, Default)]
        struct Row { $($name: AtomicU64),* }

        impl Row {
            fn add(&self, c: &mut Counters) {
                $(if c.$name != 0 {
                    self.$name.fetch_add(std::mem::take(&mut c.$name), Ordering::Relaxed);
                })*
            }
            fn sum_into(&self, c: &mut Counters) { $(c.$name += self.$name.load(Ordering::Relaxed);)* }
            fn reset(&self) { $(self.$name.store(0, Ordering::Relaxed);)* }
        }
    };
}

counters! {
    /// Commands executed.
    commands,
    /// Connections accepted.
    connections,
    /// Connections refused (maxclients, protected mode).
    rejected_connections,
    /// Bytes read from sockets.
    net_in,
    /// Bytes written to sockets.
    net_out,
    /// Look-ups that found a key.
    hits,
    /// Look-ups that did not.
    misses,
    /// Keys that expired.
    expired,
    /// Fields of hashes that expired.
    expired_fields,
    /// Keys evicted.
    evicted,
    /// Error replies.
    errors,
    /// Clients disconnected for their output.
    output_limit_disconnections,
    /// Clients disconnected for their query buffer.
    query_limit_disconnections,
    /// Reads from sockets.
    reads,
    /// Writes to sockets.
    writes,
    /// Changes of data.
    dirty,
    /// Wrong names and passwords.
    auth_failures,
    /// Commands that the user may not run.
    acl_denied_commands,
    /// Commands on databases that the user may not use.
    acl_denied_databases,
    /// Commands on keys that the user may not use.
    acl_denied_keys,
    /// Commands on channels that the user may not use.
    acl_denied_channels,
    /// Objects freed in the background.
    lazyfreed,
    /// Batches of commands executed.
    cycles,
    /// Time of those, sending included, in ns.
    cycle_nanos,
}

/// What one thread has counted for one command. Nobody else adds to it, so plain loads and stores do.
#[derive(Debug, Default)]
pub struct CommandRow {
    calls: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    nanos: AtomicU64,
    /// Made with the first time that is taken.
    times: OnceLock<Box<Histogram>>,
}

/// A command's counters of all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandTotal {
    /// Executions.
    pub calls: u64,
    /// Refusals before it was executed.
    pub rejected: u64,
    /// Executions that answered with an error.
    pub failed: u64,
    /// Time of all executions in ns.
    pub nanos: u64,
}

impl CommandRow {
    /// One execution, and its time in ns. `tracked`: the time is counted in the histogram, too.
    #[inline]
    pub fn call(&self, failed: bool, nanos: u64, tracked: bool) {
        bump(&self.calls, 1);
        bump(&self.nanos, nanos);
        if failed {
            bump(&self.failed, 1);
        }
        if tracked {
            self.times.get_or_init(Box::default).record(nanos);
        }
    }

    /// One refusal.
    pub fn reject(&self) {
        bump(&self.rejected, 1);
    }

    fn cells(&self) -> [&AtomicU64; 4] {
        [&self.calls, &self.rejected, &self.failed, &self.nanos]
    }
}

#[inline]
fn bump(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

/// Error replies of one thread by code word.
type Errors = Mutex<BTreeMap<Box<str>, u64>>;

/// Code words that are told apart at most: clients of DEBUG ERROR and scripts can make up any number. With more, none is
/// counted, as in Redis 7.2.
const MOST_ERROR_CODES: usize = 128;

/// All rows.
#[derive(Debug)]
pub struct Stats {
    rows: Box<[Row]>,
    commands: Box<[Box<[CommandRow]>]>,
    errors: Box<[Errors]>,
    /// There were too many kinds of errors: none is counted any more, until the statistics are set back.
    errors_off: AtomicBool,
    /// Time spent on removing expired keys in the background, in us.
    pub expire_us: AtomicU64,
    /// How often that was ended because it took too long.
    pub expire_caps: AtomicU64,
    /// Time over `maxmemory` that has ended, in ms.
    exceeded_ms: AtomicU64,
    /// Unix ms since when memory is over `maxmemory`, 0 if it is not.
    exceeded_since_ms: AtomicI64,
    /// Highest `used_memory` seen.
    pub peak_memory: AtomicU64,
    /// Changes since the last save.
    pub dirty_base: AtomicI64,
}

impl Stats {
    /// Counters of `rows` threads.
    pub fn new(rows: usize) -> Self {
        Self {
            rows: (0..rows).map(|_| Row::default()).collect(),
            commands: (0..rows)
                .map(|_| {
                    (0..Registry::get().count())
                        .map(|_| CommandRow::default())
                        .collect()
                })
                .collect(),
            errors: (0..rows).map(|_| Errors::default()).collect(),
            errors_off: AtomicBool::new(false),
            expire_us: AtomicU64::new(0),
            expire_caps: AtomicU64::new(0),
            exceeded_ms: AtomicU64::new(0),
            exceeded_since_ms: AtomicI64::new(0),
            peak_memory: AtomicU64::new(0),
            dirty_base: AtomicI64::new(0),
        }
    }

    /// Moves counts into a thread's row.
    pub fn add(&self, row: usize, counters: &mut Counters) {
        self.rows[row].add(counters);
    }

    /// The counters of a command in a thread's row; only that thread may add.
    #[inline]
    pub fn command(&self, row: usize, id: usize) -> &CommandRow {
        &self.commands[row][id]
    }

    /// A command's counters of all threads.
    pub fn command_total(&self, id: usize) -> CommandTotal {
        let mut sums = [0; 4];
        for row in &self.commands {
            for (sum, cell) in sums.iter_mut().zip(row[id].cells()) {
                *sum += cell.load(Ordering::Relaxed);
            }
        }
        let [calls, rejected, failed, nanos] = sums;
        CommandTotal {
            calls,
            rejected,
            failed,
            nanos,
        }
    }

    /// How the times of a command are distributed, over all threads.
    pub fn times(&self, id: usize) -> Distribution {
        let mut sum = Distribution::default();
        let rows = self.commands.iter().filter_map(|row| row[id].times.get());
        rows.for_each(|times| sum.add(times));
        sum
    }

    /// Counts an error reply by its code word.
    pub fn note_error(&self, row: usize, text: &[u8]) {
        if self.errors_off.load(Ordering::Relaxed) {
            return;
        }
        let code = text.split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
        let code = String::from_utf8_lossy(&code[..code.len().min(32)]);
        let mut errors = self.errors[row].lock();
        if let Some(count) = errors.get_mut(&*code) {
            *count += 1;
        } else if errors.len() < MOST_ERROR_CODES {
            errors.insert(code.into(), 1);
        } else {
            drop(errors);
            self.stop_errors();
        }
    }

    fn stop_errors(&self) {
        if !self.errors_off.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "Errorstats stopped adding new errors because the number of errors reached the limit ({MOST_ERROR_CODES}). CONFIG RESETSTAT begins anew."
            );
        }
        self.errors.iter().for_each(|errors| errors.lock().clear());
    }

    /// Error replies of all threads by code word.
    pub fn error_totals(&self) -> BTreeMap<Box<str>, u64> {
        let mut totals = BTreeMap::new();
        for row in &self.errors {
            for (code, count) in row.lock().iter() {
                *totals.entry(code.clone()).or_default() += count;
            }
        }
        if totals.len() > MOST_ERROR_CODES {
            self.stop_errors();
        }
        if self.errors_off.load(Ordering::Relaxed) {
            totals = BTreeMap::from([("ERRORSTATS_DISABLED".into(), 1)]);
        }
        totals
    }

    /// Notes whether memory is over `maxmemory` now.
    pub fn note_exceeded(&self, over: bool, now_ms: i64) {
        let since = self.exceeded_since_ms.load(Ordering::Relaxed);
        if over && since == 0 {
            self.exceeded_since_ms.store(now_ms, Ordering::Relaxed);
        } else if !over && since != 0 {
            self.exceeded_since_ms.store(0, Ordering::Relaxed);
            self.exceeded_ms
                .fetch_add((now_ms - since).max(0) as u64, Ordering::Relaxed);
        }
    }

    /// Time over `maxmemory` in ms: in all, and since it began if it still is.
    pub fn exceeded_ms(&self, now_ms: i64) -> (u64, u64) {
        let current = match self.exceeded_since_ms.load(Ordering::Relaxed) {
            0 => 0,
            since => (now_ms - since).max(0) as u64,
        };
        (self.exceeded_ms.load(Ordering::Relaxed) + current, current)
    }

    /// The sums.
    pub fn total(&self) -> Counters {
        let mut total = Counters::default();
        self.rows.iter().for_each(|r| r.sum_into(&mut total));
        total
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        self.rows.iter().for_each(Row::reset);
        let cells = self.commands.iter().flatten().flat_map(CommandRow::cells);
        for cell in cells.chain([&self.expire_us, &self.expire_caps, &self.exceeded_ms]) {
            cell.store(0, Ordering::Relaxed);
        }
        let times = self.commands.iter().flatten().filter_map(|row| row.times.get());
        times.for_each(|times| times.clear());
        self.errors.iter().for_each(|errors| errors.lock().clear());
        self.errors_off.store(false, Ordering::Relaxed);
    }
}
