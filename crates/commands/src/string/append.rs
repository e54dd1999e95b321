//! APPEND and STRLEN: <https://redis.io/commands/append>.

use holdfast_storage::data::Expiry;
use holdfast_storage::effects::{Class, Event};

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::raw;
use crate::string::set::store;

/// `APPEND key value`
pub(crate) const APPEND: Command = Command {
    spec: &Spec {
        name: "append",
        arity: 3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, INSERT))],
        group: Group::String,
        since: "2.0.0",
        summary: "Appends to a string and returns its new length.",
        complexity: "O(1), amortized",
        args: &[Arg::key("key", 0), Arg::string("value")],
        ..Spec::DEFAULT
    },
    run: append,
};

/// `STRLEN key`
pub(crate) const STRLEN: Command = Command {
    spec: &Spec {
        name: "strlen",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::String,
        since: "2.2.0",
        summary: "Returns the length of a string.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: strlen,
};

fn append(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    const EVENT: Event = Event(Class::String, "append");
    let (key, tail) = (args.get(1), args.get(2));
    let Some(old) = ctx.data.edit_string(key)? else {
        store(ctx, key, args, 2, Expiry::Clear, EVENT);
        return ctx.done_int(tail.len() as i64);
    };
    let len = raw::check_len(ctx.limits, old.get().len(), tail.len())?;
    old.within(0..0)
        .finish(EVENT, |text| text.extend_from_slice(tail));
    ctx.done_int(len as i64)
}

fn strlen(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let len = ctx.data.string(args.get(1))?.map_or(0, |text| text.len());
    ctx.done_int(len as i64)
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn append() {
        let mut f = Fixture::new();
        f.check(&[
            ("APPEND k 12", ":2"),
            ("EXPIRE k 100", ":1"),
            ("STRLEN k", ":2"),
            ("APPEND k \" World\"", ":8"),
            ("TTL k", ":100"),
            ("GET k", "$8 12 World"),
            ("STRLEN k", ":8"),
            ("APPEND empty \"\"", ":0"),
            ("EXISTS empty", ":1"),
        ]);
        assert_eq!(f.events(), "append k; expire k; append k; append empty");
        assert_eq!(
            f.log(),
            "APPEND k 12; PEXPIREAT k 1100000; APPEND k  World; APPEND empty "
        );
        assert_eq!(f.encoding("k"), "raw");
        f.run("APPEND n 7");
        assert_eq!(f.encoding("n"), "int");
    }

    #[test]
    fn errors() {
        let mut f = Fixture::new();
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        f.limits.max_string = 10;
        f.check(&[
            ("ZADD z 1 m", ":1"),
            ("APPEND z x", wrong),
            ("STRLEN z", wrong),
            ("STRLEN missing", ":0"),
            ("APPEND k 12345", ":5"),
            (
                "APPEND k 123456",
                "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            ),
            ("APPEND k 12345", ":10"),
        ]);
    }
}
