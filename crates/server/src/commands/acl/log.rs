//! ACL LOG: <https://redis.io/commands/acl-log>.

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::{Call, ServerCommand, ServerResult};
use crate::commands::wrong_subcommand;
use crate::registry::Run;
use crate::session::Flow;

pub(super) const ACL_LOG: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|log",
        arity: -2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Lists what was denied lately, or forgets about it.",
        complexity: "O(N), N: entries returned",
        args: &[Arg::one_of("operation", &[Arg::integer("count"), Arg::word("reset", "RESET")]).opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(log),
};

/// Entries that are shown unless told otherwise.
const USUAL_COUNT: usize = 10;

fn log(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len() > 3 {
        return Err(wrong_subcommand(call.entry, args));
    }
    if args.is(2, "RESET") {
        call.session.server.acl.log.lock().clear();
        return call.ok();
    }
    let count = match args.opt(2) {
        None => USUAL_COUNT,
        Some(_) => usize::try_from(args.int(2)?).unwrap_or(0),
    };
    let log = call.session.server.acl.log.lock();
    let (reply, now_ms) = (&mut call.w.reply, call.w.now_ms);
    let entries = log.entries();
    reply.array(entries.len().min(count));
    for entry in entries.take(count) {
        let incident = &entry.incident;
        reply.map(10);
        reply.bulk(b"count");
        reply.int(entry.count as i64);
        reply.bulk(b"reason");
        reply.bulk(incident.reason.as_bytes());
        reply.bulk(b"context");
        reply.bulk(incident.context.name().as_bytes());
        reply.bulk(b"object");
        reply.bulk(&incident.object);
        reply.bulk(b"username");
        reply.bulk(&incident.username);
        reply.bulk(b"age-seconds");
        reply.double((now_ms - entry.updated_ms).max(0) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(entry.client.as_bytes());
        reply.bulk(b"entry-id");
        reply.int(entry.id as i64);
        reply.bulk(b"timestamp-created");
        reply.int(entry.created_ms);
        reply.bulk(b"timestamp-last-updated");
        reply.int(entry.updated_ms);
    }
    Ok(Flow::Continue)
}
