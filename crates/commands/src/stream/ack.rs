//! XACK, XACKDEL, XNACK: what was delivered is done, or is given back. <https://redis.io/commands/xack>

use holdfast_storage::types::stream::{Deleted, References, Stream};

use super::del::{self, all_missing, counted_ids, outcome, references_and_ids};
use super::events;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `XACK key group id [id ...]`
pub(crate) const XACK: Command = Command {
    spec: &Spec {
        name: "xack",
        arity: -4,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Acknowledges entries that a group was given, and returns how many were pending.",
        complexity: "O(N), N: ids",
        args: &[
            Arg::key("key", 0),
            Arg::string("group"),
            Arg::string("id").multi(),
        ],
        ..Spec::DEFAULT
    },
    run: xack,
};

/// `XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]`
pub(crate) const XACKDEL: Command = Command {
    spec: &Spec {
        name: "xackdel",
        arity: -6,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE, DELETE))],
        group: Group::Stream,
        since: "8.2.0",
        summary: "Acknowledges entries that a group was given, and deletes them.",
        complexity: "O(N*G), N: ids, G: groups",
        args: &[
            Arg::key("key", 0),
            Arg::string("group"),
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
    run: xackdel,
};

/// `XNACK key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]`
pub(crate) const XNACK: Command = Command {
    spec: &Spec {
        name: "xnack",
        arity: -7,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Stream,
        since: "8.8.0",
        summary: "Gives pending entries back to their group, for any of its consumers to claim at once.",
        complexity: "O(N), N: ids",
        args: &[
            Arg::key("key", 0),
            Arg::string("group"),
            Arg::one_of(
                "mode",
                &[
                    Arg::word("silent", "SILENT"),
                    Arg::word("fail", "FAIL"),
                    Arg::word("fatal", "FATAL"),
                ],
            ),
            Arg::block("ids", &[Arg::integer("numids"), Arg::string("id").multi()]).token("IDS"),
            Arg::integer("count").token("RETRYCOUNT").opt(),
            Arg::word("force", "FORCE").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: xnack,
};

fn xack(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(mut stream) = ctx.data.edit::<Stream>(args.get(1))? else {
        return ctx.done_int(0);
    };
    let Some(group) = stream.group_mut(args.get(2)) else {
        stream.unchanged();
        return ctx.done_int(0);
    };
    let acknowledged = match del::ids(args.from(3)) {
        Ok(ids) => ids.into_iter().filter(|&id| group.acknowledge(id)).count(),
        Err(error) => {
            stream.unchanged();
            return Err(error);
        }
    };
    if acknowledged > 0 {
        stream.finish_quietly(acknowledged as u64);
    } else {
        stream.unchanged();
    }
    ctx.done_int(acknowledged as i64)
}

fn xackdel(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let name = args.get(2);
    let (references, ids) = references_and_ids(args.cursor(3))?;
    let Some(mut stream) = ctx.data.edit::<Stream>(args.get(1))? else {
        return all_missing(ctx, ids.len());
    };
    if stream.group(name).is_none() {
        stream.unchanged();
        return all_missing(ctx, ids.len());
    }
    let (mut deleted, mut changes) = (0_u64, 0_u64);
    ctx.reply.array(ids.len());
    for id in ids {
        let acknowledged = stream.group_mut(name).is_some_and(|group| group.acknowledge(id));
        changes += u64::from(acknowledged);
        if references == References::Delete && stream.forget_everywhere(id) {
            changes += 1;
        }
        let became = if acknowledged {
            stream.remove_with(id, references)
        } else {
            Deleted::Missing
        };
        deleted += u64::from(became == Deleted::Gone);
        ctx.reply.int(outcome(became));
    }
    if deleted > 0 {
        stream.finish(events::XDEL, changes + deleted);
    } else if changes > 0 {
        stream.finish_quietly(changes);
    } else {
        stream.unchanged();
    }
    Ok(Outcome::Done)
}

/// What giving an entry back does to the number of its deliveries.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Silent,
    Fail,
    Fatal,
}

impl Mode {
    fn deliveries(self, before: u64) -> u64 {
        match self {
            Self::Silent => before.saturating_sub(1),
            Self::Fail => before,
            Self::Fatal => i64::MAX as u64,
        }
    }
}

fn xnack(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (key, name) = (args.get(1), args.get(2));
    let mut rest = args.cursor(3);
    let mode = if rest.accept("SILENT") {
        Mode::Silent
    } else if rest.accept("FAIL") {
        Mode::Fail
    } else if rest.accept("FATAL") {
        Mode::Fatal
    } else {
        return Err(CmdError::Syntax);
    };
    let (mut ids, mut retries, mut force) = (None, None, false);
    while rest.left() > 0 {
        if ids.is_none() && rest.accept("IDS") {
            ids = Some(counted_ids(&mut rest)?);
        } else if rest.accept("RETRYCOUNT") {
            retries = Some(u64::try_from(rest.int()?).map_err(|_| CmdError::NotPositive)?);
        } else if rest.accept("FORCE") {
            force = true;
        } else {
            return Err(CmdError::Syntax);
        }
    }
    let ids = ids.ok_or(CmdError::Syntax)?;
    let Some(mut stream) = ctx.data.edit::<Stream>(key)? else {
        return Err(events::no_key_or_group(key, name));
    };
    if stream.group(name).is_none() {
        stream.unchanged();
        return Err(events::no_key_or_group(key, name));
    }
    let mut released = 0;
    for id in ids {
        let exists = force && stream.contains(id);
        let Some(group) = stream.group_mut(name) else {
            continue;
        };
        let before = match group.pending(id) {
            Some(pending) => pending.deliveries,
            None if exists => 0,
            None => continue,
        };
        group.give_back(id, retries.unwrap_or_else(|| mode.deliveries(before)));
        released += 1;
    }
    if released > 0 {
        stream.wake();
        stream.finish_quietly(released);
    } else {
        stream.unchanged();
    }
    ctx.done_int(released as i64)
}
