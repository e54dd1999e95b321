//! DEL, UNLINK: <https://redis.io/commands/del>. Both free big values away from the locks, so they do the same.

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `DEL key [key ...]`
pub(crate) const DEL: Command = Command {
    spec: &Spec {
        name: "del",
        arity: -2,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: RM, DELETE))],
        group: Group::Generic,
        since: "1.0.0",
        summary: "Deletes keys.",
        complexity: "O(N), N: keys, plus O(M) for each collection of M elements",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        args: &[Arg::key("key", 0).multi()],
        ..Spec::DEFAULT
    },
    run: del,
};

/// `UNLINK key [key ...]`
pub(crate) const UNLINK: Command = Command {
    spec: &Spec {
        name: "unlink",
        arity: -2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: RM, DELETE))],
        group: Group::Generic,
        since: "4.0.0",
        summary: "Deletes keys and frees their memory in the background.",
        complexity: "O(1) per key; freeing takes O(N) in the background for N allocations",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        args: &[Arg::key("key", 0).multi()],
        ..Spec::DEFAULT
    },
    run: del,
};

fn del(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let deleted = args.from(1).filter(|key| ctx.data.delete(key)).count();
    ctx.done_int(deleted as i64)
}
