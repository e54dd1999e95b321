//! SHUTDOWN, TIME, ROLE: the process as a whole.

use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&SHUTDOWN, &TIME, &ROLE];

const SHUTDOWN: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "shutdown",
        arity: -1,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE, NO_MULTI, ALLOW_BUSY),
        group: Group::Server,
        since: "1.0.0",
        summary: "Ends the server, saving the data set if asked to.",
        complexity: "O(N) when saving N keys, else O(1)",
        args: &[
            Arg::one_of(
                "nosave_save",
                &[Arg::word("nosave", "NOSAVE"), Arg::word("save", "SAVE")],
            )
            .opt(),
            Arg::word("now", "NOW").opt().since("7.0.0"),
            Arg::word("force", "FORCE").opt().since("7.0.0"),
            Arg::word("abort", "ABORT").opt().since("7.0.0"),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(shutdown),
};

const TIME: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "time",
        arity: 1,
        flags: flags!(Flags: LOADING, STALE, FAST),
        group: Group::Server,
        since: "2.6.0",
        summary: "Returns the server's clock.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: Run::Server(time),
};

const ROLE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "role",
        arity: 1,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, FAST),
        acl: flags!(Acl: ADMIN, DANGEROUS),
        group: Group::Server,
        since: "2.8.12",
        summary: "Returns the replication role of this server.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(role),
};

/// There is nothing to save or to wait for yet, so every valid form ends the server at once.
fn shutdown(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let (mut save, mut nosave, mut now, mut force, mut abort) = (false, false, false, false, false);
    for word in args.from(1) {
        let flag = match word.to_ascii_uppercase().as_slice() {
            b"SAVE" => &mut save,
            b"NOSAVE" => &mut nosave,
            b"NOW" => &mut now,
            b"FORCE" => &mut force,
            b"ABORT" => &mut abort,
            _ => return Err(CmdError::Syntax.into()),
        };
        *flag = true;
    }
    if (abort && args.len() > 2) || (save && nosave) {
        return Err(CmdError::Syntax.into());
    }
    if abort {
        return Err(ServerError::new("ERR No shutdown in progress."));
    }
    if let Some(text) = call.session.server.scripts.busy.text()
        && !nosave
    {
        return Err(ServerError::new(text));
    }
    if save {
        return Err(ServerError::new(
            "ERR SHUTDOWN SAVE is not possible: this server has no persistence yet; use SHUTDOWN NOSAVE",
        ));
    }
    tracing::warn!("User requested shutdown...");
    call.session.server.shutdown.cancel();
    Ok(Flow::Close)
}

fn time(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    call.w.reply.array(2);
    call.w.reply.bulk_int(now.as_secs() as i64);
    call.w.reply.bulk_int(i64::from(now.subsec_micros()));
    Ok(Flow::Continue)
}

fn role(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let offset = call.session.server.log.end_offset();
    call.w.reply.array(3);
    call.w.reply.bulk(b"master");
    call.w.reply.int(offset as i64);
    call.w.reply.array(0);
    Ok(Flow::Continue)
}
