//! MODULE, as a server answers that has no modules: the list is empty, and what is asked for cannot be loaded.

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult, help};
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &MODULE,
    &MODULE_HELP,
    &MODULE_LIST,
    &MODULE_LOAD,
    &MODULE_LOADEX,
    &MODULE_UNLOAD,
];

const MODULE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "module",
        arity: -2,
        group: Group::Server,
        since: "4.0.0",
        summary: "Container of the commands about modules.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const MODULE_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "module|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Server,
        since: "5.0.0",
        summary: "Lists the subcommands of MODULE.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        help(
            call,
            "MODULE",
            &[
                (
                    "LIST",
                    "The loaded modules: none, since this server has no modules.",
                ),
                ("LOAD <path> [<arg> ...]", "Always an error."),
                (
                    "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
                    "Always an error.",
                ),
                ("UNLOAD <name>", "Always an error."),
            ],
        )
    }),
};

const MODULE_LIST: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "module|list",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT),
        group: Group::Server,
        since: "4.0.0",
        summary: "Lists the loaded modules.",
        complexity: "O(1)",
        tips: &["nondeterministic_output_order"],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        call.w.reply.array(0);
        Ok(Flow::Continue)
    }),
};

const MODULE_LOAD: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "module|load",
        arity: -3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, NO_ASYNC_LOADING),
        group: Group::Server,
        since: "4.0.0",
        summary: "Would load a module; this server has none.",
        complexity: "O(1)",
        args: &[Arg::string("path"), Arg::string("arg").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(load),
};

const MODULE_LOADEX: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "module|loadex",
        arity: -3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, NO_ASYNC_LOADING),
        group: Group::Server,
        since: "7.0.0",
        summary: "Would load a module with its configuration; this server has none.",
        complexity: "O(1)",
        args: &[
            Arg::string("path"),
            Arg::block("configs", &[Arg::string("name"), Arg::string("value")])
                .token("CONFIG")
                .opt()
                .multi_token(),
            Arg::block("args", &[Arg::string("arg")])
                .token("ARGS")
                .opt()
                .multi(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(load),
};

const MODULE_UNLOAD: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "module|unload",
        arity: 3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, NO_ASYNC_LOADING),
        group: Group::Server,
        since: "4.0.0",
        summary: "Would unload a module; this server has none.",
        complexity: "O(1)",
        args: &[Arg::string("name")],
        ..Spec::DEFAULT
    },
    run: Run::Server(|_, _| {
        Err(ServerError::new(
            "ERR Error unloading module: no such module with that name",
        ))
    }),
};

fn load(_: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let path = String::from_utf8_lossy(args.get(2)).into_owned();
    tracing::warn!(path, "Module failed to load: this server has no modules");
    Err(ServerError::new(
        "ERR Error loading the extension. Please check the server logs.",
    ))
}
