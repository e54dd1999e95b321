//! One run of a script or function: which shards it locks, what becomes of its effects, its reply.
//!
//! ```text
//! unknown     all shards; kept to its keys -> declared, else undeclared
//! declared    the shards of its keys, beside everything else that runs.
//!             Touches another: nothing written yet -> aborted, undeclared, again with all shards
//!                              else                -> takes all the others (Locked::extend_to_all)
//! undeclared  all shards
//! ```

use std::sync::Arc;

use holdfast_resp::Frame;
use holdfast_scripting::{Answer, Host, LoadError, Registered, ScriptError, ScriptFlags, Vm, library_header};
use holdfast_storage::keyspace::{Locked, ShardSet};

use super::Learned;
use super::busy::Kind;
use super::host::{LoadingHost, Rules, ScriptHost, Seen};
use super::local::Local;
use crate::cluster::check;
use crate::cluster::route::Redirect;
use crate::commands::{Call, ServerError, ServerResult};
use crate::config::Param;
use crate::execute;
use crate::server::{READONLY, STALE, Server};
use crate::session::Flow;
use crate::worker::{Source, Transaction};

/// What is to run.
pub struct Job<'j> {
    /// Script or function.
    pub kind: Kind,
    /// Digest or name, for errors.
    pub name: &'j str,
    /// What it says about itself.
    pub flags: ScriptFlags,
    /// Called by a command that must not write.
    pub read_only: bool,
    /// Whether it keeps to its keys.
    pub learned: &'j Learned,
    /// The command that runs it.
    pub command: Frame<'j>,
    /// Number of keys, which begin at argument 3.
    pub keys: usize,
}

/// Index of the first key in EVAL, FCALL and their kin.
const FIRST_KEY: usize = 3;

/// Text for what would take memory that is not there.
const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

impl<'j> Job<'j> {
    /// The arguments that are keys.
    pub fn keys(&self) -> impl Iterator<Item = &'j [u8]> + use<'j> {
        self.command.iter().skip(FIRST_KEY).take(self.keys)
    }

    /// The others.
    pub fn argv(&self) -> impl Iterator<Item = &'j [u8]> + use<'j> {
        self.command.iter().skip(FIRST_KEY + self.keys)
    }

    fn declared(&self, keyspace: &holdfast_storage::keyspace::Keyspace) -> ShardSet {
        let mut set = ShardSet::none();
        for key in self.keys() {
            set.add(keyspace.shard_of(keyspace.hash(key).slot));
        }
        set
    }
}

