//! LLEN, LINDEX, LSET: <https://redis.io/commands/lindex>.

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::list::List;

use super::ends::write;
use crate::args::{self, Args};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `LLEN key`
pub(crate) const LLEN: Command = Command {
    spec: &Spec {
        name: "llen",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::List,
        since: "1.0.0",
        summary: "Returns the length of a list.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: llen,
};

/// `LINDEX key index`
pub(crate) const LINDEX: Command = Command {
    spec: &Spec {
        name: "lindex",
        arity: 3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::List,
        since: "1.0.0",
        summary: "Returns the element at an index.",
        complexity: "O(N), N: elements between the nearer end and the index",
        args: &[Arg::key("key", 0), Arg::integer("index")],
        ..Spec::DEFAULT
    },
    run: lindex,
};

/// `LSET key index element`
pub(crate) const LSET: Command = Command {
    spec: &Spec {
        name: "lset",
        arity: 4,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::List,
        since: "1.0.0",
        summary: "Replaces the element at an index.",
        complexity: "O(N), N: elements between the nearer end and the index",
        args: &[Arg::key("key", 0), Arg::integer("index"), Arg::string("element")],
        ..Spec::DEFAULT
    },
    run: lset,
};

fn llen(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let len = ctx.data.read::<List>(args.get(1))?.map_or(0, List::len);
    ctx.done_int(len as i64)
}

fn lindex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(list) = ctx.data.read::<List>(args.get(1))? else {
        return ctx.done_null();
    };
    match list.get(args::int(args.get(2))?) {
        None => ctx.reply.null(),
        Some(item) => write(ctx.reply, item),
    }
    Ok(Outcome::Done)
}

fn lset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let limits = &ctx.limits.list;
    let mut list = ctx.data.edit::<List>(args.get(1))?.ok_or(CmdError::NoSuchKey)?;
    let result = args.int(2).and_then(|index| {
        list.set(index, args.get(3), limits)
            .then_some(())
            .ok_or(CmdError::IndexOutOfRange)
    });
    match result {
        Err(error) => {
            list.unchanged();
            Err(error)
        }
        Ok(()) => {
            list.finish(Event(Class::List, "lset"), 1);
            ctx.done_ok()
        }
    }
}
