//! BITCOUNT and BITPOS: <https://redis.io/commands/bitcount>.

use holdfast_storage::bitops::{self, Unit};

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `BITCOUNT key [start end [BYTE|BIT]]`
pub(crate) const BITCOUNT: Command = Command {
    spec: &Spec {
        name: "bitcount",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: BITMAP),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Bitmap,
        since: "2.6.0",
        summary: "Counts the set bits of a string, or of a byte or bit range of it.",
        complexity: "O(N), N: bytes looked at",
        args: &[
            Arg::key("key", 0),
            Arg::block(
                "index",
                &[
                    Arg::integer("start"),
                    Arg::integer("end"),
                    Arg::one_of(
                        "index_unit",
                        &[Arg::word("byte", "BYTE"), Arg::word("bit", "BIT")],
                    )
                    .opt()
                    .since("7.0.0"),
                ],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: bitcount,
};

/// `BITPOS key bit [start [end [BYTE|BIT]]]`
pub(crate) const BITPOS: Command = Command {
    spec: &Spec {
        name: "bitpos",
        arity: -3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: BITMAP),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Bitmap,
        since: "2.8.7",
        summary: "Finds the first bit with the given value.",
        complexity: "O(N), N: bytes looked at",
        args: &[
            Arg::key("key", 0),
            Arg::integer("bit"),
            Arg::block(
                "index",
                &[
                    Arg::integer("start"),
                    Arg::block(
                        "end_index",
                        &[
                            Arg::integer("end"),
                            Arg::one_of(
                                "index_unit",
                                &[Arg::word("byte", "BYTE"), Arg::word("bit", "BIT")],
                            )
                            .opt()
                            .since("7.0.0"),
                        ],
                    )
                    .opt(),
                ],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: bitpos,
};

fn bitcount(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(text) = ctx.data.string(args.get(1))? else {
        return ctx.done_int(0);
    };
    let count = match args.len() {
        2 => text.with(bitops::count),
        4 | 5 => {
            let (start, end) = (args.int(2)?, args.int(3)?);
            if start < 0 && end < 0 && start > end {
                // Redis sees that nothing is counted before it reads the unit.
                return ctx.done_int(0);
            }
            let unit = unit(args, 4)?;
            text.with(|text| bitops::count_range(text, start, end, unit))
        }
        _ => return Err(CmdError::Syntax),
    };
    ctx.done_int(count as i64)
}

fn bitpos(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let bit = match args.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(CmdError::msg("ERR The bit argument must be 1 or 0.")),
    };
    let Some(text) = ctx.data.string(args.get(1))? else {
        // As if the string were endless zeros.
        return ctx.done_int(if bit { -1 } else { 0 });
    };
    let (start, end, unit) = match args.len() {
        3 => (0, None, Unit::Byte),
        4 => (args.int(3)?, None, Unit::Byte),
        5 | 6 => {
            let start = args.int(3)?;
            let unit = unit(args, 5)?;
            (start, Some(args.int(4)?), unit)
        }
        _ => return Err(CmdError::Syntax),
    };
    let position = text.with(|text| bitops::position(text, bit, start, end, unit));
    ctx.done_int(position)
}

/// The word at `i`: BIT or BYTE, which is the default.
fn unit(args: Args<'_>, i: usize) -> Result<Unit, CmdError> {
    if args.is(i, "BIT") {
        Ok(Unit::Bit)
    } else if args.opt(i).is_none() || args.is(i, "BYTE") {
        Ok(Unit::Byte)
    } else {
        Err(CmdError::Syntax)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const NOT_INT: &str = "-ERR value is not an integer or out of range";
    const SYNTAX: &str = "-ERR syntax error";

    #[test]
    fn bitcount() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET s foobar", "+OK"),
            ("BITCOUNT s", ":26"),
            ("BITCOUNT s 0 0", ":4"),
            ("BITCOUNT s -2 -1 byte", ":7"),
            ("BITCOUNT s 5 30 BIT", ":17"),
            ("BITCOUNT s -10 -1 bit", ":5"),
            ("BITCOUNT s 3 1", ":0"),
            ("BITCOUNT missing a b", ":0"),
            ("BITCOUNT missing 0 1 FOO BAR", ":0"),
            ("BITCOUNT s 0", SYNTAX),
            ("BITCOUNT s a b FOO", NOT_INT),
            ("BITCOUNT s 0 1 FOO", SYNTAX),
            ("BITCOUNT s -1 -8 FOO", ":0"),
            ("BITCOUNT s 0 1 BIT x", SYNTAX),
            ("ZADD z 1 m", ":1"),
            ("BITCOUNT z 0", WRONG_TYPE),
        ]);
    }

    #[test]
    fn bitpos() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET p \"\\xff\\xf0\\x00\"", "+OK"),
            ("BITPOS p 0", ":12"),
            ("BITPOS p 1", ":0"),
            ("BITPOS p 1 2", ":-1"),
            ("BITPOS p 0 0 0", ":-1"),
            ("BITPOS p 0 9 20 BIT", ":12"),
            ("BITPOS p 1 7 15 bit", ":7"),
            ("SET ones \"\\xff\\xff\"", "+OK"),
            ("BITPOS ones 0", ":16"),
            ("BITPOS ones 0 0 -1", ":-1"),
            ("BITPOS missing 0", ":0"),
            ("BITPOS missing 1 a b", ":-1"),
            ("ZADD z 1 m", ":1"),
            ("BITPOS z 2", "-ERR The bit argument must be 1 or 0."),
            ("BITPOS z x", NOT_INT),
            ("BITPOS z 1 a", WRONG_TYPE),
            ("BITPOS p 1 a b FOO", NOT_INT),
            ("BITPOS p 1 0 b FOO", SYNTAX),
            ("BITPOS p 1 0 b BIT", NOT_INT),
            ("BITPOS p 1 0 1 BIT x", SYNTAX),
        ]);
    }
}
