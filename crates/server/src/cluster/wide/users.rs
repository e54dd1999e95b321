//! Users of the whole cluster take the place of those that a node has under the same names from its files. Must not know:
//! what rules mean.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Wide;
use crate::acl::{self, defaults};
use crate::server::Server;

type Table = BTreeMap<Bytes, Bytes>;

/// Sets and removes what has changed.
pub(super) fn follow(server: &Arc<Server>, wide: &Wide, before: Option<&Table>, now: &Table) {
    let known = |name: &Bytes| before.and_then(|before| before.get(name));
    for (name, rules) in now.iter().filter(|(name, rules)| known(name) != Some(*rules)) {
        if rules.is_empty() {
            remove(server, wide, name);
        } else {
            set(server, wide, name, rules);
        }
    }
    let left: Vec<_> = before
        .into_iter()
        .flatten()
        .filter(|(name, rules)| !rules.is_empty() && !now.contains_key(*name))
        .map(|(name, _)| String::from_utf8_lossy(name))
        .collect();
    if !left.is_empty() {
        // This node has joined a cluster that does not know them. Whoever made them may still need them.
        tracing::warn!(
            "users that are this node's alone until it restarts, as its cluster does not know them: {}",
            left.join(", ")
        );
    }
}

fn set(server: &Arc<Server>, wide: &Wide, name: &[u8], rules: &[u8]) {
    let users = &server.acl.users;
    if users
        .get(name)
        .is_some_and(|account| account.user().text() == rules)
    {
        return;
    }
    let user = acl::user_of_rules(name, rules, &defaults(&server.config)).unwrap_or_else(|error| {
        // Made by a newer version, perhaps. Nobody gets more rights than they were given.
        let name = String::from_utf8_lossy(name);
        tracing::error!("user {name} of the cluster may do nothing here: {error}");
        acl::nobody(&server.config)
    });
    match users.put(name, user, &defaults(&server.config)) {
        Ok(account) => note(wide, acl::end_listeners_of(server, &account, asker(wide), None)),
        Err(error) => tracing::error!("a user of the cluster could not be set: {error}"),
    }
}

fn remove(server: &Arc<Server>, wide: &Wide, name: &[u8]) {
    if let Some(account) = server.acl.users.remove(name, &defaults(&server.config)) {
        note(wide, acl::end_connections_of(server, &account, asker(wide), None));
    }
}

fn asker(wide: &Wide) -> u64 {
    wide.asker.load(Ordering::Acquire)
}

fn note(wide: &Wide, ends_asker: bool) {
    if ends_asker {
        wide.ends_asker.store(true, Ordering::Release);
    }
}
