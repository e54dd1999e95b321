//! What a running script asks for, answered by the server: the same way for its commands as for anybody's, with the
//! script's own checks in front.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use holdfast_commands::args::Args;
use holdfast_commands::key_positions::needs_all_shards;
use holdfast_commands::spec::Flags;
use holdfast_resp::{Frame, Proto};
use holdfast_scripting::{Called, Host, LogLevel, Tick};
use holdfast_storage::keyspace::{KeyHash, Locked, ShardSet};

use super::busy::{Kind, Running};
use crate::acl::{self, Origin};
use crate::client::flag;
use crate::cluster::check;
use crate::commands::wants_all;
use crate::config::Param;
use crate::execute::{self, Caller};
use crate::registry::{Entry, KeyPlan, Registry, Run};
use crate::server::TOO_FEW_REPLICAS;
use crate::session::Session;
use crate::worker::{Source, Worker};

/// One run on locked shards.
pub(super) struct ScriptHost<'a, 'k> {
    pub(super) session: &'a mut Session,
    pub(super) w: &'a mut Worker,
    pub(super) locked: &'a mut Locked<'k>,
    pub(super) rules: Rules<'a>,
    pub(super) seen: Seen,
    /// Noted once the run has lasted a while.
    pub(super) running: Option<Arc<Running>>,
}

/// What the run may do.
pub(super) struct Rules<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    /// The command that runs the script.
    pub(super) command: Frame<'a>,
    pub(super) may_write: bool,
    /// Memory is short, and the script does not say that it may run all the same.
    pub(super) out_of_memory: bool,
    /// Shards of the keys that it has declared.
    pub(super) declared: &'a ShardSet,
    /// In cluster mode: all its keys must be in one slot.
    pub(super) one_slot: bool,
    /// It may be aborted and run again with all shards, as long as nobody can tell.
    pub(super) may_start_over: bool,
}

/// What the run has done.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// A command that writes was called.
    pub(super) wrote: bool,
    /// Somebody was told something: a message, a line of the log.
    pub(super) told: bool,
    /// It touched a shard that it has not declared.
    pub(super) strayed: bool,
    /// In cluster mode: the slot of its keys.
    pub(super) slot: Option<u16>,
    /// It was aborted and has to run again.
    pub(super) starts_over: bool,
}

/// Why a command does not run.
enum Refusal {
    Error(String),
    Stop,
}

impl From<&str> for Refusal {
    fn from(text: &str) -> Self {
        Self::Error(text.to_owned())
    }
}

impl ScriptHost<'_, '_> {
    /// Runs a command; its reply is in the worker's buffer.
    fn run(&mut self, frame: Frame<'_>) -> Result<(), Refusal> {
        let entry = Registry::get()
            .resolve(&frame)
            .map_err(|_| "ERR Unknown Redis command called from script")?;
        self.check(entry, &frame)?;
        let args = Args::new(frame);
        match entry.run {
            Run::Data(handler) => {
                let known = self.reach(entry, &frame)?;
                self.check_slot(entry, &frame)?;
                self.note_write(entry)?;
                let caller = Caller {
                    db: self.session.db,
                    may_block: false,
                    no_touch: self.session.client.has_flag(flag::NO_TOUCH),
                    known,
                };
                self.w.counters.commands += 1;
                execute::run_locked(self.w, &caller, entry, handler, args, self.locked);
            }
            Run::Server(handler) => {
                if wants_all(entry) {
                    self.reach_all()?;
                }
                self.check_slot(entry, &frame)?;
                self.note_write(entry)?;
                self.seen.told |= !matches!(entry.spec.name, "ping" | "echo" | "select" | "time");
                self.w.counters.commands += 1;
                self.session
                    .run_server(entry, handler, args, self.w, Some(&mut *self.locked));
            }
            Run::Container => return Err("ERR Unknown Redis command called from script".into()),
        }
        Ok(())
    }

