//! Digests against DEBUG DIGEST and DEBUG DIGEST-VALUE, for every type and several databases.

use crate::{cmd, redis::Redis};
use holdfast_storage::digest::{DatasetDigest, Digest, DigestType, ValueDigest};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::collections::{BTreeMap, BTreeSet};

enum Value {
    String(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    ZSet(BTreeMap<Vec<u8>, f64>),
    Stream(Vec<(u64, u64, Vec<Vec<u8>>)>),
}

fn text(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..4) {
        0 => rng.random::<i64>().to_string().into_bytes(),
        1 => rng.random_range(-5..300).to_string().into_bytes(),
        _ => (0..rng.random_range(0..90)).map(|_| rng.random()).collect(),
    }
}

fn score(rng: &mut SmallRng) -> f64 {
    match rng.random_range(0..4) {
        0 => f64::from(rng.random_range(-1000..1000)),
        1 => f64::INFINITY,
        2 => rng.random::<f64>() * 1e20,
        _ => rng.random::<f64>() - 0.5,
    }
}

fn value(rng: &mut SmallRng) -> Value {
    // Some are too long for the small encodings.
    let most = [4, 40, 300][rng.random_range(0..3)];
    let len = rng.random_range(1..most);
    match rng.random_range(0..6) {
        0 => Value::String(text(rng)),
        1 => Value::List((0..len).map(|_| text(rng)).collect()),
        2 if rng.random() => Value::Set((0..len).map(|n| n.to_string().into_bytes()).collect()),
        2 => Value::Set((0..len).map(|_| text(rng)).collect()),
        3 => Value::Hash((0..len).map(|_| (text(rng), text(rng))).collect()),
        4 => Value::ZSet((0..len).map(|_| (text(rng), score(rng))).collect()),
        _ => {
            let entry = |ms| {
                (
                    ms,
                    rng.random_range(1..9),
                    (0..2 * rng.random_range(1..4)).map(|_| text(rng)).collect(),
                )
            };
            Value::Stream((1..=len).map(entry).collect())
        }
    }
}

fn store(redis: &mut Redis, key: &[u8], value: &Value) {
    let mut command = match value {
        Value::String(_) => cmd!["SET", key].to_vec(),
        Value::List(_) => cmd!["RPUSH", key].to_vec(),
        Value::Set(_) => cmd!["SADD", key].to_vec(),
        Value::Hash(_) => cmd!["HSET", key].to_vec(),
        Value::ZSet(_) => cmd!["ZADD", key].to_vec(),
        Value::Stream(_) => Vec::new(),
    };
    match value {
        Value::String(bytes) => command.push(bytes.clone()),
        Value::List(items) => command.extend(items.iter().cloned()),
        Value::Set(members) => command.extend(members.iter().cloned()),
        Value::Hash(pairs) => command.extend(pairs.iter().flat_map(|(f, v)| [f.clone(), v.clone()])),
        Value::ZSet(pairs) => {
            command.extend(
                pairs
                    .iter()
                    .flat_map(|(m, s)| [format!("{s:e}").into_bytes(), m.clone()]),
            );
        }
        Value::Stream(entries) => {
            for (ms, seq, fields) in entries {
                let mut command = cmd!["XADD", key, format!("{ms}-{seq}")].to_vec();
                command.extend(fields.iter().cloned());
                redis.call(&command).bytes();
            }
            return;
        }
    }
    let reply = redis.call(&command);
    assert!(!format!("{reply:?}").starts_with("Error"), "{reply:?}");
}

fn digest(key: Option<&[u8]>, value: &Value, expires: bool) -> Digest {
    let start = |kind| key.map_or_else(|| ValueDigest::new(kind), |key| ValueDigest::with_key(key, kind));
    let digest = match value {
        Value::String(bytes) => {
            let mut digest = start(DigestType::String);
            digest.item(bytes);
            digest
        }
        Value::List(items) => {
            let mut digest = start(DigestType::List);
            items.iter().for_each(|item| digest.item(item));
            digest
        }
        Value::Set(members) => {
            let mut digest = start(DigestType::Set);
            members.iter().for_each(|member| digest.member(member));
            digest
        }
        Value::Hash(pairs) => {
            let mut digest = start(DigestType::Hash);
            pairs.iter().for_each(|(field, value)| digest.field(field, value));
            digest
        }
        Value::ZSet(pairs) => {
            let mut digest = start(DigestType::ZSet);
            pairs
                .iter()
                .for_each(|(member, score)| digest.scored(member, *score));
            digest
        }
        Value::Stream(entries) => {
            let mut digest = start(DigestType::Stream);
            for (ms, seq, fields) in entries {
                digest.stream_id(*ms, *seq);
                fields.iter().for_each(|field| digest.item(field));
            }
            digest
        }
    };
    digest.finish(expires)
}

#[test]
#[ignore = "needs redis-server"]
fn equal_data_have_equal_digests() {
    for seed in 0..30 {
        let mut redis = Redis::start(&[]);
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut ours = DatasetDigest::default();
        for database in [0u32, 3, 7, 15] {
            redis.call(&cmd!["SELECT", database.to_string()]);
            let keys = rng.random_range(0..20);
            if keys > 0 {
                ours.database(database);
            }
            for n in 0..keys {
                let key = format!("key:{n}").into_bytes();
                let value = value(&mut rng);
                let expires = rng.random();
                store(&mut redis, &key, &value);
                if expires {
                    assert_eq!(redis.call(&cmd!["EXPIRE", key, "1000"]).int(), 1);
                }
                let theirs = redis
                    .call(&cmd!["DEBUG", "DIGEST-VALUE", key])
                    .array()
                    .remove(0)
                    .text();
                assert_eq!(digest(None, &value, expires).to_string(), theirs);
                ours.entry(&digest(Some(&key), &value, expires));
            }
        }
        assert_eq!(
            ours.finish().to_string(),
            redis.call(&cmd!["DEBUG", "DIGEST"]).text()
        );
    }
}
