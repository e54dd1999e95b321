//! The routing of a session's commands: collects their keys, looks at the data where that matters, and asks
//! [`super::route`]. First without locks, before anything else is known of the command; then, where the answer may have
//! changed meanwhile, once more with its keys locked, so that the decision and the command are one.

use std::sync::Arc;

use holdfast_cluster::state::{Route, ViewReader};
use holdfast_commands::key_positions::{KeyRefs, find_keys};
use holdfast_commands::spec::Flags;
use holdfast_resp::{Frame, Mark};
use holdfast_storage::keyspace::{KeyHash, Keyspace, Locked};

use super::migration::handoff::Handoff;
use super::migration::import::Importing;
use super::route::{Asker, Redirect, Routing};
use crate::client::flag;
use crate::config::Param;
use crate::registry::{Entry, KeyPlan};
use crate::server::Server;
use crate::session::Session;
use crate::worker::Worker;

/// A thread's way to the current view.
#[derive(Debug)]
pub struct Router {
    reader: ViewReader,
    handoff: Arc<Handoff>,
    /// The last decision depended on which keys there are.
    open: bool,
}

impl Router {
    /// For a thread of a server in cluster mode.
    pub fn of(server: &Server) -> Option<Self> {
        let cluster = server.cluster.get()?;
        Some(Self {
            reader: cluster.plane().view().reader(),
            handoff: Arc::clone(&cluster.migrations.handoff),
            open: false,
        })
    }

    /// Whether the last decision must be made again now that the keys are locked: it depended on which keys there are, the
    /// view is another, or the lease is over, as this thread may have waited for long.
    #[inline]
    pub fn must_look_again(&self, server: &Server) -> bool {
        let is_sealed = || {
            let cluster = server.cluster.get();
            cluster.is_some_and(|cluster| cluster.hand_over.is_sealed())
        };
        self.open
            || !self.reader.is_current()
            || is_sealed()
            || self.handoff.is_on()
            || !self.holds_lease(server)
    }

    /// Whether the lease under which the last decision was made still holds. Replicas need none.
    #[inline]
    fn holds_lease(&self, server: &Server) -> bool {
        !self.reader.seen().is_primary()
            || server
                .cluster
                .get()
                .is_none_or(|cluster| cluster.plane().lease_holds())
    }
}

/// The reply to a write that had begun under the lease and ended after it. Not one that clients send again by themselves:
/// if no other node takes over, the write counts.
pub const LATE: &str =
    "ERR The lease of this node ended while the command ran. Whether it counts is not known";

/// What a command may be answered that ran with its keys locked, which they still are: None if its reply stands. A thread
/// that was stopped in the middle may wake up when another node serves the slot already.
pub fn late(w: &Worker, writes: bool) -> Option<&'static str> {
    let router = w.router.as_ref()?;
    if router.holds_lease(&w.server) {
        return None;
    }
    if writes {
        return Some(LATE);
    }
    let reads = w.server.config.flag(Param::ClusterAllowReadsWhenDown);
    (!reads).then_some("CLUSTERDOWN The cluster is down")
}

/// Whether the slot is another node's, as far as this one knows, and travels here. Its former owner may have heard before
/// this one that it has arrived.
pub fn is_coming(w: &mut Worker, slot: u16) -> bool {
    let server = &w.server;
    let (Some(router), Some(cluster)) = (&mut w.router, server.cluster.get()) else {
        return false;
    };
    let view = router.reader.view();
    let is_marked = || matches!(view.route(slot), Route::Elsewhere { importing: true, .. });
    let migrates = || {
        cluster
            .migrations
            .coming()
            .is_some_and(|coming| coming.contains(slot))
    };
    view.is_primary() && (is_marked() || migrates())
}

/// What is known of keys beside the view.
struct Look<'l, 'k> {
    keyspace: &'l Keyspace,
    locked: Option<&'l Locked<'k>>,
    db: u32,
    now_ms: i64,
}

