//! What LATENCY GRAPH draws and LATENCY DOCTOR says. Only arithmetic and texts.

use std::collections::VecDeque;
use std::fmt::Write;

use crate::observe::latency::{Event, Sample, Series};

/// Heights that a drawing can show: rows, and characters of a row from low to high.
const ROWS: usize = 4;
const MARKS: [char; 3] = ['_', '-', '`'];
const LINE: usize = 80;

/// A drawing of an event's samples, one column each, the time since each below it.
pub fn graph(event: Event, series: &Series, now: i64) -> String {
    let latencies = || series.samples.iter().map(|sample| sample.latency);
    let (low, high) = (latencies().min().unwrap_or(0), latencies().max().unwrap_or(0));
    let mut text = format!(
        "{} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        event.name(),
        series.worst,
        "-".repeat(LINE)
    );
    let samples: Vec<Sample> = series.samples.iter().rev().take(LINE).rev().copied().collect();
    let levels = ROWS * MARKS.len() - 1;
    let level = |latency: u64| match (high - low) as u128 {
        0 => 0,
        range => (u128::from(latency - low) * levels as u128 / range) as usize,
    };
    for row in (0..ROWS).rev() {
        line(&mut text, &samples, |sample| {
            let level = level(sample.latency);
            if level / MARKS.len() == row {
                MARKS[level % MARKS.len()]
            } else {
                ' '
            }
        });
    }
    text.push_str(" \n");
    let ages: Vec<String> = samples.iter().map(|sample| age(now - sample.time)).collect();
    for digit in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        let column: String = ages
            .iter()
            .map(|age| age.chars().nth(digit).unwrap_or(' '))
            .collect();
        text.push_str(column.trim_end());
        text.push('\n');
    }
    text
}

fn line(text: &mut String, samples: &[Sample], mark: impl Fn(&Sample) -> char) {
    text.extend(samples.iter().map(mark));
    text.push('\n');
}

/// A time in its largest whole unit.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3_600 => format!("{}m", s / 60),
        s @ 3_600..86_400 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}

/// What the samples of an event have in common, in ms; the period in s.
#[derive(Debug, PartialEq)]
struct Figures {
    count: usize,
    mean: f64,
    /// Mean distance from the mean.
    deviation: f64,
    /// Mean time between two samples.
    period: f64,
}

impl Figures {
    fn of(samples: &VecDeque<Sample>) -> Option<Self> {
        let (first, last) = (samples.front()?, samples.back()?);
        let count = samples.len();
        let mean = samples.iter().map(|s| s.latency as f64).sum::<f64>() / count as f64;
        let distances = samples.iter().map(|s| (s.latency as f64 - mean).abs());
        Some(Self {
            count,
            mean,
            deviation: distances.sum::<f64>() / count as f64,
            period: (last.time - first.time) as f64 / (count - 1).max(1) as f64,
        })
    }
}

/// A report on all events, and what can be done. `slower_than`: `slowlog-log-slower-than`.
pub fn advise(events: &[(Event, Series)], slower_than: i64) -> String {
    if events.is_empty() {
        return "Nothing has taken as long as latency-monitor-threshold says.\n".to_owned();
    }
    let mut text = "These events took long:\n\n".to_owned();
    for (number, (event, series)) in events.iter().enumerate() {
        let Some(f) = Figures::of(&series.samples) else {
            continue;
        };
        let _always = writeln!(
            text,
            "{}. {}: {} seconds with such an event (mean {:.0} ms, mean deviation {:.0} ms, one in {:.1} s). The worst: {} ms.",
            number + 1,
            event.name(),
            f.count,
            f.mean,
            f.deviation,
            f.period,
            series.worst
        );
    }
    text.push_str("\nWhat can be done:\n\n");
    let seen = |wanted: &[Event]| events.iter().any(|(event, _)| wanted.contains(event));
    let mut say = |advice: &str| {
        let _always = writeln!(text, "- {advice}");
    };
    if seen(&[Event::Command, Event::CommandUnblocking]) {
        if slower_than < 0 {
            say("SLOWLOG is off. CONFIG SET slowlog-log-slower-than 1000 lets it name the commands.");
        } else {
            say(
                "SLOWLOG GET names the commands that were slow. Replace them by those that do less at once: SCAN for KEYS, ranges for whole collections.",
            );
        }
        say(
            "UNLINK, FLUSHALL ASYNC and lazyfree-lazy-user-del leave the freeing of large values to the background.",
        );
    }
    if seen(&[Event::FastCommand]) {
        say(
            "Commands that do little were slow: look whether the machine has enough processors and does not swap, and whether others on it need them.",
        );
    }
    if seen(&[Event::ExpireCycle, Event::ExpireDel]) {
        say("Many keys expire at the same moment: spread their times, or lower active-expire-effort.");
    }
    if seen(&[Event::EvictionCycle, Event::EvictionDel]) {
        say(
            "Eviction cannot follow: raise maxmemory, lower maxmemory-eviction-tenacity, or set lazyfree-lazy-eviction yes where values are large.",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(samples: &[(i64, u64)]) -> Series {
        Series {
            samples: samples
                .iter()
                .map(|&(time, latency)| Sample { time, latency })
                .collect(),
            worst: samples.iter().map(|(_, latency)| *latency).max().unwrap_or(0),
        }
    }

    #[test]
    fn one_sample_is_a_low_mark() {
        let text = graph(Event::Command, &series(&[(100, 56)]), 100);
        let dashes = "-".repeat(80);
        assert_eq!(
            text,
            format!("command - high 56 ms, low 56 ms (all time high 56 ms)\n{dashes}\n \n \n \n_\n \n0\ns\n")
        );
    }

    #[test]
    fn heights_follow_the_samples() {
        let text = graph(
            Event::Command,
            &series(&[(0, 10), (3_000, 60), (3_590, 110)]),
            3_600,
        );
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(rows, ["  `", "   ", " ` ", "_  ", " ", "111", "h00", " ms"]);
    }

    #[test]
    fn figures() {
        assert_eq!(
            Figures::of(&series(&[(0, 10), (10, 30)]).samples),
            Some(Figures {
                count: 2,
                mean: 20.0,
                deviation: 10.0,
                period: 10.0
            })
        );
        assert_eq!(Figures::of(&VecDeque::new()), None);
    }

    #[test]
    fn advice_fits_the_events() {
        let one = |event| advise(&[(event, series(&[(0, 20)]))], -1);
        assert!(one(Event::Command).contains("SLOWLOG is off"));
        assert!(!one(Event::ExpireCycle).contains("SLOWLOG"));
        assert!(one(Event::EvictionDel).contains("maxmemory"));
        assert!(advise(&[], 0).starts_with("Nothing"));
    }
}
