//! INCREX: <https://redis.io/commands/increx>. It came with Redis 8.8.

use std::cmp::Ordering;

use holdfast_resp::{Proto, Reply};
use holdfast_storage::data::Expiry;
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::longdouble::LongDouble;
use holdfast_storage::numeric;
use holdfast_storage::value::Value;

use crate::args::{self, Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::expiry::ExpiryArg;

/// `INCREX key [BYFLOAT n|BYINT n] [LBOUND n] [UBOUND n] [SATURATE] [EX s|PX ms|EXAT s|PXAT ms|PERSIST] [ENX]`
pub(crate) const INCREX: Command = Command {
    spec: &Spec {
        name: "increx",
        arity: -2,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::String,
        since: "8.8.0",
        summary: "Adds to the number at a key within bounds and sets its expiry.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::one_of(
                "increment",
                &[
                    Arg::double("float").token("BYFLOAT"),
                    Arg::integer("integer").token("BYINT"),
                ],
            )
            .opt(),
            Arg::string("lowerbound").token("LBOUND").opt(),
            Arg::string("upperbound").token("UBOUND").opt(),
            Arg::word("saturate", "SATURATE").opt(),
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
            Arg::word("enx", "ENX").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: increx,
};

/// The words behind the key.
#[derive(Debug, Default)]
struct Options<'a> {
    by_int: Option<&'a [u8]>,
    by_float: Option<&'a [u8]>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    expiry: ExpiryArg<'a>,
    persist: bool,
    enx: bool,
}

impl<'a> Options<'a> {
    fn parse(mut rest: Cursor<'a>) -> Result<Self, CmdError> {
        let mut o = Self::default();
        while rest.left() > 0 {
            let more = rest.left() > 1;
            if more && o.by_float.is_none() && o.by_int.is_none() && rest.accept("BYINT") {
                o.by_int = rest.next();
            } else if more && o.by_int.is_none() && o.by_float.is_none() && rest.accept("BYFLOAT") {
                o.by_float = rest.next();
            } else if more && o.lower.is_none() && rest.accept("LBOUND") {
                o.lower = rest.next();
            } else if more && o.upper.is_none() && rest.accept("UBOUND") {
                o.upper = rest.next();
            } else if rest.accept("SATURATE") {
                o.saturate = true;
            } else if rest.accept("ENX") {
                o.enx = true;
            } else if o.expiry.is_none() && rest.accept("PERSIST") {
                o.persist = true;
            } else if o.persist || !o.expiry.take(&mut rest) {
                return Err(CmdError::Syntax);
            }
        }
        if o.enx && o.expiry.is_none() {
            return Err(CmdError::Syntax);
        }
        Ok(o)
    }
}

/// What an increment comes to.
enum Step<N> {
    /// Beyond the bounds: the number stays as it is.
    Refused(N),
    /// The new number, and by how much it differs from the old one.
    To(N, N),
}

fn increx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    let options = Options::parse(args.cursor(2))?;
    match options.by_float {
        None => {
            let (step, text) = match integers(ctx, key, &options)? {
                Step::Refused(number) => ((number, 0), None),
                Step::To(number, delta) => ((number, delta), Some(Value::Int(number))),
            };
            if let Some(value) = text {
                let text = step.0.to_string();
                write(ctx, key, value, text.as_bytes(), &options, "incrby")?;
            }
            ctx.reply.array(2);
            ctx.reply.int(step.0);
            ctx.reply.int(step.1);
        }
        Some(by) => {
            let zero = LongDouble::from(0.0);
            let (number, delta) = match floats(ctx, key, by, &options)? {
                Step::Refused(number) => (number, zero),
                Step::To(number, delta) => {
                    let text = number.to_text();
                    let value = Value::Str(text.clone().into());
                    write(ctx, key, value, &text, &options, "incrbyfloat")?;
                    (number, delta)
                }
            };
            ctx.reply.array(2);
            float(ctx.reply, number);
            float(ctx.reply, delta);
        }
    }
    Ok(Outcome::Done)
}

fn float(reply: &mut Reply, number: LongDouble) {
    let text = number.to_text();
    match reply.proto() {
        Proto::Resp2 => reply.bulk(&text),
        Proto::Resp3 => {
            reply.raw(b",");
            reply.raw(&text);
            reply.raw(b"\r\n");
        }
    }
}

fn bounds_error() -> CmdError {
    CmdError::msg("ERR LBOUND can't be greater than UBOUND")
}

