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
    let table = Table::fill(&a, &b, !options.len, ctx.limits.max_string)?;
    if options.len {
        return ctx.done_int(table.total.into());
    }
    let matches = table.walk_back();
    if options.idx {
        reply_matches(ctx.reply, &matches, options, table.total);
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

/// What the way back needs of the table above: where `common` grows within a row, one bit a cell.
struct Table<'t> {
    a: &'t [u8],
    b: &'t [u8],
    grows: Bits,
    total: u32,
}

impl<'t> Table<'t> {
    /// Computes the rows, 64 cells at a time, and keeps them if they are wanted. Refuses what would take Redis more than
    /// `max_bytes` of memory; here it takes a 32nd of it.
    ///
    /// Source: H. Hyyrö, "Bit-parallel LCS-length computation revisited" (2004).
    fn fill(a: &'t [u8], b: &'t [u8], keep: bool, max_bytes: usize) -> Result<Self, CmdError> {
        let cells = (a.len() + 1).checked_mul(b.len() + 1);
        if cells.is_none_or(|cells| cells > max_bytes / size_of::<u32>()) {
            return Err(CmdError::msg(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ));
        }
        let places = places(a, b);
        let mut grows = Bits::with_capacity(if keep { a.len() * b.len() } else { 0 });
        // A clear bit where the row grows; the rows begin with one of zeros.
        let mut flat = vec![u64::MAX; b.len().div_ceil(64)];
        let last_bits = b.len() - b.len().saturating_sub(1) / 64 * 64;
        let last = flat.len().saturating_sub(1);
        for x in a {
            let mut carry = false;
            for (w, (flat, here)) in flat.iter_mut().zip(&places[usize::from(*x)]).enumerate() {
                let (sum, over) = flat.overflowing_add(*flat & here);
                let (sum, over_again) = sum.overflowing_add(carry.into());
                carry = over || over_again;
                *flat = sum | *flat & !here;
                if keep {
                    grows.push(!*flat, if w == last { last_bits } else { 64 });
                }
            }
        }
        if let Some(flat) = flat.last_mut() {
            *flat |= u64::MAX.checked_shl(last_bits as u32).unwrap_or(0);
        }
        let total = flat.iter().map(|flat| flat.count_zeros()).sum();
        Ok(Self { a, b, grows, total })
    }

    /// Tells whether the way back from two different bytes leaves out that of `a`: what the cell has more than the one to
    /// its left can only come from above.
    fn is_up(&self, i: usize, j: usize) -> bool {
        self.grows.get(i * self.b.len() + j)
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
            } else if self.is_up(i - 1, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        matches
    }
}

/// For each byte of `a` a bit for each place where `b` has it; nothing for other bytes.
fn places(a: &[u8], b: &[u8]) -> Vec<Vec<u64>> {
    let mut places = vec![Vec::new(); 256];
    for x in a {
        places[usize::from(*x)].resize(b.len().div_ceil(64), 0u64);
    }
    for (j, y) in b.iter().enumerate() {
        if let Some(word) = places[usize::from(*y)].get_mut(j / 64) {
            *word |= 1 << (j % 64);
        }
    }
    places
}

/// Bits one after the other.
#[derive(Debug)]
struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    fn with_capacity(len: usize) -> Self {
        Self {
            words: Vec::with_capacity(len.div_ceil(64)),
            len: 0,
        }
    }

    /// Appends the low `count` bits, 1 to 64.
    fn push(&mut self, bits: u64, count: usize) {
        let bits = bits & u64::MAX >> (64 - count);
        let at = self.len % 64;
        match self.words.last_mut() {
            Some(last) if at > 0 => {
                *last |= bits << at;
                if at + count > 64 {
                    self.words.push(bits >> (64 - at));
                }
            }
            Some(_) | None => self.words.push(bits),
        }
        self.len += count;
    }

    fn get(&self, i: usize) -> bool {
        self.words[i / 64] & 1 << (i % 64) != 0
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
    fn long_strings_agree_with_the_whole_table() {
        let letters = |seed: usize, len| (0..len).map(move |i| b'a' + (i * i * seed / 7 % 5) as u8);
        for (a, b) in [(130usize, 70usize), (64, 64), (1, 200), (200, 1), (65, 129)] {
            let (a, b): (Vec<u8>, Vec<u8>) = (letters(3, a).collect(), letters(5, b).collect());
            let mut whole = vec![vec![0u32; b.len() + 1]; a.len() + 1];
            for (i, x) in a.iter().enumerate() {
                for (j, y) in b.iter().enumerate() {
                    whole[i + 1][j + 1] = if x == y {
                        whole[i][j] + 1
                    } else {
                        whole[i][j + 1].max(whole[i + 1][j])
                    };
                }
            }
            let table = super::Table::fill(&a, &b, true, usize::MAX).unwrap();
            assert_eq!(table.total, whole[a.len()][b.len()]);
            for i in 0..a.len() {
                for j in (0..b.len()).filter(|j| a[i] != b[*j]) {
                    assert_eq!(table.is_up(i, j), whole[i][j + 1] > whole[i + 1][j], "{i} {j}");
                }
            }
            let matched: usize = table.walk_back().iter().map(|m| m.len).sum();
            assert_eq!(matched, table.total as usize);
        }
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
