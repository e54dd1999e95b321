//! Atomic migration of slots: a snapshot of the slots and their part of the log go from the source to the target, which
//! does not serve them yet; then writers of the slots wait for a moment, the rest follows, and one committed entry changes
//! the owner ([ADR 0020](../../../../../docs/adr/0020-atomic-slot-migration.md)).
//!
//! ```text
//! entry Begin  -> export   the source's thread: connects, snapshot, log, handoff, entry Commit
//!                 courier  its connection       filter   the slots' part of the log       handoff  the pause
//!              -> import   the target's session: commands into slots that it does not serve
//! table        what CLUSTER GETSLOTMIGRATIONS and CLUSTER MIGRATION STATUS tell
//! ```
//!
//! Must not know: how nodes agree.

mod courier;
mod export;
pub mod filter;
pub mod handoff;
pub mod import;
pub mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use holdfast_cluster::state::{Migration, View};
use holdfast_cluster::{MigrationId, SlotSet};
use parking_lot::{Mutex, RwLock};

use crate::server::Server;
use handoff::Handoff;
use table::Table;

/// Why a migration was given up, if an operator wanted it.
pub const BY_OPERATOR: &str = "cancelled by an operator";

/// The migrations that this node has a part in.
#[derive(Debug)]
pub struct Migrations {
    /// The pause of writers at the end, as the source.
    pub handoff: Arc<Handoff>,
    /// What is told of them.
    pub table: Table,
    /// The thread of the source is there.
    exporting: AtomicBool,
    /// Offset from which on the log is kept for the target; [`u64::MAX`]: it is not.
    place: AtomicU64,
    /// Slots that come to this node's shard.
    coming: RwLock<Arc<SlotSet>>,
    has_coming: AtomicBool,
    /// For each migration that comes here: raised when its session has to end.
    sessions: Mutex<BTreeMap<MigrationId, Arc<AtomicBool>>>,
    /// How often the data were changed as a whole.
    flushes: AtomicU64,
}

impl Default for Migrations {
    fn default() -> Self {
        Self {
            handoff: Arc::default(),
            table: Table::default(),
            exporting: AtomicBool::new(false),
            place: AtomicU64::new(u64::MAX),
            coming: RwLock::default(),
            has_coming: AtomicBool::new(false),
            sessions: Mutex::default(),
            flushes: AtomicU64::new(0),
        }
    }
}

impl Migrations {
    /// Offset from which on the log is kept for a target, if it is.
    pub fn place(&self) -> Option<u64> {
        Some(self.place.load(Ordering::Acquire)).filter(|place| *place != u64::MAX)
    }

    fn set_place(&self, place: Option<u64>) {
        self.place.store(place.unwrap_or(u64::MAX), Ordering::Release);
    }

    /// The slots that come to this node's shard; None: there are none.
    pub fn coming(&self) -> Option<Arc<SlotSet>> {
        self.has_coming
            .load(Ordering::Acquire)
            .then(|| Arc::clone(&self.coming.read()))
    }

    /// All data went at once: what had come is gone as well.
    pub fn note_flush(&self) {
        self.flushes.fetch_add(1, Ordering::AcqRel);
    }

    fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }
}

/// Whether this node's shard is the source of a migration.
pub fn goes_from_here(view: &View, migration: &Migration) -> bool {
    view.my_shard().is_some_and(|shard| shard.id == migration.from)
}

/// Whether this node's shard is the target of a migration.
pub fn comes_here(view: &View, migration: &Migration) -> bool {
    view.my_shard().is_some_and(|shard| shard.id == migration.to)
}

/// Takes note of a new view. Sessions that have to end know it when this returns; what they are in the middle of holds
/// locks. Returns slots that have come and are not wanted: their keys are nobody's.
pub fn to_view(server: &Server, migrations: &Migrations, before: Option<&View>, view: &View) -> SlotSet {
    let mut coming = SlotSet::new();
    for migration in view.state.migrations.values().filter(|m| comes_here(view, m)) {
        coming.extend_from(&migration.slots);
    }
    migrations.sessions.lock().retain(|id, over| {
        let runs = view.is_primary() && view.state.migrations.get(id).is_some_and(|m| comes_here(view, m));
        over.fetch_or(!runs, Ordering::AcqRel);
        runs
    });
    let mut left = SlotSet::new();
    if let Some(before) = before {
        let over = before.state.migrations.values();
        for migration in over.filter(|m| comes_here(before, m) && !view.state.migrations.contains_key(&m.id))
        {
            left.extend_from(&migration.slots);
        }
        left = left.iter().filter(|slot| !coming.contains(*slot)).collect();
    }
    // Such keys neither expire nor are evicted before they are served, as the source decides about them; nor are they shown.
    server.keyspace.hidden.set(coming.iter());
    migrations.has_coming.store(!coming.is_empty(), Ordering::Release);
    *migrations.coming.write() = Arc::new(coming);
    migrations.table.to_view(view, server.now_ms());
    left
}

/// Begins to send what has to go, if anything.
pub fn follow(server: &Arc<Server>) {
    export::follow(server);
}
