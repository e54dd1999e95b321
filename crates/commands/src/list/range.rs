//! LRANGE, LTRIM: <https://redis.io/commands/lrange>.

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::list::List;

use super::ends::write;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `LRANGE key start stop`
pub(crate) const LRANGE: Command = Command {
    spec: &Spec {
        name: "lrange",
        arity: 4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::List,
        since: "1.0.0",
        summary: "Returns a range of elements.",
        complexity: "O(S+N), S: distance of the start from the nearer end, N: elements returned",
        args: &[Arg::key("key", 0), Arg::integer("start"), Arg::integer("stop")],
        ..Spec::DEFAULT
    },
    run: lrange,
};

/// `LTRIM key start stop`
pub(crate) const LTRIM: Command = Command {
    spec: &Spec {
        name: "ltrim",
        arity: 4,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::List,
        since: "1.0.0",
        summary: "Keeps a range of a list and removes the rest.",
        complexity: "O(N), N: elements removed",
        args: &[Arg::key("key", 0), Arg::integer("start"), Arg::integer("stop")],
        ..Spec::DEFAULT
    },
    run: ltrim,
};

fn lrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    match ctx.data.read::<List>(args.get(1))? {
        None => ctx.reply.array(0),
        Some(list) => {
            let range = list.resolve_range(start, stop);
            ctx.reply.array(range.len());
            list.iter_range(range.start, range.len())
                .for_each(|item| write(ctx.reply, item));
        }
    }
    Ok(Outcome::Done)
}

fn ltrim(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let limits = &ctx.limits.list;
    let event = Event(Class::List, "ltrim");
    let Some(mut list) = ctx.data.edit::<List>(key)? else {
        return ctx.done_ok();
    };
    let before = list.len();
    list.trim(start, stop, limits);
    let removed = before - list.len();
    if removed > 0 {
        list.finish(event, removed as u64);
    } else {
        list.unchanged();
        ctx.data.effects.event(ctx.data.db, event, key);
    }
    ctx.done_ok()
}
