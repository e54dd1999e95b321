//! SADD and SREM: <https://redis.io/commands/sadd>, <https://redis.io/commands/srem>.

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::set::Set;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `SADD key member [member ...]`
pub(crate) const SADD: Command = Command {
    spec: &Spec {
        name: "sadd",
        arity: -3,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, INSERT))],
        group: Group::Set,
        since: "1.0.0",
        summary: "Adds members to a set.",
        complexity: "O(N), N: members given",
        args: &[Arg::key("key", 0), Arg::string("member").multi()],
        ..Spec::DEFAULT
    },
    run: sadd,
};

/// `SREM key member [member ...]`
pub(crate) const SREM: Command = Command {
    spec: &Spec {
        name: "srem",
        arity: -3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::Set,
        since: "1.0.0",
        summary: "Removes members from a set.",
        complexity: "O(N), N: members given",
        args: &[Arg::key("key", 0), Arg::string("member").multi()],
        ..Spec::DEFAULT
    },
    run: srem,
};

fn sadd(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let limits = &ctx.limits.set;
    let mut set = ctx.data.edit_or_create::<Set>(args.get(1))?;
    set.expect(args.get(2), args.len() - 2, limits);
    let added = args.from(2).filter(|member| set.insert(member, limits)).count();
    if added > 0 {
        set.finish(Event(Class::Set, "sadd"), added as u64);
    } else {
        set.unchanged();
    }
    ctx.done_int(added as i64)
}

fn srem(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(mut set) = ctx.data.edit::<Set>(args.get(1))? else {
        return ctx.done_int(0);
    };
    let removed = args.from(2).filter(|member| set.remove(member)).count();
    if removed > 0 {
        set.finish(Event(Class::Set, "srem"), removed as u64);
    } else {
        set.unchanged();
    }
    ctx.done_int(removed as i64)
}
