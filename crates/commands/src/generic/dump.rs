//! DUMP: a value as bytes, for RESTORE. <https://redis.io/commands/dump>

use holdfast_rdb::payload;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `DUMP key`
pub(crate) const DUMP: Command = Command {
    spec: &Spec {
        name: "dump",
        arity: 2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Generic,
        since: "2.6.0",
        summary: "Returns the value of a key as bytes that RESTORE takes.",
        complexity: "O(1) to find the key, O(N*M) to write it: N elements of M bytes",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: dump,
};

fn dump(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (compress, dialect) = (ctx.limits.rdb_compression, ctx.limits.rdb_dialect);
    match ctx.data.get(args.get(1)) {
        None => ctx.reply.null(),
        Some(value) => ctx.reply.bulk(&payload::dump(value, compress, dialect)),
    }
    Ok(Outcome::Done)
}
