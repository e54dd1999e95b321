//! SCARD, SISMEMBER, SMISMEMBER and SMEMBERS: <https://redis.io/commands/smembers>.

use holdfast_storage::types::set::Set;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::items;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `SCARD key`
pub(crate) const SCARD: Command = Command {
    spec: &Spec {
        name: "scard",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns the number of members.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: scard,
};

/// `SISMEMBER key member`
pub(crate) const SISMEMBER: Command = Command {
    spec: &Spec {
        name: "sismember",
        arity: 3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::Set,
        since: "1.0.0",
        summary: "Tells whether a set has a member.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::string("member")],
        ..Spec::DEFAULT
    },
    run: sismember,
};

/// `SMISMEMBER key member [member ...]`
pub(crate) const SMISMEMBER: Command = Command {
    spec: &Spec {
        name: "smismember",
        arity: -3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Set,
        since: "6.2.0",
        summary: "Tells for several members whether a set has them.",
        complexity: "O(N), N: members given",
        args: &[Arg::key("key", 0), Arg::string("member").multi()],
        ..Spec::DEFAULT
    },
    run: smismember,
};

/// `SMEMBERS key`
pub(crate) const SMEMBERS: Command = Command {
    spec: &Spec {
        name: "smembers",
        arity: 2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns all members of a set.",
        complexity: "O(N), N: members of the set",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: smembers,
};

fn scard(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let len = ctx.data.read::<Set>(args.get(1))?.map_or(0, Set::len);
    ctx.done_int(len as i64)
}

fn sismember(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let set = ctx.data.read::<Set>(args.get(1))?;
    let there = set.is_some_and(|set| set.contains(args.get(2)));
    ctx.done_int(there.into())
}

fn smismember(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let set = ctx.data.read::<Set>(args.get(1))?;
    ctx.reply.array(args.len() - 2);
    for member in args.from(2) {
        let there = set.is_some_and(|set| set.contains(member));
        ctx.reply.int(there.into());
    }
    Ok(Outcome::Done)
}

fn smembers(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(set) = ctx.data.read::<Set>(args.get(1))? else {
        ctx.reply.set(0);
        return Ok(Outcome::Done);
    };
    ctx.reply.set(set.len());
    for member in set.iter() {
        items::bulk(ctx.reply, member);
    }
    Ok(Outcome::Done)
}
