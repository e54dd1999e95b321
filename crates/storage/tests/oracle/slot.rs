//! Slots against CLUSTER KEYSLOT.

use crate::{cmd, redis::Redis};
use holdfast_storage::slot::key_slot;
use rand::{Rng, SeedableRng, rngs::SmallRng};

#[test]
#[ignore = "needs redis-server"]
fn slots_are_the_same() {
    let mut redis = Redis::start(&["--cluster-enabled", "yes"]);
    let mut rng = SmallRng::seed_from_u64(1);
    for _ in 0..20_000 {
        let len = rng.random_range(0..40);
        let alphabet = if rng.random() {
            &b"{}ab"[..]
        } else {
            &b"{}0123456789abcdefghijklmnopqrstuvwxyz:"[..]
        };
        let key: Vec<u8> = (0..len)
            .map(|_| alphabet[rng.random_range(0..alphabet.len())])
            .collect();
        let expected = redis.call(&cmd!["CLUSTER", "KEYSLOT", key]).int();
        assert_eq!(
            i64::from(key_slot(&key)),
            expected,
            "{:?}",
            String::from_utf8_lossy(&key)
        );
    }
}
