//! SUNION and SUNIONSTORE: <https://redis.io/commands/sunion>.

use super::combine;
use holdfast_storage::types::set::Set;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `SUNION key [key ...]`
pub(crate) const SUNION: Command = Command {
    spec: &Spec {
        name: "sunion",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns the members that any of the sets has.",
        complexity: "O(N), N: members of all sets",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::key("key", 0).multi()],
        ..Spec::DEFAULT
    },
    run: sunion,
};

/// `SUNIONSTORE destination key [key ...]`
pub(crate) const SUNIONSTORE: Command = Command {
    spec: &Spec {
        name: "sunionstore",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: SET),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: OW, UPDATE)),
            KeySpec::range(2, -1, 1, flags!(KeyFlags: RO, ACCESS)),
        ],
        group: Group::Set,
        since: "1.0.0",
        summary: "Stores the members that any of the sets has.",
        complexity: "O(N), N: members of all sets",
        args: &[Arg::key("destination", 0), Arg::key("key", 1).multi()],
        ..Spec::DEFAULT
    },
    run: sunionstore,
};

fn sunion(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let limits = &ctx.limits.set;
    let sets = combine::lend(&mut ctx.data, args.from(1))?;
    let sets: Vec<&Set> = sets.into_iter().flatten().collect();
    if let [only] = sets[..] {
        combine::write(ctx.reply, only);
        return Ok(Outcome::Done);
    }
    let mut union = Set::new();
    if sets.iter().any(|set| set.as_intset().is_none()) {
        // Nobody will see its encoding, so let it be the one that finds members fastest.
        union.expect(b"", usize::MAX, limits);
    }
    for set in sets {
        combine::add_all(&mut union, set, limits);
    }
    combine::write(ctx.reply, &union);
    Ok(Outcome::Done)
}

fn sunionstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut union = Set::new();
    for set in combine::lend(&mut ctx.data, args.from(2))?.into_iter().flatten() {
        combine::add_all(&mut union, set, &ctx.limits.set);
    }
    combine::store(ctx, args.get(1), union, "sunionstore")
}
