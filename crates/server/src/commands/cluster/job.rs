//! How CLUSTER subcommands run: each handler answers at once, or tells what must be agreed on first. Then its client
//! waits, and its thread does not. A transaction of nothing but CLUSTER subcommands, as redis-cli sends them, is such a
//! job as a whole.

use std::sync::Arc;

use futures_util::FutureExt;
use holdfast_cluster::state::View;
use holdfast_commands::args::Args;
use holdfast_resp::{OwnedFrame, Proto, Reply};
use holdfast_storage::keyspace::{Locked, ShardSet};

use super::super::{Call, ServerError, ServerResult};
use super::{admin, keys, migration, show};
use crate::blocking::{self, Waiter};
use crate::client::flag;
use crate::cluster::plane::Pending;
use crate::cluster::{Cluster, react};
use crate::registry::Entry;
use crate::server::Server;
use crate::session::{Flow, Replies, Wait};
use crate::worker::Worker;

/// What a handler may use.
pub struct Ask<'a, 'k> {
    /// The server.
    pub server: &'a Arc<Server>,
    /// Its cluster.
    pub cluster: &'a Cluster,
    /// The view that the answer is about.
    pub view: Arc<View>,
    /// The subcommand itself.
    pub entry: &'static Entry,
    /// Its arguments.
    pub args: Args<'a>,
    /// The client's database.
    pub db: u32,
    /// The client speaks TLS.
    pub tls: bool,
    /// All shards, inside EXEC and scripts.
    pub locked: Option<&'a Locked<'k>>,
    /// Where the answer goes.
    pub reply: &'a mut Reply,
}

/// What becomes of a subcommand.
pub enum Then {
    /// It has been answered.
    Answered,
    /// It is answered when this is done: with a simple string.
    Later(Pending<String>),
    /// The same with any reply, as bytes that both protocols have.
    LaterReply(Pending<Vec<u8>>),
}

impl Then {
    /// The reply that comes later; None: it is there.
    fn pending(self) -> Option<Pending<Vec<u8>>> {
        match self {
            Self::Answered => None,
            Self::Later(text) => Some(Box::pin(async move {
                text.await.map(|text| format!("+{text}\r\n").into_bytes())
            })),
            Self::LaterReply(reply) => Some(reply),
        }
    }
}

/// A subcommand.
pub type Handler = fn(&mut Ask<'_, '_>) -> Result<Then, ServerError>;

/// A subcommand that must be agreed on, or does more than look.
const ADMINISTRATIVE: &[(&str, Handler)] = &[
    ("addslots", admin::add_slots),
    ("addslotsrange", admin::add_slots_range),
    ("bumpepoch", admin::bump_epoch),
    ("cancelslotmigrations", migration::cancel_slot_migrations),
    ("delslots", admin::delete_slots),
    ("delslotsrange", admin::delete_slots_range),
    ("failover", admin::failover),
    ("flushslots", admin::flush_slots),
    ("forget", admin::forget),
    ("meet", admin::meet),
    ("migrateslots", migration::migrate_slots),
    ("migration", migration::migration),
    ("replicate", admin::replicate),
    ("reset", admin::reset),
    ("saveconfig", admin::save_config),
    ("set-config-epoch", admin::set_config_epoch),
    ("setslot", admin::set_slot),
];

/// The others.
const LOOKING: &[(&str, Handler)] = &[
    ("count-failure-reports", show::count_failure_reports),
    ("countkeysinslot", keys::count_keys),
    ("getkeysinslot", keys::get_keys),
    ("getslotmigrations", migration::get_slot_migrations),
    ("help", show::help),
    ("info", show::info),
    ("keyslot", keys::key_slot),
    ("links", show::links),
    ("myid", show::my_id),
    ("myshardid", show::my_shard_id),
    ("nodes", show::nodes),
    ("replicas", show::replicas),
    ("shards", show::shards),
    ("slaves", show::replicas),
    ("slot-stats", keys::slot_stats),
    ("slots", show::slots),
];

fn handler(entry: &Entry) -> Option<Handler> {
    let name = entry.short_name();
    let found = ADMINISTRATIVE
        .iter()
        .chain(LOOKING)
        .find(|(known, _)| *known == name);
    found.map(|(_, handler)| *handler)
}

fn is_administrative(entry: &Entry) -> bool {
    entry.spec.name.starts_with("cluster|")
        && ADMINISTRATIVE.iter().any(|(name, _)| *name == entry.short_name())
}

