//! PING, ECHO, SELECT.

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::Proto;

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&PING, &ECHO, &SELECT];

const PING: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "ping",
        arity: -1,
        flags: flags!(Flags: FAST),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        summary: "Answers PONG or the given text.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        args: &[Arg::string("message").opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(ping),
};

const ECHO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "echo",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE, FAST),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        summary: "Returns the given text.",
        complexity: "O(1)",
        args: &[Arg::string("message")],
        ..Spec::DEFAULT
    },
    run: Run::Server(echo),
};

const SELECT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "select",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE, FAST),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        summary: "Chooses the database of this connection.",
        complexity: "O(1)",
        args: &[Arg::integer("index")],
        ..Spec::DEFAULT
    },
    run: Run::Server(select),
};

fn ping(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len() > 2 {
        return Err(CmdError::Arity("ping").into());
    }
    let message = args.opt(1);
    let reply = &mut call.w.reply;
    if call.session.proto == Proto::Resp2 && call.session.subscriptions() > 0 {
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(message.unwrap_or_default());
    } else {
        match message {
            None => reply.simple("PONG"),
            Some(text) => reply.bulk(text),
        }
    }
    Ok(Flow::Continue)
}

fn echo(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    call.w.reply.bulk(args.get(1));
    Ok(Flow::Continue)
}

fn select(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let db = args.int(1)?;
    if i32::try_from(db).is_err() {
        return Err(ServerError::new(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ));
    }
    let databases = call.session.server.keyspace.databases();
    if db != 0 && databases == 1 && call.session.server.cluster.get().is_some() {
        return Err(ServerError::new("ERR SELECT is not allowed in cluster mode"));
    }
    if !(0..i64::from(databases)).contains(&db) {
        return Err(CmdError::DbIndex.into());
    }
    call.session.select(db as u32);
    call.ok()
}
