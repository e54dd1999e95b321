//! MEMORY: <https://redis.io/commands/memory-usage>. The allocator's figures are [`crate::memory`]'s.

mod diagnosis;

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, KeySpec, Spec};
use holdfast_resp::Reply;
use holdfast_storage::data::Data;

use super::{Call, ServerCommand, ServerError, ServerResult, help};
use crate::info::Snapshot;
use crate::memory;
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &MEMORY,
    &MEMORY_DOCTOR,
    &MEMORY_HELP,
    &MEMORY_MALLOC_STATS,
    &MEMORY_PURGE,
    &MEMORY_STATS,
    &MEMORY_USAGE,
];

const MEMORY: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "memory",
        arity: -2,
        group: Group::Server,
        since: "4.0.0",
        summary: "Container of the commands about memory.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const MEMORY_DOCTOR: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "memory|doctor",
        arity: 2,
        group: Group::Server,
        since: "4.0.0",
        summary: "Returns a report on the use of memory.",
        complexity: "O(1)",
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(doctor),
};

const MEMORY_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "memory|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Server,
        since: "4.0.0",
        summary: "Lists the subcommands of MEMORY.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        help(
            call,
            "MEMORY",
            &[
                ("DOCTOR", "What is wrong with the use of memory, if anything."),
                ("MALLOC-STATS", "The allocator's report."),
                ("PURGE", "Give memory that is not in use back to the system."),
                ("STATS", "Where the memory goes."),
                (
                    "USAGE <key> [SAMPLES <count>]",
                    "Bytes of a key and its value; of a collection <count> elements are looked at (5; 0: all).",
                ),
            ],
        )
    }),
};

const MEMORY_MALLOC_STATS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "memory|malloc-stats",
        arity: 2,
        group: Group::Server,
        since: "4.0.0",
        summary: "Returns the statistics of the allocator.",
        complexity: "Depends on the memory in use; may be slow",
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(malloc_stats),
};

const MEMORY_PURGE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "memory|purge",
        arity: 2,
        group: Group::Server,
        since: "4.0.0",
        summary: "Gives memory that is not in use back to the system.",
        complexity: "Depends on the memory in use; may be slow",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        if memory::purge() {
            call.ok()
        } else {
            Err(ServerError::new("ERR Error purging dirty pages"))
        }
    }),
};

const MEMORY_STATS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "memory|stats",
        arity: 2,
        group: Group::Server,
        since: "4.0.0",
        summary: "Returns where the memory goes.",
        complexity: "O(1)",
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(stats),
};

const MEMORY_USAGE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "memory|usage",
        arity: -3,
        flags: flags!(Flags: READONLY),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RO))],
        group: Group::Server,
        since: "4.0.0",
        summary: "Estimates the memory used by a key.",
        complexity: "O(N), N: elements sampled",
        args: &[Arg::key("key", 0), Arg::integer("count").token("SAMPLES").opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(usage),
};

/// Elements of a collection that MEMORY USAGE looks at.
const SAMPLES: usize = 5;

fn usage(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let mut samples = SAMPLES;
    let mut words = args.cursor(3);
    while words.left() > 0 {
        if !words.accept("SAMPLES") {
            return Err(CmdError::Syntax.into());
        }
        samples = usize::try_from(words.int()?).map_err(|_| CmdError::Syntax)?;
    }
    let db = call.session.db;
    let key = args.get(2);
    let bytes = call.with_key(key, |locked, w| {
        let mut data = Data::new(locked, db, w.now_ms, &mut w.effects, &mut w.rng);
        data.peek_entry(key)
            .map(|entry| entry.allocation_size() + entry.value().memory_usage(samples))
    });
    match bytes {
        None => call.w.reply.null(),
        Some(bytes) => call.w.reply.int(bytes as i64),
    }
    Ok(Flow::Continue)
}

fn malloc_stats(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    call.w.reply.verbatim("txt", memory::report().as_bytes());
    Ok(Flow::Continue)
}

