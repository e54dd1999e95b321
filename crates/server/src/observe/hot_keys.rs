//! HOTKEYS: which keys take the most time and the most bytes, while somebody has asked for it.
//!
//! Of each metric at most [`KEPT`] times as many keys are kept as were asked for: when there are more, those that have cost
//! the least are dropped, and a key that comes anew begins with what the dearest of them had cost (as in the
//! space-saving sketch), so that a hot key is never missed for having come late. Costs are therefore upper bounds.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Keys kept for each one that was asked for.
const KEPT: usize = 20;
/// The most keys that can be asked for.
pub const MOST: u64 = 64;

/// What HOTKEYS START asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Time of commands is a metric.
    pub cpu: bool,
    /// Bytes of commands and replies are a metric.
    pub net: bool,
    /// Keys of each metric.
    pub count: u64,
    /// For how long.
    pub duration: Option<Duration>,
    /// One in so many commands is looked at.
    pub sample: u64,
    /// Slots to look at, in order; empty: all.
    pub slots: Vec<u16>,
}

/// What a command has cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// In ns.
    pub nanos: u64,
    /// Bytes of the command and of its reply.
    pub bytes: u64,
}

/// The dearest keys of one metric.
#[derive(Debug, Default)]
struct Top {
    costs: HashMap<Box<[u8]>, u64>,
    /// What a key that is not among them may have cost at most.
    floor: u64,
}

impl Top {
    fn add(&mut self, key: &[u8], cost: u64, kept: usize) {
        match self.costs.get_mut(key) {
            Some(sum) => *sum = sum.saturating_add(cost),
            None => {
                self.costs.insert(key.into(), self.floor.saturating_add(cost));
            }
        }
        if self.costs.len() >= 2 * kept {
            let mut costs: Vec<u64> = self.costs.values().copied().collect();
            let (_, least, _) = costs.select_nth_unstable_by(kept - 1, |a, b| b.cmp(a));
            let least = *least;
            // Of equals some go too, or a table of equals would not become smaller.
            let mut room = kept;
            let mut floor = 0;
            self.costs.retain(|_, cost| {
                let stays = *cost >= least && room > 0;
                if stays {
                    room -= 1;
                } else {
                    floor = floor.max(*cost);
                }
                stays
            });
            self.floor = floor;
        }
    }

    fn dearest(&self, count: u64) -> Vec<(Box<[u8]>, u64)> {
        let mut keys: Vec<_> = self
            .costs
            .iter()
            .map(|(key, cost)| (key.clone(), *cost))
            .collect();
        keys.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        keys.truncate(count as usize);
        keys
    }
}

/// One tracking, running or over.
#[derive(Debug)]
struct Tracking {
    request: Request,
    began: Instant,
    began_ms: i64,
    ended: Option<Duration>,
    /// CPU time of the process at the begin, and at the end: user and system, in ms.
    cpu_at: (u64, u64),
    cpu_ended: Option<(u64, u64)>,
    seen: u64,
    all: Totals,
    selected: Totals,
    sampled: Totals,
    cpu: Top,
    net: Top,
}

/// Costs of commands together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// In ns.
    pub nanos: u64,
    /// Bytes of commands and replies.
    pub bytes: u64,
}

impl Totals {
    fn add(&mut self, cost: Cost) {
        self.nanos = self.nanos.saturating_add(cost.nanos);
        self.bytes = self.bytes.saturating_add(cost.bytes);
    }
}

/// What HOTKEYS GET tells.
#[derive(Clone, Debug)]
pub struct Report {
    /// It is still going on.
    pub active: bool,
    /// What was asked for.
    pub request: Request,
    /// Of all commands.
    pub all: Totals,
    /// Of those on selected slots.
    pub selected: Totals,
    /// Of those that were looked at.
    pub sampled: Totals,
    /// Unix ms.
    pub began_ms: i64,
    /// How long it has gone on, or went on.
    pub duration: Duration,
    /// CPU time of the process meanwhile: user and system, in ms.
    pub cpu_ms: (u64, u64),
    /// Keys and their time in ns, the dearest first.
    pub by_cpu: Vec<(Box<[u8]>, u64)>,
    /// Keys and their bytes.
    pub by_net: Vec<(Box<[u8]>, u64)>,
}

