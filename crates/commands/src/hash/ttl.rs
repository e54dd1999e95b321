//! HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME and HPERSIST: <https://redis.io/commands/httl>. They came with Redis 7.4 and
//! Valkey 9.0.

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::hash::Hash;

use super::expire::FIELDS;
use super::field_args::{BadCount, check_type, fields, log_persisted};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// Fields live for ever.
pub(super) const HPERSIST_EVENT: Event = Event(Class::Hash, "hpersist");

/// `HTTL key FIELDS numfields field [field ...]`
pub(crate) const HTTL: Command = Command {
    spec: &Spec {
        name: "httl",
        arity: -5,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "7.4.0",
        summary: "Tells how long fields of a hash live, in seconds.",
        complexity: "O(N), N: fields given",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0), FIELDS],
        ..Spec::DEFAULT
    },
    run: httl,
};

/// `HPTTL key FIELDS numfields field [field ...]`
pub(crate) const HPTTL: Command = Command {
    spec: &Spec {
        name: "hpttl",
        arity: -5,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "7.4.0",
        summary: "Tells how long fields of a hash live, in milliseconds.",
        complexity: "O(N), N: fields given",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0), FIELDS],
        ..Spec::DEFAULT
    },
    run: hpttl,
};

/// `HEXPIRETIME key FIELDS numfields field [field ...]`
pub(crate) const HEXPIRETIME: Command = Command {
    spec: &Spec {
        name: "hexpiretime",
        arity: -5,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "7.4.0",
        summary: "Tells when fields of a hash expire, as a Unix time in seconds.",
        complexity: "O(N), N: fields given",
        args: &[Arg::key("key", 0), FIELDS],
        ..Spec::DEFAULT
    },
    run: hexpiretime,
};

/// `HPEXPIRETIME key FIELDS numfields field [field ...]`
pub(crate) const HPEXPIRETIME: Command = Command {
    spec: &Spec {
        name: "hpexpiretime",
        arity: -5,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "7.4.0",
        summary: "Tells when fields of a hash expire, as a Unix time in milliseconds.",
        complexity: "O(N), N: fields given",
        args: &[Arg::key("key", 0), FIELDS],
        ..Spec::DEFAULT
    },
    run: hpexpiretime,
};

/// `HPERSIST key FIELDS numfields field [field ...]`
pub(crate) const HPERSIST: Command = Command {
    spec: &Spec {
        name: "hpersist",
        arity: -5,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Hash,
        since: "7.4.0",
        summary: "Lets fields of a hash live for ever.",
        complexity: "O(N), N: fields given",
        args: &[Arg::key("key", 0), FIELDS],
        ..Spec::DEFAULT
    },
    run: hpersist,
};

fn httl(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.data.now_ms;
    tell(ctx, args, |at_ms| seconds(at_ms - now_ms))
}

fn hpttl(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.data.now_ms;
    tell(ctx, args, |at_ms| at_ms - now_ms)
}

fn hexpiretime(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    tell(ctx, args, seconds)
}

fn hpexpiretime(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    tell(ctx, args, |at_ms| at_ms)
}

/// Milliseconds as seconds, rounded up, as Redis does for fields (keys' seconds are rounded to the nearest).
fn seconds(ms: i64) -> i64 {
    (ms + 999) / 1000
}

fn tell(ctx: &mut Ctx<'_, '_>, args: Args<'_>, answer: impl Fn(i64) -> i64) -> CmdResult {
    let hash = ctx.data.read::<Hash>(args.get(1))?;
    let fields = fields(args, 2, BadCount::Look)?;
    ctx.reply.array(fields.len());
    for field in fields {
        ctx.reply.int(match hash.and_then(|hash| hash.expiry_ms(field)) {
            None => -2,
            Some(None) => -1,
            Some(Some(at_ms)) => answer(at_ms),
        });
    }
    Ok(Outcome::Done)
}

fn hpersist(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    check_type(ctx, key)?;
    let fields = fields(args, 2, BadCount::Look)?;
    ctx.reply.array(fields.len());
    let Some(mut hash) = ctx.data.edit::<Hash>(key)? else {
        fields.for_each(|_| ctx.reply.int(-2));
        return Ok(Outcome::Done);
    };
    let mut changed = Vec::new();
    for field in fields {
        ctx.reply.int(match hash.expiry_ms(field) {
            None => -2,
            Some(None) => -1,
            Some(Some(_)) => {
                hash.set_expiry_ms(field, None);
                changed.push(field);
                1
            }
        });
    }
    if changed.is_empty() {
        hash.unchanged();
    } else {
        hash.finish(HPERSIST_EVENT, changed.len() as u64);
        log_persisted(ctx, key, &changed);
    }
    Ok(Outcome::Done)
}
