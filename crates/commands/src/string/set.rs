//! SET: <https://redis.io/commands/set>.

use holdfast_storage::data::Expiry;
use holdfast_storage::effects::Event;
use smallvec::SmallVec;

use crate::args::{Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::condition::Condition;
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
            Arg::one_of(
                "condition",
                &[
                    Arg::word("nx", "NX"),
                    Arg::word("xx", "XX"),
                    Arg::string("ifeq-value").token("IFEQ").since("8.4.0"),
                    Arg::string("ifne-value").token("IFNE").since("8.4.0"),
                    Arg::integer("ifdeq-digest").token("IFDEQ").since("8.4.0"),
                    Arg::integer("ifdne-digest").token("IFDNE").since("8.4.0"),
                ],
            )
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
    /// IFEQ and its kin: instead of NX and XX.
    condition: Option<Condition<'a>>,
}

impl<'a> Options<'a> {
    fn parse(mut rest: Cursor<'a>) -> Result<Self, CmdError> {
        let mut o = Self::default();
        while rest.left() > 0 {
            if !o.xx && o.condition.is_none() && rest.accept("NX") {
                o.nx = true;
            } else if !o.nx && o.condition.is_none() && rest.accept("XX") {
                o.xx = true;
            } else if !o.nx
                && !o.xx
                && o.condition.is_none()
                && let Some(condition) = Condition::take(&mut rest)?
            {
                o.condition = Some(condition);
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
    let met = match options.condition {
        Some(condition) => condition.holds(ctx.data.string_for_write(key)?),
        None => !(options.nx || options.xx) || ctx.data.exists(key) != options.nx,
    };
    if !met {
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
            if options.condition.is_some() {
                // The condition was about this moment, and it was met.
                let argv: [&[u8]; 4] = [b"SET", key, args.get(2), b"KEEPTTL"];
                ctx.log.rewrite(if options.keep { &argv } else { &argv[..3] });
            } else if options.get {
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

    /// Redis 8.4; IFEQ also Valkey 8.1.
    #[test]
    fn conditions_on_the_value() {
        let mut f = Fixture::new();
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        f.check(&[
            ("SET k v IFEQ v", "$-1"),
            ("SET k v IFDEQ 0000000000000000", "$-1"),
            ("EXISTS k", ":0"),
            ("SET k v IFNE v", "+OK"),
            ("DEL k", ":1"),
            ("SET k \"Hello world\" IFDNE 0000000000000000", "+OK"),
            ("SET k v IFEQ x", "$-1"),
            ("SET k v IFNE \"Hello world\"", "$-1"),
            ("SET k v IFDNE b6acb9d84a38ff74", "$-1"),
            ("SET k v ifdeq b6acb9d84a38ff74 EX 10", "+OK"),
            ("SET k GET IFEQ v KEEPTTL", "+OK"),
            ("SET k w IFEQ x GET", "$3 GET"),
            ("SET k w GET IFEQ GET", "$3 GET"),
            ("TTL k", ":-1"),
            ("ZADD z 1 m", ":1"),
            ("SET z v IFEQ v", wrong),
            ("SET z v IFNE v", wrong),
            ("SET k v IFEQ w NX", "-ERR syntax error"),
            ("SET k v XX IFEQ w", "-ERR syntax error"),
            ("SET k v IFEQ w IFNE x", "-ERR syntax error"),
            ("SET k v IFEQ", "-ERR syntax error"),
            (
                "SET k v IFDEQ x",
                "-ERR must be exactly 16 hexadecimal characters",
            ),
        ]);
        assert_eq!(
            f.log(),
            "SET k v; DEL k; SET k Hello world; SET k v PXAT 1010000; SET k GET KEEPTTL; SET k w; ZADD z 1 m"
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
