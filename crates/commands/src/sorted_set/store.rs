//! What the commands with a destination do with their result.

use holdfast_storage::data::Expiry;
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::zset::Zset;
use holdfast_storage::value::Value;

use crate::ctx::{CmdResult, Ctx};

/// Stores a result, or deletes the destination if it is empty; answers with its length.
pub(crate) fn store(ctx: &mut Ctx<'_, '_>, key: &[u8], result: Zset, event: &'static str) -> CmdResult {
    let len = result.len();
    if len == 0 {
        ctx.data.delete(key);
    } else {
        ctx.data
            .set(key, Value::Zset(result), Expiry::Clear, Event(Class::Zset, event));
    }
    ctx.done_int(len as i64)
}
