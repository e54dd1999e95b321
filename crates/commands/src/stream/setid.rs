//! XSETID: <https://redis.io/commands/xsetid>.

use holdfast_storage::types::stream::Stream;

use super::{events, id};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `XSETID key last-id [ENTRIESADDED n] [MAXDELETEDID id]`
pub(crate) const XSETID: Command = Command {
    spec: &Spec {
        name: "xsetid",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Sets the last id of a stream; for logs and replicas.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::string("last-id"),
            Arg::integer("entries_added")
                .token("ENTRIESADDED")
                .opt()
                .since("7.0.0"),
            Arg::string("max_deleted_entry_id")
                .token("MAXDELETEDID")
                .opt()
                .since("7.0.0"),
        ],
        ..Spec::DEFAULT
    },
    run: xsetid,
};

fn xsetid(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let last = id::strict(args.get(2), 0)?;
    let (mut added, mut deleted) = (None, None);
    let mut rest = args.cursor(3);
    while rest.left() > 0 {
        let has_more = rest.left() > 1;
        if has_more && rest.accept("ENTRIESADDED") {
            let count = u64::try_from(rest.int()?)
                .map_err(|_| CmdError::msg("ERR entries_added must be positive"))?;
            added = Some(count);
        } else if has_more && rest.accept("MAXDELETEDID") {
            let id = id::strict(rest.word()?, 0)?;
            if last < id {
                return Err(CmdError::msg(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            deleted = Some(id);
        } else {
            return Err(CmdError::Syntax);
        }
    }
    let Some(mut stream) = ctx.data.edit::<Stream>(args.get(1))? else {
        return Err(CmdError::NoSuchKey);
    };
    let wrong = if !stream.is_empty() && last < stream.last_entry_id() {
        Some("ERR The ID specified in XSETID is smaller than the target stream top item")
    } else if !stream.is_empty() && added.is_some_and(|added| added < stream.len()) {
        Some("ERR The entries_added specified in XSETID is smaller than the target stream length")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        stream.unchanged();
        return Err(CmdError::msg(wrong));
    }
    stream.set_last_id(last);
    if let Some(added) = added {
        stream.set_entries_added(added);
    }
    if let Some(deleted) = deleted.filter(|deleted| !deleted.is_zero()) {
        stream.set_max_deleted_id(deleted);
    }
    stream.note(events::XSETID);
    stream.finish_quietly(1);
    ctx.done_ok()
}
