//! What this node tells of migrations that its shard has a part in. It is kept in memory; whether a migration runs, and how it
//! ended, is in the cluster's state. Must not know: sockets, data.

use std::collections::BTreeMap;

use holdfast_cluster::MigrationId;
use holdfast_cluster::state::{Migration, Phase, View};
use parking_lot::Mutex;

use super::{BY_OPERATOR, comes_here, goes_from_here};

/// How far the source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It waits for its turn, or until it is tried again.
    #[default]
    Waiting,
    /// It connects; the target makes room.
    Connecting,
    /// The keys as they were at one moment are being sent.
    Snapshot,
    /// What was written since is being sent.
    Changes,
    /// Writers wait; the owner is about to change.
    Handoff,
}

impl Stage {
    /// As CLUSTER GETSLOTMIGRATIONS shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting-to-connect",
            Self::Connecting => "connecting",
            Self::Snapshot => "snapshotting",
            Self::Changes => "replicating",
            Self::Handoff => "failover-paused",
        }
    }
}

/// What is told of one migration. Times are in Unix ms, 0: not yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// When this node heard of it.
    pub created_ms: i64,
    /// When the first try began.
    pub started_ms: i64,
    /// When it was over.
    pub ended_ms: i64,
    /// When anything was noted last.
    pub updated_ms: i64,
    /// When the other side said something last.
    pub ack_ms: i64,
    /// How far it is.
    pub stage: Stage,
    /// Tries that failed.
    pub retries: u64,
    /// Why the last of them did.
    pub last_error: String,
    /// For how long writers waited, in the last handoff.
    pub pause_ms: u64,
    /// The most that writers left for the snapshot, in bytes.
    pub images: u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Table(Mutex<BTreeMap<MigrationId, Told>>);

/// The state's word for how a migration ended, and why; None: it runs.
pub fn ended(migration: &Migration) -> Option<(&'static str, &str)> {
    match &migration.phase {
        Phase::Running => None,
        Phase::Committed => Some(("success", "")),
        Phase::Cancelled(why) if why == BY_OPERATOR => Some(("cancelled", why)),
        Phase::Cancelled(why) => Some(("failed", why)),
    }
}

impl Table {
    /// Takes note of migrations that begin and end. Those that the state has forgotten are forgotten.
    pub(super) fn to_view(&self, view: &View, now_ms: i64) {
        let mut table = self.0.lock();
        let all = || {
            let state = &view.state;
            state.migrations.values().chain(&state.finished_migrations)
        };
        let here = |migration: &&Migration| goes_from_here(view, migration) || comes_here(view, migration);
        for migration in all().filter(here) {
            let told = table.entry(migration.id).or_insert_with(|| Told {
                created_ms: now_ms,
                updated_ms: now_ms,
                ..Told::default()
            });
            if migration.phase != Phase::Running && told.ended_ms == 0 {
                (told.ended_ms, told.updated_ms) = (now_ms, now_ms);
            }
        }
        let known: std::collections::BTreeSet<MigrationId> = all().map(|m| m.id).collect();
        table.retain(|id, _| known.contains(id));
    }

    /// What is told of a migration.
    pub fn get(&self, id: MigrationId) -> Told {
        self.0.lock().get(&id).cloned().unwrap_or_default()
    }

    /// Notes something of a migration that the state knows.
    pub(super) fn note(&self, id: MigrationId, now_ms: i64, note: impl FnOnce(&mut Told)) {
        if let Some(told) = self.0.lock().get_mut(&id) {
            note(told);
            told.updated_ms = now_ms;
        }
    }

    /// The other side has said something.
    pub(super) fn heard(&self, id: MigrationId, now_ms: i64) {
        if let Some(told) = self.0.lock().get_mut(&id) {
            told.ack_ms = now_ms;
        }
    }
}
