//! FAILOVER: <https://redis.io/commands/failover>. What it does is [`crate::replication::failover`]'s.

use std::sync::Arc;
use std::time::Duration;

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::config::Param;
use crate::registry::Run;
use crate::replication::failover::{self, Wish};

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&FAILOVER];

const FAILOVER: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "failover",
        arity: -1,
        flags: flags!(Flags: ADMIN, NOSCRIPT, STALE),
        group: Group::Server,
        since: "6.2.0",
        summary: "Lets a replica that has all data take over, without losing a write.",
        complexity: "O(1)",
        args: &[
            Arg::block(
                "target",
                &[
                    Arg::string("host"),
                    Arg::integer("port"),
                    Arg::word("force", "FORCE").opt(),
                ],
            )
            .token("TO")
            .opt(),
            Arg::word("abort", "ABORT").opt(),
            Arg::integer("milliseconds").token("TIMEOUT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(failover),
};

fn failover(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    if server.config.flag(Param::ClusterEnabled) {
        return Err(ServerError::new(
            "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.",
        ));
    }
    let mut wish = Wish::default();
    let mut abort = false;
    let mut rest = args.cursor(1);
    while rest.left() > 0 {
        if wish.timeout.is_none() && rest.left() > 1 && rest.accept("TIMEOUT") {
            let ms = rest.int()?;
            let ms = u64::try_from(ms).ok().filter(|ms| *ms > 0);
            let ms = ms.ok_or_else(|| ServerError::new("ERR FAILOVER timeout must be greater than 0"))?;
            wish.timeout = Some(Duration::from_millis(ms));
        } else if !abort && rest.accept("ABORT") {
            abort = true;
        } else if wish.target.is_none() && rest.left() > 2 && rest.accept("TO") {
            let host = String::from_utf8_lossy(rest.word()?).into_owned();
            let port = rest.int()?;
            let port = u16::try_from(port)
                .map_err(|_| ServerError::new("ERR FAILOVER target HOST and PORT is not a replica."))?;
            wish.target = Some((host, port));
        } else if !wish.force && rest.accept("FORCE") {
            wish.force = true;
        } else {
            return Err(CmdError::Syntax.into());
        }
    }
    if abort && args.len() > 2 {
        return Err(CmdError::Syntax.into());
    }
    if call.locked.is_some() {
        return Err(ServerError::new(
            "ERR FAILOVER is not possible inside a transaction",
        ));
    }
    let done = if abort {
        failover::abort(&server)
    } else {
        failover::begin(&server, wish)
    };
    done.map_err(ServerError::new)?;
    call.ok()
}
