//! XLEN, XRANGE, XREVRANGE: <https://redis.io/commands/xrange>.

use holdfast_storage::types::stream::Stream;

use super::id::{self, End};
use super::reply;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `XLEN key`
pub(crate) const XLEN: Command = Command {
    spec: &Spec {
        name: "xlen",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Returns the number of entries of a stream.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: xlen,
};

/// `XRANGE key start end [COUNT count]`
pub(crate) const XRANGE: Command = Command {
    spec: &Spec {
        name: "xrange",
        arity: -4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Returns the entries between two ids.",
        complexity: "O(N), N: entries returned",
        args: &[
            Arg::key("key", 0),
            Arg::string("start"),
            Arg::string("end"),
            Arg::integer("count").token("COUNT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: xrange,
};

/// `XREVRANGE key end start [COUNT count]`
pub(crate) const XREVRANGE: Command = Command {
    spec: &Spec {
        name: "xrevrange",
        arity: -4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Returns the entries between two ids, the last one first.",
        complexity: "O(N), N: entries returned",
        args: &[
            Arg::key("key", 0),
            Arg::string("end"),
            Arg::string("start"),
            Arg::integer("count").token("COUNT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: xrevrange,
};

fn xlen(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let len = ctx.data.read::<Stream>(args.get(1))?.map_or(0, Stream::len);
    ctx.done_int(i64::try_from(len).unwrap_or(i64::MAX))
}

fn xrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    range(ctx, args, false)
}

fn xrevrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    range(ctx, args, true)
}

fn range(ctx: &mut Ctx<'_, '_>, args: Args<'_>, backwards: bool) -> CmdResult {
    let (first, last) = if backwards { (3, 2) } else { (2, 3) };
    let from = id::interval(args.get(first), End::Start)?;
    let to = id::interval(args.get(last), End::End)?;
    let mut count = None;
    let mut rest = args.cursor(4);
    while rest.left() > 0 {
        if rest.left() < 2 || !rest.accept("COUNT") {
            return Err(CmdError::Syntax);
        }
        count = Some(usize::try_from(rest.int()?).unwrap_or(0));
    }
    let Some(stream) = ctx.data.read::<Stream>(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    if count == Some(0) {
        ctx.reply.null_array();
        return Ok(Outcome::Done);
    }
    let range = stream.range(from, to);
    let count = count.unwrap_or(0);
    if backwards {
        reply::entries(ctx.reply, range.rev(), count);
    } else {
        reply::entries(ctx.reply, range, count);
    }
    Ok(Outcome::Done)
}
