//! Where a node keeps its log: what the engine wants written, in its order. Must not know: what entries mean.

mod disk;
mod memory;

pub use disk::DiskStore;
pub use memory::MemoryStore;

use crate::engine::{Persist, Restored};

/// Why a store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, or the database on it.
    #[error("the cluster's log: {0}")]
    Database(String),
    /// Another process has it.
    #[error("the cluster's log is used by another process")]
    InUse,
    /// It was not written by this program.
    #[error("the cluster's log is no such log")]
    Foreign,
    /// A record that is not what was written.
    #[error("the cluster's log is damaged: {0}")]
    Damaged(String),
}

/// A place for the log. One writer.
pub trait Store: Send {
    /// What is there.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn load(&mut self) -> Result<Restored, StoreError>;

    /// Writes these, in their order. When it returns, all of them are as safe as the strictest asked for.
    ///
    /// # Errors
    /// Nothing of them may be told as done; the node must stop.
    fn write(&mut self, batch: &[Persist]) -> Result<(), StoreError>;
}
