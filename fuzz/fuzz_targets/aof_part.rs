//! Parts of an append-only file.

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/persistence/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::log(data));
