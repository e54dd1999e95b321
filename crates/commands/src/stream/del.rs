//! XDEL and XDELEX: <https://redis.io/commands/xdel>, <https://redis.io/commands/xdelex>.

use holdfast_storage::types::stream::{Deleted, References, Stream, StreamId};
use smallvec::SmallVec;

use super::{events, id};
use crate::args::{Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `XDEL key id [id ...]`
pub(crate) const XDEL: Command = Command {
    spec: &Spec {
        name: "xdel",
        arity: -3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Deletes entries by their ids, and returns how many there were.",
        complexity: "O(N), N: ids",
        args: &[Arg::key("key", 0), Arg::string("id").multi()],
        ..Spec::DEFAULT
    },
    run: xdel,
};

/// `XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]`
pub(crate) const XDELEX: Command = Command {
    spec: &Spec {
        name: "xdelex",
        arity: -5,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::Stream,
        since: "8.2.0",
        summary: "Deletes entries with regard to the groups that have them pending.",
        complexity: "O(N*G), N: ids, G: groups",
        args: &[
            Arg::key("key", 0),
            Arg::one_of(
                "condition",
                &[
                    Arg::word("keepref", "KEEPREF"),
                    Arg::word("delref", "DELREF"),
                    Arg::word("acked", "ACKED"),
                ],
            )
            .opt(),
            Arg::block("ids", &[Arg::integer("numids"), Arg::string("id").multi()]).token("IDS"),
        ],
        ..Spec::DEFAULT
    },
    run: xdelex,
};

/// Ids of one command.
pub(super) type Ids = SmallVec<[StreamId; 8]>;

/// Every argument as an id.
pub(super) fn ids<'a>(arguments: impl Iterator<Item = &'a [u8]>) -> Result<Ids, CmdError> {
    arguments.map(|argument| id::strict(argument, 0)).collect()
}

/// `[KEEPREF | DELREF | ACKED] IDS numids id [id ...]`, in any order.
pub(super) fn references_and_ids(mut rest: Cursor<'_>) -> Result<(References, Ids), CmdError> {
    let (mut references, mut found) = (None, None);
    while rest.left() > 0 {
        let chosen = if rest.accept("KEEPREF") {
            References::Keep
        } else if rest.accept("DELREF") {
            References::Delete
        } else if rest.accept("ACKED") {
            References::Acknowledged
        } else if found.is_none() && rest.accept("IDS") {
            found = Some(counted_ids(&mut rest)?);
            continue;
        } else {
            return Err(CmdError::Syntax);
        };
        if references.replace(chosen).is_some() {
            return Err(CmdError::Syntax);
        }
    }
    Ok((references.unwrap_or_default(), found.ok_or(CmdError::Syntax)?))
}

/// `numids id [id ...]`
pub(super) fn counted_ids(rest: &mut Cursor<'_>) -> Result<Ids, CmdError> {
    let count = rest
        .int()
        .ok()
        .and_then(|count| usize::try_from(count).ok())
        .filter(|&count| count > 0)
        .ok_or(CmdError::msg("ERR Number of IDs must be a positive integer"))?;
    if count > rest.left() {
        return Err(CmdError::msg(
            "ERR The `numids` parameter must match the number of arguments",
        ));
    }
    ids(rest.by_ref().take(count))
}

/// The number that tells what became of an entry.
pub(super) fn outcome(deleted: Deleted) -> i64 {
    match deleted {
        Deleted::Missing => -1,
        Deleted::Gone => 1,
        Deleted::Referenced => 2,
    }
}

/// Answers -1 for each id of a stream that is not there.
pub(super) fn all_missing(ctx: &mut Ctx<'_, '_>, count: usize) -> CmdResult {
    ctx.reply.array(count);
    (0..count).for_each(|_| ctx.reply.int(outcome(Deleted::Missing)));
    Ok(Outcome::Done)
}

fn xdel(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(mut stream) = ctx.data.edit::<Stream>(args.get(1))? else {
        return ctx.done_int(0);
    };
    let ids = match ids(args.from(2)) {
        Ok(ids) => ids,
        Err(error) => {
            stream.unchanged();
            return Err(error);
        }
    };
    let deleted = ids.into_iter().filter(|&id| stream.remove(id)).count();
    if deleted > 0 {
        stream.finish(events::XDEL, deleted as u64);
    } else {
        stream.unchanged();
    }
    ctx.done_int(deleted as i64)
}

fn xdelex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (references, ids) = references_and_ids(args.cursor(2))?;
    let Some(mut stream) = ctx.data.edit::<Stream>(args.get(1))? else {
        return all_missing(ctx, ids.len());
    };
    let (mut deleted, mut changes) = (0_u64, 0_u64);
    ctx.reply.array(ids.len());
    for id in ids {
        // Without a group nobody has acknowledged anything.
        let nobody = references == References::Acknowledged && stream.group_count() == 0;
        if references == References::Delete && stream.forget_everywhere(id) {
            changes += 1;
        }
        let became = if nobody && stream.contains(id) {
            Deleted::Referenced
        } else {
            stream.remove_with(id, references)
        };
        deleted += u64::from(became == Deleted::Gone);
        ctx.reply.int(outcome(became));
    }
    if deleted > 0 {
        stream.finish(events::XDEL, deleted);
    } else if changes > 0 {
        stream.finish_quietly(changes);
    } else {
        stream.unchanged();
    }
    Ok(Outcome::Done)
}
