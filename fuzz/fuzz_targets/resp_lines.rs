//! Lines of inline commands and config files.

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/resp/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::lines(data));
