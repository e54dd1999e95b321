//! DEBUG: what tests and people who look inside need. One command whose first argument chooses a row of [`ROWS`];
//! HELP is derived from the rows. Gated by `enable-debug-command` in [`crate::server::Server::is_protected`].

mod digest;
mod object;
mod process;
mod protocol;
mod reload;
mod tables;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Group, Spec};

use super::{Call, ServerCommand, ServerHandler, ServerResult, wrong_subcommand};
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&DEBUG];

const DEBUG: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "debug",
        arity: -2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE, SYSCMD),
        group: Group::Server,
        since: "1.0.0",
        summary: "Container of commands for tests.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Server(debug),
};

/// One subcommand.
struct Row {
    name: &'static str,
    /// Arguments after the name, as HELP shows them.
    usage: &'static str,
    help: &'static str,
    /// How many arguments it takes after its name: least and most.
    takes: (usize, usize),
    run: ServerHandler,
}

/// As many as the client likes.
const ANY: usize = usize::MAX;

const fn row(
    name: &'static str,
    takes: (usize, usize),
    usage: &'static str,
    help: &'static str,
    run: ServerHandler,
) -> Row {
    Row {
        name,
        usage,
        help,
        takes,
        run,
    }
}

/// Every subcommand, in order of their names.
const ROWS: &[Row] = &[
    row(
        "ASSERT",
        (0, ANY),
        "",
        "End the process as a failed assertion does.",
        process::assert,
    ),
    row(
        "CHANGE-REPL-ID",
        (0, 0),
        "",
        "Give the data a new replication id.",
        process::change_repl_id,
    ),
    row(
        "CONFIG-REWRITE-FORCE-ALL",
        (0, ANY),
        "",
        "Write the configuration file, all directives included.",
        process::config_rewrite,
    ),
    row(
        "DICT-RESIZING",
        (1, 1),
        "<0|1>",
        "Accepted; tables always grow in small steps.",
        accept,
    ),
    row(
        "DIGEST",
        (0, 0),
        "",
        "The digest of the whole data set.",
        digest::all,
    ),
    row(
        "DIGEST-VALUE",
        (0, ANY),
        "<key> [<key> ...]",
        "The digest of each value.",
        digest::values,
    ),
    row(
        "ERROR",
        (1, 1),
        "<text>",
        "Answer with this text as an error.",
        process::error,
    ),
    row(
        "HTSTATS",
        (1, 1),
        "<dbid>",
        "Sizes of a database's tables.",
        tables::of_database,
    ),
    row(
        "HTSTATS-KEY",
        (1, ANY),
        "<key>",
        "Sizes of a value's table.",
        tables::of_value,
    ),
    row(
        "LISTPACK",
        (1, 1),
        "<key>",
        "Write what a listpack holds to the log.",
        object::listpack,
    ),
    row(
        "LOADAOF",
        (0, 0),
        "",
        "Forget the data and load the append-only file.",
        reload::load_aof,
    ),
    row(
        "LOG",
        (1, 1),
        "<message>",
        "Write a message to the log.",
        process::log,
    ),
    row(
        "MALLCTL",
        (1, 2),
        "<name>",
        "Read a number of the allocator.",
        process::mallctl,
    ),
    row(
        "MALLCTL-STR",
        (1, 2),
        "<name>",
        "Read a text of the allocator.",
        process::mallctl_str,
    ),
    row(
        "OBJECT",
        (1, 2),
        "<key>",
        "How the value of a key is kept.",
        object::object,
    ),
    row(
        "OOM",
        (0, ANY),
        "",
        "End the process as without memory.",
        process::out_of_memory,
    ),
    row(
        "PANIC",
        (0, ANY),
        "",
        "End the process as a panic does.",
        process::panic,
    ),
    row(
        "PAUSE-CRON",
        (1, 1),
        "<0|1>",
        "Hold the periodic jobs.",
        process::pause_cron,
    ),
    row(
        "POPULATE",
        (1, 3),
        "<count> [<prefix>] [<size>]",
        "Make strings <prefix>:0, <prefix>:1 ...; they are not replicated.",
        tables::populate,
    ),
    row(
        "PROTOCOL",
        (1, 1),
        "<type>",
        "A reply of the type, to test clients.",
        protocol::protocol,
    ),
    row(
        "QUICKLIST",
        (1, 2),
        "<key> [<0|1>]",
        "Write the nodes of a list to the log.",
        object::quicklist,
    ),
    row(
        "QUICKLIST-PACKED-THRESHOLD",
        (1, 1),
        "<size>",
        "Accepted; the form of large elements is chosen by the limits of lists.",
        process::packed_threshold,
    ),
    row(
        "RELOAD",
        (0, ANY),
        "[MERGE] [NOFLUSH] [NOSAVE]",
        "Save the data, forget them and load them again.",
        reload::reload,
    ),
    row(
        "REPLICATE",
        (1, ANY),
        "<command> [<argument> ...]",
        "Send a command to the replicas without running it here: the data differ from then on.",
        process::replicate,
    ),
    row(
        "REPLYBUFFER",
        (2, 2),
        "PEAK-RESET-TIME <never|reset|ms> | RESIZING <0|1>",
        "Accepted; reply buffers belong to the threads here.",
        process::reply_buffer,
    ),
    row(
        "SEGFAULT",
        (0, ANY),
        "",
        "End the process as a fault does.",
        process::fault,
    ),
    row(
        "SET-ACTIVE-EXPIRE",
        (1, 1),
        "<0|1>",
        "Whether keys expire although nobody asks for them.",
        process::active_expire,
    ),
    row(
        "SET-SKIP-CHECKSUM-VALIDATION",
        (1, 1),
        "<0|1>",
        "Whether RESTORE takes payloads whose checksum is wrong.",
        process::skip_checksum,
    ),
    row(
        "SLEEP",
        (1, 1),
        "<seconds>",
        "Hold all data for that long.",
        process::sleep,
    ),
    row(
        "STRINGMATCH-LEN",
        (2, 2),
        "<length> <pattern>",
        "Match a pattern with that many letters a.",
        process::string_match,
    ),
];

