//! The short form of the fuzz targets: the same bodies over a few thousand mutated inputs, the same in each run. And no more
//! is allocated than the input justifies.
//!
//! With `HOLDFAST_WRITE_SEEDS=DIR` the inputs from which mutation starts are written into DIR/TARGET, for cargo-fuzz.

mod bodies;

use std::path::Path;

use rand::{Rng, SeedableRng, rngs::SmallRng};
use tikv_jemalloc_ctl::thread;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Fails if `read` allocates more, all told, than a constant and some multiple of its input: an argument of one byte is 40
/// bytes on the heap, which grow.
fn measured(input: &[u8], read: impl FnOnce()) {
    let allocated = || thread::allocatedp::read().expect("jemalloc counts").get();
    let before = allocated();
    read();
    let took = allocated() - before;
    let most = (1 << 20) + 100 * input.len() as u64;
    assert!(
        took <= most,
        "{took} bytes for {}: {}",
        input.len(),
        input.escape_ascii()
    );
}

fn write_seeds(target: &str, seeds: &[Vec<u8>]) {
    if let Some(dir) = std::env::var_os("HOLDFAST_WRITE_SEEDS") {
        let dir = Path::new(&dir).join(target);
        std::fs::create_dir_all(&dir).expect("the folder can be made");
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(dir.join(format!("seed-{number}")), seed).expect("a seed can be written");
        }
    }
}

/// Changes `data` in one place, preferring `words`.
fn mutate(data: &mut Vec<u8>, words: &[&str], rng: &mut SmallRng) {
    let at = rng.random_range(0..=data.len());
    let until = rng.random_range(at..=data.len().min(at + 40));
    match rng.random_range(0..6) {
        0 => drop(data.drain(at..until)),
        1 => data.truncate(at),
        2 if at < data.len() => data[at] = rng.random(),
        3 if at < data.len() => data[at] ^= 1 << rng.random_range(0..8),
        4 => data.extend_from_within(at..until),
        _ => {
            let word = words[rng.random_range(0..words.len())];
            data.splice(at..at, word.bytes());
        }
    }
}

fn run(target: &str, rounds: usize, seeds: &[Vec<u8>], words: &[&str], body: fn(&[u8])) {
    write_seeds(target, seeds);
    let mut rng = SmallRng::seed_from_u64(11);
    for round in 0..rounds {
        let mut data = seeds[round % seeds.len()].clone();
        body(&data);
        for _ in 0..rng.random_range(1..5) {
            mutate(&mut data, words, &mut rng);
        }
        body(&data);
    }
}

#[test]
fn mutated_logs_are_read_up_to_what_is_wrong() {
    let set = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n";
    let (multi, exec) = ("*1\r\n$5\r\nMULTI\r\n", "*1\r\n$4\r\nEXEC\r\n");
    let seeds: Vec<Vec<u8>> = [
        format!("#TS:1700000000\r\n{set}{multi}{set}{set}{exec}"),
        format!("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n{set}#a note\r\n{set}"),
        format!("*2\r\n$3\r\nDEL\r\n$300\r\n{}\r\n", "k".repeat(300)),
        format!("{multi}{exec}{multi}{set}"),
    ]
    .map(String::into_bytes)
    .into();
    let words = [
        set,
        multi,
        exec,
        "*1048576\r\n",
        "$536870912\r\n",
        "*-1\r\n",
        "$-1\r\n",
        "#TS:9\r\n",
        "\r\n",
        "99999999999999999999",
    ];
    run("aof_part", 2_000, &seeds, &words, |data| {
        bodies::log(data);
        measured(data, || drop(bodies::read_log(data, 8 << 10)));
    });
}

#[test]
fn mutated_manifests_are_read_or_refused() {
    let seeds: Vec<Vec<u8>> = [
        "file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type h\nfile a.2.incr.aof seq 2 type i\n",
        "# a note\nfile \"a b\\x00\\\"\" seq 18446744073709551615 type i\n",
        "file a seq 1 type i extra word\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    let words = [
        "file ", " seq ", " type ", "b\n", "i\n", "h\n", "\"", "'", "\\x2f", "/", "..", "-1", "#", "\n", " ",
    ];
    run("aof_manifest", 4_000, &seeds, &words, |data| {
        bodies::manifest(data);
        measured(data, || {
            let _read_or_refused = holdfast_persistence::aof::Manifest::parse(data);
        });
    });
}

#[test]
fn mutated_encrypted_files_give_nothing_that_is_not_genuine() {
    let seeds = [bodies::encrypted_file()];
    run("encrypted_file", 20, &seeds, &["HOLDFENC", "\0", "one"], |data| {
        bodies::encrypted(data);
    });
    // Near the beginning, where the header is, each byte on its own.
    for at in (0..80).step_by(2) {
        let mut file = seeds[0].clone();
        file[at] ^= 0x10;
        bodies::encrypted(&file);
    }
}
