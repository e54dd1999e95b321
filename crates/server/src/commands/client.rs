//! CLIENT: <https://redis.io/commands/client-info>. What a connection says and asks about itself; others of the family
//! are in [`super::client_list`], [`super::client_kill`] and [`super::client_pause`].

use std::sync::atomic::Ordering;

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::auth::client_name;
use super::{Call, ServerCommand, ServerError, ServerResult, help};
use crate::client::{capability, flag};
use crate::config::Param;
use crate::registry::Run;
use crate::session::{Flow, Replies};

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &CLIENT,
    &CLIENT_CAPA,
    &CLIENT_GETNAME,
    &CLIENT_HELP,
    &CLIENT_ID,
    &CLIENT_IMPORT_SOURCE,
    &CLIENT_NO_EVICT,
    &CLIENT_NO_TOUCH,
    &CLIENT_REPLY,
    &CLIENT_SETINFO,
    &CLIENT_SETNAME,
];

const CLIENT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client",
        arity: -2,
        group: Group::Connection,
        since: "2.4.0",
        summary: "Container of the commands about connections.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const CLIENT_CAPA: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|capa",
        arity: -3,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "8.0.0",
        summary: "Notes what this client can do.",
        complexity: "O(N), N: capabilities",
        args: &[Arg::string("capability").multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(capa),
};

const CLIENT_GETNAME: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|getname",
        arity: 2,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "2.6.9",
        summary: "Returns the name of this connection.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(getname),
};

const CLIENT_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "5.0.0",
        summary: "Lists the subcommands of CLIENT.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| help(call, "CLIENT", HELP)),
};

const CLIENT_ID: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|id",
        arity: 2,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "5.0.0",
        summary: "Returns the id of this connection.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        call.w.reply.int(call.session.client.id as i64);
        Ok(Flow::Continue)
    }),
};

const CLIENT_IMPORT_SOURCE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|import-source",
        arity: 3,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "8.1.0",
        summary: "Says whether this connection brings data from another server, in import-mode.",
        complexity: "O(1)",
        args: &[Arg::one_of(
            "enabled",
            &[Arg::word("on", "ON"), Arg::word("off", "OFF")],
        )],
        ..Spec::DEFAULT
    },
    run: Run::Server(import_source),
};

const CLIENT_NO_EVICT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|no-evict",
        arity: 3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "7.0.0",
        summary: "Protects this connection from the eviction of clients.",
        complexity: "O(1)",
        args: &[Arg::one_of(
            "enabled",
            &[Arg::word("on", "ON"), Arg::word("off", "OFF")],
        )],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| switch(call, args, flag::NO_EVICT)),
};

const CLIENT_NO_TOUCH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|no-touch",
        arity: 3,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "7.2.0",
        summary: "Says whether this connection's commands count as use of the keys they touch.",
        complexity: "O(1)",
        args: &[Arg::one_of(
            "enabled",
            &[Arg::word("on", "ON"), Arg::word("off", "OFF")],
        )],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| switch(call, args, flag::NO_TOUCH)),
};

const CLIENT_REPLY: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|reply",
        arity: 3,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "3.2.0",
        summary: "Turns replies to this connection off and on.",
        complexity: "O(1)",
        args: &[Arg::one_of(
            "on_off_skip",
            &[
                Arg::word("on", "ON"),
                Arg::word("off", "OFF"),
                Arg::word("skip", "SKIP"),
            ],
        )],
        ..Spec::DEFAULT
    },
    run: Run::Server(reply),
};

const CLIENT_SETINFO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|setinfo",
        arity: 4,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "7.2.0",
        summary: "Notes the name or version of the client library.",
        complexity: "O(1)",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        args: &[Arg::one_of(
            "attr",
            &[
                Arg::string("libname").token("LIB-NAME"),
                Arg::string("libver").token("LIB-VER"),
            ],
        )],
        ..Spec::DEFAULT
    },
    run: Run::Server(setinfo),
};

const CLIENT_SETNAME: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|setname",
        arity: 3,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "2.6.9",
        summary: "Names this connection.",
        complexity: "O(1)",
        args: &[Arg::string("connection-name")],
        ..Spec::DEFAULT
    },
    run: Run::Server(setname),
};

