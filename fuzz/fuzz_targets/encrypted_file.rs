//! Files that are encrypted at rest.

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/persistence/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::encrypted(data));
