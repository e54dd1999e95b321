//! LMPOP, BLMPOP: <https://redis.io/commands/lmpop>.

use holdfast_storage::types::list::{End, List};

use super::ends::{pop_word, popped, take_end, write};
use crate::args::{self, Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx, Outcome, TimeoutReply, Wait};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::timeout;

/// `LMPOP numkeys key [key ...] <LEFT|RIGHT> [COUNT count]`
pub(crate) const LMPOP: Command = Command {
    spec: &Spec {
        name: "lmpop",
        arity: -4,
        flags: flags!(Flags: WRITE, MOVABLEKEYS),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::counted(1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::List,
        since: "7.0.0",
        summary: "Pops elements from the first list that has some.",
        complexity: "O(N+M), N: keys, M: elements popped",
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::one_of("where", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
            Arg::integer("count").token("COUNT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: lmpop,
};

/// `BLMPOP timeout numkeys key [key ...] <LEFT|RIGHT> [COUNT count]`
pub(crate) const BLMPOP: Command = Command {
    spec: &Spec {
        name: "blmpop",
        arity: -5,
        flags: flags!(Flags: WRITE, BLOCKING, MOVABLEKEYS),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::counted(2, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::List,
        since: "7.0.0",
        summary: "Pops elements from the first list that has some, waiting if need be.",
        complexity: "O(N+M), N: keys, M: elements popped",
        args: &[
            Arg::double("timeout"),
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::one_of("where", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
            Arg::integer("count").token("COUNT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: blmpop,
};

fn lmpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let what = What::parse(args.cursor(1))?;
    if !pop_first(ctx, args, &what)? {
        ctx.reply.null_array();
    }
    Ok(Outcome::Done)
}

fn blmpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    // The timeout stands first and is looked at last.
    let what = What::parse(args.cursor(2))?;
    let timeout_ms = timeout::parse(args.get(1), ctx.data.now_ms)?;
    if pop_first(ctx, args, &what)? {
        return Ok(Outcome::Done);
    }
    if ctx.may_block {
        return Ok(Outcome::Block(Wait {
            keys: what.keys,
            timeout_ms,
            on_timeout: TimeoutReply::NullArray,
            resolved: Vec::new(),
        }));
    }
    ctx.reply.null_array();
    Ok(Outcome::Done)
}

/// What to pop from where.
struct What {
    /// Indices of the keys.
    keys: std::ops::Range<usize>,
    end: End,
    count: usize,
}

impl What {
    /// `numkeys key [key ...] <LEFT|RIGHT> [COUNT count]`
    fn parse(mut rest: Cursor<'_>) -> Result<Self, CmdError> {
        let number = at_least_one(rest.word()?, "ERR numkeys should be greater than 0")?;
        let first = rest.at();
        // One more argument than the keys must be there: the end.
        if number >= rest.left() {
            return Err(CmdError::Syntax);
        }
        let keys = first..first + number;
        rest.by_ref().take(number).for_each(drop);
        let end = take_end(&mut rest)?;
        let mut count = 1;
        if rest.left() >= 2 && rest.accept("COUNT") {
            count = at_least_one(rest.word()?, "ERR count should be greater than 0")?;
        }
        rest.end()?;
        Ok(Self { keys, end, count })
    }
}

pub(super) fn at_least_one(text: &[u8], error: &'static str) -> Result<usize, CmdError> {
    args::int(text)
        .ok()
        .and_then(|n| usize::try_from(n).ok())
        .filter(|&n| n > 0)
        .ok_or(CmdError::msg(error))
}

/// Pops from the first key that has elements; false: none has, and nothing is written.
fn pop_first(ctx: &mut Ctx<'_, '_>, args: Args<'_>, what: &What) -> Result<bool, CmdError> {
    let limits = &ctx.limits.list;
    for i in what.keys.clone() {
        let key = args.get(i);
        let Some(mut list) = ctx.data.edit::<List>(key)? else {
            continue;
        };
        let count = what.count.min(list.len());
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        ctx.reply.array(count);
        list.pop_many(what.end, count, limits, |item| write(ctx.reply, item));
        list.finish(popped(what.end), count as u64);
        let mut text = itoa::Buffer::new();
        ctx.log
            .rewrite(&[pop_word(what.end), key, text.format(count).as_bytes()]);
        return Ok(true);
    }
    Ok(false)
}
