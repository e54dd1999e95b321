//! A gigabyte of slots changes its node while clients write to it: all at once (`CLUSTER MIGRATESLOTS`), and key by key
//! (`redis-cli --cluster reshard`), which `redis-server` is measured by, too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Effort, Spread};
use crate::client::Client;
use crate::cluster::client::Routed;
use crate::cluster::{Cluster, Setup, tags};
use crate::server::Role;
use crate::slots::rows;

/// Slots of the first of three primaries, as redis-cli divides them.
const SLOTS: u16 = 5461;
/// Bytes of data in a full run, and of each value.
const DATA: u64 = 1_000_000_000;
const VALUE_BYTES: usize = 1000;
/// Connections that write, one command at a time.
const WRITERS: usize = 8;
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(600);
/// A reply takes no longer.
const REPLY: Duration = Duration::from_secs(30);

/// How slots travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AtOnce,
    KeyByKey,
}

/// What one kind of migration showed.
#[derive(Debug, Clone)]
pub struct Line {
    /// Whose server, and how.
    pub name: &'static str,
    /// Seconds from the order until the slots have their new owner.
    pub seconds: Spread,
    /// Thousand SETs per second before, and meanwhile.
    pub before: Spread,
    /// See `before`.
    pub meanwhile: Spread,
    /// The longest time that a client waited for one SET meanwhile, redirections included, in ms.
    pub longest_ms: Spread,
}

/// What travels, and how much of it.
#[derive(Debug, Clone, Copy)]
struct Size {
    slots: u16,
    /// In each slot.
    keys: u64,
    /// The load runs so long before the slots begin to travel.
    before: Duration,
}

impl Size {
    fn of(effort: Effort) -> Size {
        let smoke = effort == Effort::Smoke;
        let slots = if smoke { 40 } else { SLOTS };
        Size {
            slots,
            keys: effort.scale(DATA / VALUE_BYTES as u64).div_ceil(u64::from(slots)),
            before: Duration::from_millis(if smoke { 100 } else { 3000 }),
        }
    }
}

struct Once {
    seconds: f64,
    before: f64,
    meanwhile: f64,
    longest_ms: f64,
}

const LINES: [(&str, Role, Way); 3] = [
    ("Holdfast, `CLUSTER MIGRATESLOTS`", Role::Subject, Way::AtOnce),
    (
        "Holdfast, `redis-cli --cluster reshard`",
        Role::Subject,
        Way::KeyByKey,
    ),
    (
        "Redis 7.0, `redis-cli --cluster reshard`",
        Role::Oracle,
        Way::KeyByKey,
    ),
];

/// Measures all, in turns.
///
/// # Errors
/// A cluster that does not form, or slots that do not travel.
pub fn measure(rounds: usize, effort: Effort) -> Result<Vec<Line>> {
    let mut all: [Vec<Once>; LINES.len()] = Default::default();
    for round in 0..rounds {
        for (all, (name, role, way)) in all.iter_mut().zip(LINES) {
            eprintln!("migration: {name}, round {}", round + 1);
            all.push(once(role, way, effort)?);
        }
    }
    let lines = LINES.iter().zip(all).map(|((name, ..), rounds)| {
        let of = |field: fn(&Once) -> f64| Spread::of(rounds.iter().map(field));
        Line {
            name,
            seconds: of(|once| once.seconds),
            before: of(|once| once.before),
            meanwhile: of(|once| once.meanwhile),
            longest_ms: of(|once| once.longest_ms),
        }
    });
    Ok(lines.collect())
}

fn client(cluster: &Cluster) -> Routed {
    Routed::new(cluster.connect_from(0, REPLY), cluster.addresses(), REPLY)
}

fn key(slot: u16, number: u64) -> String {
    format!("{{{}}}{number}", tags()[usize::from(slot)])
}

fn once(role: Role, way: Way, effort: Effort) -> Result<Once> {
    let setup = Setup {
        replicas: 0,
        ..Setup::new(role)
    };
    let cluster = Cluster::start(setup.directive("save", ""))?;
    let size = Size::of(effort);
    fill(&cluster, size)?;
    let (stop, written, longest_us) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let result = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let (cluster, stop, written, longest_us) = (&cluster, &stop, &written, &longest_us);
                scope.spawn(move || write(cluster, n as u64, size, stop, written, longest_us))
            })
            .collect();
        let measured = (|| -> Result<Once> {
            let rate = |since: Instant, from: u64| {
                (written.load(Ordering::Relaxed) - from) as f64 / 1000.0 / since.elapsed().as_secs_f64()
            };
            let began = Instant::now();
            std::thread::sleep(size.before);
            let before = rate(began, 0);
            longest_us.store(0, Ordering::Relaxed);
            let (began, from) = (Instant::now(), written.load(Ordering::Relaxed));
            match way {
                Way::AtOnce => at_once(&cluster, size.slots)?,
                Way::KeyByKey => key_by_key(&cluster, size.slots)?,
            }
            Ok(Once {
                seconds: began.elapsed().as_secs_f64(),
                before,
                meanwhile: rate(began, from),
                longest_ms: longest_us.load(Ordering::Relaxed) as f64 / 1000.0,
            })
        })();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().expect("a writer does not panic")?;
        }
        measured
    })?;
    // All of it is there, at the new owner.
    let mut client = cluster.connect(1)?;
    client.set_timeout(REPLY);
    let found = client.command("DBSIZE")?.integer();
    ensure!(
        found == i64::try_from(size.keys * u64::from(size.slots)).ok(),
        "{found:?} keys of {size:?}"
    );
    Ok(result)
}

