//! HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT: <https://redis.io/commands/hexpire>. They came with Redis 7.4 and Valkey 9.0.

use holdfast_storage::data::OnExpired;
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::hash::Hash;

use super::field_args::{BadCount, check_type, expiry_ms, fields, log_expiry, log_removed};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// Fields expire.
pub(super) const HEXPIRE_EVENT: Event = Event(Class::Hash, "hexpire");
/// Fields are removed, here because their time is over already.
pub(super) const HDEL_EVENT: Event = Event(Class::Hash, "hdel");

/// `HEXPIRE key seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(crate) const HEXPIRE: Command = Command {
    spec: &Spec {
        name: "hexpire",
        arity: -6,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Hash,
        since: "7.4.0",
        summary: "Lets fields of a hash expire after some seconds.",
        complexity: "O(N), N: fields given",
        args: &[Arg::key("key", 0), Arg::integer("seconds"), CONDITION, FIELDS],
        ..Spec::DEFAULT
    },
    run: hexpire,
};

/// `HPEXPIRE key milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(crate) const HPEXPIRE: Command = Command {
    spec: &Spec {
        name: "hpexpire",
        arity: -6,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Hash,
        since: "7.4.0",
        summary: "Lets fields of a hash expire after some milliseconds.",
        complexity: "O(N), N: fields given",
        args: &[
            Arg::key("key", 0),
            Arg::integer("milliseconds"),
            CONDITION,
            FIELDS,
        ],
        ..Spec::DEFAULT
    },
    run: hpexpire,
};

/// `HEXPIREAT key unix-time-seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(crate) const HEXPIREAT: Command = Command {
    spec: &Spec {
        name: "hexpireat",
        arity: -6,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Hash,
        since: "7.4.0",
        summary: "Lets fields of a hash expire at a Unix time in seconds.",
        complexity: "O(N), N: fields given",
        args: &[
            Arg::key("key", 0),
            Arg::unix_time("unix-time-seconds"),
            CONDITION,
            FIELDS,
        ],
        ..Spec::DEFAULT
    },
    run: hexpireat,
};

/// `HPEXPIREAT key unix-time-milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(crate) const HPEXPIREAT: Command = Command {
    spec: &Spec {
        name: "hpexpireat",
        arity: -6,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Hash,
        since: "7.4.0",
        summary: "Lets fields of a hash expire at a Unix time in milliseconds.",
        complexity: "O(N), N: fields given",
        args: &[
            Arg::key("key", 0),
            Arg::unix_time("unix-time-milliseconds"),
            CONDITION,
            FIELDS,
        ],
        ..Spec::DEFAULT
    },
    run: hpexpireat,
};

const CONDITION: Arg = Arg::one_of(
    "condition",
    &[
        Arg::word("nx", "NX"),
        Arg::word("xx", "XX"),
        Arg::word("gt", "GT"),
        Arg::word("lt", "LT"),
    ],
)
.opt();

/// `FIELDS numfields field [field ...]`
pub(super) const FIELDS: Arg = Arg::block(
    "fields",
    &[Arg::integer("numfields"), Arg::string("field").multi()],
)
.token("FIELDS");

fn hexpire(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.data.now_ms;
    set_expiry(ctx, args, "hexpire", 1000, now_ms)
}

fn hpexpire(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.data.now_ms;
    set_expiry(ctx, args, "hpexpire", 1, now_ms)
}

fn hexpireat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    set_expiry(ctx, args, "hexpireat", 1000, 0)
}

fn hpexpireat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    set_expiry(ctx, args, "hpexpireat", 1, 0)
}

/// When a field's time is changed, seen from the one that it has (None: it lives for ever).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    Nx,
    Xx,
    Gt,
    Lt,
}

impl Condition {
    const WORDS: [(&'static str, Self); 4] = [
        ("NX", Self::Nx),
        ("XX", Self::Xx),
        ("GT", Self::Gt),
        ("LT", Self::Lt),
    ];

    fn holds(self, current: Option<i64>, new: i64) -> bool {
        match self {
            Self::Always => true,
            Self::Nx => current.is_none(),
            Self::Xx => current.is_some(),
            Self::Gt => current.is_some_and(|at_ms| new > at_ms),
            Self::Lt => current.is_none_or(|at_ms| new < at_ms),
        }
    }
}

/// `unit_ms`: what the number counts; `base_ms`: from when.
fn set_expiry(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    command: &'static str,
    unit_ms: i64,
    base_ms: i64,
) -> CmdResult {
    let key = args.get(1);
    check_type(ctx, key)?;
    let value = args.int(2)?;
    let word = Condition::WORDS.into_iter().find(|(word, _)| args.is(3, word));
    let condition = word.map_or(Condition::Always, |(_, condition)| condition);
    let fields = fields(args, 3 + usize::from(word.is_some()), BadCount::Expire)?;
    let at_ms = expiry_ms(value, unit_ms, base_ms, command)?;
    // A time that is over deletes, but only where fields expire by themselves: not while loading or following a primary.
    let over = at_ms <= ctx.data.now_ms && ctx.data.on_expired == OnExpired::Remove;
    ctx.reply.array(fields.len());
    let Some(mut hash) = ctx.data.edit::<Hash>(key)? else {
        fields.for_each(|_| ctx.reply.int(-2));
        return Ok(Outcome::Done);
    };
    let mut changed = Vec::new();
    for field in fields {
        let result = match hash.expiry_ms(field) {
            None => -2,
            Some(current) if !condition.holds(current, at_ms) => 0,
            Some(_) if over => 2,
            Some(_) => 1,
        };
        match result {
            1 => hash.set_expiry_ms(field, Some(at_ms)),
            2 => hash.remove(field),
            _unmet => false,
        };
        if result > 0 {
            changed.push(field);
        }
        ctx.reply.int(result);
    }
    if changed.is_empty() {
        hash.unchanged();
    } else if over {
        hash.finish(HDEL_EVENT, changed.len() as u64);
        log_removed(ctx, key, &changed);
    } else {
        hash.finish(HEXPIRE_EVENT, changed.len() as u64);
        log_expiry(ctx, key, at_ms, &changed);
    }
    Ok(Outcome::Done)
}
