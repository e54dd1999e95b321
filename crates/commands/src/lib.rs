//! Command declarations, the argument cursor and the handlers of the data commands.
//!
//! A handler is synchronous and deterministic: it sees data, clock, randomness, a reply and its effects, never a
//! socket, a session or the process.

#![forbid(unsafe_code)]

pub mod spec;
