//! The fields of INFO. One file per section, one row per field: a name as Redis 7.2 spells it and a function that reads
//! the value off a [`Snapshot`]. What does not exist in this server reports what Redis reports while it is off; nothing
//! is made up.
//!
//! Source of names and forms: <https://redis.io/commands/info> and the answers of Redis 7.0.15.

mod clients;
mod commands;
mod cpu;
mod keyspace;
mod memory;
mod persistence;
mod replica;
mod replication;
mod server;
mod snapshot;
mod stats;

use std::fmt::Write;

pub use snapshot::Snapshot;

/// One field.
type Row = (&'static str, fn(&Snapshot<'_>) -> String);

/// A piece of a section.
#[derive(Clone, Copy)]
enum Part {
    /// Fields that are always there.
    Rows(&'static [Row]),
    /// Lines whose number depends on the state.
    Lines(fn(&Snapshot<'_>, &mut String)),
}

impl Part {
    fn write(self, snapshot: &Snapshot<'_>, out: &mut String) {
        match self {
            Self::Rows(rows) => {
                for (name, value) in rows {
                    let _always = write!(out, "{name}:{}\r\n", value(snapshot));
                }
            }
            Self::Lines(lines) => lines(snapshot, out),
        }
    }
}

/// What a section consists of.
enum Body {
    /// Pieces.
    Parts(&'static [Part]),
    /// Fields that are always there.
    Rows(&'static [Row]),
    /// Lines whose number depends on the state.
    Lines(fn(&Snapshot<'_>, &mut String)),
}

/// One section.
struct Section {
    title: &'static str,
    by_default: bool,
    body: Body,
}

const fn section(title: &'static str, by_default: bool, body: Body) -> Section {
    Section {
        title,
        by_default,
        body,
    }
}

/// Every section in the order of the reply.
const SECTIONS: &[Section] = &[
    section("Server", true, Body::Parts(server::PARTS)),
    section("Clients", true, Body::Rows(clients::ROWS)),
    section("Memory", true, Body::Rows(memory::ROWS)),
    section(
        "Persistence",
        true,
        Body::Parts(&[Part::Rows(persistence::ROWS), Part::Lines(persistence::lines)]),
    ),
    section("Stats", true, Body::Rows(stats::ROWS)),
    section("Replication", true, Body::Parts(replication::PARTS)),
    section("CPU", true, Body::Rows(cpu::ROWS)),
    section("Modules", true, Body::Rows(&[])),
    section("Commandstats", false, Body::Lines(commands::commandstats)),
    section("Errorstats", true, Body::Lines(commands::errorstats)),
    section("Latencystats", false, Body::Lines(commands::latencystats)),
    section(
        "Cluster",
        true,
        Body::Rows(&[("cluster_enabled", |s| {
            u8::from(s.server.cluster.get().is_some()).to_string()
        })]),
    ),
    section("Keyspace", true, Body::Lines(keyspace::lines)),
];

/// The text of INFO. `wanted`: names of sections in any case, `default`, `all`, `everything`; none at all means
/// `default`. Unknown names add nothing.
pub fn text(snapshot: &Snapshot<'_>, wanted: &[&[u8]]) -> String {
    let mut out = String::with_capacity(8 << 10);
    for section in SECTIONS.iter().filter(|s| is_wanted(s, wanted)) {
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        let _always = write!(out, "# {}\r\n", section.title);
        match section.body {
            Body::Parts(parts) => parts.iter().for_each(|part| part.write(snapshot, &mut out)),
            Body::Rows(rows) => Part::Rows(rows).write(snapshot, &mut out),
            Body::Lines(lines) => lines(snapshot, &mut out),
        }
    }
    out
}

fn is_wanted(section: &Section, wanted: &[&[u8]]) -> bool {
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if wanted.is_empty() {
        return section.by_default;
    }
    wanted.iter().any(|word| {
        is(word, section.title)
            || is(word, "all")
            || is(word, "everything")
            || (is(word, "default") && section.by_default)
    })
}

/// A flag as INFO shows it.
fn bit(on: bool) -> String {
    u8::from(on).to_string()
}

/// A value with two digits behind the point.
fn fixed2(value: f64) -> String {
    format!("{value:.2}")
}

/// `part / whole`, 0 where there is no whole.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests;
