//! ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZCOUNT and ZLEXCOUNT: questions with a short answer.

use holdfast_storage::types::zset::Zset;

use super::bounds;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `ZCARD key`
pub(crate) const ZCARD: Command = Command {
    spec: &Spec {
        name: "zcard",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Returns the number of members.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: zcard,
};

/// `ZSCORE key member`
pub(crate) const ZSCORE: Command = Command {
    spec: &Spec {
        name: "zscore",
        arity: 3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Returns the score of a member.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::string("member")],
        ..Spec::DEFAULT
    },
    run: zscore,
};

/// `ZMSCORE key member [member ...]`
pub(crate) const ZMSCORE: Command = Command {
    spec: &Spec {
        name: "zmscore",
        arity: -3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Returns the scores of several members.",
        complexity: "O(N), N: members given",
        args: &[Arg::key("key", 0), Arg::string("member").multi()],
        ..Spec::DEFAULT
    },
    run: zmscore,
};

/// `ZRANK key member [WITHSCORE]`
pub(crate) const ZRANK: Command = Command {
    spec: &Spec {
        name: "zrank",
        arity: -3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Returns the rank of a member, counted from the lowest score.",
        complexity: "O(log(N)), N: members of the set",
        args: &[
            Arg::key("key", 0),
            Arg::string("member"),
            Arg::word("withscore", "WITHSCORE").opt().since("7.2.0"),
        ],
        ..Spec::DEFAULT
    },
    run: zrank,
};

/// `ZREVRANK key member [WITHSCORE]`
pub(crate) const ZREVRANK: Command = Command {
    spec: &Spec {
        name: "zrevrank",
        arity: -3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Returns the rank of a member, counted from the highest score.",
        complexity: "O(log(N)), N: members of the set",
        args: &[
            Arg::key("key", 0),
            Arg::string("member"),
            Arg::word("withscore", "WITHSCORE").opt().since("7.2.0"),
        ],
        ..Spec::DEFAULT
    },
    run: zrevrank,
};

/// `ZCOUNT key min max`
pub(crate) const ZCOUNT: Command = Command {
    spec: &Spec {
        name: "zcount",
        arity: 4,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Counts the members with scores in a range.",
        complexity: "O(log(N)), N: members of the set",
        args: &[Arg::key("key", 0), Arg::double("min"), Arg::double("max")],
        ..Spec::DEFAULT
    },
    run: zcount,
};

/// `ZLEXCOUNT key min max`
pub(crate) const ZLEXCOUNT: Command = Command {
    spec: &Spec {
        name: "zlexcount",
        arity: 4,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "2.8.9",
        summary: "Counts the members in a lexicographical range.",
        complexity: "O(log(N)), N: members of the set",
        args: &[Arg::key("key", 0), Arg::string("min"), Arg::string("max")],
        ..Spec::DEFAULT
    },
    run: zlexcount,
};

fn zcard(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let len = ctx.data.read::<Zset>(args.get(1))?.map_or(0, Zset::len);
    ctx.done_int(len as i64)
}

fn zscore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let set = ctx.data.read::<Zset>(args.get(1))?;
    match set.and_then(|set| set.score(args.get(2))) {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn zmscore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let set = ctx.data.read::<Zset>(args.get(1))?;
    ctx.reply.array(args.len() - 2);
    for member in args.from(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    }
    Ok(Outcome::Done)
}

fn zrank(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    rank(ctx, args, "zrank", Zset::rank)
}

fn zrevrank(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    rank(ctx, args, "zrevrank", Zset::rev_rank)
}

fn rank(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    name: &'static str,
    of: fn(&Zset, &[u8]) -> Option<usize>,
) -> CmdResult {
    if args.len() > 4 {
        return Err(CmdError::Arity(name));
    }
    let with_score = args.len() == 4;
    if with_score && !args.is(3, "WITHSCORE") {
        return Err(CmdError::Syntax);
    }
    let member = args.get(2);
    let found = ctx.data.read::<Zset>(args.get(1))?.and_then(|set| {
        Some((
            of(set, member)?,
            if with_score { set.score(member)? } else { 0.0 },
        ))
    });
    match found {
        Some((rank, score)) => {
            if with_score {
                ctx.reply.array(2);
            }
            ctx.reply.int(rank as i64);
            if with_score {
                ctx.reply.double(score);
            }
        }
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn zcount(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let range = bounds::scores(args.get(2), args.get(3))?;
    let set = ctx.data.read::<Zset>(args.get(1))?;
    let count = set.map_or(0, |set| set.score_range(&range).len());
    ctx.done_int(count as i64)
}

fn zlexcount(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (min, max) = bounds::members(args.get(2), args.get(3))?;
    let set = ctx.data.read::<Zset>(args.get(1))?;
    let count = set.map_or(0, |set| set.lex_range(min, max).len());
    ctx.done_int(count as i64)
}