/// Runs any subcommand of CLUSTER.
pub fn run(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    let Some(cluster) = server.cluster.get() else {
        return Err(super::off());
    };
    let handler = handler(call.entry).ok_or_else(|| ServerError::new("ERR unknown subcommand"))?;
    if call.locked.is_some() && is_administrative(call.entry) {
        return Err(ServerError::new(
            "ERR a change of the cluster must stand alone or in a transaction of nothing but CLUSTER subcommands",
        ));
    }
    let mut ask = Ask {
        server: &server,
        cluster,
        view: cluster.view(),
        entry: call.entry,
        args,
        db: call.session.db,
        tls: call.session.client.has_flag(flag::TLS),
        locked: call.locked.as_deref(),
        reply: &mut call.w.reply,
    };
    let Some(pending) = handler(&mut ask)?.pending() else {
        return Ok(Flow::Continue);
    };
    if tokio::runtime::Handle::try_current().is_err() {
        return at_once(call, &server, pending);
    }
    let waiter = enter(call);
    let job = Arc::clone(&waiter);
    tokio::spawn(async move {
        let result = pending.await;
        follow(&server).await;
        let mut reply = Reply::new(Vec::new(), job.proto);
        match result {
            Ok(bytes) => reply.raw(&bytes),
            Err(error) => refuse(&mut reply, &error.to_string()),
        }
        blocking::unblock(&server, None, &job, reply.as_bytes());
    });
    Ok(Flow::Blocked(Wait {
        waiter,
        timeout_ms: None,
    }))
}

/// Where there is no runtime (in tests) nothing can be waited for.
fn at_once(call: &mut Call<'_, '_>, server: &Arc<Server>, pending: Pending<Vec<u8>>) -> ServerResult {
    match pending.now_or_never() {
        None => Err(ServerError::new("ERR nobody can wait here")),
        Some(Err(error)) => Err(ServerError::new(error)),
        Some(Ok(bytes)) => {
            react::to_view(server);
            call.w.reply.raw(&bytes);
            Ok(Flow::Continue)
        }
    }
}

pub(super) fn enter(call: &Call<'_, '_>) -> Arc<Waiter> {
    let session = &*call.session;
    let muted = session.replies != Replies::On;
    let blocking = &session.server.blocking;
    blocking.enter_job(&session.client, call.entry, session.db, session.proto, muted)
}

fn refuse(reply: &mut Reply, text: &str) {
    Worker::with(|w, _| w.count_error(text.as_bytes()));
    reply.error(text);
}

/// Whoever is told that something was agreed on finds it in force.
async fn follow(server: &Arc<Server>) {
    let server = Arc::clone(server);
    let followed = tokio::task::spawn_blocking(move || react::to_view(&server)).await;
    if let Err(error) = followed {
        tracing::error!("following the cluster's state failed: {error}");
    }
}

/// Whether EXEC is to run this queue as a job.
pub fn takes(server: &Server, queue: &[(&'static Entry, OwnedFrame)]) -> bool {
    server.cluster.get().is_some()
        && tokio::runtime::Handle::try_current().is_ok()
        && queue.iter().any(|(entry, _)| is_administrative(entry))
        && queue.iter().all(|(entry, _)| handler_of(entry).is_some())
}

fn handler_of(entry: &Entry) -> Option<Handler> {
    entry
        .spec
        .name
        .starts_with("cluster|")
        .then(|| handler(entry))
        .flatten()
}

/// Runs a queue that [`takes`] has accepted: one subcommand after the other.
pub fn run_queue(call: &mut Call<'_, '_>, queue: Vec<(&'static Entry, OwnedFrame)>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    if is_watch_broken(call) {
        call.session.discard();
        call.w.reply.null_array();
        return Ok(Flow::Continue);
    }
    let (db, tls) = (call.session.db, call.session.client.has_flag(flag::TLS));
    call.session.discard();
    let waiter = enter(call);
    let job = Arc::clone(&waiter);
    tokio::spawn(async move {
        let mut replies = Reply::new(Vec::new(), job.proto);
        replies.array(queue.len());
        for (entry, frame) in &queue {
            let reply = one_of_queue(&server, (entry, frame), db, tls, job.proto).await;
            replies.raw(&reply);
        }
        blocking::unblock(&server, None, &job, replies.as_bytes());
    });
    Ok(Flow::Blocked(Wait {
        waiter,
        timeout_ms: None,
    }))
}

fn is_watch_broken(call: &mut Call<'_, '_>) -> bool {
    if call.session.watching.keys.is_empty() {
        return false;
    }
    let server = Arc::clone(&call.session.server);
    let mut locked = server.keyspace.lock(&ShardSet::All);
    call.session.watched_changed(&mut locked, call.w.now_ms)
}

async fn one_of_queue(
    server: &Arc<Server>,
    (entry, frame): (&'static Entry, &OwnedFrame),
    db: u32,
    tls: bool,
    proto: Proto,
) -> Vec<u8> {
    let mut reply = Reply::new(Vec::new(), proto);
    let then = match (server.cluster.get(), handler_of(entry), frame.frame()) {
        (Some(cluster), Some(handler), Some(frame)) => handler(&mut Ask {
            server,
            cluster,
            view: cluster.view(),
            entry,
            args: Args::new(frame),
            db,
            tls,
            locked: None,
            reply: &mut reply,
        }),
        _ => Err(super::off()),
    };
    match then.map(Then::pending) {
        Ok(None) => {}
        Ok(Some(pending)) => {
            let result = pending.await;
            follow(server).await;
            match result {
                Ok(bytes) => reply.raw(&bytes),
                Err(error) => refuse(&mut reply, &error.to_string()),
            }
        }
        Err(ServerError(text)) => {
            reply.clear();
            refuse(&mut reply, &text);
        }
    }
    reply.into_inner()
}
