//! Command declarations, the argument cursor and the handlers of the data commands.
//!
//! A handler is synchronous and deterministic: it sees data, clock, randomness, a reply and its effects, never a
//! socket, a session or the process.

#![forbid(unsafe_code)]

#[allow(missing_docs, dead_code)]
pub mod docs_page;
pub mod introspect;
pub mod key_positions;
pub mod spec;
