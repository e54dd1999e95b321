//! HOTKEYS: <https://redis.io/commands/hotkeys>. The counting is [`crate::observe::hot_keys`]'s.

use std::time::Duration;

use holdfast_commands::args::{Args, Cursor};
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::Reply;

use super::{Call, ServerCommand, ServerError, ServerResult, help};
use crate::config::Param;
use crate::observe::cpu_ms;
use crate::observe::hot_keys::{MOST, Report, Request};
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &HOTKEYS,
    &HOTKEYS_GET,
    &HOTKEYS_HELP,
    &HOTKEYS_RESET,
    &HOTKEYS_START,
    &HOTKEYS_STOP,
];

const HOTKEYS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "hotkeys",
        arity: -2,
        group: Group::Server,
        since: "8.6.0",
        summary: "Container of the commands about keys that cost much.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const HOTKEYS_GET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "hotkeys|get",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT),
        group: Group::Server,
        since: "8.6.0",
        summary: "Returns the keys that cost most, as far as they have been looked at.",
        complexity: "O(K), K: keys that were asked for",
        ..Spec::DEFAULT
    },
    run: Run::Server(get),
};

const HOTKEYS_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "hotkeys|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Server,
        since: "8.6.0",
        summary: "Lists the subcommands of HOTKEYS.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        help(
            call,
            "HOTKEYS",
            &[
                ("GET", "What was found, or has been found so far."),
                ("RESET", "Forget what was found."),
                (
                    "START METRICS <count> [CPU] [NET] [COUNT <k>] [DURATION <seconds>] [SAMPLE <ratio>] [SLOTS <count> <slot> ...]",
                    "Begin to look for the keys that take most time (CPU) or bytes (NET).",
                ),
                ("STOP", "End it and keep what was found."),
            ],
        )
    }),
};

const HOTKEYS_RESET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "hotkeys|reset",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT),
        group: Group::Server,
        since: "8.6.0",
        summary: "Forgets the keys that were found.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        if !call.session.server.observe.hot_keys.reset(cpu_ms()) {
            return Err(ServerError::new(
                "ERR hotkeys tracking is in progress, stop it first",
            ));
        }
        call.ok()
    }),
};

const HOTKEYS_START: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "hotkeys|start",
        arity: -2,
        flags: flags!(Flags: ADMIN, NOSCRIPT),
        group: Group::Server,
        since: "8.6.0",
        summary: "Begins to look for the keys that cost most.",
        complexity: "O(1); from then on each command costs a little more",
        args: &[
            Arg::block(
                "metrics",
                &[
                    Arg::integer("count"),
                    Arg::word("cpu", "CPU").opt(),
                    Arg::word("net", "NET").opt(),
                ],
            )
            .token("METRICS"),
            Arg::integer("k").token("COUNT").opt(),
            Arg::integer("duration").token("DURATION").opt(),
            Arg::integer("ratio").token("SAMPLE").opt(),
            Arg::block("slots", &[Arg::integer("count"), Arg::integer("slot").multi()])
                .token("SLOTS")
                .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(start),
};

const HOTKEYS_STOP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "hotkeys|stop",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT),
        group: Group::Server,
        since: "8.6.0",
        summary: "Ends the search for keys that cost much.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        let observe = &call.session.server.observe;
        if !observe.hot_keys.stop(cpu_ms()) {
            return Err(ServerError::new("ERR hotkeys tracking is not in progress"));
        }
        observe.changed();
        call.w.refresh();
        call.ok()
    }),
};

/// Keys of each metric if the client does not say how many.
const COUNT: u64 = 10;
/// Longest tracking, in seconds.
const LONGEST: u64 = 1_000_000;
const SLOTS: u64 = 16384;

fn start(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let request = parse(args)?;
    let server = &call.session.server;
    if !request.slots.is_empty() && !server.config.flag(Param::ClusterEnabled) {
        return Err(ServerError::new("ERR SLOTS cannot be used without cluster mode"));
    }
    if !server.observe.hot_keys.start(request, call.w.now_ms, cpu_ms()) {
        return Err(ServerError::new("ERR hotkeys tracking is in progress already"));
    }
    server.observe.changed();
    call.w.refresh();
    call.ok()
}

