//! End-to-end tests: what a client, an operator and a benchmark see of the server.
//!
//! Nothing here uses the server's own crates. What is right is decided by `redis-server` 7.0 (the *oracle*); the server
//! under test is the *subject*.
//!
//! - [`server`], [`client`], [`reply`], [`words`]: start servers and speak to them
//! - [`transcript`]: `> SET k v` / `+OK` files, run against subject and oracle
//! - [`differential`]: random command streams, every reply compared
//! - [`mod@bench`]: CPU, memory and throughput beside Redis

pub mod bench;
pub mod client;
pub mod datasets;
pub mod differential;
pub mod reply;
pub mod server;
pub mod transcript;
pub mod words;
