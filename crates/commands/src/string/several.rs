//! MGET, MSET and MSETNX: <https://redis.io/commands/mset>.

use holdfast_storage::data::Expiry;
use holdfast_storage::effects::Event;
use holdfast_storage::value::ValueRef;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::set::store;

/// `MGET key [key ...]`
pub(crate) const MGET: Command = Command {
    spec: &Spec {
        name: "mget",
        arity: -2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::String,
        since: "1.0.0",
        summary: "Returns the strings stored at several keys.",
        complexity: "O(N), N: keys",
        tips: &["request_policy:multi_shard"],
        args: &[Arg::key("key", 0).multi()],
        ..Spec::DEFAULT
    },
    run: mget,
};

/// `MSET key value [key value ...]`
pub(crate) const MSET: Command = Command {
    spec: &Spec {
        name: "mset",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::range(1, -1, 2, flags!(KeyFlags: OW, UPDATE))],
        group: Group::String,
        since: "1.0.1",
        summary: "Stores strings at several keys.",
        complexity: "O(N), N: keys",
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        args: &[Arg::block("key_value", &[Arg::key("key", 0), Arg::string("value")]).multi()],
        ..Spec::DEFAULT
    },
    run: mset,
};

/// `MSETNX key value [key value ...]`
pub(crate) const MSETNX: Command = Command {
    spec: &Spec {
        name: "msetnx",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::range(1, -1, 2, flags!(KeyFlags: OW, INSERT))],
        group: Group::String,
        since: "1.0.1",
        summary: "Stores strings at several keys if none of the keys exists.",
        complexity: "O(N), N: keys",
        args: &[Arg::block("key_value", &[Arg::key("key", 0), Arg::string("value")]).multi()],
        ..Spec::DEFAULT
    },
    run: msetnx,
};

fn mget(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    ctx.reply.array(args.len() - 1);
    for key in args.from(1) {
        match ctx.data.get(key) {
            Some(ValueRef::Int(i)) => ctx.reply.bulk_int(i),
            Some(ValueRef::Str { bytes, .. }) => ctx.reply.bulk(bytes),
            Some(ValueRef::Heap(text)) => ctx.reply.bulk(text.as_slice()),
            Some(
                ValueRef::List(_)
                | ValueRef::Set(_)
                | ValueRef::Hash(_)
                | ValueRef::Zset(_)
                | ValueRef::Stream(_),
            )
            | None => {
                ctx.reply.null();
            }
        }
    }
    Ok(Outcome::Done)
}

fn mset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    check_pairs(args, "mset")?;
    store_pairs(ctx, args);
    ctx.done_ok()
}

fn msetnx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    check_pairs(args, "msetnx")?;
    if args.pairs(1).any(|(key, _)| ctx.data.exists(key)) {
        return ctx.done_int(0);
    }
    store_pairs(ctx, args);
    ctx.done_int(1)
}

fn check_pairs(args: Args<'_>, command: &'static str) -> Result<(), CmdError> {
    if args.len().is_multiple_of(2) {
        return Err(CmdError::Arity(command));
    }
    Ok(())
}

fn store_pairs(ctx: &mut Ctx<'_, '_>, args: Args<'_>) {
    for i in (1..args.len()).step_by(2) {
        store(ctx, args.get(i), args, i + 1, Expiry::Clear, Event::SET);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn several_keys() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET a old EX 100", "+OK"),
            ("ZADD z 1 m", ":1"),
            ("MSET a 1 b two c \"\"", "+OK"),
            ("TTL a", ":-1"),
            ("MGET a b c missing z", "*5 $1 1 $3 two $0  $-1 $-1"),
            ("MSET a 1 a 2", "+OK"),
            ("MSETNX a 3 y 1", ":0"),
            ("EXISTS y", ":0"),
            ("MSETNX x 1 y 2 y 3", ":1"),
            ("MGET a x y", "*3 $1 2 $1 1 $1 3"),
        ]);
        assert_eq!(
            f.log(),
            "SET a old PXAT 1100000; ZADD z 1 m; MSET a 1 b two c ; MSET a 1 a 2; MSETNX x 1 y 2 y 3"
        );
        assert_eq!(
            f.events(),
            "set a; expire a; zadd z; set a; set b; set c; set a; set a; set x; set y; set y"
        );
    }

    #[test]
    fn odd_numbers_of_arguments() {
        let mut f = Fixture::new();
        f.check(&[
            ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
            (
                "MSETNX a 1 b",
                "-ERR wrong number of arguments for 'msetnx' command",
            ),
            ("MGET", "-ERR wrong number of arguments for 'mget' command"),
        ]);
    }
}
