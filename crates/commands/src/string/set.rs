//! SET: <https://redis.io/commands/set>.

use holdfast_storage::data::Expiry;
use holdfast_storage::effects::Event;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::expiry::{self, ExpiryArg};

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
    let key = args.get(1);
    let mut expiry = ExpiryArg::None;
    let (mut nx, mut xx, mut get, mut keep) = (false, false, false, false);
    let mut rest = args.cursor(3);
    while rest.left() > 0 {
        if !xx && rest.accept("NX") {
            nx = true;
        } else if !nx && rest.accept("XX") {
            xx = true;
        } else if rest.accept("GET") {
            get = true;
        } else if expiry == ExpiryArg::None && rest.accept("KEEPTTL") {
            keep = true;
        } else if let (false, ExpiryArg::None, Some(e)) = (keep, expiry, ExpiryArg::take(&mut rest)?) {
            expiry = e;
        } else {
            return Err(CmdError::Syntax);
        }
    }
    let at = expiry.resolve(ctx.data.now_ms, "set")?;
    if get {
        match ctx.data.string(key)? {
            None => ctx.reply.null(),
            Some(old) => old.with(|b| ctx.reply.bulk(b)),
        }
    }
    if (nx || xx) && ctx.data.exists(key) == nx {
        if !get {
            ctx.reply.null();
        }
        return Ok(Outcome::Done);
    }
    let how = match at {
        Some(ms) => Expiry::At(ms),
        None if keep => Expiry::Keep,
        None => Expiry::Clear,
    };
    if args.is_shared(2) {
        ctx.data.set_shared(key, args.bytes(2), how, Event::SET);
    } else {
        ctx.data.set_string(key, args.get(2), how, Event::SET);
    }
    if let Some(ms) = at {
        expiry::was_set(ctx, key, ms);
        ctx.log.rewrite(&[
            b"SET",
            key,
            args.get(2),
            b"PXAT",
            itoa::Buffer::new().format(ms).as_bytes(),
        ]);
    }
    if !get {
        ctx.reply.ok();
    }
    Ok(Outcome::Done)
}
