//! LATENCY: <https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor/>. Events are
//! [`crate::observe::latency`]'s, histograms [`crate::observe::histogram`]'s; what is said about them is
//! [`super::latency_report`]'s.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::latency_report::{advise, graph};
use super::{Call, ServerCommand, ServerError, ServerResult, help};
use crate::config::Param;
use crate::observe::histogram::Distribution;
use crate::observe::latency::Event;
use crate::registry::{Entry, Registry, Run};
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &LATENCY,
    &LATENCY_DOCTOR,
    &LATENCY_GRAPH,
    &LATENCY_HELP,
    &LATENCY_HISTOGRAM,
    &LATENCY_HISTORY,
    &LATENCY_LATEST,
    &LATENCY_RESET,
];

const LATENCY: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "latency",
        arity: -2,
        group: Group::Server,
        since: "2.8.13",
        summary: "Container of the commands about what took long.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const TIPS: &[&str] = &[
    "nondeterministic_output",
    "request_policy:all_nodes",
    "response_policy:special",
];

const LATENCY_DOCTOR: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "latency|doctor",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "2.8.13",
        summary: "Returns a report on what took long, with advice.",
        complexity: "O(1)",
        tips: TIPS,
        ..Spec::DEFAULT
    },
    run: Run::Server(doctor),
};

const LATENCY_GRAPH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "latency|graph",
        arity: 3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "2.8.13",
        summary: "Draws the latest events of a kind.",
        complexity: "O(1)",
        tips: TIPS,
        args: &[Arg::string("event")],
        ..Spec::DEFAULT
    },
    run: Run::Server(draw),
};

const LATENCY_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "latency|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Server,
        since: "2.8.13",
        summary: "Lists the subcommands of LATENCY.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        help(
            call,
            "LATENCY",
            &[
                ("DOCTOR", "What took long, and what can be done about it."),
                ("GRAPH <event>", "The latest events of a kind as a drawing."),
                (
                    "HISTORY <event>",
                    "The latest events of a kind: pairs of Unix time and milliseconds.",
                ),
                ("LATEST", "The latest and the longest event of each kind."),
                ("RESET [<event> ...]", "Forget events of these kinds, or all."),
                (
                    "HISTOGRAM [<command> ...]",
                    "How the times of commands are distributed: counts up to bounds in microseconds.",
                ),
            ],
        )
    }),
};

const LATENCY_HISTOGRAM: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "latency|histogram",
        arity: -2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "7.0.0",
        summary: "Returns how the times of commands are distributed.",
        complexity: "O(N), N: commands with times",
        tips: TIPS,
        args: &[Arg::string("command").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(histogram),
};

const LATENCY_HISTORY: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "latency|history",
        arity: 3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "2.8.13",
        summary: "Returns the latest events of a kind.",
        complexity: "O(1)",
        tips: TIPS,
        args: &[Arg::string("event")],
        ..Spec::DEFAULT
    },
    run: Run::Server(history),
};

const LATENCY_LATEST: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "latency|latest",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "2.8.13",
        summary: "Returns the latest event of each kind.",
        complexity: "O(1)",
        tips: TIPS,
        ..Spec::DEFAULT
    },
    run: Run::Server(latest),
};

const LATENCY_RESET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "latency|reset",
        arity: -2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "2.8.13",
        summary: "Forgets events.",
        complexity: "O(1)",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        args: &[Arg::string("event").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(reset),
};

fn latest(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let events = call.session.server.observe.latency.all();
    let reply = &mut call.w.reply;
    reply.array(events.len());
    for (event, series) in events {
        let last = series.samples.back().copied();
        reply.array(4);
        reply.bulk(event.name().as_bytes());
        reply.int(last.map_or(0, |sample| sample.time));
        reply.int(last.map_or(0, |sample| sample.latency as i64));
        reply.int(series.worst as i64);
    }
    Ok(Flow::Continue)
}

fn history(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let latency = &call.session.server.observe.latency;
    let series = Event::find(args.get(2)).and_then(|event| latency.series(event));
    let samples = series.unwrap_or_default().samples;
    let reply = &mut call.w.reply;
    reply.array(samples.len());
    for sample in samples {
        reply.array(2);
        reply.int(sample.time);
        reply.int(sample.latency as i64);
    }
    Ok(Flow::Continue)
}

fn reset(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let latency = &call.session.server.observe.latency;
    let forgotten = if args.len() == 2 {
        latency.forget_all()
    } else {
        let events = args.from(2).filter_map(Event::find);
        events.filter(|event| latency.forget(*event)).count()
    };
    call.w.reply.int(forgotten as i64);
    Ok(Flow::Continue)
}

fn draw(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let latency = &call.session.server.observe.latency;
    let found = Event::find(args.get(2)).and_then(|event| Some((event, latency.series(event)?)));
    let Some((event, series)) = found else {
        return Err(ServerError(format!(
            "ERR No samples available for event '{}'",
            String::from_utf8_lossy(args.get(2))
        )));
    };
    let text = graph(event, &series, call.w.now_ms / 1000);
    call.w.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Continue)
}

fn doctor(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let server = &call.session.server;
    let text = if server.config.int(Param::LatencyMonitorThreshold) == 0 {
        "Nothing is noted: latency-monitor-threshold is 0. CONFIG SET latency-monitor-threshold <milliseconds> begins to \
         note what takes that long.\n"
            .to_owned()
    } else {
        let slowlog = server.config.int(Param::SlowlogLogSlowerThan);
        advise(&server.observe.latency.all(), slowlog)
    };
    call.w.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Continue)
}

fn histogram(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let stats = Arc::clone(&call.session.server);
    let wanted: Vec<&'static Entry> = if args.len() == 2 {
        Registry::get().all().collect()
    } else {
        let found = args.from(2).filter_map(|name| Registry::get().find_full(name));
        found
            .flat_map(|entry| std::iter::once(entry).chain(entry.subs.iter().copied()))
            .collect()
    };
    let reply = &mut call.w.reply;
    let map = reply.defer();
    let mut commands = 0;
    for entry in wanted {
        let times: Distribution = stats.stats.times(entry.id);
        if times.total() == 0 {
            continue;
        }
        commands += 1;
        reply.bulk(entry.spec.name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.int(times.total() as i64);
        reply.bulk(b"histogram_usec");
        let bounds = times.doubling();
        reply.map(bounds.len());
        for (bound, count) in bounds {
            reply.int(bound as i64);
            reply.int(count as i64);
        }
    }
    reply.finish_map(map, commands);
    Ok(Flow::Continue)
}
