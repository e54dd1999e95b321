//! XINFO and its subcommands: <https://redis.io/commands/xinfo-stream>.

use holdfast_resp::Reply;
use holdfast_storage::types::stream::{Consumer, Dedup, Group as ConsumerGroup, Stream};

use super::group::{misfit, unknown_subcommand};
use super::{events, id, reply};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `XINFO`
pub(crate) const XINFO: Command = Command {
    spec: &Spec {
        name: "xinfo",
        arity: -2,
        group: Group::Stream,
        since: "5.0.0",
        summary: "Container of the commands that describe streams.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: xinfo,
};

/// `XINFO CONSUMERS key group`
pub(crate) const XINFO_CONSUMERS: Command = Command {
    spec: &Spec {
        name: "xinfo|consumers",
        arity: 4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Describes the consumers of a group.",
        complexity: "O(N), N: consumers",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0), Arg::string("groupname")],
        ..Spec::DEFAULT
    },
    run: consumers,
};

/// `XINFO GROUPS key`
pub(crate) const XINFO_GROUPS: Command = Command {
    spec: &Spec {
        name: "xinfo|groups",
        arity: 3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Describes the groups of a stream.",
        complexity: "O(N), N: groups",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: groups,
};

/// `XINFO HELP`
pub(crate) const XINFO_HELP: Command = Command {
    spec: &Spec {
        name: "xinfo|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: STREAM),
        group: Group::Stream,
        since: "5.0.0",
        summary: "Lists the subcommands of XINFO.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: help,
};

/// `XINFO STREAM key [FULL [COUNT count]]`
pub(crate) const XINFO_STREAM: Command = Command {
    spec: &Spec {
        name: "xinfo|stream",
        arity: -3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Describes a stream.",
        complexity: "O(N), N: macro nodes",
        args: &[
            Arg::key("key", 0),
            Arg::block("full", &[Arg::integer("count").token("COUNT").opt()])
                .token("FULL")
                .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: stream,
};

/// Reached only with a word that is no subcommand, or with none.
fn xinfo(_: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    Err(unknown_subcommand(args, "xinfo", "XINFO"))
}

fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn name_int(reply: &mut Reply, name: &str, n: i64) {
    reply.bulk(name.as_bytes());
    reply.int(n);
}

/// Milliseconds since then.
fn since(now_ms: i64, then_ms: i64) -> i64 {
    now_ms.saturating_sub(then_ms).max(0)
}

fn consumers(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (key, name, now_ms) = (args.get(2), args.get(3), ctx.data.now_ms);
    let stream = ctx.data.read::<Stream>(key)?.ok_or(CmdError::NoSuchKey)?;
    let group = stream.group(name).ok_or_else(|| events::no_group(key, name))?;
    ctx.reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        ctx.reply.map(4);
        ctx.reply.bulk(b"name");
        ctx.reply.bulk(consumer.name());
        name_int(ctx.reply, "pending", consumer.pending().len() as i64);
        name_int(ctx.reply, "idle", since(now_ms, consumer.seen_ms));
        let inactive = consumer.active_ms.map_or(-1, |active| since(now_ms, active));
        name_int(ctx.reply, "inactive", inactive);
    }
    Ok(Outcome::Done)
}

/// Where a group stands and how far it is behind.
fn progress(reply: &mut Reply, stream: &Stream, group: &ConsumerGroup) {
    reply.bulk(b"last-delivered-id");
    id::write(reply, group.last_id);
    reply.bulk(b"entries-read");
    match group.entries_read {
        Some(read) => reply.int(int(read)),
        None => reply.null(),
    }
    reply.bulk(b"lag");
    match stream.lag(group) {
        Some(lag) => reply.int(lag),
        None => reply.null(),
    }
}

fn groups(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let stream = ctx.data.read::<Stream>(args.get(2))?.ok_or(CmdError::NoSuchKey)?;
    ctx.reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        ctx.reply.map(6);
        ctx.reply.bulk(b"name");
        ctx.reply.bulk(name);
        name_int(ctx.reply, "consumers", group.consumers().len() as i64);
        name_int(ctx.reply, "pending", group.pending_len() as i64);
        progress(ctx.reply, stream, group);
    }
    Ok(Outcome::Done)
}

/// Entries and pending entries that FULL shows without COUNT.
const SHOWN: usize = 10;

fn stream(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let stream = ctx.data.read::<Stream>(args.get(2))?.ok_or(CmdError::NoSuchKey)?;
    let full = match args.len() {
        3 => None,
        4 if args.is(3, "FULL") => Some(SHOWN),
        6 if args.is(3, "FULL") && args.is(4, "COUNT") => {
            Some(usize::try_from(args.int(5)?).unwrap_or(SHOWN))
        }
        _ => return Err(misfit(args, "XINFO")),
    };
    let reply = &mut *ctx.reply;
    let dedup = stream.dedup();
    let own = if full.is_some() { 9 } else { 10 };
    reply.map(own + dedup.map_or(0, |_| 6));
    name_int(reply, "length", int(stream.len()));
    name_int(reply, "radix-tree-keys", stream.node_count() as i64);
    name_int(reply, "radix-tree-nodes", stream.radix_tree_nodes() as i64);
    for (name, value) in [
        ("last-generated-id", stream.last_id()),
        ("max-deleted-entry-id", stream.max_deleted_id()),
    ] {
        reply.bulk(name.as_bytes());
        id::write(reply, value);
    }
    name_int(reply, "entries-added", int(stream.entries_added()));
    reply.bulk(b"recorded-first-entry-id");
    id::write(reply, stream.first_id());
    if let Some(dedup) = dedup {
        describe_dedup(reply, dedup);
    }
    match full {
        None => {
            name_int(reply, "groups", stream.group_count() as i64);
            let mut entries = stream.iter();
            let first = entries.next();
            let last = stream.iter().next_back();
            for (name, found) in [("first-entry", first), ("last-entry", last)] {
                reply.bulk(name.as_bytes());
                match found {
                    Some(entry) => reply::entry(reply, entry),
                    None => reply.null(),
                }
            }
        }
        Some(count) => {
            reply.bulk(b"entries");
            reply::entries(reply, stream.iter(), count);
            reply.bulk(b"groups");
            reply.array(stream.group_count());
            for (name, group) in stream.groups() {
                describe_group(reply, stream, name, group, count);
            }
        }
    }
    Ok(Outcome::Done)
}

fn describe_dedup(reply: &mut Reply, dedup: &Dedup) {
    let limits = dedup.limits();
    name_int(reply, "idmp-duration", i64::from(limits.duration_s));
    name_int(reply, "idmp-maxsize", i64::from(limits.max_size));
    name_int(reply, "pids-tracked", dedup.producers() as i64);
    name_int(reply, "iids-tracked", dedup.remembered() as i64);
    name_int(reply, "iids-added", int(dedup.added()));
    name_int(reply, "iids-duplicates", int(dedup.duplicates()));
}

fn describe_group(reply: &mut Reply, stream: &Stream, name: &[u8], group: &ConsumerGroup, count: usize) {
    let most = if count == 0 { usize::MAX } else { count };
    reply.map(7);
    reply.bulk(b"name");
    reply.bulk(name);
    progress(reply, stream, group);
    name_int(reply, "pel-count", group.pending_len() as i64);
    reply.bulk(b"pending");
    reply.array(group.pending_len().min(most));
    for (entry, pending) in group.pending_range(..).take(most) {
        reply.array(4);
        id::write(reply, entry);
        let owner = pending.owner.map(|owner| group.consumer(owner).name());
        reply.bulk(owner.unwrap_or_default());
        reply.int(pending.delivered_ms);
        reply.int(int(pending.deliveries));
    }
    reply.bulk(b"consumers");
    reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        describe_consumer(reply, group, consumer, most);
    }
}

fn describe_consumer(reply: &mut Reply, group: &ConsumerGroup, consumer: &Consumer, most: usize) {
    let own = consumer.pending();
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    name_int(reply, "seen-time", consumer.seen_ms);
    name_int(reply, "active-time", consumer.active_ms.unwrap_or(-1));
    name_int(reply, "pel-count", own.len() as i64);
    reply.bulk(b"pending");
    reply.array(own.len().min(most));
    for entry in own.iter().take(most) {
        let pending = group.pending(entry);
        reply.array(3);
        id::write(reply, entry);
        reply.int(pending.map_or(0, |pending| pending.delivered_ms));
        reply.int(pending.map_or(0, |pending| int(pending.deliveries)));
    }
}

const HELP: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    Who reads for the group.",
    "GROUPS <key>",
    "    The groups of the stream and how far they have read.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    The stream's numbers, and with FULL its groups and what they have pending.",
    "HELP",
    "    Prints this help.",
];

fn help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> CmdResult {
    ctx.reply.array(HELP.len());
    HELP.iter().for_each(|line| ctx.reply.simple(line));
    Ok(Outcome::Done)
}
