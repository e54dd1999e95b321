//! SUBSCRIBE and its like, PUBLISH, PUBSUB: <https://redis.io/docs/latest/develop/interact/pubsub/>.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::Reply;

use super::{Call, ServerCommand, ServerResult, help};
use crate::registry::Run;
use crate::session::{Flow, Replies, Session};

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &SUBSCRIBE,
    &UNSUBSCRIBE,
    &PSUBSCRIBE,
    &PUNSUBSCRIBE,
    &PUBLISH,
    &PUBSUB,
    &PUBSUB_CHANNELS,
    &PUBSUB_NUMSUB,
    &PUBSUB_NUMPAT,
    &PUBSUB_HELP,
];

const SUBSCRIBE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "subscribe",
        arity: -2,
        flags: flags!(Flags: PUBSUB, NOSCRIPT, LOADING, STALE),
        group: Group::Pubsub,
        since: "2.0.0",
        summary: "Listens to channels.",
        complexity: "O(N), N: channels given",
        args: &[Arg::string("channel").multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| subscribe(call, args, &CHANNELS)),
};

const PSUBSCRIBE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "psubscribe",
        arity: -2,
        flags: flags!(Flags: PUBSUB, NOSCRIPT, LOADING, STALE),
        group: Group::Pubsub,
        since: "2.0.0",
        summary: "Listens to the channels that match patterns.",
        complexity: "O(N), N: patterns given",
        args: &[Arg::block("pattern", &[Arg::pattern("pattern")]).multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| subscribe(call, args, &PATTERNS)),
};

const UNSUBSCRIBE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "unsubscribe",
        arity: -1,
        flags: flags!(Flags: PUBSUB, NOSCRIPT, LOADING, STALE),
        group: Group::Pubsub,
        since: "2.0.0",
        summary: "Stops listening to channels.",
        complexity: "O(N), N: channels given up",
        args: &[Arg::string("channel").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| unsubscribe(call, args, &CHANNELS)),
};

const PUNSUBSCRIBE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "punsubscribe",
        arity: -1,
        flags: flags!(Flags: PUBSUB, NOSCRIPT, LOADING, STALE),
        group: Group::Pubsub,
        since: "2.0.0",
        summary: "Stops listening to patterns.",
        complexity: "O(N), N: patterns given up",
        args: &[Arg::pattern("pattern").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| unsubscribe(call, args, &PATTERNS)),
};

const PUBLISH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "publish",
        arity: 3,
        flags: flags!(Flags: PUBSUB, LOADING, STALE, FAST),
        group: Group::Pubsub,
        since: "2.0.0",
        summary: "Sends a message to a channel.",
        complexity: "O(N+M), N: subscribers of the channel, M: patterns subscribed to by anyone",
        args: &[Arg::string("channel"), Arg::string("message")],
        ..Spec::DEFAULT
    },
    run: Run::Server(publish),
};

const PUBSUB: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "pubsub",
        arity: -2,
        group: Group::Pubsub,
        since: "2.8.0",
        summary: "Container of the commands about publish/subscribe.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const PUBSUB_CHANNELS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "pubsub|channels",
        arity: -2,
        flags: flags!(Flags: PUBSUB, LOADING, STALE),
        group: Group::Pubsub,
        since: "2.8.0",
        summary: "Lists the channels that have subscribers.",
        complexity: "O(N), N: channels",
        args: &[Arg::pattern("pattern").opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(channels),
};

const PUBSUB_NUMSUB: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "pubsub|numsub",
        arity: -2,
        flags: flags!(Flags: PUBSUB, LOADING, STALE),
        group: Group::Pubsub,
        since: "2.8.0",
        summary: "Counts the subscribers of channels.",
        complexity: "O(N), N: channels given",
        args: &[Arg::string("channel").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(numsub),
};

const PUBSUB_NUMPAT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "pubsub|numpat",
        arity: 2,
        flags: flags!(Flags: PUBSUB, LOADING, STALE),
        group: Group::Pubsub,
        since: "2.8.0",
        summary: "Counts the patterns that clients are subscribed to.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        let n = call.session.server.pubsub.pattern_count();
        call.w.reply.int(n as i64);
        Ok(Flow::Continue)
    }),
};

