//! ACL SETUSER, DELUSER and LOAD in a cluster. What is agreed on is the whole of a user's rules, with hashes for passwords.
//! Must not know: what rules mean.

use std::sync::Arc;

use holdfast_acl::{Account, User};
use holdfast_cluster::state::Entry as Change;

use super::{Answer, Outcome, later, propose};
use crate::acl::{self, defaults};
use crate::commands::{Call, ServerResult};
use crate::server::Server;

pub(in super::super) fn set(call: &mut Call<'_, '_>, name: &[u8], rules: Vec<Vec<u8>>) -> ServerResult {
    let (server, name) = (Arc::clone(&call.session.server), name.to_vec());
    later(call, async move {
        let words = rules.iter().map(Vec::as_slice);
        let user = server.acl.users.after(&name, words, &defaults(&server.config));
        let user = user.map_err(|error| format!("ERR {error}"))?;
        propose(&server, put(&name, &user)).await?;
        Ok(Answer::Ok)
    })
}

pub(in super::super) fn delete(call: &mut Call<'_, '_>, names: Vec<Vec<u8>>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    later(call, async move {
        let mut count = 0;
        for name in names {
            if server.acl.users.get(&name).is_some() {
                count += 1;
                propose(&server, gone(&name)).await?;
            }
        }
        Ok(Answer::Int(count))
    })
}

/// The users of this node's file become all nodes'.
pub(in super::super) fn load(call: &mut Call<'_, '_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    later(call, async move { load_file(&server).await })
}

async fn load_file(server: &Arc<Server>) -> Outcome {
    let declared = acl::read_users(server).map_err(|error| format!("ERR {error}"))?;
    let now = server.acl.users.all();
    let text_now = |name: &[u8]| {
        let account = now.iter().find(|account| account.name() == name);
        account.map(|account| account.user().text())
    };
    let mut changes: Vec<Change> = declared
        .iter()
        .filter(|declared| text_now(&declared.name) != Some(declared.user.text()))
        .map(|declared| put(&declared.name, &declared.user))
        .collect();
    let is_declared = |account: &Account| declared.iter().any(|d| *d.name == *account.name());
    for account in now.iter().filter(|account| !is_declared(account)) {
        let first = User::unlimited(&defaults(&server.config));
        match account.name() {
            b"default" if account.user().text() == first.text() => {}
            b"default" => changes.push(put(account.name(), &first)),
            name => changes.push(gone(name)),
        }
    }
    for change in changes {
        propose(server, change).await?;
    }
    Ok(Answer::Ok)
}

/// The password of `default` has changed by `requirepass`. That is each node's own, unless the cluster has a word on `default`.
///
/// # Errors
/// The error reply.
pub(super) async fn default_has_changed(server: &Arc<Server>) -> Result<(), String> {
    let name = b"default";
    let is_wide = |cluster: &crate::cluster::Cluster| cluster.view().state.acl.contains_key(&name[..]);
    if !server.cluster.get().is_some_and(is_wide) {
        return Ok(());
    }
    let user = server.acl.users.default_account().user();
    propose(server, put(name, &user)).await
}

fn put(name: &[u8], user: &User) -> Change {
    Change::Acl {
        user: name.to_vec().into(),
        rules: Some(user.text().into()),
    }
}

fn gone(name: &[u8]) -> Change {
    Change::Acl {
        user: name.to_vec().into(),
        rules: Some(bytes::Bytes::new()),
    }
}
