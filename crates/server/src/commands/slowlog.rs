//! SLOWLOG: <https://redis.io/commands/slowlog-get>. The log is [`crate::observe::command_log`]'s.

use holdfast_commands::args::{self, Args};
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::Reply;

use super::{Call, ServerCommand, ServerError, ServerResult, help, wrong_subcommand};
use crate::observe::command_log::{LogEntry, LogKind};
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &SLOWLOG,
    &SLOWLOG_GET,
    &SLOWLOG_HELP,
    &SLOWLOG_LEN,
    &SLOWLOG_RESET,
];

const SLOWLOG: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "slowlog",
        arity: -2,
        group: Group::Server,
        since: "2.2.12",
        summary: "Container of the commands about slow commands.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const SLOWLOG_GET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "slowlog|get",
        arity: -2,
        flags: flags!(Flags: ADMIN, LOADING, STALE),
        group: Group::Server,
        since: "2.2.12",
        summary: "Returns the latest slow commands.",
        complexity: "O(N), N: entries returned",
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        args: &[Arg::integer("count").opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(get),
};

const SLOWLOG_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "slowlog|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Server,
        since: "6.2.0",
        summary: "Lists the subcommands of SLOWLOG.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        help(
            call,
            "SLOWLOG",
            &[
                (
                    "GET [<count>]",
                    "The latest slow commands (10; -1: all): id, Unix time, microseconds, arguments, address and name of the client.",
                ),
                ("LEN", "Number of commands in the log."),
                ("RESET", "Empty the log."),
            ],
        )
    }),
};

const SLOWLOG_LEN: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "slowlog|len",
        arity: 2,
        flags: flags!(Flags: ADMIN, LOADING, STALE),
        group: Group::Server,
        since: "2.2.12",
        summary: "Counts the commands in the log of slow ones.",
        complexity: "O(1)",
        tips: &[
            "request_policy:all_nodes",
            "response_policy:agg_sum",
            "nondeterministic_output",
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        let len = call.session.server.observe.logs.of(LogKind::Slow).len();
        call.w.reply.int(len as i64);
        Ok(Flow::Continue)
    }),
};

const SLOWLOG_RESET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "slowlog|reset",
        arity: 2,
        flags: flags!(Flags: ADMIN, LOADING, STALE),
        group: Group::Server,
        since: "2.2.12",
        summary: "Empties the log of slow commands.",
        complexity: "O(N), N: entries in the log",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        call.session.server.observe.logs.of(LogKind::Slow).clear();
        call.ok()
    }),
};

/// Entries that are returned if the client does not say how many.
const COUNT: usize = 10;

fn get(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len() > 3 {
        return Err(wrong_subcommand(call.entry, args));
    }
    let count = args.opt(2).map_or(Ok(COUNT), count)?;
    let entries = call.session.server.observe.logs.of(LogKind::Slow).newest(count);
    write(&mut call.w.reply, &entries);
    Ok(Flow::Continue)
}

/// A number of entries; -1 means all.
pub(super) fn count(text: &[u8]) -> Result<usize, ServerError> {
    match args::int(text) {
        Ok(-1) => Ok(usize::MAX),
        Ok(count) if count >= 0 => Ok(count as usize),
        Ok(_) | Err(_) => Err(ServerError::new(
            "ERR count should be greater than or equal to -1",
        )),
    }
}

/// Entries of a log as clients get them.
pub(super) fn write(reply: &mut Reply, entries: &[LogEntry]) {
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.time);
        reply.int(entry.value as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.addr.as_bytes());
        reply.bulk(entry.name.as_bytes());
    }
}
