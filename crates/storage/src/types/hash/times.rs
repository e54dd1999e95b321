//! The times at which fields of one hash expire: by field and by time, in one sorted set whose scores are the times.
//! A score holds every time up to [`super::FIELD_EXPIRY_MAX_MS`] exactly.
//!
//! Knows neither values nor the clock.

use crate::types::zset::{ScoreRange, Zset, ZsetLimits};

/// See the module's documentation.
#[derive(Clone)]
pub(super) struct FieldTimes {
    by_time: Zset,
    /// Fields whose time is not after this are hidden.
    hidden_until_ms: i64,
    /// How many these are.
    hidden: usize,
}

/// A sorted set's defaults: what is small stays one allocation.
const LIMITS: ZsetLimits = ZsetLimits {
    max_listpack_entries: 128,
    max_listpack_value: 64,
};

impl Default for FieldTimes {
    fn default() -> Self {
        FieldTimes {
            by_time: Zset::new(),
            hidden_until_ms: i64::MIN,
            hidden: 0,
        }
    }
}

impl FieldTimes {
    /// When a field expires.
    pub(super) fn get(&self, field: &[u8]) -> Option<i64> {
        self.by_time.score(field).map(|score| score as i64)
    }

    /// Lets a field expire.
    pub(super) fn set(&mut self, field: &[u8], at_ms: i64) {
        let was_hidden = self.hides(field);
        self.by_time.insert(field, at_ms as f64, &LIMITS);
        self.hidden += usize::from(at_ms <= self.hidden_until_ms);
        self.hidden -= usize::from(was_hidden);
    }

    /// Lets a field live for ever, or forgets one that is no more.
    pub(super) fn remove(&mut self, field: &[u8]) {
        if let Some(score) = self.by_time.remove(field) {
            self.hidden -= usize::from(score as i64 <= self.hidden_until_ms);
        }
    }

    /// Number of fields that expire.
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// The earliest time.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.by_time.get(0).map(|(_, score)| score as i64)
    }

    /// Number of fields whose time was over at `now_ms`.
    pub(super) fn due_len(&self, now_ms: i64) -> usize {
        let range = ScoreRange {
            max: now_ms as f64,
            ..ScoreRange::ALL
        };
        self.by_time.score_range(&range).len()
    }

    /// Up to `most` fields whose time was over at `now_ms`, the earliest first.
    pub(super) fn due(&self, now_ms: i64, most: usize) -> Vec<Box<[u8]>> {
        let count = self.due_len(now_ms).min(most);
        let due = self.by_time.range(0..count);
        due.map(|(field, _)| field.with_bytes(|field| field.into()))
            .collect()
    }

    /// Forgets up to `most` fields whose time was over at `now_ms` and gives their names, the earliest first.
    pub(super) fn take_due(&mut self, now_ms: i64, most: usize) -> Vec<Box<[u8]>> {
        let count = self.due_len(now_ms).min(most);
        let mut due = Vec::with_capacity(count);
        self.by_time.remove_range(0..count, |field, _| {
            due.push(field.with_bytes(|field| field.into()))
        });
        self.hidden = self.due_len(self.hidden_until_ms);
        due
    }

    /// Hides the fields whose time was over at `now_ms`, and no others.
    pub(super) fn hide_until(&mut self, now_ms: i64) {
        self.hidden_until_ms = now_ms;
        self.hidden = self.due_len(now_ms);
    }

    /// Number of fields that are hidden.
    pub(super) fn hidden(&self) -> usize {
        self.hidden
    }

    /// Whether a field is hidden.
    pub(super) fn hides(&self, field: &[u8]) -> bool {
        self.hidden > 0 && self.get(field).is_some_and(|at_ms| at_ms <= self.hidden_until_ms)
    }

    /// Bytes on the heap.
    pub(super) fn memory_usage(&self) -> usize {
        self.by_time.memory_usage(0)
    }

    /// Allocations to free.
    pub(super) fn free_effort(&self) -> usize {
        self.by_time.free_effort()
    }
}
