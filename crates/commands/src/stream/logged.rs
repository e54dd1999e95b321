//! What reading and claiming for a group become in the log: commands that say which entry is pending for whom since
//! when, whatever the reader's clock and state.
//!
//! Must not know: arguments, replies.

use holdfast_storage::types::stream::StreamId;

use super::id;
use crate::ctx::Propagation;

/// A stream's key and a group's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) key: &'a [u8],
    pub(super) group: &'a [u8],
}

/// A pending entry as it is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery<'a> {
    pub(super) consumer: &'a [u8],
    pub(super) id: StreamId,
    pub(super) delivered_ms: i64,
    pub(super) deliveries: u64,
    /// The last id that the group was given.
    pub(super) last_id: StreamId,
}

impl Place<'_> {
    /// The entry is pending for the consumer; whoever applies this drops it if the stream has no such entry.
    pub(super) fn log_delivery(self, log: &mut Propagation, delivery: Delivery<'_>) {
        let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        log.rewrite(&[
            b"XCLAIM",
            self.key,
            self.group,
            delivery.consumer,
            b"0",
            &id::text(delivery.id),
            b"TIME",
            time.format(delivery.delivered_ms).as_bytes(),
            b"RETRYCOUNT",
            count.format(delivery.deliveries).as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            &id::text(delivery.last_id),
        ]);
    }

    /// The group stands at an id.
    pub(super) fn log_position(self, log: &mut Propagation, last_id: StreamId, entries_read: Option<u64>) {
        let mut number = itoa::Buffer::new();
        let read = match entries_read {
            Some(read) => number.format(read),
            None => "-1",
        };
        log.rewrite(&[
            b"XGROUP",
            b"SETID",
            self.key,
            self.group,
            &id::text(last_id),
            b"ENTRIESREAD",
            read.as_bytes(),
        ]);
    }

    /// The group has a new consumer.
    pub(super) fn log_consumer(self, log: &mut Propagation, consumer: &[u8]) {
        log.rewrite(&[b"XGROUP", b"CREATECONSUMER", self.key, self.group, consumer]);
    }
}
