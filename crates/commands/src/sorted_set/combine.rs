//! ZUNION, ZINTER, ZDIFF, their STORE forms, and ZINTERCARD.

use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::types::zset::Zset;

use super::reply;
use super::sources::{self, Aggregate, Members, Source};
use super::store::store;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(crate) const ZUNION: Command = Command {
    spec: &Spec {
        name: "zunion",
        arity: -3,
        flags: flags!(Flags: READONLY, MOVABLEKEYS),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::counted(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Returns the members that any of the sorted sets has.",
        complexity: "O(N)+O(M*log(M)), N: members of all sets, M: members of the result",
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::integer("weight").token("WEIGHTS").opt().multi(),
            Arg::one_of(
                "aggregate",
                &[
                    Arg::word("sum", "SUM"),
                    Arg::word("min", "MIN"),
                    Arg::word("max", "MAX"),
                    Arg::word("count", "COUNT").since("8.8.0"),
                ],
            )
            .token("AGGREGATE")
            .opt(),
            Arg::word("withscores", "WITHSCORES").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: zunion,
};

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]`
pub(crate) const ZUNIONSTORE: Command = Command {
    spec: &Spec {
        name: "zunionstore",
        arity: -4,
        flags: flags!(Flags: WRITE, DENYOOM, MOVABLEKEYS),
        acl: flags!(Acl: SORTEDSET),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: OW, UPDATE)),
            KeySpec::counted(2, flags!(KeyFlags: RO, ACCESS)),
        ],
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Stores the members that any of the sorted sets has.",
        complexity: "O(N)+O(M*log(M)), N: members of all sets, M: members of the result",
        args: &[
            Arg::key("destination", 0),
            Arg::integer("numkeys"),
            Arg::key("key", 1).multi(),
            Arg::integer("weight").token("WEIGHTS").opt().multi(),
            Arg::one_of(
                "aggregate",
                &[
                    Arg::word("sum", "SUM"),
                    Arg::word("min", "MIN"),
                    Arg::word("max", "MAX"),
                    Arg::word("count", "COUNT").since("8.8.0"),
                ],
            )
            .token("AGGREGATE")
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: zunionstore,
};

/// `ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(crate) const ZINTER: Command = Command {
    spec: &Spec {
        name: "zinter",
        arity: -3,
        flags: flags!(Flags: READONLY, MOVABLEKEYS),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::counted(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Returns the members that all sorted sets have.",
        complexity: "O(N*K)+O(M*log(M)), N: members of the smallest set, K: sets, M: members of the result",
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::integer("weight").token("WEIGHTS").opt().multi(),
            Arg::one_of(
                "aggregate",
                &[
                    Arg::word("sum", "SUM"),
                    Arg::word("min", "MIN"),
                    Arg::word("max", "MAX"),
                    Arg::word("count", "COUNT").since("8.8.0"),
                ],
            )
            .token("AGGREGATE")
            .opt(),
            Arg::word("withscores", "WITHSCORES").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: zinter,
};

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]`
pub(crate) const ZINTERSTORE: Command = Command {
    spec: &Spec {
        name: "zinterstore",
        arity: -4,
        flags: flags!(Flags: WRITE, DENYOOM, MOVABLEKEYS),
        acl: flags!(Acl: SORTEDSET),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: OW, UPDATE)),
            KeySpec::counted(2, flags!(KeyFlags: RO, ACCESS)),
        ],
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Stores the members that all sorted sets have.",
        complexity: "O(N*K)+O(M*log(M)), N: members of the smallest set, K: sets, M: members of the result",
        args: &[
            Arg::key("destination", 0),
            Arg::integer("numkeys"),
            Arg::key("key", 1).multi(),
            Arg::integer("weight").token("WEIGHTS").opt().multi(),
            Arg::one_of(
                "aggregate",
                &[
                    Arg::word("sum", "SUM"),
                    Arg::word("min", "MIN"),
                    Arg::word("max", "MAX"),
                    Arg::word("count", "COUNT").since("8.8.0"),
                ],
            )
            .token("AGGREGATE")
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: zinterstore,
};

/// `ZDIFF numkeys key [key ...] [WITHSCORES]`
pub(crate) const ZDIFF: Command = Command {
    spec: &Spec {
        name: "zdiff",
        arity: -3,
        flags: flags!(Flags: READONLY, MOVABLEKEYS),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::counted(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Returns the members of the first sorted set that no other has.",
        complexity: "O(L+(N-K)*log(N)), L: members of all sets, N: of the first, K: of the result",
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::word("withscores", "WITHSCORES").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: zdiff,
};

/// `ZDIFFSTORE destination numkeys key [key ...]`
pub(crate) const ZDIFFSTORE: Command = Command {
    spec: &Spec {
        name: "zdiffstore",
        arity: -4,
        flags: flags!(Flags: WRITE, DENYOOM, MOVABLEKEYS),
        acl: flags!(Acl: SORTEDSET),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: OW, UPDATE)),
            KeySpec::counted(2, flags!(KeyFlags: RO, ACCESS)),
        ],
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Stores the members of the first sorted set that no other has.",
        complexity: "O(L+(N-K)*log(N)), L: members of all sets, N: of the first, K: of the result",
        args: &[
            Arg::key("destination", 0),
            Arg::integer("numkeys"),
            Arg::key("key", 1).multi(),
        ],
        ..Spec::DEFAULT
    },
    run: zdiffstore,
};

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(crate) const ZINTERCARD: Command = Command {
    spec: &Spec {
        name: "zintercard",
        arity: -3,
        flags: flags!(Flags: READONLY, MOVABLEKEYS),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::counted(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::SortedSet,
        since: "7.0.0",
        summary: "Counts the members that all sorted sets have.",
        complexity: "O(N*K), N: members of the smallest set, K: sets",
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::integer("limit").token("LIMIT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: zintercard,
};

fn zunion(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Operation::Union, "zunion")
}

fn zinter(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Operation::Inter, "zinter")
}

fn zdiff(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Operation::Diff, "zdiff")
}

fn zunionstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    keep(ctx, args, Operation::Union, "zunionstore")
}

fn zinterstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    keep(ctx, args, Operation::Inter, "zinterstore")
}

fn zdiffstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    keep(ctx, args, Operation::Diff, "zdiffstore")
}

fn zintercard(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut request = Request::parse(ctx, args, 1, Operation::Inter, Wish::Count, "zintercard")?;
    let count = request.result(ctx).len() as i64;
    let limit = request.limit;
    ctx.done_int(if limit > 0 { count.min(limit) } else { count })
}

fn show(ctx: &mut Ctx<'_, '_>, args: Args<'_>, operation: Operation, name: &str) -> CmdResult {
    let mut request = Request::parse(ctx, args, 1, operation, Wish::Show, name)?;
    let members = sorted(request.result(ctx));
    let scores = request.with_scores;
    reply::begin(ctx.reply, members.len(), scores);
    for (member, score) in &members {
        reply::element(ctx.reply, Item::Bytes(member), *score, scores);
    }
    Ok(Outcome::Done)
}

fn keep(ctx: &mut Ctx<'_, '_>, args: Args<'_>, operation: Operation, name: &'static str) -> CmdResult {
    let mut request = Request::parse(ctx, args, 2, operation, Wish::Store, name)?;
    let mut members = sorted(request.result(ctx));
    // A listpack keeps no sign of 0. A result that cannot be one is none from the start, as in Redis.
    let longest = ctx.limits.zset.max_listpack_value;
    if let Some(long) = members.iter().position(|(member, _)| member.len() > longest) {
        members.swap(0, long);
    }
    let result = Zset::from_unsorted(members, &ctx.limits.zset);
    store(ctx, args.get(1), result, name)
}

fn sorted(mut members: Members) -> Members {
    members.sort_unstable_by(|a, b| {
        let by_score = a.1.partial_cmp(&b.1).expect("scores are never NaN");
        by_score.then_with(|| a.0.cmp(&b.0))
    });
    members
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// What the result is for: decides which words may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Show,
    Store,
    Count,
}

struct Request<'a> {
    operation: Operation,
    sources: Vec<Source<'a>>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: i64,
}

impl<'a> Request<'a> {
    /// Reads `numkeys key [key ...]` from argument `at` on, and the words behind.
    fn parse(
        ctx: &mut Ctx<'_, '_>,
        args: Args<'a>,
        at: usize,
        operation: Operation,
        wish: Wish,
        name: &str,
    ) -> Result<Self, CmdError> {
        let numkeys = args.int(at)?;
        if numkeys < 1 {
            return Err(CmdError::msg(format!(
                "ERR at least 1 input key is needed for '{name}' command"
            )));
        }
        let first = at + 1;
        let numkeys = usize::try_from(numkeys).unwrap_or(usize::MAX);
        if numkeys > args.len() - first {
            return Err(CmdError::Syntax);
        }
        let sources = args
            .from(first)
            .take(numkeys)
            .map(|key| Source::find(&mut ctx.data, key))
            .collect::<Result<Vec<_>, _>>()?;
        let mut request = Self {
            operation,
            sources,
            aggregate: Aggregate::default(),
            with_scores: false,
            limit: 0,
        };
        request.options(args, first + numkeys, wish)?;
        Ok(request)
    }

    fn options(&mut self, args: Args<'_>, at: usize, wish: Wish) -> Result<(), CmdError> {
        let weighted = self.operation != Operation::Diff && wish != Wish::Count;
        let mut rest = args.cursor(at);
        while rest.left() > 0 {
            if weighted && rest.left() > self.sources.len() && rest.accept("WEIGHTS") {
                for source in &mut self.sources {
                    source.weight = rest
                        .float()
                        .map_err(|_| CmdError::msg("ERR weight value is not a float"))?;
                }
            } else if weighted && rest.left() > 1 && rest.accept("AGGREGATE") {
                self.aggregate = if rest.accept("SUM") {
                    Aggregate::Sum
                } else if rest.accept("MIN") {
                    Aggregate::Min
                } else if rest.accept("MAX") {
                    Aggregate::Max
                } else if rest.accept("COUNT") {
                    Aggregate::Count
                } else {
                    return Err(CmdError::Syntax);
                };
            } else if wish == Wish::Show && rest.accept("WITHSCORES") {
                self.with_scores = true;
            } else if wish == Wish::Count && rest.left() > 1 && rest.accept("LIMIT") {
                self.limit = rest
                    .int()
                    .ok()
                    .filter(|limit| *limit >= 0)
                    .ok_or(CmdError::msg("ERR LIMIT can't be negative"))?;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        let counts = self.aggregate == Aggregate::Count;
        self.sources.iter_mut().for_each(|source| source.counts = counts);
        Ok(())
    }

    fn result(&mut self, ctx: &mut Ctx<'_, '_>) -> Members {
        match self.operation {
            Operation::Union => sources::union(&mut ctx.data, &mut self.sources, self.aggregate),
            Operation::Inter => sources::inter(&mut ctx.data, &mut self.sources, self.aggregate),
            Operation::Diff => sources::diff(&mut ctx.data, &self.sources),
        }
    }
}
