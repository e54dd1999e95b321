//! What the fields are computed from, gathered once for each INFO, so that the fields agree with each other.

use std::sync::atomic::Ordering;

use holdfast_storage::keyspace::{Keyspace, Locked, Shard};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use rand::Rng;

use crate::client::ClientClass;
use crate::cron::Rates;
use crate::memory::{self, Figures};
use crate::server::Server;
use crate::stats::Counters;
use crate::worker::Worker;

/// One database.
#[derive(Clone, Copy, Debug, Default)]
pub struct Database {
    /// Its keys.
    pub keys: usize,
    /// Those with an expiry.
    pub expires: usize,
    /// Hashes with fields that expire.
    pub subexpiry: usize,
    /// Bytes of its tables, entries aside.
    pub overhead: usize,
    /// Sum of the times to live of sampled keys, in ms, and how many were sampled.
    pub ttl_sample: (i64, i64),
}

/// All connections together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connections {
    /// How many there are.
    pub count: usize,
    /// Those with subscriptions.
    pub pubsub: usize,
    /// Those that watch keys.
    pub watching: usize,
    /// Bytes of their buffers and queues.
    pub memory: usize,
    /// The most input that one holds, in bytes.
    pub max_input: usize,
    /// The most output that one holds, in bytes.
    pub max_output: usize,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Snapshot<'a> {
    /// The server.
    pub server: &'a Server,
    /// Unix time in ms.
    pub now_ms: i64,
    /// Counters of all threads.
    pub totals: Counters,
    /// Means over the last moments.
    pub rates: Rates,
    /// Bytes in use.
    pub used: u64,
    /// The most bytes that were in use.
    pub peak: u64,
    /// The allocator's figures.
    pub figures: Figures,
    /// Resident bytes.
    pub rss: u64,
    /// The databases in order.
    pub databases: Vec<Database>,
    /// Keys that are watched, and keys that are waited for.
    pub interest: (usize, usize),
    /// The connections.
    pub connections: Connections,
}

/// Shards of which one key is asked for its time to live, for each database.
const TTL_SAMPLES: i64 = 32;

impl<'a> Snapshot<'a> {
    /// Looks at everything. `locked`: all shards, where they are held already; otherwise they are looked at one by one.
    pub fn take(server: &'a Server, w: &mut Worker, locked: Option<&mut Locked<'_>>) -> Self {
        w.end_batch();
        let mut databases = vec![Database::default(); server.keyspace.databases() as usize];
        let mut interest = (0, 0);
        let now_ms = w.now_ms;
        let mut look = |shard: &Shard| {
            let (watched, awaited) = shard.interest();
            interest.0 += watched;
            interest.1 += awaited;
            for (sum, db) in databases.iter_mut().zip(&shard.dbs) {
                sum.keys += db.table.len();
                sum.overhead += db.table.overhead();
                sum.expires += db.table.volatile_len();
                sum.subexpiry += db.fields.len();
                sample(sum, db, now_ms, &mut w.rng);
            }
        };
        match locked {
            Some(locked) => locked.each().for_each(|(_, shard)| look(shard)),
            None => each_alone(&server.keyspace, look),
        }
        let used = memory::used();
        Self {
            server,
            now_ms,
            totals: server.totals(),
            rates: *server.rates.lock(),
            used,
            peak: server
                .stats
                .peak_memory
                .fetch_max(used, Ordering::Relaxed)
                .max(used),
            figures: memory::figures(),
            rss: memory::rss(),
            databases,
            interest,
            connections: Connections::of(server),
        }
    }

    /// Bytes that are no data: what was in use at the start, tables, connections, the replication log.
    pub fn overhead(&self) -> u64 {
        let tables: usize = self.databases.iter().map(|db| db.overhead).sum();
        self.server.startup_memory
            + (tables + self.connections.memory) as u64
            + self.server.log.extent().stored()
    }

    /// Bytes of data.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead())
    }

    /// Share of the data in what was allocated since the start, in percent.
    pub fn dataset_percent(&self) -> f64 {
        let grown = self.used.saturating_sub(self.server.startup_memory);
        super::ratio(self.dataset() * 100, grown).min(100.0)
    }

    /// CPU time.
    pub fn usage(&self, who: UsageWho) -> Option<Usage> {
        getrusage(who).ok()
    }
}

fn each_alone(keyspace: &Keyspace, mut look: impl FnMut(&Shard)) {
    for i in 0..keyspace.shard_count() as u16 {
        look(keyspace.lock_one(i).shard(i));
    }
}

fn sample(sum: &mut Database, db: &holdfast_storage::keyspace::Db, now_ms: i64, rng: &mut impl Rng) {
    if sum.ttl_sample.1 >= TTL_SAMPLES || db.table.volatile_len() == 0 {
        return;
    }
    if let Some(at) = db.table.random(rng, true).and_then(|entry| entry.expire_at_ms()) {
        sum.ttl_sample.0 += (at - now_ms).max(0);
        sum.ttl_sample.1 += 1;
    }
}

impl Connections {
    fn of(server: &Server) -> Self {
        let mut sum = Self::default();
        for client in server.clients.all() {
            let load = |n: &std::sync::atomic::AtomicUsize| n.load(Ordering::Relaxed);
            let input = load(&client.query_buffer);
            let output = load(&client.output) + client.mail_len();
            sum.count += 1;
            sum.pubsub += usize::from(client.class() == ClientClass::Pubsub);
            sum.watching += usize::from(load(&client.watched) > 0);
            sum.memory += client.memory();
            sum.max_input = sum.max_input.max(input);
            sum.max_output = sum.max_output.max(output);
        }
        sum
    }
}