const HELP: &[(&str, &str)] = &[
    (
        "CAPA <capability> [...]",
        "Note what this client can do: redirect.",
    ),
    (
        "CACHING (YES|NO)",
        "Track the keys of the next command, or do not, in OPTIN or OPTOUT mode.",
    ),
    (
        "GETREDIR",
        "Id of the client that gets this connection's invalidations.",
    ),
    ("GETNAME", "Name of this connection."),
    ("ID", "Id of this connection."),
    (
        "IMPORT-SOURCE (ON|OFF)",
        "Let this connection see keys whose time is over, in import-mode.",
    ),
    ("INFO", "This connection as LIST shows it."),
    ("KILL <ip:port>", "Close the connection from this address."),
    (
        "KILL <option> <value> [<option> <value> [...]]",
        "Close the connections that match all options: ID, TYPE, USER, ADDR, LADDR, MAXAGE, SKIPME, and those of LIST.",
    ),
    (
        "LIST [<option> <value> [...]]",
        "Open connections: TYPE, ID, USER, ADDR, LADDR, NAME, LIB-NAME, LIB-VER, FLAGS, DB, CAPA, IP (each also with NOT- before it), IDLE, MAXAGE, SKIPME.",
    ),
    (
        "NO-EVICT (ON|OFF)",
        "Spare this connection when clients are evicted.",
    ),
    ("NO-TOUCH (ON|OFF)", "Leave the access times of keys alone."),
    (
        "PAUSE <timeout> [WRITE|ALL]",
        "Hold back commands, all or those that write, for a time in milliseconds.",
    ),
    (
        "REPLY (ON|OFF|SKIP)",
        "Send replies, none, or none to the next command.",
    ),
    (
        "SETINFO <LIB-NAME|LIB-VER> <text>",
        "Note the name or version of the client library.",
    ),
    ("SETNAME <name>", "Name this connection."),
    (
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
        "Tell this connection, or another one, when keys change that it has read.",
    ),
    ("TRACKINGINFO", "How keys are tracked for this connection."),
    (
        "UNBLOCK <id> [TIMEOUT|ERROR]",
        "End the wait of a client in a blocking command.",
    ),
    ("UNPAUSE", "End a pause."),
];

/// A capability that this server does not know is one that it does not use.
fn capa(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.from(2).any(|word| word.eq_ignore_ascii_case(b"redirect")) {
        let client = &call.session.client;
        client
            .capabilities
            .fetch_or(capability::REDIRECT, Ordering::Relaxed);
    }
    call.ok()
}

fn import_source(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.is(2, "ON") && !call.session.server.config.flag(Param::ImportMode) {
        return Err(ServerError::new("ERR Server is not in import mode"));
    }
    switch(call, args, flag::IMPORT_SOURCE)
}

fn getname(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let names = call.session.client.names.lock();
    match names.name.as_str() {
        "" => call.w.reply.null(),
        name => call.w.reply.bulk(name.as_bytes()),
    }
    drop(names);
    Ok(Flow::Continue)
}

fn setname(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let name = client_name(args.get(2))?;
    call.session.client.names.lock().name = name;
    call.ok()
}

fn setinfo(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let (word, text) = (args.get(2), args.get(3));
    let is_name = word.eq_ignore_ascii_case(b"LIB-NAME");
    if !is_name && !word.eq_ignore_ascii_case(b"LIB-VER") {
        let word = String::from_utf8_lossy(word);
        return Err(ServerError(format!("ERR Unrecognized option '{word}'")));
    }
    let what = if is_name { "lib-name" } else { "lib-ver" };
    let text = client_name(text).map_err(|_| {
        ServerError(format!(
            "ERR {what} cannot contain spaces, newlines or special characters."
        ))
    })?;
    let mut names = call.session.client.names.lock();
    *if is_name {
        &mut names.lib_name
    } else {
        &mut names.lib_ver
    } = text;
    drop(names);
    call.ok()
}

fn switch(call: &mut Call<'_, '_>, args: Args<'_>, bit: u32) -> ServerResult {
    let on = match (args.is(2, "ON"), args.is(2, "OFF")) {
        (true, _) => true,
        (_, true) => false,
        _ => return Err(CmdError::Syntax.into()),
    };
    call.session.client.set_flag(bit, on);
    call.ok()
}

fn reply(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let replies = &mut call.session.replies;
    if args.is(2, "ON") {
        *replies = Replies::On;
        return call.ok();
    }
    if args.is(2, "OFF") {
        *replies = Replies::Off;
    } else if args.is(2, "SKIP") {
        if *replies != Replies::Off {
            *replies = Replies::SkipNext;
        }
    } else {
        return Err(CmdError::Syntax.into());
    }
    Ok(Flow::Continue)
}
