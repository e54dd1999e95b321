//! What holds on all nodes besides slots and roles: users, libraries of functions, some directives. A change that a client
//! asks for here is agreed on first ([`crate::commands`]' `agreed`); this is the other half, which makes a node what the
//! state says, whoever asked, and however long the node was away. docs/adr/0021-cluster-wide.md has the reasons.
//!
//! ```text
//! users      accounts, their connections      functions   the set of libraries      settings   directives
//! ```
//!
//! Must not know: how nodes agree, replies.

pub mod functions;
pub mod settings;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use holdfast_cluster::state::View;

use super::Cluster;
use crate::server::Server;
use crate::worker::Worker;

/// What a node remembers of cluster-wide things.
#[derive(Debug, Default)]
pub struct Wide {
    /// Held by the client of this node whose change is being agreed on: the next one sees what it did.
    pub turn: tokio::sync::Mutex<()>,
    /// That client's id, 0 for none, and whether its own change ends its connection: its reply leaves first.
    asker: AtomicU64,
    ends_asker: AtomicBool,
    /// What was made of the libraries.
    functions: functions::Memory,
}

impl Wide {
    /// A client has its turn.
    pub fn begin(&self, client: u64) {
        self.ends_asker.store(false, Ordering::Release);
        self.asker.store(client, Ordering::Release);
    }

    /// Its turn is over. True: its connection is to end.
    pub fn end(&self) -> bool {
        self.asker.store(0, Ordering::Release);
        self.ends_asker.load(Ordering::Acquire)
    }

    /// The libraries.
    pub fn functions(&self) -> &functions::Memory {
        &self.functions
    }
}

/// Makes this node what the view says. `before`: the view that was followed last. One call at a time; no shard may be
/// locked.
pub fn to_view(server: &Arc<Server>, cluster: &Cluster, before: Option<&Arc<View>>, now: &Arc<View>) {
    if before.is_none_or(|before| !Arc::ptr_eq(before, now)) {
        settings::follow(
            server,
            before.map(|view| &view.state.settings),
            &now.state.settings,
        );
        let acl = before.map(|view| &view.state.acl);
        users::follow(server, &cluster.wide, acl, &now.state.acl);
    }
    functions::follow(server, &cluster.wide.functions, now);
}

/// Once a second: tells the cluster of libraries that it never heard of.
pub fn announce(w: &mut Worker) {
    let server = Arc::clone(&w.server);
    let Some(cluster) = server.cluster.get() else {
        return;
    };
    if !functions::to_adopt(&server, &cluster.view()).is_empty() && cluster.wide.functions.begin_adopting() {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let Some(cluster) = server.cluster.get() else {
                return;
            };
            let _turn = cluster.wide.turn.lock().await;
            if let Err(error) = functions::adopt(&server).await {
                tracing::debug!("libraries of functions were not told to the cluster: {error}");
            }
            cluster.wide.functions.end_adopting();
        });
    }
}
