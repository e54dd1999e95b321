//! MOVE and COPY, within and between databases: <https://redis.io/commands/copy>.

use holdfast_storage::effects::{Class, Event};

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `MOVE key db`
pub(crate) const MOVE: Command = Command {
    spec: &Spec {
        name: "move",
        arity: 3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::Generic,
        since: "1.0.0",
        summary: "Moves a key to another database.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::integer("db")],
        ..Spec::DEFAULT
    },
    run: move_key,
};

/// `COPY source destination [DB destination-db] [REPLACE]`
pub(crate) const COPY: Command = Command {
    spec: &Spec {
        name: "copy",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: KEYSPACE),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RO, ACCESS)),
            KeySpec::one(2, flags!(KeyFlags: OW, UPDATE)),
        ],
        group: Group::Generic,
        since: "6.2.0",
        summary: "Copies the value of a key to another key.",
        complexity: "O(N), N: elements of the value; O(1) for strings",
        args: &[
            Arg::key("source", 0),
            Arg::key("destination", 1),
            Arg::integer("destination-db").token("DB").opt(),
            Arg::word("replace", "REPLACE").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: copy,
};

fn move_key(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    if ctx.limits.cluster && ctx.data.keyspace().databases() == 1 {
        return Err(CmdError::msg("ERR MOVE is not allowed in cluster mode"));
    }
    let key = args.get(1);
    let (from, to) = (ctx.data.db, database(ctx, args.int(2)?)?);
    if from == to {
        return Err(same_objects());
    }
    if !ctx.data.exists(key) || ctx.data.exists_in(to, key) {
        return ctx.done_int(0);
    }
    let Some((value, expire_at_ms)) = ctx.data.take(key) else {
        return ctx.done_int(0);
    };
    ctx.data.put(to, key, value, expire_at_ms);
    ctx.data.changed(from, key, Event(Class::Generic, "move_from"));
    ctx.data.also_changed(to, key, Event(Class::Generic, "move_to"));
    ctx.done_int(1)
}

fn copy(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (from, to) = (args.get(1), args.get(2));
    let (mut db, mut replace) = (ctx.data.db, false);
    let mut rest = args.cursor(3);
    while rest.left() > 0 {
        if rest.accept("REPLACE") {
            replace = true;
        } else if rest.left() >= 2 && rest.accept("DB") {
            let number = rest.int()?;
            if number != 0 && ctx.limits.cluster && ctx.data.keyspace().databases() == 1 {
                return Err(CmdError::msg(
                    "ERR Copying to another database is not allowed in cluster mode",
                ));
            }
            db = database(ctx, number)?;
        } else {
            return Err(CmdError::Syntax);
        }
    }
    if from == to && db == ctx.data.db {
        return Err(same_objects());
    }
    let Some(_) = ctx.data.get(from) else {
        return ctx.done_int(0);
    };
    if !replace && ctx.data.exists_in(db, to) {
        return ctx.done_int(0);
    }
    let Some((value, expire_at_ms)) = ctx.data.duplicate(from) else {
        return ctx.done_int(0);
    };
    ctx.data.put(db, to, value, expire_at_ms);
    ctx.data.changed(db, to, Event(Class::Generic, "copy_to"));
    ctx.done_int(1)
}

fn same_objects() -> CmdError {
    CmdError::msg("ERR source and destination objects are the same")
}

/// The number of a database that exists.
fn database(ctx: &Ctx<'_, '_>, number: i64) -> Result<u32, CmdError> {
    if i32::try_from(number).is_err() {
        return Err(CmdError::msg(format!(
            "ERR value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        )));
    }
    u32::try_from(number)
        .ok()
        .filter(|&db| db < ctx.data.keyspace().databases())
        .ok_or(CmdError::DbIndex)
}
