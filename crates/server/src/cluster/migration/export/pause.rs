//! Writers of the slots wait while the last of them is sent and their owner changes.
//!
//! Must not know: what is sent meanwhile.

use std::time::{Duration, Instant};

use holdfast_cluster::state::Migration;

use super::super::Migrations;
use crate::server::Server;

/// Writers of the slots wait for as long as this lives.
pub(super) struct Pause<'a> {
    server: &'a Server,
    migrations: &'a Migrations,
    migration: &'a Migration,
    began: Instant,
}

impl<'a> Pause<'a> {
    /// Has them wait: when this returns, none of them is writing.
    pub(super) fn begin(server: &'a Server, migrations: &'a Migrations, migration: &'a Migration) -> Self {
        let pause = Self {
            server,
            migrations,
            migration,
            began: Instant::now(),
        };
        migrations.handoff.begin(&migration.slots);
        // Whoever looked before has finished, or looks again.
        let keyspace = &server.keyspace;
        for shard in 0..keyspace.shard_count() {
            drop(keyspace.lock_one(shard as u16));
        }
        pause
    }

    /// How long it has lasted.
    pub(super) fn lasts(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.migrations.handoff.end();
        let ms = self.lasts().as_millis() as u64;
        let (id, now_ms) = (self.migration.id, self.server.now_ms());
        self.migrations.table.note(id, now_ms, |told| told.pause_ms = ms);
    }
}
