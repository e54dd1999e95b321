//! CONFIG: <https://redis.io/commands/config-set>. The table of directives is [`crate::config`]; here is what a change
//! does to the running server.

use std::sync::Arc;

use holdfast_acl::Account;
use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult, agreed, help};
use crate::cluster::wide::settings;
use crate::config::{LogLevel, Param, SetError, UserLine};
use crate::encryption;
use crate::logging;
use crate::net;
use crate::registry::Run;
use crate::server::Server;
use crate::session::Flow;
use crate::startup;

/// Bytes of backlog below which `repl-backlog-size` is raised, as Redis does.
const LEAST_BACKLOG: i64 = 16 << 10;

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
    let concerns_all = |name: &[u8]| settings::find(name).is_some();
    let password = |name: &[u8]| Param::find(name) == Some(Param::Requirepass);
    if server.cluster.get().is_some()
        && pairs.iter().any(|(name, _)| concerns_all(name) || password(name))
        && agreed::applies(call)?
    {
        server.config.check(&pairs, local).map_err(ServerError::new)?;
        let (wide, own): (Vec<_>, Vec<_>) = pairs.iter().copied().partition(|(name, _)| concerns_all(name));
        set_here(&server, &own, local, true)?;
        call.w.refresh();
        let named =
            |(name, value): (&[u8], &[u8])| Some((settings::find(name)?.name().to_owned(), value.to_vec()));
        let wide = wide.into_iter().filter_map(named).collect();
        return agreed::settings::set(call, wide, own.iter().any(|(name, _)| password(name)));
    }
    // A cut takes locks that are held inside EXEC.
    let may_cut = call.locked.is_none();
    set_here(&server, &pairs, local, may_cut)?;
    // The caller's own next command sees the change, even within one pipeline.
    call.w.refresh();
    call.ok()
}

/// Sets directives of this node, all or none.
fn set_here(
    server: &Arc<Server>,
    pairs: &[(&[u8], &[u8])],
    local: bool,
    may_cut: bool,
) -> Result<(), ServerError> {
    let before = values_of(server, pairs);
    let set = |pairs: &[(&[u8], &[u8])]| -> Result<(), ServerError> {
        let changed = server
            .config
            .set_and_apply(pairs, local, |changed| apply_fallible(server, changed, may_cut));
        for param in changed.map_err(ServerError::new)? {
            apply(server, param);
        }
        Ok(())
    };
    set(pairs)?;
    // Not under the lock of the configuration (see there), nor inside EXEC, whose locks the cut may need.
    if may_cut
        && !before.is_empty()
        && let Err(reason) = server.aof.wait_for_begin()
    {
        let before: Vec<_> = before.iter().map(|(name, value)| (*name, &**value)).collect();
        let _what_was_right_before = set(&before);
        let name = Param::Appendonly.name().as_bytes();
        return Err(ServerError::new(SetError::failed(name, reason)));
    }
    Ok(())
}

/// The directives of a CONFIG SET as they are, if it may have to be taken back.
fn values_of<'n>(server: &Server, pairs: &[(&'n [u8], &[u8])]) -> Vec<(&'n [u8], Arc<[u8]>)> {
    let known = |(name, _): &(&'n [u8], &[u8])| Some((*name, Param::find(name)?));
    let params: Vec<_> = pairs.iter().filter_map(known).collect();
    if params.iter().all(|(_, param)| *param != Param::Appendonly) {
        return Vec::new();
    }
    let value = |(name, param)| (name, server.config.text(param));
    params.into_iter().map(value).collect()
}

/// Sets a directive that all nodes have agreed on.
///
/// # Errors
/// This version does not know the directive, or not this value.
pub(crate) fn set_agreed(server: &Arc<Server>, name: &[u8], value: &[u8]) -> Result<(), String> {
    set_here(server, &[(name, value)], true, false).map_err(|error| error.0)
}

/// What can fail: then nothing is changed.
fn apply_fallible(server: &Arc<Server>, changed: &[Param], may_cut: bool) -> Result<(), (Param, String)> {
    for &param in changed {
        match param {
            Param::Maxclients => startup::allow_clients(&server.config).map_err(|e| (param, e))?,
            Param::Dir => enter_dir(server).map_err(|e| (param, e))?,
            Param::Appendonly => server.aof.apply_wanted(server, may_cut).map_err(|e| (param, e))?,
            Param::EncryptionKeyFile => encryption::read_keys(server).map_err(|e| (param, e.to_string()))?,
            tls if net::tls::concerns(tls) => {
                server.tls.configure(&server.config).map_err(|error| {
                    tracing::warn!("{error}");
                    let text = "Unable to update TLS configuration. Check server logs.";
                    (param, text.to_owned())
                })?;
                if param == Param::TlsPort {
                    rebind(server, param)?;
                }
            }
            Param::Port | Param::Bind => rebind(server, param)?,
            _ => {} // whatever needs nothing, or cannot fail
        }
    }
    Ok(())
}

/// Files are made in the new directory from now on. Those of the append-only file belong together.
fn enter_dir(server: &Server) -> Result<(), String> {
    if server.config.flag(Param::Appendonly) {
        return Err("the append only file is in the old directory: turn it off first".to_owned());
    }
    std::env::set_current_dir(server.config.dir()).map_err(|e| e.to_string())
}

fn rebind(server: &Server, param: Param) -> Result<(), (Param, String)> {
    server.rebind().map_err(|e| {
        tracing::warn!("{e}");
        let text = match param {
            Param::Bind => "Failed to bind to specified addresses.",
            _ => "Unable to listen on this port. Check server logs.", // the ports, the only others here
        };
        (param, text.to_owned())
    })
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
        Param::ReplBacklogSize => {
            if server.config.int(param) < LEAST_BACKLOG
                && let Err(error) = server
                    .config
                    .store(param, &[LEAST_BACKLOG.to_string().as_bytes()])
            {
                tracing::warn!(%error, "repl-backlog-size is not raised");
            }
            server.replication.primary.resize_backlog(server);
        }
        Param::MinReplicasToWrite | Param::MinReplicasMaxLag => {
            server.replication.primary.refresh_good(server);
        }
        Param::Appendfsync => server.aof.apply_policy(server),
        Param::KeyLoadDelay => server.loading.set_key_delay(server.config.int(param)),
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
