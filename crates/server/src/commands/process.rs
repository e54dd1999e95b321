//! SHUTDOWN, TIME: the process as a whole.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::ending::{self, CANNOT_END, Manner};
use crate::registry::Run;
use crate::session::{Flow, Replies, Wait};

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&SHUTDOWN, &TIME];

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

/// Saves first if that is asked for, or if there are save points and it is not asked not to.
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
    let server = Arc::clone(&call.session.server);
    if abort {
        return match server.ending.abort(&server) {
            true => call.ok(),
            false => Err(ServerError::new("ERR No shutdown in progress.")),
        };
    }
    if let Some(text) = server.scripts.busy.text()
        && !nosave
    {
        return Err(ServerError::new(text));
    }
    let manner = Manner {
        save: match (save, nosave) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            (false, false) => None,
        },
        now,
        force,
    };
    server.stats.add(call.w.id, &mut call.w.counters);
    if tokio::runtime::Handle::try_current().is_err() {
        // Nobody else is served by this thread.
        let ends = server.ending.begin(None) && ending::go(&server, manner);
        if !ends {
            return Err(ServerError::new(CANNOT_END));
        }
        server.shutdown.cancel();
        return Ok(Flow::Close);
    }
    let session = &call.session;
    let muted = session.replies != Replies::On;
    let blocking = &session.server.blocking;
    let waiter = blocking.enter_job(&session.client, call.entry, session.db, session.proto, muted);
    if server.ending.begin(Some(Arc::clone(&waiter))) {
        let ending = Arc::clone(&server);
        let thread = std::thread::Builder::new()
            .name("shutdown".into())
            .spawn(move || {
                if ending::go(&ending, manner) {
                    ending.shutdown.cancel();
                }
            });
        if let Err(error) = thread {
            tracing::warn!(%error, "no thread for SHUTDOWN");
            server.ending.give_up(&server);
        }
    }
    Ok(Flow::Blocked(Wait {
        waiter,
        timeout_ms: None,
    }))
}

fn time(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    call.w.reply.array(2);
    call.w.reply.bulk_int(now.as_secs() as i64);
    call.w.reply.bulk_int(i64::from(now.subsec_micros()));
    Ok(Flow::Continue)
}
