//! GETSET, GETDEL and GETEX: <https://redis.io/commands/getex>.

use holdfast_storage::data::{Expiry, OnExpired};
use holdfast_storage::effects::Event;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Deprecated, Group, KeySpec, Spec};
use crate::string::expiry::ExpiryArg;
use crate::string::get::reply_string;
use crate::string::set::store;

/// `GETSET key value`
pub(crate) const GETSET: Command = Command {
    spec: &Spec {
        name: "getset",
        arity: 3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::String,
        since: "1.0.0",
        summary: "Stores a string and returns the one that was there.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::string("value")],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "SET with GET",
        }),
        ..Spec::DEFAULT
    },
    run: getset,
};

/// `GETDEL key`
pub(crate) const GETDEL: Command = Command {
    spec: &Spec {
        name: "getdel",
        arity: 2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::String,
        since: "6.2.0",
        summary: "Returns the string stored at a key and deletes the key.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: getdel,
};

/// `GETEX key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]`
pub(crate) const GETEX: Command = Command {
    spec: &Spec {
        name: "getex",
        arity: -2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec {
            notes: "UPDATE: it may change the expiry",
            ..KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))
        }],
        group: Group::String,
        since: "6.2.0",
        summary: "Returns the string stored at a key and changes its expiry.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::one_of(
                "expiration",
                &[
                    Arg::integer("seconds").token("EX"),
                    Arg::integer("milliseconds").token("PX"),
                    Arg::unix_time("unix-time-seconds").token("EXAT"),
                    Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                    Arg::word("persist", "PERSIST"),
                ],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: getex,
};

fn getset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    reply_string(ctx, key)?;
    store(ctx, key, args, 2, Expiry::Clear, Event::SET);
    ctx.log.rewrite(&[b"SET", key, args.get(2)]);
    Ok(Outcome::Done)
}

fn getdel(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    if reply_string(ctx, key)? {
        ctx.data.delete(key);
        ctx.log.rewrite(&[b"DEL", key]);
    }
    Ok(Outcome::Done)
}

fn getex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    let (mut expiry, mut persist) = (ExpiryArg::default(), false);
    let mut rest = args.cursor(2);
    while rest.left() > 0 {
        if expiry.is_none() && rest.accept("PERSIST") {
            persist = true;
        } else if persist || !expiry.take(&mut rest) {
            return Err(CmdError::Syntax);
        }
    }
    if !reply_string(ctx, key)? {
        return Ok(Outcome::Done);
    }
    let now_ms = ctx.data.now_ms;
    match expiry.resolve(now_ms, "getex")? {
        // Only a time of the clock can be over.
        Some(at) if at <= now_ms && ctx.data.on_expired == OnExpired::Remove => {
            ctx.data.delete(key);
            ctx.log.rewrite(&[b"DEL", key]);
        }
        Some(at) => set_expiry(ctx, key, at),
        None if persist => remove_expiry(ctx, key),
        None => {}
    }
    Ok(Outcome::Done)
}

fn set_expiry(ctx: &mut Ctx<'_, '_>, key: &[u8], at_ms: i64) {
    ctx.data.set_expire_at_ms(key, Some(at_ms));
    ctx.data.changed(ctx.data.db, key, Event::EXPIRE);
    ctx.log
        .rewrite(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at_ms).as_bytes()]);
}

fn remove_expiry(ctx: &mut Ctx<'_, '_>, key: &[u8]) {
    if ctx.data.expire_at_ms(key).flatten().is_some() {
        ctx.data.set_expire_at_ms(key, None);
        ctx.data.changed(ctx.data.db, key, Event::PERSIST);
        ctx.log.rewrite(&[b"PERSIST", key]);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn getset_and_getdel() {
        let mut f = Fixture::new();
        f.check(&[
            ("GETSET k 1", "$-1"),
            ("EXPIRE k 100", ":1"),
            ("GETSET k 2", "$1 1"),
            ("TTL k", ":-1"),
            ("GETDEL k", "$1 2"),
            ("GETDEL k", "$-1"),
        ]);
        assert_eq!(f.log(), "SET k 1; PEXPIREAT k 1100000; SET k 2; DEL k");
        assert_eq!(f.events(), "set k; expire k; set k; del k");
        f.check(&[
            ("ZADD z 1 m", ":1"),
            ("GETSET z 1", WRONG_TYPE),
            ("GETDEL z", WRONG_TYPE),
            ("EXISTS z", ":1"),
        ]);
    }

    #[test]
    fn getex() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET k v", "+OK"),
            ("GETEX k", "$1 v"),
            ("GETEX k PERSIST", "$1 v"),
            ("GETEX k EX 100", "$1 v"),
            ("PTTL k", ":100000"),
            ("GETEX k PX 1 px 5", "$1 v"),
            ("PTTL k", ":5"),
            ("GETEX k PERSIST persist", "$1 v"),
            ("TTL k", ":-1"),
            ("GETEX k EXAT 2000", "$1 v"),
            ("GETEX k PXAT 1", "$1 v"),
            ("EXISTS k", ":0"),
        ]);
        assert_eq!(
            f.log(),
            "SET k v; PEXPIREAT k 1100000; PEXPIREAT k 1000005; PERSIST k; PEXPIREAT k 2000000; DEL k"
        );
        assert_eq!(
            f.events(),
            "set k; expire k; expire k; persist k; expire k; del k"
        );
    }

    #[test]
    fn getex_errors() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET k v", "+OK"),
            ("ZADD z 1 m", ":1"),
            ("GETEX k EX 0", "-ERR invalid expire time in 'getex' command"),
            ("GETEX k EX abc", "-ERR value is not an integer or out of range"),
            ("GETEX k EX abc FOO", "-ERR syntax error"),
            ("GETEX k EX", "-ERR syntax error"),
            ("GETEX k EX 10 PX 10", "-ERR syntax error"),
            ("GETEX k EX 10 PERSIST", "-ERR syntax error"),
            ("GETEX k PERSIST EX 10", "-ERR syntax error"),
            ("GETEX k KEEPTTL", "-ERR syntax error"),
            ("GETEX k NX", "-ERR syntax error"),
            ("GETEX missing EX abc", "$-1"),
            ("GETEX z EX abc", WRONG_TYPE),
            ("GETEX z FOO", "-ERR syntax error"),
            ("TTL k", ":-1"),
        ]);
    }
}
