//! The cluster's libraries of functions are a node's, once the cluster has ever had a word on them; until then a node keeps
//! those of its files, and tells the cluster of them. A primary logs what changes, for its files and for replicas that are
//! no nodes; a node that replicates does not believe its primary in this. Must not know: what a library does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_cluster::ClusterId;
use holdfast_cluster::state::{Entry, View};
use holdfast_replication::Record;
use holdfast_resp::encode_command;
use parking_lot::Mutex;

use crate::cluster::plane::PlaneError;
use crate::commands::scripting::function::read_library;
use crate::scripting::libraries::{Library, LibrarySet};
use crate::server::Server;

/// How long a client of this node may still delete what was deleted elsewhere.
const DELETED: Duration = Duration::from_secs(60);
/// Names that are remembered for that.
const MAX_DELETED: usize = 1000;

/// What was made of the libraries.
#[derive(Debug, Default)]
pub struct Memory {
    /// The cluster, its word on functions, and the version of the set that was made of them.
    seen: Mutex<Option<(ClusterId, u64, u64)>>,
    /// This node's own libraries are on their way to the cluster.
    adopting: AtomicBool,
    strangers: Mutex<Strangers>,
}

/// What came from other nodes. Clients that know of no cluster-wide functions load and delete on each node; to each node
/// its first time is the first.
#[derive(Debug, Default)]
struct Strangers {
    /// Libraries that no client of this node has loaded, by name.
    loaded: BTreeMap<Vec<u8>, ()>,
    /// Libraries that no client of this node has deleted, and when they went.
    deleted: BTreeMap<Vec<u8>, Instant>,
}

impl Memory {
    /// True once for a library that came from another node: a client of this one may load it, too.
    pub fn take_loaded(&self, name: &[u8]) -> bool {
        self.strangers.lock().loaded.remove(name).is_some()
    }

    /// True once for a library that was deleted elsewhere: a client of this node may delete it, too.
    pub fn take_deleted(&self, name: &[u8]) -> bool {
        let at = self.strangers.lock().deleted.remove(name);
        at.is_some_and(|at| at.elapsed() < DELETED)
    }

    /// A client of this node has loaded or deleted this.
    pub fn is_own(&self, name: &[u8]) {
        let mut strangers = self.strangers.lock();
        strangers.loaded.remove(name);
        strangers.deleted.remove(name);
    }

    pub(super) fn begin_adopting(&self) -> bool {
        !self.adopting.swap(true, Ordering::AcqRel)
    }

    pub(super) fn end_adopting(&self) {
        self.adopting.store(false, Ordering::Release);
    }

    fn note(&self, loaded: &[Vec<u8>], deleted: &[Vec<u8>]) {
        let (mut strangers, now) = (self.strangers.lock(), Instant::now());
        for name in loaded {
            strangers.deleted.remove(name);
            strangers.loaded.insert(name.clone(), ());
        }
        strangers
            .deleted
            .retain(|_, at| now.saturating_duration_since(*at) < DELETED);
        for name in deleted {
            strangers.loaded.remove(name);
            if strangers.deleted.len() < MAX_DELETED {
                strangers.deleted.insert(name.clone(), now);
            }
        }
    }
}

/// Makes the node's libraries the cluster's.
pub(super) fn follow(server: &Arc<Server>, memory: &Memory, view: &View) {
    let state = &view.state;
    let mut seen = memory.seen.lock();
    let made_of = (state.cluster, state.functions_index);
    let current = server.scripts.libraries.version();
    if state.functions_index == 0 {
        *seen = Some((made_of.0, 0, current));
        return;
    }
    if server.is_loading() {
        return;
    }
    if *seen == Some((made_of.0, made_of.1, current)) {
        return;
    }
    let now = server.scripts.libraries.get();
    let is_wanted = |library: &Library| {
        let wanted = state.functions.get(&library.name[..]);
        wanted.is_some_and(|code| code[..] == library.code[..])
    };
    let fresh = read(server, &state.functions, &now);
    let keeps_more = memory.adopting.load(Ordering::Acquire);
    let gone: Vec<Vec<u8>> = now
        .iter()
        .filter(|library| !is_wanted(library))
        .filter(|library| !keeps_more || state.functions.contains_key(&library.name[..]))
        .map(|library| library.name.clone())
        .collect();
    if fresh.is_empty() && gone.is_empty() {
        *seen = Some((made_of.0, made_of.1, current));
        return;
    }
    let mut change = server.scripts.libraries.change();
    if change.set.version != now.version {
        return; // it has changed meanwhile: the next look sees that
    }
    let mut log = Vec::new();
    for name in &gone {
        change.set.remove(name);
    }
    let mut loaded = Vec::new();
    for library in fresh {
        if let Some(function) = change.set.collision(&library) {
            tracing::error!(
                "library {} of the cluster is not here: function {} is another's",
                String::from_utf8_lossy(&library.name),
                String::from_utf8_lossy(&function)
            );
            continue;
        }
        encode_command(&mut log, &[b"FUNCTION", b"LOAD", b"REPLACE", &library.code]);
        loaded.push(library.name.clone());
        if change.set.add(library, true).is_err() {
            return; // it collides with nothing, as was seen above
        }
    }
    let deleted: Vec<Vec<u8>> = gone.into_iter().filter(|name| !loaded.contains(name)).collect();
    for name in &deleted {
        encode_command(&mut log, &[b"FUNCTION", b"DELETE", name]);
    }
    change.commit(|| {
        // A role changes only after this look at the view, or before.
        if !server.replication.is_replica() && !log.is_empty() {
            server.log.append(Record {
                db: 0,
                commands: &log,
            });
        }
    });
    server.log.notify();
    // What was there at the start is nobody's news.
    if seen.is_some() {
        memory.note(&loaded, &deleted);
    }
    *seen = Some((made_of.0, made_of.1, server.scripts.libraries.version()));
}

/// The libraries that are not here, or with other code.
fn read(server: &Server, wanted: &BTreeMap<Bytes, Bytes>, now: &LibrarySet) -> Vec<Library> {
    wanted
        .iter()
        .filter(|(name, code)| now.library(name).is_none_or(|library| library.code != code[..]))
        .filter_map(|(name, code)| match read_library(server, code) {
            Ok(library) => Some(library),
            Err(error) => {
                let name = String::from_utf8_lossy(name);
                tracing::error!("library {name} of the cluster is not here: {}", error.0);
                None
            }
        })
        .collect()
}

/// What a primary has from its files while the cluster has no word on functions: name and code.
pub(super) fn to_adopt(server: &Server, view: &View) -> Vec<(Bytes, Bytes)> {
    if view.state.functions_index > 0 || server.is_loading() || !view.is_primary() {
        return Vec::new();
    }
    let libraries = server.scripts.libraries.get();
    let pair = |library: &Arc<Library>| (library.name.clone().into(), library.code.clone().into());
    libraries.iter().map(pair).collect()
}

/// Tells the cluster of this node's libraries, if it has no word on functions yet. Whoever calls has the turn.
///
/// # Errors
/// It was not agreed on.
pub async fn adopt(server: &Arc<Server>) -> Result<(), PlaneError> {
    let Some(cluster) = server.cluster.get() else {
        return Ok(());
    };
    for (library, code) in to_adopt(server, &cluster.view()) {
        let code = Some(code);
        cluster.plane().propose(Entry::Function { library, code }).await?;
    }
    Ok(())
}
