//! ZRANDMEMBER: <https://redis.io/commands/zrandmember>.

use holdfast_storage::types::zset::Zset;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::reply;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub(crate) const ZRANDMEMBER: Command = Command {
    spec: &Spec {
        name: "zrandmember",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Returns random members.",
        complexity: "O(N), N: members returned",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key("key", 0),
            Arg::block(
                "options",
                &[Arg::integer("count"), Arg::word("withscores", "WITHSCORES").opt()],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: zrandmember,
};

/// The most members that are drawn with repetition: a reply with more could not be held.
const MAX_DRAWS: u64 = 1 << 26;

fn zrandmember(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut rng = SmallRng::from_rng(&mut *ctx.data.rng);
    let key = args.get(1);
    let Some(count) = args.opt(2) else {
        match ctx.data.read::<Zset>(key)?.and_then(|set| set.random(&mut rng)) {
            Some((member, _)) => reply::member(ctx.reply, member),
            None => ctx.reply.null(),
        }
        return Ok(Outcome::Done);
    };
    let count = crate::args::int(count)?;
    if count == i64::MIN {
        return Err(CmdError::msg(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let scores = args.len() > 3;
    if args.len() > 4 || (scores && !args.is(3, "WITHSCORES")) {
        return Err(CmdError::Syntax);
    }
    if scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CmdError::OutOfRange);
    }
    if count < 0 && count.unsigned_abs() > MAX_DRAWS {
        return Err(CmdError::OutOfRange);
    }
    let Some(set) = ctx.data.read::<Zset>(key)? else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    if count < 0 {
        let draws = count.unsigned_abs() as usize;
        reply::begin(ctx.reply, draws, scores);
        for (member, score) in (0..draws).filter_map(|_| set.random(&mut rng)) {
            reply::element(ctx.reply, member, score, scores);
        }
    } else {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
        reply::begin(ctx.reply, count, scores);
        if count > 0 {
            set.random_distinct(count, &mut rng, |member, score| {
                reply::element(ctx.reply, member, score, scores);
            });
        }
    }
    Ok(Outcome::Done)
}
