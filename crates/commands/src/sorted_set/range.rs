//! ZRANGE, its older forms, and ZRANGESTORE: <https://redis.io/commands/zrange>.

use std::ops::Range;

use holdfast_storage::types::zset::{LexBound, ScoreRange, Zset};

use super::store::store;
use super::{bounds, reply};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Deprecated, Group, KeySpec, Spec};

/// `ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub(crate) const ZRANGE: Command = Command {
    spec: &Spec {
        name: "zrange",
        arity: -4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Returns the members in a range of ranks, scores or names.",
        complexity: "O(log(N)+M), N: members of the set, M: members returned",
        args: &[
            Arg::key("key", 0),
            Arg::string("start"),
            Arg::string("stop"),
            Arg::one_of(
                "sortby",
                &[Arg::word("byscore", "BYSCORE"), Arg::word("bylex", "BYLEX")],
            )
            .opt()
            .since("6.2.0"),
            Arg::word("rev", "REV").opt().since("6.2.0"),
            Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .opt()
                .since("6.2.0"),
            Arg::word("withscores", "WITHSCORES").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: zrange,
};

/// `ZRANGESTORE dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]`
pub(crate) const ZRANGESTORE: Command = Command {
    spec: &Spec {
        name: "zrangestore",
        arity: -5,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: SORTEDSET),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: OW, UPDATE)),
            KeySpec::one(2, flags!(KeyFlags: RO, ACCESS)),
        ],
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Stores the members in a range of ranks, scores or names.",
        complexity: "O(log(N)+M), N: members of the set, M: members stored",
        args: &[
            Arg::key("dst", 0),
            Arg::key("src", 1),
            Arg::string("min"),
            Arg::string("max"),
            Arg::one_of(
                "sortby",
                &[Arg::word("byscore", "BYSCORE"), Arg::word("bylex", "BYLEX")],
            )
            .opt(),
            Arg::word("rev", "REV").opt(),
            Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: zrangestore,
};

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub(crate) const ZRANGEBYSCORE: Command = Command {
    spec: &Spec {
        name: "zrangebyscore",
        arity: -4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "1.0.5",
        summary: "Returns the members with scores in a range.",
        complexity: "O(log(N)+M), N: members of the set, M: members returned",
        args: &[
            Arg::key("key", 0),
            Arg::double("min"),
            Arg::double("max"),
            Arg::word("withscores", "WITHSCORES").opt().since("2.0.0"),
            Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .opt(),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "ZRANGE with BYSCORE",
        }),
        ..Spec::DEFAULT
    },
    run: zrangebyscore,
};

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub(crate) const ZRANGEBYLEX: Command = Command {
    spec: &Spec {
        name: "zrangebylex",
        arity: -4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "2.8.9",
        summary: "Returns the members in a lexicographical range.",
        complexity: "O(log(N)+M), N: members of the set, M: members returned",
        args: &[
            Arg::key("key", 0),
            Arg::string("min"),
            Arg::string("max"),
            Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .opt(),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "ZRANGE with BYLEX",
        }),
        ..Spec::DEFAULT
    },
    run: zrangebylex,
};

/// `ZREVRANGE key start stop [WITHSCORES]`
pub(crate) const ZREVRANGE: Command = Command {
    spec: &Spec {
        name: "zrevrange",
        arity: -4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Returns the members in a range of ranks, highest score first.",
        complexity: "O(log(N)+M), N: members of the set, M: members returned",
        args: &[
            Arg::key("key", 0),
            Arg::integer("start"),
            Arg::integer("stop"),
            Arg::word("withscores", "WITHSCORES").opt(),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "ZRANGE with REV",
        }),
        ..Spec::DEFAULT
    },
    run: zrevrange,
};

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub(crate) const ZREVRANGEBYSCORE: Command = Command {
    spec: &Spec {
        name: "zrevrangebyscore",
        arity: -4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "2.2.0",
        summary: "Returns the members with scores in a range, highest first.",
        complexity: "O(log(N)+M), N: members of the set, M: members returned",
        args: &[
            Arg::key("key", 0),
            Arg::double("max"),
            Arg::double("min"),
            Arg::word("withscores", "WITHSCORES").opt(),
            Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .opt(),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "ZRANGE with REV and BYSCORE",
        }),
        ..Spec::DEFAULT
    },
    run: zrevrangebyscore,
};

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub(crate) const ZREVRANGEBYLEX: Command = Command {
    spec: &Spec {
        name: "zrevrangebylex",
        arity: -4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "2.8.9",
        summary: "Returns the members in a lexicographical range, last first.",
        complexity: "O(log(N)+M), N: members of the set, M: members returned",
        args: &[
            Arg::key("key", 0),
            Arg::string("max"),
            Arg::string("min"),
            Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .opt(),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "ZRANGE with REV and BYLEX",
        }),
        ..Spec::DEFAULT
    },
    run: zrevrangebylex,
};

fn zrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, None, None)
}

fn zrangebyscore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Some(Order::Score), Some(false))
}

fn zrangebylex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Some(Order::Lex), Some(false))
}

fn zrevrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Some(Order::Rank), Some(true))
}

fn zrevrangebyscore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Some(Order::Score), Some(true))
}

