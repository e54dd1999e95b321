//! SSCAN: <https://redis.io/commands/sscan>.

use holdfast_resp::Reply;
use holdfast_storage::types::set::Set;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::generic::scan::{ScanOptions, parse_cursor};
use crate::items;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
pub(crate) const SSCAN: Command = Command {
    spec: &Spec {
        name: "sscan",
        arity: -3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Set,
        since: "2.8.0",
        summary: "Walks over the members of a set, some per call.",
        complexity: "O(1) per call, O(N) for a whole walk over N members",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key("key", 0),
            Arg::integer("cursor"),
            Arg::pattern("pattern").token("MATCH").opt(),
            Arg::integer("count").token("COUNT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: sscan,
};

fn sscan(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let cursor = parse_cursor(args.get(2))?;
    let Some(set) = ctx.data.read::<Set>(args.get(1))? else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let options = ScanOptions::parse(args.cursor(3), false)?;
    // The next cursor stands in front of the members, so these are kept aside.
    let (mut members, mut found) = (Reply::new(Vec::new(), ctx.reply.proto()), 0);
    let next = set.scan(cursor, options.count, |member| {
        if member.with_bytes(|member| options.matches(member)) {
            items::bulk(&mut members, member);
            found += 1;
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(found);
    ctx.reply.raw(members.as_bytes());
    Ok(Outcome::Done)
}
