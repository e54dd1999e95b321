//! ZADD and ZINCRBY: <https://redis.io/commands/zadd>.

use holdfast_storage::data::{Data, Edit, WrongType};
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::zset::{self, Zset};

use smallvec::SmallVec;

use crate::args::{self, Args};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]`
pub(crate) const ZADD: Command = Command {
    spec: &Spec {
        name: "zadd",
        arity: -4,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Adds members with scores, or changes their scores.",
        complexity: "O(log(N)) per member, N: members of the set",
        args: &[
            Arg::key("key", 0),
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")])
                .opt()
                .since("3.0.2"),
            Arg::one_of("comparison", &[Arg::word("gt", "GT"), Arg::word("lt", "LT")])
                .opt()
                .since("6.2.0"),
            Arg::word("change", "CH").opt().since("3.0.2"),
            Arg::word("increment", "INCR").opt().since("3.0.2"),
            Arg::block("score_member", &[Arg::double("score"), Arg::string("member")]).multi(),
        ],
        ..Spec::DEFAULT
    },
    run: zadd,
};

/// `ZINCRBY key increment member`
pub(crate) const ZINCRBY: Command = Command {
    spec: &Spec {
        name: "zincrby",
        arity: 4,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Adds to the score of a member.",
        complexity: "O(log(N)), N: members of the set",
        args: &[
            Arg::key("key", 0),
            Arg::integer("increment"),
            Arg::string("member"),
        ],
        ..Spec::DEFAULT
    },
    run: zincrby,
};

/// The words before the scores.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    pub nx: bool,
    pub xx: bool,
    pub gt: bool,
    pub lt: bool,
    pub ch: bool,
    pub incr: bool,
}

impl Options {
    /// The score that a member gets, if any. `old`: the one it has.
    fn decide(self, old: Option<f64>, given: f64) -> Result<Option<f64>, CmdError> {
        let Some(old) = old else {
            return Ok((!self.xx).then_some(given));
        };
        if self.nx {
            return Ok(None);
        }
        let score = if self.incr { old + given } else { given };
        if score.is_nan() {
            return Err(CmdError::ScoreNan);
        }
        let refused = (self.gt && score <= old) || (self.lt && score >= old);
        Ok((!refused).then_some(score))
    }
}

fn zadd(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    add(ctx, args, Options::default())
}

/// The words of ZADD are understood here too, as in Redis, although nobody documents them.
fn zincrby(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let options = Options {
        incr: true,
        ..Options::default()
    };
    add(ctx, args, options)
}

/// Adds the pairs of score and member that follow the words.
fn add(ctx: &mut Ctx<'_, '_>, args: Args<'_>, mut options: Options) -> CmdResult {
    let mut rest = args.cursor(2);
    loop {
        if rest.accept("NX") {
            options.nx = true;
        } else if rest.accept("XX") {
            options.xx = true;
        } else if rest.accept("CH") {
            options.ch = true;
        } else if rest.accept("INCR") {
            options.incr = true;
        } else if rest.accept("GT") {
            options.gt = true;
        } else if rest.accept("LT") {
            options.lt = true;
        } else {
            break;
        }
    }
    let first = rest.at();
    let pairs = args.pairs(first);
    let count = args.len() - first;
    if count == 0 || !count.is_multiple_of(2) {
        return Err(CmdError::Syntax);
    }
    if options.nx && options.xx {
        return Err(CmdError::msg(
            "ERR XX and NX options at the same time are not compatible",
        ));
    }
    if (options.nx && (options.gt || options.lt)) || (options.gt && options.lt) {
        return Err(CmdError::msg(
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ));
    }
    if options.incr && pairs.len() > 1 {
        return Err(CmdError::msg(
            "ERR INCR option supports a single increment-element pair",
        ));
    }
    let pairs = pairs
        .map(|(score, member)| Ok((args::float(score)?, member)))
        .collect::<Result<Pairs<'_>, CmdError>>()?;
    apply(ctx, args.get(1), &pairs, options)
}

/// Scores and members; one pair needs no allocation.
pub(crate) type Pairs<'a> = SmallVec<[(f64, &'a [u8]); 1]>;

/// Adds members with scores that are no NaN, and answers.
pub(crate) fn apply(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    pairs: &[(f64, &[u8])],
    options: Options,
) -> CmdResult {
    let limits = ctx.limits.zset;
    let Some(mut set) = open(&mut ctx.data, key, options.xx)? else {
        return if options.incr {
            ctx.done_null()
        } else {
            ctx.done_int(0)
        };
    };
    let (mut added, mut updated) = (0, 0);
    let mut result = None;
    for &(given, member) in pairs {
        let old = if options.nx || options.xx || options.gt || options.lt || options.incr {
            set.score(member)
        } else {
            None
        };
        let decided = match options.decide(old, given) {
            Ok(decided) => decided,
            Err(error) => {
                // Only INCR can fail, and it has one pair: nothing was changed.
                set.unchanged();
                return Err(error);
            }
        };
        let Some(score) = decided else {
            continue;
        };
        result = Some(score);
        match set.insert(member, score, &limits) {
            zset::Outcome::Added => added += 1,
            zset::Outcome::Updated => updated += 1,
            zset::Outcome::Unchanged => {}
        }
    }
    if added + updated > 0 {
        let name = if options.incr { "zincr" } else { "zadd" };
        set.finish(Event(Class::Zset, name), added + updated);
    } else {
        set.unchanged();
    }
    match (options.incr, result) {
        (true, Some(score)) => ctx.reply.double(score),
        (true, None) => ctx.reply.null(),
        (false, _) if options.ch => ctx.reply.int((added + updated) as i64),
        (false, _) => ctx.reply.int(added as i64),
    }
    Ok(Outcome::Done)
}

/// The set, or a new one unless `only_existing`.
fn open<'d>(
    data: &'d mut Data<'_, '_>,
    key: &'d [u8],
    only_existing: bool,
) -> Result<Option<Edit<'d, Zset>>, WrongType> {
    if only_existing {
        data.edit(key)
    } else {
        data.edit_or_create(key).map(Some)
    }
}
