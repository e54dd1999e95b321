//! TTL, PTTL, EXPIRETIME, PEXPIRETIME and PERSIST: the expiry that a key has. <https://redis.io/commands/ttl>

use holdfast_storage::effects::Event;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `TTL key`
pub(crate) const TTL: Command = Command {
    spec: &Spec {
        name: "ttl",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Generic,
        since: "1.0.0",
        summary: "Returns the remaining life of a key in seconds.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: ttl,
};

/// `PTTL key`
pub(crate) const PTTL: Command = Command {
    spec: &Spec {
        name: "pttl",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Generic,
        since: "2.6.0",
        summary: "Returns the remaining life of a key in milliseconds.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: pttl,
};

/// `EXPIRETIME key`
pub(crate) const EXPIRETIME: Command = Command {
    spec: &Spec {
        name: "expiretime",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Generic,
        since: "7.0.0",
        summary: "Returns the Unix time in seconds at which a key expires.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: expiretime,
};

/// `PEXPIRETIME key`
pub(crate) const PEXPIRETIME: Command = Command {
    spec: &Spec {
        name: "pexpiretime",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Generic,
        since: "7.0.0",
        summary: "Returns the Unix time in milliseconds at which a key expires.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: pexpiretime,
};

/// `PERSIST key`
pub(crate) const PERSIST: Command = Command {
    spec: &Spec {
        name: "persist",
        arity: 2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Generic,
        since: "2.2.0",
        summary: "Takes the expiry off a key.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: persist,
};

fn ttl(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.data.now_ms;
    answer(ctx, args, |at| round_to_seconds((at - now_ms).max(0)))
}

fn pttl(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.data.now_ms;
    answer(ctx, args, |at| (at - now_ms).max(0))
}

fn expiretime(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    answer(ctx, args, round_to_seconds)
}

fn pexpiretime(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    answer(ctx, args, |at| at)
}

/// Half a second is rounded up, as Redis does. The sum cannot overflow: it is taken in two parts.
fn round_to_seconds(ms: i64) -> i64 {
    ms / 1000 + i64::from(ms % 1000 >= 500)
}

/// -2: no such key; -1: no expiry.
fn answer(ctx: &mut Ctx<'_, '_>, args: Args<'_>, text: impl FnOnce(i64) -> i64) -> CmdResult {
    let key = args.get(1);
    let answer = match ctx.data.peek_counted(key) {
        None => -2,
        Some(_) => ctx.data.expire_at_ms(key).flatten().map_or(-1, text),
    };
    ctx.done_int(answer)
}

fn persist(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    if ctx.data.expire_at_ms(key).flatten().is_none() {
        return ctx.done_int(0);
    }
    ctx.data.set_expire_at_ms(key, None);
    ctx.data.changed(ctx.data.db, key, Event::PERSIST);
    ctx.done_int(1)
}
