//! FUNCTION DUMP and FUNCTION RESTORE: all libraries as one string of RDB.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_rdb::payload::{open, seal};
use holdfast_rdb::read;
use holdfast_rdb::write::Writer;

use super::function::{begin_change, read_library};
use crate::commands::{Call, ServerCommand, ServerError, ServerResult, agreed, wrong_subcommand};
use crate::config::Param;
use crate::execute;
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&DUMP, &RESTORE];

/// In front of each library.
const OPCODE_FUNCTION: u8 = 245;
/// The same as candidates of 7.0 wrote it, with other fields.
const OPCODE_FUNCTION_PRE_GA: u8 = 246;
/// The version of RDB that 7.0 writes and reads.
const VERSION: u16 = 10;

const DUMP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "function|dump",
        arity: 2,
        flags: flags!(Flags: NOSCRIPT),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Returns all libraries as one string.",
        complexity: "O(N), N: functions",
        ..Spec::DEFAULT
    },
    run: Run::Server(dump),
};

const RESTORE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "function|restore",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM, NOSCRIPT),
        acl: flags!(Acl: SCRIPTING),
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Brings back libraries out of a string of FUNCTION DUMP.",
        complexity: "O(N), N: functions",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        args: &[
            Arg::string("serialized-value"),
            Arg::one_of(
                "policy",
                &[
                    Arg::word("flush", "FLUSH"),
                    Arg::word("append", "APPEND"),
                    Arg::word("replace", "REPLACE"),
                ],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(restore),
};

fn dump(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let server = &call.session.server;
    let mut out = Writer::new(Vec::new(), server.config.flag(Param::Rdbcompression));
    for library in server.scripts.libraries.get().iter() {
        out.byte(OPCODE_FUNCTION)
            .and_then(|()| out.string(&library.code))
            .expect("memory takes what is written to it");
    }
    let mut payload = out.into_inner();
    seal(&mut payload, VERSION);
    call.w.reply.bulk(&payload);
    Ok(Flow::Continue)
}

/// What happens to the libraries that are there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Flush,
    Append,
    Replace,
}

fn restore(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len() > 4 {
        return Err(wrong_subcommand(call.entry, args));
    }
    let policy = match args.opt(3).map(<[u8]>::to_ascii_uppercase).as_deref() {
        None | Some(b"APPEND") => Policy::Append,
        Some(b"REPLACE") => Policy::Replace,
        Some(b"FLUSH") => Policy::Flush,
        Some(_) => {
            return Err(ServerError::new(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    if agreed::is_told_otherwise(call) {
        return call.ok();
    }
    let (mut body, _) =
        open(args.get(2), call.w.limits.skip_checksum).map_err(|e| ServerError(format!("ERR {e}")))?;
    let mut libraries = Vec::new();
    while let Some(&opcode) = body.first() {
        body = &body[1..];
        match opcode {
            OPCODE_FUNCTION => {}
            OPCODE_FUNCTION_PRE_GA => {
                return Err(ServerError::new("ERR Pre-GA function format not supported"));
            }
            _ => return Err(ServerError::new("ERR given type is not a function")),
        }
        let code = read::string(&mut body).map_err(|_| ServerError::new("ERR Failed loading library"))?;
        libraries.push(read_library(&call.session.server, &code)?);
    }
    if agreed::applies(call)? {
        let words = |error| restore_error(error).0;
        return match policy {
            Policy::Flush => agreed::functions::restore_alone(call, libraries, words),
            Policy::Append => agreed::functions::restore(call, libraries, false, words),
            Policy::Replace => agreed::functions::restore(call, libraries, true, words),
        };
    }
    let server = Arc::clone(&call.session.server);
    let mut change = begin_change(call, &server)?;
    if policy == Policy::Flush {
        change.set.clear();
    }
    for library in libraries {
        change
            .set
            .add(library, policy == Policy::Replace)
            .map_err(restore_error)?;
    }
    change.commit(|| execute::log_call(call.w, call.session.db, args));
    call.ok()
}

fn restore_error(error: crate::scripting::libraries::AddError) -> ServerError {
    use crate::scripting::libraries::AddError;
    match error {
        AddError::Library(name) => ServerError(format!(
            "ERR Library {} already exists",
            String::from_utf8_lossy(&name)
        )),
        AddError::Function(name) => ServerError(format!(
            "ERR Function {} already exists",
            String::from_utf8_lossy(&name)
        )),
    }
}
