//! CLIENT KILL: <https://redis.io/commands/client-kill>.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::client_filter::{Filter, Style};
use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::blocking;
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&CLIENT_KILL];

const CLIENT_KILL: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|kill",
        arity: -3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "2.4.0",
        summary: "Closes the connections that match.",
        complexity: "O(N), N: connections",
        args: &[Arg::one_of(
            "filter",
            &[
                Arg::string("ip:port"),
                Arg::one_of(
                    "new-format",
                    &[
                        Arg::integer("client-id").token("ID").opt().since("2.8.12"),
                        Arg::one_of(
                            "normal_master_slave_pubsub",
                            &[
                                Arg::word("normal", "NORMAL"),
                                Arg::word("master", "MASTER").since("3.2.0"),
                                Arg::word("slave", "SLAVE"),
                                Arg::word("replica", "REPLICA").since("5.0.0"),
                                Arg::word("pubsub", "PUBSUB"),
                            ],
                        )
                        .token("TYPE")
                        .opt()
                        .since("2.8.12"),
                        Arg::string("username").token("USER").opt(),
                        Arg::string("ip:port").token("ADDR").opt(),
                        Arg::string("ip:port").token("LADDR").opt().since("6.2.0"),
                        Arg::string("yes/no").token("SKIPME").opt(),
                        Arg::integer("maxage").token("MAXAGE").opt().since("7.4.0"),
                    ],
                )
                .multi(),
            ],
        )],
        ..Spec::DEFAULT
    },
    run: Run::Server(kill),
};

fn kill(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len() == 3 {
        return match kill_all(call, &Filter::addr(args.get(2))) {
            (0, _) => Err(ServerError::new("ERR No such client")),
            (_, flow) => {
                call.w.reply.ok();
                Ok(flow)
            }
        };
    }
    let server = Arc::clone(&call.session.server);
    let filter = Filter::parse(&server, args, Style::Kill)?;
    let (killed, flow) = kill_all(call, &filter);
    call.w.reply.int(killed);
    Ok(flow)
}

/// Ends the connections that match; how many they are, and whether the caller is among them.
fn kill_all(call: &mut Call<'_, '_>, filter: &Filter<'_>) -> (i64, Flow) {
    let server = Arc::clone(&call.session.server);
    let me = call.session.client.id;
    let (mut killed, mut flow) = (0, Flow::Continue);
    for client in server.clients.open() {
        if !filter.matches(&client, me, call.w.now_ms) {
            continue;
        }
        killed += 1;
        if client.id == me {
            // Its reply still leaves.
            flow = Flow::Close;
            continue;
        }
        client.kill();
        // From now on nothing may be given to it, though its own thread may not have noticed yet.
        if let Some(waiter) = client.waiter() {
            blocking::unblock(&server, call.locked.as_deref_mut(), &waiter, b"");
        }
    }
    (killed, flow)
}
