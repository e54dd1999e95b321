//! How members and scores are written.
//!
//! Must not know: keys, arguments.

use holdfast_resp::{Proto, Reply};
use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::numeric;

/// A member.
pub(crate) fn member(reply: &mut Reply, member: Item<'_>) {
    match member {
        Item::Int(i) => reply.bulk_int(i),
        Item::Bytes(b) => reply.bulk(b),
    }
}

/// Begins an array of `len` members, each with its score if `scores`: in RESP3 the elements are pairs.
pub(super) fn begin(reply: &mut Reply, len: usize, scores: bool) {
    if scores && reply.proto() == Proto::Resp2 {
        reply.array(len * 2);
    } else {
        reply.array(len);
    }
}

/// One element of the array that [`begin`] began.
pub(super) fn element(reply: &mut Reply, name: Item<'_>, score: f64, scores: bool) {
    if scores && reply.proto() == Proto::Resp3 {
        reply.array(2);
    }
    member(reply, name);
    if scores {
        reply.double(score);
    }
}

/// A score as text in either protocol.
pub(super) fn score_text(reply: &mut Reply, score: f64) {
    reply.bulk(&numeric::format_f64_17g(score));
}
