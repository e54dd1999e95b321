//! What SINTER, SUNION, SDIFF and their STORE forms share: several sets borrowed at once, and the result's way to a key.
//!
//! Must not know: how sets are combined.

use holdfast_resp::Reply;
use holdfast_storage::data::{Collection, Data, Expiry, WrongType};
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::set::{Set, SetLimits};
use holdfast_storage::value::Value;

use crate::ctx::{CmdResult, Ctx};
use crate::items;

/// The sets of these keys in their order, None where there is no key. The type of each is looked at.
pub(super) fn lend<'d, 'q>(
    data: &'d mut Data<'_, '_>,
    keys: impl Iterator<Item = &'q [u8]> + Clone,
) -> Result<Vec<Option<&'d Set>>, WrongType> {
    let of = |value| match value {
        None => Ok(None),
        Some(value) => Set::of(value).map(Some).ok_or(WrongType),
    };
    data.get_all(keys).into_iter().map(of).collect()
}

/// Adds all members of a set to another.
pub(super) fn add_all(target: &mut Set, from: &Set, limits: &SetLimits) {
    for member in from.iter() {
        member.with_bytes(|member| target.insert(member, limits));
    }
}

/// Writes a set as a reply.
pub(super) fn write(reply: &mut Reply, set: &Set) {
    reply.set(set.len());
    set.iter().for_each(|member| items::bulk(reply, member));
}

/// Puts the result under `key`, whatever was there; an empty one deletes it. Answers the number of members.
pub(super) fn store(ctx: &mut Ctx<'_, '_>, key: &[u8], result: Set, event: &'static str) -> CmdResult {
    let len = result.len();
    if len == 0 {
        ctx.data.delete(key);
    } else {
        let event = Event(Class::Set, event);
        ctx.data.set(key, Value::Set(result), Expiry::Clear, event);
    }
    ctx.done_int(len as i64)
}
