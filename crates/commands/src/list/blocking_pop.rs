//! BLPOP, BRPOP: <https://redis.io/commands/blpop>.

use holdfast_storage::types::list::{End, List};

use super::ends::{pop_word, popped, write};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome, TimeoutReply, Wait};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::timeout;

/// `BLPOP key [key ...] timeout`
pub(crate) const BLPOP: Command = Command {
    spec: &Spec {
        name: "blpop",
        arity: -3,
        flags: flags!(Flags: WRITE, BLOCKING),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::range(1, -2, 1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::List,
        since: "2.0.0",
        summary: "Pops the first element of the first list that has one, waiting if need be.",
        complexity: "O(N), N: keys",
        args: &[Arg::key("key", 0).multi(), Arg::double("timeout")],
        ..Spec::DEFAULT
    },
    run: blpop,
};

/// `BRPOP key [key ...] timeout`
pub(crate) const BRPOP: Command = Command {
    spec: &Spec {
        name: "brpop",
        arity: -3,
        flags: flags!(Flags: WRITE, BLOCKING),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::range(1, -2, 1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::List,
        since: "2.0.0",
        summary: "Pops the last element of the first list that has one, waiting if need be.",
        complexity: "O(N), N: keys",
        args: &[Arg::key("key", 0).multi(), Arg::double("timeout")],
        ..Spec::DEFAULT
    },
    run: brpop,
};

fn blpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    blocking_pop(ctx, args, End::Front)
}

fn brpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    blocking_pop(ctx, args, End::Back)
}

fn blocking_pop(ctx: &mut Ctx<'_, '_>, args: Args<'_>, end: End) -> CmdResult {
    let keys = 1..args.len() - 1;
    let timeout_ms = timeout::parse(args.get(keys.end), ctx.data.now_ms)?;
    let limits = &ctx.limits.list;
    for i in keys.clone() {
        let key = args.get(i);
        let Some(mut list) = ctx.data.edit::<List>(key)? else {
            continue;
        };
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        list.pop(end, limits, |item| write(ctx.reply, item));
        list.finish(popped(end), 1);
        ctx.log.rewrite(&[pop_word(end), key]);
        return Ok(Outcome::Done);
    }
    if ctx.may_block {
        return Ok(Outcome::Block(Wait {
            keys,
            timeout_ms,
            on_timeout: TimeoutReply::NullArray,
            resolved: Vec::new(),
        }));
    }
    ctx.reply.null_array();
    Ok(Outcome::Done)
}
