//! SUBSCRIBE and its like, PUBLISH, PUBSUB: <https://redis.io/docs/latest/develop/interact/pubsub/>.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::Reply;

use super::{Call, ServerCommand, ServerResult, help};
use crate::client::Client;
use crate::pubsub::PubSub;
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
        flags: flags!(Flags: PUBSUB, LOADING, STALE, FAST, MAY_REPLICATE),
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
                (
                    "SHARDCHANNELS [<pattern>]",
                    "Shards' channels with subscribers, all or those that match the pattern.",
                ),
                (
                    "SHARDNUMSUB [<shardchannel> ...]",
                    "Number of subscribers of each of these shards' channels.",
                ),
            ],
        )
    }),
};

/// What channels, patterns and shards' channels have in common.
pub(super) struct Kind {
    pub subscribe: &'static str,
    pub unsubscribe: &'static str,
    pub names: fn(&mut Session) -> &mut BTreeSet<Box<[u8]>>,
    pub join: fn(&PubSub, &[u8], &Arc<Client>),
    pub leave: fn(&PubSub, &[u8], u64),
    /// The number that a confirmation shows.
    pub count: fn(&Session) -> usize,
}

impl Kind {
    fn add(&self, session: &mut Session, name: &[u8]) {
        if (self.names)(session).insert(name.into()) {
            session.client.note_interest(name, true);
            (self.join)(&session.server.pubsub, name, &session.client);
        }
    }

    fn remove(&self, session: &mut Session, name: &[u8]) {
        if (self.names)(session).remove(name) {
            session.client.note_interest(name, false);
            (self.leave)(&session.server.pubsub, name, session.client.id);
        }
    }
}

const CHANNELS: Kind = Kind {
    subscribe: "subscribe",
    unsubscribe: "unsubscribe",
    names: |s| &mut s.channels,
    join: PubSub::subscribe,
    leave: PubSub::unsubscribe,
    count: |s| s.channels.len() + s.patterns.len(),
};

const PATTERNS: Kind = Kind {
    subscribe: "psubscribe",
    unsubscribe: "punsubscribe",
    names: |s| &mut s.patterns,
    join: PubSub::psubscribe,
    leave: PubSub::punsubscribe,
    count: |s| s.channels.len() + s.patterns.len(),
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

pub(super) fn subscribe(call: &mut Call<'_, '_>, args: Args<'_>, kind: &Kind) -> ServerResult {
    let from = call.w.reply.len();
    for name in args.from(1) {
        kind.add(call.session, name);
        confirm(
            &mut call.w.reply,
            kind.subscribe,
            Some(name),
            (kind.count)(call.session),
        );
    }
    send_if_muted(call, from);
    call.session.note_subscriptions();
    if !call.session.is_unrestricted() {
        // Whoever takes the right away looks for listeners after that: one of the two sees the other.
        let user = call.session.login.user();
        let is_pattern = kind.subscribe == PATTERNS.subscribe;
        if !args.from(1).all(|name| user.may_listen(name, is_pattern)) {
            return Ok(Flow::Close);
        }
    }
    Ok(Flow::Continue)
}

pub(super) fn unsubscribe(call: &mut Call<'_, '_>, args: Args<'_>, kind: &Kind) -> ServerResult {
    let from = call.w.reply.len();
    let names: Vec<Box<[u8]>> = if args.len() > 1 {
        args.from(1).map(Box::from).collect()
    } else {
        (kind.names)(call.session).iter().cloned().collect()
    };
    if names.is_empty() {
        confirm(
            &mut call.w.reply,
            kind.unsubscribe,
            None,
            (kind.count)(call.session),
        );
    }
    for name in names {
        kind.remove(call.session, &name);
        confirm(
            &mut call.w.reply,
            kind.unsubscribe,
            Some(&name),
            (kind.count)(call.session),
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
    show_channels(call, args, PubSub::channels)
}

fn numsub(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    show_listeners(call, args, PubSub::listeners)
}

/// Channels that match a pattern, or all.
type Names = fn(&PubSub, Option<&[u8]>) -> Vec<Box<[u8]>>;

pub(super) fn show_channels(call: &mut Call<'_, '_>, args: Args<'_>, names: Names) -> ServerResult {
    if args.len() > 3 {
        return Err(super::wrong_subcommand(call.entry, args));
    }
    let names = names(&call.session.server.pubsub, args.opt(2));
    call.w.reply.array(names.len());
    for name in names {
        call.w.reply.bulk(&name);
    }
    Ok(Flow::Continue)
}

pub(super) fn show_listeners(
    call: &mut Call<'_, '_>,
    args: Args<'_>,
    count: fn(&PubSub, &[u8]) -> usize,
) -> ServerResult {
    call.w.reply.array((args.len() - 2) * 2);
    for channel in args.from(2) {
        let count = count(&call.session.server.pubsub, channel);
        call.w.reply.bulk(channel);
        call.w.reply.int(count as i64);
    }
    Ok(Flow::Continue)
}
