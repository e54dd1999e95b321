//! What a large sorted set costs: CPU ns per operation and bytes of resident memory per member. Not a test of anything:
//! `cargo test -p holdfast-storage --profile ci --test zset_figures -- --ignored --nocapture`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use holdfast_storage::types::zset::{LexBound, ScoreRange, Zset, ZsetLimits};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MEMBERS: usize = 1_000_000;
const PROBES: usize = 300_000;

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// CPU time of this thread: other work on the machine does not count.
fn cpu_ns() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn member(number: usize) -> [u8; 17] {
    let mut text = *b"member:0000000000";
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    text[17 - digits.len()..].copy_from_slice(digits);
    text
}

fn time(what: &str, count: usize, work: impl FnOnce()) {
    let start = cpu_ns();
    work();
    println!("{what:<44} {:7.0} ns", (cpu_ns() - start) / count as f64);
}

fn run(name: &str, order: &[usize], score: impl Fn(usize) -> f64) {
    println!("-- {name}");
    let limits = ZsetLimits::default();
    let mut rng = SmallRng::seed_from_u64(7);
    let before = resident();
    let mut zset = Zset::new();
    time("insert", MEMBERS, || {
        for &number in order {
            zset.insert(&member(number), score(number), &limits);
        }
    });
    println!(
        "{:<44} {:7.1} bytes ({:.1} counted, {} allocations)",
        "resident per member",
        (resident() - before) as f64 / MEMBERS as f64,
        zset.memory_usage(0) as f64 / MEMBERS as f64,
        zset.free_effort(),
    );
    let picks: Vec<usize> = (0..PROBES).map(|_| rng.random_range(0..MEMBERS)).collect();
    time("score", PROBES, || {
        picks.iter().for_each(|&pick| {
            black_box(zset.score(&member(pick)));
        });
    });
    time("score of a member that is not there", PROBES, || {
        picks.iter().for_each(|&pick| {
            black_box(zset.score(&member(pick + MEMBERS)));
        });
    });
    time("rank", PROBES, || {
        picks.iter().for_each(|&pick| {
            black_box(zset.rank(&member(pick)));
        });
    });
    time("get by rank", PROBES, || {
        picks.iter().for_each(|&pick| {
            black_box(zset.get(pick));
        });
    });
    time("count by score", PROBES, || {
        for &pick in &picks {
            let range = ScoreRange {
                min: score(pick),
                max: score(pick) + 100.0,
                ..ScoreRange::ALL
            };
            black_box(zset.score_range(&range).len());
        }
    });
    time("range of 100 from a rank, per member", PROBES * 10, || {
        for &pick in &picks[..PROBES / 10] {
            zset.range(pick..pick + 100).for_each(|item| {
                black_box(item);
            });
        }
    });
    time("iterate all, per member", MEMBERS, || {
        zset.iter().for_each(|item| {
            black_box(item);
        });
    });
    time("update, place kept", PROBES, || {
        for &pick in &picks {
            black_box(zset.insert(&member(pick), score(pick) + 1e-9, &limits));
        }
    });
    time("update, unchanged", PROBES, || {
        for &pick in &picks {
            black_box(zset.insert(&member(pick), score(pick) + 1e-9, &limits));
        }
    });
    time("update, other place", PROBES, || {
        for &pick in &picks {
            black_box(zset.insert(&member(pick), rng.random_range(0.0..1e6), &limits));
        }
    });
    time("scan, per member", MEMBERS, || {
        let mut cursor = 0;
        loop {
            cursor = zset.scan(cursor, |member, score| {
                black_box((member, score));
            });
            if cursor == 0 {
                break;
            }
        }
    });
    time("pop the lowest", PROBES, || {
        (0..PROBES).for_each(|_| {
            black_box(zset.pop_min());
        });
    });
    let mut rest = order.to_vec();
    rest.shuffle(&mut rng);
    time("remove (or miss)", MEMBERS, || {
        rest.iter().for_each(|&number| {
            black_box(zset.remove(&member(number)));
        });
    });
    println!(
        "{:<44} {:7.1} bytes",
        "resident afterwards",
        (resident().saturating_sub(before)) as f64 / MEMBERS as f64
    );
}

#[test]
#[ignore = "prints figures"]
fn figures() {
    let ascending: Vec<usize> = (0..MEMBERS).collect();
    let mut shuffled = ascending.clone();
    shuffled.shuffle(&mut SmallRng::seed_from_u64(1));
    run("random order, distinct scores", &shuffled, |number| number as f64);
    run("ascending order, distinct scores", &ascending, |number| {
        number as f64
    });
    run("random order, 1000 scores", &shuffled, |number| {
        (number % 1000) as f64
    });
    run("random order, one score", &shuffled, |_| 0.0);
}

#[test]
#[ignore = "prints figures"]
fn figures_of_a_small_set() {
    let limits = ZsetLimits::default();
    let mut zset = Zset::new();
    let names: Vec<String> = (0..100).map(|number| format!("member:{number}")).collect();
    time("insert into a listpack up to 100", 100_000, || {
        for _ in 0..1000 {
            zset = Zset::new();
            for (at, name) in names.iter().enumerate() {
                zset.insert(name.as_bytes(), (at * 37 % 101) as f64, &limits);
            }
        }
    });
    time("score in a listpack of 100", 100_000, || {
        for _ in 0..1000 {
            names.iter().for_each(|name| {
                black_box(zset.score(name.as_bytes()));
            });
        }
    });
    time("lex range in a listpack of 100", 1000, || {
        (0..1000).for_each(|_| {
            black_box(zset.lex_range(LexBound::Incl(b"member:5"), LexBound::PosInf));
        });
    });
}
