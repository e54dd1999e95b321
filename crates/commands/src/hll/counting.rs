//! PFADD, PFCOUNT and PFMERGE: <https://redis.io/commands/pfadd>.

use holdfast_storage::data::{Data, OnExpired};
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::hll::{self, HllError};

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::raw;

/// `PFADD key [element [element ...]]`
pub(crate) const PFADD: Command = Command {
    spec: &Spec {
        name: "pfadd",
        arity: -2,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HYPERLOGLOG),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, INSERT))],
        group: Group::Hyperloglog,
        since: "2.8.9",
        summary: "Adds elements to a HyperLogLog.",
        complexity: "O(1) per element",
        args: &[Arg::key("key", 0), Arg::string("element").opt().multi()],
        ..Spec::DEFAULT
    },
    run: pfadd,
};

/// `PFCOUNT key [key ...]`
pub(crate) const PFCOUNT: Command = Command {
    spec: &Spec {
        name: "pfcount",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: HYPERLOGLOG),
        keys: &[KeySpec {
            notes: "RW: it may cache the count inside the value",
            ..KeySpec::range(1, -1, 1, flags!(KeyFlags: RW, ACCESS))
        }],
        group: Group::Hyperloglog,
        since: "2.8.9",
        summary: "Estimates how many distinct elements one or several HyperLogLogs have seen.",
        complexity: "O(N), N: keys",
        args: &[Arg::key("key", 0).multi()],
        ..Spec::DEFAULT
    },
    run: pfcount,
};

/// `PFMERGE destkey sourcekey [sourcekey ...]`
pub(crate) const PFMERGE: Command = Command {
    spec: &Spec {
        name: "pfmerge",
        arity: -2,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: HYPERLOGLOG),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, INSERT)),
            KeySpec::range(2, -1, 1, flags!(KeyFlags: RO, ACCESS)),
        ],
        group: Group::Hyperloglog,
        since: "2.8.9",
        summary: "Merges HyperLogLogs into one.",
        complexity: "O(N), N: keys",
        args: &[Arg::key("destkey", 0), Arg::key("sourcekey", 1).multi()],
        ..Spec::DEFAULT
    },
    run: pfmerge,
};

/// PFMERGE too is called so in events.
const EVENT: Event = Event(Class::String, "pfadd");

fn pfadd(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    check(&mut ctx.data, key)?;
    let max = ctx.limits.hll_sparse_max_bytes;
    let added = raw::change_if(&mut ctx.data, key, EVENT, raw::ANYWHERE, |text| {
        let mut changed = text.is_empty();
        if changed {
            *text = hll::new_sparse();
        }
        for element in args.from(2) {
            match hll::add(text, element, max) {
                Ok(raised) => changed |= raised,
                Err(error) => return (changed, Err(error)),
            }
        }
        (changed, Ok(changed))
    })??;
    ctx.done_int(added.into())
}

fn pfcount(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    if args.len() > 2 {
        let sources = copies(&mut ctx.data, args.from(1))?;
        let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        return ctx.done_int(hll::count_union(&sources)? as i64);
    }
    let key = args.get(1);
    let Some(text) = ctx.data.string(key)? else {
        return ctx.done_int(0);
    };
    let (cached, count) = text.with(|text| {
        hll::encoding(text)?;
        match hll::cached_count(text) {
            Some(count) => Ok((true, count)),
            None => hll::count(text).map(|count| (false, count)),
        }
    })?;
    // The estimate is kept in the value, and the replicas' values stay the same bytes; a replica does not begin to differ
    // by itself.
    if !cached && ctx.data.on_expired != OnExpired::Hide {
        raw::change_quietly(&mut ctx.data, key, |text| {
            hll::store_count(text, count);
            (true, ())
        })?;
        ctx.log.rewrite(&[b"PFCOUNT", key]);
    }
    ctx.done_int(count as i64)
}

