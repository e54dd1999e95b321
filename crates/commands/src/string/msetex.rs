//! MSETEX: <https://redis.io/commands/msetex>. It came with Redis 8.4 and Valkey 9.1.

use holdfast_storage::data::Expiry;
use holdfast_storage::effects::Event;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Begin, Find, Group, KeySpec, Spec};
use crate::string::expiry::ExpiryArg;
use crate::string::set::store;

/// `MSETEX numkeys key value [key value ...] [NX|XX] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL]`
pub(crate) const MSETEX: Command = Command {
    spec: &Spec {
        name: "msetex",
        arity: -4,
        flags: flags!(Flags: WRITE, DENYOOM, MOVABLEKEYS),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec {
            notes: "",
            flags: flags!(KeyFlags: OW, UPDATE),
            begin: Begin::Index(1),
            find: Find::KeyNum {
                num: 0,
                first: 1,
                step: 2,
            },
        }],
        group: Group::String,
        since: "8.4.0",
        summary: "Stores strings at several keys until one time, perhaps on a condition.",
        complexity: "O(N), N: keys",
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        args: &[
            Arg::integer("numkeys"),
            Arg::block("data", &[Arg::key("key", 0), Arg::string("value")]).multi(),
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).opt(),
            Arg::one_of(
                "expiration",
                &[
                    Arg::integer("seconds").token("EX"),
                    Arg::integer("milliseconds").token("PX"),
                    Arg::unix_time("unix-time-seconds").token("EXAT"),
                    Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                    Arg::word("keepttl", "KEEPTTL"),
                ],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: msetex,
};

fn msetex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let count = args.int(1).ok().and_then(|count| usize::try_from(count).ok());
    let count = count
        .filter(|count| *count > 0)
        .ok_or(CmdError::msg("ERR invalid numkeys value"))?;
    if count > (args.len() - 2) / 2 {
        return Err(CmdError::msg("ERR wrong number of key-value pairs"));
    }
    let end = 2 + 2 * count;
    let (mut nx, mut xx, mut keep, mut expiry) = (false, false, false, ExpiryArg::default());
    let mut rest = args.cursor(end);
    while rest.left() > 0 {
        if !xx && rest.accept("NX") {
            nx = true;
        } else if !nx && rest.accept("XX") {
            xx = true;
        } else if expiry.is_none() && rest.accept("KEEPTTL") {
            keep = true;
        } else if keep || !expiry.take(&mut rest) {
            return Err(CmdError::Syntax);
        }
    }
    let at_ms = expiry.resolve(ctx.data.now_ms, "msetex")?;
    let keys = (2..end).step_by(2);
    if (nx || xx) && keys.clone().any(|i| ctx.data.exists(args.get(i)) == nx) {
        return ctx.done_int(0);
    }
    let how = match at_ms {
        Some(at_ms) => Expiry::At(at_ms),
        None if keep => Expiry::Keep,
        None => Expiry::Clear,
    };
    for i in keys {
        store(ctx, args.get(i), args, i + 1, how, Event::SET);
        if at_ms.is_some() {
            ctx.data.effects.event(ctx.data.db, Event::EXPIRE, args.get(i));
        }
    }
    let mut at = itoa::Buffer::new();
    let mut argv: Vec<&[u8]> = args.from(0).take(end).collect();
    match at_ms {
        Some(at_ms) => argv.extend([&b"PXAT"[..], at.format(at_ms).as_bytes()]),
        None if keep => argv.push(b"KEEPTTL"),
        None => {}
    }
    ctx.log.rewrite(&argv);
    ctx.done_int(1)
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn several_keys_until_one_time() {
        let mut f = Fixture::new();
        f.check(&[
            ("MSETEX 2 key1 Hello key2 World EX 10", ":1"),
            ("MGET key1 key2", "*2 $5 Hello $5 World"),
            ("TTL key2", ":10"),
            ("MSETEX 2 key1 New key3 Value NX EX 10", ":0"),
            ("GET key3", "$-1"),
            ("MSETEX 2 key1 updated key3 value XX EX 10", ":0"),
            ("MSETEX 1 key1 updated PX 5 xx", ":1"),
            ("PTTL key1", ":5"),
            ("MSETEX 1 key1 again KEEPTTL", ":1"),
            ("PTTL key1", ":5"),
            ("MSETEX 1 key1 1", ":1"),
            ("TTL key1", ":-1"),
            ("ZADD z 1 m", ":1"),
            ("MSETEX 2 z v z w", ":1"),
            ("GET z", "$1 w"),
        ]);
        assert_eq!(
            f.log(),
            "MSETEX 2 key1 Hello key2 World PXAT 1010000; MSETEX 1 key1 updated PXAT 1000005; \
             MSETEX 1 key1 again KEEPTTL; MSETEX 1 key1 1; ZADD z 1 m; MSETEX 2 z v z w"
        );
        assert_eq!(
            f.events(),
            "set key1; expire key1; set key2; expire key2; set key1; expire key1; set key1; set key1; zadd z; set z; set z"
        );
    }

    #[test]
    fn errors() {
        let syntax = "-ERR syntax error";
        Fixture::new().check(&[
            ("MSETEX 0 a 1", "-ERR invalid numkeys value"),
            ("MSETEX x a 1", "-ERR invalid numkeys value"),
            ("MSETEX 2 a 1", "-ERR wrong number of key-value pairs"),
            (
                "MSETEX 9223372036854775807 a 1",
                "-ERR wrong number of key-value pairs",
            ),
            ("MSETEX 1 a 1 b", syntax),
            ("MSETEX 1 a 1 NX XX", syntax),
            ("MSETEX 1 a 1 EX 1 KEEPTTL", syntax),
            ("MSETEX 1 a 1 EX 1 PX 1", syntax),
            (
                "MSETEX 1 a 1 EX 0",
                "-ERR invalid expire time in 'msetex' command",
            ),
            (
                "MSETEX 1 a 1 EX x",
                "-ERR value is not an integer or out of range",
            ),
            ("EXISTS a", ":0"),
        ]);
    }
}
