//! How the times of a command are distributed: counts in buckets whose width grows with the time.
//!
//! ```text
//! time       0 .. 127 ns   128 .. 255   256 .. 511   512 .. 1023  ...
//! width           1 ns         2 ns         4 ns         8 ns     64 buckets for each doubling: 1.6 % at most
//! ```
//!
//! One thread counts, any thread reads: plain loads and stores do, where the usual crate (`hdrhistogram`) would take a
//! lock for each command.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits of a time that a bucket tells apart.
const BITS: u32 = 6;
/// Times from here on (137 s) are counted in the last bucket.
const END_BITS: u32 = 37;
const BUCKETS: usize = ((END_BITS - BITS) as usize + 1) << BITS;

/// See the module's documentation.
#[derive(Debug)]
pub struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Histogram {
    /// Counts one time. Only the thread that owns the histogram may.
    #[inline]
    pub fn record(&self, nanos: u64) {
        let count = &self.0[bucket_of(nanos)];
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

/// Sums of the histograms of all threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
        }
    }
}

impl Distribution {
    /// Adds what a thread has counted.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.counts.iter_mut().zip(&histogram.0) {
            let count = count.load(Ordering::Relaxed);
            *sum += count;
            self.total += count;
        }
    }

    /// How many times were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The time in ns below or at which `percent` of all times are: the longest that its bucket stands for, and for 0
    /// the shortest.
    pub fn percentile(&self, percent: f64) -> u64 {
        let rank = ((percent.clamp(0.0, 100.0) / 100.0 * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return if percent == 0.0 {
                    first_of(index)
                } else {
                    first_of(index + 1) - 1
                };
            }
        }
        0
    }

    /// Pairs of a bound in us and the number of times up to it. Bounds double; those at which nothing is added are left
    /// out. Their names (33 for 32.768 us) are those of Redis, whose buckets are named after their last time.
    pub fn doubling(&self) -> Vec<(u64, u64)> {
        let mut pairs = Vec::new();
        let (mut seen, mut index) = (0, 0);
        for exponent in 10.. {
            if seen == self.total || exponent > 62 {
                break;
            }
            let bound = 1u64 << exponent;
            let before = seen;
            while index < BUCKETS && index <= bucket_of(bound) {
                seen += self.counts[index];
                index += 1;
            }
            if seen > before {
                pairs.push(((bound + (bound >> 7) - 1) / 1000, seen));
            }
        }
        pairs
    }
}

#[inline]
fn bucket_of(nanos: u64) -> usize {
    let nanos = nanos.min((1 << END_BITS) - 1);
    let shift = (63 - (nanos | 1).leading_zeros()).saturating_sub(BITS);
    ((shift as usize) << BITS) + (nanos >> shift) as usize
}

/// The shortest time of a bucket.
fn first_of(bucket: usize) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    ((bucket - (shift << BITS)) as u64) << shift
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        times.iter().for_each(|t| histogram.record(*t));
        let mut sum = Distribution::default();
        sum.add(&histogram);
        sum
    }

    proptest! {
        #[test]
        fn a_time_is_in_its_bucket(nanos in 0u64..1 << END_BITS) {
            let bucket = bucket_of(nanos);
            prop_assert!(bucket < BUCKETS);
            prop_assert!(first_of(bucket) <= nanos && nanos < first_of(bucket + 1));
            prop_assert!(first_of(bucket + 1) - first_of(bucket) <= (nanos >> BITS).max(1));
        }
    }

    #[test]
    fn buckets_follow_each_other() {
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(first_of(bucket)), bucket);
        }
    }

    #[test]
    fn percentiles_are_ranks() {
        let times: Vec<u64> = (1..=100).collect();
        let all = of(&times);
        assert_eq!(all.total(), 100);
        assert_eq!(
            [0.0, 1.0, 50.0, 99.0, 99.9, 100.0].map(|p| all.percentile(p)),
            [1, 1, 50, 99, 100, 100]
        );
        assert_eq!(of(&[7000]).percentile(50.0), 7039);
        assert_eq!(of(&[7000]).percentile(0.0), 6976);
        assert_eq!(of(&[]).percentile(50.0), 0);
    }

    #[test]
    fn bounds_double() {
        assert_eq!(
            of(&[1, 1024, 1500, 32_000, 40_000, 3_000_000_000]).doubling(),
            [(1, 2), (2, 3), (33, 4), (66, 5), (4_328_521, 6)]
        );
        assert_eq!(of(&[]).doubling(), []);
        assert_eq!(of(&[u64::MAX]).doubling().len(), 1);
    }

    #[test]
    fn sums_of_threads() {
        let (a, b) = (Histogram::default(), Histogram::default());
        a.record(5);
        b.record(5);
        b.record(9);
        let mut sum = Distribution::default();
        sum.add(&a);
        sum.add(&b);
        assert_eq!(sum, of(&[5, 5, 9]));
        b.clear();
        let mut rest = Distribution::default();
        rest.add(&b);
        assert_eq!(rest.total(), 0);
    }
}
