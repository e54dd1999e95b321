//! Entries written to a reply.
//!
//! Must not know: keys, arguments.

use holdfast_resp::Reply;
use holdfast_storage::types::stream::{Entry, Fields};

use super::id;
use crate::items;

/// An id and the list of fields and values.
pub(super) fn entry(reply: &mut Reply, entry: Entry<'_>) {
    reply.array(2);
    id::write(reply, entry.id);
    fields(reply, entry.fields);
}

/// Fields and values, in turn.
pub(super) fn fields(reply: &mut Reply, fields: Fields<'_>) {
    reply.array(2 * fields.len());
    for (field, value) in fields {
        items::bulk(reply, field);
        items::bulk(reply, value);
    }
}

/// Writes entries, at most `count` (0: all), and tells how many.
pub(super) fn entries<'a>(
    reply: &mut Reply,
    entries: impl Iterator<Item = Entry<'a>>,
    count: usize,
) -> usize {
    let deferred = reply.defer();
    let most = if count == 0 { usize::MAX } else { count };
    let mut written = 0;
    for one in entries.take(most) {
        entry(reply, one);
        written += 1;
    }
    reply.finish_array(deferred, written);
    written
}
