//! BITOP: <https://redis.io/commands/bitop>.

use holdfast_storage::bitops::{self, BitOp};
use holdfast_storage::data::{Expiry, raw_string};
use holdfast_storage::effects::Event;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `BITOP operation destkey key [key ...]`
pub(crate) const BITOP: Command = Command {
    spec: &Spec {
        name: "bitop",
        arity: -4,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: BITMAP),
        keys: &[
            KeySpec::one(2, flags!(KeyFlags: OW, UPDATE)),
            KeySpec::range(3, -1, 1, flags!(KeyFlags: RO, ACCESS)),
        ],
        group: Group::Bitmap,
        since: "2.6.0",
        summary: "Stores strings combined bit by bit.",
        complexity: "O(N), N: length of the longest string",
        args: &[
            Arg::string("operation"),
            Arg::key("destkey", 0),
            Arg::key("key", 1).multi(),
        ],
        ..Spec::DEFAULT
    },
    run: bitop,
};

/// NOT is none of those that take several strings. The last four came with Redis 8.2.
const OPERATIONS: [(&str, Option<BitOp>); 8] = [
    ("AND", Some(BitOp::And)),
    ("OR", Some(BitOp::Or)),
    ("XOR", Some(BitOp::Xor)),
    ("NOT", None),
    ("DIFF", Some(BitOp::Diff)),
    ("DIFF1", Some(BitOp::Diff1)),
    ("ANDOR", Some(BitOp::AndOr)),
    ("ONE", Some(BitOp::One)),
];

fn bitop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let op = OPERATIONS.iter().find(|(word, _)| args.is(1, word));
    let (name, op) = *op.ok_or(CmdError::Syntax)?;
    if op.is_none() && args.len() != 4 {
        return Err(CmdError::msg(
            "ERR BITOP NOT must be called with a single source key.",
        ));
    }
    if matches!(op, Some(BitOp::Diff | BitOp::Diff1 | BitOp::AndOr)) && args.len() < 5 {
        return Err(CmdError::msg(format!(
            "ERR BITOP {name} must be called with at least two source keys."
        )));
    }
    let mut sources: Vec<Vec<u8>> = Vec::with_capacity(args.len() - 3);
    for key in args.from(3) {
        let text = ctx.data.string(key)?;
        sources.push(text.map(|text| text.to_vec()).unwrap_or_default());
    }
    let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
    let result = match op {
        Some(op) => bitops::combine(op, &sources),
        None => bitops::not(sources[0]),
    };
    let (to, len) = (args.get(2), result.len());
    if result.is_empty() {
        ctx.data.delete(to);
    } else {
        ctx.data.set(to, raw_string(result), Expiry::Clear, Event::SET);
    }
    ctx.done_int(len as i64)
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn combining() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET a abc", "+OK"),
            ("SET b abd", "+OK"),
            ("BITOP AND d a b", ":3"),
            ("GET d", "$3 ab`"),
            ("BITOP or d a b", ":3"),
            ("GET d", "$3 abg"),
            ("BITOP XOR d a b", ":3"),
            ("GET d", "$3 \\x00\\x00\\x07"),
            ("BITOP NOT d a", ":3"),
            ("GET d", "$3 \\x9e\\x9d\\x9c"),
            ("BITOP AND d a missing", ":3"),
            ("GET d", "$3 \\x00\\x00\\x00"),
            ("BITOP DIFF d a b", ":3"),
            ("GET d", "$3 \\x00\\x00\\x03"),
            ("BITOP DIFF1 d a b", ":3"),
            ("GET d", "$3 \\x00\\x00\\x04"),
            ("BITOP ANDOR d a b missing", ":3"),
            ("GET d", "$3 ab`"),
            ("BITOP ONE d a b missing", ":3"),
            ("GET d", "$3 \\x00\\x00\\x07"),
            ("BITOP OR a a a", ":3"),
            ("GET a", "$3 abc"),
        ]);
        assert_eq!(f.encoding("d"), "raw");
        f.log();
        f.events();
        f.check(&[
            ("BITOP AND d missing missing", ":0"),
            ("EXISTS d", ":0"),
            ("BITOP AND d missing missing", ":0"),
            ("ZADD z 1 m", ":1"),
            ("BITOP OR z a", ":3"),
        ]);
        assert_eq!(f.log(), "BITOP AND d missing missing; ZADD z 1 m; BITOP OR z a");
        assert_eq!(f.events(), "del d; zadd z; set z");
    }

    #[test]
    fn errors() {
        let mut f = Fixture::new();
        let single = "-ERR BITOP NOT must be called with a single source key.";
        f.check(&[
            ("ZADD z 1 m", ":1"),
            ("BITOP NAND d z", "-ERR syntax error"),
            ("BITOP NOT d z a", single),
            (
                "BITOP DIFF1 d z",
                "-ERR BITOP DIFF1 must be called with at least two source keys.",
            ),
            (
                "BITOP ONE d z",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            (
                "BITOP AND d a z",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            (
                "BITOP AND d",
                "-ERR wrong number of arguments for 'bitop' command",
            ),
        ]);
    }
}
