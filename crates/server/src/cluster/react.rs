//! What follows from a new view: this node's role, clients that wait for keys which are another node's now are sent there, subscribers of
//! shards' channels likewise, counters of lost slots begin anew, and their keys are removed. Must not know: why the view
//! is new.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use holdfast_cluster::state::{Route, View};
use holdfast_cluster::{SLOTS, SlotSet};
use holdfast_commands::args::Args;
use holdfast_resp::OwnedFrame;
use holdfast_storage::keyspace::ShardSet;
use holdfast_storage::slot::key_slot;

use super::{Cluster, endpoint, in_sync, migration, wide};
use crate::blocking::{self, Waiter};
use crate::client::flag;
use crate::config::Param;
use crate::execute::{self, Caller};
use crate::registry::{Registry, Run};
use crate::replication::{Role, replica};
use crate::server::Server;
use crate::worker::Worker;

/// How long a node that has left is remembered: redis-cli tells every node to forget it, one after the other.
const REMEMBERED_MS: i64 = 60_000;

/// Takes note of the current view. Whoever changes the view calls this, and cron does, too; no lock may be held.
pub fn to_view(server: &Arc<Server>) {
    let Some(cluster) = server.cluster.get() else {
        return;
    };
    let view = cluster.view();
    let mut seen = cluster.seen.lock();
    wide::to_view(server, cluster, seen.as_ref(), &view);
    if seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &view)) {
        return;
    }
    let was_ok = cluster.is_ok(&server.config, &view);
    cluster.note_coverage(&view);
    let is_ok = cluster.is_ok(&server.config, &view);
    if was_ok != is_ok || seen.is_none() {
        tracing::warn!("Cluster state changed: {}", if is_ok { "ok" } else { "fail" });
    }
    let before = seen.replace(Arc::clone(&view));
    let mut lost = before
        .as_ref()
        .map(|before| lost(before, &view))
        .unwrap_or_default();
    let left = migration::to_view(server, &cluster.migrations, before.as_deref(), &view);
    if let Some(before) = &before {
        note_departed(server, cluster, before, &view);
        let was_replica = before.my_shard().is_some() && !before.is_primary();
        if was_replica && before.state.cluster != view.state.cluster && view.is_primary() {
            cluster.to_empty.store(true, Ordering::Release);
        }
    }
    // Whoever has looked at the old view before he got his locks has finished, or will look again.
    for shard in 0..server.keyspace.shard_count() {
        drop(server.keyspace.lock_one(shard as u16));
    }
    server.observe.slot_stats.reset(lost.iter().collect::<Vec<u16>>());
    lost.extend_from(&left);
    if !lost.is_empty() {
        cluster.strays.lock().restart();
    }
    let mut all_lost = cluster.lost.lock();
    all_lost.extend_from(&lost);
    cluster.has_strays.store(!all_lost.is_empty(), Ordering::Release);
    drop(all_lost);
    to_waiters(server, cluster);
    to_subscribers(server, &view);
    to_role(server, &view);
    migration::follow(server);
}

/// Follows the primary of this node's shard, or follows nobody any more.
fn to_role(server: &Arc<Server>, view: &View) {
    let Some(shard) = view.my_shard() else {
        return;
    };
    let by_tls = server.config.flag(Param::TlsReplication);
    let primary = view
        .state
        .nodes
        .get(&shard.primary)
        .filter(|node| node.id != view.me);
    let wanted = primary.map_or(Role::Primary, |node| Role::Replica {
        host: node.endpoint.ip.clone(),
        port: endpoint::port(&node.endpoint, by_tls),
    });
    if server.replication.role() == wanted {
        return;
    }
    let mut all = server.keyspace.lock(&ShardSet::All);
    let functions = server.scripts.libraries.change();
    match wanted {
        Role::Primary => {
            if replica::unfollow(server, &mut all, &functions) {
                tracing::info!("I'm the primary of my shard now");
            }
        }
        Role::Replica { host, port } => {
            tracing::info!("I'm a replica of {host}:{port} now");
            replica::follow(server, &mut all, &functions, host, port);
        }
    }
}

fn note_departed(server: &Server, cluster: &Cluster, before: &View, now: &View) {
    let now_ms = server.now_ms();
    let mut departed = cluster.departed.lock();
    departed.retain(|_, until| *until > now_ms);
    let gone = before
        .state
        .nodes
        .keys()
        .filter(|id| !now.state.nodes.contains_key(id));
    departed.extend(gone.map(|id| (*id, now_ms + REMEMBERED_MS)));
}

/// Slots that this node's shard had, and has no more.
fn lost(before: &View, now: &View) -> SlotSet {
    (0..SLOTS)
        .filter(|slot| has(before, *slot) && !has(now, *slot))
        .collect()
}

