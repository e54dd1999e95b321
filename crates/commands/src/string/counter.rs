//! INCR, DECR, INCRBY, DECRBY and INCRBYFLOAT: <https://redis.io/commands/incr>.

use holdfast_storage::data::{Expiry, StrRef};
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::longdouble::{self, IncrByFloatError};
use holdfast_storage::numeric;
use holdfast_storage::value::Value;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `INCR key`
pub(crate) const INCR: Command = Command {
    spec: &Spec {
        name: "incr",
        arity: 2,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::String,
        since: "1.0.0",
        summary: "Adds one to an integer.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: incr,
};

/// `DECR key`
pub(crate) const DECR: Command = Command {
    spec: &Spec {
        name: "decr",
        arity: 2,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::String,
        since: "1.0.0",
        summary: "Subtracts one from an integer.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: decr,
};

/// `INCRBY key increment`
pub(crate) const INCRBY: Command = Command {
    spec: &Spec {
        name: "incrby",
        arity: 3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::String,
        since: "1.0.0",
        summary: "Adds to an integer.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::integer("increment")],
        ..Spec::DEFAULT
    },
    run: incrby,
};

/// `DECRBY key decrement`
pub(crate) const DECRBY: Command = Command {
    spec: &Spec {
        name: "decrby",
        arity: 3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::String,
        since: "1.0.0",
        summary: "Subtracts from an integer.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::integer("decrement")],
        ..Spec::DEFAULT
    },
    run: decrby,
};

/// `INCRBYFLOAT key increment`
pub(crate) const INCRBYFLOAT: Command = Command {
    spec: &Spec {
        name: "incrbyfloat",
        arity: 3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::String,
        since: "2.6.0",
        summary: "Adds to a floating-point number.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::double("increment")],
        ..Spec::DEFAULT
    },
    run: incrbyfloat,
};

fn incr(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    add(ctx, args.get(1), 1)
}

fn decr(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    add(ctx, args.get(1), -1)
}

fn incrby(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    add(ctx, args.get(1), args.int(2)?)
}

fn decrby(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let by = args
        .int(2)?
        .checked_neg()
        .ok_or_else(|| CmdError::msg("ERR decrement would overflow"))?;
    add(ctx, args.get(1), by)
}

fn add(ctx: &mut Ctx<'_, '_>, key: &[u8], by: i64) -> CmdResult {
    let sum = ctx.data.update_int(key, Event(Class::String, "incrby"), |old| {
        let old = match old {
            None => 0,
            Some(StrRef::Int(i)) => i,
            Some(text) => text.with(numeric::parse_i64).ok_or(CmdError::NotInteger)?,
        };
        old.checked_add(by).ok_or(CmdError::Overflow)
    })?;
    ctx.done_int(sum)
}

fn incrbyfloat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (key, by) = (args.get(1), args.get(2));
    let sum = match ctx.data.string_for_write(key)? {
        None => longdouble::incr_by_float(b"0", by),
        Some(old) => old.with(|old| longdouble::incr_by_float(old, by)),
    }
    .map_err(|e| match e {
        IncrByFloatError::NotAFloat => CmdError::NotFloat,
        IncrByFloatError::NanOrInfinity => CmdError::NanOrInfinity,
    })?;
    // A sum without a fraction stays a text: only INCR and SET make integers.
    let value = Value::Str(sum.clone().into());
    ctx.data
        .set(key, value, Expiry::Keep, Event(Class::String, "incrbyfloat"));
    ctx.log.rewrite(&[b"SET", key, &sum, b"KEEPTTL"]);
    ctx.reply.bulk(&sum);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn integers() {
        let mut f = Fixture::new();
        f.check(&[
            ("INCR n", ":1"),
            ("INCRBY n 10", ":11"),
            ("DECR n", ":10"),
            ("DECRBY n 5", ":5"),
        ]);
        assert_eq!(f.log(), "INCR n; INCRBY n 10; DECR n; DECRBY n 5");
        assert_eq!(f.events(), "incrby n; incrby n; incrby n; incrby n");
        assert_eq!(f.encoding("n"), "int");
        f.check(&[
            ("SET t 41 EX 100", "+OK"),
            ("INCR t", ":42"),
            ("TTL t", ":100"),
            ("SET raw 1", "+OK"),
            ("APPEND raw 2", ":2"),
            ("INCR raw", ":13"),
        ]);
        assert_eq!(f.encoding("raw"), "int");
    }

    #[test]
    fn integers_that_do_not_fit() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET n 9223372036854775807", "+OK"),
            ("INCR n", "-ERR increment or decrement would overflow"),
            ("INCRBY n -1", ":9223372036854775806"),
            ("SET n -9223372036854775808", "+OK"),
            ("DECR n", "-ERR increment or decrement would overflow"),
            ("DECRBY n -9223372036854775808", "-ERR decrement would overflow"),
            ("INCRBY n 1.5", "-ERR value is not an integer or out of range"),
            ("SET n \" 5\"", "+OK"),
            ("INCR n", "-ERR value is not an integer or out of range"),
            ("ZADD z 1 m", ":1"),
            ("INCRBY z abc", "-ERR value is not an integer or out of range"),
            (
                "INCRBY z 1",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
        f.log();
        f.run("INCR n");
        assert_eq!((f.dirty, f.log().as_str()), (0, ""));
    }

    #[test]
    fn floats() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET n 10.50 PX 5000", "+OK"),
            ("INCRBYFLOAT n 0.1", "$4 10.6"),
            ("PTTL n", ":5000"),
        ]);
        assert_eq!(f.log(), "SET n 10.50 PXAT 1005000; SET n 10.6 KEEPTTL");
        assert_eq!(f.events(), "set n; expire n; incrbyfloat n");
        f.check(&[
            ("INCRBYFLOAT fresh 3.0", "$1 3"),
            (
                "INCRBYFLOAT n inf",
                "-ERR increment would produce NaN or Infinity",
            ),
            ("INCRBYFLOAT n abc", "-ERR value is not a valid float"),
            ("SET n abc", "+OK"),
            ("INCRBYFLOAT n 1", "-ERR value is not a valid float"),
            ("ZADD z 1 m", ":1"),
            (
                "INCRBYFLOAT z abc",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
        assert_eq!(f.encoding("fresh"), "embstr");
    }
}
