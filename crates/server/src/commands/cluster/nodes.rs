//! CLUSTER subcommands about nodes.

use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Deprecated, Group, Spec};

use super::RUN;
use crate::commands::ServerCommand;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &CLUSTER_BUMPEPOCH,
    &CLUSTER_COUNT_FAILURE_REPORTS,
    &CLUSTER_FAILOVER,
    &CLUSTER_FORGET,
    &CLUSTER_LINKS,
    &CLUSTER_MEET,
    &CLUSTER_MYID,
    &CLUSTER_MYSHARDID,
    &CLUSTER_NODES,
    &CLUSTER_REPLICAS,
    &CLUSTER_REPLICATE,
    &CLUSTER_RESET,
    &CLUSTER_SAVECONFIG,
    &CLUSTER_SET_CONFIG_EPOCH,
    &CLUSTER_SLAVES,
];

const CLUSTER_BUMPEPOCH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|bumpepoch",
        arity: 2,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Raises the configuration epoch of this node.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_COUNT_FAILURE_REPORTS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|count-failure-reports",
        arity: 3,
        flags: flags!(Flags: ADMIN, STALE),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Counts the reports that a node has failed.",
        complexity: "O(N), N: reports",
        tips: &["nondeterministic_output"],
        args: &[Arg::string("node-id")],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_FAILOVER: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|failover",
        arity: -2,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Makes this replica the primary of its shard.",
        complexity: "O(1)",
        args: &[Arg::one_of(
            "options",
            &[Arg::word("force", "FORCE"), Arg::word("takeover", "TAKEOVER")],
        )
        .opt()],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_FORGET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|forget",
        arity: 3,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Removes a node from the nodes that this one knows.",
        complexity: "O(1)",
        args: &[Arg::string("node-id")],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_LINKS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|links",
        arity: 2,
        flags: flags!(Flags: STALE),
        group: Group::Cluster,
        since: "7.0.0",
        summary: "Lists the links to the other nodes.",
        complexity: "O(N), N: nodes",
        tips: &["nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_MEET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|meet",
        arity: -4,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Makes another node known to this one.",
        complexity: "O(1)",
        args: &[
            Arg::string("ip"),
            Arg::integer("port"),
            Arg::integer("cluster_bus_port").opt().since("4.0.0"),
        ],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_MYID: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|myid",
        arity: 2,
        flags: flags!(Flags: STALE),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Returns the id of this node.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_MYSHARDID: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|myshardid",
        arity: 2,
        flags: flags!(Flags: STALE),
        group: Group::Cluster,
        since: "7.2.0",
        summary: "Returns the id of this node's shard.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_NODES: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|nodes",
        arity: 2,
        flags: flags!(Flags: STALE),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Lists the nodes in the form of the nodes file.",
        complexity: "O(N), N: nodes",
        tips: &["nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_REPLICAS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|replicas",
        arity: 3,
        flags: flags!(Flags: ADMIN, STALE),
        group: Group::Cluster,
        since: "5.0.0",
        summary: "Lists the replicas of a primary.",
        complexity: "O(N), N: replicas",
        tips: &["nondeterministic_output"],
        args: &[Arg::string("node-id")],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_REPLICATE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|replicate",
        arity: 3,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Makes this node a replica of another.",
        complexity: "O(1)",
        args: &[Arg::string("node-id")],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_RESET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|reset",
        arity: -2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, STALE),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Makes this node forget its cluster.",
        complexity: "O(N), N: nodes; keys, if it was a primary",
        args: &[Arg::one_of(
            "hard_soft",
            &[Arg::word("hard", "HARD"), Arg::word("soft", "SOFT")],
        )
        .opt()],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_SAVECONFIG: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|saveconfig",
        arity: 2,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Writes the nodes file.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_SET_CONFIG_EPOCH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|set-config-epoch",
        arity: 3,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Sets the configuration epoch of a new node.",
        complexity: "O(1)",
        args: &[Arg::integer("config-epoch")],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_SLAVES: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|slaves",
        arity: 3,
        flags: flags!(Flags: ADMIN, STALE),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Lists the replicas of a primary.",
        complexity: "O(N), N: replicas",
        tips: &["nondeterministic_output"],
        args: &[Arg::string("node-id")],
        deprecated: Some(Deprecated {
            since: "5.0.0",
            replaced_by: "CLUSTER REPLICAS",
        }),
        ..Spec::DEFAULT
    },
    run: RUN,
};
