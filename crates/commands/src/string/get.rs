//! GET: <https://redis.io/commands/get>.

use holdfast_storage::data::{StrRef, WrongType};

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

pub(crate) const GET: Command = Command {
    spec: &Spec {
        name: "get",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::String,
        summary: "Returns the string at a key.",
        complexity: "O(1)",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: get,
};

fn get(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    reply_string(ctx, args.get(1))?;
    Ok(Outcome::Done)
}

/// Answers with the string at a key, or null; tells whether it is there.
#[inline]
pub(crate) fn reply_string(ctx: &mut Ctx<'_, '_>, key: &[u8]) -> Result<bool, WrongType> {
    match ctx.data.string(key)? {
        None => {
            ctx.reply.null();
            return Ok(false);
        }
        Some(StrRef::Int(i)) => ctx.reply.bulk_int(i),
        Some(StrRef::Bytes(b)) => ctx.reply.bulk(b),
        Some(StrRef::Heap(h)) => ctx.reply.bulk(h.as_slice()),
    }
    Ok(true)
}
