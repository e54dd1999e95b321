//! The cluster's control plane: one replicated state, who leads it, who serves which slot, and how nodes find each other
//! (design D8, D9).
//!
//! ```text
//! ids, slots   names and sets of slots
//! engine       decides: Raft, leases, failover, joining; pure
//! runtime      performs it: threads, gRPC, clocks; the handle that the server holds
//! storage      the log on disk, and one in memory that loses what was not synced
//! state        what all nodes agree on: entries, their validation, and the view for the data path
//! ```
//!
//! Must not know: keys, values, commands, RESP, replication streams. It depends on no crate of ours.

#![forbid(unsafe_code)]

mod codec;
pub mod engine;
mod ids;
pub mod proto;
pub mod runtime;
mod slots;
pub mod state;
pub mod storage;

pub use codec::Malformed;
pub use ids::{ClusterId, ID_LEN, MigrationId, NodeId, RaftId, ShardId};
pub use slots::{SLOTS, SlotSet};
