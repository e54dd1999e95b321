//! Hashes against a model, what draws may give, and encodings.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_resp::Value;
use holdfast_storage::types::hash::HashLimits;
use proptest::prelude::*;

use crate::testing::Fixture;

type Model = BTreeMap<String, String>;

fn pairs(f: &mut Fixture, line: &str) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    };
    let Value::Array(all) = f.value(line) else {
        panic!("{line} answers no array");
    };
    all.chunks(2)
        .map(|pair| (text(&pair[0]), text(&pair[1])))
        .collect()
}

/// The reply of a line by the definition of its command.
fn expected(model: &mut Model, words: &[&str]) -> String {
    match words[0] {
        "HSET" => {
            let mut set = |pair: &[&str]| model.insert(pair[0].to_owned(), pair[1].to_owned()).is_none();
            format!(":{}", words[2..].chunks(2).filter(|pair| set(pair)).count())
        }
        "HSETNX" if model.contains_key(words[2]) => ":0".to_owned(),
        "HSETNX" => {
            model.insert(words[2].to_owned(), words[3].to_owned());
            ":1".to_owned()
        }
        "HDEL" => format!(
            ":{}",
            words[2..]
                .iter()
                .filter(|field| model.remove(**field).is_some())
                .count()
        ),
        "HGET" => model
            .get(words[2])
            .map_or("$-1".to_owned(), |value| format!("${} {value}", value.len())),
        "HSTRLEN" => format!(":{}", model.get(words[2]).map_or(0, String::len)),
        "HINCRBY" => {
            let old = model.get(words[2]).map_or(Ok(0), |value| value.parse::<i64>());
            let Ok(old) = old else {
                return "-ERR hash value is not an integer".to_owned();
            };
            let sum = old + words[3].parse::<i64>().expect("generated");
            model.insert(words[2].to_owned(), sum.to_string());
            format!(":{sum}")
        }
        "HLEN" => format!(":{}", model.len()),
        other => panic!("{other}"),
    }
}

fn line() -> impl Strategy<Value = String> {
    let field = || (0u8..16).prop_map(|i| if i < 6 { i.to_string() } else { format!("f{i}") });
    let value = || prop_oneof![(-200i64..200).prop_map(|n| n.to_string()), "[a-z]{1,9}"];
    let set = prop::collection::vec((field(), value()), 1..6)
        .prop_map(|all| all.iter().map(|(f, v)| format!(" {f} {v}")).collect::<String>());
    prop_oneof![
        4 => set.prop_map(|pairs| format!("HSET h{pairs}")),
        1 => (field(), value()).prop_map(|(f, v)| format!("HSETNX h {f} {v}")),
        3 => prop::collection::vec(field(), 1..5).prop_map(|all| format!("HDEL h {}", all.join(" "))),
        2 => field().prop_map(|f| format!("HGET h {f}")),
        1 => field().prop_map(|f| format!("HSTRLEN h {f}")),
        2 => (field(), -50i64..50).prop_map(|(f, n)| format!("HINCRBY h {f} {n}")),
        1 => Just("HLEN h".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 2_000 }))]

    /// Replies and contents are those of the model, and a replica that gets the log has the same hash.
    #[test]
    fn a_hash_of_a_model(
        lines in prop::collection::vec(line(), 1..80),
        (entries, value) in (0usize..16, prop::sample::select(vec![4usize, 64])),
        count in -20i64..20,
    ) {
        let (mut f, mut replica, mut model) = (Fixture::new(), Fixture::new(), Model::new());
        f.limits.hash = HashLimits { max_listpack_entries: entries, max_listpack_value: value };
        for line in &lines {
            let words: Vec<&str> = line.split(' ').collect();
            let expected = expected(&mut model, &words);
            prop_assert_eq!(f.run(line), expected, "{}", line);
        }
        let all: Vec<(String, String)> = model.clone().into_iter().collect();
        for line in f.log().split("; ").filter(|line| !line.is_empty()) {
            replica.run(line);
        }
        for f in [&mut f, &mut replica] {
            let mut got = pairs(f, "HGETALL h");
            got.sort();
            prop_assert_eq!(&got, &all);
            prop_assert_eq!(f.run("EXISTS h"), format!(":{}", usize::from(!model.is_empty())));
        }
        let drawn = pairs(&mut f, &format!("HRANDFIELD h {count} WITHVALUES"));
        prop_assert!(drawn.iter().all(|(field, value)| model.get(field) == Some(value)));
        let distinct: BTreeSet<_> = drawn.iter().collect();
        if count < 0 {
            let times = if model.is_empty() { 0 } else { count.unsigned_abs() };
            prop_assert_eq!(drawn.len() as u64, times);
        } else {
            prop_assert_eq!(drawn.len(), model.len().min(count as usize));
            prop_assert_eq!(distinct.len(), drawn.len());
        }
    }
}

