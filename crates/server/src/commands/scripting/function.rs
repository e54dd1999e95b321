//! FUNCTION: libraries of functions, beside DUMP and RESTORE.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_scripting::{Registered, library_header};
use holdfast_storage::glob;

use super::script::kill_kind;
use crate::commands::{Call, ServerCommand, ServerError, ServerResult, agreed, help, wrong_subcommand};
use crate::execute;
use crate::registry::Run;
use crate::scripting::Learned;
use crate::scripting::busy::{BUSY_SCRIPT, Kind};
use crate::scripting::libraries::{Change, Function, Library};
use crate::scripting::local::Local;
use crate::scripting::run;
use crate::server::{READONLY, Server};
use crate::session::Flow;
use crate::worker::Source;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&FUNCTION, &DELETE, &FLUSH, &HELP, &KILL, &LIST, &LOAD, &STATS];

const FUNCTION: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "function",
        arity: -2,
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Libraries of Lua functions.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const DELETE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "function|delete",
        arity: 3,
        flags: flags!(Flags: WRITE, NOSCRIPT),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Removes a library with its functions.",
        complexity: "O(N), N: functions",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        args: &[Arg::string("library-name")],
        ..Spec::DEFAULT
    },
    run: Run::Server(delete),
};

const FLUSH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "function|flush",
        arity: -2,
        flags: flags!(Flags: WRITE, NOSCRIPT),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Removes all libraries.",
        complexity: "O(N), N: functions",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        args: &[Arg::one_of("async", &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")]).opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(flush),
};

const HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "function|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Explains the subcommands of FUNCTION.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(show_help),
};

const KILL: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "function|kill",
        arity: 2,
        flags: flags!(Flags: NOSCRIPT, ALLOW_BUSY),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Ends the function that runs, if it has not written.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        ..Spec::DEFAULT
    },
    run: Run::Server(kill),
};

const LIST: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "function|list",
        arity: -2,
        flags: flags!(Flags: NOSCRIPT),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Lists libraries and their functions.",
        complexity: "O(N), N: functions",
        tips: &["nondeterministic_output_order"],
        args: &[
            Arg::string("library-name-pattern").token("LIBRARYNAME").opt(),
            Arg::word("withcode", "WITHCODE").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(list),
};

const LOAD: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "function|load",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM, NOSCRIPT),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Makes a library of functions.",
        complexity: "O(1), or as what the library's code does",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        args: &[
            Arg::word("replace", "REPLACE").opt(),
            Arg::string("function-code"),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(load),
};

const STATS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "function|stats",
        arity: 2,
        flags: flags!(Flags: NOSCRIPT, ALLOW_BUSY),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Tells which function runs, and how many there are.",
        complexity: "O(1)",
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(stats),
};

fn delete(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if agreed::is_told_otherwise(call) {
        return call.ok();
    }
    if agreed::applies(call)? {
        return agreed::functions::delete(call, args.get(2));
    }
    let server = Arc::clone(&call.session.server);
    let mut change = begin_change(call, &server)?;
    if !change.set.remove(args.get(2)) {
        return Err(ServerError::new("ERR Library not found"));
    }
    change.commit(|| execute::log_call(call.w, call.session.db, args));
    call.ok()
}

fn flush(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len() > 3 {
        return Err(wrong_subcommand(call.entry, args));
    }
    let mode = args.opt(2).map(<[u8]>::to_ascii_uppercase);
    if !matches!(mode.as_deref(), None | Some(b"ASYNC" | b"SYNC")) {
        return Err(ServerError::new(
            "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
        ));
    }
    if agreed::is_told_otherwise(call) {
        return call.ok();
    }
    if agreed::applies(call)? {
        return agreed::functions::flush(call);
    }
    let server = Arc::clone(&call.session.server);
    let mut change = begin_change(call, &server)?;
    change.set.clear();
    change.commit(|| execute::log_call(call.w, call.session.db, args));
    call.ok()
}

fn show_help(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    help(
        call,
        "FUNCTION",
        &[
            ("DELETE <library>", "Removes a library."),
            ("DUMP", "Returns all libraries as one string, for RESTORE."),
            ("FLUSH [ASYNC|SYNC]", "Removes all libraries."),
            ("KILL", "Ends the function that runs, unless it has written."),
            (
                "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
                "Lists libraries and their functions, with the code if asked for.",
            ),
            (
                "LOAD [REPLACE] <code>",
                "Makes a library, in place of one of the same name if asked to.",
            ),
            (
                "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
                "Brings back what DUMP has returned: in place of everything, beside what is there (the default), or in place of libraries of the same names.",
            ),
            ("STATS", "Tells which function runs, and how many there are."),
        ],
    )
}

fn kill(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    kill_kind(call, Kind::Function)
}