fn pfmerge(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    // The destination is one of the sources: its look-up counts as theirs do.
    copies(&mut ctx.data, std::iter::once(key))?;
    let sources = copies(&mut ctx.data, args.from(2))?;
    let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
    let max = ctx.limits.hll_sparse_max_bytes;
    raw::change_if(&mut ctx.data, key, EVENT, raw::ANYWHERE, |text| {
        if text.is_empty() {
            *text = hll::new_sparse();
        }
        let merged = hll::merge(text, &sources, max);
        (merged.is_ok(), merged)
    })??;
    ctx.done_ok()
}

/// An error if the key holds anything but a HyperLogLog.
pub(crate) fn check(data: &mut Data<'_, '_>, key: &[u8]) -> Result<(), CmdError> {
    match data.string_for_write(key)? {
        None => Ok(()),
        Some(text) => Ok(text.with(|text| hll::encoding(text).map(drop))?),
    }
}

/// The HyperLogLogs of those keys that exist.
fn copies<'k>(
    data: &mut Data<'_, '_>,
    keys: impl Iterator<Item = &'k [u8]>,
) -> Result<Vec<Vec<u8>>, CmdError> {
    let mut all = Vec::new();
    for key in keys {
        if let Some(text) = data.string(key)? {
            text.with(|text| hll::encoding(text).map(drop))?;
            all.push(text.to_vec());
        }
    }
    Ok(all)
}

impl From<HllError> for CmdError {
    fn from(error: HllError) -> Self {
        Self::msg(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    const NO_HLL: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn counting() {
        let mut f = Fixture::new();
        f.check(&[
            ("PFADD h a b c d e f g", ":1"),
            ("PFADD h a", ":0"),
            ("PFADD h", ":0"),
            ("PFADD empty", ":1"),
            ("PFCOUNT h", ":7"),
            ("PFCOUNT h", ":7"),
            ("PFCOUNT missing", ":0"),
            ("STRLEN h", ":38"),
            ("PFADD h2 a x y", ":1"),
            ("PFCOUNT h h2 missing", ":9"),
            ("PFMERGE m h h2", "+OK"),
            ("PFCOUNT m", ":9"),
            ("PFMERGE m", "+OK"),
            ("PFMERGE fresh missing", "+OK"),
            ("PFCOUNT fresh", ":0"),
        ]);
        assert_eq!(
            f.log(),
            "PFADD h a b c d e f g; PFADD empty; PFCOUNT h; PFADD h2 a x y; PFMERGE m h h2; PFCOUNT m; \
             PFMERGE m; PFMERGE fresh missing; PFCOUNT fresh"
        );
        assert_eq!(
            f.events(),
            "pfadd h; pfadd empty; pfadd h2; pfadd m; pfadd m; pfadd fresh"
        );
        assert_eq!(f.encoding("h"), "raw");
        assert_eq!(
            f.run("GET h"),
            "$38 HYLL\\x01\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x00\\x00\\x00\\x00Fm\\x80V\\x0c\\x80D<\\x848\\x80P\
             \\xb1\\x84I\\x8c\\x80Bm\\x80BZ"
        );
    }

    #[test]
    fn errors() {
        let mut f = Fixture::new();
        f.check(&[
            ("ZADD z 1 m", ":1"),
            ("SET text v", "+OK"),
            ("SET nothing \"\"", "+OK"),
            ("PFADD h a", ":1"),
            ("PFADD z a", WRONG_TYPE),
            ("PFADD text", NO_HLL),
            ("PFADD nothing a", NO_HLL),
            ("PFCOUNT z", WRONG_TYPE),
            ("PFCOUNT text", NO_HLL),
            ("PFCOUNT h text z", NO_HLL),
            ("PFMERGE h z", WRONG_TYPE),
            ("PFMERGE text z", NO_HLL),
            ("SET bad \"HYLL\\x01aaaaaaaaaaaaaaaaaaaa\"", "+OK"),
            ("PFADD bad x", ":1"),
            ("PFCOUNT bad h", "-INVALIDOBJ Corrupted HLL object detected"),
            ("PFMERGE h bad", "-INVALIDOBJ Corrupted HLL object detected"),
            ("PFMERGE fresh bad", "-INVALIDOBJ Corrupted HLL object detected"),
            ("EXISTS fresh", ":0"),
        ]);
    }
}
