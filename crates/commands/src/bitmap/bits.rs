//! GETBIT and SETBIT: <https://redis.io/commands/setbit>.

use holdfast_storage::bitops;
use holdfast_storage::numeric;

use crate::args::Args;
use crate::bitmap::EVENT;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::limits::Limits;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::raw;

/// `GETBIT key offset`
pub(crate) const GETBIT: Command = Command {
    spec: &Spec {
        name: "getbit",
        arity: 3,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: BITMAP),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Bitmap,
        since: "2.2.0",
        summary: "Returns the bit at an offset.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::integer("offset")],
        ..Spec::DEFAULT
    },
    run: getbit,
};

/// `SETBIT key offset value`
pub(crate) const SETBIT: Command = Command {
    spec: &Spec {
        name: "setbit",
        arity: 4,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: BITMAP),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))],
        group: Group::Bitmap,
        since: "2.2.0",
        summary: "Sets or clears the bit at an offset and returns the bit that was there.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0), Arg::integer("offset"), Arg::integer("value")],
        ..Spec::DEFAULT
    },
    run: setbit,
};

fn getbit(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let offset = bit_offset(ctx.limits, args.get(2))?;
    let text = ctx.data.string(args.get(1))?;
    let bit = text.is_some_and(|text| text.with(|text| bitops::get_bit(text, offset)));
    ctx.done_int(bit.into())
}

fn setbit(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let offset = bit_offset(ctx.limits, args.get(2))?;
    let bit = match numeric::parse_i64(args.get(3)) {
        Some(0) => false,
        Some(1) => true,
        Some(_) | None => return Err(CmdError::msg("ERR bit is not an integer or out of range")),
    };
    let needed = (offset / 8 + 1) as usize;
    let old = raw::change_if(&mut ctx.data, args.get(1), EVENT, needed - 1..needed, |text| {
        let grown = raw::grow(text, needed);
        let old = bitops::set_bit(text, offset, bit);
        (grown || old != bit, old)
    })?;
    ctx.done_int(old.into())
}

/// The number of a bit; its byte must lie within the longest string.
fn bit_offset(limits: &Limits, text: &[u8]) -> Result<u64, CmdError> {
    numeric::parse_i64(text)
        .and_then(|offset| u64::try_from(offset).ok())
        .filter(|offset| offset / 8 < limits.max_string as u64)
        .ok_or(CmdError::BitOffset)
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn single_bits() {
        let mut f = Fixture::new();
        f.check(&[
            ("SETBIT b 7 1", ":0"),
            ("SETBIT b 7 1", ":1"),
            ("SETBIT b 7 0", ":1"),
            ("SETBIT b 100 0", ":0"),
            ("STRLEN b", ":13"),
            ("SETBIT fresh 1 0", ":0"),
            ("GETBIT b 100", ":0"),
            ("GETBIT b 100000", ":0"),
            ("GETBIT missing 0", ":0"),
            ("SET n 1 EX 100", "+OK"),
            ("GETBIT n 2", ":1"),
            ("SETBIT n 6 1", ":0"),
            ("GET n", "$1 3"),
            ("TTL n", ":100"),
        ]);
        assert_eq!(
            f.log(),
            "SETBIT b 7 1; SETBIT b 7 0; SETBIT b 100 0; SETBIT fresh 1 0; SET n 1 PXAT 1100000; SETBIT n 6 1"
        );
        assert_eq!(
            f.events(),
            "setbit b; setbit b; setbit b; setbit fresh; set n; expire n; setbit n"
        );
        assert_eq!(f.encoding("n"), "raw");
    }

    #[test]
    fn errors() {
        let mut f = Fixture::new();
        let offset = "-ERR bit offset is not an integer or out of range";
        let bit = "-ERR bit is not an integer or out of range";
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        f.check(&[
            ("ZADD z 1 m", ":1"),
            ("SETBIT z abc 2", offset),
            ("SETBIT b -1 1", offset),
            ("SETBIT b 4294967296 1", offset),
            ("SETBIT z 0 2", bit),
            ("SETBIT z 0 abc", bit),
            ("SETBIT z 0 1", wrong),
            ("GETBIT z -1", offset),
            ("GETBIT z 0", wrong),
            ("EXISTS b", ":0"),
        ]);
    }
}