/// Runs a job and writes its reply. `invoke` runs it in the Lua state.
///
/// # Errors
/// It failed, or could not run.
pub fn run(
    call: &mut Call<'_, '_>,
    local: &mut Local,
    job: &Job<'_>,
    invoke: impl Fn(&Vm, &mut dyn Host, usize) -> Result<Answer, ScriptError>,
) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    if server.is_stale() && !job.flags.has(ScriptFlags::ALLOW_STALE) {
        return Err(ServerError::new(STALE));
    }
    let says_that_it_writes = !job.flags.has(ScriptFlags::COMPAT) && !job.flags.has(ScriptFlags::NO_WRITES);
    if says_that_it_writes && server.is_read_only() {
        return Err(ServerError::new(READONLY));
    }
    let short = call.w.maxmemory > 0
        && match call.locked {
            // Keys cannot be evicted while shards are held.
            Some(_) => server.is_over(call.w.maxmemory),
            None => !server.make_room(call.w),
        };
    let out_of_memory = short && !job.flags.has(ScriptFlags::ALLOW_OOM);
    let checked_as_a_whole = !job.flags.has(ScriptFlags::COMPAT);
    if checked_as_a_whole && !job.flags.has(ScriptFlags::NO_WRITES) {
        if call.w.source == Source::Clients
            && let Some(text) = server.write_refusal()
        {
            return Err(ServerError::new(text));
        }
        if out_of_memory {
            return Err(ServerError::new(OOM));
        }
    }
    let declared = job.declared(&server.keyspace);
    let limit = server.config.int(Param::LuaMemoryLimit).max(0) as usize;
    let mut once = |call: &mut Call<'_, '_>, locked: &mut Locked<'_>, may_start_over: bool| {
        let db = call.session.db;
        let mut host = ScriptHost {
            rules: Rules {
                kind: job.kind,
                name: job.name,
                command: job.command,
                may_write: !job.read_only && !job.flags.has(ScriptFlags::NO_WRITES),
                out_of_memory,
                declared: &declared,
                one_slot: !job.flags.has(ScriptFlags::COMPAT)
                    && !job.flags.has(ScriptFlags::ALLOW_CROSS_SLOT_KEYS),
                may_start_over,
            },
            session: call.session,
            w: call.w,
            locked,
            seen: Seen {
                slot: job.keys().next().map(|key| server.keyspace.hash(key).slot),
                ..Seen::default()
            },
            running: None,
        };
        std::mem::swap(&mut host.w.reply, &mut local.reply);
        let result = invoke(&local.vm, &mut host, limit);
        std::mem::swap(&mut host.w.reply, &mut local.reply);
        let seen = std::mem::take(&mut host.seen);
        drop(host);
        call.w.unlogged = false;
        call.w.propagation.clear();
        call.session.select(db);
        (result, seen)
    };
    let result = match call.locked.take() {
        Some(locked) => {
            let (result, seen) = once(call, locked, false);
            if result.is_ok() || seen.strayed {
                job.learned.note(!seen.strayed);
            }
            call.locked = Some(locked);
            result
        }
        None => loop {
            let few = job.learned.is_declared();
            let set = if few { &declared } else { &ShardSet::All };
            let Some(mut locked) = server.keyspace.lock_unless(set, &server.scripts.busy.flag) else {
                return Err(ServerError::new(server.scripts.busy.text_now()));
            };
            let router = call.w.router.as_ref();
            if router.is_some_and(|router| router.must_look_again(&server)) {
                let found = check::locked_command(call.session, call.w, call.entry, &job.command, &locked);
                match found {
                    Ok(()) => {}
                    Err(Redirect::Wait) => return Ok(Flow::Paused(job.command.to_owned())),
                    Err(redirect) => return Err(ServerError(redirect.text())),
                }
            }
            call.w.transaction = Some(Transaction::default());
            let (result, seen) = once(call, &mut locked, few);
            execute::end_transaction(call.w);
            let has_keys = seen.wrote || job.keys().next().is_some();
            let late = has_keys.then(|| check::late(call.w, seen.wrote)).flatten();
            drop(locked);
            if seen.strayed || job.learned.is_unknown() && result.is_ok() {
                job.learned.note(!seen.strayed);
            }
            if let Some(text) = late {
                return Err(ServerError::new(text));
            }
            if !seen.starts_over {
                break result;
            }
        },
    };
    answer(call, local, job, result)
}

fn answer(
    call: &mut Call<'_, '_>,
    local: &Local,
    job: &Job<'_>,
    result: Result<Answer, ScriptError>,
) -> ServerResult {
    let error = match result {
        Ok(answer) => {
            let begin = call.w.reply.len();
            let counted = local.vm.is_counted(&answer);
            local.vm.write(answer, &mut call.w.reply);
            let reply = &call.w.reply.as_bytes()[begin..];
            if let Some(text) = reply.strip_prefix(b"-")
                && !counted
            {
                let text = text.to_vec();
                call.w.count_error(&text);
            }
            return Ok(Flow::Continue);
        }
        Err(error) => error,
    };
    let mut text = error.text;
    text.extend_from_slice(format!(" script: {}", job.name).as_bytes());
    if let Some((source, line)) = error.place {
        text.extend_from_slice(format!(", on {source}:{line}.").as_bytes());
    }
    match String::from_utf8(text) {
        Ok(text) if !error.counted => Err(ServerError(text)),
        text => {
            let text = text.map_or_else(std::string::FromUtf8Error::into_bytes, String::into_bytes);
            call.w.reply.error_bytes(&text);
            if !error.counted {
                call.w.count_error(&text);
            }
            Ok(Flow::Continue)
        }
    }
}

/// Brings this thread's functions up to the libraries that there are.
pub fn refresh(call: &Call<'_, '_>, local: &mut Local) {
    let server = &call.session.server;
    if local.vm.functions_version == server.scripts.libraries.version() {
        return;
    }
    let set = server.scripts.libraries.get();
    local.vm.clear_functions();
    for library in set.iter() {
        match load(&call.session.server, local, &library.code, true) {
            Ok(functions) => local.vm.add_functions(functions),
            Err(error) => tracing::warn!(
                library = %String::from_utf8_lossy(&library.name),
                %error,
                "a library cannot be loaded on this thread"
            ),
        }
    }
    local.vm.functions_version = set.version;
    local.libraries = set;
}

/// Runs a library's code on this thread.
///
/// # Errors
/// As [`LoadError`] says.
pub fn load(server: &Server, local: &Local, code: &[u8], quiet: bool) -> Result<Vec<Registered>, LoadError> {
    let limit = server.config.int(Param::LuaMemoryLimit).max(0) as usize;
    let header = library_header(code).map_err(|e| LoadError::Compile(e.to_string()))?;
    local
        .vm
        .load_library(header.body, limit, &mut LoadingHost { quiet })
}
