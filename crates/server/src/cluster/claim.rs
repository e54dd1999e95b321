//! Keys that were loaded at the start, and slots that are not this node's: a slot that nobody has becomes this node's; one
//! that another has is marked as importing, so that the keys are neither served nor lost, and `redis-cli --cluster fix`
//! finds them. As Redis 7.0 does. Must not know: files.

use std::sync::Arc;
use std::time::Duration;

use holdfast_cluster::state::{Entry, Route, View};
use holdfast_cluster::{SLOTS, SlotSet};

use super::{migration, react, slots};
use crate::server::Server;

/// A pause while nothing can be agreed on.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Looks at what has been loaded. A replica is left alone: its primary tells it what to have.
pub async fn loaded(server: &Arc<Server>) {
    let Some(cluster) = server.cluster.get() else {
        return;
    };
    let counting = Arc::clone(server);
    let Ok(counts) = tokio::task::spawn_blocking(move || slots::count_all(&counting.keyspace)).await else {
        return;
    };
    cluster.plane().loaded(counts.iter().any(|keys| *keys > 0));
    let view = cluster.view();
    if !view.is_primary() {
        return;
    }
    let (me, mut free) = (view.me, SlotSet::new());
    let travelled = travelled(&view);
    tokio::spawn(abandon_travelled(Arc::clone(server)));
    let mut changes = Vec::new();
    for slot in (0..SLOTS).filter(|slot| counts[usize::from(*slot)] > 0) {
        match view.route(slot) {
            Route::Mine { .. } | Route::Elsewhere { importing: true, .. } => {}
            // They came half, or have gone: nobody misses them here.
            Route::Elsewhere { importing: false, .. } if is_in_transit(&view, slot, &travelled) => {}
            Route::Unassigned { .. } => free.insert(slot),
            Route::Elsewhere { importing: false, .. } => {
                tracing::warn!(
                    "I have keys for slot {slot}, but the slot is assigned to another node. Setting it to importing state."
                );
                let importer = Some(me);
                changes.push(Entry::MarkImporting { slot, importer });
            }
        }
    }
    if !free.is_empty() {
        tracing::warn!(
            "I have keys for {} unassigned slots. Taking responsibility for them.",
            free.len()
        );
        changes.push(Entry::AssignSlots {
            node: me,
            slots: free,
        });
    }
    for change in changes {
        if let Err(error) = cluster.plane().propose(change).await {
            tracing::warn!("slots of keys that were loaded could not be claimed: {error}");
        }
    }
    let following = Arc::clone(server);
    let _shown_by_cron_too = tokio::task::spawn_blocking(move || react::to_view(&following)).await;
}

/// Has keys removed that migrations have left behind. What this node knew when it ended may be older than its keys: so it is
/// asked first what has been agreed on since.
async fn abandon_travelled(server: Arc<Server>) {
    while let Some(cluster) = server.cluster.get() {
        tokio::select! {
            () = server.shutdown.cancelled() => return,
            known = cluster.plane().propose(Entry::Barrier) => {
                if known.is_ok() {
                    let slots = travelled(&cluster.view());
                    if !slots.is_empty() {
                        react::abandon(cluster, &slots);
                    }
                    return;
                }
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Slots of migrations that are over and that this node's shard does not have: what it has of their keys was left behind.
fn travelled(view: &View) -> SlotSet {
    let mut slots = SlotSet::new();
    for migration in &view.state.finished_migrations {
        if migration::goes_from_here(view, migration) || migration::comes_here(view, migration) {
            slots.extend_from(&migration.slots);
        }
    }
    slots
        .iter()
        .filter(|slot| matches!(view.route(*slot), Route::Elsewhere { importing: false, .. }))
        .collect()
}

fn is_in_transit(view: &View, slot: u16, travelled: &SlotSet) -> bool {
    let mut running = view.state.migrations.values();
    travelled.contains(slot) || running.any(|m| m.slots.contains(slot) && migration::comes_here(view, m))
}
