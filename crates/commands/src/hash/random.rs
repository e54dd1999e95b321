//! HRANDFIELD: <https://redis.io/commands/hrandfield>.

use holdfast_resp::{Proto, Reply};
use holdfast_storage::types::hash::Hash;
use holdfast_storage::types::hash::Pair;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::draw::{self, Draw};
use crate::error::CmdError;
use crate::flags;
use crate::items;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(crate) const HRANDFIELD: Command = Command {
    spec: &Spec {
        name: "hrandfield",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "6.2.0",
        summary: "Returns random fields of a hash.",
        complexity: "O(N), N: fields returned",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key("key", 0),
            Arg::block(
                "options",
                &[Arg::integer("count"), Arg::word("withvalues", "WITHVALUES").opt()],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: hrandfield,
};

/// Largest count with WITHVALUES, for the reply has twice as many strings.
const MAX_PAIRS: usize = (i64::MAX / 2) as usize;

fn hrandfield(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    if args.len() == 2 {
        return one(ctx, args.get(1));
    }
    let draw = Draw::parse(args.get(2))?;
    let values = args.is(3, "WITHVALUES");
    if args.len() > 4 || (args.len() == 4 && !values) {
        return Err(CmdError::Syntax);
    }
    if values && draw.count() > MAX_PAIRS {
        return Err(CmdError::OutOfRange);
    }
    let mut rng = draw::fork(ctx);
    let Some(hash) = ctx.data.read::<Hash>(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    match draw {
        Draw::Distinct(count) if count >= hash.len() => {
            begin(ctx.reply, hash.len(), values);
            hash.iter().for_each(|pair| element(ctx.reply, pair, values));
        }
        Draw::Distinct(count) => {
            begin(ctx.reply, count, values);
            for pair in hash.sample(count, &mut rng) {
                element(ctx.reply, pair, values);
            }
        }
        Draw::Repeated(count) => {
            begin(ctx.reply, count, values);
            let strings = if values { 2 } else { 1 };
            draw::repeat(ctx.reply, (count, strings, ctx.limits.max_string), |reply| {
                if let Some(pair) = hash.random(&mut rng) {
                    element(reply, pair, values);
                }
            })?;
        }
    }
    Ok(Outcome::Done)
}

fn one(ctx: &mut Ctx<'_, '_>, key: &[u8]) -> CmdResult {
    let mut rng = draw::fork(ctx);
    match ctx.data.read::<Hash>(key)?.and_then(|hash| hash.random(&mut rng)) {
        Some((field, _)) => items::bulk(ctx.reply, field),
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

/// Begins an array of `len` fields, with their values if `values`: pairs in RESP3, one after the other in RESP2.
fn begin(reply: &mut Reply, len: usize, values: bool) {
    match (values, reply.proto()) {
        (true, Proto::Resp2) => reply.array(len.saturating_mul(2)),
        (true, Proto::Resp3) | (false, _) => reply.array(len),
    }
}

fn element(reply: &mut Reply, (field, value): Pair<'_>, values: bool) {
    if values && reply.proto() == Proto::Resp3 {
        reply.array(2);
    }
    items::bulk(reply, field);
    if values {
        items::bulk(reply, value);
    }
}
