//! The short form of the fuzz targets: the same bodies over a few thousand mutated inputs, the same in each run.

mod bodies;

use holdfast_resp::encode_command;
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// Inputs from which mutation starts: something of each kind.
fn seeds() -> Vec<Vec<u8>> {
    let mut big = Vec::new();
    encode_command(&mut big, &[b"SET", b"key", &[b'v'; 70_000], b"PX", b"1"]);
    let mut seeds = vec![big];
    for text in [
        "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n0123456789\r\nPING\r\n",
        "*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\nSET k \"a\\x41 b\" 'c d'\r\nECHO \"\\n\"\n",
        "*12\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$0\r\n\r\n$12\r\nabcdefghijkl\r\n",
        "*1\r\n$20000\r\n",
        "a \"b c\" 'd\\'e' \\x f\"g\"",
        "*3\r\n:1\r\n$-1\r\n%2\r\n+a\r\n,1.5\r\n+b\r\n~2\r\n#t\r\n_\r\n",
        "|1\r\n+k\r\n:9\r\n>2\r\n=7\r\ntxt:abc\r\n(123456789012345678901\r\n",
        "*1\r\n*1\r\n*1\r\n!5\r\nERR x\r\n",
        "-ERR a\r\n$3\r\nabc\r\n*-1\r\n,inf\r\n",
    ] {
        seeds.push(text.as_bytes().to_vec());
    }
    seeds
}

/// Changes `data` in one place, preferring bytes that mean something to the protocol.
fn mutate(data: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut SmallRng) {
    let at = rng.random_range(0..=data.len());
    let until = rng.random_range(at..=data.len().min(at + 40));
    match rng.random_range(0..6) {
        0 => drop(data.drain(at..until)),
        1 => data.insert(at, *pick(b"*$\r\n0123456789-+\"'\\ x\0\xff:%~>|_#,(=!", rng)),
        2 if at < data.len() => data[at] = rng.random(),
        3 => data.extend_from_within(at..until),
        4 => {
            let other = pick(seeds, rng);
            let end = rng.random_range(0..=other.len());
            data.splice(at..until, other[..end].iter().copied());
        }
        _ => {
            let magnitude = rng.random_range(2..40);
            let number = rng.random_range(-2i64..1 << magnitude).to_string();
            data.splice(at..at, number.into_bytes());
        }
    }
}

fn pick<'a, T>(from: &'a [T], rng: &mut SmallRng) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

fn run(seed: u64, rounds: usize, body: fn(&[u8])) {
    let (mut rng, seeds) = (SmallRng::seed_from_u64(seed), seeds());
    for _ in 0..rounds {
        let mut data = pick(&seeds, &mut rng).clone();
        for _ in 0..rng.random_range(0..8) {
            mutate(&mut data, &seeds, &mut rng);
        }
        body(&data);
    }
}

#[test]
fn commands() {
    run(1, 4000, |stream| {
        // Mutations of the five bytes in front would be rare: all the limits, with cuts that the stream decides.
        let seed = stream.len() as u8;
        for flags in [0, 1, 6, 14, 15] {
            bodies::commands(&[&[flags, seed, seed ^ 0x55, flags, 7], stream].concat());
        }
    });
}

#[test]
fn lines() {
    run(2, 5000, bodies::lines);
}

#[test]
fn values() {
    run(3, 10_000, bodies::values);
}
