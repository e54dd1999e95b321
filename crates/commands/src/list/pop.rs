//! LPOP, RPOP: <https://redis.io/commands/lpop>.

use holdfast_storage::types::list::{End, List};

use super::ends::{popped, write};
use crate::args::{self, Args};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `LPOP key [count]`
pub(crate) const LPOP: Command = Command {
    spec: &Spec {
        name: "lpop",
        arity: -2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::List,
        since: "1.0.0",
        summary: "Pops elements from the front of a list.",
        complexity: "O(N), N: elements popped",
        args: &[Arg::key("key", 0), Arg::integer("count").opt().since("6.2.0")],
        ..Spec::DEFAULT
    },
    run: lpop,
};

/// `RPOP key [count]`
pub(crate) const RPOP: Command = Command {
    spec: &Spec {
        name: "rpop",
        arity: -2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::List,
        since: "1.0.0",
        summary: "Pops elements from the end of a list.",
        complexity: "O(N), N: elements popped",
        args: &[Arg::key("key", 0), Arg::integer("count").opt().since("6.2.0")],
        ..Spec::DEFAULT
    },
    run: rpop,
};

fn lpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    pop(ctx, args, End::Front, "lpop")
}

fn rpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    pop(ctx, args, End::Back, "rpop")
}

fn pop(ctx: &mut Ctx<'_, '_>, args: Args<'_>, end: End, command: &'static str) -> CmdResult {
    if args.len() > 3 {
        return Err(CmdError::Arity(command));
    }
    match args.opt(2) {
        None => pop_one(ctx, args.get(1), end),
        Some(count) => {
            let count = args::int(count).ok().and_then(|n| usize::try_from(n).ok());
            pop_several(ctx, args.get(1), end, count.ok_or(CmdError::NotPositive)?)
        }
    }
}

fn pop_one(ctx: &mut Ctx<'_, '_>, key: &[u8], end: End) -> CmdResult {
    let limits = &ctx.limits.list;
    match ctx.data.edit::<List>(key)? {
        None => ctx.reply.null(),
        Some(mut list) => {
            list.pop(end, limits, |item| write(ctx.reply, item));
            list.finish(popped(end), 1);
        }
    }
    Ok(Outcome::Done)
}

fn pop_several(ctx: &mut Ctx<'_, '_>, key: &[u8], end: End, count: usize) -> CmdResult {
    let limits = &ctx.limits.list;
    match ctx.data.edit::<List>(key)? {
        None => ctx.reply.null_array(),
        Some(list) if count == 0 => {
            ctx.reply.array(0);
            list.unchanged();
        }
        Some(mut list) => {
            let count = count.min(list.len());
            ctx.reply.array(count);
            list.pop_many(end, count, limits, |item| write(ctx.reply, item));
            list.finish(popped(end), count as u64);
        }
    }
    Ok(Outcome::Done)
}