/// The one tracking that there can be.
#[derive(Debug, Default)]
pub struct HotKeys(Mutex<Option<Tracking>>);

impl HotKeys {
    /// Begins. False: one is going on. `cpu`: CPU time of the process, user and system, in ms.
    pub fn start(&self, request: Request, now_ms: i64, cpu: (u64, u64)) -> bool {
        let mut tracking = self.0.lock();
        if tracking.as_mut().is_some_and(|t| t.is_active(cpu)) {
            return false;
        }
        *tracking = Some(Tracking {
            request,
            began: Instant::now(),
            began_ms: now_ms,
            ended: None,
            cpu_at: cpu,
            cpu_ended: None,
            seen: 0,
            all: Totals::default(),
            selected: Totals::default(),
            sampled: Totals::default(),
            cpu: Top::default(),
            net: Top::default(),
        });
        true
    }

    /// Ends, and keeps what was found. False: none was going on.
    pub fn stop(&self, cpu: (u64, u64)) -> bool {
        let mut tracking = self.0.lock();
        match tracking.as_mut().filter(|t| t.ended.is_none()) {
            Some(t) => {
                let was_active = t.is_active(cpu);
                if was_active {
                    t.end(t.began.elapsed(), cpu);
                }
                was_active
            }
            None => false,
        }
    }

    /// Forgets what was found. False: it is still going on.
    pub fn reset(&self, cpu: (u64, u64)) -> bool {
        let mut tracking = self.0.lock();
        if tracking.as_mut().is_some_and(|t| t.is_active(cpu)) {
            return false;
        }
        *tracking = None;
        true
    }

    /// What was found. None: there is nothing.
    pub fn report(&self, cpu: (u64, u64)) -> Option<Report> {
        let mut tracking = self.0.lock();
        let t = tracking.as_mut()?;
        let active = t.is_active(cpu);
        let end = t.cpu_ended.unwrap_or(cpu);
        Some(Report {
            active,
            all: t.all,
            selected: t.selected,
            sampled: t.sampled,
            began_ms: t.began_ms,
            duration: t.ended.unwrap_or_else(|| t.began.elapsed()),
            cpu_ms: (end.0.saturating_sub(t.cpu_at.0), end.1.saturating_sub(t.cpu_at.1)),
            by_cpu: t.cpu.dearest(t.request.count),
            by_net: t.net.dearest(t.request.count),
            request: t.request.clone(),
        })
    }

    /// True while commands have to be told.
    pub fn is_running(&self) -> bool {
        self.0.lock().as_ref().is_some_and(|t| t.ended.is_none())
    }

    /// Adds a command. `keys`: its keys with their slots; its cost is shared among them. `cpu` as for [`Self::start`].
    /// False: the time was over.
    pub fn add(&self, cost: Cost, keys: &[(&[u8], u16)], cpu: impl FnOnce() -> (u64, u64)) -> bool {
        let mut tracking = self.0.lock();
        let Some(t) = tracking.as_mut().filter(|t| t.ended.is_none()) else {
            return false;
        };
        if let Some(duration) = t
            .request
            .duration
            .filter(|duration| t.began.elapsed() >= *duration)
        {
            t.end(duration, cpu());
            return false;
        }
        t.count(cost, keys);
        true
    }
}

impl Tracking {
    fn count(&mut self, cost: Cost, keys: &[(&[u8], u16)]) {
        self.all.add(cost);
        let slots = &self.request.slots;
        let wanted = |slot: &u16| slots.is_empty() || slots.binary_search(slot).is_ok();
        if !keys.iter().any(|(_, slot)| wanted(slot)) {
            return;
        }
        self.selected.add(cost);
        self.seen += 1;
        if !self.seen.is_multiple_of(self.request.sample.max(1)) {
            return;
        }
        self.sampled.add(cost);
        let kept = self.request.count as usize * KEPT;
        let share = keys.len() as u64;
        for (key, _) in keys {
            if self.request.cpu {
                self.cpu.add(key, cost.nanos / share, kept);
            }
            if self.request.net {
                self.net.add(key, cost.bytes / share, kept);
            }
        }
    }

