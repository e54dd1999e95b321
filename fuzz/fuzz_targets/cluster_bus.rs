//! Messages of the cluster's bus.

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/cluster/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::bus(data));
