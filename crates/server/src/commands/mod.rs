//! The server's own commands: those that need the session, the configuration or the process. Data commands are in the
//! commands crate.

mod acl;
mod agreed;
mod auth;
mod client;
mod client_filter;
mod client_kill;
mod client_list;
mod client_pause;
mod client_tracking;
mod cluster;
mod clusterscan;
mod command;
mod commandlog;
mod config;
mod connection;
mod debug;
mod failover;
mod hotkeys;
mod info;
mod latency;
mod latency_report;
mod lolwut;
mod memory;
mod migrate;
mod module;
mod monitor;
mod process;
mod psync;
mod pubsub;
mod pubsub_sharded;
mod replicaof;
mod role;
mod saving;
pub(crate) mod scripting;
mod slowlog;
mod transactions;
mod wait;

pub(crate) use transactions::{add_shards_of_queue, wants_all};

use std::fmt::Display;
use std::sync::Arc;

pub(crate) use client_list::line as client_line;
pub(crate) use config::set_agreed;
use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::spec::{Flags, Spec};
use holdfast_resp::Reply;
use holdfast_storage::keyspace::{Locked, ShardSet};

use crate::execute;
use crate::registry::{Entry, Run};
use crate::session::{Flow, Replies, Session};
use crate::worker::Worker;

/// A declared command of the server.
#[derive(Debug)]
pub struct ServerCommand {
    /// What it declares.
    pub spec: &'static Spec,
    /// What it does.
    pub run: Run,
}

/// What a handler of the server may use.
#[derive(Debug)]
pub struct Call<'a, 'k> {
    /// The connection.
    pub session: &'a mut Session,
    /// The thread; the reply is built in it.
    pub w: &'a mut Worker,
    /// The command or subcommand itself.
    pub entry: &'static Entry,
    /// All shards, inside EXEC.
    pub locked: Option<&'a mut Locked<'k>>,
}

/// A handler of the server: writes exactly one reply and says how the connection goes on.
pub type ServerHandler = fn(&mut Call<'_, '_>, Args<'_>) -> ServerResult;

/// Its result.
pub type ServerResult = Result<Flow, ServerError>;

/// An error reply, code word included.
#[derive(Debug)]
pub struct ServerError(pub String);

impl ServerError {
    /// A text with the code word in front.
    pub fn new(text: impl Display) -> Self {
        Self(text.to_string())
    }
}

impl From<CmdError> for ServerError {
    fn from(e: CmdError) -> Self {
        Self(e.to_string())
    }
}

impl Call<'_, '_> {
    /// The end of a handler that answers OK.
    pub fn ok(&mut self) -> ServerResult {
        self.w.reply.ok();
        Ok(Flow::Continue)
    }

    /// Puts what is in the client's mailbox into the reply, at `at`. A subscription's last messages come before the
    /// reply that ends it, or they would be taken for replies to the commands that follow.
    pub fn deliver_mail(&mut self, at: usize) {
        if self.session.client.has_mail() && self.session.replies == Replies::On {
            let mut reply = self.w.reply.take();
            let behind = reply.split_off(at);
            self.session.client.take_mail(&mut reply);
            reply.extend_from_slice(&behind);
            self.w.reply = Reply::new(reply, self.session.proto);
        }
    }

    /// Runs `f` with every shard locked.
    pub fn with_all<R>(&mut self, f: impl FnOnce(&mut Locked<'_>, &mut Worker) -> R) -> R {
        match &mut self.locked {
            Some(locked) => f(locked, self.w),
            None => {
                let server = Arc::clone(&self.session.server);
                let mut locked = server.keyspace.lock(&ShardSet::All);
                self.w.note_trackers();
                f(&mut locked, self.w)
            }
        }
    }

    /// Runs `f` with the shard of `key` locked.
    pub fn with_key<R>(&mut self, key: &[u8], f: impl FnOnce(&mut Locked<'_>, &mut Worker) -> R) -> R {
        let server = Arc::clone(&self.session.server);
        let mut own = self.locked.is_none().then(|| {
            let shard = server.keyspace.shard_of(server.keyspace.hash(key).slot);
            server.keyspace.lock_one(shard)
        });
        self.w.note_trackers();
        let result = match (&mut self.locked, &mut own) {
            (Some(locked), _) => f(locked, self.w),
            (None, Some(locked)) => f(locked, self.w),
            (None, None) => unreachable!("it was locked above"),
        };
        if self.entry.is(Flags::READONLY) {
            execute::remember_keys(self.w, std::iter::once(key));
        }
        result
    }
}

/// Every command of the server, by family.
pub fn all() -> impl Iterator<Item = &'static ServerCommand> {
    [
        acl::COMMANDS,
        auth::COMMANDS,
        client::COMMANDS,
        client_kill::COMMANDS,
        client_list::COMMANDS,
        client_pause::COMMANDS,
        client_tracking::COMMANDS,
        cluster::COMMANDS,
        cluster::nodes::COMMANDS,
        cluster::migration::COMMANDS,
        cluster::slots::COMMANDS,
        clusterscan::COMMANDS,
        command::COMMANDS,
        commandlog::COMMANDS,
        config::COMMANDS,
        connection::COMMANDS,
        debug::COMMANDS,
        failover::COMMANDS,
        hotkeys::COMMANDS,
        info::COMMANDS,
        latency::COMMANDS,
        lolwut::COMMANDS,
        memory::COMMANDS,
        migrate::COMMANDS,
        monitor::COMMANDS,
        module::COMMANDS,
        process::COMMANDS,
        psync::COMMANDS,
        pubsub::COMMANDS,
        pubsub_sharded::COMMANDS,
        replicaof::COMMANDS,
        role::COMMANDS,
        saving::COMMANDS,
        scripting::eval::COMMANDS,
        scripting::fcall::COMMANDS,
        scripting::function::COMMANDS,
        scripting::function_dump::COMMANDS,
        scripting::script::COMMANDS,
        slowlog::COMMANDS,
        transactions::COMMANDS,
        wait::COMMANDS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The reply of a container's HELP: usage and explanation of each subcommand.
pub fn help(call: &mut Call<'_, '_>, container: &str, lines: &[(&str, &str)]) -> ServerResult {
    help_lines(&mut call.w.reply, container, lines);
    Ok(Flow::Continue)
}

fn help_lines(reply: &mut Reply, container: &str, lines: &[(&str, &str)]) {
    reply.array(2 * lines.len() + 3);
    reply.simple(&format!(
        "{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for (usage, text) in lines.iter().chain(&[("HELP", "Prints this help.")]) {
        reply.simple(usage);
        reply.simple(&format!("    {text}"));
    }
}

/// A subcommand whose number of arguments only its handler can judge.
pub fn wrong_subcommand(entry: &Entry, args: Args<'_>) -> ServerError {
    let container = entry
        .spec
        .name
        .split('|')
        .next()
        .unwrap_or(entry.spec.name)
        .to_uppercase();
    let sub = String::from_utf8_lossy(args.opt(1).unwrap_or_default()).into_owned();
    ServerError(format!(
        "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try {container} HELP."
    ))
}
