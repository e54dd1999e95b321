//! SINTER, SINTERSTORE and SINTERCARD: <https://redis.io/commands/sinter>. The smallest set is walked, the others are asked.

use super::card::Counting;
use super::combine;
use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::numeric;
use holdfast_storage::types::set::Set;
use holdfast_storage::types::set::SetLimits;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::items;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `SINTER key [key ...]`
pub(crate) const SINTER: Command = Command {
    spec: &Spec {
        name: "sinter",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns the members that all sets have.",
        complexity: "O(N*M), N: members of the smallest set, M: sets",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::key("key", 0).multi()],
        ..Spec::DEFAULT
    },
    run: sinter,
};

/// `SINTERSTORE destination key [key ...]`
pub(crate) const SINTERSTORE: Command = Command {
    spec: &Spec {
        name: "sinterstore",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: SET),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, UPDATE)),
            KeySpec::range(2, -1, 1, flags!(KeyFlags: RO, ACCESS)),
        ],
        group: Group::Set,
        since: "1.0.0",
        summary: "Stores the members that all sets have.",
        complexity: "O(N*M), N: members of the smallest set, M: sets",
        args: &[Arg::key("destination", 0), Arg::key("key", 1).multi()],
        ..Spec::DEFAULT
    },
    run: sinterstore,
};

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(crate) const SINTERCARD: Command = Command {
    spec: &Spec {
        name: "sintercard",
        arity: -3,
        flags: flags!(Flags: READONLY, MOVABLEKEYS),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::counted(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Set,
        since: "7.0.0",
        summary: "Counts the members that all sets have.",
        complexity: "O(N*M), N: members of the smallest set, M: sets",
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key", 0).multi(),
            Arg::integer("limit").token("LIMIT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: sintercard,
};

fn sinter(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let sets = combine::lend(&mut ctx.data, args.from(1))?;
    let (deferred, mut len) = (ctx.reply.defer(), 0);
    for member in members(sets) {
        items::bulk(ctx.reply, member);
        len += 1;
    }
    ctx.reply.finish_set(deferred, len);
    Ok(Outcome::Done)
}

fn sinterstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let sets = combine::lend(&mut ctx.data, args.from(2))?;
    let result = gather(sets, &ctx.limits.set);
    combine::store(ctx, args.get(1), result, "sinterstore")
}

fn sintercard(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let counting = Counting::parse(args, false)?;
    let sets = combine::lend(&mut ctx.data, args.from(2).take(counting.keys))?;
    let count = members(sets).take(counting.limit).count();
    ctx.done_int(count as i64)
}

/// The members that all the sets have, in the order of the smallest.
fn members<'d>(sets: Vec<Option<&'d Set>>) -> impl Iterator<Item = Item<'d>> {
    let mut sets: Vec<&Set> = sets.into_iter().collect::<Option<_>>().unwrap_or_default();
    sets.sort_by_key(|set| set.len());
    let smallest = (!sets.is_empty()).then(|| sets.remove(0));
    sets.retain(|set| smallest.is_none_or(|smallest| !std::ptr::eq(smallest, *set)));
    smallest
        .into_iter()
        .flat_map(Set::iter)
        .filter(move |member| sets.iter().all(|set| set.contains_item(member)))
}

/// The intersection as Redis 7.2 stores it: begun as an intset if the smallest set is one, else as a listpack; one of
/// integers only becomes an intset at the end if it is not too long for that.
fn gather(sets: Vec<Option<&Set>>, limits: &SetLimits) -> Set {
    let smallest = sets.iter().flatten().min_by_key(|set| set.len());
    let mut result = Set::new();
    if smallest.is_some_and(|set| set.as_intset().is_none()) {
        result.expect(b"", 1, limits);
    }
    let mut only_integers = true;
    for member in members(sets) {
        member.with_bytes(|member| {
            only_integers = only_integers && numeric::parse_i64(member).is_some();
            result.insert(member, limits);
        });
    }
    if only_integers && result.as_intset().is_none() && result.len() <= limits.max_intset_entries {
        let mut ints = Set::new();
        combine::add_all(&mut ints, &result, limits);
        result = ints;
    }
    result
}
