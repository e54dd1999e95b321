//! The server: network, sessions, configuration, the server's own commands.
//!
//! | the way of a command | where |
//! |---|---|
//! | bytes from a socket | [`net::connection`] |
//! | checks, MULTI's queue | [`session`] |
//! | locks, handler, propagation, reaction | [`execute`] |
//! | clients that wait | [`blocking`] |

#![forbid(unsafe_code)]

pub mod acks;
pub mod acl;
pub mod aof;
pub mod apply;
pub mod blocking;
pub mod client;
pub mod client_memory;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod cron;
pub mod encryption;
pub mod ending;
pub mod execute;
pub mod gate;
pub mod images;
pub mod info;
pub mod loading;
pub mod logging;
pub mod memory;
pub mod net;
pub mod observe;
pub mod pubsub;
pub mod reclaim;
pub mod registry;
pub mod replication;
pub mod saving;
pub mod scripting;
pub mod server;
pub mod session;
pub mod snapshots;
pub mod startup;
pub mod stats;
pub mod throttle;
pub mod tracking;
pub mod worker;
