//! The short form of the fuzz targets: the same bodies over a few thousand mutated inputs, the same in each run.

mod bodies;

use holdfast_rdb::payload::dump;
use holdfast_storage::encoding::entry::Entry;
use holdfast_storage::types::hash::{Hash, HashLimits};
use holdfast_storage::types::list::{List, ListLimits};
use holdfast_storage::types::set::{Set, SetLimits};
use holdfast_storage::types::stream::{Group, Stream, StreamId, StreamLimits};
use holdfast_storage::types::zset::{Zset, ZsetLimits};
use holdfast_storage::value::Value;
use rand::{Rng, SeedableRng, rngs::SmallRng};

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
            let mut payload = dump(Entry::new(b"k", value, None).value(), false);
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

#[test]
fn mutated_values_are_read_or_refused() {
    let (seeds, mut rng) = (seeds(), SmallRng::seed_from_u64(4));
    seeds.iter().for_each(|seed| bodies::values(seed));
    for round in 0..4_000 {
        let mut data = seeds[round % seeds.len()].clone();
        for _ in 0..rng.random_range(1..4) {
            mutate(&mut data, &mut rng);
        }
        bodies::values(&data);
    }
}
