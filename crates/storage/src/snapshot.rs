//! Snapshots without fork: the data as they were at one moment, read while writers go on.
//!
//! ```text
//! begin (every shard locked): each shard gets a new epoch and a handle of the cut
//! walk  (one shard locked for a short slice at a time): entries of an older epoch go to the sink, and get the new one
//! write (a door in `data`): an entry of an older epoch hands over its image before it changes, and gets the new epoch
//! ```
//!
//! So each entry that existed at the cut is seen once: by the walk as it is, or as the image that a writer left. What
//! is made after the cut has the new epoch from the start. There is no second copy of the data: extra memory is the
//! images that wait, which [`Cut::waiting_bytes`] tells, so that writers can be held back.
//!
//! A big collection is not copied and not read in one go. It gets an `Undo`: the walk takes it in slices, and a
//! change of an element that the walk has not reached leaves the element's old state there. A big list is shared node by
//! node. So no lock is held for longer than a slice, whatever the size of a value.
//!
//! Must not know: files, formats, the log. What is seen goes to a [`Sink`].

mod cut;
mod pressure;
#[cfg(test)]
mod tests;
mod walker;

pub use cut::Cut;
pub(crate) use cut::keep;
pub use pressure::{Pressure, PressureWatcher};
pub use walker::Walker;

use crate::encoding::entry::Entry;
use crate::keyspace::Shard;
use crate::value::{Kind, ValueRef};

/// What belongs to a key beside its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta<'a> {
    /// Database at the cut.
    pub db: u32,
    /// Key.
    pub key: &'a [u8],
    /// Unix time in milliseconds.
    pub expire_at_ms: Option<i64>,
    /// Access clock, 24 bits.
    pub access: u32,
}

/// One element of a big collection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Element<'a> {
    /// Of a set.
    Member(&'a [u8]),
    /// Of a hash: field, value, and when the field expires (Unix ms).
    Field(&'a [u8], &'a [u8], Option<i64>),
    /// Of a sorted set: member and score.
    Scored(&'a [u8], f64),
    /// The next bytes of a string.
    Bytes(&'a [u8]),
}

/// Takes what a snapshot sees. Called with a shard locked: it may write to memory and nothing else.
pub trait Sink {
    /// A whole value.
    fn value(&mut self, meta: &Meta<'_>, value: ValueRef<'_>);
    /// A collection of `len` elements, or a string of `len` bytes, begins; exactly so many follow: those of sets and hashes in any order, fields
    /// whose time is over among them, those of sorted sets nearly in order.
    fn begin(&mut self, meta: &Meta<'_>, kind: Kind, len: usize);
    /// Its next element.
    fn element(&mut self, element: Element<'_>);
    /// It ends.
    fn end(&mut self);
    /// Bytes written since the sink was made: slices end by it.
    fn written(&self) -> usize;
}

/// Whether a snapshot is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to walk.
    More,
    /// Everything has been seen.
    Done,
}

/// Why a snapshot is not whole. Nothing is wrong with the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The state of a collection was lost on the way: a mistake of this program.
    #[error("the snapshot lost the state of a collection")]
    Lost,
    /// [`Cut::give_up`] was called.
    #[error("the snapshot was given up: it did not keep pace with the writers")]
    GivenUp,
    /// The data were replaced as a whole by others.
    #[error("the data were replaced by others")]
    Replaced,
}

/// Writes the keys of one database in a locked shard as they are, without a snapshot.
pub fn write_all(shard: &Shard, db: u32, sink: &mut impl Sink) {
    for entry in shard.dbs[db as usize].table.iter() {
        sink.value(&meta_of(entry, db), entry.value());
    }
}

fn meta_of(entry: &Entry, db: u32) -> Meta<'_> {
    Meta {
        db,
        key: entry.key(),
        expire_at_ms: entry.expire_at_ms(),
        access: entry.access(),
    }
}
