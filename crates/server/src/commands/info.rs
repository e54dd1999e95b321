//! INFO: <https://redis.io/commands/info>. The fields are [`crate::info`]'s.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::{Call, ServerCommand, ServerResult};
use crate::info::{Snapshot, text};
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&INFO];

const INFO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "info",
        arity: -1,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: DANGEROUS),
        group: Group::Server,
        since: "1.0.0",
        summary: "Returns figures and state of the server.",
        complexity: "O(1)",
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        args: &[Arg::string("section").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(info),
};

fn info(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let wanted: Vec<&[u8]> = args.from(1).collect();
    let server = Arc::clone(&call.session.server);
    let snapshot = Snapshot::take(&server, call.w, call.locked.as_deref_mut());
    call.w.reply.verbatim("txt", text(&snapshot, &wanted).as_bytes());
    Ok(Flow::Continue)
}
