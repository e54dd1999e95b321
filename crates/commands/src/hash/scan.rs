//! HSCAN: <https://redis.io/commands/hscan>.

use holdfast_resp::Reply;
use holdfast_storage::types::hash::Hash;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::generic::scan::{ScanOptions, parse_cursor};
use crate::items;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `HSCAN key cursor [MATCH pattern] [COUNT count]`
pub(crate) const HSCAN: Command = Command {
    spec: &Spec {
        name: "hscan",
        arity: -3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Hash,
        since: "2.8.0",
        summary: "Walks over the fields of a hash, some per call.",
        complexity: "O(1) per call, O(N) for a whole walk over N fields",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key("key", 0),
            Arg::integer("cursor"),
            Arg::pattern("pattern").token("MATCH").opt(),
            Arg::integer("count").token("COUNT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: hscan,
};

fn hscan(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let cursor = parse_cursor(args.get(2))?;
    let Some(hash) = ctx.data.read::<Hash>(args.get(1))? else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let options = ScanOptions::parse(args.cursor(3), false)?;
    // The next cursor stands in front of the fields, so these are kept aside.
    let (mut pairs, mut found) = (Reply::new(Vec::new(), ctx.reply.proto()), 0);
    let next = hash.scan(cursor, options.count, |field, value| {
        if field.with_bytes(|field| options.matches(field)) {
            items::bulk(&mut pairs, field);
            items::bulk(&mut pairs, value);
            found += 2;
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(found);
    ctx.reply.raw(pairs.as_bytes());
    Ok(Outcome::Done)
}
