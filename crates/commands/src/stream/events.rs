//! The keyspace events of streams, and the errors that several of their commands answer.
//!
//! Must not know: arguments.

use holdfast_storage::effects::{Class, Event};

use super::id;
use crate::error::CmdError;

pub(super) const XADD: Event = Event(Class::Stream, "xadd");
pub(super) const XTRIM: Event = Event(Class::Stream, "xtrim");
pub(super) const XDEL: Event = Event(Class::Stream, "xdel");
pub(super) const XSETID: Event = Event(Class::Stream, "xsetid");
pub(super) const GROUP_CREATE: Event = Event(Class::Stream, "xgroup-create");
pub(super) const GROUP_SETID: Event = Event(Class::Stream, "xgroup-setid");
pub(super) const GROUP_DESTROY: Event = Event(Class::Stream, "xgroup-destroy");
pub(super) const CREATE_CONSUMER: Event = Event(Class::Stream, "xgroup-createconsumer");
pub(super) const DEL_CONSUMER: Event = Event(Class::Stream, "xgroup-delconsumer");

/// There is no such key, or it has no such group.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8]) -> CmdError {
    id::quoting(&[
        b"NOGROUP No such key '",
        key,
        b"' or consumer group '",
        group,
        b"'",
    ])
}

/// The stream has no such group.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> CmdError {
    id::quoting(&[
        b"NOGROUP No such consumer group '",
        group,
        b"' for key name '",
        key,
        b"'",
    ])
}
