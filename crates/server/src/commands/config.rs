//! CONFIG: <https://redis.io/commands/config-set>. The table of directives is [`crate::config`]; here is what a change
//! does to the running server.

use std::sync::Arc;

use holdfast_acl::Account;
use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult, help};
use crate::config::{LogLevel, Param, UserLine};
use crate::logging;
use crate::registry::Run;
use crate::server::Server;
use crate::session::Flow;
use crate::startup;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &CONFIG,
    &CONFIG_GET,
    &CONFIG_SET,
    &CONFIG_REWRITE,
    &CONFIG_RESETSTAT,
    &CONFIG_HELP,
];

const CONFIG: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "config",
        arity: -2,
        group: Group::Server,
        since: "2.0.0",
        summary: "Container of the commands about the configuration.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const CONFIG_GET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "config|get",
        arity: -3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "2.0.0",
        summary: "Returns the parameters that match.",
        complexity: "O(N), N: patterns given",
        args: &[Arg::block("parameter", &[Arg::string("parameter")]).multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(get),
};

const CONFIG_SET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "config|set",
        arity: -4,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "2.0.0",
        summary: "Changes parameters while the server runs.",
        complexity: "O(N), N: parameters given",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        args: &[Arg::block(
            "parameter_value",
            &[Arg::string("parameter"), Arg::string("value")],
        )
        .multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(set),
};

const CONFIG_REWRITE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "config|rewrite",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "2.8.0",
        summary: "Writes the running configuration to the configuration file.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(rewrite),
};

const CONFIG_RESETSTAT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "config|resetstat",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "2.0.0",
        summary: "Sets the counters of INFO back.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        call.session.server.reset_stats();
        call.ok()
    }),
};

const CONFIG_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "config|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Server,
        since: "5.0.0",
        summary: "Lists the subcommands of CONFIG.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        help(
            call,
            "CONFIG",
            &[
                (
                    "GET <pattern>",
                    "Parameters whose names match the pattern, with their values.",
                ),
                ("SET <directive> <value>", "Give parameters new values."),
                ("RESETSTAT", "Set the counters of INFO back."),
                ("REWRITE", "Write the values in use to the configuration file."),
            ],
        )
    }),
};

fn get(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let patterns: Vec<&[u8]> = args.from(2).collect();
    let found = call.session.server.config.get(&patterns);
    call.w.reply.map(found.len());
    for (name, value) in found {
        call.w.reply.bulk(&name);
        call.w.reply.bulk(&value);
    }
    Ok(Flow::Continue)
}

fn set(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if !args.len().is_multiple_of(2) {
        return Err(CmdError::Syntax.into());
    }
    let pairs: Vec<(&[u8], &[u8])> = args.pairs(2).collect();
    let server = Arc::clone(&call.session.server);
    let local = call.session.client.is_local();
    let changed = server
        .config
        .set_and_apply(&pairs, local, |changed| apply_fallible(&server, changed));
    for param in changed.map_err(ServerError::new)? {
        apply(&server, param);
    }
    // The caller's own next command sees the change, even within one pipeline.
    call.w.refresh();
    call.ok()
}

/// What can fail: then nothing is changed.
fn apply_fallible(server: &Server, changed: &[Param]) -> Result<(), (Param, String)> {
    for &param in changed {
        match param {
            Param::Maxclients => startup::allow_clients(&server.config).map_err(|e| (param, e))?,
            Param::Port | Param::Bind => server.rebind().map_err(|e| {
                tracing::warn!("{e}");
                let text = match param {
                    Param::Port => "Unable to listen on this port. Check server logs.",
                    _ => "Failed to bind to specified addresses.", // bind, the only other one here
                };
                (param, text.to_owned())
            })?,
            _ => {} // whatever needs nothing, or cannot fail
        }
    }
    Ok(())
}

/// What cannot fail. Workers read sizes and limits by themselves when the configuration's version changes.
fn apply(server: &Server, param: Param) {
    match param {
        Param::Loglevel => logging::set_level(LogLevel::from_code(server.config.int(param))),
        Param::ClientOutputBufferLimit => {
            for client in server.clients.all() {
                server.apply_output_limit(&client);
            }
        }
        Param::MaxmemoryClients | Param::Maxmemory => {
            let config = &server.config;
            let (setting, maxmemory) = (config.int(Param::MaxmemoryClients), config.int(Param::Maxmemory));
            server.client_memory.set_limit(setting, maxmemory as u64);
            server.client_memory.note_all(&server.clients);
        }
        Param::Requirepass => server.acl.apply_requirepass(&server.config),
        Param::AcllogMaxLen => {
            let most = usize::try_from(server.config.int(param)).unwrap_or(0);
            server.acl.log.lock().trim(most);
        }
        _ => {} // read where it is used
    }
}

fn rewrite(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let server = &call.session.server;
    // Users that have a file of their own stay there.
    let users: Option<Vec<UserLine>> = server.config.aclfile().is_none().then(|| {
        let line = |account: &Arc<Account>| UserLine {
            name: account.name().to_vec(),
            rules: account.user().text(),
        };
        server.acl.users.all().iter().map(line).collect()
    });
    server
        .config
        .rewrite(users.as_deref())
        .map_err(ServerError::new)?;
    tracing::info!("CONFIG REWRITE executed with success.");
    call.ok()
}
