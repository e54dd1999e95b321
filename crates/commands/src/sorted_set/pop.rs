//! ZPOPMIN, ZPOPMAX, ZMPOP and their blocking forms.

use std::ops::Range;

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::types::zset::Zset;

use super::reply;
use crate::args::{self, Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx, Outcome, TimeoutReply, Wait};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::timeout;

/// `ZPOPMIN key [count]`
pub(crate) const ZPOPMIN: Command = Command {
    spec: &Spec {
        name: "zpopmin",
        arity: -2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::SortedSet,
        since: "5.0.0",
        summary: "Pops the members with the lowest scores.",
        complexity: "O(M*log(N)), N: members of the set, M: members popped",
        args: &[Arg::key("key", 0), Arg::integer("count").opt()],
        ..Spec::DEFAULT
    },
    run: zpopmin,
};

/// `ZPOPMAX key [count]`
pub(crate) const ZPOPMAX: Command = Command {
    spec: &Spec {
        name: "zpopmax",
        arity: -2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::SortedSet,
        since: "5.0.0",
        summary: "Pops the members with the highest scores.",
        complexity: "O(M*log(N)), N: members of the set, M: members popped",
        args: &[Arg::key("key", 0), Arg::integer("count").opt()],
        ..Spec::DEFAULT
    },
    run: zpopmax,
};