const PUBSUB_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "pubsub|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Pubsub,
        since: "6.2.0",
        summary: "Lists the subcommands of PUBSUB.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        help(
            call,
            "PUBSUB",
            &[
                (
                    "CHANNELS [<pattern>]",
                    "Channels with subscribers, all or those that match the pattern.",
                ),
                ("NUMPAT", "Number of patterns that clients are subscribed to."),
                (
                    "NUMSUB [<channel> ...]",
                    "Number of subscribers of each channel, patterns not counted.",
                ),
            ],
        )
    }),
};

/// What channels and patterns have in common.
struct Kind {
    subscribe: &'static str,
    unsubscribe: &'static str,
    add: fn(&mut Session, &[u8]),
    remove: fn(&mut Session, &[u8]),
    all: fn(&Session) -> Vec<Box<[u8]>>,
}

const CHANNELS: Kind = Kind {
    subscribe: "subscribe",
    unsubscribe: "unsubscribe",
    add: |s, name| {
        if s.channels.insert(name.into()) {
            s.server.pubsub.subscribe(name, &s.client);
        }
    },
    remove: |s, name| {
        if s.channels.remove(name) {
            s.server.pubsub.unsubscribe(name, s.client.id);
        }
    },
    all: |s| s.channels.iter().cloned().collect(),
};

const PATTERNS: Kind = Kind {
    subscribe: "psubscribe",
    unsubscribe: "punsubscribe",
    add: |s, name| {
        if s.patterns.insert(name.into()) {
            s.server.pubsub.psubscribe(name, &s.client);
        }
    },
    remove: |s, name| {
        if s.patterns.remove(name) {
            s.server.pubsub.punsubscribe(name, s.client.id);
        }
    },
    all: |s| s.patterns.iter().cloned().collect(),
};

fn confirm(reply: &mut Reply, what: &str, name: Option<&[u8]>, count: usize) {
    reply.push(3);
    reply.bulk(what.as_bytes());
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.int(count as i64);
}

/// Confirmations are messages: they are sent although CLIENT REPLY turns replies off.
fn send_if_muted(call: &mut Call<'_, '_>, from: usize) {
    if call.session.replies != Replies::On && call.locked.is_none() {
        call.session.client.send(&call.w.reply.as_bytes()[from..]);
    }
}

fn subscribe(call: &mut Call<'_, '_>, args: Args<'_>, kind: &Kind) -> ServerResult {
    let from = call.w.reply.len();
    for name in args.from(1) {
        (kind.add)(call.session, name);
        confirm(
            &mut call.w.reply,
            kind.subscribe,
            Some(name),
            call.session.subscriptions(),
        );
    }
    send_if_muted(call, from);
    call.session.note_subscriptions();
    Ok(Flow::Continue)
}

fn unsubscribe(call: &mut Call<'_, '_>, args: Args<'_>, kind: &Kind) -> ServerResult {
    let from = call.w.reply.len();
    let names: Vec<Box<[u8]>> = if args.len() > 1 {
        args.from(1).map(Box::from).collect()
    } else {
        (kind.all)(call.session)
    };
    if names.is_empty() {
        confirm(
            &mut call.w.reply,
            kind.unsubscribe,
            None,
            call.session.subscriptions(),
        );
    }
    for name in names {
        (kind.remove)(call.session, &name);
        confirm(
            &mut call.w.reply,
            kind.unsubscribe,
            Some(&name),
            call.session.subscriptions(),
        );
    }
    send_if_muted(call, from);
    if call.locked.is_none() {
        call.deliver_mail(from); // EXEC does it before its whole reply
    }
    call.session.note_subscriptions();
    Ok(Flow::Continue)
}

fn publish(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    let receivers = server.pubsub.publish(args.get(1), args.get(2));
    // A publisher that listens itself gets the message before the reply, as in Redis.
    if call.locked.is_none() {
        call.deliver_mail(call.w.reply.len());
    }
    call.w.reply.int(receivers as i64);
    Ok(Flow::Continue)
}

fn channels(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len() > 3 {
        return Err(super::wrong_subcommand(call.entry, args));
    }
    let names = call.session.server.pubsub.channels(args.opt(2));
    call.w.reply.array(names.len());
    for name in names {
        call.w.reply.bulk(&name);
    }
    Ok(Flow::Continue)
}

fn numsub(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    call.w.reply.array((args.len() - 2) * 2);
    for channel in args.from(2) {
        call.w.reply.bulk(channel);
        call.w
            .reply
            .int(call.session.server.pubsub.listeners(channel) as i64);
    }
    Ok(Flow::Continue)
}
