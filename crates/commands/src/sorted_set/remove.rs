//! ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE and ZREMRANGEBYLEX.

use std::ops::Range;

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::zset::Zset;

use super::bounds;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `ZREM key member [member ...]`
pub(crate) const ZREM: Command = Command {
    spec: &Spec {
        name: "zrem",
        arity: -3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Removes members from a sorted set.",
        complexity: "O(M*log(N)), N: members of the set, M: members given",
        args: &[Arg::key("key", 0), Arg::string("member").multi()],
        ..Spec::DEFAULT
    },
    run: zrem,
};

/// `ZREMRANGEBYRANK key start stop`
pub(crate) const ZREMRANGEBYRANK: Command = Command {
    spec: &Spec {
        name: "zremrangebyrank",
        arity: 4,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Removes the members in a range of ranks.",
        complexity: "O(log(N)+M), N: members of the set, M: members removed",
        args: &[Arg::key("key", 0), Arg::integer("start"), Arg::integer("stop")],
        ..Spec::DEFAULT
    },
    run: zremrangebyrank,
};

/// `ZREMRANGEBYSCORE key min max`
pub(crate) const ZREMRANGEBYSCORE: Command = Command {
    spec: &Spec {
        name: "zremrangebyscore",
        arity: 4,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Removes the members with scores in a range.",
        complexity: "O(log(N)+M), N: members of the set, M: members removed",
        args: &[Arg::key("key", 0), Arg::double("min"), Arg::double("max")],
        ..Spec::DEFAULT
    },
    run: zremrangebyscore,
};

/// `ZREMRANGEBYLEX key min max`
pub(crate) const ZREMRANGEBYLEX: Command = Command {
    spec: &Spec {
        name: "zremrangebylex",
        arity: 4,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::SortedSet,
        since: "2.8.9",
        summary: "Removes the members in a lexicographical range.",
        complexity: "O(log(N)+M), N: members of the set, M: members removed",
        args: &[Arg::key("key", 0), Arg::string("min"), Arg::string("max")],
        ..Spec::DEFAULT
    },
    run: zremrangebylex,
};

fn zrem(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(mut set) = ctx.data.edit::<Zset>(args.get(1))? else {
        return ctx.done_int(0);
    };
    let removed = args.from(2).filter(|member| set.remove(member).is_some()).count();
    if removed > 0 {
        set.finish(Event(Class::Zset, "zrem"), removed as u64);
    } else {
        set.unchanged();
    }
    ctx.done_int(removed as i64)
}

fn zremrangebyrank(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    remove(ctx, args, "zremrangebyrank", |set| {
        bounds::ranks(start, stop, set.len())
    })
}

fn zremrangebyscore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let range = bounds::scores(args.get(2), args.get(3))?;
    remove(ctx, args, "zremrangebyscore", |set| set.score_range(&range))
}

fn zremrangebylex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (min, max) = bounds::members(args.get(2), args.get(3))?;
    remove(ctx, args, "zremrangebylex", |set| set.lex_range(min, max))
}

fn remove(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    event: &'static str,
    ranks: impl FnOnce(&Zset) -> Range<usize>,
) -> CmdResult {
    let Some(mut set) = ctx.data.edit::<Zset>(args.get(1))? else {
        return ctx.done_int(0);
    };
    let range = ranks(&set);
    let removed = set.remove_range(range, |_, _| {});
    if removed > 0 {
        set.finish(Event(Class::Zset, event), removed as u64);
    } else {
        set.unchanged();
    }
    ctx.done_int(removed as i64)
}
