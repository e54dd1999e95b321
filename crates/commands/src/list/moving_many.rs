//! LMOVEM and BLMOVEM: <https://redis.io/commands/lmovem>. They came with Redis 8.10.

use holdfast_storage::types::list::{End, List};

use super::ends::{end_word, popped, pushed, take_end};
use super::mpop::at_least_one;
use crate::args::{Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx, Outcome, TimeoutReply, Wait};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::timeout;

/// `LMOVEM source destination <LEFT|RIGHT> <LEFT|RIGHT> [<COUNT count|EXACTLY count> <OBO|BULK>]`
pub(crate) const LMOVEM: Command = Command {
    spec: &Spec {
        name: "lmovem",
        arity: -5,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: LIST),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE)),
            KeySpec::one(2, flags!(KeyFlags: RW, INSERT)),
        ],
        group: Group::List,
        since: "8.10.0",
        summary: "Moves several elements from one end of a list to an end of another.",
        complexity: "O(N), N: elements moved",
        args: &[
            Arg::key("source", 0),
            Arg::key("destination", 1),
            FROM,
            TO,
            HOW_MANY,
        ],
        ..Spec::DEFAULT
    },
    run: lmovem,
};

/// `BLMOVEM source destination <LEFT|RIGHT> <LEFT|RIGHT> timeout [<COUNT count|EXACTLY count> <OBO|BULK>]`
pub(crate) const BLMOVEM: Command = Command {
    spec: &Spec {
        name: "blmovem",
        arity: -6,
        flags: flags!(Flags: WRITE, DENYOOM, BLOCKING),
        acl: flags!(Acl: LIST),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE)),
            KeySpec::one(2, flags!(KeyFlags: RW, INSERT)),
        ],
        group: Group::List,
        since: "8.10.0",
        summary: "Moves several elements from one end of a list to an end of another, waiting for them if need be.",
        complexity: "O(N), N: elements moved",
        args: &[
            Arg::key("source", 0),
            Arg::key("destination", 1),
            FROM,
            TO,
            Arg::double("timeout"),
            HOW_MANY,
        ],
        ..Spec::DEFAULT
    },
    run: blmovem,
};

const ENDS: &[Arg] = &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")];
const FROM: Arg = Arg::one_of("wherefrom", ENDS);
const TO: Arg = Arg::one_of("whereto", ENDS);
const HOW_MANY: Arg = Arg::block(
    "how-many",
    &[
        Arg::one_of(
            "selector",
            &[
                Arg::integer("count").token("COUNT"),
                Arg::integer("exactly").token("EXACTLY"),
            ],
        ),
        Arg::one_of("ordering", &[Arg::word("obo", "OBO"), Arg::word("bulk", "BULK")]),
    ],
)
.opt();

/// What to move.
#[derive(Clone, Copy, Debug)]
struct Move {
    from: End,
    to: End,
    count: usize,
    /// All of them or none.
    exactly: bool,
    /// They keep their order; otherwise they are moved one by one.
    bulk: bool,
}

impl Move {
    fn parse(ends: Cursor<'_>, rest: Cursor<'_>) -> Result<Self, CmdError> {
        let (mut ends, mut rest) = (ends, rest);
        let mut what = Self {
            from: take_end(&mut ends)?,
            to: take_end(&mut ends)?,
            count: 1,
            exactly: false,
            bulk: false,
        };
        if rest.left() > 0 {
            what.exactly = rest.accept("EXACTLY");
            if !what.exactly && !rest.accept("COUNT") {
                return Err(CmdError::Syntax);
            }
            what.count = at_least_one(rest.word()?, "ERR count should be greater than 0")?;
            what.bulk = rest.accept("BULK");
            if !what.bulk && !rest.accept("OBO") {
                return Err(CmdError::Syntax);
            }
        }
        rest.end()?;
        Ok(what)
    }
}

fn lmovem(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let what = Move::parse(args.cursor(3), args.cursor(5))?;
    if !move_elements(ctx, args, what)? {
        if what.exactly {
            ctx.reply.null_array();
        } else {
            ctx.reply.array(0);
        }
    }
    Ok(Outcome::Done)
}

fn blmovem(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let what = Move::parse(args.cursor(3), args.cursor(6))?;
    let timeout_ms = timeout::parse(args.get(5), ctx.data.now_ms)?;
    if move_elements(ctx, args, what)? {
        return Ok(Outcome::Done);
    }
    if ctx.may_block {
        return Ok(Outcome::Block(Wait {
            keys: 1..2,
            timeout_ms,
            on_timeout: TimeoutReply::NullArray,
            resolved: Vec::new(),
        }));
    }
    ctx.reply.null_array();
    Ok(Outcome::Done)
}

