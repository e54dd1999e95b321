//! CLIENT PAUSE, UNPAUSE and UNBLOCK: <https://redis.io/commands/client-pause>.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::{Reply, parse_i64};

use super::{Call, ServerCommand, ServerError, ServerResult, wrong_subcommand};
use crate::blocking;
use crate::registry::Run;
use crate::server::PauseMode;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&CLIENT_PAUSE, &CLIENT_UNBLOCK, &CLIENT_UNPAUSE];

const CLIENT_PAUSE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|pause",
        arity: -3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "2.9.50",
        summary: "Holds back the commands of all clients for some time.",
        complexity: "O(1)",
        args: &[
            Arg::integer("timeout"),
            Arg::one_of("mode", &[Arg::word("write", "WRITE"), Arg::word("all", "ALL")])
                .opt()
                .since("6.2.0"),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(pause),
};

const CLIENT_UNBLOCK: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|unblock",
        arity: -3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "5.0.0",
        summary: "Wakes a client that is blocked in a command.",
        complexity: "O(log(N)), N: connections",
        args: &[
            Arg::integer("client-id"),
            Arg::one_of(
                "timeout_error",
                &[Arg::word("timeout", "TIMEOUT"), Arg::word("error", "ERROR")],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(unblock),
};

const CLIENT_UNPAUSE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|unpause",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "6.2.0",
        summary: "Ends CLIENT PAUSE.",
        complexity: "O(N), N: paused clients",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        call.session.server.unpause();
        call.ok()
    }),
};

fn pause(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let mode = match args.len() {
        3 => PauseMode::All,
        4 if args.is(3, "ALL") => PauseMode::All,
        4 if args.is(3, "WRITE") => PauseMode::Write,
        4 => return Err(ServerError::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(wrong_subcommand(call.entry, args)),
    };
    let ms = parse_i64(args.get(2))
        .ok_or_else(|| ServerError::new("ERR timeout is not an integer or out of range"))?;
    if ms < 0 {
        return Err(CmdError::TimeoutNegative.into());
    }
    let until = call.w.now_ms.checked_add(ms);
    let until = until.ok_or_else(|| ServerError::new("ERR timeout is out of range"))?;
    call.session.server.pause(until, mode);
    call.ok()
}

fn unblock(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let with_error = match args.len() {
        3 => false,
        4 if args.is(3, "TIMEOUT") => false,
        4 if args.is(3, "ERROR") => true,
        4 => {
            return Err(ServerError::new(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
        _ => return Err(wrong_subcommand(call.entry, args)),
    };
    let id = args.int(2)?;
    let server = Arc::clone(&call.session.server);
    let client = u64::try_from(id).ok().and_then(|id| server.clients.get(id));
    let waiter = client.and_then(|client| client.waiter());
    let done = waiter.is_some_and(|waiter| {
        let text = if with_error {
            let mut reply = Reply::new(Vec::new(), waiter.proto);
            reply.error("UNBLOCKED client unblocked via CLIENT UNBLOCK");
            reply.into_inner()
        } else {
            blocking::timeout_reply(&waiter)
        };
        blocking::unblock(&server, call.locked.as_deref_mut(), &waiter, &text)
    });
    call.w.reply.int(i64::from(done));
    Ok(Flow::Continue)
}
