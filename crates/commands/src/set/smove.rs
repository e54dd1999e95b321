//! SMOVE: <https://redis.io/commands/smove>.

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::set::Set;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `SMOVE source destination member`
pub(crate) const SMOVE: Command = Command {
    spec: &Spec {
        name: "smove",
        arity: 4,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: SET),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE)),
            KeySpec::one(2, flags!(KeyFlags: RW, INSERT)),
        ],
        group: Group::Set,
        since: "1.0.0",
        summary: "Moves a member from one set to another.",
        complexity: "O(1)",
        args: &[
            Arg::key("source", 0),
            Arg::key("destination", 1),
            Arg::string("member"),
        ],
        ..Spec::DEFAULT
    },
    run: smove,
};

fn smove(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (from, to, member) = (args.get(1), args.get(2), args.get(3));
    let Some(source) = ctx.data.edit::<Set>(from)? else {
        return ctx.done_int(0);
    };
    let there = source.contains(member);
    source.unchanged();
    // The type of the target counts even if there is nothing to move.
    if let Some(target) = ctx.data.edit::<Set>(to)? {
        target.unchanged();
    }
    if !there || from == to {
        return ctx.done_int(there.into());
    }
    if let Some(mut source) = ctx.data.edit::<Set>(from)? {
        source.remove(member);
        source.finish(Event(Class::Set, "srem"), 1);
    }
    let limits = &ctx.limits.set;
    let mut target = ctx.data.edit_or_create::<Set>(to)?;
    target.expect(member, 1, limits);
    if target.insert(member, limits) {
        target.finish(Event(Class::Set, "sadd"), 1);
    } else {
        target.unchanged();
    }
    ctx.done_int(1)
}
