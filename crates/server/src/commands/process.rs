//! SHUTDOWN, TIME, ROLE: the process as a whole.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::Reply;

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::blocking;
use crate::memory;
use crate::registry::Run;
use crate::saving;
use crate::server::SAVER_ROW;
use crate::session::{Flow, Replies, Wait};

const CANNOT_END: &str = "ERR Errors trying to SHUTDOWN. Check logs.";

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
    if abort {
        return Err(ServerError::new("ERR No shutdown in progress."));
    }
    if let Some(text) = call.session.server.scripts.busy.text()
        && !nosave
    {
        return Err(ServerError::new(text));
    }
    let asked = match (save, nosave) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        (false, false) => None,
    };
    let server = Arc::clone(&call.session.server);
    server.stats.add(call.w.id, &mut call.w.counters);
    let will_save = asked.unwrap_or_else(|| !server.config.save_points().is_empty());
    if !will_save || tokio::runtime::Handle::try_current().is_err() {
        return match saving::save_before_end(&server, asked) {
            Err(_) if !force => Err(ServerError::new(CANNOT_END)),
            Ok(()) | Err(_) => {
                server.shutdown.cancel();
                Ok(Flow::Close)
            }
        };
    }
    let session = &call.session;
    let muted = session.replies != Replies::On;
    let waiter =
        session
            .server
            .blocking
            .enter_job(&session.client, call.entry, session.db, session.proto, muted);
    let job = Arc::clone(&waiter);
    let thread = std::thread::Builder::new()
        .name("shutdown".into())
        .spawn(move || {
            let saved = saving::save_before_end(&server, asked);
            memory::retire(server.threads + SAVER_ROW);
            if saved.is_ok() || force {
                return server.shutdown.cancel();
            }
            let mut reply = Reply::new(Vec::new(), job.proto);
            reply.error(CANNOT_END);
            blocking::unblock(&server, None, &job, reply.as_bytes());
        });
    if let Err(error) = thread {
        tracing::warn!(%error, "no thread for SHUTDOWN");
        blocking::cancel(&call.session.server, &waiter);
        return Err(ServerError::new(CANNOT_END));
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

fn role(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let offset = call.session.server.log.end_offset();
    call.w.reply.array(3);
    call.w.reply.bulk(b"master");
    call.w.reply.int(offset as i64);
    call.w.reply.array(0);
    Ok(Flow::Continue)
}
