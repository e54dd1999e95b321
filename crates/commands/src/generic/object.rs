//! OBJECT and its subcommands: how a value is kept. <https://redis.io/commands/object>

use holdfast_storage::access;
use holdfast_storage::encoding::entry::Entry;
use holdfast_storage::value::ValueRef;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `OBJECT`
pub(crate) const OBJECT: Command = Command {
    spec: &Spec {
        name: "object",
        arity: -2,
        group: Group::Generic,
        since: "2.2.3",
        summary: "Container of the commands about the inner form of values.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: object,
};

/// `OBJECT ENCODING key`
pub(crate) const OBJECT_ENCODING: Command = Command {
    spec: &Spec {
        name: "object|encoding",
        arity: 3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RO))],
        group: Group::Generic,
        since: "2.2.3",
        summary: "Returns the inner encoding of a value.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: encoding,
};

/// `OBJECT FREQ key`
pub(crate) const OBJECT_FREQ: Command = Command {
    spec: &Spec {
        name: "object|freq",
        arity: 3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RO))],
        group: Group::Generic,
        since: "4.0.0",
        summary: "Returns the logarithmic access counter of a key.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: freq,
};

/// `OBJECT HELP`
pub(crate) const OBJECT_HELP: Command = Command {
    spec: &Spec {
        name: "object|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: KEYSPACE),
        group: Group::Generic,
        since: "6.2.0",
        summary: "Lists the subcommands of OBJECT.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: help,
};

/// `OBJECT IDLETIME key`
pub(crate) const OBJECT_IDLETIME: Command = Command {
    spec: &Spec {
        name: "object|idletime",
        arity: 3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RO))],
        group: Group::Generic,
        since: "2.2.3",
        summary: "Returns the seconds since a key was last used.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: idletime,
};

/// `OBJECT REFCOUNT key`
pub(crate) const OBJECT_REFCOUNT: Command = Command {
    spec: &Spec {
        name: "object|refcount",
        arity: 3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RO))],
        group: Group::Generic,
        since: "2.2.3",
        summary: "Returns the reference count of a value.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: refcount,
};

/// Reached only with a word that is no subcommand, or with none.
fn object(_: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    match args.opt(1) {
        None => Err(CmdError::Arity("object")),
        Some(word) => {
            let word = String::from_utf8_lossy(&word[..word.len().min(128)]);
            Err(CmdError::msg(format!(
                "ERR unknown subcommand '{word}'. Try OBJECT HELP."
            )))
        }
    }
}

/// The entry of the key, without noting an access.
fn entry<'a>(ctx: &'a mut Ctx<'_, '_>, args: Args<'_>) -> Option<&'a Entry> {
    ctx.data.peek_entry(args.get(2))
}

fn encoding(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    match entry(ctx, args).map(|e| e.value().encoding()) {
        None => ctx.reply.null(),
        Some(name) => ctx.reply.bulk(name.as_bytes()),
    }
    Ok(Outcome::Done)
}

fn freq(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(clock) = entry(ctx, args).map(Entry::access) else {
        return ctx.done_null();
    };
    if !ctx.limits.lfu {
        return Err(CmdError::msg(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    let counter = access::lfu_counter(clock, ctx.data.now_ms, ctx.limits.lfu_decay_minutes);
    ctx.done_int(i64::from(counter))
}

fn idletime(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(clock) = entry(ctx, args).map(Entry::access) else {
        return ctx.done_null();
    };
    if ctx.limits.lfu {
        return Err(CmdError::msg(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    let idle_ms = access::lru_idle_ms(clock, ctx.data.now_ms);
    ctx.done_int((idle_ms / 1000) as i64)
}

/// What Redis answers for the small integers that all its keys share.
const SHARED: i64 = i32::MAX as i64;

/// Values are not shared here. Small integers answer as if they were, since programs that compare with Redis expect it.
fn refcount(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let shared = match entry(ctx, args).map(Entry::value) {
        None => return ctx.done_null(),
        Some(ValueRef::Int(i)) => (0..10_000).contains(&i),
        Some(
            ValueRef::Str { .. }
            | ValueRef::Heap(_)
            | ValueRef::List(_)
            | ValueRef::Set(_)
            | ValueRef::Hash(_)
            | ValueRef::Zset(_)
            | ValueRef::Stream(_),
        ) => false,
    };
    ctx.done_int(if shared { SHARED } else { 1 })
}

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    The name of the form in which the value is kept.",
    "FREQ <key>",
    "    How often the key is used, on a logarithmic scale (LFU policies).",
    "IDLETIME <key>",
    "    Seconds since the key was last used (other policies).",
    "REFCOUNT <key>",
    "    The number of references to the value.",
    "HELP",
    "    Prints this help.",
];

fn help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> CmdResult {
    ctx.reply.array(HELP.len());
    HELP.iter().for_each(|line| ctx.reply.simple(line));
    Ok(Outcome::Done)
}
