//! The seeded hash of fields and members. Knows bytes only, never what they mean.
//!
//! One seed for the process, chosen at random on first use, so that nobody outside can aim at one bucket.
//! A simulation that needs the same iteration order in every run sets the seed before the first hash.

use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

static SHARED: OnceLock<SharedSeed> = OnceLock::new();
static STATE: OnceLock<SeedableRandomState> = OnceLock::new();

/// Sets the seed of every table of this process. Answers false, and changes nothing, once a hash was computed.
pub fn seed_process(seed: u64) -> bool {
    let mut ours = false;
    STATE.get_or_init(|| {
        ours = true;
        SeedableRandomState::with_seed(seed, SHARED.get_or_init(|| SharedSeed::from_u64(seed)))
    });
    ours
}

/// The 64-bit hash of a field or member; the same for equal bytes as long as the process lives.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = STATE.get_or_init(SeedableRandomState::random).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// The byte kept beside each entry: bits that choose no bucket before a table has 2^56 of them.
#[inline]
pub(super) fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8
}
