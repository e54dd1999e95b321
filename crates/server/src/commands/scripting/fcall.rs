//! FCALL and FCALL_RO.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Begin, Find, Group, KeySpec, Spec};
use holdfast_scripting::{ScriptError, ScriptFlags};

use super::{ANY_READ, ANY_USE, number_of_keys};
use crate::commands::{Call, ServerCommand, ServerError, ServerResult};
use crate::registry::Run;
use crate::scripting::busy::Kind;
use crate::scripting::local::Local;
use crate::scripting::run::{self, Job};

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&FCALL, &FCALL_RO];

/// What a `_RO` command answers for a script that may write.
pub(super) const WRITES: &str = "ERR Can not execute a script with write flag using *_ro command.";

const FCALL: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "fcall",
        arity: -3,
        flags: flags!(Flags: NOSCRIPT, STALE, SKIP_MONITOR, NO_MANDATORY_KEYS, MOVABLEKEYS, MAY_REPLICATE),
        acl: flags!(Acl: SCRIPTING),
        keys: &[KeySpec {
            notes: ANY_USE,
            flags: flags!(KeyFlags: RW, ACCESS, UPDATE),
            begin: Begin::Index(2),
            find: Find::KeyNum {
                num: 0,
                first: 1,
                step: 1,
            },
        }],
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Calls a function of a library.",
        complexity: "As what the function does",
        args: &[
            Arg::string("function"),
            Arg::integer("numkeys"),
            Arg::key("key", 0).opt().multi(),
            Arg::string("arg").opt().multi(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(fcall),
};

const FCALL_RO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "fcall_ro",
        arity: -3,
        flags: flags!(Flags: READONLY, NOSCRIPT, STALE, SKIP_MONITOR, NO_MANDATORY_KEYS, MOVABLEKEYS),
        acl: flags!(Acl: SCRIPTING),
        keys: &[KeySpec {
            notes: ANY_READ,
            flags: flags!(KeyFlags: RO, ACCESS),
            begin: Begin::Index(2),
            find: Find::KeyNum {
                num: 0,
                first: 1,
                step: 1,
            },
        }],
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Calls a function of a library that does not write.",
        complexity: "As what the function does",
        args: &[
            Arg::string("function"),
            Arg::integer("numkeys"),
            Arg::key("key", 0).opt().multi(),
            Arg::string("arg").opt().multi(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(fcall_ro),
};

fn fcall(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    call_function(call, args, false)
}

fn fcall_ro(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    call_function(call, args, true)
}

fn call_function(call: &mut Call<'_, '_>, args: Args<'_>, read_only: bool) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    let mut local = Local::take(&server.scripts).map_err(ServerError)?;
    run::refresh(call, &mut local);
    let result = run_function(call, &mut local, args, read_only);
    local.give_back();
    result
}

fn run_function(call: &mut Call<'_, '_>, local: &mut Local, args: Args<'_>, read_only: bool) -> ServerResult {
    const NONE: &str = "ERR Function not found";
    let libraries = Arc::clone(&local.libraries);
    let function = libraries
        .function(args.get(1))
        .ok_or_else(|| ServerError::new(NONE))?;
    let keys = number_of_keys(&args, "ERR Bad number of keys provided")?;
    if read_only && !function.flags.has(ScriptFlags::NO_WRITES) {
        return Err(ServerError::new(WRITES));
    }
    let job = Job {
        kind: Kind::Function,
        name: &String::from_utf8_lossy(&function.name),
        flags: function.flags,
        read_only,
        learned: &function.learned,
        command: args.frame(),
        keys,
    };
    run::run(call, local, &job, |vm, host, limit| {
        vm.call(&function.name, job.keys(), job.argv(), limit, host)
            .unwrap_or_else(|| Err(ScriptError::new(NONE)))
    })
}
