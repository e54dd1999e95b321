//! Patterns against SSCAN (case matters) and FUNCTION LIST and CONFIG GET (it does not).

use crate::{
    cmd,
    redis::{Redis, Reply},
};
use holdfast_storage::glob::matches;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::collections::BTreeSet;

fn random(rng: &mut SmallRng, alphabet: &[u8], max: usize) -> Vec<u8> {
    let len = rng.random_range(0..=max);
    (0..len)
        .map(|_| alphabet[rng.random_range(0..alphabet.len())])
        .collect()
}

#[test]
#[ignore = "needs redis-server"]
fn the_same_members_match() {
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(2);
    let mut texts = BTreeSet::from([Vec::new()]);
    while texts.len() < 400 {
        texts.insert(random(&mut rng, b"abc]\\-^[*", 5));
    }
    for text in &texts {
        redis.call(&cmd!["SADD", "s", text]);
    }
    for _ in 0..30_000 {
        let pattern = random(&mut rng, b"aabbc****?[[]]^-\\", 9);
        // SCAN does not look at the members for a lone star.
        if pattern == b"*" {
            continue;
        }
        let reply = redis
            .call(&cmd!["SSCAN", "s", "0", "MATCH", pattern, "COUNT", "100000"])
            .array();
        let theirs: BTreeSet<Vec<u8>> = reply[1].clone().array().into_iter().map(Reply::bytes).collect();
        let ours: BTreeSet<Vec<u8>> = texts
            .iter()
            .filter(|text| matches(&pattern, text, false))
            .cloned()
            .collect();
        assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(&pattern));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn the_same_names_match_without_regard_to_case() {
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(3);
    let mut names = BTreeSet::new();
    while names.len() < 150 {
        let name = random(&mut rng, b"aAbBzZ_", 4);
        if !name.is_empty() {
            names.insert(name);
        }
    }
    for (n, name) in names.iter().enumerate() {
        let name = std::str::from_utf8(name).unwrap();
        let code = format!("#!lua name={name}\nredis.register_function('f{n}', function() end)");
        assert_eq!(redis.call(&cmd!["FUNCTION", "LOAD", code]).text(), name);
    }
    for _ in 0..10_000 {
        let pattern = random(&mut rng, b"aAbBzZ**?[[]]^-\\_", 8);
        if pattern.is_empty() {
            continue;
        }
        let reply = redis
            .call(&cmd!["FUNCTION", "LIST", "LIBRARYNAME", pattern])
            .array();
        let theirs: BTreeSet<Vec<u8>> = reply
            .into_iter()
            .map(|library| library.array()[1].clone().bytes())
            .collect();
        let ours: BTreeSet<Vec<u8>> = names
            .iter()
            .filter(|name| matches(&pattern, name, true))
            .cloned()
            .collect();
        assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(&pattern));
    }
}
