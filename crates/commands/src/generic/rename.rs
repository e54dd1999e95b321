//! RENAME, RENAMENX: <https://redis.io/commands/rename>.

use holdfast_storage::effects::{Class, Event};

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `RENAME key newkey`
pub(crate) const RENAME: Command = Command {
    spec: &Spec {
        name: "rename",
        arity: 3,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: KEYSPACE),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE)),
            KeySpec::one(2, flags!(KeyFlags: OW, UPDATE)),
        ],
        group: Group::Generic,
        since: "1.0.0",
        summary: "Renames a key, replacing what was there.",
        complexity: "O(1), plus O(N) to free a replaced value of N elements",
        args: &[Arg::key("key", 0), Arg::key("newkey", 1)],
        ..Spec::DEFAULT
    },
    run: rename,
};

/// `RENAMENX key newkey`
pub(crate) const RENAMENX: Command = Command {
    spec: &Spec {
        name: "renamenx",
        arity: 3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE)),
            KeySpec::one(2, flags!(KeyFlags: OW, INSERT)),
        ],
        group: Group::Generic,
        since: "1.0.0",
        summary: "Renames a key if the new name is free.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::key("newkey", 1)],
        ..Spec::DEFAULT
    },
    run: renamenx,
};

fn rename(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (from, to) = (args.get(1), args.get(2));
    if !ctx.data.exists(from) {
        return Err(CmdError::NoSuchKey);
    }
    if from != to {
        move_value(ctx, from, to);
    }
    ctx.done_ok()
}

fn renamenx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (from, to) = (args.get(1), args.get(2));
    if !ctx.data.exists(from) {
        return Err(CmdError::NoSuchKey);
    }
    if ctx.data.exists(to) {
        return ctx.done_int(0);
    }
    move_value(ctx, from, to);
    ctx.done_int(1)
}

/// The value moves with its expiry.
fn move_value(ctx: &mut Ctx<'_, '_>, from: &[u8], to: &[u8]) {
    let Some((value, expire_at_ms)) = ctx.data.take(from) else {
        return;
    };
    let db = ctx.data.db;
    ctx.data.put(db, to, value, expire_at_ms);
    ctx.data.changed(db, from, Event(Class::Generic, "rename_from"));
    ctx.data.also_changed(db, to, Event(Class::Generic, "rename_to"));
}
