//! Messages that producers send again: the ids that they gave their last messages, and under which stream id each was
//! added. Bounded by number and by age for each producer; who has sent nothing for that long is forgotten.
//!
//! Source: the pages of XADD (IDMP), XCFGSET and "Idempotent message processing".

use std::collections::{HashMap, VecDeque};

use super::id::StreamId;

/// How long and how many message ids are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupLimits {
    /// Seconds for which an id is kept, 1 to 86400.
    pub duration_s: u32,
    /// Ids of one producer, 1 to 10000.
    pub max_size: u32,
}

impl Default for DedupLimits {
    fn default() -> Self {
        Self {
            duration_s: 100,
            max_size: 100,
        }
    }
}

impl DedupLimits {
    /// What `duration_s` may be.
    pub const DURATION_S: std::ops::RangeInclusive<u32> = 1..=86_400;
    /// What `max_size` may be.
    pub const MAX_SIZE: std::ops::RangeInclusive<u32> = 1..=10_000;
}

/// The memory of a stream for messages that came before.
#[derive(Clone, Debug, Default)]
pub struct Dedup {
    limits: DedupLimits,
    producers: HashMap<Box<[u8]>, Producer, foldhash::fast::RandomState>,
    /// Producers are looked through for those that have been silent for too long when there are so many.
    sweep_at: usize,
    added: u64,
    duplicates: u64,
}

#[derive(Clone, Debug, Default)]
struct Producer {
    by_id: HashMap<Box<[u8]>, StreamId, foldhash::fast::RandomState>,
    /// When each came, the oldest first.
    order: VecDeque<(i64, Box<[u8]>)>,
}

impl Producer {
    fn expire(&mut self, before_ms: i64) {
        while self.order.front().is_some_and(|(at, _)| *at < before_ms) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.by_id.remove(&id);
        }
    }
}

impl Dedup {
    /// The limits.
    pub fn limits(&self) -> DedupLimits {
        self.limits
    }

    /// Sets the limits. Others than before forget everything.
    pub fn set_limits(&mut self, limits: DedupLimits) {
        if limits != self.limits {
            self.limits = limits;
            self.producers.clear();
        }
    }

    /// Producers that are remembered.
    pub fn producers(&self) -> usize {
        self.producers.len()
    }

    /// Message ids that are remembered.
    pub fn remembered(&self) -> usize {
        self.producers.values().map(|producer| producer.order.len()).sum()
    }

    /// Message ids that were ever added.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// Messages that were recognised as having come before.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    fn oldest_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(i64::from(self.limits.duration_s) * 1000)
    }

    /// Under which id the message was added, if it came before.
    pub fn find(&mut self, producer: &[u8], message: &[u8], now_ms: i64) -> Option<StreamId> {
        let before_ms = self.oldest_ms(now_ms);
        let producer = self.producers.get_mut(producer)?;
        producer.expire(before_ms);
        producer.by_id.get(message).copied()
    }

    /// A message came again.
    pub fn count_duplicate(&mut self) {
        self.duplicates = self.duplicates.saturating_add(1);
    }

    /// Remembers that the message was added as `id`.
    pub fn record(&mut self, producer: &[u8], message: &[u8], id: StreamId, now_ms: i64) {
        let before_ms = self.oldest_ms(now_ms);
        let max_size = self.limits.max_size as usize;
        if !self.producers.contains_key(producer) {
            if self.producers.len() >= self.sweep_at {
                self.producers
                    .retain(|_, known| known.order.back().is_some_and(|(at, _)| *at >= before_ms));
                self.sweep_at = 2 * self.producers.len();
            }
            self.producers.insert(producer.into(), Producer::default());
        }
        let Some(known) = self.producers.get_mut(producer) else {
            return;
        };
        known.expire(before_ms);
        if known.by_id.insert(message.into(), id).is_none() {
            known.order.push_back((now_ms, message.into()));
            self.added = self.added.saturating_add(1);
        }
        while known.order.len() > max_size {
            known.forget_oldest();
        }
    }

    pub(super) fn memory_usage(&self) -> usize {
        let producers: usize = self
            .producers
            .iter()
            .map(|(name, producer)| {
                let ids: usize = producer.order.iter().map(|(_, id)| 2 * id.len() + 80).sum();
                name.len() + size_of::<Producer>() + ids
            })
            .sum();
        size_of::<Self>() + producers
    }

    pub(super) fn free_effort(&self) -> usize {
        1 + self.producers.len() + 2 * self.remembered()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_number_and_by_age() {
        let mut dedup = Dedup::default();
        dedup.set_limits(DedupLimits {
            duration_s: 10,
            max_size: 2,
        });
        for (i, name) in [b"a", b"b", b"c"].iter().enumerate() {
            dedup.record(b"p", *name, StreamId::new(i as u64, 0), 1000 * i as i64);
        }
        assert_eq!(dedup.find(b"p", b"a", 3000), None);
        assert_eq!(dedup.find(b"p", b"b", 11_000), Some(StreamId::new(1, 0)));
        assert_eq!(dedup.find(b"q", b"b", 11_000), None);
        assert_eq!(dedup.find(b"p", b"b", 11_001), None);
        assert_eq!((dedup.remembered(), dedup.added()), (1, 3));
        dedup.record(b"q", b"x", StreamId::MAX, 12_001);
        assert_eq!(dedup.producers(), 1, "p has been silent for too long");
    }
}