fn parse(args: Args<'_>) -> Result<Request, ServerError> {
    let mut words = args.cursor(2);
    if !words.accept("METRICS") {
        return Err(ServerError::new("ERR METRICS parameter is required"));
    }
    let metrics = number(&mut words, "METRICS count", 1, 2)?;
    let mut request = Request {
        count: COUNT,
        sample: 1,
        ..Request::default()
    };
    for _ in 0..metrics {
        let metric = if words.accept("CPU") {
            &mut request.cpu
        } else if words.accept("NET") {
            &mut request.net
        } else {
            return Err(ServerError::new(
                "ERR METRICS takes as many of CPU and NET as its count says",
            ));
        };
        if std::mem::replace(metric, true) {
            return Err(ServerError::new("ERR METRICS takes each of CPU and NET once"));
        }
    }
    while words.left() > 0 {
        if words.accept("COUNT") {
            request.count = number(&mut words, "COUNT", 1, MOST)?;
        } else if words.accept("DURATION") {
            request.duration = match number(&mut words, "DURATION", 0, LONGEST)? {
                0 => None,
                seconds => Some(Duration::from_secs(seconds)),
            };
        } else if words.accept("SAMPLE") {
            request.sample = number(&mut words, "SAMPLE ratio", 1, i64::MAX as u64)?;
        } else if words.accept("SLOTS") {
            for _ in 0..number(&mut words, "SLOTS count", 1, SLOTS)? {
                let slot = number(&mut words, "SLOTS slot", 0, SLOTS - 1)? as u16;
                match request.slots.binary_search(&slot) {
                    Ok(_) => return Err(ServerError::new("ERR SLOTS takes each slot once")),
                    Err(at) => request.slots.insert(at, slot),
                }
            }
        } else {
            return Err(CmdError::Syntax.into());
        }
    }
    Ok(request)
}

fn number(words: &mut Cursor<'_>, what: &str, least: u64, most: u64) -> Result<u64, ServerError> {
    let number = words.int().ok().and_then(|number| u64::try_from(number).ok());
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| ServerError(format!("ERR {what} must be between {least} and {most}")))
}

fn get(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    match call.session.server.observe.hot_keys.report(cpu_ms()) {
        None => call.w.reply.null(),
        Some(report) => write(&mut call.w.reply, &report),
    }
    Ok(Flow::Continue)
}

fn write(reply: &mut Reply, report: &Report) {
    let Request {
        cpu,
        net,
        sample,
        slots,
        ..
    } = &report.request;
    let map = reply.defer();
    let mut pairs = 0;
    let mut int = |reply: &mut Reply, name: &str, value: u64| {
        reply.bulk(name.as_bytes());
        reply.int(value as i64);
        pairs += 1;
    };
    int(reply, "tracking-active", u64::from(report.active));
    int(reply, "sample-ratio", *sample);
    reply.bulk(b"selected-slots");
    reply.array(slots.len());
    slots.iter().for_each(|slot| reply.int(i64::from(*slot)));
    if !slots.is_empty() {
        if *sample > 1 {
            int(
                reply,
                "sampled-commands-selected-slots-us",
                report.sampled.nanos / 1000,
            );
        }
        int(
            reply,
            "all-commands-selected-slots-us",
            report.selected.nanos / 1000,
        );
    }
    int(reply, "all-commands-all-slots-us", report.all.nanos / 1000);
    if !slots.is_empty() {
        if *sample > 1 {
            int(
                reply,
                "net-bytes-sampled-commands-selected-slots",
                report.sampled.bytes,
            );
        }
        int(
            reply,
            "net-bytes-all-commands-selected-slots",
            report.selected.bytes,
        );
    }
    int(reply, "net-bytes-all-commands-all-slots", report.all.bytes);
    int(
        reply,
        "collection-start-time-unix-ms",
        report.began_ms.max(0) as u64,
    );
    int(
        reply,
        "collection-duration-ms",
        report.duration.as_millis() as u64,
    );
    if *cpu {
        int(reply, "total-cpu-time-user-ms", report.cpu_ms.0);
        int(reply, "total-cpu-time-sys-ms", report.cpu_ms.1);
    }
    if *net {
        int(reply, "total-net-bytes", report.all.bytes);
    }
    let mut lists = 1; // selected-slots
    for (wanted, name, keys, unit) in [
        (*cpu, "by-cpu-time-us", &report.by_cpu, 1000),
        (*net, "by-net-bytes", &report.by_net, 1),
    ] {
        if wanted {
            reply.bulk(name.as_bytes());
            reply.array(2 * keys.len());
            for (key, cost) in keys {
                reply.bulk(key);
                reply.int((cost / unit) as i64);
            }
            lists += 1;
        }
    }
    reply.finish_map(map, pairs + lists);
}

