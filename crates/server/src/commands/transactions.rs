//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! EXEC locks the shards of all queued commands at once, so nobody sees a part of it; what it does becomes one MULTI
//! block in the replication log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Flags, Group, KeySpec, Spec};
use holdfast_resp::OwnedFrame;
use holdfast_storage::keyspace::{Keyspace, ShardSet};

use super::{Call, ServerCommand, ServerError, ServerResult, cluster};
use crate::acl::{self, Origin};
use crate::client::flag;
use crate::cluster::check;
use crate::cluster::route::Redirect;
use crate::execute::{self, Caller};
use crate::registry::{Entry, KeyPlan, Run};
use crate::session::{Flow, Multi};
use crate::worker::Transaction;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&MULTI, &EXEC, &DISCARD, &WATCH, &UNWATCH];

const MULTI: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "multi",
        arity: 1,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY),
        acl: flags!(Acl: TRANSACTION),
        group: Group::Transactions,
        since: "1.2.0",
        summary: "Begins a transaction.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(multi),
};

const EXEC: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "exec",
        arity: 1,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, SKIP_SLOWLOG),
        acl: flags!(Acl: TRANSACTION),
        group: Group::Transactions,
        since: "1.2.0",
        summary: "Runs the queued commands of the transaction.",
        complexity: "Depends on the queued commands",
        ..Spec::DEFAULT
    },
    run: Run::Server(exec),
};

const DISCARD: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "discard",
        arity: 1,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY),
        acl: flags!(Acl: TRANSACTION),
        group: Group::Transactions,
        since: "2.0.0",
        summary: "Drops the queued commands of the transaction.",
        complexity: "O(N), N: queued commands",
        ..Spec::DEFAULT
    },
    run: Run::Server(discard),
};

const WATCH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "watch",
        arity: -2,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY),
        acl: flags!(Acl: TRANSACTION),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: RO))],
        group: Group::Transactions,
        since: "2.2.0",
        summary: "Makes the next transaction depend on keys staying unchanged.",
        complexity: "O(1) per key",
        args: &[Arg::key("key", 0).multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(watch),
};

const UNWATCH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "unwatch",
        arity: 1,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY),
        acl: flags!(Acl: TRANSACTION),
        group: Group::Transactions,
        since: "2.2.0",
        summary: "Forgets the watched keys of this connection.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(unwatch),
};

fn multi(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    if call.session.multi.is_some() {
        return Err(ServerError::new("ERR MULTI calls can not be nested"));
    }
    call.session.multi = Some(Multi::default());
    call.session.client.multi.store(0, Ordering::Relaxed);
    call.session.client.set_flag(flag::MULTI, true);
    call.ok()
}

fn discard(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    if call.session.multi.is_none() {
        return Err(ServerError::new("ERR DISCARD without MULTI"));
    }
    call.session.discard();
    call.ok()
}

fn watch(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if call.session.multi.is_some() {
        return Err(ServerError::new("ERR WATCH inside MULTI is not allowed"));
    }
    let keys: Vec<&[u8]> = args.from(1).collect();
    call.session.watch(call.w, &keys).map_err(ServerError::new)?;
    call.ok()
}

fn unwatch(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    // Inside EXEC the locks are held, and EXEC forgets the watched keys by itself.
    if call.locked.is_none() {
        call.session.unwatch();
    }
    call.ok()
}