/// Moves elements from argument 1 to argument 2 and writes them as they then stand; false: there are not enough, and
/// nothing is written. The destination's type does not matter then.
fn move_elements(ctx: &mut Ctx<'_, '_>, args: Args<'_>, what: Move) -> Result<bool, CmdError> {
    let (source, destination) = (args.get(1), args.get(2));
    let limits = &ctx.limits.list;
    let Some(mut list) = ctx.data.edit::<List>(source)? else {
        return Ok(false);
    };
    if what.exactly && list.len() < what.count {
        list.unchanged();
        return Ok(false);
    }
    let count = what.count.min(list.len());
    let mut elements: Vec<Vec<u8>> = list
        .iter_end(what.from)
        .take(count)
        .map(|item| item.to_vec())
        .collect();
    // As they were taken; one by one, what is pushed at the front last comes first, and all at once they stand as they
    // stood in the source.
    let reversed = match what.bulk {
        true => what.from == End::Back,
        false => what.to == End::Front,
    };
    if reversed {
        elements.reverse();
    }
    if source == destination {
        list.pop_many(what.from, count, limits, |_| ());
        put(&mut list, what.to, &elements, limits);
        list.finish2(pushed(what.to), popped(what.from), 1);
    } else {
        list.unchanged();
        // Events come in the order of LMOVE: the push before the pop.
        let mut list = ctx.data.edit_or_create::<List>(destination)?;
        put(&mut list, what.to, &elements, limits);
        list.finish(pushed(what.to), 1);
        if let Some(mut list) = ctx.data.edit::<List>(source)? {
            list.pop_many(what.from, count, limits, |_| ());
            list.finish(popped(what.from), 1);
        }
        ctx.data.effects.dirty -= 1; // one change, of two keys
    }
    ctx.reply.array(count);
    elements.iter().for_each(|element| ctx.reply.bulk(element));
    let mut text = itoa::Buffer::new();
    ctx.log.rewrite(&[
        b"LMOVEM",
        source,
        destination,
        end_word(what.from),
        end_word(what.to),
        b"COUNT",
        text.format(count).as_bytes(),
        if what.bulk { b"BULK" } else { b"OBO" },
    ]);
    Ok(true)
}

