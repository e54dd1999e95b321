//! CLUSTER: <https://redis.io/commands/?group=cluster>, and ASKING, READONLY, READWRITE. An instance with cluster support
//! off answers all of them with one error.
//!
//! ```text
//! nodes, slots   declarations                 show    what shows the cluster
//! job            how subcommands run          admin   what changes it        keys   what is about keys
//! migration      slots that travel with their keys
//! ```

mod admin;
mod job;
mod keys;
pub mod migration;
pub mod nodes;
mod show;
pub mod slots;

pub use job::{run_queue, takes};

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::client::flag;
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
    run: Run::Server(asking),
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
    run: RUN,
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
    run: RUN,
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
    run: Run::Server(|call, _| set_readonly(call, true)),
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
    run: Run::Server(|call, _| set_readonly(call, false)),
};

/// Every subcommand of CLUSTER.
const RUN: Run = Run::Server(job::run);

/// The answer where cluster support is off.
fn off() -> ServerError {
    ServerError::new("ERR This instance has cluster support disabled")
}

fn asking(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    call.session.server.cluster.get().ok_or_else(off)?;
    call.session.asking = true;
    call.ok()
}

fn set_readonly(call: &mut Call<'_, '_>, on: bool) -> ServerResult {
    call.session.server.cluster.get().ok_or_else(off)?;
    call.session.readonly = on;
    call.session.client.set_flag(flag::READONLY, on);
    call.ok()
}