fn exec(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let Some(multi) = call.session.multi.take() else {
        return Err(ServerError::new("ERR EXEC without MULTI"));
    };
    if multi.aborted {
        call.session.discard();
        return Err(ServerError::new(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    let server = Arc::clone(&call.session.server);
    if cluster::takes(&server, &multi.queue) {
        return cluster::run_queue(call, multi.queue);
    }
    let mut flow = Flow::Continue;
    let begin = call.w.reply.len();
    {
        let shards = shards_of_all(call, &multi);
        let Some(mut locked) = server.keyspace.lock_unless(&shards, &server.scripts.busy.flag) else {
            call.session.discard();
            return Err(ServerError(format!(
                "EXECABORT Transaction discarded because of: {}",
                server.scripts.busy.text_now()
            )));
        };
        if call.w.router.is_some()
            && let Err(redirect) = check::queue(call.session, call.w, &multi.queue, Some(&locked))
        {
            drop(locked);
            if matches!(redirect, Redirect::Wait) {
                call.session.multi = Some(multi);
                return Ok(Flow::Paused(args.frame().to_owned()));
            }
            call.session.discard();
            return Err(ServerError(redirect.text()));
        }
        call.w.meter.skip(); // the first command's time begins here
        if call.session.watched_changed(&mut locked, call.w.now_ms) {
            call.w.reply.null_array();
        } else {
            call.w.transaction = Some(Transaction::default());
            let mark = call.w.reply.mark();
            call.w.reply.array(multi.queue.len());
            for (entry, owned) in &multi.queue {
                let Some(frame) = owned.frame() else { continue };
                let args = Args::new(frame);
                if !call.session.is_unrestricted()
                    && let Err(text) = acl::permit(call.session, call.w, entry, &frame, Origin::Exec)
                {
                    call.w.reply.error(&text);
                    call.w.count_error(text.as_bytes());
                    continue;
                }
                match entry.run {
                    Run::Data(handler) => {
                        let caller = Caller {
                            db: call.session.db,
                            may_block: false,
                            no_touch: call.session.client.has_flag(flag::NO_TOUCH),
                            known: None,
                        };
                        execute::run_locked(call.w, &caller, entry, handler, args, &mut locked);
                    }
                    Run::Server(handler) => {
                        match call
                            .session
                            .run_server(entry, handler, args, call.w, Some(&mut locked))
                        {
                            Flow::Continue => {}
                            other => flow = other,
                        }
                    }
                    Run::Container => call.w.reply.error("ERR a command without its subcommand"),
                }
            }
            execute::end_transaction(call.w);
            if call.w.router.is_some() && multi.queue.iter().any(|(entry, _)| !entry.spec.keys.is_empty()) {
                // A script may have written.
                let writes = multi.queue.iter().any(|(entry, _)| !entry.is(Flags::READONLY));
                check::withdraw_if_late(call.w, mark, writes);
            }
        }
    }
    let ends_subscription = |e: &Entry| {
        matches!(
            e.spec.name,
            "unsubscribe" | "punsubscribe" | "sunsubscribe" | "hello"
        )
    };
    if multi.queue.iter().any(|(entry, _)| ends_subscription(entry)) {
        // A revoked key of client-side caching must not come before what EXEC has read.
        if !call.session.tracks {
            call.deliver_mail(begin);
        }
    }
    call.session.discard();
    Ok(flow)
}

/// The union of what the queued commands need, and the watched keys' shards.
fn shards_of_all(call: &Call<'_, '_>, multi: &Multi) -> ShardSet {
    let keyspace = &call.session.server.keyspace;
    let mut all = ShardSet::none();
    for (_, key) in call.session.watching.keys.keys() {
        all.add(keyspace.shard_of(keyspace.hash(key).slot));
    }
    add_shards_of_queue(keyspace, &multi.queue, all)
}

/// Adds the shards of queued commands to a set.
pub(crate) fn add_shards_of_queue(
    keyspace: &Keyspace,
    queue: &[(&'static Entry, OwnedFrame)],
    mut all: ShardSet,
) -> ShardSet {
    for (entry, owned) in queue {
        if wants_all(entry) {
            return ShardSet::All;
        }
        let Some(frame) = owned.frame() else { continue };
        match execute::shards_of(keyspace, entry, &frame) {
            ShardSet::All => return ShardSet::All,
            ShardSet::Some(shards) => shards.into_iter().for_each(|s| all.add(s)),
        }
    }
    all
}

/// The server's own commands may look at any data (INFO, DEBUG, MEMORY), except for those that surely do not.
pub(crate) fn wants_all(entry: &Entry) -> bool {
    match (entry.run, entry.keys) {
        (Run::Server(_), _) => !matches!(
            entry.spec.name,
            "ping" | "echo" | "time" | "select" | "publish" | "spublish" | "wait" | "waitaof" | "unwatch"
        ),
        (_, KeyPlan::All | KeyPlan::Roam) => true,
        (Run::Data(_) | Run::Container, KeyPlan::None | KeyPlan::One(_) | KeyPlan::Specs) => false,
    }
}
