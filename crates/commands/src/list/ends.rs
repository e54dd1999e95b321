//! The words LEFT and RIGHT, the events of the two ends, and how elements are written.
//!
//! Must not know: which command asks.

use holdfast_resp::Reply;
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::types::list::End;

use crate::args::Cursor;
use crate::error::CmdError;

/// Takes LEFT or RIGHT.
pub(super) fn take_end(rest: &mut Cursor<'_>) -> Result<End, CmdError> {
    if rest.accept("LEFT") {
        Ok(End::Front)
    } else if rest.accept("RIGHT") {
        Ok(End::Back)
    } else {
        Err(CmdError::Syntax)
    }
}

/// The word for an end, in the replication log.
pub(super) const fn end_word(end: End) -> &'static [u8] {
    match end {
        End::Front => b"LEFT",
        End::Back => b"RIGHT",
    }
}

/// The command that pops at an end, in the replication log.
pub(super) const fn pop_word(end: End) -> &'static [u8] {
    match end {
        End::Front => b"LPOP",
        End::Back => b"RPOP",
    }
}

/// Elements were added at an end.
pub(super) const fn pushed(end: End) -> Event {
    match end {
        End::Front => Event(Class::List, "lpush"),
        End::Back => Event(Class::List, "rpush"),
    }
}

/// Elements were taken from an end.
pub(super) const fn popped(end: End) -> Event {
    match end {
        End::Front => Event(Class::List, "lpop"),
        End::Back => Event(Class::List, "rpop"),
    }
}

/// An element as a string.
pub(super) fn write(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(i) => reply.bulk_int(i),
        Item::Bytes(bytes) => reply.bulk(bytes),
    }
}