#[test]
fn hset_chooses_the_encoding_by_the_number_of_arguments() {
    let mut f = Fixture::new();
    let line = |key: &str, fields: usize| {
        let pairs: String = (0..fields).map(|i| format!(" f{i} v")).collect();
        format!("HSET {key}{pairs}")
    };
    let same = " f v".repeat(513);
    for (key, line, encoding) in [
        ("h512", line("h512", 512), "listpack"),
        ("h513", line("h513", 513), "hashtable"),
        ("same", format!("HSET same{same}"), "hashtable"),
        ("v64", format!("HSET v64 f {}", "v".repeat(64)), "listpack"),
        ("v65", format!("HSET v65 f {}", "v".repeat(65)), "hashtable"),
        ("f65", format!("HSETNX f65 {} v", "f".repeat(65)), "hashtable"),
    ] {
        f.run(&line);
        assert_eq!(f.encoding(key), encoding, "{key}");
    }
}

#[test]
fn a_reply_of_repeated_draws_is_bounded() {
    let mut f = Fixture::new();
    f.run("HSET h a 1");
    let refused = "-ERR value is out of range";
    assert_eq!(f.run("HRANDFIELD h -9223372036854775807"), refused);
    assert_eq!(f.run("HRANDFIELD h -4611686018427387903 WITHVALUES"), refused);
    f.limits.max_string = 70;
    assert_eq!(f.run("HRANDFIELD h -11"), refused);
    assert_eq!(f.run("HRANDFIELD h -6 WITHVALUES"), refused);
    assert_eq!(
        f.run("HRANDFIELD h -5 WITHVALUES"),
        "*10".to_owned() + &" $1 a $1 1".repeat(5)
    );
}

#[test]
fn hscan_of_a_table_sees_every_field() {
    let mut f = Fixture::new();
    for i in 0..2_000 {
        f.run(&format!("HSET h f{i} v{i}"));
    }
    let (mut cursor, mut seen) = ("0".to_owned(), BTreeMap::new());
    loop {
        let reply = f.run(&format!("HSCAN h {cursor} COUNT 100"));
        let words: Vec<&str> = reply.split(' ').filter(|w| !w.starts_with(['$', '*'])).collect();
        seen.extend(
            words[1..]
                .chunks(2)
                .map(|pair| (pair[0].to_owned(), pair[1].to_owned())),
        );
        words[0].clone_into(&mut cursor);
        if cursor == "0" {
            break;
        }
    }
    let expected: BTreeMap<_, _> = (0..2_000).map(|i| (format!("f{i}"), format!("v{i}"))).collect();
    assert_eq!(seen, expected);
}

#[test]
fn replies_in_resp3() {
    Fixture::resp3().check(&[
        ("HSET h a 1", ":1"),
        ("HGETALL h", "%1 $1 a $1 1"),
        ("HGETALL missing", "%0"),
        ("HKEYS h", "*1 $1 a"),
        ("HVALS h", "*1 $1 1"),
        ("HKEYS missing", "*0"),
        ("HMGET h a b", "*2 $1 1 _"),
        ("HGET h b", "_"),
        ("HRANDFIELD h", "$1 a"),
        ("HRANDFIELD missing", "_"),
        ("HRANDFIELD missing 1 WITHVALUES", "*0"),
        ("HRANDFIELD h 5 WITHVALUES", "*1 *2 $1 a $1 1"),
        ("HRANDFIELD h -2 WITHVALUES", "*2 *2 $1 a $1 1 *2 $1 a $1 1"),
        ("HRANDFIELD h 1", "*1 $1 a"),
        ("HSCAN h 0", "*2 $1 0 *2 $1 a $1 1"),
        ("HINCRBYFLOAT h a 1.5", "$3 2.5"),
        ("HEXISTS h a", ":1"),
    ]);
}
