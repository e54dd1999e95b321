//! LCS: <https://redis.io/commands/lcs>.
//!
//! ```text
//! common[i][j] = length of the longest common subsequence of the first i bytes of `a` and the first j bytes of `b`
//!
//!              b: 0  1  2 .. m
//!          a:  0  0  0  0    0        walked back from the corner n, m: equal bytes step diagonally,
//!              1  0                   others to the larger neighbour (left if equal)
//!              n  0
//! ```

use holdfast_resp::Reply;

use crate::args::{Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`
pub(crate) const LCS: Command = Command {
    spec: &Spec {
        name: "lcs",
        arity: -3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::range(1, 1, 1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::String,
        since: "7.0.0",
        summary: "Finds the longest common subsequence of two strings.",
        complexity: "O(N*M), N and M: lengths of the strings",
        args: &[
            Arg::key("key1", 0),
            Arg::key("key2", 0),
            Arg::word("len", "LEN").opt(),
            Arg::word("idx", "IDX").opt(),
            Arg::integer("len").token("MINMATCHLEN").opt(),
            Arg::word("withmatchlen", "WITHMATCHLEN").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: lcs,
};

fn lcs(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let a = text(ctx, args.get(1))?;
    let b = text(ctx, args.get(2))?;
    let options = Options::parse(args.cursor(3))?;
    let table = Table::fill(&a, &b, ctx.limits.max_string)?;
    if options.len {
        return ctx.done_int(table.common(a.len(), b.len()).into());
    }
    let matches = table.walk_back();
    if options.idx {
        let total = table.common(a.len(), b.len());
        reply_matches(ctx.reply, &matches, options, total);
    } else {
        let parts = matches.iter().rev();
        let bytes: Vec<u8> = parts.flat_map(|m| &a[m.a..m.a + m.len]).copied().collect();
        ctx.reply.bulk(&bytes);
    }
    Ok(Outcome::Done)
}

/// The string at a key, empty if there is none. Another type is no WRONGTYPE here.
fn text(ctx: &mut Ctx<'_, '_>, key: &[u8]) -> Result<Vec<u8>, CmdError> {
    match ctx.data.string(key) {
        Ok(text) => Ok(text.map(|text| text.to_vec()).unwrap_or_default()),
        Err(_) => Err(CmdError::msg("ERR The specified keys must contain string values")),
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    /// Shorter matches are left out.
    min_match_len: i64,
}

impl Options {
    fn parse(mut rest: Cursor<'_>) -> Result<Self, CmdError> {
        let mut o = Self::default();
        while rest.left() > 0 {
            if rest.accept("IDX") {
                o.idx = true;
            } else if rest.accept("LEN") {
                o.len = true;
            } else if rest.accept("WITHMATCHLEN") {
                o.with_match_len = true;
            } else if rest.accept("MINMATCHLEN") {
                o.min_match_len = rest.int()?;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        if o.idx && o.len {
            return Err(CmdError::msg(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(o)
    }
}

/// `len` equal bytes, at `a` and `b` of the two strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

/// The table above, row by row.
struct Table<'t> {
    a: &'t [u8],
    b: &'t [u8],
    cells: Vec<u32>,
}

impl<'t> Table<'t> {
    /// Takes at most `max_bytes` of memory.
    fn fill(a: &'t [u8], b: &'t [u8], max_bytes: usize) -> Result<Self, CmdError> {
        let width = b.len() + 1;
        let count = (a.len() + 1)
            .checked_mul(width)
            .filter(|count| *count <= max_bytes / size_of::<u32>())
            .ok_or_else(|| {
                CmdError::msg("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
            })?;
        let mut cells = vec![0u32; count];
        for (i, x) in a.iter().enumerate() {
            let (above, row) = cells[i * width..(i + 2) * width].split_at_mut(width);
            for (j, y) in b.iter().enumerate() {
                row[j + 1] = if x == y {
                    above[j] + 1
                } else {
                    above[j + 1].max(row[j])
                };
            }
        }
        Ok(Self { a, b, cells })
    }

    fn common(&self, i: usize, j: usize) -> u32 {
        self.cells[i * (self.b.len() + 1) + j]
    }

    /// The stretches of one longest common subsequence, the last one first.
    fn walk_back(&self) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        let (mut i, mut j) = (self.a.len(), self.b.len());
        while i > 0 && j > 0 {
            if self.a[i - 1] == self.b[j - 1] {
                match matches.last_mut() {
                    Some(last) if (last.a, last.b) == (i, j) => {
                        *last = Match {
                            a: i - 1,
                            b: j - 1,
                            len: last.len + 1,
                        }
                    }
                    Some(_) | None => matches.push(Match {
                        a: i - 1,
                        b: j - 1,
                        len: 1,
                    }),
                }
                (i, j) = (i - 1, j - 1);
            } else if self.common(i - 1, j) > self.common(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        matches
    }
}

fn reply_matches(reply: &mut Reply, matches: &[Match], options: Options, total: u32) {
    let wanted = |m: &&Match| m.len as i64 >= options.min_match_len;
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.iter().filter(wanted).count());
    for m in matches.iter().filter(wanted) {
        reply.array(2 + usize::from(options.with_match_len));
        for start in [m.a, m.b] {
            reply.array(2);
            reply.int(start as i64);
            reply.int((start + m.len - 1) as i64);
        }
        if options.with_match_len {
            reply.int(m.len as i64);
        }
    }
    reply.bulk(b"len");
    reply.int(total.into());
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn forms() {
        let mut f = Fixture::new();
        f.check(&[
            ("MSET x ohmytext y mynewtext", "+OK"),
            ("LCS x y", "$6 mytext"),
            ("LCS x y LEN", ":6"),
            (
                "LCS x y IDX",
                "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6",
            ),
            (
                "LCS x y idx minmatchlen 4 withmatchlen",
                "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6",
            ),
            ("LCS x missing", "$0"),
            ("LCS x missing IDX", "*4 $7 matches *0 $3 len :0"),
            ("LCS missing missing LEN", ":0"),
        ]);
        f.proto = holdfast_resp::Proto::Resp3;
        f.check(&[(
            "LCS x y IDX MINMATCHLEN -3",
            "%2 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6",
        )]);
    }

    #[test]
    fn errors() {
        let mut f = Fixture::new();
        let no_strings = "-ERR The specified keys must contain string values";
        f.check(&[
            ("MSET x ohmytext y mynewtext", "+OK"),
            ("ZADD z 1 m", ":1"),
            ("LCS z x FOO", no_strings),
            ("LCS missing z", no_strings),
            ("LCS x y FOO", "-ERR syntax error"),
            ("LCS x y MINMATCHLEN", "-ERR syntax error"),
            (
                "LCS x y MINMATCHLEN a",
                "-ERR value is not an integer or out of range",
            ),
            (
                "LCS x y LEN IDX",
                "-ERR If you want both the length and indexes, please just use IDX.",
            ),
        ]);
        f.limits.max_string = 4 * 9 * 10 - 1;
        f.check(&[(
            "LCS x y",
            "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        )]);
        f.limits.max_string += 1;
        f.check(&[("LCS x y", "$6 mytext")]);
    }
}
