//! SDIFFCARD and SUNIONCARD: <https://redis.io/commands/sunioncard>. They came with Redis 8.10.

use std::collections::HashSet;

use holdfast_storage::hll;
use holdfast_storage::types::set::Set;

use super::combine;
use super::diff::Operands;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `SDIFFCARD numkeys key [key ...] [LIMIT limit]`
pub(crate) const SDIFFCARD: Command = Command {
    spec: &Spec {
        name: "sdiffcard",
        arity: -3,
        flags: flags!(Flags: READONLY, MOVABLEKEYS),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::counted(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Set,
        since: "8.10.0",
        summary: "Counts the members of the first set that no other set has.",
        complexity: "O(N), N: members of all sets",
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::integer("limit").token("LIMIT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: sdiffcard,
};

/// `SUNIONCARD numkeys key [key ...] [APPROX] [LIMIT limit]`
pub(crate) const SUNIONCARD: Command = Command {
    spec: &Spec {
        name: "sunioncard",
        arity: -3,
        flags: flags!(Flags: READONLY, MOVABLEKEYS),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::counted(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Set,
        since: "8.10.0",
        summary: "Counts the members that any of the sets has.",
        complexity: "O(N), N: members of all sets",
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::word("approx", "APPROX").opt(),
            Arg::integer("limit").token("LIMIT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: sunioncard,
};

/// `numkeys key [key ...] [APPROX] [LIMIT limit]`
#[derive(Clone, Copy, Debug)]
pub(super) struct Counting {
    /// Number of keys; the first is argument 2.
    pub keys: usize,
    /// Where counting stops.
    pub limit: usize,
    approximate: bool,
}

impl Counting {
    /// Reads the arguments of a command that counts; `may_approximate`: APPROX is a word of it.
    pub(super) fn parse(args: Args<'_>, may_approximate: bool) -> Result<Self, CmdError> {
        let positive = |n: i64| usize::try_from(n).ok().filter(|n| *n > 0);
        let keys = args
            .int(1)
            .ok()
            .and_then(positive)
            .ok_or(CmdError::msg("ERR numkeys should be greater than 0"))?;
        if keys > args.len() - 2 {
            return Err(CmdError::msg(
                "ERR Number of keys can't be greater than number of args",
            ));
        }
        let (mut limit, mut approximate) = (0, false);
        let mut rest = args.cursor(2 + keys);
        while rest.left() > 0 {
            if may_approximate && rest.accept("APPROX") {
                approximate = true;
                continue;
            }
            if rest.left() < 2 || !rest.accept("LIMIT") {
                return Err(CmdError::Syntax);
            }
            limit = rest
                .int()
                .ok()
                .and_then(|n| usize::try_from(n).ok())
                .ok_or(CmdError::msg("ERR LIMIT can't be negative"))?;
        }
        let limit = if limit == 0 { usize::MAX } else { limit };
        Ok(Self {
            keys,
            limit,
            approximate,
        })
    }
}

fn sdiffcard(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let counting = Counting::parse(args, false)?;
    let sets = combine::lend(&mut ctx.data, args.from(2).take(counting.keys))?;
    let count = Operands::of(sets).map_or(0, |sets| sets.members().take(counting.limit).count());
    ctx.done_int(count as i64)
}

fn sunioncard(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let counting = Counting::parse(args, true)?;
    let sparse_max = ctx.limits.hll_sparse_max_bytes;
    let sets = combine::lend(&mut ctx.data, args.from(2).take(counting.keys))?;
    let sets: Vec<&Set> = sets.into_iter().flatten().collect();
    let count = match sets[..] {
        [only] => only.len(),
        _ if counting.approximate => estimate(&sets, sparse_max)?,
        _ => count(&sets, counting.limit),
    };
    ctx.done_int(count.min(counting.limit) as i64)
}

/// Members of any set, counted until there are `limit`.
fn count(sets: &[&Set], limit: usize) -> usize {
    // The members of the largest set need not be remembered: the others are asked of it.
    let Some((largest, others)) = largest_first(sets) else {
        return 0;
    };
    let mut seen = HashSet::new();
    for member in others.iter().flat_map(|set| set.iter()) {
        if largest.len() + seen.len() >= limit {
            break;
        }
        if !largest.contains_item(&member) {
            seen.insert(member.to_vec());
        }
    }
    largest.len() + seen.len()
}

fn largest_first<'s>(sets: &[&'s Set]) -> Option<(&'s Set, Vec<&'s Set>)> {
    let mut sets = sets.to_vec();
    sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let largest = *sets.first()?;
    Some((largest, sets.split_off(1)))
}

/// About as many as there are members, in bounded memory.
fn estimate(sets: &[&Set], sparse_max_bytes: usize) -> Result<usize, CmdError> {
    let failed = |error: hll::HllError| CmdError::msg(format!("ERR {error}"));
    let mut sketch = hll::new_sparse();
    for member in sets.iter().flat_map(|set| set.iter()) {
        member
            .with_bytes(|member| hll::add(&mut sketch, member, sparse_max_bytes))
            .map_err(failed)?;
    }
    let count = hll::count(&sketch).map_err(failed)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn the_examples_of_the_documentation() {
        let mut f = Fixture::new();
        f.check(&[
            ("SADD key1 a b c", ":3"),
            ("SADD key2 c d e", ":3"),
            ("SDIFFCARD 2 key1 key2", ":2"),
            ("SDIFFCARD 2 key1 key2 LIMIT 1", ":1"),
            ("SDIFFCARD 1 key1 LIMIT 0", ":3"),
            ("SDIFFCARD 2 key1 key1", ":0"),
            ("SDIFFCARD 2 missing key1", ":0"),
            ("SDIFFCARD 2 key1 missing", ":3"),
            ("SUNIONCARD 2 key1 key2", ":5"),
            ("SUNIONCARD 2 key1 key2 LIMIT 3", ":3"),
            ("SUNIONCARD 3 key1 key1 missing", ":3"),
            ("SUNIONCARD 1 missing", ":0"),
            ("SUNIONCARD 1 key1 LIMIT 2", ":2"),
            ("SUNIONCARD 2 key1 key2 APPROX", ":5"),
            ("SUNIONCARD 2 key1 key2 LIMIT 4 APPROX", ":4"),
        ]);
        assert_eq!(f.log(), "SADD key1 a b c; SADD key2 c d e");
    }

    #[test]
    fn estimates_are_close() {
        let mut f = Fixture::new();
        for i in 0..3_000 {
            f.run(&format!("SADD a {i}"));
            f.run(&format!("SADD b {}", i + 1_000));
        }
        assert_eq!(f.run("SUNIONCARD 2 a b"), ":4000");
        let about = f.run("SUNIONCARD 2 a b APPROX");
        let about: i64 = about[1..].parse().expect("an integer");
        assert!((3_800..4_200).contains(&about), "{about}");
    }

    #[test]
    fn errors() {
        let mut f = Fixture::new();
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        for command in ["SDIFFCARD", "SUNIONCARD", "SINTERCARD"] {
            for (rest, error) in [
                ("0 a", "-ERR numkeys should be greater than 0"),
                ("x a", "-ERR numkeys should be greater than 0"),
                ("2 a", "-ERR Number of keys can't be greater than number of args"),
                ("1 a LIMIT", "-ERR syntax error"),
                ("1 a LIMIT -1", "-ERR LIMIT can't be negative"),
                ("1 a FOO 1", "-ERR syntax error"),
                ("1 text", wrong),
            ] {
                f.run("SET text v");
                assert_eq!(f.run(&format!("{command} {rest}")), error, "{command} {rest}");
            }
        }
        assert_eq!(f.run("SDIFFCARD 1 a APPROX"), "-ERR syntax error");
    }
}