fn integers(ctx: &mut Ctx<'_, '_>, key: &[u8], options: &Options<'_>) -> Result<Step<i64>, CmdError> {
    let by = options.by_int.map_or(Ok(1), args::int)?;
    let lower = options.lower.map_or(Ok(i64::MIN), args::int)?;
    let upper = options.upper.map_or(Ok(i64::MAX), args::int)?;
    if lower > upper {
        return Err(bounds_error());
    }
    let old = match ctx.data.string_for_write(key)? {
        None => 0,
        Some(text) => text.with(numeric::parse_i64).ok_or(CmdError::NotInteger)?,
    };
    let sum = i128::from(old) + i128::from(by);
    let within = sum.clamp(lower.into(), upper.into());
    if within != sum && !options.saturate {
        return Ok(Step::Refused(old));
    }
    let delta = i64::try_from(within - i128::from(old)).map_err(|_| CmdError::Overflow)?;
    // The bounds are 64-bit integers, and so is what lies between them.
    let new = i64::try_from(within).map_err(|_| CmdError::Overflow)?;
    Ok(Step::To(new, delta))
}

fn floats(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    by: &[u8],
    options: &Options<'_>,
) -> Result<Step<LongDouble>, CmdError> {
    let number = |text: &[u8]| {
        LongDouble::parse(text)
            .filter(|number| number.is_finite())
            .ok_or(CmdError::NotFloat)
    };
    let by = number(by)?;
    let lower = options.lower.map(number).transpose()?;
    let upper = options.upper.map(number).transpose()?;
    if let (Some(lower), Some(upper)) = (lower, upper)
        && lower.order(upper) == Ordering::Greater
    {
        return Err(bounds_error());
    }
    let old = match ctx.data.string_for_write(key)? {
        None => LongDouble::from(0.0),
        Some(text) => text.with(number)?,
    };
    let sum = old.checked_add(by).ok_or(CmdError::NanOrInfinity)?;
    let below = lower.filter(|lower| sum.order(*lower) == Ordering::Less);
    let above = upper.filter(|upper| sum.order(*upper) == Ordering::Greater);
    match below.or(above) {
        None => Ok(Step::To(sum, by)),
        Some(_) if !options.saturate => Ok(Step::Refused(old)),
        Some(bound) => {
            let delta = bound.checked_add(old.negated()).ok_or(CmdError::NanOrInfinity)?;
            Ok(Step::To(bound, delta))
        }
    }
}

