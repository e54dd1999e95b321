//! LPUSH, RPUSH, LPUSHX, RPUSHX: <https://redis.io/commands/lpush>.

use holdfast_storage::types::list::{End, List};

use super::ends::pushed;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `LPUSH key element [element ...]`
pub(crate) const LPUSH: Command = Command {
    spec: &Spec {
        name: "lpush",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, INSERT))],
        group: Group::List,
        since: "1.0.0",
        summary: "Puts elements at the front of a list.",
        complexity: "O(N), N: elements given",
        args: &[Arg::key("key", 0), Arg::string("element").multi()],
        ..Spec::DEFAULT
    },
    run: lpush,
};

/// `RPUSH key element [element ...]`
pub(crate) const RPUSH: Command = Command {
    spec: &Spec {
        name: "rpush",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, INSERT))],
        group: Group::List,
        since: "1.0.0",
        summary: "Puts elements at the end of a list.",
        complexity: "O(N), N: elements given",
        args: &[Arg::key("key", 0), Arg::string("element").multi()],
        ..Spec::DEFAULT
    },
    run: rpush,
};

/// `LPUSHX key element [element ...]`
pub(crate) const LPUSHX: Command = Command {
    spec: &Spec {
        name: "lpushx",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, INSERT))],
        group: Group::List,
        since: "2.2.0",
        summary: "Puts elements at the front of a list that exists.",
        complexity: "O(N), N: elements given",
        args: &[Arg::key("key", 0), Arg::string("element").multi()],
        ..Spec::DEFAULT
    },
    run: lpushx,
};

/// `RPUSHX key element [element ...]`
pub(crate) const RPUSHX: Command = Command {
    spec: &Spec {
        name: "rpushx",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, INSERT))],
        group: Group::List,
        since: "2.2.0",
        summary: "Puts elements at the end of a list that exists.",
        complexity: "O(N), N: elements given",
        args: &[Arg::key("key", 0), Arg::string("element").multi()],
        ..Spec::DEFAULT
    },
    run: rpushx,
};

fn lpush(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    push(ctx, args, End::Front)
}

fn rpush(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    push(ctx, args, End::Back)
}

fn lpushx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    push_if_there(ctx, args, End::Front)
}

fn rpushx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    push_if_there(ctx, args, End::Back)
}

fn push(ctx: &mut Ctx<'_, '_>, args: Args<'_>, end: End) -> CmdResult {
    let limits = &ctx.limits.list;
    let mut list = ctx.data.edit_or_create::<List>(args.get(1))?;
    let elements = args.from(2);
    let count = elements.len() as u64;
    elements.for_each(|element| list.push(end, element, limits));
    let len = list.len();
    list.finish(pushed(end), count);
    ctx.done_int(len as i64)
}

fn push_if_there(ctx: &mut Ctx<'_, '_>, args: Args<'_>, end: End) -> CmdResult {
    if ctx
        .data
        .edit::<List>(args.get(1))?
        .map(|list| list.unchanged())
        .is_none()
    {
        return ctx.done_int(0);
    }
    push(ctx, args, end)
}
