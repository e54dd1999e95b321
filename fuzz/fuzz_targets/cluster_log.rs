//! Records of the log of a cluster.s node.

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/cluster/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::log(data));
