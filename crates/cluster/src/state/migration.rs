//! Slots on their way from one shard to another: the atomic way (one entry changes the owner) and the marks of the old
//! way (CLUSTER SETSLOT MIGRATING / IMPORTING). Must not know: how keys travel.

use crate::ids::{MigrationId, ShardId};
use crate::slots::SlotSet;

/// Finished migrations that are remembered for CLUSTER GETSLOTMIGRATIONS.
pub const REMEMBERED_MIGRATIONS: usize = 64;
/// Migrations that may run at one time.
pub const MAX_MIGRATIONS: usize = 1024;

/// How a migration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The source sends; it owns the slots.
    Running,
    /// The target owns the slots.
    Committed,
    /// Given up, with the reason; the source kept the slots.
    Cancelled(String),
}

/// An atomic migration of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its name.
    pub id: MigrationId,
    /// The shard that owned the slots.
    pub from: ShardId,
    /// The shard that gets them.
    pub to: ShardId,
    /// The slots.
    pub slots: SlotSet,
    /// How it stands.
    pub phase: Phase,
    /// Log index of the entry that began it.
    pub begun: u64,
}

/// The marks of CLUSTER SETSLOT on one slot. They belong to shards, so they outlive a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OpenSlot {
    /// SETSLOT MIGRATING: the owner answers ASK to this shard for keys that it no longer has.
    pub migrating_to: Option<ShardId>,
    /// SETSLOT IMPORTING: this shard serves the slot to clients that say ASKING.
    pub importing: Option<ShardId>,
}
