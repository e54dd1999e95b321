//! LINSERT, LREM: <https://redis.io/commands/linsert>.

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::list::{List, Side};

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `LINSERT key <BEFORE|AFTER> pivot element`
pub(crate) const LINSERT: Command = Command {
    spec: &Spec {
        name: "linsert",
        arity: 5,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, INSERT))],
        group: Group::List,
        since: "2.2.0",
        summary: "Inserts an element before or after another.",
        complexity: "O(N), N: elements before the pivot",
        args: &[
            Arg::key("key", 0),
            Arg::one_of(
                "where",
                &[Arg::word("before", "BEFORE"), Arg::word("after", "AFTER")],
            ),
            Arg::string("pivot"),
            Arg::string("element"),
        ],
        ..Spec::DEFAULT
    },
    run: linsert,
};

/// `LREM key count element`
pub(crate) const LREM: Command = Command {
    spec: &Spec {
        name: "lrem",
        arity: 4,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::List,
        since: "1.0.0",
        summary: "Removes elements equal to a value.",
        complexity: "O(N+M), N: length of the list, M: elements removed",
        args: &[Arg::key("key", 0), Arg::integer("count"), Arg::string("element")],
        ..Spec::DEFAULT
    },
    run: lrem,
};

fn linsert(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let side = if args.is(2, "BEFORE") {
        Side::Before
    } else if args.is(2, "AFTER") {
        Side::After
    } else {
        return Err(CmdError::Syntax);
    };
    let limits = &ctx.limits.list;
    let Some(mut list) = ctx.data.edit::<List>(args.get(1))? else {
        return ctx.done_int(0);
    };
    if !list.insert(side, args.get(3), args.get(4), limits) {
        list.unchanged();
        return ctx.done_int(-1);
    }
    let len = list.len();
    list.finish(Event(Class::List, "linsert"), 1);
    ctx.done_int(len as i64)
}

fn lrem(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let count = args.int(2)?;
    let limits = &ctx.limits.list;
    let Some(mut list) = ctx.data.edit::<List>(args.get(1))? else {
        return ctx.done_int(0);
    };
    let removed = list.remove(count, args.get(3), limits);
    if removed > 0 {
        list.finish(Event(Class::List, "lrem"), removed as u64);
    } else {
        list.unchanged();
    }
    ctx.done_int(removed as i64)
}
