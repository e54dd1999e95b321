//! Bits against BITCOUNT, BITPOS, BITOP and BITFIELD.

use crate::{
    cmd,
    redis::{Redis, Reply},
};
use holdfast_storage::bitfield::{FieldType, Overflow};
use holdfast_storage::bitops::{BitOp, Unit, combine, count_range, not, position};
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// Random bytes with long runs of zeros and ones.
fn string(rng: &mut SmallRng) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..rng.random_range(0..5) {
        let len = rng.random_range(0..40);
        match rng.random_range(0..3) {
            0 => out.extend(std::iter::repeat_n(0, len)),
            1 => out.extend(std::iter::repeat_n(0xff, len)),
            _ => out.extend((0..len / 8).map(|_| rng.random::<u8>())),
        }
    }
    out
}

#[test]
#[ignore = "needs redis-server"]
fn ranges_count_and_find_the_same() {
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(10);
    for _ in 0..3000 {
        let bytes = string(&mut rng);
        redis.call(&cmd!["SET", "k", bytes]);
        for _ in 0..5 {
            let (unit, name) = if rng.random() {
                (Unit::Bit, "BIT")
            } else {
                (Unit::Byte, "BYTE")
            };
            let span = bytes.len() as i64 * if unit == Unit::Bit { 8 } else { 1 } + 3;
            let (start, end) = (
                rng.random_range(-2 * span..span),
                rng.random_range(-2 * span..span),
            );
            let (from, to) = (start.to_string(), end.to_string());
            let bit = rng.random::<bool>();
            let digit = if bit { "1" } else { "0" };
            let context = format!("{bytes:?} {digit} {start} {end} {name}");
            let theirs = redis.call(&cmd!["BITCOUNT", "k", from, to, name]).int();
            assert_eq!(count_range(&bytes, start, end, unit) as i64, theirs, "{context}");
            let theirs = redis.call(&cmd!["BITPOS", "k", digit, from, to, name]).int();
            assert_eq!(position(&bytes, bit, start, Some(end), unit), theirs, "{context}");
            if unit == Unit::Byte {
                let theirs = redis.call(&cmd!["BITPOS", "k", digit, from]).int();
                assert_eq!(position(&bytes, bit, start, None, unit), theirs, "{context}");
            }
        }
        for (bit, digit) in [(false, "0"), (true, "1")] {
            let theirs = redis.call(&cmd!["BITPOS", "k", digit]).int();
            assert_eq!(position(&bytes, bit, 0, None, Unit::Byte), theirs, "{bytes:?}");
        }
    }
}

#[test]
#[ignore = "needs redis-server"]
fn strings_combine_alike() {
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(11);
    for _ in 0..2000 {
        let sources: Vec<Vec<u8>> = (0..rng.random_range(1..20)).map(|_| string(&mut rng)).collect();
        let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        let keys: Vec<Vec<u8>> = (0..sources.len()).map(|n| n.to_string().into_bytes()).collect();
        for (key, source) in keys.iter().zip(&sources) {
            redis.call(&cmd!["SET", key, source]);
        }
        let mut theirs = |op: &str, keys: &[Vec<u8>]| {
            redis.call(&[&cmd!["BITOP", op, "out"], keys].concat());
            match redis.call(&cmd!["GET", "out"]) {
                Reply::Nil => Vec::new(),
                reply => reply.bytes(),
            }
        };
        assert_eq!(combine(BitOp::And, &slices), theirs("AND", &keys));
        assert_eq!(combine(BitOp::Or, &slices), theirs("OR", &keys));
        assert_eq!(combine(BitOp::Xor, &slices), theirs("XOR", &keys));
        assert_eq!(not(slices[0]), theirs("NOT", &keys[..1]));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn integers_overflow_alike() {
    const LEN: usize = 24;
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(12);
    let mut bytes = vec![0u8; LEN];
    redis.call(&cmd!["SET", "k", bytes]);
    for _ in 0..40_000 {
        let name = format!(
            "{}{}",
            ["i", "u"][rng.random_range(0..2)],
            rng.random_range(0..=65)
        );
        let field = FieldType::parse(name.as_bytes());
        let offset = rng.random_range(0..LEN as u64 * 8 - 64);
        let value = match rng.random_range(0..4) {
            0 => rng.random(),
            1 => rng.random_range(-3..3),
            2 => [i64::MIN, i64::MAX][rng.random_range(0..2)],
            _ => rng.random::<i64>() >> rng.random_range(0..63),
        };
        let (overflow, mode) = [
            (Overflow::Wrap, "WRAP"),
            (Overflow::Sat, "SAT"),
            (Overflow::Fail, "FAIL"),
        ][rng.random_range(0..3)];
        let op = ["SET", "INCRBY"][rng.random_range(0..2)];
        let command = cmd![
            "BITFIELD",
            "k",
            "OVERFLOW",
            mode,
            op,
            name,
            offset.to_string(),
            value.to_string()
        ];
        let context = format!("{op} {name} {offset} {value} {mode}");
        match redis.call(&command) {
            Reply::Error(text) => assert!(
                field.is_none() && text.starts_with("ERR Invalid bitfield type"),
                "{context}"
            ),
            reply => {
                let theirs = reply.array().remove(0);
                let field = field.unwrap();
                let ours = match op {
                    "SET" => field.set(&mut bytes, offset, value, overflow),
                    _ => field.incr_by(&mut bytes, offset, value, overflow),
                };
                assert_eq!(ours.map_or(Reply::Nil, Reply::Int), theirs, "{context}");
                let theirs = redis.call(&cmd!["BITFIELD_RO", "k", "GET", name, offset.to_string()]);
                assert_eq!(
                    Reply::Array(vec![Reply::Int(field.get(&bytes, offset))]),
                    theirs,
                    "{context}"
                );
            }
        }
    }
    assert_eq!(redis.call(&cmd!["GET", "k"]).bytes(), bytes);
}

#[test]
#[ignore = "needs redis-server"]
fn offsets_are_read_alike() {
    let mut redis = Redis::start(&[]);
    for (name, text) in [
        ("u5", "17"),
        ("u5", "#3"),
        ("u5", ""),
        ("u5", "#"),
        ("u5", "-1"),
        ("u5", "#-1"),
        ("u5", "01"),
        ("u5", "x"),
        ("u5", "4294967295"),
        ("u5", "4294967296"),
        ("u5", "#858993459"),
        ("u5", "#858993460"),
        ("i64", "#67108863"),
        ("i64", "#67108864"),
        ("i64", "#9223372036854775807"),
        ("i64", "9223372036854775807"),
        ("u1", "##1"),
    ] {
        let ours = FieldType::parse(name.as_bytes())
            .unwrap()
            .parse_offset(text.as_bytes(), 512 << 20);
        let theirs = redis.call(&cmd!["BITFIELD", "none", "GET", name, text]);
        assert_eq!(
            ours.is_some(),
            !matches!(theirs, Reply::Error(_)),
            "{name} {text}: {theirs:?}"
        );
    }
    for name in ["", "i", "U8", "I8", "u08", "i8 ", "u+8"] {
        let theirs = redis.call(&cmd!["BITFIELD", "none", "GET", name, "0"]);
        assert_eq!(
            FieldType::parse(name.as_bytes()).is_some(),
            !matches!(theirs, Reply::Error(_)),
            "{name}"
        );
    }
}
