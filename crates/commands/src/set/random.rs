//! SRANDMEMBER: <https://redis.io/commands/srandmember>.

use holdfast_storage::types::set::Set;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::draw::{self, Draw};
use crate::error::CmdError;
use crate::flags;
use crate::items;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `SRANDMEMBER key [count]`
pub(crate) const SRANDMEMBER: Command = Command {
    spec: &Spec {
        name: "srandmember",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns random members.",
        complexity: "O(N), N: members returned",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0), Arg::integer("count").opt().since("2.6.0")],
        ..Spec::DEFAULT
    },
    run: srandmember,
};

fn srandmember(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let draw = match args.len() {
        2 => return one(ctx, args.get(1)),
        3 => Draw::parse(args.get(2))?,
        _ => return Err(CmdError::Syntax),
    };
    let mut rng = draw::fork(ctx);
    let Some(set) = ctx.data.read::<Set>(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    match draw {
        Draw::Distinct(count) if count >= set.len() => {
            ctx.reply.array(set.len());
            set.iter().for_each(|member| items::bulk(ctx.reply, member));
        }
        Draw::Distinct(count) => {
            ctx.reply.array(count);
            for member in set.sample(count, &mut rng) {
                items::bulk(ctx.reply, member);
            }
        }
        Draw::Repeated(count) => {
            ctx.reply.array(count);
            draw::repeat(ctx.reply, (count, 1, ctx.limits.max_string), |reply| {
                if let Some(member) = set.random(&mut rng) {
                    items::bulk(reply, member);
                }
            })?;
        }
    }
    Ok(Outcome::Done)
}

fn one(ctx: &mut Ctx<'_, '_>, key: &[u8]) -> CmdResult {
    let mut rng = draw::fork(ctx);
    match ctx.data.read::<Set>(key)?.and_then(|set| set.random(&mut rng)) {
        Some(member) => items::bulk(ctx.reply, member),
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}