/// Whether this node's shard has the slot.
fn has(view: &View, slot: u16) -> bool {
    matches!(view.route(slot), Route::Mine { .. })
}

/// Tells clients that wait for keys where these are now, or that nobody serves them.
pub fn to_waiters(server: &Server, cluster: &Cluster) {
    let view = cluster.view();
    let rules = cluster.rules(&server.config, &view);
    let is_ok = !rules.down || rules.wait;
    for waiter in server.blocking.for_keys() {
        if let Some(text) = redirection(server, &view, is_ok, &waiter) {
            let mut reply = holdfast_resp::Reply::new(Vec::new(), waiter.proto);
            reply.error(&text);
            server.stats.note_error(server.threads, text.as_bytes());
            blocking::unblock(server, None, &waiter, reply.as_bytes());
        }
    }
}

/// What a client that waits for keys is told in place of its command's reply: another node has them now, or nobody
/// serves them. None: it may be served here.
pub fn elsewhere(server: &Server, waiter: &Waiter) -> Option<String> {
    let cluster = server.cluster.get()?;
    let view = cluster.view();
    let is_ok = cluster.is_ok(&server.config, &view);
    redirection(server, &view, is_ok, waiter)
}

fn redirection(server: &Server, view: &View, is_ok: bool, waiter: &Waiter) -> Option<String> {
    let slot = key_slot(waiter.first_key()?);
    if !is_ok {
        return Some("CLUSTERDOWN The cluster is down".into());
    }
    let moved = |node| {
        let preferred = endpoint::preferred(&server.config);
        let address = endpoint::address(node, preferred, waiter.client.has_flag(flag::TLS));
        Some(format!("MOVED {slot} {address}"))
    };
    match view.route(slot) {
        Route::Mine { .. } if view.is_primary() => None,
        Route::Mine { .. } => {
            let primary = view
                .my_shard()
                .and_then(|shard| view.state.nodes.get(&shard.primary))?;
            moved(primary)
        }
        Route::Elsewhere { importing: true, .. } => None,
        Route::Elsewhere { primary, .. } => moved(primary),
        Route::Unassigned { importing: true } => None,
        Route::Unassigned { importing: false } => Some("CLUSTERDOWN Hash slot not served".into()),
    }
}

/// Has the connections of those who listen to channels of other shards leave them.
fn to_subscribers(server: &Server, view: &View) {
    let foreign: Vec<Box<[u8]>> = server
        .pubsub
        .shard_channels(None)
        .into_iter()
        .filter(|channel| !has(view, key_slot(channel)))
        .collect();
    for client in server.pubsub.shard_subscribers(&foreign) {
        client.set_flag(flag::LEAVES_SHARDS, true);
        client.waker.wake();
    }
}

/// The channels among these that are another shard's.
pub fn foreign_channels<'c>(
    server: &Server,
    channels: impl Iterator<Item = &'c Box<[u8]>>,
) -> Vec<Box<[u8]>> {
    let Some(cluster) = server.cluster.get() else {
        return Vec::new();
    };
    let view = cluster.view();
    channels
        .filter(|channel| !has(&view, key_slot(channel)))
        .cloned()
        .collect()
}

/// Once a tick of cron: follows the view and the configuration, and removes some keys of lost slots.
pub fn cron(w: &mut Worker) {
    let server = Arc::clone(&w.server);
    let Some(cluster) = server.cluster.get() else {
        return;
    };
    to_view(&server);
    keep_in_sync(&server, cluster, w.now_ms);
    cluster.note_owners(&server.config, w.now_ms);
    to_waiters_if_down(&server, cluster);
    if cluster.to_empty.load(Ordering::Acquire) {
        empty(&server, cluster, w);
    }
    migration::follow(&server);
    if cluster.has_strays.load(Ordering::Acquire) {
        remove_strays(&server, cluster, w);
    }
}

/// Once a second: tells the control plane what the configuration says of this node's addresses.
pub fn announce(w: &mut Worker) {
    let server = Arc::clone(&w.server);
    let Some(cluster) = server.cluster.get() else {
        return;
    };
    cluster.plane().set_endpoint(endpoint::own(&server.config));
}

/// Tells the control plane how the data stand.
pub fn report(server: &Server) {
    let Some(cluster) = server.cluster.get() else {
        return;
    };
    let follows = server.replication.is_replica();
    let whole = !server.is_loading() && (!follows || server.replication.follower.is_whole());
    let priority = match server.config.flag(Param::ClusterReplicaNoFailover) {
        true => 0,
        false => u32::try_from(server.config.int(Param::ReplicaPriority)).unwrap_or(0),
    };
    cluster.plane().report(server.log.end_offset(), whole, priority);
}

