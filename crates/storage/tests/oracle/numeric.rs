//! Numbers against INCRBY, ZADD, ZSCORE and ZCOUNT.

use crate::{
    cmd,
    redis::{Redis, Reply},
};
use holdfast_storage::numeric::{format_f64_17g, parse_f64, parse_i64, parse_score_bound};
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// Texts that are numbers, nearly so, or not at all.
fn texts(seed: u64, count: usize) -> Vec<Vec<u8>> {
    const PARTS: [&str; 30] = [
        "",
        "-",
        "+",
        "0",
        "1",
        "9",
        "00",
        "17",
        "922337203685477580",
        "8",
        "7",
        ".",
        "e",
        "E",
        "e-",
        "e+",
        "300",
        "308",
        "324",
        "0x",
        "p",
        "p-",
        "f",
        "inf",
        "inity",
        "nan",
        " ",
        "\0",
        "123456789012345",
        "5",
    ];
    let mut rng = SmallRng::seed_from_u64(seed);
    (0..count)
        .map(|_| {
            (0..rng.random_range(0..7))
                .flat_map(|_| PARTS[rng.random_range(0..PARTS.len())].bytes())
                .collect()
        })
        .collect()
}

#[test]
#[ignore = "needs redis-server"]
fn the_same_texts_are_integers() {
    let mut redis = Redis::start(&[]);
    for text in texts(4, 30_000) {
        redis.call(&cmd!["SET", "i", "0"]);
        let theirs = match redis.call(&cmd!["INCRBY", "i", text]) {
            Reply::Int(value) => Some(value),
            _ => None,
        };
        assert_eq!(parse_i64(&text), theirs, "{:?}", String::from_utf8_lossy(&text));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn scores_are_read_and_written_alike() {
    // A listpack would hold -0 as the integer 0.
    let mut redis = Redis::start(&["--zset-max-listpack-entries", "0"]);
    let mut rng = SmallRng::seed_from_u64(5);
    let random = (0..20_000).map(|_| match f64::from_bits(rng.random()) {
        value if rng.random() => format!("{value:e}").into_bytes(),
        value => format!("{}", value % 1e6).into_bytes(),
    });
    let halves: Vec<_> = (0..2000u32)
        .map(|n| format!("{}", 1.0 + f64::from(n) * 2f64.powi(-17)).into_bytes())
        .collect();
    for text in texts(6, 30_000).into_iter().chain(random).chain(halves) {
        redis.call(&cmd!["DEL", "z"]);
        let theirs = match redis.call(&cmd!["ZADD", "z", text, "m"]) {
            Reply::Int(_) => Some(redis.call(&cmd!["ZSCORE", "z", "m"]).bytes()),
            _ => None,
        };
        let ours = parse_f64(&text).map(format_f64_17g);
        assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(&text));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn the_same_texts_bound_a_range() {
    let mut redis = Redis::start(&[]);
    redis.call(&cmd!["ZADD", "z", "-inf", "a", "0", "b", "1", "c", "inf", "d"]);
    for text in texts(7, 30_000)
        .into_iter()
        .filter(|text| text.first() != Some(&b'('))
    {
        let theirs = match redis.call(&cmd!["ZCOUNT", "z", text, "inf"]) {
            Reply::Int(count) => Some(count),
            _ => None,
        };
        let ours = parse_score_bound(&text).map(|low| {
            [f64::NEG_INFINITY, 0.0, 1.0, f64::INFINITY]
                .iter()
                .filter(|&&score| score >= low)
                .count() as i64
        });
        assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(&text));
    }
}
