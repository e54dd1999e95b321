//! End-to-end tests: what a client, an operator and a benchmark see of the server.
//!
//! Nothing here uses the server's own crates. What is right is decided by `redis-server` 7.0 (the *oracle*); the server
//! under test is the *subject*.
//!
//! - [`server`], [`ports`], [`client`], [`reply`], [`words`]: start servers and speak to them
//! - [`ask`], [`wait`]: ask servers for what tests often ask for, and wait until it is so
//! - [`failover`]: two servers swap their roles under load
//! - [`cluster`]: clusters whose nodes are killed, stopped and cut off under writes
//! - [`faults`]: disks that are full or broken
//! - [`namespaces`]: hosts with addresses of their own, and links that are cut or slow
//! - [`rdb_file`]: files of any version of Redis, byte by byte
//! - [`torture`]: servers that are killed under load
//! - [`replication`]: primaries and replicas, and a primary that misbehaves
//! - [`resync`]: a replica's connection ends again and again
//! - [`sentinel`]: real sentinels fail a primary over, again and again
//! - [`slots`]: clusters between whose nodes slots migrate
//! - [`transcript`]: `> SET k v` / `+OK` files, run against subject and oracle
//! - [`facts`]: what can be told of the data, to compare servers key by key
//! - [`differential`]: random command streams, every reply compared
//! - [`mod@bench`]: CPU, memory and throughput beside Redis

pub mod ask;
pub mod bench;
pub mod client;
pub mod cluster;
pub mod datasets;
pub mod differential;
pub mod docker;
pub mod facts;
pub mod failover;
pub mod faults;
pub mod namespaces;
pub mod nodes;
pub mod ports;
pub mod rdb_file;
pub mod replication;
pub mod reply;
pub mod resync;
pub mod sentinel;
pub mod server;
pub mod slots;
pub mod torture;
pub mod transcript;
pub mod wait;
pub mod words;
