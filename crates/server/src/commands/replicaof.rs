//! REPLICAOF and its old name SLAVEOF: <https://redis.io/commands/replicaof>.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Deprecated, Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult, client_line};
use crate::client::ClientClass;
use crate::execute;
use crate::registry::Run;
use crate::replication::{Role, replica};
use crate::worker::Transaction;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&REPLICAOF, &SLAVEOF];

const ARGS: &[Arg] = &[Arg::one_of(
    "args",
    &[
        Arg::block("host-port", &[Arg::string("host"), Arg::integer("port")]),
        Arg::block("no-one", &[Arg::word("no", "NO"), Arg::word("one", "ONE")]),
    ],
)];

const REPLICAOF: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "replicaof",
        arity: 3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, STALE, NO_ASYNC_LOADING),
        acl: flags!(Acl: ADMIN, DANGEROUS),
        group: Group::Server,
        since: "5.0.0",
        summary: "Makes the server a replica of another one, or a primary.",
        complexity: "O(1)",
        args: ARGS,
        ..Spec::DEFAULT
    },
    run: Run::Server(replicaof),
};

const SLAVEOF: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "slaveof",
        since: "1.0.0",
        arity: REPLICAOF.spec.arity,
        flags: REPLICAOF.spec.flags,
        acl: REPLICAOF.spec.acl,
        group: Group::Server,
        summary: "Makes the server a replica of another one, or a primary: the old name of REPLICAOF.",
        complexity: "O(1)",
        args: ARGS,
        deprecated: Some(Deprecated {
            since: "5.0.0",
            replaced_by: "`REPLICAOF`",
        }),
        ..Spec::DEFAULT
    },
    run: Run::Server(replicaof),
};

fn replicaof(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    if server.cluster.get().is_some() {
        return Err(ServerError::new("ERR REPLICAOF not allowed in cluster mode."));
    }
    let (host, port) = (args.get(1), args.get(2));
    if call.session.client.class() == ClientClass::Replica {
        return Err(ServerError::new(
            "ERR Command is not valid when client is a replica.",
        ));
    }
    if server.replication.failover.is_running() {
        return Err(ServerError::new("ERR REPLICAOF not allowed while failing over."));
    }
    let who = client_line(&call.session.client, call.w.now_ms);
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        log_what_was_done(call);
        let done = call.with_all(|all, _| {
            let functions = server.scripts.libraries.change();
            replica::unfollow(&server, all, &functions)
        });
        if done {
            tracing::info!("MASTER MODE enabled (user request from '{who}')");
        }
        return call.ok();
    }
    let port = holdfast_resp::parse_i64(port)
        .and_then(|port| u16::try_from(port).ok())
        .ok_or_else(|| ServerError::new("ERR Invalid master port"))?;
    let host = String::from_utf8_lossy(host).into_owned();
    if host.bytes().any(|b| b == 0) {
        return Err(ServerError::new("ERR Invalid master host"));
    }
    if let Role::Replica {
        host: old,
        port: old_port,
    } = server.replication.role()
        && old.eq_ignore_ascii_case(&host)
        && old_port == port
    {
        tracing::info!(
            "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed."
        );
        call.w.reply.simple("OK Already connected to specified master");
        return Ok(crate::session::Flow::Continue);
    }
    log_what_was_done(call);
    tracing::info!("REPLICAOF {host}:{port} enabled (user request from '{who}')");
    call.with_all(|all, _| {
        let functions = server.scripts.libraries.change();
        replica::follow(&server, all, &functions, host, port);
    });
    call.ok()
}

/// What the same transaction has written before belongs to the history that it was written in.
fn log_what_was_done(call: &mut Call<'_, '_>) {
    if call.w.transaction.is_some() {
        execute::end_transaction(call.w);
        call.w.transaction = Some(Transaction::default());
    }
}
