//! LATENCY's events: what took at least `latency-monitor-threshold` ms, by kind of event.
//!
//! Source: <https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor/>.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

/// Samples that are kept of each event.
const MOST_SAMPLES: usize = 160;

/// What can take long here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A command.
    Command,
    /// A command that is flagged `fast`.
    FastCommand,
    /// The command of a client that had waited for a key.
    CommandUnblocking,
    /// A round of the search for expired keys.
    ExpireCycle,
    /// The removal of one expired key.
    ExpireDel,
    /// Making room.
    EvictionCycle,
    /// The removal of one key to make room.
    EvictionDel,
}

impl Event {
    const ALL: [Self; 7] = [
        Self::Command,
        Self::FastCommand,
        Self::CommandUnblocking,
        Self::ExpireCycle,
        Self::ExpireDel,
        Self::EvictionCycle,
        Self::EvictionDel,
    ];

    /// Its name as clients know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::FastCommand => "fast-command",
            Self::CommandUnblocking => "command-unblocking",
            Self::ExpireCycle => "expire-cycle",
            Self::ExpireDel => "expire-del",
            Self::EvictionCycle => "eviction-cycle",
            Self::EvictionDel => "eviction-del",
        }
    }

    /// The event of this name.
    pub fn find(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|event| event.name().as_bytes() == name)
    }
}

/// The longest of the events of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Unix time in seconds.
    pub time: i64,
    /// In ms.
    pub latency: u64,
}

/// The samples of an event, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// At most 160.
    pub samples: VecDeque<Sample>,
    /// The longest that was ever seen, in ms.
    pub worst: u64,
}

/// Every event that has occurred.
#[derive(Debug, Default)]
pub struct LatencyMonitor(Mutex<BTreeMap<Event, Series>>);

impl LatencyMonitor {
    /// Notes that something took `latency` ms at `time` (Unix seconds).
    pub fn add(&self, event: Event, time: i64, latency: u64) {
        let mut events = self.0.lock();
        let series = events.entry(event).or_default();
        series.worst = series.worst.max(latency);
        if let Some(last) = series.samples.back_mut().filter(|last| last.time == time) {
            last.latency = last.latency.max(latency);
            return;
        }
        if series.samples.len() == MOST_SAMPLES {
            series.samples.pop_front();
        }
        series.samples.push_back(Sample { time, latency });
    }

    /// The samples of an event; none of it: it has not occurred.
    pub fn series(&self, event: Event) -> Option<Series> {
        self.0.lock().get(&event).cloned()
    }

    /// Every event that has occurred.
    pub fn all(&self) -> Vec<(Event, Series)> {
        let events = self.0.lock();
        events
            .iter()
            .map(|(event, series)| (*event, series.clone()))
            .collect()
    }

    /// Forgets an event. False: it had not occurred.
    pub fn forget(&self, event: Event) -> bool {
        self.0.lock().remove(&event).is_some()
    }

    /// Forgets every event, and tells how many there were.
    pub fn forget_all(&self) -> usize {
        std::mem::take(&mut *self.0.lock()).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_keeps_its_longest() {
        let monitor = LatencyMonitor::default();
        for (time, latency) in [(1, 20), (1, 50), (1, 30), (2, 10)] {
            monitor.add(Event::Command, time, latency);
        }
        let series = monitor.series(Event::Command).unwrap();
        assert_eq!(
            series.samples,
            [(1, 50), (2, 10)].map(|(time, latency)| Sample { time, latency })
        );
        assert_eq!(series.worst, 50);
        assert_eq!(monitor.series(Event::FastCommand), None);
        assert!(monitor.forget(Event::Command));
        assert!(!monitor.forget(Event::Command));
    }

    #[test]
    fn old_samples_go() {
        let monitor = LatencyMonitor::default();
        for time in 0..200 {
            monitor.add(Event::ExpireCycle, time, 200 - time as u64);
        }
        let series = monitor.series(Event::ExpireCycle).unwrap();
        assert_eq!((series.samples.len(), series.samples[0].time), (160, 40));
        assert_eq!(series.worst, 200);
        assert_eq!(monitor.forget_all(), 1);
    }

    #[test]
    fn names_lead_back() {
        for event in Event::ALL {
            assert_eq!(Event::find(event.name().as_bytes()), Some(event));
        }
        assert_eq!(Event::find(b"Command"), None);
    }
}