impl Look<'_, '_> {
    /// Whether the key is there. A shard that a script keeps locked is taken to have it: who asks will look again when
    /// he has the lock himself.
    fn exists(&self, key: &[u8], hash: KeyHash) -> bool {
        let shard = self.keyspace.shard_of(hash.slot);
        let live = |locked: &Locked<'_>| {
            let table = &locked.look(shard).dbs[self.db as usize].table;
            table
                .find(hash.hash, key)
                .is_some_and(|at| table.get(at).expire_at_ms().is_none_or(|at| at > self.now_ms))
        };
        match self.locked {
            Some(locked) if locked.holds(shard) => live(locked),
            // A channel's name, which is no key; or who asks gets the lock later, and looks again.
            Some(_) => true,
            None => self
                .keyspace
                .try_lock_one(shard)
                .is_none_or(|locked| live(&locked)),
        }
    }
}

impl Session {
    fn asker(&self) -> Asker {
        Asker {
            asking: self.asking,
            readonly: self.readonly,
            tls: self.client.has_flag(flag::TLS),
        }
    }
}

/// Puts the error in the place of the reply since `mark`, if [`late`] says so.
pub fn withdraw_if_late(w: &mut Worker, mark: Mark, writes: bool) {
    if let Some(text) = late(w, writes) {
        w.reply.truncate_to(mark);
        w.reply.error(text);
        w.count_error(text.as_bytes());
    }
}

/// May the command run here? `hash`: of its only key, if it has been computed; it is filled in if not. Asked in cluster
/// mode only.
///
/// # Errors
/// Where the client has to go, or why nobody serves it.
pub fn command(
    session: &Session,
    w: &mut Worker,
    entry: &'static Entry,
    frame: &Frame<'_>,
    hash: &mut Option<KeyHash>,
) -> Result<(), Redirect> {
    if entry.spec.keys.is_empty() {
        if entry.spec.name == "exec" {
            return transaction(session, w, None);
        }
        return unkeyed(w, entry);
    }
    if let KeyPlan::One(at) = entry.keys
        && hash.is_none()
    {
        *hash = frame
            .get(usize::from(at))
            .map(|key| session.server.keyspace.hash(key));
    }
    decide(session, w, None, std::iter::once((entry, *frame)), *hash, false).map(drop)
}

/// A command without keys that changes all slots waits while some are handed over.
fn unkeyed(w: &Worker, entry: &Entry) -> Result<(), Redirect> {
    match &w.router {
        Some(router) if router.handoff.holds_unkeyed(entry) => Err(Redirect::Wait),
        Some(_) | None => Ok(()),
    }
}

/// The same once more with the command's keys locked.
///
/// # Errors
/// As [`command`].
pub fn locked_command(
    session: &Session,
    w: &mut Worker,
    entry: &'static Entry,
    frame: &Frame<'_>,
    locked: &Locked<'_>,
) -> Result<(), Redirect> {
    unkeyed(w, entry)?;
    decide(
        session,
        w,
        Some(locked),
        std::iter::once((entry, *frame)),
        None,
        false,
    )
    .map(drop)
}

/// May all queued commands of the session run here?
///
/// # Errors
/// As [`command`].
pub fn transaction(session: &Session, w: &mut Worker, locked: Option<&Locked<'_>>) -> Result<(), Redirect> {
    let Some(multi) = &session.multi else {
        return Ok(());
    };
    if multi.aborted {
        return Ok(());
    }
    queue(session, w, &multi.queue, locked)
}

