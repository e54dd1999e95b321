//! GETRANGE, its old name SUBSTR, and SETRANGE: <https://redis.io/commands/getrange>.

use holdfast_storage::effects::{Class, Event};

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Deprecated, Group, KeySpec, Spec};
use crate::string::raw;

/// `GETRANGE key start end`
pub(crate) const GETRANGE: Command = Command {
    spec: &Spec {
        name: "getrange",
        arity: 4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::String,
        since: "2.4.0",
        summary: "Returns a part of a string.",
        complexity: "O(N), N: bytes returned",
        args: &[Arg::key("key", 0), Arg::integer("start"), Arg::integer("end")],
        ..Spec::DEFAULT
    },
    run: getrange,
};

/// `SUBSTR key start end`
pub(crate) const SUBSTR: Command = Command {
    spec: &Spec {
        name: "substr",
        arity: 4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::String,
        since: "1.0.0",
        summary: "Returns a part of a string.",
        complexity: "O(N), N: bytes returned",
        args: &[Arg::key("key", 0), Arg::integer("start"), Arg::integer("end")],
        deprecated: Some(Deprecated {
            since: "2.0.0",
            replaced_by: "GETRANGE",
        }),
        ..Spec::DEFAULT
    },
    run: substr,
};

/// `SETRANGE key offset value`
pub(crate) const SETRANGE: Command = Command {
    spec: &Spec {
        name: "setrange",
        arity: 4,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::String,
        since: "2.2.0",
        summary: "Overwrites a part of a string from an offset on.",
        complexity: "O(N), N: bytes given",
        args: &[Arg::key("key", 0), Arg::integer("offset"), Arg::string("value")],
        ..Spec::DEFAULT
    },
    run: setrange,
};

fn getrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    part(ctx, args)
}

fn substr(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    part(ctx, args)
}

fn part(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (start, end) = (args.int(2)?, args.int(3)?);
    match ctx.data.string(args.get(1))? {
        None => ctx.reply.bulk(b""),
        Some(text) => text.with(|text| ctx.reply.bulk(slice(text, start, end))),
    }
    Ok(Outcome::Done)
}

/// The bytes from `start` to `end`, both included and negative ones counted from the end.
fn slice(text: &[u8], start: i64, end: i64) -> &[u8] {
    // Two negative indexes in the wrong order mean nothing even if both lie before the beginning.
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let len = text.len() as i64;
    let from_start = |index: i64| if index < 0 { (len + index).max(0) } else { index };
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    if start > end {
        return b"";
    }
    &text[start as usize..=end as usize]
}

fn setrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (key, part) = (args.get(1), args.get(3));
    let offset = usize::try_from(args.int(2)?).map_err(|_| CmdError::msg("ERR offset is out of range"))?;
    if part.is_empty() {
        let len = ctx.data.string_for_write(key)?.map_or(0, |text| text.len());
        return ctx.done_int(len as i64);
    }
    ctx.data.string_for_write(key)?;
    let needed = raw::check_len(ctx.limits, offset, part.len())?;
    let len = raw::change(
        &mut ctx.data,
        key,
        Event(Class::String, "setrange"),
        offset..needed,
        |text| {
            raw::grow(text, needed);
            text[offset..needed].copy_from_slice(part);
            text.len()
        },
    )?;
    ctx.done_int(len as i64)
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const NOT_INT: &str = "-ERR value is not an integer or out of range";
    const TOO_LONG: &str = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";

    #[test]
    fn reading() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET k \"Hello World\"", "+OK"),
            ("GETRANGE k 0 4", "$5 Hello"),
            ("GETRANGE k -5 -1", "$5 World"),
            ("GETRANGE k 5 2", "$0"),
            ("GETRANGE k -1 -5", "$0"),
            ("GETRANGE k -100 -200", "$0"),
            ("GETRANGE k -200 -100", "$1 H"),
            ("GETRANGE k 0 1000000", "$11 Hello World"),
            ("GETRANGE k -1000 2", "$3 Hel"),
            ("GETRANGE k 11 20", "$0"),
            (
                "GETRANGE k -9223372036854775808 9223372036854775807",
                "$11 Hello World",
            ),
            ("SUBSTR k 0 2", "$3 Hel"),
            ("SET n 12345", "+OK"),
            ("GETRANGE n 1 -2", "$3 234"),
            ("GETRANGE missing 0 -1", "$0"),
            ("SET e \"\"", "+OK"),
            ("GETRANGE e 0 -1", "$0"),
            ("GETRANGE k a 2", NOT_INT),
            ("ZADD z 1 m", ":1"),
            ("GETRANGE z a 2", NOT_INT),
            ("GETRANGE z 0 -1", WRONG_TYPE),
        ]);
    }

    #[test]
    fn writing() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET k \"Hello World\" EX 100", "+OK"),
            ("SETRANGE k 6 Redis", ":11"),
            ("GET k", "$11 Hello Redis"),
            ("TTL k", ":100"),
            ("SETRANGE pad 5 x", ":6"),
            ("GET pad", "$6 \\x00\\x00\\x00\\x00\\x00x"),
            ("SETRANGE k 3 \"\"", ":11"),
            ("SETRANGE missing 5 \"\"", ":0"),
            ("EXISTS missing", ":0"),
        ]);
        assert_eq!(
            f.log(),
            "SET k Hello World PXAT 1100000; SETRANGE k 6 Redis; SETRANGE pad 5 x"
        );
        assert_eq!(f.events(), "set k; expire k; setrange k; setrange pad");
        assert_eq!(f.encoding("pad"), "raw");
    }

    #[test]
    fn writing_errors() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET k abc", "+OK"),
            ("ZADD z 1 m", ":1"),
            ("SETRANGE k -1 x", "-ERR offset is out of range"),
            ("SETRANGE z -1 x", "-ERR offset is out of range"),
            ("SETRANGE k abc x", NOT_INT),
            ("SETRANGE k 536870912 x", TOO_LONG),
            ("SETRANGE missing 536870912 x", TOO_LONG),
            ("SETRANGE k 9223372036854775807 x", TOO_LONG),
            ("SETRANGE z 9223372036854775807 x", WRONG_TYPE),
            ("SETRANGE z 0 \"\"", WRONG_TYPE),
            ("GET k", "$3 abc"),
        ]);
    }
}
