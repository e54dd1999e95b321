//! ZSCAN: <https://redis.io/commands/zscan>.

use holdfast_storage::glob;
use holdfast_storage::types::zset::Zset;

use super::reply;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
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

/// Members that one call shows without COUNT.
const DEFAULT_COUNT: u64 = 10;

fn zscan(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut cursor = cursor(args.get(2))?;
    let Some(set) = ctx.data.read::<Zset>(args.get(1))? else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let (mut pattern, mut count) = (None, DEFAULT_COUNT);
    let mut rest = args.cursor(3);
    while rest.left() > 0 {
        if rest.left() > 1 && rest.accept("COUNT") {
            count = u64::try_from(rest.int()?).map_err(|_| CmdError::Syntax)?;
            if count == 0 {
                return Err(CmdError::Syntax);
            }
        } else if rest.left() > 1 && rest.accept("MATCH") {
            pattern = Some(rest.word()?).filter(|pattern| *pattern != b"*");
        } else {
            return Err(CmdError::Syntax);
        }
    }
    // The next cursor stands in front of the members, so these are kept aside.
    let mut found = Vec::new();
    let mut seen = 0;
    loop {
        cursor = set.scan(cursor, |member, score| {
            seen += 1;
            let hit = pattern
                .is_none_or(|pattern| member.with_bytes(|member| glob::matches(pattern, member, false)));
            if hit {
                found.push((member.to_vec(), score));
            }
        });
        if cursor == 0 || seen >= count {
            break;
        }
    }
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    ctx.reply.array(found.len() * 2);
    for (member, score) in &found {
        ctx.reply.bulk(member);
        reply::score_text(ctx.reply, *score);
    }
    Ok(Outcome::Done)
}

fn cursor(text: &[u8]) -> Result<u64, CmdError> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(CmdError::InvalidCursor)
}
