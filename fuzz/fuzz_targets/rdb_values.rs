//! Bodies of DUMP payloads.

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/rdb/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::values(data));
