//! Whole clusters in one thread: engines, disks that lose what was not synced, clocks that drift and jump, and a network
//! that loses, delays, doubles and cuts. Everything comes from one seed, so what failed once fails again.
//!
//! ```text
//! world.rs    nodes, clocks, disks, the network, time      checks.rs   what must hold after every step
//! story.rs    what happens to a cluster in one run         scale.rs    many nodes: times and messages of a failover
//! scenes.rs   one certain thing happens
//! ```

pub mod checks;
pub mod scale;
pub mod scenes;
pub mod story;
pub mod world;
