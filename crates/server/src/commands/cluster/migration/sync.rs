//! CLUSTER SYNCSLOTS, which nodes say to each other while slots travel.
//!
//! Must not know: who may begin a migration.

use std::sync::Arc;

use holdfast_cluster::MigrationId;
use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::super::{job, off};
use super::error;
use crate::acl::Acl;
use crate::blocking;
use crate::cluster::migration::import::Importing;
use crate::cluster::strays;
use crate::commands::{Call, ServerCommand, ServerError, ServerResult};
use crate::registry::Run;
use crate::server::Server;
use crate::session::{Flow, Wait};

pub(super) const CLUSTER_SYNCSLOTS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|syncslots",
        arity: 4,
        flags: flags!(Flags: ADMIN, NOSCRIPT, NO_MULTI),
        group: Group::Cluster,
        since: "9.0.0",
        summary: "What nodes say to each other while slots migrate.",
        complexity: "O(N), N: keys that an earlier try has left",
        args: &[Arg::one_of(
            "subcommand",
            &[
                Arg::string("migration-id").token("BEGIN"),
                Arg::integer("mark").token("ACK"),
            ],
        )],
        ..Spec::DEFAULT
    },
    run: Run::Server(sync_slots),
};

/// CLUSTER SYNCSLOTS BEGIN id | ACK mark
fn sync_slots(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    let cluster = server.cluster.get().ok_or_else(off)?;
    match args.get(2).to_ascii_uppercase().as_slice() {
        b"BEGIN" => {
            let name = String::from_utf8_lossy(args.get(3)).into_owned();
            let id = MigrationId::parse(&name).ok_or_else(|| error("no name of a migration"))?;
            begin(call, &server, id)
        }
        b"ACK" => {
            let mark = args.int(3)?;
            let importing = call.session.importing.as_ref();
            let importing = importing.ok_or_else(|| error("this connection brings no slots"))?;
            importing
                .confirm(&cluster.migrations, call.w.now_ms)
                .map_err(ServerError)?;
            call.w.reply.int(mark);
            Ok(Flow::Continue)
        }
        _ => Err(ServerError::new("ERR syntax error")),
    }
}

/// The connection brings the keys of a migration from now on. Answered when those of earlier tries are gone.
fn begin(call: &mut Call<'_, '_>, server: &Arc<Server>, id: MigrationId) -> ServerResult {
    let cluster = server.cluster.get().ok_or_else(off)?;
    if call.session.importing.is_some() || tokio::runtime::Handle::try_current().is_err() {
        return Err(error("a connection brings the slots of one migration, once"));
    }
    let importing = Importing::begin(server, cluster, id).map_err(ServerError::new)?;
    // Whoever may say this has the right to change everything; what comes has been let in at the source.
    if !call.session.log_in(Acl::own_account(&server.config)) {
        return Err(error("no account for a migration"));
    }
    let (slots, over) = (Arc::clone(importing.slots()), Arc::clone(importing.over()));
    tracing::info!("Migration {id}: {} slots begin to come", slots.len());
    call.session.importing = Some(Box::new(importing));
    let waiter = job::enter(call);
    let (job, server) = (Arc::clone(&waiter), Arc::clone(server));
    tokio::spawn(async move {
        strays::purge(Arc::clone(&server), slots, over).await;
        blocking::unblock(&server, None, &job, b"+OK\r\n");
    });
    Ok(Flow::Blocked(Wait {
        waiter,
        timeout_ms: None,
    }))
}
