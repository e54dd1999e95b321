//! The short form of the fuzz targets: the same bodies over a few thousand mutated inputs, the same in each run.
//!
//! With `HOLDFAST_WRITE_SEEDS=DIR` the inputs from which mutation starts are written into DIR/TARGET, for cargo-fuzz.

mod bodies;

use std::path::Path;

use rand::{Rng, SeedableRng, rngs::SmallRng};

fn write_seeds(target: &str, seeds: &[Vec<u8>]) {
    if let Some(dir) = std::env::var_os("HOLDFAST_WRITE_SEEDS") {
        let dir = Path::new(&dir).join(target);
        std::fs::create_dir_all(&dir).expect("the folder can be made");
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(dir.join(format!("seed-{number}")), seed).expect("a seed can be written");
        }
    }
}

/// Changes `data` in one place. Numbers at the ends of their ranges are what breaks arithmetic.
fn mutate(data: &mut Vec<u8>, rng: &mut SmallRng) {
    let at = rng.random_range(0..=data.len());
    let until = rng.random_range(at..=data.len().min(at + 40));
    match rng.random_range(0..7) {
        0 => drop(data.drain(at..until)),
        1 => data.truncate(at),
        2 if at < data.len() => data[at] = rng.random(),
        3 if at < data.len() => data[at] ^= 1 << rng.random_range(0..8),
        4 => data.extend_from_within(at..until),
        5 if at < data.len() => {
            let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
            data.splice(at..=at, most);
        }
        _ if at < data.len() => data[at] = [0, 1, 2, 8, 0x7f][rng.random_range(0..5)],
        _ => {}
    }
}

fn run(target: &str, rounds: usize, seeds: &[Vec<u8>], body: fn(&[u8])) {
    write_seeds(target, seeds);
    let mut rng = SmallRng::seed_from_u64(11);
    for round in 0..rounds {
        let mut data = seeds[round % seeds.len()].clone();
        for _ in 0..rng.random_range(0..5) {
            mutate(&mut data, &mut rng);
        }
        let told = std::panic::catch_unwind(|| body(&data));
        assert!(told.is_ok(), "round {round}: {}", data.escape_ascii());
    }
}

#[test]
fn mutated_messages_of_the_bus_are_taken_or_refused() {
    let mut rng = SmallRng::seed_from_u64(5);
    let messages = &bodies::samples().messages;
    let seeds: Vec<Vec<u8>> = (0..4 * messages.len())
        .map(|n| {
            let mut seed = vec![rng.random::<u8>()];
            for one in 0..rng.random_range(1..4) {
                let message = &messages[(n + one * 7) % messages.len()];
                prost::encode_length_delimiter(message.len(), &mut seed).expect("a vector grows");
                seed.extend_from_slice(message);
            }
            seed
        })
        .collect();
    run("cluster_bus", 2_000, &seeds, bodies::bus);
}

/// Fields of a message of Raft at the ends of their ranges, which mutated bytes seldom hit.
#[test]
fn extreme_numbers_in_messages_of_raft_are_taken_or_refused() {
    use holdfast_cluster::proto::{Envelope, envelope::Payload};
    use prost::Message;
    let mut rng = SmallRng::seed_from_u64(6);
    let decoded = bodies::samples().messages.iter();
    let envelopes: Vec<Envelope> = decoded
        .map(|m| Envelope::decode(&m[..]).expect("a message"))
        .collect();
    for round in 0..3_000 {
        let mut data = vec![rng.random::<u8>() | 0x80];
        for _ in 0..rng.random_range(1..4) {
            let mut envelope = envelopes[rng.random_range(0..envelopes.len())].clone();
            let mut number = || {
                let any = [0, 1, 2, 3, 5, 8, 30, u64::MAX - 1, u64::MAX];
                any[rng.random_range(0..any.len())]
            };
            if let Some(Payload::Raft(raft)) = &mut envelope.payload {
                match number() % 9 {
                    0 => raft.term = number(),
                    1 => raft.log_term = number(),
                    2 => raft.index = number(),
                    3 => raft.commit = number(),
                    4 => raft.commit_term = number(),
                    5 => raft.request_snapshot = number(),
                    6 => raft.reject_hint = number(),
                    7 => raft.reject = !raft.reject,
                    _ => raft.kind = number() as u32 % 20,
                }
            }
            envelope
                .encode_length_delimited(&mut data)
                .expect("a vector grows");
        }
        let told = std::panic::catch_unwind(|| bodies::bus(&data));
        assert!(told.is_ok(), "round {round}: {}", data.escape_ascii());
    }
}

#[test]
fn mutated_logs_are_read_or_refused() {
    run("cluster_log", 3_000, &bodies::logs(), bodies::log);
}
