//! LMOVE, RPOPLPUSH and their blocking forms: <https://redis.io/commands/lmove>.

use holdfast_storage::types::list::{End, List};

use super::ends::{end_word, popped, pushed, take_end};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome, TimeoutReply, Wait};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Deprecated, Group, KeySpec, Spec};
use crate::timeout;

/// `LMOVE source destination <LEFT|RIGHT> <LEFT|RIGHT>`
pub(crate) const LMOVE: Command = Command {
    spec: &Spec {
        name: "lmove",
        arity: 5,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: LIST),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE)),
            KeySpec::one(2, flags!(KeyFlags: RW, INSERT)),
        ],
        group: Group::List,
        since: "6.2.0",
        summary: "Moves an element from one end of a list to an end of another.",
        complexity: "O(1)",
        args: &[
            Arg::key("source", 0),
            Arg::key("destination", 1),
            Arg::one_of(
                "wherefrom",
                &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")],
            ),
            Arg::one_of(
                "whereto",
                &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")],
            ),
        ],
        ..Spec::DEFAULT
    },
    run: lmove,
};

/// `RPOPLPUSH source destination`
pub(crate) const RPOPLPUSH: Command = Command {
    spec: &Spec {
        name: "rpoplpush",
        arity: 3,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: LIST),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE)),
            KeySpec::one(2, flags!(KeyFlags: RW, INSERT)),
        ],
        group: Group::List,
        since: "1.2.0",
        summary: "Moves the last element of a list to the front of another.",
        complexity: "O(1)",
        args: &[Arg::key("source", 0), Arg::key("destination", 1)],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "LMOVE with RIGHT and LEFT",
        }),
        ..Spec::DEFAULT
    },
    run: rpoplpush,
};

/// `BLMOVE source destination <LEFT|RIGHT> <LEFT|RIGHT> timeout`
pub(crate) const BLMOVE: Command = Command {
    spec: &Spec {
        name: "blmove",
        arity: 6,
        flags: flags!(Flags: WRITE, DENYOOM, BLOCKING),
        acl: flags!(Acl: LIST),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE)),
            KeySpec::one(2, flags!(KeyFlags: RW, INSERT)),
        ],
        group: Group::List,
        since: "6.2.0",
        summary: "Moves an element from one end of a list to an end of another, waiting for one if need be.",
        complexity: "O(1)",
        args: &[
            Arg::key("source", 0),
            Arg::key("destination", 1),
            Arg::one_of(
                "wherefrom",
                &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")],
            ),
            Arg::one_of(
                "whereto",
                &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")],
            ),
            Arg::double("timeout"),
        ],
        ..Spec::DEFAULT
    },
    run: blmove,
};

/// `BRPOPLPUSH source destination timeout`
pub(crate) const BRPOPLPUSH: Command = Command {
    spec: &Spec {
        name: "brpoplpush",
        arity: 4,
        flags: flags!(Flags: WRITE, DENYOOM, BLOCKING),
        acl: flags!(Acl: LIST),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE)),
            KeySpec::one(2, flags!(KeyFlags: RW, INSERT)),
        ],
        group: Group::List,
        since: "2.2.0",
        summary: "Moves the last element of a list to the front of another, waiting for one if need be.",
        complexity: "O(1)",
        args: &[
            Arg::key("source", 0),
            Arg::key("destination", 1),
            Arg::double("timeout"),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "BLMOVE with RIGHT and LEFT",
        }),
        ..Spec::DEFAULT
    },
    run: brpoplpush,
};

fn lmove(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut ends = args.cursor(3);
    let (from, to) = (take_end(&mut ends)?, take_end(&mut ends)?);
    if !move_element(ctx, args, from, to)? {
        ctx.reply.null();
    }
    Ok(Outcome::Done)
}

fn rpoplpush(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    if !move_element(ctx, args, End::Back, End::Front)? {
        ctx.reply.null();
    }
    Ok(Outcome::Done)
}

fn blmove(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut ends = args.cursor(3);
    let (from, to) = (take_end(&mut ends)?, take_end(&mut ends)?);
    let timeout_ms = timeout::parse(args.get(5), ctx.data.now_ms)?;
    if move_element(ctx, args, from, to)? {
        let (from, to) = (end_word(from), end_word(to));
        ctx.log.rewrite(&[b"LMOVE", args.get(1), args.get(2), from, to]);
        return Ok(Outcome::Done);
    }
    wait_for_source(ctx, timeout_ms)
}

fn brpoplpush(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let timeout_ms = timeout::parse(args.get(3), ctx.data.now_ms)?;
    if move_element(ctx, args, End::Back, End::Front)? {
        ctx.log.rewrite(&[b"RPOPLPUSH", args.get(1), args.get(2)]);
        return Ok(Outcome::Done);
    }
    wait_for_source(ctx, timeout_ms)
}

fn wait_for_source(ctx: &mut Ctx<'_, '_>, timeout_ms: Option<u64>) -> CmdResult {
    if ctx.may_block {
        return Ok(Outcome::Block(Wait {
            keys: 1..2,
            timeout_ms,
            on_timeout: TimeoutReply::NullArray,
            resolved: Vec::new(),
        }));
    }
    ctx.done_null()
}

/// Moves an element from argument 1 to argument 2 and writes it; false: there is none, and nothing is written. The
/// destination's type does not matter then.
fn move_element(ctx: &mut Ctx<'_, '_>, args: Args<'_>, from: End, to: End) -> Result<bool, CmdError> {
    let (source, destination) = (args.get(1), args.get(2));
    let limits = &ctx.limits.list;
    let Some(mut list) = ctx.data.edit::<List>(source)? else {
        return Ok(false);
    };
    if source == destination {
        // Within one list, so that it never is empty in between.
        let element = list.pop(from, limits, |item| item.to_vec()).unwrap_or_default();
        list.push(to, &element, limits);
        list.finish2(pushed(to), popped(from), 1);
        ctx.reply.bulk(&element);
        return Ok(true);
    }
    let element = list.peek(from).map(|item| item.to_vec()).unwrap_or_default();
    list.unchanged();
    // Events come in Redis's order: the push before the pop.
    let mut list = ctx.data.edit_or_create::<List>(destination)?;
    list.push(to, &element, limits);
    list.finish(pushed(to), 1);
    if let Some(mut list) = ctx.data.edit::<List>(source)? {
        list.pop(from, limits, |_| ());
        list.finish(popped(from), 1);
    }
    ctx.data.effects.dirty -= 1; // one change, of two keys
    ctx.reply.bulk(&element);
    Ok(true)
}