    /// Ends it where its time is over.
    fn is_active(&mut self, cpu: (u64, u64)) -> bool {
        if self.ended.is_none()
            && let Some(duration) = self.request.duration
            && self.began.elapsed() >= duration
        {
            self.end(duration, cpu);
        }
        self.ended.is_none()
    }

    fn end(&mut self, after: Duration, cpu: (u64, u64)) {
        self.ended = Some(after);
        self.cpu_ended = Some(cpu);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(count: u64) -> Request {
        Request {
            cpu: true,
            net: true,
            count,
            sample: 1,
            ..Request::default()
        }
    }

    #[test]
    fn the_dearest_are_found_among_many() {
        let hot = HotKeys::default();
        assert!(hot.start(request(2), 0, (0, 0)));
        for i in 0..10_000u32 {
            let cold = format!("cold:{i}");
            hot.add(Cost { nanos: 10, bytes: 1 }, &[(cold.as_bytes(), 1)], || (0, 0));
            if i % 10 == 0 {
                hot.add(Cost { nanos: 100, bytes: 1 }, &[(b"slow", 2)], || (0, 0));
                hot.add(
                    Cost {
                        nanos: 1,
                        bytes: 1000,
                    },
                    &[(b"large", 3)],
                    || (0, 0),
                );
            }
        }
        let report = hot.report((7, 3)).unwrap();
        assert_eq!(&*report.by_cpu[0].0, b"slow");
        assert_eq!(&*report.by_net[0].0, b"large");
        assert!(report.by_net[0].1 >= 1_000_000);
        assert_eq!((report.by_cpu.len(), report.cpu_ms), (2, (7, 3)));
        assert_eq!(report.all.bytes, 10_000 + 1_000 + 1_000_000);
        let kept = hot.0.lock().as_ref().map(|t| t.cpu.costs.len()).unwrap();
        assert!(kept <= 2 * 2 * KEPT, "{kept} keys are kept");
    }

    #[test]
    fn slots_and_samples() {
        let hot = HotKeys::default();
        let asked = Request {
            slots: vec![1, 5],
            sample: 2,
            ..request(3)
        };
        assert!(hot.start(asked, 0, (0, 0)));
        let cost = Cost { nanos: 10, bytes: 10 };
        for slot in [1, 5, 2, 1] {
            hot.add(cost, &[(b"k", slot)], || (0, 0));
        }
        hot.add(cost, &[], || (0, 0));
        let report = hot.report((0, 0)).unwrap();
        let nanos = [report.all, report.selected, report.sampled].map(|totals| totals.nanos);
        assert_eq!(nanos, [50, 30, 10]);
    }

    #[test]
    fn one_at_a_time_and_over_when_its_time_is() {
        let hot = HotKeys::default();
        assert!(hot.report((0, 0)).is_none());
        assert!(!hot.stop((0, 0)));
        assert!(hot.start(request(1), 0, (0, 0)));
        assert!(!hot.start(request(1), 0, (0, 0)));
        assert!(!hot.reset((0, 0)));
        assert!(hot.stop((0, 0)));
        hot.add(Cost { nanos: 1, bytes: 1 }, &[(b"k", 0)], || (0, 0));
        assert!(hot.report((0, 0)).unwrap().by_cpu.is_empty());
        let short = Request {
            duration: Some(Duration::ZERO),
            ..request(1)
        };
        assert!(hot.start(short, 0, (0, 0)));
        assert!(!hot.report((0, 0)).unwrap().active);
        assert!(hot.reset((0, 0)));
        assert!(hot.report((0, 0)).is_none());
    }
}