fn fill(cluster: &Cluster, size: Size) -> Result<()> {
    let mut client = client(cluster);
    let value = "v".repeat(VALUE_BYTES);
    for slot in 0..size.slots {
        let names: Vec<String> = (0..size.keys).map(|number| key(slot, number)).collect();
        let commands: Vec<Vec<&[u8]>> = names
            .iter()
            .map(|name| vec![&b"SET"[..], name.as_bytes(), value.as_bytes()])
            .collect();
        let replies = client.call_all(slot, &commands)?;
        ensure!(
            replies.iter().all(|reply| reply.text() == Some("OK")),
            "{replies:?}"
        );
    }
    Ok(())
}

/// Writes to one key after the other until it is to stop.
fn write(
    cluster: &Cluster,
    writer: u64,
    size: Size,
    stop: &AtomicBool,
    written: &AtomicU64,
    longest_us: &AtomicU64,
) -> Result<()> {
    let mut client = client(cluster);
    let value = "w".repeat(VALUE_BYTES);
    // Far from each other, so that slots of all ages are written to.
    let mut turn = writer * 7919;
    while !stop.load(Ordering::Relaxed) {
        turn += 7919 * WRITERS as u64;
        let slots = u64::from(size.slots);
        let slot = (turn % slots) as u16;
        let key = key(slot, turn / slots % size.keys);
        let began = Instant::now();
        loop {
            let reply = client.call(slot, &["SET", &key, &value])?;
            if reply.text() == Some("OK") {
                break;
            }
            let again = matches!(&reply, crate::reply::Reply::Error(text)
                if text.starts_with(b"TRYAGAIN") || text.starts_with(b"CLUSTERDOWN"));
            ensure!(again && began.elapsed() < REPLY, "{reply:?}");
        }
        longest_us.fetch_max(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        written.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn at_once(cluster: &Cluster, slots: u16) -> Result<()> {
    let mut client: Client = cluster.connect(0)?;
    client.set_timeout(REPLY);
    let last = (slots - 1).to_string();
    let reply = client.call(&[
        "CLUSTER",
        "MIGRATESLOTS",
        "SLOTSRANGE",
        "0",
        &last,
        "NODE",
        cluster.id(1),
    ])?;
    ensure!(reply.text() == Some("OK"), "{reply:?}");
    let began = Instant::now();
    loop {
        let rows = rows(&mut client)?;
        match rows.first().context("the migration is told")?["state"].as_str() {
            "success" => return Ok(()),
            "failed" | "cancelled" => anyhow::bail!("{rows:?}"),
            _ => ensure!(began.elapsed() < PATIENCE, "in vain: {rows:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn key_by_key(cluster: &Cluster, slots: u16) -> Result<()> {
    let address = cluster.addresses()[0].to_string();
    let slots = slots.to_string();
    let words = [
        "--cluster",
        "reshard",
        &address,
        "--cluster-from",
        cluster.id(0),
        "--cluster-to",
        cluster.id(1),
        "--cluster-slots",
        &slots,
        "--cluster-yes",
    ];
    cluster.redis_cli(&words).map(|_| ())
}

/// The table as Markdown.
pub fn table(lines: &[Line], rounds: usize) -> String {
    let mut text = format!(
        "\n## Slot migration\n\n{SLOTS} slots with {} MB in values of {VALUE_BYTES} bytes go from one of three primaries to another, while \
         {WRITERS} connections overwrite\nthem, one SET after the other; everything on the same cores; {rounds} rounds in turns. Median, and the \
         range of the rounds.\n\n| | s | 1000 SETs/s before | meanwhile | longest SET, ms |\n|---|---|---|---|---|\n",
        DATA / 1_000_000
    );
    let range = |s: Spread| format!("{:.2} ({:.2}-{:.2})", s.median, s.low, s.high);
    for line in lines {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            line.name,
            range(line.seconds),
            range(line.before),
            range(line.meanwhile),
            range(line.longest_ms)
        ));
    }
    text
}
