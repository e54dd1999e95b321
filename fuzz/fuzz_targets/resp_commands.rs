//! Streams of commands, however they are cut into reads.

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/resp/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::commands(data));
