//! The target's side: a session whose commands may change slots that come to this node, and no others. It is an
//! ordinary session otherwise, so that what it does goes to this node's log, its replicas and its files.
//!
//! A session belongs to one try of one migration. It ends when the migration is over, when a newer try begins, when one of
//! its commands has failed, and when somebody empties the data: the source then begins anew.
//!
//! Must not know: who sends, and how the commands came about.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_cluster::{MigrationId, SlotSet};

use super::{Migrations, comes_here};
use crate::cluster::{Cluster, react};
use crate::server::Server;

/// What a session brings.
#[derive(Debug)]
pub struct Importing {
    /// The migration.
    pub id: MigrationId,
    slots: Arc<SlotSet>,
    /// Raised when this session has to end.
    over: Arc<AtomicBool>,
    /// Why what it has brought is of no use.
    failed: Option<String>,
    flushes: u64,
}

/// Why a session cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHere {
    /// This node does not know the migration, yet or any more.
    #[error("TRYAGAIN this node knows of no such migration")]
    Unknown,
    /// Its slots do not come here.
    #[error("ERR the slots of this migration do not come to this node")]
    NotTarget,
}

impl Importing {
    /// A new try: those before are over. What they have brought is to be removed before anything comes.
    ///
    /// # Errors
    /// See [`NotHere`].
    pub fn begin(server: &Arc<Server>, cluster: &Cluster, id: MigrationId) -> Result<Self, NotHere> {
        // What expires and what is removed goes by what has been taken note of.
        react::to_view(server);
        let migrations = &cluster.migrations;
        let view = cluster.view();
        let migration = view.state.migrations.get(&id).ok_or(NotHere::Unknown)?;
        if !comes_here(&view, migration) || !view.is_primary() || server.replication.is_replica() {
            return Err(NotHere::NotTarget);
        }
        if !migrations
            .coming()
            .is_some_and(|coming| migration.slots.iter().all(|slot| coming.contains(slot)))
        {
            return Err(NotHere::Unknown); // it has just begun
        }
        let over = Arc::new(AtomicBool::new(false));
        if let Some(earlier) = migrations.sessions.lock().insert(id, Arc::clone(&over)) {
            earlier.store(true, Ordering::Release);
        }
        // It may have ended between the look and the entry.
        if !cluster.view().state.migrations.contains_key(&id) {
            over.store(true, Ordering::Release);
        }
        let now_ms = server.now_ms();
        migrations.table.note(id, now_ms, |told| {
            if told.started_ms == 0 {
                told.started_ms = now_ms;
            } else {
                told.retries += 1;
            }
            told.stage = super::table::Stage::Snapshot;
        });
        Ok(Self {
            id,
            slots: Arc::new(migration.slots.clone()),
            over,
            failed: None,
            flushes: migrations.flushes(),
        })
    }

    /// The slots.
    pub fn slots(&self) -> &Arc<SlotSet> {
        &self.slots
    }

    /// Raised when this session has to end.
    pub fn over(&self) -> &Arc<AtomicBool> {
        &self.over
    }

    /// Whether a command may change this slot. Certain while its shard is locked.
    pub fn may_change(&self, slot: u16) -> bool {
        self.slots.contains(slot) && !self.over.load(Ordering::Acquire)
    }

    /// Whether a command has failed: nothing more of the session is done.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// A command has failed, with this reply.
    pub fn fail(&mut self, reply: &[u8]) {
        let line = reply.split(|byte| *byte == b'\r').next().unwrap_or_default();
        self.failed
            .get_or_insert_with(|| String::from_utf8_lossy(line).into_owned());
    }

    /// Whether everything so far is here.
    ///
    /// # Errors
    /// Why not, as a reply.
    pub fn confirm(&self, migrations: &Migrations, now_ms: i64) -> Result<(), String> {
        if let Some(failed) = &self.failed {
            return Err(format!("ERR a command of the migration failed: {failed}"));
        }
        if self.over.load(Ordering::Acquire) {
            return Err("ERR the migration is over, or was begun anew".to_owned());
        }
        if self.flushes != migrations.flushes() {
            return Err("ERR the data of the target were emptied or exchanged".to_owned());
        }
        migrations.table.heard(self.id, now_ms);
        Ok(())
    }
}