/// Stores the new number with the expiry asked for; the log gets the result, not the request.
fn write(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    value: Value,
    text: &[u8],
    options: &Options<'_>,
    event: &'static str,
) -> Result<(), CmdError> {
    let current = ctx.data.expire_at_ms(key).flatten();
    let at_ms = options.expiry.resolve(ctx.data.now_ms, "increx")?;
    let at_ms = at_ms.filter(|_| !options.enx || current.is_none());
    let (how, also) = match at_ms {
        Some(at_ms) => (Expiry::At(at_ms), Some(Event::EXPIRE)),
        None if options.persist => (Expiry::Clear, current.map(|_| Event::PERSIST)),
        None => (Expiry::Keep, None),
    };
    ctx.data.set(key, value, how, Event(Class::String, event));
    if let Some(also) = also {
        ctx.data.effects.event(ctx.data.db, also, key);
    }
    match how {
        Expiry::At(at_ms) => {
            let mut at = itoa::Buffer::new();
            ctx.log
                .rewrite(&[b"SET", key, text, b"PXAT", at.format(at_ms).as_bytes()]);
        }
        Expiry::Keep => ctx.log.rewrite(&[b"SET", key, text, b"KEEPTTL"]),
        Expiry::Clear => ctx.log.rewrite(&[b"SET", key, text]),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn the_examples_of_the_documentation() {
        let mut f = Fixture::new();
        f.check(&[
            ("INCREX mykey", "*2 :1 :1"),
            ("INCREX mykey", "*2 :2 :1"),
            ("SET mykey 100", "+OK"),
            ("INCREX mykey BYINT 5", "*2 :105 :5"),
            ("INCREX mykey BYINT -10", "*2 :95 :-10"),
            ("SET mykey 1.5", "+OK"),
            ("INCREX mykey BYFLOAT 0.25", "*2 $4 1.75 $4 0.25"),
            ("DEL mykey", ":1"),
            ("INCREX mykey BYINT 1 EX 100", "*2 :1 :1"),
            ("TTL mykey", ":100"),
            ("SET mykey 10 EX 500", "+OK"),
            ("INCREX mykey BYINT 1 EX 10 ENX", "*2 :11 :1"),
            ("TTL mykey", ":500"),
            ("INCREX mykey PERSIST", "*2 :12 :1"),
            ("TTL mykey", ":-1"),
            ("INCREX mykey EX 10 ENX", "*2 :13 :1"),
            ("TTL mykey", ":10"),
            ("SET mykey 99", "+OK"),
            ("INCREX mykey BYINT 5 UBOUND 100", "*2 :99 :0"),
            ("INCREX mykey BYINT 5 UBOUND 100 SATURATE", "*2 :100 :1"),
            ("INCREX mykey BYINT -500 LBOUND -1 SATURATE", "*2 :-1 :-101"),
            ("INCREX missing UBOUND 0 EX 100", "*2 :0 :0"),
            ("EXISTS missing", ":0"),
        ]);
    }

    #[test]
    fn floats_within_bounds() {
        let mut f = Fixture::new();
        f.check(&[
            ("INCREX f BYFLOAT 0.1", "*2 $3 0.1 $3 0.1"),
            ("INCREX f BYFLOAT 0.2", "*2 $3 0.3 $3 0.2"),
            ("INCREX f BYFLOAT 1 UBOUND 1.25", "*2 $3 0.3 $1 0"),
            ("INCREX f BYFLOAT 1 UBOUND 1.25 SATURATE", "*2 $4 1.25 $4 0.95"),
            ("INCREX f BYFLOAT -9e3 LBOUND -2 SATURATE", "*2 $2 -2 $5 -3.25"),
            ("INCREX f", "*2 :-1 :1"),
            ("SET f 1.5", "+OK"),
            ("INCREX f", "-ERR value is not an integer or out of range"),
        ]);
        f.proto = holdfast_resp::Proto::Resp3;
        f.check(&[("INCREX f BYFLOAT 1", "*2 ,2.5 ,1")]);
    }

    #[test]
    fn effects() {
        Fixture::new().check_effects(&[
            ("INCREX n BYINT 7", "SET n 7 KEEPTTL", "incrby n", 1),
            ("INCREX n UBOUND 7", "", "", 0),
            ("INCREX n EX 10", "SET n 8 PXAT 1010000", "incrby n; expire n", 1),
            ("INCREX n EX 20 ENX", "SET n 9 KEEPTTL", "incrby n", 1),
            ("INCREX n PERSIST", "SET n 10", "incrby n; persist n", 1),
            ("INCREX n PERSIST", "SET n 11", "incrby n", 1),
            ("INCREX n BYFLOAT 0.5", "SET n 11.5 KEEPTTL", "incrbyfloat n", 1),
        ]);
    }

    #[test]
    fn edges_and_errors() {
        let mut f = Fixture::new();
        let syntax = "-ERR syntax error";
        let not_int = "-ERR value is not an integer or out of range";
        f.check(&[
            ("SET max 9223372036854775807", "+OK"),
            ("INCREX max", "*2 :9223372036854775807 :0"),
            ("INCREX max SATURATE", "*2 :9223372036854775807 :0"),
            (
                "INCREX max LBOUND -9223372036854775808 UBOUND -9223372036854775808 SATURATE",
                "-ERR increment or decrement would overflow",
            ),
            ("INCREX max BYINT x", not_int),
            ("INCREX max LBOUND 1.5", not_int),
            ("INCREX max BYFLOAT x", "-ERR value is not a valid float"),
            ("INCREX max BYFLOAT inf", "-ERR value is not a valid float"),
            ("INCREX max BYFLOAT 1 LBOUND x", "-ERR value is not a valid float"),
            (
                "INCREX max LBOUND 2 UBOUND 1",
                "-ERR LBOUND can't be greater than UBOUND",
            ),
            (
                "INCREX max BYFLOAT 1 LBOUND 2 UBOUND 1",
                "-ERR LBOUND can't be greater than UBOUND",
            ),
            ("INCREX max BYINT 1 BYFLOAT 1", syntax),
            ("INCREX max BYINT", syntax),
            ("INCREX max ENX", syntax),
            ("INCREX max ENX PERSIST", syntax),
            ("INCREX max EX 1 PERSIST", syntax),
            ("INCREX max EX 1 PX 1", syntax),
            ("INCREX n EX 0", "-ERR invalid expire time in 'increx' command"),
            ("EXISTS n", ":0"),
            ("ZADD z 1 m", ":1"),
            (
                "INCREX z",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }
}
