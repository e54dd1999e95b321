//! CLUSTER: <https://redis.io/commands/?group=cluster>, and ASKING, READONLY, READWRITE. There is no cluster mode yet, and a
//! server that is told to run in it does not start; so all of them answer as an instance does whose cluster support is
//! switched off. The declarations of the subcommands are in [`slots`] and [`nodes`].

pub mod nodes;
pub mod slots;

use holdfast_commands::flags;
use holdfast_commands::spec::{Group, Spec};

use super::{ServerCommand, ServerError};
use crate::registry::Run;

/// The commands; those of the other files are listed there.
pub const COMMANDS: &[&ServerCommand] = &[
    &ASKING,
    &CLUSTER,
    &CLUSTER_HELP,
    &CLUSTER_INFO,
    &READONLY,
    &READWRITE,
];

const ASKING: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "asking",
        arity: 1,
        flags: flags!(Flags: FAST),
        acl: flags!(Acl: CONNECTION),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Lets the next command use a hash slot that is being imported.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: OFF,
};

const CLUSTER: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster",
        arity: -2,
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Container of the commands about the cluster.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const CLUSTER_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Cluster,
        since: "5.0.0",
        summary: "Lists the subcommands of CLUSTER.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: OFF,
};

const CLUSTER_INFO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|info",
        arity: 2,
        flags: flags!(Flags: STALE),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Returns the state of the cluster as this node sees it.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: OFF,
};

const READONLY: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "readonly",
        arity: 1,
        flags: flags!(Flags: LOADING, STALE, FAST),
        acl: flags!(Acl: CONNECTION),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Lets this connection read from a replica.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: OFF,
};

const READWRITE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "readwrite",
        arity: 1,
        flags: flags!(Flags: LOADING, STALE, FAST),
        acl: flags!(Acl: CONNECTION),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Sends this connection's reads to the primary again.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: OFF,
};

/// The answer of all of them.
const OFF: Run = Run::Server(|_, _| Err(ServerError::new("ERR This instance has cluster support disabled")));