    fn check(&mut self, entry: &'static Entry, frame: &Frame<'_>) -> Result<(), Refusal> {
        if !entry.spec.arity_ok(frame.len()) {
            return Err("ERR Wrong number of args calling Redis command from script".into());
        }
        if entry.spec.flags.any(Flags::NOSCRIPT) || refuses_scripts(entry) {
            return Err("ERR This Redis command is not allowed from script".into());
        }
        if !self.session.is_unrestricted() {
            acl::permit(self.session, self.w, entry, frame, Origin::Script).map_err(Refusal::Error)?;
        }
        let writes = entry.spec.flags.any(Flags::WRITE.or(Flags::MAY_REPLICATE));
        if writes && !self.rules.may_write {
            return Err("ERR Write commands are not allowed from read-only scripts.".into());
        }
        if self.w.server.has_too_few_replicas() && entry.is(Flags::WRITE) && !self.seen.wrote {
            return Err(TOO_FEW_REPLICAS.into());
        }
        if !entry.is(Flags::STALE) && self.w.server.is_stale() {
            return Err("ERR Can not execute the command on a stale replica".into());
        }
        // A script that has begun to write may come to its end: half of it would be worse.
        if self.seen.wrote {
            return Ok(());
        }
        // What a log holds has been written already.
        if entry.is(Flags::WRITE)
            && self.w.source == Source::Clients
            && let Some(text) = self.w.server.write_refusal()
        {
            return Err(Refusal::Error(text.into_owned()));
        }
        if self.rules.out_of_memory && entry.is(Flags::DENYOOM) {
            return Err("OOM command not allowed when used memory > 'maxmemory'.".into());
        }
        Ok(())
    }

    /// In cluster mode: the keys are this node's, and in the slot of those before. They are locked.
    fn check_slot(&mut self, entry: &'static Entry, frame: &Frame<'_>) -> Result<(), Refusal> {
        if self.w.router.is_none() {
            return Ok(());
        }
        let slot = self.rules.one_slot.then_some(&mut self.seen.slot);
        check::from_script(self.session, self.w, entry, frame, self.locked, slot).map_err(Refusal::from)
    }

    /// Notes a write before it happens. A run that somebody wants to end is not let begin to write: it could then not be
    /// ended any more.
    fn note_write(&mut self, entry: &Entry) -> Result<(), Refusal> {
        if !entry.is(Flags::WRITE) {
            return Ok(());
        }
        if let Some(running) = &self.running {
            if running.is_killed() && !self.seen.wrote {
                return Err(Refusal::Stop);
            }
            running.wrote.store(true, Ordering::Release);
        }
        self.seen.wrote = true;
        Ok(())
    }

    /// Makes sure that the shards of a command's keys are locked. The hash of its only key.
    fn reach(&mut self, entry: &Entry, frame: &Frame<'_>) -> Result<Option<(u8, KeyHash)>, Refusal> {
        let keyspace = self.locked.keyspace();
        match entry.keys {
            KeyPlan::None => Ok(None),
            KeyPlan::One(i) => {
                let Some(key) = frame.get(i as usize) else {
                    return Ok(None);
                };
                let hash = keyspace.hash(key);
                self.reach_shard(keyspace.shard_of(hash.slot))?;
                Ok(Some((i, hash)))
            }
            KeyPlan::All | KeyPlan::Roam => self.reach_all().map(|()| None),
            KeyPlan::Specs => {
                if needs_all_shards(entry.spec, frame) {
                    return self.reach_all().map(|()| None);
                }
                match execute::shards_of(keyspace, entry, frame) {
                    ShardSet::All => self.reach_all()?,
                    ShardSet::Some(shards) => {
                        for shard in shards {
                            self.reach_shard(shard)?;
                        }
                    }
                }
                Ok(None)
            }
        }
    }

    fn reach_shard(&mut self, shard: u16) -> Result<(), Refusal> {
        let declared = match self.rules.declared {
            ShardSet::All => true,
            ShardSet::Some(shards) => shards.binary_search(&shard).is_ok(),
        };
        self.seen.strayed |= !declared;
        if self.locked.holds(shard) {
            return Ok(());
        }
        self.take_all()
    }

