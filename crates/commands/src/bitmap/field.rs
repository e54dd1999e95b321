//! BITFIELD and BITFIELD_RO: <https://redis.io/commands/bitfield>.

use holdfast_resp::Reply;
use holdfast_storage::bitfield::{FieldType, Overflow};
use smallvec::SmallVec;

use crate::args::{Args, Cursor};
use crate::bitmap::EVENT;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::limits::Limits;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::raw;

/// `BITFIELD key [GET encoding offset|[OVERFLOW WRAP|SAT|FAIL] <SET encoding offset value|INCRBY encoding offset increment> [...]]`
pub(crate) const BITFIELD: Command = Command {
    spec: &Spec {
        name: "bitfield",
        arity: -2,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: BITMAP),
        keys: &[KeySpec {
            notes: "the operations decide between reading and changing",
            ..KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE, VARIABLE_FLAGS))
        }],
        group: Group::Bitmap,
        since: "3.2.0",
        summary: "Reads, writes and increments integers of any bit width inside a string.",
        complexity: "O(1) per operation",
        args: &[
            Arg::key("key", 0),
            Arg::one_of(
                "operation",
                &[
                    Arg::block(
                        "encoding_offset",
                        &[Arg::string("encoding"), Arg::integer("offset")],
                    )
                    .token("GET"),
                    Arg::block(
                        "write",
                        &[
                            Arg::one_of(
                                "wrap_sat_fail",
                                &[
                                    Arg::word("wrap", "WRAP"),
                                    Arg::word("sat", "SAT"),
                                    Arg::word("fail", "FAIL"),
                                ],
                            )
                            .token("OVERFLOW")
                            .opt(),
                            Arg::one_of(
                                "write_operation",
                                &[
                                    Arg::block(
                                        "encoding_offset_value",
                                        &[
                                            Arg::string("encoding"),
                                            Arg::integer("offset"),
                                            Arg::integer("value"),
                                        ],
                                    )
                                    .token("SET"),
                                    Arg::block(
                                        "encoding_offset_increment",
                                        &[
                                            Arg::string("encoding"),
                                            Arg::integer("offset"),
                                            Arg::integer("increment"),
                                        ],
                                    )
                                    .token("INCRBY"),
                                ],
                            ),
                        ],
                    ),
                ],
            )
            .opt()
            .multi(),
        ],
        ..Spec::DEFAULT
    },
    run: bitfield,
};

/// `BITFIELD_RO key [GET encoding offset [GET encoding offset ...]]`
pub(crate) const BITFIELD_RO: Command = Command {
    spec: &Spec {
        name: "bitfield_ro",
        arity: -2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: BITMAP),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Bitmap,
        since: "6.0.0",
        summary: "Reads integers of any bit width inside a string.",
        complexity: "O(1) per operation",
        args: &[
            Arg::key("key", 0),
            Arg::block(
                "encoding_offset",
                &[Arg::string("encoding"), Arg::integer("offset")],
            )
            .token("GET")
            .opt()
            .multi_token(),
        ],
        ..Spec::DEFAULT
    },
    run: bitfield_ro,
};

/// One integer, and what is done to it.
#[derive(Clone, Copy, Debug)]
struct Operation {
    field: FieldType,
    /// Of its first bit.
    offset: u64,
    action: Action,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64, Overflow),
    IncrBy(i64, Overflow),
}

type Operations = SmallVec<[Operation; 4]>;

fn bitfield(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let operations = parse(ctx.limits, args.cursor(2))?;
    let Some(needed) = needed_len(&operations) else {
        return read(ctx, args.get(1), &operations);
    };
    let reply = &mut *ctx.reply;
    let touches = first_byte(&operations) as usize..needed as usize;
    raw::change_if(&mut ctx.data, args.get(1), EVENT, touches, |text| {
        let mut changed = raw::grow(text, needed as usize);
        reply.array(operations.len());
        for operation in &operations {
            changed |= operation.perform(text, reply);
        }
        (changed, ())
    })?;
    Ok(Outcome::Done)
}