/// May these commands of a transaction run here?
///
/// # Errors
/// As [`command`].
pub fn queue(
    session: &Session,
    w: &mut Worker,
    queue: &[(&'static Entry, holdfast_resp::OwnedFrame)],
    locked: Option<&Locked<'_>>,
) -> Result<(), Redirect> {
    for (entry, _) in queue {
        unkeyed(w, entry)?;
    }
    let commands = queue
        .iter()
        .filter(|(entry, _)| !entry.spec.keys.is_empty())
        .filter_map(|(entry, owned)| Some((*entry, owned.frame()?)));
    decide(session, w, locked, commands, None, true).map(drop)
}

/// May a script run this command? `slot`: of the keys that it has used so far, if all must be in one.
///
/// # Errors
/// The text of the script's error.
pub fn from_script(
    session: &Session,
    w: &mut Worker,
    entry: &'static Entry,
    frame: &Frame<'_>,
    locked: &Locked<'_>,
    slot: Option<&mut Option<u16>>,
) -> Result<(), &'static str> {
    if entry.spec.keys.is_empty() {
        return Ok(());
    }
    let found = decide(
        session,
        w,
        Some(locked),
        std::iter::once((entry, *frame)),
        None,
        false,
    )
    .map_err(|redirect| redirect.script_text())?;
    if let (Some(slot), Some(found)) = (slot, found)
        && *slot.get_or_insert(found) != found
    {
        return Err("ERR Script attempted to access keys that do not hash to the same slot");
    }
    Ok(())
}

fn decide<'f>(
    session: &Session,
    w: &mut Worker,
    locked: Option<&Locked<'_>>,
    commands: impl Iterator<Item = (&'static Entry, Frame<'f>)>,
    known: Option<KeyHash>,
    is_transaction: bool,
) -> Result<Option<u16>, Redirect> {
    let server = &session.server;
    let (Some(router), Some(cluster)) = (&mut w.router, server.cluster.get()) else {
        return Ok(None);
    };
    let look = Look {
        keyspace: &server.keyspace,
        locked,
        db: session.db,
        now_ms: w.now_ms,
    };
    let Router {
        reader,
        handoff,
        open,
    } = router;
    if let Some(importing) = &session.importing {
        // Whether it may go on is certain under the locks only.
        *open = true;
        return import(server, importing, commands).map(|()| None);
    }
    *open = false;
    let view = Arc::clone(reader.view());
    let mut routing = Routing::new(&view);
    let mut writes = false;
    for (entry, frame) in commands {
        writes |= entry.spec.flags.any(Flags::WRITE.or(Flags::MAY_REPLICATE));
        routing.command(entry, is_transaction);
        let mut keys = KeyRefs::new();
        // Arguments that do not fit are answered by the handler.
        let _misfit = find_keys(entry.spec, &frame, &mut keys);
        for key in keys {
            let key: &'f [u8] = frame.arg(key.index as usize);
            let hash = known.unwrap_or_else(|| server.keyspace.hash(key));
            routing.add(key, hash.slot, || look.exists(key, hash))?;
        }
    }
    *open = routing.depends_on_keys();
    routing.decide(session.asker(), &cluster.rules(&server.config, &view))?;
    // Past the door when writes were held back there; or promoted, and about to take up its role.
    let is_changing = || {
        (locked.is_some() && cluster.hand_over.is_sealed())
            || (view.is_primary() && server.replication.is_replica())
    };
    if writes && is_changing() {
        return Err(Redirect::Wait);
    }
    match routing.slot() {
        Some(slot) if writes && handoff.holds(slot) => Err(Redirect::Wait),
        slot => Ok(slot),
    }
}

/// May the session of a migration run these commands? Only for its slots, and while it has not come to its end.
fn import<'f>(
    server: &Server,
    importing: &Importing,
    commands: impl Iterator<Item = (&'static Entry, Frame<'f>)>,
) -> Result<(), Redirect> {
    for (entry, frame) in commands {
        let mut keys = KeyRefs::new();
        let _misfit = find_keys(entry.spec, &frame, &mut keys);
        for key in keys {
            let slot = server.keyspace.hash(frame.arg(key.index as usize)).slot;
            if !importing.may_change(slot) {
                return Err(Redirect::NotImported(slot));
            }
        }
    }
    Ok(())
}
