//! CLUSTER subcommands about hash slots.

use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Deprecated, Group, Spec};

use super::RUN;
use crate::commands::ServerCommand;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &CLUSTER_ADDSLOTS,
    &CLUSTER_ADDSLOTSRANGE,
    &CLUSTER_COUNTKEYSINSLOT,
    &CLUSTER_DELSLOTS,
    &CLUSTER_DELSLOTSRANGE,
    &CLUSTER_FLUSHSLOTS,
    &CLUSTER_GETKEYSINSLOT,
    &CLUSTER_KEYSLOT,
    &CLUSTER_SETSLOT,
    &CLUSTER_SHARDS,
    &CLUSTER_SLOTS,
    &CLUSTER_SLOT_STATS,
];

const CLUSTER_ADDSLOTS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|addslots",
        arity: -3,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Gives hash slots to this node.",
        complexity: "O(N), N: slots given",
        args: &[Arg::integer("slot").multi()],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_ADDSLOTSRANGE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|addslotsrange",
        arity: -4,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "7.0.0",
        summary: "Gives ranges of hash slots to this node.",
        complexity: "O(N), N: slots in the ranges",
        args: &[Arg::block(
            "start-slot_end-slot",
            &[Arg::integer("start-slot"), Arg::integer("end-slot")],
        )
        .multi()],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_COUNTKEYSINSLOT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|countkeysinslot",
        arity: 3,
        flags: flags!(Flags: STALE),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Counts the keys of a hash slot.",
        complexity: "O(1)",
        args: &[Arg::integer("slot")],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_DELSLOTS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|delslots",
        arity: -3,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Takes hash slots from this node.",
        complexity: "O(N), N: slots given",
        args: &[Arg::integer("slot").multi()],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_DELSLOTSRANGE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|delslotsrange",
        arity: -4,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "7.0.0",
        summary: "Takes ranges of hash slots from this node.",
        complexity: "O(N), N: slots in the ranges",
        args: &[Arg::block(
            "start-slot_end-slot",
            &[Arg::integer("start-slot"), Arg::integer("end-slot")],
        )
        .multi()],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_FLUSHSLOTS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|flushslots",
        arity: 2,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Takes all hash slots from this node.",
        complexity: "O(N), N: slots of this node",
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_GETKEYSINSLOT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|getkeysinslot",
        arity: 4,
        flags: flags!(Flags: STALE),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Returns keys of a hash slot.",
        complexity: "O(N), N: keys returned",
        tips: &["nondeterministic_output"],
        args: &[Arg::integer("slot"), Arg::integer("count")],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_KEYSLOT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|keyslot",
        arity: 3,
        flags: flags!(Flags: STALE),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Returns the hash slot of a key.",
        complexity: "O(N), N: bytes of the key",
        args: &[Arg::string("key")],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_SETSLOT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|setslot",
        arity: -4,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Says to which node a hash slot belongs or moves.",
        complexity: "O(1)",
        args: &[
            Arg::integer("slot"),
            Arg::one_of(
                "subcommand",
                &[
                    Arg::string("node-id").token("IMPORTING"),
                    Arg::string("node-id").token("MIGRATING"),
                    Arg::string("node-id").token("NODE"),
                    Arg::word("stable", "STABLE"),
                ],
            ),
        ],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_SHARDS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|shards",
        arity: 2,
        flags: flags!(Flags: STALE),
        group: Group::Cluster,
        since: "7.0.0",
        summary: "Lists the shards with their nodes and hash slots.",
        complexity: "O(N), N: nodes",
        tips: &["nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_SLOTS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|slots",
        arity: 2,
        flags: flags!(Flags: STALE),
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Lists the ranges of hash slots with their nodes.",
        complexity: "O(N), N: nodes",
        tips: &["nondeterministic_output"],
        deprecated: Some(Deprecated {
            since: "7.0.0",
            replaced_by: "CLUSTER SHARDS",
        }),
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_SLOT_STATS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|slot-stats",
        arity: -4,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Cluster,
        since: "8.0.0",
        summary: "Tells what hash slots of this node hold and cost.",
        complexity: "O(N), N: keys; O(S log S) for ORDERBY, S: slots of this node",
        tips: &["nondeterministic_output", "request_policy:all_shards"],
        args: &[Arg::one_of(
            "filter",
            &[
                Arg::block(
                    "slotsrange",
                    &[Arg::integer("start-slot"), Arg::integer("end-slot")],
                )
                .token("SLOTSRANGE"),
                Arg::block(
                    "orderby",
                    &[
                        Arg::string("metric"),
                        Arg::integer("limit").token("LIMIT").opt(),
                        Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).opt(),
                    ],
                )
                .token("ORDERBY"),
            ],
        )],
        ..Spec::DEFAULT
    },
    run: RUN,
};