fn doctor(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    let s = Snapshot::take(&server, call.w, call.locked.as_deref_mut());
    let state = diagnosis::State {
        used: s.used,
        peak: s.peak,
        rss: s.rss,
        allocated: s.figures.allocated,
        active: s.figures.active,
        resident: s.figures.resident,
        clients: s.connections.count as u64,
        client_memory: s.connections.memory as u64,
    };
    call.w.reply.verbatim("txt", diagnosis::report(&state).as_bytes());
    Ok(Flow::Continue)
}

/// Scripts, functions, replicas, links and the append only file do not exist yet and take nothing.
fn stats(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    let s = Snapshot::take(&server, call.w, call.locked.as_deref_mut());
    let f = s.figures;
    let keys: usize = s.databases.iter().map(|db| db.keys).sum();
    let grown = s.used.saturating_sub(server.startup_memory);
    let reply = &mut call.w.reply;
    let map = reply.defer();
    let mut pairs = 0;
    let mut int = |reply: &mut Reply, name: &str, value: u64| {
        reply.bulk(name.as_bytes());
        reply.int(value as i64);
        pairs += 1;
    };
    int(reply, "peak.allocated", s.peak);
    int(reply, "total.allocated", s.used);
    int(reply, "startup.allocated", server.startup_memory);
    int(reply, "replication.backlog", server.log.extent().stored());
    int(reply, "clients.slaves", 0);
    int(reply, "clients.normal", s.connections.memory as u64);
    int(reply, "cluster.links", 0);
    int(reply, "aof.buffer", 0);
    int(reply, "lua.caches", 0);
    int(reply, "functions.caches", 0);
    let mut databases = 0;
    for (index, db) in s.databases.iter().enumerate().filter(|(_, db)| db.keys > 0) {
        reply.bulk(format!("db.{index}").as_bytes());
        reply.map(3);
        reply.bulk(b"overhead.hashtable.main");
        reply.int(db.overhead as i64);
        // Expiries are kept in the entries.
        reply.bulk(b"overhead.hashtable.expires");
        reply.int(0);
        reply.bulk(b"overhead.hashtable.slot-to-keys");
        reply.int(0);
        databases += 1;
    }
    int(reply, "overhead.total", s.overhead());
    int(reply, "keys.count", keys as u64);
    int(
        reply,
        "keys.bytes-per-key",
        grown.checked_div(keys as u64).unwrap_or(0),
    );
    int(reply, "dataset.bytes", s.dataset());
    let float = |reply: &mut Reply, name: &str, value: f64| {
        reply.bulk(name.as_bytes());
        reply.double(value);
    };
    float(reply, "dataset.percentage", s.dataset_percent());
    float(reply, "peak.percentage", ratio(s.used * 100, s.peak));
    int(reply, "allocator.allocated", f.allocated);
    int(reply, "allocator.active", f.active);
    int(reply, "allocator.resident", f.resident);
    let share = |reply: &mut Reply, name: &str, bytes: &str, whole: u64, part: u64| {
        reply.bulk(name.as_bytes());
        reply.double(ratio(whole, part));
        reply.bulk(bytes.as_bytes());
        reply.int(whole as i64 - part as i64);
    };
    share(
        reply,
        "allocator-fragmentation.ratio",
        "allocator-fragmentation.bytes",
        f.active,
        f.allocated,
    );
    share(
        reply,
        "allocator-rss.ratio",
        "allocator-rss.bytes",
        f.resident,
        f.active,
    );
    share(
        reply,
        "rss-overhead.ratio",
        "rss-overhead.bytes",
        s.rss,
        f.resident,
    );
    share(reply, "fragmentation", "fragmentation.bytes", s.rss, s.used);
    // Two floats and four shares of two fields each were not counted above.
    reply.finish_map(map, pairs + databases + 2 + 8);
    Ok(Flow::Continue)
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
