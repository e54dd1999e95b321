//! Replies, read and written back.

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/resp/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::values(data));
