//! HSET, HMSET, HSETNX and HDEL: <https://redis.io/commands/hset>.

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::hash::Hash;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Deprecated, Group, KeySpec, Spec};

/// `HSET key field value [field value ...]`
pub(crate) const HSET: Command = Command {
    spec: &Spec {
        name: "hset",
        arity: -4,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Sets fields of a hash and counts the new ones.",
        complexity: "O(N), N: fields given",
        args: &[
            Arg::key("key", 0),
            Arg::block("field_value", &[Arg::string("field"), Arg::string("value")]).multi(),
        ],
        ..Spec::DEFAULT
    },
    run: hset,
};

/// `HMSET key field value [field value ...]`
pub(crate) const HMSET: Command = Command {
    spec: &Spec {
        name: "hmset",
        arity: -4,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Sets several fields of a hash.",
        complexity: "O(N), N: fields given",
        args: &[
            Arg::key("key", 0),
            Arg::block("field_value", &[Arg::string("field"), Arg::string("value")]).multi(),
        ],
        deprecated: Some(Deprecated {
            since: "4.0.0",
            replaced_by: "HSET with multiple field-value pairs",
        }),
        ..Spec::DEFAULT
    },
    run: hmset,
};

/// `HSETNX key field value`
pub(crate) const HSETNX: Command = Command {
    spec: &Spec {
        name: "hsetnx",
        arity: 4,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, INSERT))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Sets a field if the hash does not have it.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::string("field"), Arg::string("value")],
        ..Spec::DEFAULT
    },
    run: hsetnx,
};

/// `HDEL key field [field ...]`
pub(crate) const HDEL: Command = Command {
    spec: &Spec {
        name: "hdel",
        arity: -3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Removes fields from a hash.",
        complexity: "O(N), N: fields given",
        args: &[Arg::key("key", 0), Arg::string("field").multi()],
        ..Spec::DEFAULT
    },
    run: hdel,
};

const SET: Event = Event(Class::Hash, "hset");

fn hset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let new = set_all(ctx, args, "hset")?;
    ctx.done_int(new)
}

fn hmset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    set_all(ctx, args, "hmset")?;
    ctx.done_ok()
}

/// Sets all pairs and answers how many fields are new.
fn set_all(ctx: &mut Ctx<'_, '_>, args: Args<'_>, command: &'static str) -> Result<i64, CmdError> {
    if !args.len().is_multiple_of(2) {
        return Err(CmdError::Arity(command));
    }
    let limits = &ctx.limits.hash;
    let pairs = args.pairs(2);
    let count = pairs.len();
    let mut hash = ctx.data.edit_or_create::<Hash>(args.get(1))?;
    hash.expect(count, limits);
    let new = pairs
        .filter(|(field, value)| hash.set(field, value, limits))
        .count();
    hash.finish(SET, count as u64);
    Ok(new as i64)
}

fn hsetnx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut hash = ctx.data.edit_or_create::<Hash>(args.get(1))?;
    if hash.contains(args.get(2)) {
        hash.unchanged();
        return ctx.done_int(0);
    }
    hash.set(args.get(2), args.get(3), &ctx.limits.hash);
    hash.finish(SET, 1);
    ctx.done_int(1)
}

fn hdel(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(mut hash) = ctx.data.edit::<Hash>(args.get(1))? else {
        return ctx.done_int(0);
    };
    let removed = args.from(2).filter(|field| hash.remove(field)).count();
    if removed > 0 {
        hash.finish(Event(Class::Hash, "hdel"), removed as u64);
    } else {
        hash.unchanged();
    }
    ctx.done_int(removed as i64)
}
