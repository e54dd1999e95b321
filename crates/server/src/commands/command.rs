//! COMMAND: <https://redis.io/commands/command>. All of it is derived from the declarations.

use std::sync::OnceLock;

use holdfast_commands::flags;
use holdfast_commands::introspect::command::{Catalogue, HELP};
use holdfast_commands::spec::{Arg, Group, Spec};

use super::ServerCommand;
use crate::registry::{Registry, Run};
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &COMMAND,
    &COMMAND_COUNT,
    &COMMAND_DOCS,
    &COMMAND_GETKEYS,
    &COMMAND_GETKEYSANDFLAGS,
    &COMMAND_HELP,
    &COMMAND_INFO,
    &COMMAND_LIST,
];

const COMMAND: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "command",
        arity: -1,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Server,
        since: "2.8.13",
        summary: "Describes all commands.",
        complexity: "O(N), N: commands",
        tips: &["nondeterministic_output_order"],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        catalogue().all(&mut call.w.reply);
        Ok(Flow::Continue)
    }),
};

const COMMAND_COUNT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "command|count",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Server,
        since: "2.8.13",
        summary: "Returns the number of commands.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        catalogue().count(&mut call.w.reply);
        Ok(Flow::Continue)
    }),
};

const COMMAND_DOCS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "command|docs",
        arity: -2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Server,
        since: "7.0.0",
        summary: "Returns the documentation of commands.",
        complexity: "O(N), N: commands asked for",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::string("command-name").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| {
        catalogue().docs(&mut call.w.reply, &args.frame());
        Ok(Flow::Continue)
    }),
};

const COMMAND_GETKEYS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "command|getkeys",
        arity: -4,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Server,
        since: "2.8.13",
        summary: "Finds the keys in a full command.",
        complexity: "O(N), N: arguments of the command",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| {
        catalogue().keys(&mut call.w.reply, &args.frame(), false);
        Ok(Flow::Continue)
    }),
};

const COMMAND_GETKEYSANDFLAGS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "command|getkeysandflags",
        arity: -4,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Server,
        since: "7.0.0",
        summary: "Finds the keys in a full command, with what it does to each.",
        complexity: "O(N), N: arguments of the command",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| {
        catalogue().keys(&mut call.w.reply, &args.frame(), true);
        Ok(Flow::Continue)
    }),
};

const COMMAND_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "command|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Server,
        since: "5.0.0",
        summary: "Lists the subcommands of COMMAND.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        call.w.reply.array(HELP.len());
        HELP.iter().for_each(|line| call.w.reply.simple(line));
        Ok(Flow::Continue)
    }),
};

const COMMAND_INFO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "command|info",
        arity: -2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Server,
        since: "2.8.13",
        summary: "Describes the given commands.",
        complexity: "O(N), N: commands asked for",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::string("command-name").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| {
        catalogue().info(&mut call.w.reply, &args.frame());
        Ok(Flow::Continue)
    }),
};

const COMMAND_LIST: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "command|list",
        arity: -2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Server,
        since: "7.0.0",
        summary: "Lists the names of commands.",
        complexity: "O(N), N: commands",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::one_of(
            "filterby",
            &[
                Arg::string("module-name").token("MODULE"),
                Arg::string("category").token("ACLCAT"),
                Arg::pattern("pattern").token("PATTERN"),
            ],
        )
        .token("FILTERBY")
        .opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| {
        catalogue().list(&mut call.w.reply, &args.frame());
        Ok(Flow::Continue)
    }),
};

/// Every declared command of this server.
pub fn catalogue() -> &'static Catalogue<'static> {
    static CATALOGUE: OnceLock<Catalogue<'static>> = OnceLock::new();
    CATALOGUE.get_or_init(|| Catalogue::new(Registry::get().all().map(|e| e.spec)))
}
