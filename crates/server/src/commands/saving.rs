//! SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF: <https://redis.io/commands/bgsave>.
//!
//! None of them stops anybody: they write the data of the moment at which they were given, while others work on. SAVE answers
//! when the file is there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::Reply;

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::aof::rewrite;
use crate::blocking;
use crate::memory;
use crate::registry::Run;
use crate::saving;
use crate::server::{SAVER_ROW, Server};
use crate::session::{Flow, Replies, Wait};
use crate::snapshots::Purpose;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&BGREWRITEAOF, &BGSAVE, &LASTSAVE, &SAVE];

const BGREWRITEAOF: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "bgrewriteaof",
        arity: 1,
        flags: flags!(Flags: ADMIN, NOSCRIPT, NO_ASYNC_LOADING),
        group: Group::Server,
        since: "1.0.0",
        summary: "Begins to replace the append-only file by a snapshot and what comes after it.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(bgrewriteaof),
};

const SAVE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "save",
        arity: 1,
        flags: flags!(Flags: ADMIN, NOSCRIPT, NO_ASYNC_LOADING, NO_MULTI),
        group: Group::Server,
        since: "1.0.0",
        summary: "Writes the data to the snapshot file and answers when it is there.",
        complexity: "O(N), N: number of keys of all databases",
        ..Spec::DEFAULT
    },
    run: Run::Server(save),
};

const BGSAVE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "bgsave",
        arity: -1,
        flags: flags!(Flags: ADMIN, NOSCRIPT, NO_ASYNC_LOADING),
        group: Group::Server,
        since: "1.0.0",
        summary: "Begins to write the data to the snapshot file.",
        complexity: "O(1)",
        args: &[Arg::word("schedule", "SCHEDULE").opt().since("3.2.2")],
        ..Spec::DEFAULT
    },
    run: Run::Server(bgsave),
};

const LASTSAVE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "lastsave",
        arity: 1,
        flags: flags!(Flags: LOADING, STALE, FAST),
        acl: flags!(Acl: ADMIN, DANGEROUS),
        group: Group::Server,
        since: "1.0.0",
        summary: "Returns the Unix time of the last snapshot that was written.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: Run::Server(lastsave),
};

const IN_PROGRESS: &str = "ERR Background save already in progress";

fn lastsave(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let last = call.session.server.saving.last_save_s();
    call.w.reply.int(last);
    Ok(Flow::Continue)
}

fn save(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    count_changes(call);
    let server = Arc::clone(&call.session.server);
    if is_saving(&server) {
        return Err(ServerError::new(IN_PROGRESS));
    }
    if tokio::runtime::Handle::try_current().is_err() {
        let claim = server.snapshots.claim_in_turn(Purpose::Save, false);
        return match saving::save(&server, &claim, || {}) {
            Ok(()) => call.ok(),
            Err(_) => Err(ServerError::new("ERR")),
        };
    }
    let session = &call.session;
    let muted = session.replies != Replies::On;
    let waiter =
        session
            .server
            .blocking
            .enter_job(&session.client, call.entry, session.db, session.proto, muted);
    let job = Arc::clone(&waiter);
    let thread = std::thread::Builder::new().name("save".into()).spawn(move || {
        // A rewrite of the append-only file comes to its end first.
        let claim = server.snapshots.claim_in_turn(Purpose::Save, false);
        let saved = saving::save(&server, &claim, || {});
        drop(claim);
        memory::retire(server.threads + SAVER_ROW);
        let mut reply = Reply::new(Vec::new(), job.proto);
        match saved {
            Ok(()) => reply.ok(),
            Err(_) => reply.error("ERR"),
        }
        blocking::unblock(&server, None, &job, reply.as_bytes());
    });
    if let Err(error) = thread {
        tracing::warn!(%error, "no thread for SAVE");
        blocking::cancel(&call.session.server, &waiter);
        return Err(ServerError::new("ERR"));
    }
    Ok(Flow::Blocked(Wait {
        waiter,
        timeout_ms: None,
    }))
}

fn bgsave(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let schedule = match args.len() {
        1 => false,
        2 if args.is(1, "SCHEDULE") => true,
        _ => return Err(CmdError::Syntax.into()),
    };
    count_changes(call);
    let server = Arc::clone(&call.session.server);
    if is_saving(&server) {
        return Err(ServerError::new(IN_PROGRESS));
    }
    let claim = if call.locked.is_some() {
        None // the cut takes locks that are held here
    } else {
        server.snapshots.claim(Purpose::BackgroundSave)
    };
    match claim {
        Some(claim) => {
            saving::begin_in_background(&server, claim).map_err(|e| ServerError::new(format!("ERR {e}")))?;
            call.w.reply.simple("Background saving started");
        }
        None if schedule || call.locked.is_some() => {
            server.saving.scheduled.store(true, Ordering::Relaxed);
            call.w.reply.simple("Background saving scheduled");
        }
        None => return Err(ServerError::new(format!("ERR {}", saving::ANOTHER))),
    }
    Ok(Flow::Continue)
}

fn bgrewriteaof(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    if server.snapshots.running_for(&[Purpose::Rewrite]).is_some() {
        return Err(ServerError::new(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    let claim = match call.locked {
        Some(_) => None, // the cut takes locks that are held here
        None => server.snapshots.claim(Purpose::Rewrite),
    };
    match claim {
        Some(claim) => {
            rewrite::begin_in_background(&server, claim).map_err(|_| {
                ServerError::new("ERR Can't execute an AOF background rewriting. Please check the server logs for more information.")
            })?;
            call.w
                .reply
                .simple("Background append only file rewriting started");
        }
        None => {
            server.aof.rewriting.scheduled.store(true, Ordering::Relaxed);
            call.w
                .reply
                .simple("Background append only file rewriting scheduled");
        }
    }
    Ok(Flow::Continue)
}

/// A snapshot file is being written, or sent.
fn is_saving(server: &Server) -> bool {
    let purposes = [Purpose::Save, Purpose::BackgroundSave, Purpose::FullSync];
    server.snapshots.running_for(&purposes).is_some()
}

/// The changes of this pipeline belong to the save.
fn count_changes(call: &mut Call<'_, '_>) {
    let server = Arc::clone(&call.session.server);
    server.stats.add(call.w.id, &mut call.w.counters);
}
