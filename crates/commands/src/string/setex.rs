//! SETNX, SETEX and PSETEX: what SET can do with options, under older names: <https://redis.io/commands/setnx>.

use holdfast_storage::data::Expiry;
use holdfast_storage::effects::Event;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::expiry::Unit;
use crate::string::set::{store, store_until};

/// `SETNX key value`
pub(crate) const SETNX: Command = Command {
    spec: &Spec {
        name: "setnx",
        arity: 3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: OW, INSERT))],
        group: Group::String,
        since: "1.0.0",
        summary: "Stores a string if the key does not exist.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::string("value")],
        ..Spec::DEFAULT
    },
    run: setnx,
};

/// `SETEX key seconds value`
pub(crate) const SETEX: Command = Command {
    spec: &Spec {
        name: "setex",
        arity: 4,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: OW, UPDATE))],
        group: Group::String,
        since: "2.0.0",
        summary: "Stores a string that expires after some seconds.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::integer("seconds"), Arg::string("value")],
        ..Spec::DEFAULT
    },
    run: setex,
};

/// `PSETEX key milliseconds value`
pub(crate) const PSETEX: Command = Command {
    spec: &Spec {
        name: "psetex",
        arity: 4,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: OW, UPDATE))],
        group: Group::String,
        since: "2.6.0",
        summary: "Stores a string that expires after some milliseconds.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::integer("milliseconds"),
            Arg::string("value"),
        ],
        ..Spec::DEFAULT
    },
    run: psetex,
};

fn setnx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    if ctx.data.exists(key) {
        return ctx.done_int(0);
    }
    store(ctx, key, args, 2, Expiry::Clear, Event::SET);
    ctx.done_int(1)
}

fn setex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    store_for(ctx, args, "setex", Unit::Seconds)
}

fn psetex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    store_for(ctx, args, "psetex", Unit::Milliseconds)
}

fn store_for(ctx: &mut Ctx<'_, '_>, args: Args<'_>, command: &'static str, unit: Unit) -> CmdResult {
    let at_ms = unit.resolve(args.int(2)?, ctx.data.now_ms, command)?;
    store_until(ctx, args.get(1), args, 3, at_ms);
    ctx.done_ok()
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn setnx() {
        let mut f = Fixture::new();
        f.check(&[("SETNX k 1", ":1"), ("SETNX k 2", ":0"), ("GET k", "$1 1")]);
        assert_eq!(f.log(), "SETNX k 1");
        assert_eq!(f.events(), "set k");
        f.check(&[("ZADD z 1 m", ":1"), ("SETNX z 2", ":0")]);
    }

    #[test]
    fn setex() {
        let mut f = Fixture::new();
        f.check(&[
            ("SETEX k 100 v", "+OK"),
            ("TTL k", ":100"),
            ("PSETEX k 1500 w", "+OK"),
            ("PTTL k", ":1500"),
        ]);
        assert_eq!(f.log(), "SET k v PXAT 1100000; SET k w PXAT 1001500");
        assert_eq!(f.events(), "set k; expire k; set k; expire k");
        let invalid = "-ERR invalid expire time in 'setex' command";
        f.check(&[
            ("SETEX k 0 v", invalid),
            ("SETEX k -5 v", invalid),
            ("SETEX k 9223372036854775807 v", invalid),
            ("SETEX k abc v", "-ERR value is not an integer or out of range"),
            (
                "PSETEX k 9223372036854775807 v",
                "-ERR invalid expire time in 'psetex' command",
            ),
            ("PSETEX k 1.5 v", "-ERR value is not an integer or out of range"),
        ]);
    }
}
