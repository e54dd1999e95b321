//! HINCRBY and HINCRBYFLOAT: <https://redis.io/commands/hincrby>. A sum of floats is logged as its text, so that every
//! reader of the log has the same bytes.

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::longdouble::LongDouble;
use holdfast_storage::numeric;
use holdfast_storage::types::hash::Hash;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `HINCRBY key field increment`
pub(crate) const HINCRBY: Command = Command {
    spec: &Spec {
        name: "hincrby",
        arity: 4,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Adds an integer to the value of a field.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::string("field"),
            Arg::integer("increment"),
        ],
        ..Spec::DEFAULT
    },
    run: hincrby,
};

/// `HINCRBYFLOAT key field increment`
pub(crate) const HINCRBYFLOAT: Command = Command {
    spec: &Spec {
        name: "hincrbyfloat",
        arity: 4,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::Hash,
        since: "2.6.0",
        summary: "Adds a floating-point number to the value of a field.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::string("field"), Arg::double("increment")],
        ..Spec::DEFAULT
    },
    run: hincrbyfloat,
};

fn hincrby(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (key, field) = (args.get(1), args.get(2));
    let increment = args.int(3)?;
    let mut hash = ctx.data.edit_or_create::<Hash>(key)?;
    let sum = match hash.get(field) {
        None => Ok(increment),
        Some(value) => integer(value)
            .ok_or(CmdError::HashNotInteger)
            .and_then(|old| old.checked_add(increment).ok_or(CmdError::Overflow)),
    };
    let sum = match sum {
        Ok(sum) => sum,
        Err(error) => {
            hash.unchanged();
            return Err(error);
        }
    };
    let mut text = itoa::Buffer::new();
    hash.update(field, text.format(sum).as_bytes(), &ctx.limits.hash);
    hash.finish(Event(Class::Hash, "hincrby"), 1);
    ctx.done_int(sum)
}

fn integer(value: Item<'_>) -> Option<i64> {
    match value {
        Item::Int(int) => Some(int),
        Item::Bytes(bytes) => numeric::parse_i64(bytes),
    }
}

fn hincrbyfloat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (key, field) = (args.get(1), args.get(2));
    let increment = LongDouble::parse(args.get(3)).ok_or(CmdError::NotFloat)?;
    if !increment.is_finite() {
        return Err(CmdError::msg("ERR value is NaN or Infinity"));
    }
    let mut hash = ctx.data.edit_or_create::<Hash>(key)?;
    let old = match hash.get(field) {
        None => LongDouble::parse(b"0"),
        Some(value) => value.with_bytes(LongDouble::parse),
    };
    let sum = old
        .ok_or(CmdError::HashNotFloat)
        .and_then(|old| old.checked_add(increment).ok_or(CmdError::NanOrInfinity));
    let sum = match sum {
        Ok(sum) => sum.to_text(),
        Err(error) => {
            hash.unchanged();
            return Err(error);
        }
    };
    hash.update(field, &sum, &ctx.limits.hash);
    let expires = hash.expiry_ms(field).flatten().is_some();
    hash.finish(Event(Class::Hash, "hincrbyfloat"), 1);
    if expires {
        ctx.log
            .rewrite(&[b"HSETEX", key, b"KEEPTTL", b"FIELDS", b"1", field, &sum]);
    } else {
        ctx.log.rewrite(&[b"HSET", key, field, &sum]);
    }
    ctx.reply.bulk(&sum);
    Ok(Outcome::Done)
}
