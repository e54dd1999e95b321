//! ROLE: <https://redis.io/commands/role>.

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Group, Spec};

use super::{Call, ServerCommand, ServerResult};
use crate::registry::Run;
use crate::replication::Role;
use crate::replication::primary::Stage;
use crate::replication::replica::LinkState;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&ROLE];

const ROLE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "role",
        arity: 1,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, FAST),
        acl: flags!(Acl: ADMIN, DANGEROUS),
        group: Group::Server,
        since: "2.8.12",
        summary: "Returns the replication role of this server.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(role),
};

fn role(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let server = &call.session.server;
    if let Role::Replica { host, port } = server.replication.role() {
        return role_of_replica(call, &host, port);
    }
    let reply = &mut call.w.reply;
    let mut replicas = server.replication.primary.replicas();
    replicas.retain(|r| r.stage() == Stage::Online);
    reply.array(3);
    reply.bulk(b"master");
    reply.int(server.log.end_offset() as i64);
    reply.array(replicas.len());
    for replica in replicas {
        reply.array(3);
        reply.bulk(replica.ip().as_bytes());
        reply.bulk(replica.who.port.to_string().as_bytes());
        reply.bulk(replica.acked().to_string().as_bytes());
    }
    Ok(Flow::Continue)
}

fn role_of_replica(call: &mut Call<'_, '_>, host: &str, port: u16) -> ServerResult {
    let server = &call.session.server;
    let link = server.replication.follower.link();
    let state = link.map_or(LinkState::Connect, |link| link.state());
    let offset = match state {
        LinkState::Connected => server.log.end_offset() as i64,
        LinkState::Connect | LinkState::Connecting | LinkState::Handshake | LinkState::Transfer => -1,
    };
    let reply = &mut call.w.reply;
    reply.array(5);
    reply.bulk(b"slave");
    reply.bulk(host.as_bytes());
    reply.int(i64::from(port));
    reply.bulk(state.name().as_bytes());
    reply.int(offset);
    Ok(Flow::Continue)
}
