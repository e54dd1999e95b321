//! What everybody may know of one replica: who it is, how far it has come, how it is being served. Its own task is
//! [`super::link`]'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};

use holdfast_replication::Introduction;

use crate::client::Client;

/// How far a replica is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It waits for a snapshot.
    Waiting,
    /// It is being sent one.
    Sending,
    /// It follows the log.
    Online,
    /// It wanted a snapshot alone, and has it.
    Sent,
}

const STAGES: [(Stage, &str); 4] = [
    (Stage::Waiting, "wait_bgsave"),
    (Stage::Sending, "send_bulk"),
    (Stage::Online, "online"),
    (Stage::Sent, "rdb_transmitted"),
];

impl Stage {
    /// As INFO writes it.
    pub fn name(self) -> &'static str {
        STAGES[self as usize].1
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Attached {
    /// Its connection.
    pub client: Arc<Client>,
    /// What it has said of itself.
    pub who: Introduction,
    /// It does not speak of offsets: `SYNC`.
    pub is_old: bool,
    /// Address of the connection, without the port.
    peer: String,
    stage: AtomicU8,
    /// Offset that it has acknowledged.
    acked: AtomicU64,
    /// The same, of what it has synced to its append-only file.
    synced: AtomicU64,
    /// It has acknowledged something since its snapshot.
    has_acked: AtomicBool,
    /// Unix ms of its last sign of life.
    heard_ms: AtomicI64,
    /// Unix ms when its socket took something last.
    took_ms: AtomicI64,
    /// Offset of the log up to which the socket has taken everything; meaningless before it is sent the log.
    place: AtomicU64,
    /// It is on its way through a full synchronization: what it has yet to get is kept, and writers are slowed for it.
    is_catching_up: AtomicBool,
}

impl Attached {
    /// A replica that has just asked for data.
    pub fn new(client: Arc<Client>, who: Introduction, is_old: bool, now_ms: i64) -> Self {
        let peer = client.addr.rsplit_once(':').map_or("", |(host, _)| host);
        let peer = peer.trim_matches(['[', ']']).to_owned();
        Self {
            client,
            who,
            is_old,
            peer,
            stage: AtomicU8::new(Stage::Waiting as u8),
            acked: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            has_acked: AtomicBool::new(false),
            heard_ms: AtomicI64::new(now_ms),
            took_ms: AtomicI64::new(now_ms),
            place: AtomicU64::new(0),
            is_catching_up: AtomicBool::new(false),
        }
    }

    /// The address that it is known by.
    pub fn ip(&self) -> &str {
        self.who.ip.as_deref().unwrap_or(&self.peer)
    }

    /// `ip:port`, or the client's id while its port is not known.
    pub fn name(&self) -> String {
        match self.who.port {
            0 => format!("client id #{}", self.client.id),
            port => format!("{}:{port}", self.ip()),
        }
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        STAGES[usize::from(self.stage.load(Ordering::Acquire)) % STAGES.len()].0
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Offset of the log that it has acknowledged.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Acquire)
    }

    /// The same, of what it has synced to its append-only file.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Notes what it says that it has; less than before does not count.
    pub(super) fn note_ack(&self, received: Option<u64>, synced: Option<u64>) {
        if let Some(offset) = received {
            self.acked.fetch_max(offset, Ordering::AcqRel);
            self.has_acked.store(true, Ordering::Release);
        }
        if let Some(offset) = synced {
            self.synced.fetch_max(offset, Ordering::AcqRel);
        }
    }

    /// It has acknowledged something.
    pub fn has_acked(&self) -> bool {
        self.has_acked.load(Ordering::Acquire)
    }

    /// A sign of life: an acknowledgement, or the newline that a replica sends while it loads.
    pub(super) fn note_heard(&self, now_ms: i64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Time since its last sign of life, in ms.
    pub fn silent_ms(&self, now_ms: i64) -> i64 {
        (now_ms - self.heard_ms.load(Ordering::Relaxed)).max(0)
    }

    /// Its socket has taken something.
    pub(super) fn note_took(&self, now_ms: i64) {
        self.took_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Time since its socket took something, in ms.
    pub(super) fn stuck_ms(&self, now_ms: i64) -> i64 {
        (now_ms - self.took_ms.load(Ordering::Relaxed)).max(0)
    }

    /// Offset up to which its socket has taken the log.
    pub fn place(&self) -> u64 {
        self.place.load(Ordering::Acquire)
    }

    pub(super) fn set_place(&self, offset: u64) {
        self.place.store(offset, Ordering::Release);
    }

    /// Writers are slowed for it, so that it reaches the log's end.
    pub fn is_catching_up(&self) -> bool {
        self.is_catching_up.load(Ordering::Acquire)
    }

    pub(super) fn set_catching_up(&self, on: bool) {
        self.is_catching_up.store(on, Ordering::Release);
    }

    /// True if it counts for `min-replicas-to-write`.
    pub fn is_good(&self, now_ms: i64, max_lag_s: i64) -> bool {
        self.stage() == Stage::Online && self.silent_ms(now_ms) / 1000 <= max_lag_s
    }
}
