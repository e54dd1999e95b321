//! WAIT and WAITAOF: <https://redis.io/commands/wait>. Who has acknowledged what is [`crate::acks`]'s.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::{Reply, parse_i64};

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::acks::{NO_AOF, Need};
use crate::blocking::{self, ForAcks};
use crate::config::Param;
use crate::registry::Run;
use crate::session::{Flow, Replies, Wait};

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&WAIT, &WAITAOF];

const WAIT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "wait",
        arity: 3,
        flags: flags!(Flags: BLOCKING),
        acl: flags!(Acl: CONNECTION),
        group: Group::Generic,
        since: "3.0.0",
        summary: "Waits until replicas have received what this connection has written.",
        complexity: "O(N), N: replicas",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        args: &[Arg::integer("numreplicas"), Arg::integer("timeout")],
        ..Spec::DEFAULT
    },
    run: Run::Server(wait),
};

const WAITAOF: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "waitaof",
        arity: 4,
        flags: flags!(Flags: BLOCKING),
        acl: flags!(Acl: CONNECTION),
        group: Group::Generic,
        since: "7.2.0",
        summary: "Waits until what this connection has written is in append-only files, here and on replicas.",
        complexity: "O(N), N: replicas",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        args: &[
            Arg::integer("numlocal"),
            Arg::integer("numreplicas"),
            Arg::integer("timeout"),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(waitaof),
};

const ON_A_REPLICA: &str = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
                            configured to be writable (which is not the default) writes to replicas are just local and are not \
                            propagated.";
const AOF_ON_A_REPLICA: &str = "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are \
                                just local and are not propagated.";

fn wait(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if call.session.server.replication.is_replica() {
        return Err(ServerError::new(ON_A_REPLICA));
    }
    let replicas = args.int(1)?;
    let timeout_ms = timeout(call, args.get(2))?;
    wait_for(call, args, replicas, None, timeout_ms)
}

fn waitaof(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let local = args.int(1)?;
    if !(0..=1).contains(&local) {
        return Err(ServerError::new(
            "ERR value is out of range, value must between 0 and 1",
        ));
    }
    let replicas = args.int(2)?;
    if replicas < 0 {
        return Err(ServerError::new("ERR value is out of range, must be positive"));
    }
    let timeout_ms = timeout(call, args.get(3))?;
    if call.session.server.replication.is_replica() {
        return Err(ServerError::new(AOF_ON_A_REPLICA));
    }
    if local > 0 && !call.session.server.config.flag(Param::Appendonly) {
        return Err(ServerError::new(NO_AOF));
    }
    wait_for(call, args, replicas, Some(local), timeout_ms)
}

/// Milliseconds; None: for ever.
fn timeout(call: &Call<'_, '_>, word: &[u8]) -> Result<Option<u64>, ServerError> {
    let ms =
        parse_i64(word).ok_or_else(|| ServerError::new("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| CmdError::TimeoutNegative)?;
    if call.w.now_ms.checked_add_unsigned(ms).is_none() {
        return Err(ServerError::new("ERR timeout is out of range"));
    }
    Ok((ms > 0).then_some(ms))
}

fn wait_for(
    call: &mut Call<'_, '_>,
    args: Args<'_>,
    replicas: i64,
    local: Option<i64>,
    timeout_ms: Option<u64>,
) -> ServerResult {
    let session = &*call.session;
    let server = Arc::clone(&session.server);
    let need = Need {
        // An offset of a history that is no more is nothing to wait for.
        offset: session.written_to.min(server.log.end_offset()),
        replicas,
        local,
    };
    let count = server.acks.count(&need);
    // Nobody waits inside a transaction.
    if need.is_met(count) || call.locked.is_some() {
        need.reply(&mut call.w.reply, count);
        return Ok(Flow::Continue);
    }
    server.replication.primary.ask_for_acks(&server, need.offset);
    let blocked = ForAcks {
        entry: call.entry,
        args,
        need,
        proto: session.proto,
        muted: session.replies != Replies::On,
    };
    let waiter = server.blocking.enter_for_acks(&server, &session.client, &blocked);
    // The role or the file may have gone between the look above and this, and who ends waits then did not see this one.
    let gone = if server.replication.is_replica() {
        Some(ON_A_REPLICA)
    } else if local.is_some_and(|n| n > 0) && !server.config.flag(Param::Appendonly) {
        Some(NO_AOF)
    } else {
        None
    };
    if let Some(text) = gone {
        let mut reply = Reply::new(Vec::new(), waiter.proto);
        reply.error(text);
        blocking::unblock(&server, None, &waiter, reply.as_bytes());
    }
    Ok(Flow::Blocked(Wait { waiter, timeout_ms }))
}
