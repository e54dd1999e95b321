//! EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT: <https://redis.io/commands/expire>.

use holdfast_storage::data::OnExpired;
use holdfast_storage::effects::Event;

use crate::args::{Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `EXPIRE key seconds [NX|XX|GT|LT]`
pub(crate) const EXPIRE: Command = Command {
    spec: &Spec {
        name: "expire",
        arity: -3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Generic,
        since: "1.0.0",
        summary: "Lets a key expire after some seconds.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::integer("seconds"),
            Arg::one_of(
                "condition",
                &[
                    Arg::word("nx", "NX"),
                    Arg::word("xx", "XX"),
                    Arg::word("gt", "GT"),
                    Arg::word("lt", "LT"),
                ],
            )
            .opt()
            .since("7.0.0"),
        ],
        ..Spec::DEFAULT
    },
    run: expire,
};

/// `PEXPIRE key milliseconds [NX|XX|GT|LT]`
pub(crate) const PEXPIRE: Command = Command {
    spec: &Spec {
        name: "pexpire",
        arity: -3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Generic,
        since: "2.6.0",
        summary: "Lets a key expire after some milliseconds.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::integer("milliseconds"),
            Arg::one_of(
                "condition",
                &[
                    Arg::word("nx", "NX"),
                    Arg::word("xx", "XX"),
                    Arg::word("gt", "GT"),
                    Arg::word("lt", "LT"),
                ],
            )
            .opt()
            .since("7.0.0"),
        ],
        ..Spec::DEFAULT
    },
    run: pexpire,
};

/// `EXPIREAT key unix-time-seconds [NX|XX|GT|LT]`
pub(crate) const EXPIREAT: Command = Command {
    spec: &Spec {
        name: "expireat",
        arity: -3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Generic,
        since: "1.2.0",
        summary: "Lets a key expire at a Unix time in seconds.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::unix_time("unix-time-seconds"),
            Arg::one_of(
                "condition",
                &[
                    Arg::word("nx", "NX"),
                    Arg::word("xx", "XX"),
                    Arg::word("gt", "GT"),
                    Arg::word("lt", "LT"),
                ],
            )
            .opt()
            .since("7.0.0"),
        ],
        ..Spec::DEFAULT
    },
    run: expireat,
};

/// `PEXPIREAT key unix-time-milliseconds [NX|XX|GT|LT]`
pub(crate) const PEXPIREAT: Command = Command {
    spec: &Spec {
        name: "pexpireat",
        arity: -3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Generic,
        since: "2.6.0",
        summary: "Lets a key expire at a Unix time in milliseconds.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::unix_time("unix-time-milliseconds"),
            Arg::one_of(
                "condition",
                &[
                    Arg::word("nx", "NX"),
                    Arg::word("xx", "XX"),
                    Arg::word("gt", "GT"),
                    Arg::word("lt", "LT"),
                ],
            )
            .opt()
            .since("7.0.0"),
        ],
        ..Spec::DEFAULT
    },
    run: pexpireat,
};

fn expire(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.data.now_ms;
    set_expiry(ctx, args, "expire", 1000, now_ms)
}

fn pexpire(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.data.now_ms;
    set_expiry(ctx, args, "pexpire", 1, now_ms)
}

fn expireat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    set_expiry(ctx, args, "expireat", 1000, 0)
}

fn pexpireat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    set_expiry(ctx, args, "pexpireat", 1, 0)
}

/// When the expiry is set, seen from the one that the key has (None: it lives for ever).
#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    fn parse(mut rest: Cursor<'_>) -> Result<Self, CmdError> {
        let mut c = Self::default();
        while rest.left() > 0 {
            if rest.accept("NX") {
                c.nx = true;
            } else if rest.accept("XX") {
                c.xx = true;
            } else if rest.accept("GT") {
                c.gt = true;
            } else if rest.accept("LT") {
                c.lt = true;
            } else {
                let word = String::from_utf8_lossy(rest.word()?);
                return Err(CmdError::msg(format!("ERR Unsupported option {word}")));
            }
        }
        if c.nx && (c.xx || c.gt || c.lt) {
            return Err(CmdError::msg(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if c.gt && c.lt {
            return Err(CmdError::msg(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(c)
    }

    fn holds(self, current: Option<i64>, new: i64) -> bool {
        match current {
            None => !self.xx && !self.gt,
            Some(at) => !(self.nx || self.gt && new <= at || self.lt && new >= at),
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
    let condition = Condition::parse(args.cursor(3))?;
    let at = args
        .int(2)?
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base_ms))
        .ok_or(CmdError::InvalidExpire(command))?;
    let Some(current) = ctx.data.expire_at_ms(key) else {
        return ctx.done_int(0);
    };
    if !condition.holds(current, at) {
        return ctx.done_int(0);
    }
    // A time that is over deletes, but only where keys expire by themselves: not while loading or following a primary.
    if at <= ctx.data.now_ms && ctx.data.on_expired == OnExpired::Remove {
        ctx.data.delete(key);
        ctx.log.rewrite(&[b"DEL", key]);
    } else {
        ctx.data.set_expire_at_ms(key, Some(at));
        ctx.data.changed(ctx.data.db, key, Event::EXPIRE);
        ctx.log
            .rewrite(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
    }
    ctx.done_int(1)
}
