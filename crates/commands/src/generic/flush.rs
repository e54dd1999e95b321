//! FLUSHDB, FLUSHALL, SWAPDB: <https://redis.io/commands/flushall>. They take every shard for a moment; the tables are
//! freed off the locks, with ASYNC or without.

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, Spec};

/// How the tables are freed; see [`check_mode`].
const MODE: &[Arg] = &[Arg::one_of(
    "async",
    &[
        Arg::word("async", "ASYNC").since("4.0.0"),
        Arg::word("sync", "SYNC").since("6.2.0"),
    ],
)
.opt()];

/// `FLUSHDB [ASYNC|SYNC]`
pub(crate) const FLUSHDB: Command = Command {
    spec: &Spec {
        name: "flushdb",
        arity: -1,
        flags: flags!(Flags: WRITE, ALL_SHARDS),
        acl: flags!(Acl: KEYSPACE, DANGEROUS),
        group: Group::Server,
        since: "1.0.0",
        summary: "Removes all keys of this database.",
        complexity: "O(N), N: keys of the database",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        args: MODE,
        ..Spec::DEFAULT
    },
    run: flushdb,
};

/// `FLUSHALL [ASYNC|SYNC]`
pub(crate) const FLUSHALL: Command = Command {
    spec: &Spec {
        name: "flushall",
        arity: -1,
        flags: flags!(Flags: WRITE, ALL_SHARDS),
        acl: flags!(Acl: KEYSPACE, DANGEROUS),
        group: Group::Server,
        since: "1.0.0",
        summary: "Removes all keys of all databases.",
        complexity: "O(N), N: keys",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        args: MODE,
        ..Spec::DEFAULT
    },
    run: flushall,
};

/// `SWAPDB index1 index2`
pub(crate) const SWAPDB: Command = Command {
    spec: &Spec {
        name: "swapdb",
        arity: 3,
        flags: flags!(Flags: WRITE, FAST, ALL_SHARDS),
        acl: flags!(Acl: KEYSPACE, DANGEROUS),
        group: Group::Server,
        since: "4.0.0",
        summary: "Swaps two databases.",
        complexity: "O(N), N: clients that watch or wait for keys of them",
        args: &[Arg::integer("index1"), Arg::integer("index2")],
        ..Spec::DEFAULT
    },
    run: swapdb,
};

fn flushdb(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    check_mode(args)?;
    ctx.data.flush(Some(ctx.data.db));
    ctx.done_ok()
}

fn flushall(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    check_mode(args)?;
    ctx.data.flush(None);
    ctx.done_ok()
}

/// Nothing, ASYNC or SYNC.
fn check_mode(args: Args<'_>) -> Result<(), CmdError> {
    let mut rest = args.cursor(1);
    let _word = rest.accept("ASYNC") || rest.accept("SYNC");
    rest.end()
}

fn swapdb(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    if ctx.limits.cluster {
        return Err(CmdError::msg("ERR SWAPDB is not allowed in cluster mode"));
    }
    let number = |i, text| match args.int(i).map(i32::try_from) {
        Ok(Ok(n)) => Ok(n),
        Ok(Err(_)) | Err(_) => Err(CmdError::msg(text)),
    };
    let first = number(1, "ERR invalid first DB index")?;
    let second = number(2, "ERR invalid second DB index")?;
    let databases = ctx.data.keyspace().databases();
    let exists = |n: i32| {
        u32::try_from(n)
            .ok()
            .filter(|&db| db < databases)
            .ok_or(CmdError::DbIndex)
    };
    ctx.data.swap_databases(exists(first)?, exists(second)?);
    ctx.done_ok()
}
