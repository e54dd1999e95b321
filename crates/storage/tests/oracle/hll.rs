//! HyperLogLogs against PFADD, PFCOUNT, PFMERGE and PFDEBUG: replies and bytes.

use crate::{
    cmd,
    redis::{Redis, Reply},
};
use holdfast_storage::hll;
use rand::{Rng, SeedableRng, rngs::SmallRng};

fn elements(rng: &mut SmallRng, count: usize) -> Vec<Vec<u8>> {
    let short = rng.random();
    (0..count)
        .map(|_| {
            let len = if short {
                rng.random_range(0..3)
            } else {
                rng.random_range(1..30)
            };
            (0..len).map(|_| rng.random()).collect()
        })
        .collect()
}

fn add(hll: &mut Vec<u8>, elements: &[Vec<u8>], max: usize) -> bool {
    elements.iter().fold(false, |changed, element| {
        hll::add(hll, element, max).unwrap() | changed
    })
}

#[test]
#[ignore = "needs redis-server"]
fn the_same_bytes_after_every_pfadd() {
    for (seed, max, steps) in [(19, 3000, 1500), (20, 200, 300), (21, 0, 20), (22, 16_000, 6000)] {
        let mut redis = Redis::start(&["--hll-sparse-max-bytes", &max.to_string()]);
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut ours = hll::new_sparse();
        redis.call(&cmd!["PFADD", "h"]);
        assert_eq!(redis.call(&cmd!["GET", "h"]).bytes(), ours);
        for step in 0..steps {
            let count = rng.random_range(0..4);
            let elements = elements(&mut rng, count);
            let changed = add(&mut ours, &elements, max);
            let theirs = redis.call(&[&cmd!["PFADD", "h"][..], &elements].concat());
            assert_eq!(Reply::Int(changed.into()), theirs, "step {step}");
            assert_eq!(
                redis.call(&cmd!["GET", "h"]).bytes(),
                ours,
                "step {step} of {max}"
            );
            if step % 10 == 0 {
                let count = hll::cached_count(&ours).unwrap_or_else(|| hll::count(&ours).unwrap());
                hll::store_count(&mut ours, count);
                assert_eq!(
                    redis.call(&cmd!["PFCOUNT", "h"]).int() as u64,
                    count,
                    "step {step}"
                );
                assert_eq!(redis.call(&cmd!["GET", "h"]).bytes(), ours, "step {step}");
            }
        }
        if hll::encoding(&ours) == Ok(hll::Encoding::Sparse) {
            assert_eq!(
                redis.call(&cmd!["PFDEBUG", "DECODE", "h"]).text(),
                hll::decode(&ours).unwrap().unwrap()
            );
        }
        assert_eq!(
            redis.call(&cmd!["PFDEBUG", "ENCODING", "h"]).text(),
            hll::encoding(&ours).unwrap().name()
        );
        let registers = hll::registers(&ours)
            .unwrap()
            .map(|value| Reply::Int(value.into()))
            .to_vec();
        assert_eq!(
            redis.call(&cmd!["PFDEBUG", "GETREG", "h"]),
            Reply::Array(registers)
        );
        hll::to_dense(&mut ours).unwrap();
        assert_eq!(redis.call(&cmd!["GET", "h"]).bytes(), ours);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn the_same_counts_and_unions() {
    const MAX: usize = 3000;
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(23);
    let mut all: Vec<Vec<u8>> = Vec::new();
    for n in 0..24 {
        let mut ours = hll::new_sparse();
        redis.call(&cmd!["PFADD", n.to_string()]);
        let size = [0, 3, 100, 900, 2000, 100_000][n % 6];
        let elements = elements(&mut rng, size);
        for chunk in elements.chunks(500) {
            add(&mut ours, chunk, MAX);
            redis
                .call(&[&cmd!["PFADD", n.to_string()][..], chunk].concat())
                .int();
        }
        assert_eq!(redis.call(&cmd!["GET", n.to_string()]).bytes(), ours, "{size}");
        let count = redis.call(&cmd!["PFCOUNT", n.to_string()]).int() as u64;
        assert_eq!(count, hll::count(&ours).unwrap());
        all.push(ours);
    }
    for round in 0..400 {
        let chosen: Vec<usize> = (0..rng.random_range(0..4))
            .map(|_| rng.random_range(0..all.len()))
            .collect();
        let keys: Vec<Vec<u8>> = chosen.iter().map(|n| n.to_string().into_bytes()).collect();
        let sources: Vec<&[u8]> = chosen.iter().map(|&n| all[n].as_slice()).collect();
        if sources.len() > 1 {
            let theirs = redis.call(&[&cmd!["PFCOUNT"][..], &keys].concat()).int() as u64;
            assert_eq!(hll::count_union(&sources).unwrap(), theirs, "{chosen:?}");
        }
        let mut dest = hll::new_sparse();
        redis.call(&cmd!["DEL", "dest"]);
        if round % 2 == 0 {
            let count = [0, 50, 700, 3000][round / 2 % 4];
            for chunk in elements(&mut rng, count).chunks(500) {
                add(&mut dest, chunk, MAX);
                redis.call(&[&cmd!["PFADD", "dest"][..], chunk].concat()).int();
            }
        }
        hll::merge(&mut dest, &sources, MAX).unwrap();
        redis.call(&[&cmd!["PFMERGE", "dest"][..], &keys].concat()).text();
        assert_eq!(redis.call(&cmd!["GET", "dest"]).bytes(), dest, "{chosen:?}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn the_same_strings_are_refused() {
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(24);
    for round in 0..3000 {
        let mut bytes = hll::new_sparse();
        let elements = elements(&mut rng, round % 40);
        add(&mut bytes, &elements, 3000);
        match rng.random_range(0..4) {
            0 => bytes.truncate(rng.random_range(0..=bytes.len())),
            1 => bytes.push(rng.random()),
            _ => {
                let at = rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << rng.random_range(0..8);
            }
        }
        redis.call(&cmd!["SET", "h", bytes]);
        redis.call(&cmd!["PFADD", "none"]);
        let theirs = redis.call(&cmd!["PFCOUNT", "h", "none"]);
        let ours = match hll::count_union(&[&bytes]) {
            Ok(count) => Reply::Int(count as i64),
            Err(error) => Reply::Error(error.to_string()),
        };
        assert_eq!(ours, theirs, "{bytes:?}");
    }
}