fn list(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let (mut pattern, mut with_code) = (None, false);
    let mut words = args.cursor(2);
    while let Some(word) = words.peek() {
        if !with_code && words.accept("WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && words.accept("LIBRARYNAME") {
            let given = words.next();
            pattern = Some(given.ok_or_else(|| ServerError::new("ERR library name argument was not given"))?);
        } else {
            let word = String::from_utf8_lossy(word);
            return Err(ServerError(format!("ERR Unknown argument {word}")));
        }
    }
    let set = call.session.server.scripts.libraries.get();
    let chosen: Vec<_> = set
        .iter()
        .filter(|l| pattern.is_none_or(|p| glob::matches(p, &l.name, true)))
        .collect();
    let reply = &mut call.w.reply;
    reply.array(chosen.len());
    for library in chosen {
        reply.map(3 + usize::from(with_code));
        reply.bulk(b"library_name");
        reply.bulk(&library.name);
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for function in &library.functions {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&function.name);
            reply.bulk(b"description");
            match &function.description {
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
            reply.bulk(b"flags");
            reply.set(function.flags.names().count());
            function.flags.names().for_each(|name| reply.simple(name));
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    Ok(Flow::Continue)
}

fn load(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let mut replace = false;
    let last = args.len() - 1;
    for i in 2..last {
        if !args.get(i).eq_ignore_ascii_case(b"REPLACE") {
            let word = String::from_utf8_lossy(args.get(i));
            return Err(ServerError(format!("ERR Unknown option given: {word}")));
        }
        replace = true;
    }
    if agreed::is_told_otherwise(call) {
        return call.ok();
    }
    let code = args.get(last);
    if agreed::applies(call)? {
        let library = read_library(&call.session.server, code)?;
        return agreed::functions::load(call, library, replace, |error| format!("ERR {error}"));
    }
    let name = library_header(code)
        .map_err(|e| ServerError(format!("ERR {e}")))?
        .name;
    let server = Arc::clone(&call.session.server);
    if !replace && server.scripts.libraries.get().library(name).is_some() {
        let name = String::from_utf8_lossy(name);
        return Err(ServerError(format!("ERR Library '{name}' already exists")));
    }
    let library = read_library(&call.session.server, code)?;
    let mut change = begin_change(call, &server)?;
    change
        .set
        .add(library, replace)
        .map_err(|e| ServerError(format!("ERR {e}")))?;
    change.commit(|| execute::log_call(call.w, call.session.db, args));
    call.w.reply.bulk(name);
    Ok(Flow::Continue)
}

/// Begins a change of the libraries, during which the role stays as it is: what was checked before may not hold any more, this
/// does.
///
/// # Errors
/// This server has become a replica meanwhile.
pub(super) fn begin_change<'s>(call: &Call<'_, '_>, server: &'s Server) -> Result<Change<'s>, ServerError> {
    let change = server.scripts.libraries.change();
    if call.w.source == Source::Clients && server.replication.is_replica() && server.is_read_only() {
        return Err(ServerError::new(READONLY));
    }
    Ok(change)
}

/// Runs a library's code to see which functions it has.
///
/// # Errors
/// It is no library.
pub(crate) fn read_library(server: &Server, code: &[u8]) -> Result<Library, ServerError> {
    let name = library_header(code)
        .map_err(|e| ServerError(format!("ERR {e}")))?
        .name
        .to_vec();
    let local = Local::take(&server.scripts).map_err(ServerError)?;
    let registered = run::load(server, &local, code, false);
    local.give_back();
    let function = |Registered {
                        name,
                        description,
                        flags,
                        ..
                    }: Registered| {
        Arc::new(Function {
            name,
            description,
            flags,
            learned: Learned::default(),
        })
    };
    let registered = registered.map_err(|e| ServerError(format!("ERR {e}")))?;
    Ok(Library {
        name,
        code: code.to_vec(),
        functions: registered.into_iter().map(function).collect(),
    })
}

fn stats(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let scripts = &call.session.server.scripts;
    // A busy script has nothing to do with functions, so it is none of their statistics.
    if scripts.busy.flag.load(Ordering::Relaxed) && scripts.busy.oldest(Kind::Function).is_none() {
        return Err(ServerError::new(BUSY_SCRIPT));
    }
    let (libraries, functions) = scripts.libraries.get().counts();
    let running = scripts.busy.oldest(Kind::Function);
    let reply = &mut call.w.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some(run) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(run.name.as_bytes());
            reply.bulk(b"command");
            reply.array(run.command.len());
            run.command.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            reply.int(run.began.elapsed().as_millis() as i64);
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.int(libraries as i64);
    reply.bulk(b"functions_count");
    reply.int(functions as i64);
    Ok(Flow::Continue)
}