fn zrevrangebylex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Some(Order::Lex), Some(true))
}

fn show(ctx: &mut Ctx<'_, '_>, args: Args<'_>, order: Option<Order>, rev: Option<bool>) -> CmdResult {
    let query = Query::parse(args, 2, order, rev, true)?;
    let Some(set) = ctx.data.read::<Zset>(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let range = set.range(query.ranks(set));
    let scores = query.with_scores;
    reply::begin(ctx.reply, range.len(), scores);
    if query.rev {
        range
            .rev()
            .for_each(|(member, score)| reply::element(ctx.reply, member, score, scores));
    } else {
        range.for_each(|(member, score)| reply::element(ctx.reply, member, score, scores));
    }
    Ok(Outcome::Done)
}

fn zrangestore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let query = Query::parse(args, 3, None, None, false)?;
    let limits = ctx.limits.zset;
    let result = match ctx.data.read::<Zset>(args.get(2))? {
        None => Zset::new(),
        Some(set) => {
            let range = set.range(query.ranks(set));
            let range: Box<dyn Iterator<Item = _>> = if query.rev {
                Box::new(range.rev())
            } else {
                Box::new(range)
            };
            let members = range.map(|(member, score)| (member.to_cow(), score));
            match query.bounds {
                // How many there will be is known, and so the encoding, as in Redis.
                Bounds::Rank(..) => Zset::from_unsorted(members, &limits),
                Bounds::Score(_) | Bounds::Lex(..) => {
                    members.fold(Zset::new(), |mut result, (member, score)| {
                        result.insert(&member, score, &limits);
                        result
                    })
                }
            }
        }
    };
    store(ctx, args.get(1), result, "zrangestore")
}

/// By what a range is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Rank,
    Score,
    Lex,
}

/// The two ends of a range.
#[derive(Clone, Copy, Debug)]
enum Bounds<'a> {
    Rank(i64, i64),
    Score(ScoreRange),
    Lex(LexBound<'a>, LexBound<'a>),
}

/// A range and how it is to be shown.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    bounds: Bounds<'a>,
    rev: bool,
    with_scores: bool,
    /// Offset, and number of members; a negative number stands for all.
    limit: Option<(i64, i64)>,
}

impl<'a> Query<'a> {
    /// Reads the ends from argument `min` on, and the words behind them. What is given as `order` and `rev` cannot be
    /// said by a word; WITHSCORES can be if `show`.
    fn parse(
        args: Args<'a>,
        min: usize,
        order: Option<Order>,
        rev: Option<bool>,
        show: bool,
    ) -> Result<Self, CmdError> {
        let (mut order, mut rev) = (order, rev);
        let mut with_scores = false;
        let mut limit = None;
        let mut rest = args.cursor(min + 2);
        while rest.left() > 0 {
            if show && rest.accept("WITHSCORES") {
                with_scores = true;
            } else if rest.left() > 2 && rest.accept("LIMIT") {
                limit = Some((rest.int()?, rest.int()?));
            } else if rev.is_none() && rest.accept("REV") {
                rev = Some(true);
            } else if order.is_none() && rest.accept("BYLEX") {
                order = Some(Order::Lex);
            } else if order.is_none() && rest.accept("BYSCORE") {
                order = Some(Order::Score);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        let rev = rev.unwrap_or(false);
        let order = order.unwrap_or(Order::Rank);
        if order == Order::Rank && limit.is_some_and(|(_, count)| count != -1) {
            return Err(CmdError::msg(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if order == Order::Lex && with_scores {
            return Err(CmdError::msg(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (first, second) = (args.get(min), args.get(min + 1));
        let (low, high) = if rev { (second, first) } else { (first, second) };
        let bounds = match order {
            Order::Rank => Bounds::Rank(args.int(min)?, args.int(min + 1)?),
            Order::Score => Bounds::Score(bounds::scores(low, high)?),
            Order::Lex => {
                let (low, high) = bounds::members(low, high)?;
                Bounds::Lex(low, high)
            }
        };
        Ok(Self {
            bounds,
            rev,
            with_scores,
            limit,
        })
    }

    /// The ascending ranks of what is asked for.
    fn ranks(&self, set: &Zset) -> Range<usize> {
        match self.bounds {
            Bounds::Rank(start, stop) => {
                let range = bounds::ranks(start, stop, set.len());
                if self.rev {
                    set.len() - range.end..set.len() - range.start
                } else {
                    range
                }
            }
            Bounds::Score(range) => self.cut(set.score_range(&range)),
            Bounds::Lex(min, max) => self.cut(set.lex_range(min, max)),
        }
    }

    /// Cuts ranks to LIMIT, which counts from the end that is shown first.
    fn cut(&self, range: Range<usize>) -> Range<usize> {
        let Some((offset, count)) = self.limit else {
            return range;
        };
        let Ok(offset) = usize::try_from(offset) else {
            return range.start..range.start;
        };
        let offset = offset.min(range.len());
        let left = range.len() - offset;
        let count = usize::try_from(count).map_or(left, |count| count.min(left));
        if self.rev {
            let end = range.end - offset;
            end - count..end
        } else {
            let start = range.start + offset;
            start..start + count
        }
    }
}
