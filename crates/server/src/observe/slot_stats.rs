//! What each slot of the cluster costs: time and bytes, counted while `cluster-slot-stats-enabled` says so.
//!
//! Each thread counts in rows of its own, made with its first command; readers add them up.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slots of a cluster.
const SLOTS: usize = 16384;

/// What one slot has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCost {
    /// Time of its commands, in us.
    pub cpu_usec: u64,
    /// Bytes of its commands.
    pub network_bytes_in: u64,
    /// Bytes of their replies.
    pub network_bytes_out: u64,
}

#[derive(Debug, Default)]
struct Cell {
    nanos: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// The counters of all threads.
#[derive(Debug)]
pub struct SlotStats {
    rows: Box<[OnceLock<Box<[Cell]>>]>,
}

impl SlotStats {
    /// Counters of `rows` threads, none of which has counted yet.
    pub fn new(rows: usize) -> Self {
        Self {
            rows: (0..rows).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Adds a command. Only the thread of this row may.
    pub fn add(&self, row: usize, slot: u16, nanos: u64, bytes_in: usize, bytes_out: usize) {
        let cells = self.rows[row].get_or_init(|| (0..SLOTS).map(|_| Cell::default()).collect());
        let cell = &cells[usize::from(slot)];
        for (counter, by) in [
            (&cell.nanos, nanos),
            (&cell.bytes_in, bytes_in as u64),
            (&cell.bytes_out, bytes_out as u64),
        ] {
            counter.store(
                counter.load(Ordering::Relaxed).wrapping_add(by),
                Ordering::Relaxed,
            );
        }
    }

    /// The cost of a slot so far. Its number of keys is the keyspace's to tell.
    pub fn of(&self, slot: u16) -> SlotCost {
        let mut sum = SlotCost::default();
        let mut nanos = 0;
        for cells in self.rows.iter().filter_map(OnceLock::get) {
            let cell = &cells[usize::from(slot)];
            nanos += cell.nanos.load(Ordering::Relaxed);
            sum.network_bytes_in += cell.bytes_in.load(Ordering::Relaxed);
            sum.network_bytes_out += cell.bytes_out.load(Ordering::Relaxed);
        }
        sum.cpu_usec = nanos / 1000;
        sum
    }

    /// Begins anew: CONFIG RESETSTAT, or the slot has gone to another node.
    pub fn reset(&self, slots: impl IntoIterator<Item = u16> + Clone) {
        for cells in self.rows.iter().filter_map(OnceLock::get) {
            for slot in slots.clone() {
                let cell = &cells[usize::from(slot)];
                for counter in [&cell.nanos, &cell.bytes_in, &cell.bytes_out] {
                    counter.store(0, Ordering::Relaxed);
                }
            }
        }
    }

    /// Begins anew with every slot.
    pub fn reset_all(&self) {
        self.reset(0..SLOTS as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_added_up() {
        let stats = SlotStats::new(3);
        assert_eq!(stats.of(7), SlotCost::default());
        stats.add(0, 7, 1_500, 10, 20);
        stats.add(2, 7, 1_500, 1, 2);
        stats.add(2, 16_383, 9_000, 1, 2);
        assert_eq!(
            stats.of(7),
            SlotCost {
                cpu_usec: 3,
                network_bytes_in: 11,
                network_bytes_out: 22
            }
        );
        stats.reset([7]);
        assert_eq!(stats.of(7), SlotCost::default());
        assert_eq!(stats.of(16_383).cpu_usec, 9);
        stats.reset_all();
        assert_eq!(stats.of(16_383), SlotCost::default());
    }
}
