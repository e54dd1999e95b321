//! SDIFF and SDIFFSTORE: <https://redis.io/commands/sdiff>.

use super::combine;
use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::types::set::Set;
use holdfast_storage::types::set::SetLimits;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::items;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `SDIFF key [key ...]`
pub(crate) const SDIFF: Command = Command {
    spec: &Spec {
        name: "sdiff",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::range(1, -1, 1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns the members of the first set that no other set has.",
        complexity: "O(N), N: members of all sets",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::key("key", 0).multi()],
        ..Spec::DEFAULT
    },
    run: sdiff,
};

/// `SDIFFSTORE destination key [key ...]`
pub(crate) const SDIFFSTORE: Command = Command {
    spec: &Spec {
        name: "sdiffstore",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: SET),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: OW, UPDATE)),
            KeySpec::range(2, -1, 1, flags!(KeyFlags: RO, ACCESS)),
        ],
        group: Group::Set,
        since: "1.0.0",
        summary: "Stores the members of the first set that no other set has.",
        complexity: "O(N), N: members of all sets",
        args: &[Arg::key("destination", 0), Arg::key("key", 1).multi()],
        ..Spec::DEFAULT
    },
    run: sdiffstore,
};

fn sdiff(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(sets) = Operands::of(combine::lend(&mut ctx.data, args.from(1))?) else {
        ctx.reply.set(0);
        return Ok(Outcome::Done);
    };
    let (deferred, mut len) = (ctx.reply.defer(), 0);
    for member in sets.members() {
        items::bulk(ctx.reply, member);
        len += 1;
    }
    ctx.reply.finish_set(deferred, len);
    Ok(Outcome::Done)
}

fn sdiffstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let sets = Operands::of(combine::lend(&mut ctx.data, args.from(2))?);
    let result = sets.map_or_else(Set::new, |sets| sets.gather(&ctx.limits.set));
    combine::store(ctx, args.get(1), result, "sdiffstore")
}

/// The first set, and those that are taken from it, largest first.
pub(super) struct Operands<'d> {
    first: &'d Set,
    others: Vec<&'d Set>,
}

impl<'d> Operands<'d> {
    /// None: nothing is left for sure, as the first set is not there or is taken from itself.
    pub(super) fn of(sets: Vec<Option<&'d Set>>) -> Option<Self> {
        let mut sets = sets.into_iter();
        let first = sets.next().flatten()?;
        let mut others: Vec<&Set> = sets.flatten().collect();
        if others.iter().any(|set| std::ptr::eq(*set, first)) {
            return None;
        }
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        Some(Self { first, others })
    }

    /// What is left, in the order of the first set.
    pub(super) fn members(&self) -> impl Iterator<Item = Item<'d>> {
        let gone = |member: &Item<'_>| self.others.iter().any(|set| set.contains_item(member));
        self.first.iter().filter(move |member| !gone(member))
    }

    /// What is left as Redis stores it. If the first set is so large that asking all others for each of its members
    /// takes longer, it is copied and their members are taken out, and the copy keeps the encoding that it had.
    fn gather(&self, limits: &SetLimits) -> Set {
        let sets = 1 + self.others.len();
        let asking = self.first.len() * sets / 2;
        let taking_out = self.first.len() + self.others.iter().map(|set| set.len()).sum::<usize>();
        let mut result = Set::new();
        if asking <= taking_out {
            for member in self.members() {
                member.with_bytes(|member| result.insert(member, limits));
            }
            return result;
        }
        combine::add_all(&mut result, self.first, limits);
        for set in &self.others {
            for member in set.iter() {
                member.with_bytes(|member| result.remove(member));
            }
        }
        result
    }
}
