//! SCRIPT: the cache of scripts, and the end of one that runs too long.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::eval;
use crate::commands::{Call, ServerCommand, ServerError, ServerResult, help};
use crate::registry::Run;
use crate::scripting::busy::{BUSY_FUNCTION, BUSY_SCRIPT, Kind, Unkillable};
use crate::scripting::cache::parse_sha;
use crate::scripting::local::Local;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&SCRIPT, &DEBUG, &EXISTS, &FLUSH, &HELP, &KILL, &LOAD, &SHOW];

const SCRIPT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "script",
        arity: -2,
        group: Group::Scripting,
        since: "2.6.0",
        summary: "The cache of Lua scripts.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const DEBUG: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "script|debug",
        arity: 3,
        flags: flags!(Flags: NOSCRIPT),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "3.2.0",
        summary: "Turns the debugger of scripts on or off; there is none to be turned on.",
        complexity: "O(1)",
        args: &[Arg::one_of(
            "mode",
            &[
                Arg::word("yes", "YES"),
                Arg::word("sync", "SYNC"),
                Arg::word("no", "NO"),
            ],
        )],
        ..Spec::DEFAULT
    },
    run: Run::Server(debug),
};

const EXISTS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "script|exists",
        arity: -3,
        flags: flags!(Flags: NOSCRIPT),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "2.6.0",
        summary: "Tells which scripts the server knows.",
        complexity: "O(N), N: digests asked about",
        tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
        args: &[Arg::string("sha1").multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(exists),
};

const FLUSH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "script|flush",
        arity: -2,
        flags: flags!(Flags: NOSCRIPT),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "2.6.0",
        summary: "Forgets all scripts.",
        complexity: "O(N), N: scripts",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        args: &[
            Arg::one_of("async", &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")])
                .opt()
                .since("6.2.0"),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(flush),
};

const HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "script|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "5.0.0",
        summary: "Explains the subcommands of SCRIPT.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(show_help),
};

const KILL: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "script|kill",
        arity: 2,
        flags: flags!(Flags: NOSCRIPT, ALLOW_BUSY),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "2.6.0",
        summary: "Ends the script that runs, if it has not written.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        ..Spec::DEFAULT
    },
    run: Run::Server(kill),
};

const LOAD: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "script|load",
        arity: 3,
        flags: flags!(Flags: NOSCRIPT, STALE),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "2.6.0",
        summary: "Makes a script known without running it.",
        complexity: "O(N), N: length of the script",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        args: &[Arg::string("script")],
        ..Spec::DEFAULT
    },
    run: Run::Server(load),
};

const SHOW: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "script|show",
        arity: 3,
        flags: flags!(Flags: NOSCRIPT),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "8.0.0",
        summary: "Shows the source of a script that the server knows.",
        complexity: "O(1)",
        args: &[Arg::string("sha1")],
        ..Spec::DEFAULT
    },
    run: Run::Server(show),
};

fn debug(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    match args.get(2).to_ascii_uppercase().as_slice() {
        b"NO" => call.ok(),
        b"YES" | b"SYNC" => Err(ServerError::new("ERR there is no debugger of scripts here")),
        _ => Err(ServerError::new("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    }
}

fn exists(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let cache = &call.session.server.scripts.cache;
    call.w.reply.array(args.len() - 2);
    for sha in args.from(2) {
        let known = parse_sha(sha).is_some_and(|sha| cache.get(&sha).is_some());
        call.w.reply.int(i64::from(known));
    }
    Ok(Flow::Continue)
}

fn flush(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let mode = args.opt(2).map(<[u8]>::to_ascii_uppercase);
    if args.len() > 3 || !matches!(mode.as_deref(), None | Some(b"ASYNC" | b"SYNC")) {
        return Err(ServerError::new(
            "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
        ));
    }
    call.session.server.scripts.cache.flush();
    call.ok()
}

fn show_help(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    help(
        call,
        "SCRIPT",
        &[
            (
                "DEBUG (YES|SYNC|NO)",
                "There is no debugger here: NO alone is accepted.",
            ),
            (
                "EXISTS <sha1> [<sha1> ...]",
                "Tells for each digest whether its script is known.",
            ),
            ("FLUSH [ASYNC|SYNC]", "Forgets all scripts."),
            ("KILL", "Ends the script that runs, unless it has written."),
            ("LOAD <script>", "Makes a script known without running it."),
            ("SHOW <sha1>", "Shows the source of a script."),
        ],
    )
}

fn kill(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    kill_kind(call, Kind::Script)
}

/// SCRIPT KILL and FUNCTION KILL.
pub(super) fn kill_kind(call: &mut Call<'_, '_>, kind: Kind) -> ServerResult {
    match call.session.server.scripts.busy.kill(kind) {
        Ok(()) => call.ok(),
        Err(Unkillable::None) => Err(ServerError::new("NOTBUSY No scripts in execution right now.")),
        Err(Unkillable::Other(Kind::Script)) => Err(ServerError::new(BUSY_SCRIPT)),
        Err(Unkillable::Other(Kind::Function)) => Err(ServerError::new(BUSY_FUNCTION)),
        Err(Unkillable::Wrote) => Err(ServerError::new(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        )),
    }
}

fn load(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    let mut local = Local::take(&server.scripts).map_err(ServerError)?;
    let loaded = eval::load(&server, &mut local, args.get(2), true, call.w.now_ms);
    local.give_back();
    call.w.reply.bulk(loaded?.script.hex.as_bytes());
    Ok(Flow::Continue)
}

fn show(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let sha = parse_sha(args.get(2));
    match sha.and_then(|sha| call.session.server.scripts.cache.get(&sha)) {
        Some(script) => call.w.reply.bulk(&script.source),
        None => {
            return Err(ServerError::new("NOSCRIPT No matching script. Please use EVAL."));
        }
    }
    Ok(Flow::Continue)
}