/// `BZPOPMIN key [key ...] timeout`
pub(crate) const BZPOPMIN: Command = Command {
    spec: &Spec {
        name: "bzpopmin",
        arity: -3,
        flags: flags!(Flags: WRITE, BLOCKING, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::range(1, -2, 1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::SortedSet,
        since: "5.0.0",
        summary: "Pops the member with the lowest score from the first sorted set that has one, waiting if need be.",
        complexity: "O(log(N)), N: members of the set",
        args: &[Arg::key("key", 0).multi(), Arg::double("timeout")],
        ..Spec::DEFAULT
    },
    run: bzpopmin,
};

/// `BZPOPMAX key [key ...] timeout`
pub(crate) const BZPOPMAX: Command = Command {
    spec: &Spec {
        name: "bzpopmax",
        arity: -3,
        flags: flags!(Flags: WRITE, BLOCKING, FAST),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::range(1, -2, 1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::SortedSet,
        since: "5.0.0",
        summary: "Pops the member with the highest score from the first sorted set that has one, waiting if need be.",
        complexity: "O(log(N)), N: members of the set",
        args: &[Arg::key("key", 0).multi(), Arg::double("timeout")],
        ..Spec::DEFAULT
    },
    run: bzpopmax,
};

/// `ZMPOP numkeys key [key ...] <MIN|MAX> [COUNT count]`
pub(crate) const ZMPOP: Command = Command {
    spec: &Spec {
        name: "zmpop",
        arity: -4,
        flags: flags!(Flags: WRITE, MOVABLEKEYS),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::counted(1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::SortedSet,
        since: "7.0.0",
        summary: "Pops members with the lowest or highest scores from the first sorted set that has some.",
        complexity: "O(K)+O(M*log(N)), K: keys, N: members of the set, M: members popped",
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::one_of("where", &[Arg::word("min", "MIN"), Arg::word("max", "MAX")]),
            Arg::integer("count").token("COUNT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: zmpop,
};

/// `BZMPOP timeout numkeys key [key ...] <MIN|MAX> [COUNT count]`
pub(crate) const BZMPOP: Command = Command {
    spec: &Spec {
        name: "bzmpop",
        arity: -5,
        flags: flags!(Flags: WRITE, BLOCKING, MOVABLEKEYS),
        acl: flags!(Acl: SORTEDSET),
        keys: &[KeySpec::counted(2, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::SortedSet,
        since: "7.0.0",
        summary: "Pops members with the lowest or highest scores from the first sorted set that has some, waiting if need be.",
        complexity: "O(K)+O(M*log(N)), K: keys, N: members of the set, M: members popped",
        args: &[
            Arg::double("timeout"),
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::one_of("where", &[Arg::word("min", "MIN"), Arg::word("max", "MAX")]),
            Arg::integer("count").token("COUNT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: bzmpop,
};

/// From which end members are popped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

impl End {
    fn event(self) -> Event {
        Event(
            Class::Zset,
            match self {
                Self::Min => "zpopmin",
                Self::Max => "zpopmax",
            },
        )
    }

    /// The command that pops from here.
    fn command(self) -> &'static [u8] {
        match self {
            Self::Min => b"ZPOPMIN",
            Self::Max => b"ZPOPMAX",
        }
    }

    fn parse(word: &[u8]) -> Result<Self, CmdError> {
        if word.eq_ignore_ascii_case(b"MIN") {
            Ok(Self::Min)
        } else if word.eq_ignore_ascii_case(b"MAX") {
            Ok(Self::Max)
        } else {
            Err(CmdError::Syntax)
        }
    }
}

/// What stands around the popped members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Members and scores in one array.
    Flat,
    /// An array of pairs.
    Pairs,
    /// Key, member, score.
    KeyAndOne,
    /// Key, and an array of pairs.
    KeyAndPairs,
}

fn zpopmin(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    pop(ctx, args, End::Min)
}

fn zpopmax(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    pop(ctx, args, End::Max)
}

fn bzpopmin(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    pop_or_wait(ctx, args, End::Min)
}

fn bzpopmax(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    pop_or_wait(ctx, args, End::Max)
}

fn pop(ctx: &mut Ctx<'_, '_>, args: Args<'_>, end: End) -> CmdResult {
    if args.len() > 3 {
        return Err(CmdError::Syntax);
    }
    let count = match args.opt(2) {
        None => None,
        Some(text) => {
            let count = args::int(text).ok().and_then(|count| u64::try_from(count).ok());
            Some(count.ok_or(CmdError::NotPositive)?)
        }
    };
    let shape = if count.is_some() && ctx.resp3() {
        Shape::Pairs
    } else {
        Shape::Flat
    };
    if pop_from(ctx, args.get(1), end, count.unwrap_or(1), shape)? == 0 {
        ctx.reply.array(0);
    }
    Ok(Outcome::Done)
}

fn pop_or_wait(ctx: &mut Ctx<'_, '_>, args: Args<'_>, end: End) -> CmdResult {
    let last = args.len() - 1;
    let timeout_ms = timeout::parse(args.get(last), ctx.data.now_ms)?;
    for i in 1..last {
        let key = args.get(i);
        if pop_from(ctx, key, end, 1, Shape::KeyAndOne)? > 0 {
            ctx.log.rewrite(&[end.command(), key]);
            return Ok(Outcome::Done);
        }
    }
    Ok(wait(ctx, 1..last, timeout_ms))
}

fn zmpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let request = Request::parse(args, 1)?;
    if !request.pop(ctx, args)? {
        ctx.reply.null_array();
    }
    Ok(Outcome::Done)
}

fn bzmpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let request = Request::parse(args, 2)?;
    let timeout_ms = timeout::parse(args.get(1), ctx.data.now_ms)?;
    if request.pop(ctx, args)? {
        return Ok(Outcome::Done);
    }
    Ok(wait(ctx, request.keys, timeout_ms))
}

/// Waits for the keys, or tells that nothing is there where waiting is not possible.
fn wait(ctx: &mut Ctx<'_, '_>, keys: Range<usize>, timeout_ms: Option<u64>) -> Outcome {
    if ctx.may_block {
        return Outcome::Block(Wait {
            keys,
            timeout_ms,
            on_timeout: TimeoutReply::NullArray,
            resolved: Vec::new(),
        });
    }
    ctx.reply.null_array();
    Outcome::Done
}

/// `numkeys key [key ...] MIN|MAX [COUNT count]`
struct Request {
    keys: Range<usize>,
    end: End,
    count: u64,
}

impl Request {
    fn parse(args: Args<'_>, at: usize) -> Result<Self, CmdError> {
        let positive = |text: &[u8], error: &'static str| match args::int(text) {
            Ok(n) if n > 0 => Ok(n as u64),
            Ok(_) | Err(_) => Err(CmdError::msg(error)),
        };
        let numkeys = positive(args.get(at), "ERR numkeys should be greater than 0")?;
        let numkeys = usize::try_from(numkeys).unwrap_or(usize::MAX);
        let first = at + 1;
        let end_at = first.saturating_add(numkeys);
        let end = End::parse(args.opt(end_at).ok_or(CmdError::Syntax)?)?;
        let mut count = None;
        let mut rest: Cursor<'_> = args.cursor(end_at + 1);
        while rest.left() > 0 {
            if count.is_some() || rest.left() < 2 || !rest.accept("COUNT") {
                return Err(CmdError::Syntax);
            }
            count = Some(positive(rest.word()?, "ERR count should be greater than 0")?);
        }
        Ok(Self {
            keys: first..end_at,
            end,
            count: count.unwrap_or(1),
        })
    }

    /// Pops from the first key that has members. False: none has.
    fn pop(&self, ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<bool, CmdError> {
        for i in self.keys.clone() {
            let key = args.get(i);
            let popped = pop_from(ctx, key, self.end, self.count, Shape::KeyAndPairs)?;
            if popped > 0 {
                let mut count = itoa::Buffer::new();
                ctx.log
                    .rewrite(&[self.end.command(), key, count.format(popped).as_bytes()]);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Pops up to `count` members of one key and writes them. 0: there are none, or none are asked for, and nothing was
/// written.
fn pop_from(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    end: End,
    count: u64,
    shape: Shape,
) -> Result<usize, CmdError> {
    let Some(mut set) = ctx.data.edit::<Zset>(key)? else {
        return Ok(0);
    };
    let len = set.len();
    let n = usize::try_from(count).map_or(len, |count| count.min(len));
    if n == 0 {
        set.unchanged();
        return Ok(0);
    }
    let reply = &mut *ctx.reply;
    let pairs = match shape {
        Shape::Flat => {
            reply.array(n * 2);
            false
        }
        Shape::Pairs => {
            reply.array(n);
            true
        }
        Shape::KeyAndOne => {
            reply.array(3);
            reply.bulk(key);
            false
        }
        Shape::KeyAndPairs => {
            reply.array(2);
            reply.bulk(key);
            reply.array(n);
            true
        }
    };
    let mut each = |member: Item<'_>, score: f64| {
        if pairs {
            reply.array(2);
        }
        reply::member(reply, member);
        reply.double(score);
    };
    match end {
        End::Min => {
            set.remove_range(0..n, each);
        }
        End::Max => {
            let ranks = len - n..len;
            set.range(ranks.clone())
                .rev()
                .for_each(|(member, score)| each(member, score));
            set.remove_range(ranks, |_, _| {});
        }
    }
    set.finish(end.event(), n as u64);
    Ok(n)
}
