//! Writers that know what each of their keys must be: a counter that goes up by one with each write. A write that is lost
//! shows as a number that comes again, a write that is done twice as a number that is left out, and a key that is seen at two
//! places, or at none, as both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Answer, ClusterClient, key_slot};
use crate::reply::Reply;

/// What the writers have seen.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// Writes that were acknowledged.
    pub writes: u64,
    /// MOVED.
    pub moved: u64,
    /// ASK: an atomic migration gives none.
    pub asked: u64,
    /// Answers that nobody serves.
    pub down: u64,
    /// Writes of which nobody knows whether they were done.
    pub unknown: u64,
    /// The longest time that an answer took.
    pub longest: Duration,
}

/// Writers at work.
pub struct Writers {
    stop: Arc<AtomicBool>,
    /// Writes that were acknowledged so far.
    pub writes: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<Seen>>>,
}

/// One pair of keys of one slot.
struct Pair {
    keys: [String; 2],
    slot: u16,
    /// The number that is certain, and how many more there may be.
    known: i64,
    open: i64,
}

/// Starts writers; each has `pairs` pairs of keys.
pub fn start(seeds: &[SocketAddr], threads: usize, pairs: usize) -> Writers {
    let stop = Arc::new(AtomicBool::new(false));
    let writes = Arc::new(AtomicU64::new(0));
    let threads = (0..threads)
        .map(|n| {
            let (stop, writes, seeds) = (Arc::clone(&stop), Arc::clone(&writes), seeds.to_vec());
            std::thread::spawn(move || write(n, pairs, seeds, &stop, &writes))
        })
        .collect();
    Writers {
        stop,
        writes,
        threads,
    }
}

impl Writers {
    /// Waits until so many more writes were acknowledged.
    ///
    /// # Errors
    /// A writer has found something wrong, or none goes on.
    pub fn wait_for(&self, more: u64) -> Result<()> {
        let wanted = self.writes.load(Ordering::Relaxed) + more;
        crate::wait::wait_until("the writers go on", || {
            Ok(self.writes.load(Ordering::Relaxed) >= wanted
                || self.threads.iter().any(JoinHandle::is_finished))
        })
    }

    /// Ends the writers. Each has looked at all of its keys once more.
    ///
    /// # Errors
    /// A key was not what it must be.
    pub fn finish(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Release);
        let mut all = Seen::default();
        for thread in self.threads {
            let seen = thread
                .join()
                .map_err(|_| anyhow::anyhow!("a writer panicked"))??;
            all.writes += seen.writes;
            all.moved += seen.moved;
            all.asked += seen.asked;
            all.down += seen.down;
            all.unknown += seen.unknown;
            all.longest = all.longest.max(seen.longest);
        }
        Ok(all)
    }
}

fn write(
    n: usize,
    pairs: usize,
    seeds: Vec<SocketAddr>,
    stop: &AtomicBool,
    writes: &AtomicU64,
) -> Result<Seen> {
    let mut client = ClusterClient::new(seeds);
    let mut seen = Seen::default();
    let mut pairs: Vec<Pair> = (0..pairs)
        .map(|i| {
            let keys = [format!("{{w{n}:{i}}}a"), format!("{{w{n}:{i}}}b")];
            let slot = key_slot(keys[0].as_bytes());
            Pair {
                keys,
                slot,
                known: 0,
                open: 0,
            }
        })
        .collect();
    let mut turn = 0;
    while !stop.load(Ordering::Acquire) {
        let at = turn % pairs.len();
        turn += 1;
        step(&mut client, &mut pairs[at], turn, &mut seen)?;
        writes.fetch_add(1, Ordering::Relaxed);
    }
    for pair in &mut pairs {
        check(&mut client, pair)?;
    }
    (seen.moved, seen.asked, seen.down, seen.longest) =
        (client.moved, client.asked, client.down, client.longest);
    Ok(seen)
}

/// One transaction: both keys go up by one. Every third time they are looked at before.
fn step(client: &mut ClusterClient, pair: &mut Pair, turn: usize, seen: &mut Seen) -> Result<()> {
    if turn.is_multiple_of(3) {
        check(client, pair)?;
    }
    let [a, b] = &pair.keys;
    let commands: Vec<Vec<&str>> = vec![vec!["MULTI"], vec!["INCR", a], vec!["INCR", b], vec!["EXEC"]];
    match client.call(pair.slot, &commands)? {
        Answer::Unknown => {
            pair.open += 1;
            seen.unknown += 1;
            check(client, pair)
        }
        Answer::Reply(reply) => {
            let number = both(&reply).with_context(|| format!("{a}: {reply:?}"))?;
            let (least, most) = (pair.known + 1, pair.known + 1 + pair.open);
            ensure!(
                (least..=most).contains(&number),
                "{a} in slot {}: {number} after {}, with {} open",
                pair.slot,
                pair.known,
                pair.open
            );
            (pair.known, pair.open) = (number, 0);
            seen.writes += 1;
            Ok(())
        }
    }
}

/// Both keys are the same, and what they must be.
fn check(client: &mut ClusterClient, pair: &mut Pair) -> Result<()> {
    let [a, b] = &pair.keys;
    let reply = loop {
        if let Answer::Reply(reply) = client.call(pair.slot, &[vec!["MGET", a, b]])? {
            break reply;
        }
    };
    let number = both(&reply).with_context(|| format!("{a}: {reply:?}, after {}", pair.known))?;
    ensure!(
        (pair.known..=pair.known + pair.open).contains(&number),
        "{a} in slot {} is {number}, and must be {} or {} more at most",
        pair.slot,
        pair.known,
        pair.open
    );
    (pair.known, pair.open) = (number, 0);
    Ok(())
}

/// The number that two keys have. A key that is not there is 0.
fn both(reply: &Reply) -> Result<i64> {
    let number = |reply: &Reply| match reply {
        Reply::Integer(n) => Ok(*n),
        Reply::NullBulk => Ok(0),
        other => match other.text().and_then(|text| text.parse().ok()) {
            Some(n) => Ok(n),
            None => bail!("no number: {other:?}"),
        },
    };
    match reply.elements().as_deref() {
        Some([a, b]) => {
            let (a, b) = (number(a)?, number(b)?);
            ensure!(a == b, "a transaction was seen in part: {a} and {b}");
            Ok(a)
        }
        Some(_) | None => bail!("not two"),
    }
}