/// Proposes who of this node's replicas is in sync, when that has changed.
fn keep_in_sync(server: &Arc<Server>, cluster: &Cluster, now_ms: i64) {
    if server.shutdown.is_cancelled() {
        return; // they are leaving since this server does, and one of them is to take over
    }
    let change = {
        let mut past = cluster.past.lock();
        past.note(now_ms, server.log.end_offset());
        in_sync::change(server, &cluster.view(), &past, now_ms)
    };
    let Some(change) = change else { return };
    if cluster.syncing.swap(true, Ordering::AcqRel) {
        return;
    }
    let pending = cluster.plane().propose(change);
    let server = Arc::clone(server);
    tokio::spawn(async move {
        if let Err(error) = pending.await {
            tracing::debug!("a change of the in-sync set was not agreed on: {error}");
        }
        if let Some(cluster) = server.cluster.get() {
            cluster.syncing.store(false, Ordering::Release);
        }
    });
}

fn to_waiters_if_down(server: &Server, cluster: &Cluster) {
    let rules = cluster.rules(&server.config, &cluster.view());
    if rules.down && !rules.wait && server.blocking.clients() > 0 {
        to_waiters(server, cluster);
    }
}

/// Removes all data: those of a shard of another cluster, which this node was a replica of and has left. They are not this
/// node's, and would keep it from joining one again.
fn empty(server: &Arc<Server>, cluster: &Cluster, w: &mut Worker) {
    let Some(entry) = Registry::get().find(b"flushall") else {
        return;
    };
    let frame = OwnedFrame::from_args([&b"FLUSHALL"[..]]);
    let (Run::Data(handler), Some(frame)) = (entry.run, frame.frame()) else {
        return;
    };
    let mut all = server.keyspace.lock(&ShardSet::All);
    if server.replication.is_replica() {
        // It has joined again meanwhile: its primary's data are on their way, and are to stay when it is promoted.
        cluster.to_empty.store(false, Ordering::Release);
        return;
    }
    let caller = Caller {
        db: 0,
        may_block: false,
        no_touch: true,
        known: None,
    };
    let mark = w.reply.mark();
    execute::run_locked(w, &caller, entry, handler, Args::new(frame), &mut all);
    w.reply.truncate_to(mark);
    cluster.to_empty.store(false, Ordering::Release);
    drop(all);
    execute::after_unlock(w);
    tracing::info!("I have left my cluster, and with it its data");
}

/// Removes some keys of slots that this shard has lost: nobody reaches them, and they must not come back with the slot.
fn remove_strays(server: &Arc<Server>, cluster: &Cluster, w: &mut Worker) {
    let view = cluster.view();
    if view.my_shard().is_some() && !view.is_primary() {
        // A replica does as its primary does.
        *cluster.lost.lock() = SlotSet::new();
    }
    if !cluster.plane().lease_holds() {
        return; // what this node knows may be old
    }
    let slots = strays(cluster, &view);
    if slots.is_empty() {
        let lost = cluster.lost.lock();
        cluster.has_strays.store(!lost.is_empty(), Ordering::Release);
        return;
    }
    // A slot may have come back, with keys that are wanted.
    let wanted = |slot| !is_foreign(&cluster.view(), slot);
    let mut search = cluster.strays.lock();
    if let Some(done) = search.turn(server, w, &slots, wanted) {
        let mut lost = cluster.lost.lock();
        done.iter().for_each(|slot| lost.remove(slot));
    }
}

/// Lost slots that are another shard's now. Slots that have come back, or come, are lost no more; those that nobody has
/// stay as they are until somebody gets them.
fn strays(cluster: &Cluster, view: &View) -> SlotSet {
    let coming = cluster.migrations.coming().unwrap_or_default();
    let mut lost = cluster.lost.lock();
    let back: Vec<u16> = lost
        .iter()
        .filter(|slot| has(view, *slot) || coming.contains(*slot))
        .collect();
    for slot in back {
        lost.remove(slot);
    }
    lost.iter().filter(|slot| is_foreign(view, *slot)).collect()
}

/// Slots whose keys are nobody's: they are removed in the background.
pub fn abandon(cluster: &Cluster, slots: &SlotSet) {
    cluster.lost.lock().extend_from(slots);
    cluster.strays.lock().restart();
    cluster.has_strays.store(true, Ordering::Release);
}

/// Whether another shard serves the slot, and its keys are not on their way here.
fn is_foreign(view: &View, slot: u16) -> bool {
    let comes = || {
        let mut running = view.state.migrations.values();
        running.any(|m| m.slots.contains(slot) && migration::comes_here(view, m))
    };
    matches!(view.route(slot), Route::Elsewhere { importing: false, .. }) && !comes()
}
