//! `math.random` as Redis has it, and SHA1.

use std::cell::Cell;
use std::fmt::Write;

use sha1::{Digest, Sha1};

use crate::args::truncate;

/// The generator of POSIX `drand48`: 48 bits of state, so that scripts see the same numbers on every machine.
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// Where POSIX lets an unseeded generator begin; scripts go on where the last one has stopped.
const START: u64 = 0x1234_ABCD_330E;
/// Low bits of the state after seeding.
const LOW: u64 = 0x330E;

impl Random {
    pub(crate) fn new() -> Self {
        Self(Cell::new(START))
    }

    pub(crate) fn seed(&self, seed: i32) {
        self.0.set((u64::from(seed as u32) << 16) | LOW);
    }

    /// A number from 0 up to, not including, 1: 31 bits of the state.
    pub(crate) fn next(&self) -> f64 {
        let x = self.0.get().wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        self.0.set(x);
        let bits = (x >> 17) as u32;
        f64::from(bits % i32::MAX as u32) / f64::from(i32::MAX)
    }
}

/// A Lua number as C's `int`: cut to 64 bits, then to 32.
pub(crate) fn c_int(x: f64) -> i32 {
    truncate(x) as i32
}

/// SHA1 as 40 lower-case hex digits.
pub fn sha1_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(40);
    for byte in Sha1::digest(bytes) {
        let _to_a_string = write!(hex, "{byte:02x}");
    }
    hex
}
