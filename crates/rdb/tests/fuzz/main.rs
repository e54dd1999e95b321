//! The short form of the fuzz targets: the same bodies over a few thousand mutated inputs, the same in each run. And no more
//! is allocated than the input justifies.
//!
//! With `HOLDFAST_WRITE_SEEDS=DIR` the inputs from which mutation starts are written into DIR/TARGET, for cargo-fuzz.

mod bodies;

use std::path::Path;

use holdfast_rdb::file::{Clocks, FileWriter};
use holdfast_rdb::{Limits, payload};
use holdfast_storage::snapshot::{Meta, Sink};
use tikv_jemalloc_ctl::thread;

use holdfast_rdb::Dialect;
use holdfast_rdb::payload::dump;
use holdfast_storage::encoding::entry::Entry;
use holdfast_storage::types::hash::{Hash, HashLimits};
use holdfast_storage::types::list::{List, ListLimits};
use holdfast_storage::types::set::{Set, SetLimits};
use holdfast_storage::types::stream::{Group, Stream, StreamId, StreamLimits};
use holdfast_storage::types::zset::{Zset, ZsetLimits};
use holdfast_storage::value::Value;
use rand::{Rng, SeedableRng, rngs::SmallRng};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Bytes that reading may allocate, all told: buffers, and for each byte of input what the densest form unfolds to (LZF: 88,
/// and a structure around it), each as often as it is copied or grows.
fn may_allocate(input: usize) -> u64 {
    (1 << 20) + 1000 * input as u64
}

/// Fails if `read` allocates more than its input justifies.
fn measured(input: &[u8], read: impl FnOnce()) {
    let allocated = || thread::allocatedp::read().expect("jemalloc counts").get();
    let before = allocated();
    read();
    let took = allocated() - before;
    assert!(
        took <= may_allocate(input.len()),
        "{took} bytes for {} of input: {}",
        input.len(),
        input.escape_ascii()
    );
}

/// Inputs from which mutation starts: every type that is written, small and large, and every older one.
fn seeds() -> Vec<Vec<u8>> {
    let mut values = vec![
        Value::Int(77),
        Value::Str((*b"a string of some length, a string of some length").into()),
    ];
    for count in [3, 200] {
        let (mut list, mut ints, mut set) = (List::new(), Set::new(), Set::new());
        let (mut hash, mut zset) = (Hash::new(), Zset::new());
        for i in 0..count {
            let text = format!("element-{i}-{}", "x".repeat(i % 70)).into_bytes();
            list.push_back(
                &text,
                &ListLimits {
                    max_listpack_size: 16,
                },
            );
            ints.insert((i * 1000).to_string().as_bytes(), &SetLimits::default());
            set.insert(&text, &SetLimits::default());
            hash.set(&text, i.to_string().as_bytes(), &HashLimits::default());
            zset.insert(&text, i as f64 / 3.0, &ZsetLimits::default());
        }
        values.push(Value::Stream(stream(count as u64)));
        values.extend([
            Value::List(list),
            Value::Set(ints),
            Value::Set(set),
            Value::Hash(hash),
            Value::Zset(zset),
        ]);
    }
    let mut seeds: Vec<Vec<u8>> = values
        .into_iter()
        .map(|value| {
            let mut payload = dump(Entry::new(b"k", value, None).value(), false, Dialect::Redis);
            payload.truncate(payload.len() - 10);
            payload.push(0);
            payload
        })
        .collect();
    let mut newest = seeds[2].clone();
    newest[0] = 21;
    seeds.push(newest);
    seeds.push(b"\x18\x05\0\0\0\0\0\0\0\x03\x00\x01a\x01v\x01\x01b\x01v\x09\x01c\x01w\0".to_vec());
    seeds
        .push(b"\x16\x02\x01a\x01v\xff\xff\xff\xff\xff\xff\xff\xff\x01b\x01v\x05\0\0\0\0\0\0\0\x01".to_vec());
    let ziplist = b"\x15\x15\0\0\0\x11\0\0\0\x04\0\0\x01a\x03\xf2\x02\x01b\x03\xf3\xff";
    for code in [10, 12, 13] {
        seeds.push([&[code][..], ziplist, b"\0"].concat());
    }
    seeds.push([b"\x0e\x02", &ziplist[..], ziplist, b"\0"].concat());
    seeds.push(b"\x09\x0e\x02\x01f\x01\x001\x01g\x01\x02x??\xff\0".to_vec());
    seeds.push(b"\x03\x02\x01b\x032.5\x01a\x02-1\0".to_vec());
    seeds.push(b"\x01\x02\x01a\xc0\x05\0".to_vec());
    seeds.push(b"\x14\x0d\x0d\0\0\0\x02\0\x81f\x02\x81g\x02\xff\0".to_vec());
    seeds
}

/// Entries in several nodes, some deleted, and a group with two consumers.
fn stream(count: u64) -> Stream {
    let limits = StreamLimits {
        node_max_entries: 20,
        ..StreamLimits::default()
    };
    let mut stream = Stream::new();
    for i in 1..=count {
        let fields = [(&b"field"[..], &b"value"[..]), (b"other", b"17")].into_iter();
        stream
            .append(StreamId::new(i, 5), fields, &limits)
            .expect("ids ascend");
    }
    stream.remove(StreamId::new(2, 5));
    let mut group = Group::new(StreamId::new(count, 5), Some(count));
    let one = group.create_consumer(b"one", 1000).expect("new");
    group.assign(StreamId::new(1, 5), one, 1000, 1);
    group.create_consumer(b"two", 2000).expect("new");
    stream.create_group(b"group", group);
    stream
}

fn mutate(data: &mut Vec<u8>, rng: &mut SmallRng) {
    let at = rng.random_range(0..=data.len());
    match rng.random_range(0..5) {
        0 => data.truncate(at),
        1 => data.insert(
            at,
            *b"\0\x01\x02\x7f\x80\x81\xc0\xc3\xf0\xfe\xff"
                .get(rng.random_range(0..11))
                .unwrap_or(&0),
        ),
        2 if at < data.len() => data[at] ^= 1 << rng.random_range(0..8),
        3 if at < data.len() => data[at] = rng.random(),
        _ => {
            let end = rng.random_range(at..=data.len().min(at + 20));
            data.extend_from_within(at..end);
        }
    }
}

/// Whole files: every type and encoding of today in each form, and those of old.
fn file_seeds(bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let clocks = Clocks {
        now_ms: 1_000_000,
        lfu: false,
        lfu_decay_minutes: 1,
        lru: true,
    };
    let mut seeds = Vec::new();
    for (timed, lfu) in [
        (None, false),
        (Some(Dialect::Redis), true),
        (Some(Dialect::Valkey), false),
    ] {
        let mut file = FileWriter::new(true, true, timed, Clocks { lfu, ..clocks });
        file.aux("redis-ver", b"7.2.4");
        file.function(b"#!lua name=lib");
        file.resize(0, 9, 1);
        for (number, body) in bodies.iter().enumerate() {
            let mut sealed = body[..body.len() - 1].to_vec();
            payload::seal(&mut sealed, 10);
            let Ok(value) = payload::restore(&sealed, false, &Limits::default()) else {
                continue;
            };
            let entry = Entry::new(b"k", value, None);
            let key = format!("key-{number}");
            let meta = Meta {
                db: u32::from(number > 5),
                key: key.as_bytes(),
                expire_at_ms: (number % 3 == 0).then_some(2_000_000),
                access: 7,
            };
            file.value(&meta, entry.value());
        }
        file.finish();
        let mut bytes = file.drain(<[u8]>::to_vec);
        bytes.push(0);
        seeds.push(bytes);
    }
    for version in ["REDIS0003", "REDIS0009", "VALKEY080"] {
        let mut file = [version.as_bytes(), b"\xfe\x02\xfb\x05\x01"].concat();
        for (number, body) in bodies.iter().enumerate() {
            let (kind, value) = body[..body.len() - 1].split_first().expect("a type");
            file.extend_from_slice(
                &[
                    b"\xfd\xff\xff\0\0",
                    &[*kind, 2, b'k', b'0' + (number % 70) as u8][..],
                    value,
                ]
                .concat(),
            );
        }
        file.extend_from_slice(b"\xf4\x01\x02\x03\xff\0\0\0\0\0\0\0\0\x01");
        seeds.push(file);
    }
    seeds
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

#[test]
fn mutated_values_are_read_or_refused() {
    let (seeds, mut rng) = (seeds(), SmallRng::seed_from_u64(4));
    write_seeds("rdb_values", &seeds);
    seeds.iter().for_each(|seed| bodies::values(seed));
    for round in 0..4_000 {
        let mut data = seeds[round % seeds.len()].clone();
        for _ in 0..rng.random_range(1..4) {
            mutate(&mut data, &mut rng);
        }
        bodies::values(&data);
        let version = [10, 80][round % 2];
        payload::seal(&mut data, version);
        measured(&data, || {
            let _read_or_refused = payload::restore(&data, false, &Limits::default());
        });
    }
}

#[test]
fn mutated_files_are_read_or_refused() {
    let (seeds, mut rng) = (file_seeds(&seeds()), SmallRng::seed_from_u64(5));
    write_seeds("rdb_file", &seeds);
    let mut good = 0;
    for seed in &seeds {
        good += usize::from(bodies::read_items(&seed[..seed.len() - 1], true).is_ok());
        bodies::file(seed);
    }
    assert!(good >= 3, "the files that are written here are whole: {good}");
    for round in 0..120 {
        let mut data = seeds[round % seeds.len()].clone();
        for _ in 0..rng.random_range(1..4) {
            mutate(&mut data, &mut rng);
        }
        bodies::file(&data);
        measured(&data, || {
            let _read_or_refused = bodies::read_items(&data, false);
        });
    }
}

#[test]
fn lengths_that_lie_are_not_believed() {
    let huge: [&[u8]; 3] = [
        b"\x80\xff\xff\xff\xff",
        b"\x81\0\0\0\x01\0\0\0\0",
        b"\x80\x10\0\0\0",
    ];
    for code in 0..=25_u8 {
        for len in huge {
            for lead in 0..4 {
                let body = [&[code][..], &b"\x01\x02\x01"[..lead], &len.repeat(3)].concat();
                let mut sealed = body.clone();
                payload::seal(&mut sealed, 12);
                measured(&sealed, || {
                    let _read_or_refused = payload::restore(&sealed, false, &Limits::default());
                });
                let file = [b"REDIS0012", &body[..1], b"\x01k", &body[1..]].concat();
                measured(&file, || {
                    let _read_or_refused = bodies::read_items(&file, false);
                });
            }
        }
    }
    for len in huge {
        let compressed = [b"REDIS0011\0\x01k\xc3", len, len, b"abc"].concat();
        measured(&compressed, || {
            assert!(bodies::read_items(&compressed, false).is_err())
        });
    }
}
