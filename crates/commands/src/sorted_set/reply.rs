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

/// A score as ZSCAN shows it, as text in either protocol. In a listpack whole numbers are kept as integers, so they
/// are shown with all their digits.
pub(super) fn score_text(reply: &mut Reply, score: f64, in_listpack: bool) {
    const LARGEST: f64 = (i64::MAX / 2) as f64;
    if in_listpack && score.fract() == 0.0 && score.abs() <= LARGEST {
        reply.bulk_int(score as i64);
    } else {
        reply.bulk(&numeric::format_f64_17g(score));
    }
}
