//! ZSCAN: <https://redis.io/commands/zscan>.

use holdfast_storage::types::zset::Zset;

use super::reply;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::generic::scan::{ScanOptions, parse_cursor};
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`
pub(crate) const ZSCAN: Command = Command {
    spec: &Spec {
        name: "zscan",
        arity: -3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "2.8.0",
        summary: "Walks over the members of a sorted set, some per call.",
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
    run: zscan,
};

fn zscan(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut cursor = parse_cursor(args.get(2))?;
    let Some(set) = ctx.data.read::<Zset>(args.get(1))? else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let options = ScanOptions::parse(args.cursor(3), false)?;
    // The next cursor stands in front of the members, so these are kept aside.
    let mut found = Vec::new();
    let mut seen = 0;
    loop {
        cursor = set.scan(cursor, |member, score| {
            seen += 1;
            if member.with_bytes(|member| options.matches(member)) {
                found.push((member.to_vec(), score));
            }
        });
        if cursor == 0 || seen >= options.count {
            break;
        }
    }
    let in_listpack = set.as_listpack().is_some();
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    ctx.reply.array(found.len() * 2);
    for (member, score) in &found {
        ctx.reply.bulk(member);
        reply::score_text(ctx.reply, *score, in_listpack);
    }
    Ok(Outcome::Done)
}
