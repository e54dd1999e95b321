//! HLEN, HEXISTS and HSTRLEN: <https://redis.io/commands/hlen>.

use holdfast_storage::types::hash::Hash;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `HLEN key`
pub(crate) const HLEN: Command = Command {
    spec: &Spec {
        name: "hlen",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Returns the number of fields.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: hlen,
};

/// `HEXISTS key field`
pub(crate) const HEXISTS: Command = Command {
    spec: &Spec {
        name: "hexists",
        arity: 3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Tells whether a hash has a field.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::string("field")],
        ..Spec::DEFAULT
    },
    run: hexists,
};

/// `HSTRLEN key field`
pub(crate) const HSTRLEN: Command = Command {
    spec: &Spec {
        name: "hstrlen",
        arity: 3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::Hash,
        since: "3.2.0",
        summary: "Returns the length of a field's value.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::string("field")],
        ..Spec::DEFAULT
    },
    run: hstrlen,
};

fn hlen(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let len = ctx.data.read::<Hash>(args.get(1))?.map_or(0, Hash::len);
    ctx.done_int(len as i64)
}

fn hexists(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.data.read::<Hash>(args.get(1))?;
    let there = hash.is_some_and(|hash| hash.contains(args.get(2)));
    ctx.done_int(there.into())
}

fn hstrlen(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.data.read::<Hash>(args.get(1))?;
    let len = hash.and_then(|hash| hash.value_len(args.get(2))).unwrap_or(0);
    ctx.done_int(len as i64)
}
