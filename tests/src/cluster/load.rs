//! Writers of numbered keys, and the check of what they were told: whatever was acknowledged with WAIT 1 must be there in the
//! end. Must not know: what happens to the cluster meanwhile.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::client::Routed;
use super::{Cluster, SLOTS, slot_of, tags};
use crate::reply::Reply;
use crate::wait::wait_until;

/// How long a writer waits for a reply; a primary that died or stands still gives none.
const TIMEOUT: Duration = Duration::from_millis(1000);
/// The same for who measures how soon a slot is writable again; what takes longer is tried again.
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);
/// A client that nobody takes a write from tries again after this time.
const BACK_OFF: Duration = Duration::from_millis(2);
/// Keys that are read at once in the end.
const AT_ONCE: usize = 500;

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its number, which is its value, too.
    pub number: u64,
    /// When it was sent.
    pub sent: Instant,
    /// Whether a replica had it, by WAIT.
    pub replicated: bool,
}

struct Shared {
    tag: String,
    stop: AtomicBool,
    replicated: AtomicUsize,
    acked: Mutex<Vec<Write>>,
    /// What kept the last write that did not count from counting.
    trouble: Mutex<String>,
}

impl Shared {
    fn note_trouble(&self, text: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// A client that writes to one slot, one write at a time, until it is dropped.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Writes keys of this hash tag by this client, with WAIT 1 after each write if `wait`.
    pub fn start(tag: &str, mut client: Routed, wait: bool) -> Writer {
        let shared = Arc::new(Shared {
            tag: tag.to_owned(),
            stop: AtomicBool::new(false),
            replicated: AtomicUsize::new(0),
            acked: Mutex::default(),
            trouble: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            while !own.stop.load(Ordering::Relaxed) {
                number += 1;
                let sent = Instant::now();
                match write(&mut client, &own.tag, number, wait) {
                    Ok(replicated) => {
                        if !replicated {
                            own.note_trouble(format!("write {number}: no replica has it"));
                        }
                        let write = Write {
                            number,
                            sent,
                            replicated,
                        };
                        own.acked
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(write);
                        own.replicated
                            .fetch_add(usize::from(replicated), Ordering::Relaxed);
                    }
                    // It may be there or not. Whoever refuses is asked again, but not as fast as he can refuse.
                    Err(error) => {
                        own.note_trouble(format!("write {number}: {error:#}"));
                        std::thread::park_timeout(BACK_OFF);
                    }
                }
            }
        });
        Writer {
            shared,
            thread: Some(thread),
        }
    }

    /// Writes so far that a replica had.
    pub fn count(&self) -> usize {
        self.shared.replicated.load(Ordering::Relaxed)
    }

    /// Waits for so many more writes.
    ///
    /// # Errors
    /// They do not come.
    pub fn wait_for(&self, more: usize) -> Result<()> {
        let enough = self.count() + more;
        wait_until("writes go on", || Ok(self.count() >= enough)).with_context(|| {
            let trouble = &self.shared.trouble;
            let last = trouble.lock().unwrap_or_else(PoisonError::into_inner);
            format!("{} of {enough}; {last}", self.count())
        })
    }

    /// Ends; what was acknowledged.
    pub fn finish(mut self) -> Acked {
        self.end();
        Acked {
            tag: self.shared.tag.clone(),
            writes: std::mem::take(&mut *self.shared.acked.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// What one writer was told.
#[derive(Debug)]
pub struct Acked {
    /// The hash tag of its keys.
    pub tag: String,
    /// In the order of their numbers.
    pub writes: Vec<Write>,
}

impl Acked {
    /// How many writes a replica had.
    pub fn replicated(&self) -> usize {
        self.writes.iter().filter(|write| write.replicated).count()
    }

    /// Keys of writes that are gone, though a replica had them.
    ///
    /// # Errors
    /// The cluster does not answer, or a key has a value that was never written to it.
    pub fn lost(&self, client: &mut Routed) -> Result<Vec<String>> {
        let kept = self.kept(client)?;
        Ok(self
            .writes
            .iter()
            .filter(|write| write.replicated && !kept.contains(&write.number))
            .map(|write| key(&self.tag, write.number))
            .collect())
    }

    /// The numbers of those of the acknowledged writes that are there.
    ///
    /// # Errors
    /// As for [`Acked::lost`].
    pub fn kept(&self, client: &mut Routed) -> Result<BTreeSet<u64>> {
        let mut kept = BTreeSet::new();
        for writes in self.writes.chunks(AT_ONCE) {
            let mut words = vec!["MGET".to_owned()];
            words.extend(writes.iter().map(|write| key(&self.tag, write.number)));
            let reply = client.call(slot_of(self.tag.as_bytes()), &words)?;
            let values = reply.elements().with_context(|| format!("MGET: {reply:?}"))?;
            ensure!(
                values.len() == writes.len(),
                "MGET of {}: {}",
                writes.len(),
                values.len()
            );
            for (write, value) in writes.iter().zip(values) {
                match value.text() {
                    Some(text) if text == write.number.to_string() => {
                        kept.insert(write.number);
                    }
                    None if value.is_null() => {}
                    _ => bail!("{} is {value:?}", key(&self.tag, write.number)),
                }
            }
        }
        Ok(kept)
    }
}

fn key(tag: &str, number: u64) -> String {
    format!("{{{tag}}}{number}")
}

/// True once a replica is known to have it, too.
fn write(client: &mut Routed, tag: &str, number: u64, wait: bool) -> Result<bool> {
    let (key, value) = (key(tag, number), number.to_string());
    let mut commands: Vec<Vec<&[u8]>> = vec![vec![b"SET", key.as_bytes(), value.as_bytes()]];
    if wait {
        commands.push(vec![b"WAIT", b"1", b"500"]);
    }
    let slot = slot_of(tag.as_bytes());
    let replies = client.call_all(slot, &commands)?;
    ensure!(replies[0] == Reply::ok(), "{:?}", replies[0]);
    Ok(replies
        .get(1)
        .and_then(Reply::integer)
        .is_some_and(|replicas| replicas > 0))
}

/// A client of the cluster as writers use it.
pub fn client(cluster: &Cluster) -> Routed {
    client_within(cluster, TIMEOUT)
}

fn client_within(cluster: &Cluster, wait: Duration) -> Routed {
    let connect = cluster.connect_from(cluster.clients(), wait);
    Routed::new(connect, cluster.addresses(), wait)
}

/// A writer without WAIT from the second client's host, who asks one node alone who owns what.
pub fn stubborn_writer(cluster: &Cluster, slot: u16, node: usize) -> Writer {
    let connect = cluster.connect_from(cluster.clients() + 1, TIMEOUT);
    let client = Routed::new(connect, vec![cluster.addresses()[node]], TIMEOUT);
    Writer::start(&tags()[usize::from(slot)], client, false)
}

/// A writer for each third of the slots, each to a slot of its own.
pub fn writers(cluster: &Cluster) -> Vec<Writer> {
    let slots = [100, 8000, 16000];
    slots
        .iter()
        .map(|slot| Writer::start(&tags()[*slot], client(cluster), true))
        .collect()
}

/// Writes to slots again and again until all of them took a write, one after the other; how long after `begin` that was.
///
/// # Errors
/// They never do.
pub fn wait_until_writable(cluster: &Cluster, slots: &[u16], begin: Instant) -> Result<Duration> {
    // Made before it is needed: it takes a while.
    tags();
    let mut client = client_within(cluster, PROBE_TIMEOUT);
    let mut last = String::new();
    let waited = wait_until("slots are writable", || {
        for slot in slots {
            if let Err(why) = probe(&mut client, *slot) {
                last = why;
                // What it knows of owners may be old.
                client = client_within(cluster, PROBE_TIMEOUT);
                return Ok(false);
            }
        }
        Ok(true)
    });
    let took = begin.elapsed();
    waited.with_context(|| format!("{last}\n{}", cluster.logs()))?;
    Ok(took)
}

/// Writes to a slot; why it was refused.
fn probe(client: &mut Routed, slot: u16) -> std::result::Result<(), String> {
    let key = format!("{{{}}}probe", tags()[usize::from(slot)]);
    match client.call(slot, &["SET", &key, "1"]) {
        Ok(reply) if reply.text() == Some("OK") => Ok(()),
        refused => Err(format!("slot {slot}: {refused:?}")),
    }
}

/// Slots that stand for all while a cluster's thirds do not change owners in parts: the ends and the middle of each.
pub const PROBES: [u16; 9] = [0, 2730, 5460, 5461, 8192, 10922, 10923, 13653, 16383];

/// Writes to every single slot, to each until it takes the write.
///
/// # Errors
/// One never does.
pub fn write_to_every_slot(cluster: &Cluster) -> Result<()> {
    let mut client = client(cluster);
    for slot in 0..SLOTS {
        let mut last = String::new();
        let waited = wait_until("a slot is writable", || match probe(&mut client, slot) {
            Ok(()) => Ok(true),
            Err(why) => {
                last = why;
                client = self::client(cluster);
                Ok(false)
            }
        });
        waited.with_context(|| format!("{last}\n{}", cluster.logs()))?;
    }
    Ok(())
}

/// Ends the writers and compares what they were told with what is there: how many writes a replica had, and those of them
/// that are lost.
///
/// # Errors
/// The cluster does not answer.
pub fn check(cluster: &Cluster, writers: Vec<Writer>) -> Result<(usize, Vec<String>)> {
    let mut client = client(cluster);
    let (mut count, mut lost) = (0, Vec::new());
    for writer in writers {
        let acked = writer.finish();
        count += acked.replicated();
        lost.extend(acked.lost(&mut client)?);
    }
    Ok((count, lost))
}
