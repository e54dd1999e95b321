//! HGET, HMGET, HGETALL, HKEYS and HVALS: <https://redis.io/commands/hgetall>.

use holdfast_storage::types::hash::Hash;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::items;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `HGET key field`
pub(crate) const HGET: Command = Command {
    spec: &Spec {
        name: "hget",
        arity: 3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Returns the value of a field.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::string("field")],
        ..Spec::DEFAULT
    },
    run: hget,
};

/// `HMGET key field [field ...]`
pub(crate) const HMGET: Command = Command {
    spec: &Spec {
        name: "hmget",
        arity: -3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Returns the values of several fields.",
        complexity: "O(N), N: fields given",
        args: &[Arg::key("key", 0), Arg::string("field").multi()],
        ..Spec::DEFAULT
    },
    run: hmget,
};

/// `HGETALL key`
pub(crate) const HGETALL: Command = Command {
    spec: &Spec {
        name: "hgetall",
        arity: 2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Returns all fields with their values.",
        complexity: "O(N), N: fields of the hash",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: hgetall,
};

/// `HKEYS key`
pub(crate) const HKEYS: Command = Command {
    spec: &Spec {
        name: "hkeys",
        arity: 2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Returns the names of all fields.",
        complexity: "O(N), N: fields of the hash",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: hkeys,
};

/// `HVALS key`
pub(crate) const HVALS: Command = Command {
    spec: &Spec {
        name: "hvals",
        arity: 2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Returns the values of all fields.",
        complexity: "O(N), N: fields of the hash",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: hvals,
};

fn hget(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.data.read::<Hash>(args.get(1))?;
    match hash.and_then(|hash| hash.get(args.get(2))) {
        Some(value) => items::bulk(ctx.reply, value),
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn hmget(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.data.read::<Hash>(args.get(1))?;
    ctx.reply.array(args.len() - 2);
    for field in args.from(2) {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => items::bulk(ctx.reply, value),
            None => ctx.reply.null(),
        }
    }
    Ok(Outcome::Done)
}

fn hgetall(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(hash) = ctx.data.read::<Hash>(args.get(1))? else {
        ctx.reply.map(0);
        return Ok(Outcome::Done);
    };
    ctx.reply.map(hash.len());
    for (field, value) in hash.iter() {
        items::bulk(ctx.reply, field);
        items::bulk(ctx.reply, value);
    }
    Ok(Outcome::Done)
}

fn hkeys(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(hash) = ctx.data.read::<Hash>(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    ctx.reply.array(hash.len());
    hash.iter().for_each(|(field, _)| items::bulk(ctx.reply, field));
    Ok(Outcome::Done)
}

fn hvals(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(hash) = ctx.data.read::<Hash>(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    ctx.reply.array(hash.len());
    hash.iter().for_each(|(_, value)| items::bulk(ctx.reply, value));
    Ok(Outcome::Done)
}
