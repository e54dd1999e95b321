//! SET: <https://redis.io/commands/set>.

use holdfast_storage::data::Expiry;
use holdfast_storage::effects::Event;
use smallvec::SmallVec;

use crate::args::{Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::expiry::ExpiryArg;
use crate::string::get::reply_string;

pub(crate) const SET: Command = Command {
    spec: &Spec {
        name: "set",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec {
            notes: "ACCESS only with GET",
            ..KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE, VARIABLE_FLAGS))
        }],
        group: Group::String,
        since: "1.0.0",
        summary: "Stores a string at a key, with options for conditions and expiry.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::string("value"),
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")])
                .opt()
                .since("2.6.12"),
            Arg::word("get", "GET").opt().since("6.2.0"),
            Arg::one_of(
                "expiration",
                &[
                    Arg::integer("seconds").token("EX").since("2.6.12"),
                    Arg::integer("milliseconds").token("PX").since("2.6.12"),
                    Arg::unix_time("unix-time-seconds").token("EXAT").since("6.2.0"),
                    Arg::unix_time("unix-time-milliseconds")
                        .token("PXAT")
                        .since("6.2.0"),
                    Arg::word("keepttl", "KEEPTTL").since("6.0.0"),
                ],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: set,
};

fn set(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    if args.len() > 3 {
        return set_with_options(ctx, args);
    }
    store(ctx, args.get(1), args, 2, Expiry::Clear, Event::SET);
    ctx.done_ok()
}

/// Stores argument `i` as a string: by reference if it is long and came in memory of its own.
#[inline]
pub(crate) fn store(ctx: &mut Ctx<'_, '_>, key: &[u8], args: Args<'_>, i: usize, how: Expiry, event: Event) {
    if args.is_shared(i) {
        ctx.data.set_shared(key, args.bytes(i), how, event);
    } else {
        ctx.data.set_string(key, args.get(i), how, event);
    }
}

/// Stores argument `i` as a string until a Unix time in milliseconds, which the log gets instead of a time from now.
pub(crate) fn store_until(ctx: &mut Ctx<'_, '_>, key: &[u8], args: Args<'_>, i: usize, at_ms: i64) {
    store(ctx, key, args, i, Expiry::At(at_ms), Event::SET);
    ctx.data.effects.event(ctx.data.db, Event::EXPIRE, key);
    let mut buffer = itoa::Buffer::new();
    let at = buffer.format(at_ms).as_bytes();
    ctx.log.rewrite(&[b"SET", key, args.get(i), b"PXAT", at]);
}

/// The words behind the value.
#[derive(Debug, Default)]
struct Options<'a> {
    nx: bool,
    xx: bool,
    get: bool,
    keep: bool,
    expiry: ExpiryArg<'a>,
}

impl<'a> Options<'a> {
    fn parse(mut rest: Cursor<'a>) -> Result<Self, CmdError> {
        let mut o = Self::default();
        while rest.left() > 0 {
            if !o.xx && rest.accept("NX") {
                o.nx = true;
            } else if !o.nx && rest.accept("XX") {
                o.xx = true;
            } else if rest.accept("GET") {
                o.get = true;
            } else if o.expiry.is_none() && rest.accept("KEEPTTL") {
                o.keep = true;
            } else if o.keep || !o.expiry.take(&mut rest) {
                return Err(CmdError::Syntax);
            }
        }
        Ok(o)
    }
}

fn set_with_options(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    let options = Options::parse(args.cursor(3))?;
    let at = options.expiry.resolve(ctx.data.now_ms, "set")?;
    if options.get {
        reply_string(ctx, key)?;
    }
    if (options.nx || options.xx) && ctx.data.exists(key) == options.nx {
        if !options.get {
            ctx.reply.null();
        }
        return Ok(Outcome::Done);
    }
    match at {
        Some(at_ms) => store_until(ctx, key, args, 2, at_ms),
        None => {
            let how = if options.keep { Expiry::Keep } else { Expiry::Clear };
            store(ctx, key, args, 2, how, Event::SET);
            if options.get {
                let kept = |word: &&[u8]| !word.eq_ignore_ascii_case(b"GET");
                let mut argv: SmallVec<[&[u8]; 8]> = SmallVec::from_slice(&[args.get(0), key, args.get(2)]);
                argv.extend(args.from(3).filter(kept));
                ctx.log.rewrite(&argv);
            }
        }
    }
    if !options.get {
        ctx.reply.ok();
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn options() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET k v", "+OK"),
            ("SET k w nx", "$-1"),
            ("SET k w XX", "+OK"),
            ("SET new w XX", "$-1"),
            ("SET k x GET", "$1 w"),
            ("SET k y NX GET", "$1 x"),
            ("SET none x GET", "$-1"),
            ("SET k v EX 10 EX 100 XX", "+OK"),
            ("TTL k", ":100"),
            ("SET k v KEEPTTL GET keepttl", "$1 v"),
            ("TTL k", ":100"),
            ("SET k v PXAT 1002000", "+OK"),
            ("PTTL k", ":2000"),
        ]);
        assert_eq!(
            f.log(),
            "SET k v; SET k w XX; SET k x; SET none x; SET k v PXAT 1100000; SET k v KEEPTTL keepttl; \
             SET k v PXAT 1002000"
        );
        assert_eq!(
            f.events(),
            "set k; set k; set k; set none; set k; expire k; set k; set k; expire k"
        );
    }

    #[test]
    fn which_error_wins() {
        let mut f = Fixture::new();
        let (syntax, not_int) = (
            "-ERR syntax error",
            "-ERR value is not an integer or out of range",
        );
        let invalid = "-ERR invalid expire time in 'set' command";
        f.check(&[
            ("ZADD z 1 m", ":1"),
            ("SET k v EX abc FOO", syntax),
            ("SET k v EX", syntax),
            ("SET k v NX XX", syntax),
            ("SET k v EX 10 PX 10", syntax),
            ("SET k v KEEPTTL EX 10", syntax),
            ("SET k v EX 10 KEEPTTL", syntax),
            ("SET k v PERSIST", syntax),
            ("SET z v EX abc GET", not_int),
            ("SET z v EX 0 GET", invalid),
            ("SET k v EX 9223372036854775807", invalid),
            ("SET k v EX 9223372036854775", invalid),
            ("SET k v PX 9223372036854775807", invalid),
            (
                "SET z v GET",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            ("EXISTS k", ":0"),
        ]);
    }
}
