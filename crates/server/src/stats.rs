//! Counters. Each thread adds to a row of its own, so counting never makes threads meet; INFO sums the rows.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

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
    /// ACL or password failures.
    auth_failures,
    /// Objects freed in the background.
    lazyfreed,
}

/// All rows.
#[derive(Debug)]
pub struct Stats {
    rows: Box<[Row]>,
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
            peak_memory: AtomicU64::new(0),
            dirty_base: AtomicI64::new(0),
        }
    }

    /// Moves counts into a thread's row.
    pub fn add(&self, row: usize, counters: &mut Counters) {
        self.rows[row].add(counters);
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
    }
}