fn bitfield_ro(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let operations = parse(ctx.limits, args.cursor(2))?;
    if needed_len(&operations).is_some() {
        return Err(CmdError::msg("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(ctx, args.get(1), &operations)
}

fn parse(limits: &Limits, mut rest: Cursor<'_>) -> Result<Operations, CmdError> {
    let mut operations = Operations::new();
    let mut overflow = Overflow::Wrap;
    while rest.left() > 0 {
        let left = rest.left() - 1;
        if left >= 2 && rest.accept("GET") {
            operations.push(operation(limits, &mut rest, |_| Ok(Action::Get))?);
        } else if left >= 3 && rest.accept("SET") {
            let set = |rest: &mut Cursor<'_>| Ok(Action::Set(rest.int()?, overflow));
            operations.push(operation(limits, &mut rest, set)?);
        } else if left >= 3 && rest.accept("INCRBY") {
            let add = |rest: &mut Cursor<'_>| Ok(Action::IncrBy(rest.int()?, overflow));
            operations.push(operation(limits, &mut rest, add)?);
        } else if left >= 1 && rest.accept("OVERFLOW") {
            overflow = if rest.accept("WRAP") {
                Overflow::Wrap
            } else if rest.accept("SAT") {
                Overflow::Sat
            } else if rest.accept("FAIL") {
                Overflow::Fail
            } else {
                return Err(CmdError::msg("ERR Invalid OVERFLOW type specified"));
            };
        } else {
            return Err(CmdError::Syntax);
        }
    }
    Ok(operations)
}

fn operation(
    limits: &Limits,
    rest: &mut Cursor<'_>,
    action: impl FnOnce(&mut Cursor<'_>) -> Result<Action, CmdError>,
) -> Result<Operation, CmdError> {
    let field = FieldType::parse(rest.word()?).ok_or_else(|| {
        CmdError::msg(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        )
    })?;
    let offset = field
        .parse_offset(rest.word()?, limits.max_string as u64)
        .ok_or(CmdError::BitOffset)?;
    Ok(Operation {
        field,
        offset,
        action: action(rest)?,
    })
}

/// Bytes that the string must have for all that is written; None if nothing is.
fn needed_len(operations: &[Operation]) -> Option<u64> {
    writes(operations).map(|op| op.field.needed_len(op.offset)).max()
}

/// The first byte that is written to.
fn first_byte(operations: &[Operation]) -> u64 {
    writes(operations).map(|op| op.offset / 8).min().unwrap_or(0)
}

fn writes(operations: &[Operation]) -> impl Iterator<Item = &Operation> {
    operations.iter().filter(|op| match op.action {
        Action::Get => false,
        Action::Set(..) | Action::IncrBy(..) => true,
    })
}

fn read(ctx: &mut Ctx<'_, '_>, key: &[u8], operations: &[Operation]) -> CmdResult {
    let reply = &mut *ctx.reply;
    let mut answer = |text: &[u8]| {
        reply.array(operations.len());
        for operation in operations {
            reply.int(operation.field.get(text, operation.offset));
        }
    };
    match ctx.data.string(key)? {
        None => answer(b""),
        Some(text) => text.with(answer),
    }
    Ok(Outcome::Done)
}

impl Operation {
    /// Writes its reply and tells whether the string is another one now.
    fn perform(self, text: &mut [u8], reply: &mut Reply) -> bool {
        let Self {
            field,
            offset,
            action,
        } = self;
        let before = field.get(text, offset);
        let answer = match action {
            Action::Get => Some(before),
            Action::Set(value, overflow) => field.set(text, offset, value, overflow),
            Action::IncrBy(by, overflow) => field.incr_by(text, offset, by, overflow),
        };
        match answer {
            Some(value) => reply.int(value),
            None => reply.null(),
        }
        field.get(text, offset) != before
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn operations() {
        let mut f = Fixture::new();
        f.check(&[
            ("BITFIELD f SET u8 0 255 GET u8 0 INCRBY u8 0 1", "*3 :0 :255 :0"),
            ("BITFIELD f SET i8 0 -128 INCRBY i8 0 -1", "*2 :0 :127"),
            ("BITFIELD f OVERFLOW SAT INCRBY i8 0 -100", "*1 :27"),
            ("BITFIELD f overflow fail INCRBY i8 0 -100", "*1 :-73"),
            ("BITFIELD f OVERFLOW WRAP INCRBY u4 #1 20", "*1 :11"),
            ("BITFIELD f OVERFLOW SAT SET u4 0 100", "*1 :11"),
            ("BITFIELD f OVERFLOW FAIL SET u4 0 100", "*1 $-1"),
            (
                "BITFIELD f GET u63 1 GET i64 0",
                "*2 :8863084066665136128 :-360287970189639680",
            ),
            ("BITFIELD f", "*0"),
            ("BITFIELD missing GET u8 100", "*1 :0"),
            ("EXISTS missing", ":0"),
            ("BITFIELD_RO f GET u8 0", "*1 :251"),
            ("BITFIELD_RO f OVERFLOW SAT", "*0"),
            ("BITFIELD far SET u8 100 1", "*1 :0"),
            ("STRLEN far", ":14"),
        ]);
    }

    #[test]
    fn what_is_propagated() {
        let mut f = Fixture::new();
        f.check(&[
            ("BITFIELD k SET u8 0 1 SET u8 8 2", "*2 :0 :0"),
            ("BITFIELD k SET u8 0 1", "*1 :1"),
            ("BITFIELD k GET u8 0", "*1 :1"),
            ("BITFIELD k INCRBY u8 0 0", "*1 :1"),
        ]);
        assert_eq!(f.log(), "BITFIELD k SET u8 0 1 SET u8 8 2");
        assert_eq!(f.events(), "setbit k");
    }

    #[test]
    fn errors() {
        let mut f = Fixture::new();
        let kind = "-ERR Invalid bitfield type. Use something like i16 u8. \
                    Note that u64 is not supported but i64 is.";
        let offset = "-ERR bit offset is not an integer or out of range";
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        f.check(&[
            ("ZADD z 1 m", ":1"),
            ("BITFIELD z GET u64 0", kind),
            ("BITFIELD z GET u0 0", kind),
            ("BITFIELD z GET x8 0", kind),
            ("BITFIELD z GET u8 -1", offset),
            ("BITFIELD z GET u8 #abc", offset),
            ("BITFIELD z SET u8 4294967296 1", offset),
            (
                "BITFIELD z SET u8 0 abc",
                "-ERR value is not an integer or out of range",
            ),
            ("BITFIELD z OVERFLOW NONE", "-ERR Invalid OVERFLOW type specified"),
            ("BITFIELD z FOO u8 0", "-ERR syntax error"),
            ("BITFIELD z GET u8", "-ERR syntax error"),
            ("BITFIELD z SET u8 0", "-ERR syntax error"),
            ("BITFIELD z SET u8 0 1 GET u99 1", kind),
            ("BITFIELD z GET u8 0", wrong),
            ("BITFIELD z SET u8 0 1", wrong),
            (
                "BITFIELD_RO z SET u8 0 1",
                "-ERR BITFIELD_RO only supports the GET subcommand",
            ),
            ("BITFIELD_RO z GET u8 0", wrong),
        ]);
    }
}