/// Puts elements at one end, where they stand in this order.
fn put(list: &mut List, end: End, elements: &[Vec<u8>], limits: &holdfast_storage::types::list::ListLimits) {
    match end {
        End::Back => elements
            .iter()
            .for_each(|element| list.push_back(element, limits)),
        End::Front => elements
            .iter()
            .rev()
            .for_each(|element| list.push_front(element, limits)),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn the_examples_of_the_documentation() {
        let mut f = Fixture::new();
        f.check(&[
            ("RPUSH mylist 1 2 3 4", ":4"),
            ("LMOVEM mylist myotherlist LEFT LEFT COUNT 2 OBO", "*2 $1 2 $1 1"),
            ("LRANGE mylist 0 -1", "*2 $1 3 $1 4"),
            ("LRANGE myotherlist 0 -1", "*2 $1 2 $1 1"),
            ("LMOVEM mylist myotherlist LEFT LEFT EXACTLY 5 BULK", "*-1"),
            ("RPUSH somelist a b c", ":3"),
            ("LMOVEM somelist somelist LEFT LEFT EXACTLY 2 OBO", "*2 $1 b $1 a"),
            ("LRANGE somelist 0 -1", "*3 $1 b $1 a $1 c"),
            ("LMOVEM missing d LEFT LEFT", "*0"),
            ("LMOVEM missing d LEFT LEFT COUNT 2 BULK", "*0"),
            ("LMOVEM missing d LEFT LEFT EXACTLY 2 BULK", "*-1"),
        ]);
    }

    #[test]
    fn ends_and_orders() {
        for (words, moved, list, other) in [
            ("LEFT LEFT COUNT 2 BULK", "a b", "c d", "a b x"),
            ("LEFT RIGHT COUNT 2 BULK", "a b", "c d", "x a b"),
            ("RIGHT LEFT COUNT 2 BULK", "c d", "a b", "c d x"),
            ("RIGHT RIGHT COUNT 2 BULK", "c d", "a b", "x c d"),
            ("LEFT LEFT COUNT 2 OBO", "b a", "c d", "b a x"),
            ("LEFT RIGHT COUNT 2 OBO", "a b", "c d", "x a b"),
            ("RIGHT LEFT COUNT 2 OBO", "c d", "a b", "c d x"),
            ("RIGHT RIGHT EXACTLY 2 OBO", "d c", "a b", "x d c"),
            ("right left", "d", "a b c", "d x"),
        ] {
            let mut f = Fixture::new();
            let array = |words: &str| {
                let all: Vec<_> = words.split(' ').map(|word| format!("$1 {word}")).collect();
                format!("*{} {}", all.len(), all.join(" "))
            };
            f.run("RPUSH l a b c d");
            f.run("RPUSH o x");
            assert_eq!(f.run(&format!("LMOVEM l o {words}")), array(moved), "{words}");
            assert_eq!(f.run("LRANGE l 0 -1"), array(list), "{words}");
            assert_eq!(f.run("LRANGE o 0 -1"), array(other), "{words}");
            let log = f.log();
            let mut replica = Fixture::new();
            log.split("; ").for_each(|line| drop(replica.run(line)));
            assert_eq!(replica.run("LRANGE o 0 -1"), array(other), "{log}");
        }
    }

    #[test]
    fn effects_and_waiting() {
        let mut f = Fixture::new();
        f.check_effects(&[
            ("RPUSH l a b c", "=", "rpush l", 3),
            (
                "LMOVEM l o LEFT RIGHT COUNT 9 BULK",
                "LMOVEM l o LEFT RIGHT COUNT 3 BULK",
                "rpush o; lpop l; del l",
                1,
            ),
            (
                "BLMOVEM o o RIGHT LEFT 0 EXACTLY 2 OBO",
                "LMOVEM o o RIGHT LEFT COUNT 2 OBO",
                "lpush o; rpop o",
                1,
            ),
            ("LMOVEM o l LEFT LEFT EXACTLY 4 BULK", "", "", 0),
        ]);
        f.check(&[
            ("LRANGE o 0 -1", "*3 $1 b $1 c $1 a"),
            (
                "BLMOVEM o l LEFT LEFT 2 EXACTLY 4 BULK",
                "(waits for o, 2000 ms, NullArray)",
            ),
            (
                "BLMOVEM none l LEFT LEFT 0 COUNT 4 BULK",
                "(waits for none, for ever, NullArray)",
            ),
        ]);
        f.may_block = false;
        f.check(&[("BLMOVEM none l LEFT LEFT 0", "*-1")]);
    }

    #[test]
    fn who_waits_for_several_elements_is_asked_at_each_push() {
        let mut f = Fixture::new();
        f.run("RPUSH l a");
        let shard = f.keyspace.shard_of(f.keyspace.hash(b"l").slot);
        f.with_data(|data| data.locked().shard(shard).wait_for(0, b"l"));
        for push in ["RPUSH l b", "LINSERT l AFTER b c", "LMOVE l l LEFT RIGHT"] {
            f.effects.ready.clear();
            f.run(push);
            assert_eq!(f.effects.ready.len(), 1, "{push}");
        }
    }

    #[test]
    fn errors() {
        let syntax = "-ERR syntax error";
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        Fixture::new().check(&[
            ("SET text v", "+OK"),
            ("RPUSH l a", ":1"),
            ("LMOVEM l o UP LEFT", syntax),
            ("LMOVEM l o LEFT LEFT COUNT 1", syntax),
            ("LMOVEM l o LEFT LEFT OBO", syntax),
            ("LMOVEM l o LEFT LEFT COUNT 1 OBO x", syntax),
            (
                "LMOVEM l o LEFT LEFT COUNT 0 OBO",
                "-ERR count should be greater than 0",
            ),
            (
                "LMOVEM l o LEFT LEFT EXACTLY x OBO",
                "-ERR count should be greater than 0",
            ),
            (
                "BLMOVEM l o LEFT LEFT x",
                "-ERR timeout is not a float or out of range",
            ),
            ("BLMOVEM l o LEFT LEFT -1", "-ERR timeout is negative"),
            ("LMOVEM text o LEFT LEFT", wrong),
            ("LMOVEM l text LEFT LEFT", wrong),
            ("LMOVEM missing text LEFT LEFT", "*0"),
            ("LLEN l", ":1"),
        ]);
    }
}
