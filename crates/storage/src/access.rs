//! The access clock of an entry: 24 bits that hold either the time of the last access (LRU policies: seconds, modulo
//! 2^24) or the time in minutes and a logarithmic counter (LFU policies: 16 + 8 bits), as Redis defines them for
//! OBJECT IDLETIME, OBJECT FREQ and RESTORE.
//!
//! Must not know: which keys there are.

use rand::Rng;

/// Counter of a new key, so that it is not the first to be evicted.
pub const LFU_INIT: u8 = 5;
const CLOCK_MAX: u32 = (1 << 24) - 1;

/// How accesses are noted just now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessPolicy {
    /// Count frequencies (an LFU policy is set) instead of noting times.
    pub lfu: bool,
    /// `lfu-log-factor`.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time` in minutes.
    pub lfu_decay_minutes: u32,
    /// Do not note accesses at all (CLIENT NO-TOUCH).
    pub no_touch: bool,
}

/// LRU clock at a Unix time.
pub fn lru_clock(now_ms: i64) -> u32 {
    (now_ms / 1000) as u32 & CLOCK_MAX
}

/// Milliseconds since the access that `clock` notes.
pub fn lru_idle_ms(clock: u32, now_ms: i64) -> u64 {
    u64::from(lru_clock(now_ms).wrapping_sub(clock) & CLOCK_MAX) * 1000
}

/// A clock that notes an access this many seconds ago, or the longest time before that it can note.
pub fn lru_clock_idle(now_ms: i64, idle_s: u64) -> u32 {
    let idle = idle_s.min(u64::from(CLOCK_MAX - 1)) as u32;
    lru_clock(now_ms).wrapping_sub(idle) & CLOCK_MAX
}

fn minutes(now_ms: i64) -> u32 {
    (now_ms / 60_000) as u32 & 0xFFFF
}

/// The counter of `clock`, lowered by the time that has passed.
pub fn lfu_counter(clock: u32, now_ms: i64, decay_minutes: u32) -> u8 {
    let counter = (clock & 0xFF) as u8;
    let idle = minutes(now_ms).wrapping_sub(clock >> 8) & 0xFFFF;
    match idle.checked_div(decay_minutes) {
        None => counter,
        Some(periods) => counter.saturating_sub(periods.min(255) as u8),
    }
}

/// A clock with this counter, as of now.
pub fn lfu_clock(now_ms: i64, counter: u8) -> u32 {
    minutes(now_ms) << 8 | u32::from(counter)
}

impl AccessPolicy {
    /// Clock of a new entry.
    pub fn fresh(&self, now_ms: i64) -> u32 {
        if self.lfu {
            lfu_clock(now_ms, LFU_INIT)
        } else {
            lru_clock(now_ms)
        }
    }

    /// Clock after one more access.
    #[inline]
    pub fn touched(&self, clock: u32, now_ms: i64, rng: &mut impl Rng) -> u32 {
        if self.no_touch {
            clock
        } else if self.lfu {
            let mut counter = lfu_counter(clock, now_ms, self.lfu_decay_minutes);
            let base = f64::from(counter.saturating_sub(LFU_INIT));
            let p = 1.0 / (base * f64::from(self.lfu_log_factor) + 1.0);
            if counter < 255 && rng.random::<f64>() < p {
                counter += 1;
            }
            lfu_clock(now_ms, counter)
        } else {
            lru_clock(now_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn idle_time_wraps() {
        assert_eq!(lru_idle_ms(lru_clock(5_000), 65_000), 60_000);
        assert_eq!(lru_idle_ms(lru_clock_idle(5_000, 60), 5_000), 60_000);
        assert_eq!(
            lru_idle_ms(lru_clock_idle(5_000, u64::MAX), 5_000),
            16_777_214_000
        );
        assert_eq!(lru_idle_ms(CLOCK_MAX, (i64::from(CLOCK_MAX) + 3) * 1000), 3_000);
    }

    #[test]
    fn counters_grow_slowly_and_decay() {
        let policy = AccessPolicy {
            lfu: true,
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
            no_touch: false,
        };
        let mut rng = rand::rngs::SmallRng::seed_from_u64(1);
        let mut clock = policy.fresh(0);
        for _ in 0..1000 {
            clock = policy.touched(clock, 0, &mut rng);
        }
        let counter = lfu_counter(clock, 0, 1);
        assert!((15..60).contains(&counter), "{counter}");
        assert_eq!(lfu_counter(clock, 60_000 * 4, 1), counter - 4);
        assert_eq!(lfu_counter(clock, 60_000 * 4, 0), counter);
    }
}