#[cfg(test)]
mod tests {
    use crate::session::tests::Desk;

    #[test]
    fn a_tracking_from_start_to_reset() {
        let mut desk = Desk::new();
        let (mut s, mut other) = (desk.session(), desk.session());
        assert_eq!(desk.run(&mut s, "HOTKEYS GET"), "$-1 ");
        assert!(desk.run(&mut s, "HOTKEYS STOP").starts_with("-ERR"));
        assert_eq!(
            desk.run(&mut s, "HOTKEYS START METRICS 2 CPU NET COUNT 2\nGET hot"),
            "+OK $-1 "
        );
        assert!(
            desk.run(&mut s, "HOTKEYS START METRICS 1 CPU")
                .starts_with("-ERR")
        );
        assert!(desk.run(&mut s, "HOTKEYS RESET").starts_with("-ERR"));
        desk.run(&mut other, "MULTI\nSET hot x\nMSET a 1 b 2\nEXEC");
        let found = desk.run(&mut s, "HOTKEYS GET");
        assert!(found.contains("$15 tracking-active :1 "), "{found}");
        // GET: 22 and 5 bytes; SET: 29 and 5.
        assert!(found.contains("by-net-bytes *4 $3 hot :61 $1 "), "{found}");
        assert_eq!(desk.run(&mut s, "HOTKEYS STOP\nGET hot"), "+OK $1 x ");
        let found = desk.run(&mut s, "HOTKEYS GET");
        assert!(found.contains("$15 tracking-active :0 "), "{found}");
        assert!(found.contains("by-net-bytes *4 $3 hot :61 $1 "), "{found}");
        assert_eq!(desk.run(&mut s, "HOTKEYS RESET\nHOTKEYS GET"), "+OK $-1 ");
    }

    #[test]
    fn mistakes_are_named() {
        let mut desk = Desk::new();
        let mut s = desk.session();
        for (words, text) in [
            ("", "METRICS parameter"),
            (" METRICS 3 CPU NET", "between 1 and 2"),
            (" METRICS 2 CPU", "as many"),
            (" METRICS 2 CPU CPU", "once"),
            (" METRICS 1 CPU COUNT 65", "between 1 and 64"),
            (" METRICS 1 CPU COUNT", "between 1 and 64"),
            (" METRICS 1 CPU SAMPLE 0", "SAMPLE ratio"),
            (" METRICS 1 CPU DURATION -1", "DURATION"),
            (" METRICS 1 CPU SLOTS 2 5 5", "once"),
            (" METRICS 1 CPU SLOTS 1 5", "cluster"),
            (" METRICS 1 CPU NOSUCH", "syntax"),
        ] {
            let reply = desk.run(&mut s, &format!("HOTKEYS START{words}"));
            assert!(
                reply.starts_with("-ERR ") && reply.contains(text),
                "{words}: {reply}"
            );
        }
        assert!(!desk.server.observe.hot_keys.is_running());
    }

    #[test]
    fn slots_count_their_costs_when_asked() {
        let mut desk = Desk::new();
        let mut s = desk.session();
        desk.run(
            &mut s,
            "SET k v\nCONFIG SET cluster-slot-stats-enabled yes\nGET k\nMGET k other",
        );
        let cost = desk
            .server
            .observe
            .slot_stats
            .of(holdfast_storage::slot::key_slot(b"k"));
        // *2 $3 GET $1 k and $1 v: 4 + 9 + 7 and 7 bytes.
        assert_eq!((cost.network_bytes_in, cost.network_bytes_out), (20, 7));
        desk.run(&mut s, "CONFIG RESETSTAT");
        let cost = desk
            .server
            .observe
            .slot_stats
            .of(holdfast_storage::slot::key_slot(b"k"));
        assert_eq!(cost.network_bytes_in, 0);
    }
}
