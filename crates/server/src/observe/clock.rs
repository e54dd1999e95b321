//! The clock that times commands: the processor's own counter where it runs evenly, else the kernel's.
//!
//! One reading takes 18 ns on the machine of docs/benchmarks.md, where the kernel's clock takes 34 ns. A command begins
//! where the one before it ended, so each costs one reading, and none has to be left out.

/// See the module's documentation. Cheap to copy: each worker has its own.
#[derive(Clone, Debug)]
pub struct Clock {
    source: quanta::Clock,
    /// Nanoseconds of 2^32 ticks.
    scale: u64,
}

impl Clock {
    /// The machine's clock. The first call measures the counter's speed, which takes some milliseconds at most.
    pub fn new() -> Self {
        let source = quanta::Clock::new();
        let scale = source.delta_as_nanos(0, 1 << 32);
        Self { source, scale }
    }

    /// Ticks since some moment in the past.
    #[inline]
    pub fn ticks(&self) -> u64 {
        self.source.raw()
    }

    /// Nanoseconds between two readings; 0 if the second was taken on a processor that is behind the first's.
    #[inline]
    pub fn nanos(&self, from: u64, to: u64) -> u64 {
        ((u128::from(to.saturating_sub(from)) * u128::from(self.scale)) >> 32) as u64
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn it_agrees_with_the_kernels_clock() {
        let clock = Clock::new();
        let (outer, from) = (Instant::now(), clock.ticks());
        let inner = Instant::now();
        while inner.elapsed().as_millis() < 20 {}
        let (least, to) = (inner.elapsed(), clock.ticks());
        let nanos = u128::from(clock.nanos(from, to));
        assert!(nanos >= least.as_nanos() * 9 / 10, "{nanos} ns are too few");
        assert!(
            nanos <= outer.elapsed().as_nanos() * 11 / 10,
            "{nanos} ns are too many"
        );
        assert_eq!(clock.nanos(to, from), 0);
    }
}
