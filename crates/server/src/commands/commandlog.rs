//! COMMANDLOG: <https://valkey.io/commands/commandlog-get>. Its type `slow` is SLOWLOG's log.

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::slowlog::{count, write};
use super::{Call, ServerCommand, ServerError, help};
use crate::observe::command_log::{CommandLog, LogKind};
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &COMMANDLOG,
    &COMMANDLOG_GET,
    &COMMANDLOG_HELP,
    &COMMANDLOG_LEN,
    &COMMANDLOG_RESET,
];

const TYPE: Arg = Arg::one_of(
    "type",
    &[
        Arg::word("slow", "SLOW"),
        Arg::word("large-request", "LARGE-REQUEST"),
        Arg::word("large-reply", "LARGE-REPLY"),
    ],
);

const COMMANDLOG: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "commandlog",
        arity: -2,
        group: Group::Server,
        since: "8.1.0",
        summary: "Container of the commands about slow and large commands.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const COMMANDLOG_GET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "commandlog|get",
        arity: 4,
        flags: flags!(Flags: ADMIN, LOADING, STALE),
        group: Group::Server,
        since: "8.1.0",
        summary: "Returns the latest entries of a log of commands.",
        complexity: "O(N), N: entries returned",
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        args: &[Arg::integer("count"), TYPE],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| {
        let count = count(args.get(2))?;
        let entries = log(call, args, 3)?.newest(count);
        write(&mut call.w.reply, &entries);
        Ok(Flow::Continue)
    }),
};

const COMMANDLOG_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "commandlog|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Server,
        since: "8.1.0",
        summary: "Lists the subcommands of COMMANDLOG.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        help(
            call,
            "COMMANDLOG",
            &[
                (
                    "GET <count> <type>",
                    "The latest entries of a log (-1: all): id, Unix time, value, arguments, address and name of the client.",
                ),
                (
                    "LEN <type>",
                    "Number of entries of a log: slow (values in microseconds), large-request or large-reply (in bytes).",
                ),
                ("RESET <type>", "Empty a log."),
            ],
        )
    }),
};

const COMMANDLOG_LEN: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "commandlog|len",
        arity: 3,
        flags: flags!(Flags: ADMIN, LOADING, STALE),
        group: Group::Server,
        since: "8.1.0",
        summary: "Counts the entries of a log of commands.",
        complexity: "O(1)",
        tips: &[
            "request_policy:all_nodes",
            "response_policy:agg_sum",
            "nondeterministic_output",
        ],
        args: &[TYPE],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| {
        let len = log(call, args, 2)?.len();
        call.w.reply.int(len as i64);
        Ok(Flow::Continue)
    }),
};

const COMMANDLOG_RESET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "commandlog|reset",
        arity: 3,
        flags: flags!(Flags: ADMIN, LOADING, STALE),
        group: Group::Server,
        since: "8.1.0",
        summary: "Empties a log of commands.",
        complexity: "O(N), N: entries in the log",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        args: &[TYPE],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| {
        log(call, args, 2)?.clear();
        call.ok()
    }),
};

fn log<'s>(call: &'s Call<'_, '_>, args: Args<'_>, at: usize) -> Result<&'s CommandLog, ServerError> {
    let kinds = [
        ("slow", LogKind::Slow),
        ("large-request", LogKind::LargeRequest),
        ("large-reply", LogKind::LargeReply),
    ];
    match kinds.iter().find(|(name, _)| args.is(at, name)) {
        Some((_, kind)) => Ok(call.session.server.observe.logs.of(*kind)),
        None => Err(ServerError::new(
            "ERR type should be one of the following: slow, large-request, large-reply",
        )),
    }
}
