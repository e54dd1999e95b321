//! Members, fields and values as the types of storage hand them out, written to a reply.
//!
//! Must not know: keys, arguments.

use holdfast_resp::Reply;
use holdfast_storage::encoding::listpack::Item;

/// Writes one as a string.
#[inline]
pub(crate) fn bulk(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(int) => reply.bulk_int(int),
        Item::Bytes(bytes) => reply.bulk(bytes),
    }
}
