//! SSUBSCRIBE, SUNSUBSCRIBE, SPUBLISH and what PUBSUB says about them:
//! <https://redis.io/docs/latest/develop/interact/pubsub/#sharded-pubsub>. The channels have names of their own: nothing
//! that is published to one of them reaches a channel or pattern of the same name.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, KeySpec, Spec};

use super::pubsub::{Kind, show_channels, show_listeners, subscribe, unsubscribe};
use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::pubsub::PubSub;
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &SSUBSCRIBE,
    &SUNSUBSCRIBE,
    &SPUBLISH,
    &PUBSUB_SHARDCHANNELS,
    &PUBSUB_SHARDNUMSUB,
];

const SSUBSCRIBE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "ssubscribe",
        arity: -2,
        flags: flags!(Flags: PUBSUB, NOSCRIPT, LOADING, STALE),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: NOT_KEY))],
        group: Group::Pubsub,
        since: "7.0.0",
        summary: "Listens to shards' channels.",
        complexity: "O(N), N: channels given",
        args: &[Arg::string("shardchannel").multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| {
        if call.locked.is_some() {
            // As Redis: the other kinds may stand in a transaction, this one may not.
            return Err(ServerError::new(
                "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client",
            ));
        }
        subscribe(call, args, &SHARD_CHANNELS)
    }),
};

const SUNSUBSCRIBE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "sunsubscribe",
        arity: -1,
        flags: flags!(Flags: PUBSUB, NOSCRIPT, LOADING, STALE),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: NOT_KEY))],
        group: Group::Pubsub,
        since: "7.0.0",
        summary: "Stops listening to shards' channels.",
        complexity: "O(N), N: channels given up",
        args: &[Arg::string("shardchannel").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| unsubscribe(call, args, &SHARD_CHANNELS)),
};

const SPUBLISH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "spublish",
        arity: 3,
        flags: flags!(Flags: PUBSUB, LOADING, STALE, FAST, MAY_REPLICATE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: NOT_KEY))],
        group: Group::Pubsub,
        since: "7.0.0",
        summary: "Sends a message to a shard's channel.",
        complexity: "O(N), N: subscribers of the channel",
        args: &[Arg::string("shardchannel"), Arg::string("message")],
        ..Spec::DEFAULT
    },
    run: Run::Server(spublish),
};

const PUBSUB_SHARDCHANNELS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "pubsub|shardchannels",
        arity: -2,
        flags: flags!(Flags: PUBSUB, LOADING, STALE),
        group: Group::Pubsub,
        since: "7.0.0",
        summary: "Lists the shards' channels that have subscribers.",
        complexity: "O(N), N: shards' channels",
        args: &[Arg::pattern("pattern").opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| show_channels(call, args, PubSub::shard_channels)),
};

const PUBSUB_SHARDNUMSUB: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "pubsub|shardnumsub",
        arity: -2,
        flags: flags!(Flags: PUBSUB, LOADING, STALE),
        group: Group::Pubsub,
        since: "7.0.0",
        summary: "Counts the subscribers of shards' channels.",
        complexity: "O(N), N: channels given",
        args: &[Arg::string("shardchannel").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, args| show_listeners(call, args, PubSub::shard_listeners)),
};

const SHARD_CHANNELS: Kind = Kind {
    subscribe: "ssubscribe",
    unsubscribe: "sunsubscribe",
    names: |s| &mut s.shard_channels,
    join: PubSub::ssubscribe,
    leave: PubSub::sunsubscribe,
    count: |s| s.shard_channels.len(),
};

fn spublish(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    let receivers = server.pubsub.spublish(args.get(1), args.get(2));
    // As PUBLISH: a publisher that listens itself gets the message before the reply.
    if call.locked.is_none() {
        call.deliver_mail(call.w.reply.len());
    }
    call.w.reply.int(receivers as i64);
    Ok(Flow::Continue)
}
