//! Whole RDB files.

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/rdb/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::file(data));
