//! EXISTS, TOUCH and TYPE: is it there, and what is it? <https://redis.io/commands/exists>

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `EXISTS key [key ...]`
pub(crate) const EXISTS: Command = Command {
    spec: &Spec {
        name: "exists",
        arity: -2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: RO))],
        group: Group::Generic,
        since: "1.0.0",
        summary: "Counts how many of the given keys exist.",
        complexity: "O(N), N: keys",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        args: &[Arg::key("key", 0).multi()],
        ..Spec::DEFAULT
    },
    run: exists,
};

/// `TOUCH key [key ...]`
pub(crate) const TOUCH: Command = Command {
    spec: &Spec {
        name: "touch",
        arity: -2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: RO))],
        group: Group::Generic,
        since: "3.2.1",
        summary: "Counts the given keys that exist and marks them as used.",
        complexity: "O(N), N: keys",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        args: &[Arg::key("key", 0).multi()],
        ..Spec::DEFAULT
    },
    run: touch,
};

/// `TYPE key`
pub(crate) const TYPE: Command = Command {
    spec: &Spec {
        name: "type",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::Generic,
        since: "1.0.0",
        summary: "Returns the type of a value.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: type_of,
};

fn exists(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let found = args
        .from(1)
        .filter(|key| ctx.data.peek_counted(key).is_some())
        .count();
    ctx.done_int(found as i64)
}

fn touch(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let found = args.from(1).filter(|key| ctx.data.get(key).is_some()).count();
    ctx.done_int(found as i64)
}

fn type_of(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let name = ctx
        .data
        .peek_counted(args.get(1))
        .map_or("none", |value| value.kind().name());
    ctx.reply.simple(name);
    Ok(Outcome::Done)
}
