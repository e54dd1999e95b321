//! Sums of floats against INCRBYFLOAT and HINCRBYFLOAT.

use crate::{
    cmd,
    redis::{Redis, Reply},
};
use holdfast_storage::longdouble::incr_by_float;
use rand::{Rng, SeedableRng, rngs::SmallRng};

fn digits(rng: &mut SmallRng, max: usize) -> String {
    (0..rng.random_range(0..=max))
        .map(|_| char::from(b'0' + rng.random_range(0..10u8)))
        .collect()
}

/// Numbers of every size, most of them small and with few digits.
fn number(rng: &mut SmallRng) -> String {
    let sign = ["", "", "-", "+"][rng.random_range(0..4)];
    let spread = [3, 20, 60, 1500][rng.random_range(0..4)];
    match rng.random_range(0..8) {
        0..4 => format!("{sign}{}.{}", digits(rng, 6), digits(rng, 12)),
        4 => format!(
            "{sign}{}.{}e{}",
            digits(rng, 25),
            digits(rng, 25),
            rng.random_range(-spread..spread)
        ),
        5 => format!(
            "{sign}0x{:x}.{:x}p{}",
            rng.random::<u64>(),
            rng.random::<u64>(),
            rng.random_range(-spread..spread)
        ),
        6 => format!("{sign}{}e{}", digits(rng, 40), rng.random_range(-5000..5000)),
        _ => format!("{sign}{}", f64::from_bits(rng.random())),
    }
}

fn theirs(reply: Reply) -> Result<Vec<u8>, String> {
    match reply {
        Reply::Error(text) => Err(text),
        reply => Ok(reply.bytes()),
    }
}

#[test]
#[ignore = "needs redis-server"]
fn sums_have_the_same_bytes() {
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(8);
    for _ in 0..30_000 {
        let old = number(&mut rng);
        let increment = number(&mut rng);
        redis.call(&cmd!["SET", "k", old]);
        let theirs = theirs(redis.call(&cmd!["INCRBYFLOAT", "k", increment]));
        let ours =
            incr_by_float(old.as_bytes(), increment.as_bytes()).map_err(|error| format!("ERR {error}"));
        assert_eq!(ours, theirs, "{old} + {increment}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn long_texts_end_where_redis_ends_them() {
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(9);
    for len in [4000, 5000, 5117, 5118, 5119, 5120, 5121, 6000, 20_000] {
        let text = format!("1.{}", "0".repeat(len - 3)) + &rng.random_range(1..10).to_string();
        let ours = incr_by_float(text.as_bytes(), b"1").ok();
        redis.call(&cmd!["HSET", "h", "f", text]);
        assert_eq!(
            ours,
            theirs(redis.call(&cmd!["HINCRBYFLOAT", "h", "f", "1"])).ok(),
            "{len}"
        );
        redis.call(&cmd!["SET", "k", text]);
        assert_eq!(
            ours,
            theirs(redis.call(&cmd!["INCRBYFLOAT", "k", "1"])).ok(),
            "{len}"
        );
        redis.call(&cmd!["SET", "k", "1"]);
        assert_eq!(
            ours,
            theirs(redis.call(&cmd!["INCRBYFLOAT", "k", text])).ok(),
            "{len}"
        );
    }
}
