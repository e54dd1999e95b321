//! MONITOR: <https://redis.io/commands/monitor>. Who watches and what is shown is [`crate::observe::monitor`]'s.

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&MONITOR];

const MONITOR: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "monitor",
        arity: 1,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "1.0.0",
        summary: "Shows every command that the server executes, as it does so.",
        complexity: "O(1); from then on each command costs O(M), M: clients that watch",
        ..Spec::DEFAULT
    },
    run: Run::Server(monitor),
};

/// Who watches already gets no second answer, as in Redis.
fn monitor(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    if call.locked.is_some() {
        return Err(ServerError::new(
            "ERR MONITOR isn't allowed for DENY BLOCKING client",
        ));
    }
    if !call.session.is_monitor {
        call.session.monitor(true);
        call.w.refresh(); // what follows in the same pipeline is shown
        call.w.reply.ok();
    }
    Ok(Flow::Continue)
}