fn debug(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let given = args.len() - 2;
    if args.is(1, "HELP") && given == 0 {
        return help(call);
    }
    let row = ROWS
        .iter()
        .find(|row| args.is(1, row.name))
        .filter(|row| (row.takes.0..=row.takes.1).contains(&given));
    match row {
        Some(row) => (row.run)(call, args),
        None => Err(wrong_subcommand(call.entry, args)),
    }
}

fn help(call: &mut Call<'_, '_>) -> ServerResult {
    let usages: Vec<String> = ROWS
        .iter()
        .map(|row| format!("{} {}", row.name, row.usage).trim_end().to_owned())
        .collect();
    let lines: Vec<(&str, &str)> = usages
        .iter()
        .zip(ROWS)
        .map(|(usage, row)| (usage.as_str(), row.help))
        .collect();
    super::help(call, "DEBUG", &lines)
}

/// For switches of things that do not exist here.
fn accept(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    call.ok()
}

/// Text as a number the way C's `atoi` reads it: as far as it goes, else 0.
fn leading_int(text: &[u8]) -> i64 {
    let digits = text
        .iter()
        .enumerate()
        .take_while(|(i, b)| b.is_ascii_digit() || (*i == 0 && **b == b'-'))
        .count();
    holdfast_storage::numeric::parse_i64(&text[..digits]).unwrap_or(0)
}

/// Ends a handler that has written its reply.
const DONE: ServerResult = Ok(Flow::Continue);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_unique() {
        assert!(ROWS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        let cases: [(&[u8], i64); 5] = [(b"1", 1), (b"12x", 12), (b"x", 0), (b"", 0), (b"-3", -3)];
        for (text, value) in cases {
            assert_eq!(leading_int(text), value);
        }
    }
}
