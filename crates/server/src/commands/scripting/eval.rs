//! EVAL, EVALSHA, EVAL_RO, EVALSHA_RO.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Begin, Find, Group, KeySpec, Spec};
use holdfast_scripting::ScriptFlags;

use super::{ANY_READ, ANY_USE, number_of_keys};
use crate::commands::{Call, ServerCommand, ServerError, ServerResult};
use crate::registry::Run;
use crate::scripting::busy::Kind;
use crate::scripting::cache::{Script, parse_sha, sha_of};
use crate::scripting::local::{Loaded, Local};
use crate::scripting::run::{self, Job};
use crate::server::Server;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&EVAL, &EVALSHA, &EVAL_RO, &EVALSHA_RO];

const EVAL: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "eval",
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
        since: "2.6.0",
        summary: "Runs a Lua script.",
        complexity: "As what the script does",
        args: &[
            Arg::string("script"),
            Arg::integer("numkeys"),
            Arg::key("key", 0).opt().multi(),
            Arg::string("arg").opt().multi(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(eval),
};

const EVAL_RO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "eval_ro",
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
        summary: "Runs a Lua script that does not write.",
        complexity: "As what the script does",
        args: &[
            Arg::string("script"),
            Arg::integer("numkeys"),
            Arg::key("key", 0).opt().multi(),
            Arg::string("arg").opt().multi(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(eval_ro),
};

const EVALSHA: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "evalsha",
        arity: -3,
        flags: flags!(Flags: NOSCRIPT, STALE, SKIP_MONITOR, NO_MANDATORY_KEYS, MOVABLEKEYS, MAY_REPLICATE),
        acl: flags!(Acl: SCRIPTING),
        keys: &[KeySpec::counted(2, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::Scripting,
        since: "2.6.0",
        summary: "Runs a Lua script that the server knows, by its SHA1.",
        complexity: "As what the script does",
        args: &[
            Arg::string("sha1"),
            Arg::integer("numkeys"),
            Arg::key("key", 0).opt().multi(),
            Arg::string("arg").opt().multi(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(evalsha),
};

const EVALSHA_RO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "evalsha_ro",
        arity: -3,
        flags: flags!(Flags: READONLY, NOSCRIPT, STALE, SKIP_MONITOR, NO_MANDATORY_KEYS, MOVABLEKEYS),
        acl: flags!(Acl: SCRIPTING),
        keys: &[KeySpec::counted(2, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Runs a Lua script that the server knows and that does not write, by its SHA1.",
        complexity: "As what the script does",
        args: &[
            Arg::string("sha1"),
            Arg::integer("numkeys"),
            Arg::key("key", 0).opt().multi(),
            Arg::string("arg").opt().multi(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(evalsha_ro),
};

fn eval(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    by_source(call, args, false)
}

fn eval_ro(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    by_source(call, args, true)
}

fn evalsha(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    by_sha(call, args, false)
}

fn evalsha_ro(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    by_sha(call, args, true)
}

const NOT_A_NUMBER: &str = "ERR value is not an integer or out of range";

fn by_source(call: &mut Call<'_, '_>, args: Args<'_>, read_only: bool) -> ServerResult {
    let keys = number_of_keys(&args, NOT_A_NUMBER)?;
    let server = Arc::clone(&call.session.server);
    let mut local = Local::take(&server.scripts).map_err(ServerError)?;
    let source = args.get(1);
    let known = local.by_source(local.hash(source), source).cloned();
    let loaded = match known {
        Some(loaded) => Ok(loaded),
        None => load(&server, &mut local, source, false, call.w.now_ms),
    };
    let result = loaded.and_then(|loaded| run_loaded(call, &mut local, &loaded, args, keys, read_only));
    local.give_back();
    result
}

fn by_sha(call: &mut Call<'_, '_>, args: Args<'_>, read_only: bool) -> ServerResult {
    const NONE: &str = "NOSCRIPT No matching script. Please use EVAL.";
    let sha = parse_sha(args.get(1)).ok_or_else(|| ServerError::new(NONE))?;
    let keys = number_of_keys(&args, NOT_A_NUMBER)?;
    let server = Arc::clone(&call.session.server);
    let mut local = Local::take(&server.scripts).map_err(ServerError)?;
    let loaded = match local.by_sha(&sha).cloned() {
        Some(loaded) => Ok(loaded),
        None => match server.scripts.cache.get(&sha) {
            Some(script) => compile(&mut local, script),
            None => Err(ServerError::new(NONE)),
        },
    };
    let result = loaded.and_then(|loaded| run_loaded(call, &mut local, &loaded, args, keys, read_only));
    local.give_back();
    result
}

fn run_loaded(
    call: &mut Call<'_, '_>,
    local: &mut Local,
    loaded: &Loaded,
    args: Args<'_>,
    keys: usize,
    read_only: bool,
) -> ServerResult {
    let script = &loaded.script;
    script.used(call.w.now_ms);
    let writes = !script.flags.has(ScriptFlags::COMPAT) && !script.flags.has(ScriptFlags::NO_WRITES);
    if read_only && writes {
        return Err(ServerError::new(super::fcall::WRITES));
    }
    let job = Job {
        kind: Kind::Script,
        name: &script.hex,
        flags: script.flags,
        read_only,
        learned: &script.learned,
        command: args.frame(),
        keys,
    };
    run::run(call, local, &job, |vm, host, limit| {
        vm.run(&loaded.code, job.keys(), job.argv(), limit, host)
    })
}

/// Compiles a source and makes it known to all threads.
pub(super) fn load(
    server: &Server,
    local: &mut Local,
    source: &[u8],
    stays: bool,
    now_ms: i64,
) -> Result<Loaded, ServerError> {
    let script = match server.scripts.cache.get(&sha_of(source)) {
        Some(script) => script,
        None => Arc::new(Script::new(source).map_err(|e| ServerError(format!("ERR {e}")))?),
    };
    let loaded = compile(local, script)?;
    let script = server
        .scripts
        .cache
        .insert(Arc::clone(&loaded.script), stays, now_ms);
    let loaded = Loaded { script, ..loaded };
    local.keep(&loaded);
    Ok(loaded)
}

fn compile(local: &mut Local, script: Arc<Script>) -> Result<Loaded, ServerError> {
    let code = local
        .vm
        .compile(script.body())
        .map_err(|text| ServerError(format!("ERR Error compiling script (new function): {text}")))?;
    let loaded = Loaded { script, code };
    local.keep(&loaded);
    Ok(loaded)
}