    fn reach_all(&mut self) -> Result<(), Refusal> {
        self.seen.strayed = true;
        if self.locked.holds_all() {
            return Ok(());
        }
        self.take_all()
    }

    /// Gets all shards for a script that had promised to need a few only.
    #[cold]
    fn take_all(&mut self) -> Result<(), Refusal> {
        if self.rules.may_start_over && !self.seen.wrote && !self.seen.told {
            self.seen.starts_over = true;
            return Err(Refusal::Stop);
        }
        if self.locked.extend_to_all() {
            return Ok(());
        }
        Err("ERR The script uses a key that it did not declare, as another script does at the same time. Pass the names of all keys as KEYS.".into())
    }

    fn error(&mut self, text: &str) {
        self.w.reply.error(text);
        self.w.count_error(text.as_bytes());
    }
}

/// Blocking commands that scripts may call as of Redis 7.2 answer at once; those that wait for others cannot.
fn refuses_scripts(entry: &Entry) -> bool {
    matches!(entry.spec.name, "wait" | "waitaof")
}

impl Host for ScriptHost<'_, '_> {
    fn call(&mut self, argv: Frame<'_>, proto: Proto) -> Called<'_> {
        self.w.reply.clear();
        self.w.reply.set_proto(proto);
        match self.run(argv) {
            Ok(()) => {}
            Err(Refusal::Error(text)) => self.error(&text),
            Err(Refusal::Stop) => return Called::Stop,
        }
        Called::Reply(self.w.reply.as_bytes())
    }

    fn may_call(&mut self, argv: Frame<'_>) -> Option<bool> {
        let entry = Registry::get().resolve(&argv).ok()?;
        Some(acl::allows(self.session, entry, &argv))
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.seen.told = true;
        log_line(level, text);
    }

    fn set_repl(&mut self, bits: u8) {
        self.w.unlogged = bits == 0;
    }

    fn tick(&mut self) -> Tick {
        let server = Arc::clone(&self.w.server);
        let (rules, row, wrote) = (&self.rules, self.w.id, self.seen.wrote);
        let running = self.running.get_or_insert_with(|| {
            let command = rules.command.iter().map(Box::from).collect();
            server
                .scripts
                .busy
                .enter(rules.kind, rules.name.to_owned(), command, row, wrote)
        });
        if server.shutdown.is_cancelled() {
            return Tick::Stop;
        }
        if running.is_killed() && !wrote {
            tracing::info!("Lua script killed by user with SCRIPT KILL.");
            return Tick::Stop;
        }
        let threshold = server.config.int(Param::BusyReplyThreshold).max(0) as u64;
        server.scripts.busy.note_slow(running, threshold);
        Tick::Continue
    }
}

impl Drop for ScriptHost<'_, '_> {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            self.w.server.scripts.busy.leave(running);
        }
    }
}

fn log_line(level: LogLevel, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match level {
        LogLevel::Debug => tracing::trace!("{text}"),
        LogLevel::Verbose => tracing::debug!("{text}"),
        LogLevel::Notice => tracing::info!("{text}"),
        LogLevel::Warning => tracing::warn!("{text}"),
    }
}

/// The host of a library that is being loaded: it may write to the log, on the thread that was asked to load it.
pub(super) struct LoadingHost {
    pub(super) quiet: bool,
}

impl Host for LoadingHost {
    fn call(&mut self, _: Frame<'_>, _: Proto) -> Called<'_> {
        Called::Stop
    }
    fn may_call(&mut self, _: Frame<'_>) -> Option<bool> {
        None
    }
    fn log(&mut self, level: LogLevel, text: &[u8]) {
        if !self.quiet {
            log_line(level, text);
        }
    }
    fn set_repl(&mut self, _: u8) {}
    fn tick(&mut self) -> Tick {
        Tick::Continue
    }
}
