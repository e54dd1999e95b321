//! ACL LOAD, ACL SAVE: the users' own file.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::acl;
use crate::commands::agreed;
use crate::registry::Run;
use crate::session::Flow;

pub(super) const ACL_LOAD: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|load",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Reads the ACL file anew.",
        complexity: "O(N), N: users in the file and connections",
        ..Spec::DEFAULT
    },
    run: Run::Server(load),
};

pub(super) const ACL_SAVE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|save",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Writes the users to the ACL file.",
        complexity: "O(N), N: users",
        ..Spec::DEFAULT
    },
    run: Run::Server(save),
};

fn load(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    if agreed::applies(call)? {
        return agreed::users::load(call);
    }
    let server = Arc::clone(&call.session.server);
    let me = call.session.client.id;
    let ends_me = acl::load(&server, Some((me, call.locked.as_deref_mut()))).map_err(error)?;
    call.w.reply.ok();
    Ok(if ends_me { Flow::Close } else { Flow::Continue })
}

fn save(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    acl::save(&call.session.server).map_err(error)?;
    call.ok()
}

fn error(text: String) -> ServerError {
    ServerError(format!("ERR {text}"))
}
