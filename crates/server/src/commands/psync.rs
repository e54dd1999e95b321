//! PSYNC, SYNC, REPLCONF: what a replica says to its primary. Facts:
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/> and what 7.0.15 answers.
//!
//! The rules are [`holdfast_replication`]'s, the work is [`crate::replication::primary`]'s.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_replication::{Ask, Content, ReplId, Said, first_wanted};
use holdfast_resp::parse_i64;

use super::{Call, ServerCommand, ServerError, ServerResult, client_line};
use crate::cluster::Cluster;
use crate::config::Param;
use crate::registry::Run;
use crate::replication::failover::NOT_TO_A_PRIMARY;
use crate::replication::replica;
use crate::server::Server;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&PSYNC, &SYNC, &REPLCONF];

const PSYNC: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "psync",
        arity: -3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, NO_ASYNC_LOADING, NO_MULTI),
        group: Group::Server,
        since: "2.8.0",
        summary: "Begins replication: from an offset on, or with a snapshot.",
        complexity: "O(1), and O(N) in the background for a snapshot of N keys",
        args: &[Arg::string("replicationid"), Arg::integer("offset")],
        ..Spec::DEFAULT
    },
    run: Run::Server(psync),
};

const SYNC: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "sync",
        arity: 1,
        flags: flags!(Flags: ADMIN, NOSCRIPT, NO_ASYNC_LOADING, NO_MULTI),
        group: Group::Server,
        since: "1.0.0",
        summary: "Begins replication with a snapshot, for replicas that know no offsets.",
        complexity: "O(N) in the background for a snapshot of N keys",
        ..Spec::DEFAULT
    },
    run: Run::Server(sync),
};

const REPLCONF: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "replconf",
        arity: -1,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE, ALLOW_BUSY, SYSCMD),
        group: Group::Server,
        since: "3.0.0",
        summary: "Tells a primary what a replica can do, and how far it is.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(replconf),
};

fn psync(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if call.session.replica.is_some() {
        return Ok(Flow::Continue); // a second one is not answered, as in Redis
    }
    let offset = parse_i64(args.get(2)).ok_or(CmdError::NotInteger)?;
    let ask = match args.get(1) {
        b"?" => Ask::Everything,
        id => Ask::Rest {
            id: ReplId::parse(id),
            offset,
        },
    };
    if args.len() > 3 && args.is(3, "FAILOVER") {
        let server = &call.session.server;
        let has = server.log.end_offset();
        if server.replication.follower.is_up()
            && u64::try_from(offset).is_ok_and(|first| first > first_wanted(has))
        {
            // The last bytes of the old primary are on their way; behind them its connection ends.
            return Ok(Flow::Paused(args.frame().to_owned()));
        }
        take_over(call, args.get(1))?;
    }
    attach(call, args, ask, false)
}

/// The primary gives way to this server, which has everything.
fn take_over(call: &mut Call<'_, '_>, id: &[u8]) -> Result<(), ServerError> {
    let server = Arc::clone(&call.session.server);
    if !server.replication.is_replica() {
        return Err(ServerError(format!("ERR {NOT_TO_A_PRIMARY}")));
    }
    let ours = server.replication.history().id();
    if ReplId::parse(id) != Some(ours) {
        return Err(ServerError::new(
            "ERR PSYNC FAILOVER replid must match my replid.",
        ));
    }
    tracing::info!("Failover request received for replid {ours}.");
    let who = client_line(&call.session.client, call.w.now_ms);
    let done = call.with_all(|all, _| {
        let functions = server.scripts.libraries.change();
        replica::unfollow(&server, all, &functions)
    });
    if done {
        tracing::info!("MASTER MODE enabled (failover request from '{who}')");
    }
    Ok(())
}

fn sync(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if call.session.replica.is_some() {
        return Ok(Flow::Continue);
    }
    attach(call, args, Ask::Everything, true)
}

/// Whether this is a cluster's primary that may not serve, or does not know yet what it is: it may have come back with
/// nothing, and be about to be replaced by the very replica that asks.
fn is_doubtful(server: &Server) -> bool {
    if !server.config.flag(Param::ClusterEnabled) || server.replication.is_replica() {
        return false;
    }
    let serves = |cluster: &Cluster| cluster.view().is_primary() && cluster.plane().lease_holds();
    !server.cluster.get().is_some_and(serves)
}

fn attach(call: &mut Call<'_, '_>, args: Args<'_>, ask: Ask, is_old: bool) -> ServerResult {
    let session = &mut *call.session;
    let server = Arc::clone(&session.server);
    // Who wants a copy to keep gets what there is.
    let keeps_it = session.introduction.as_ref().is_some_and(|who| who.rdb_only);
    if !keeps_it && is_doubtful(&server) {
        return Ok(Flow::Paused(args.frame().to_owned()));
    }
    let replication = &server.replication;
    if replication.is_replica() && !replication.is_link_up() {
        return Err(ServerError::new(
            "NOMASTERLINK Can't SYNC while not connected with my master",
        ));
    }
    if let Some(who) = &session.introduction
        && who.content != Content::All
        && !who.eof
    {
        return Err(ServerError::new("ERR Filtered replica requires EOF capability"));
    }
    let attachment = replication.primary.attach(&server, session, ask, is_old);
    Ok(Flow::Replica(Box::new(attachment)))
}

/// What a replica says once it follows is not answered.
fn replconf(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len().is_multiple_of(2) {
        return Err(CmdError::Syntax.into());
    }
    let server = Arc::clone(&call.session.server);
    for (option, value) in args.pairs(1) {
        let who = call.session.introduction.get_or_insert_default();
        match who.hear(option, value, parse_i64) {
            Ok(Said::Noted) => {}
            Ok(said @ (Said::Received(_) | Said::Synced(_))) => {
                let Some(replica) = &call.session.replica else {
                    return Ok(Flow::Continue);
                };
                server.replication.primary.hear(&server, replica, said);
                // `ack <offset> fack <offset>` are two pairs of one message.
                if args.from(3).len() == 0 || matches!(said, Said::Synced(_)) {
                    return Ok(Flow::Continue);
                }
            }
            Ok(Said::AckWanted) => return Ok(Flow::Continue),
            Err(misfit) => return Err(ServerError::new(misfit)),
        }
    }
    if call.session.replica.is_none() {
        call.w.reply.ok();
    }
    Ok(Flow::Continue)
}
