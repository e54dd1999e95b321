//! Sets against a model, what draws may give, and the encodings of results.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_storage::types::set::SetLimits;
use proptest::prelude::*;

use crate::testing::Fixture;

type Model = BTreeMap<String, BTreeSet<String>>;

/// Members 0.. as integers, from 10 on as words.
fn member(i: u8) -> String {
    if i < 10 { i.to_string() } else { format!("m{i}") }
}

fn fill(f: &mut Fixture, key: &str, members: impl IntoIterator<Item = String>) {
    for member in members {
        f.run(&format!("SADD {key} {member}"));
    }
}

fn ints(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|i| i.to_string())
}

fn words(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|i| format!("w{i}"))
}

/// What a command line answers and does, by the definition of its command; None for draws.
fn expected(model: &mut Model, words: &[String]) -> Option<Vec<String>> {
    let get = |model: &Model, key: &String| model.get(key).cloned().unwrap_or_default();
    let put = |model: &mut Model, key: &String, set: BTreeSet<String>| {
        model.remove(key);
        if !set.is_empty() {
            model.insert(key.clone(), set);
        }
    };
    let (name, key) = (words[0].as_str(), &words[1]);
    let (store, from) = match name.strip_suffix("STORE") {
        Some(_) => (true, 2),
        None => (false, 1),
    };
    let combined = |how: fn(BTreeSet<String>, &BTreeSet<String>) -> BTreeSet<String>| {
        let first = get(model, &words[from]);
        words[from + 1..]
            .iter()
            .fold(first, |all, key| how(all, &get(model, key)))
    };
    let result = match name.trim_end_matches("STORE") {
        "SADD" | "SREM" => {
            let mut set = get(model, key);
            let change = |m: &String| {
                if name == "SADD" {
                    set.insert(m.clone())
                } else {
                    set.remove(m)
                }
            };
            let changed = words[2..].iter().map(change).filter(|changed| *changed).count();
            put(model, key, set);
            return Some(vec![changed.to_string()]);
        }
        "SMOVE" => {
            let (mut from, mut to) = (get(model, key), get(model, &words[2]));
            let there = from.contains(&words[3]);
            if there && key != &words[2] {
                from.remove(&words[3]);
                to.insert(words[3].clone());
                put(model, key, from);
                put(model, &words[2], to);
            }
            return Some(vec![usize::from(there).to_string()]);
        }
        "SINTER" => combined(|a, b| a.intersection(b).cloned().collect()),
        "SUNION" => combined(|a, b| a.union(b).cloned().collect()),
        "SDIFF" => combined(|a, b| a.difference(b).cloned().collect()),
        _ => return None,
    };
    if !store {
        return Some(result.into_iter().collect());
    }
    let len = result.len();
    put(model, key, result);
    Some(vec![len.to_string()])
}

fn line() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["a", "b", "c", "d"]);
    let members = || {
        prop::collection::vec(0u8..20, 1..12)
            .prop_map(|all| all.into_iter().map(member).collect::<Vec<_>>().join(" "))
    };
    let combine = prop::sample::select(vec![
        "SINTER",
        "SUNION",
        "SDIFF",
        "SINTERSTORE",
        "SUNIONSTORE",
        "SDIFFSTORE",
    ]);
    prop_oneof![
        4 => (key(), members()).prop_map(|(k, m)| format!("SADD {k} {m}")),
        2 => (key(), members()).prop_map(|(k, m)| format!("SREM {k} {m}")),
        1 => (key(), key(), 0u8..20).prop_map(|(a, b, m)| format!("SMOVE {a} {b} {}", member(m))),
        1 => (key(), 0usize..12).prop_map(|(k, n)| format!("SPOP {k} {n}")),
        1 => key().prop_map(|k| format!("SPOP {k}")),
        1 => (key(), -9i64..15).prop_map(|(k, n)| format!("SRANDMEMBER {k} {n}")),
        4 => (combine, prop::collection::vec(key(), 2..5)).prop_map(|(c, k)| format!("{c} {}", k.join(" "))),
    ]
}

fn limits() -> impl Strategy<Value = SetLimits> {
    (0usize..16, 0usize..16, prop::sample::select(vec![2usize, 64])).prop_map(|(ints, entries, value)| {
        SetLimits {
            max_intset_entries: ints,
            max_listpack_entries: entries,
            max_listpack_value: value,
        }
    })
}

fn contents(f: &mut Fixture) -> Model {
    let keys = ["a", "b", "c", "d"];
    keys.iter()
        .map(|key| {
            (
                (*key).to_owned(),
                f.sorted(&format!("SMEMBERS {key}")).into_iter().collect(),
            )
        })
        .filter(|(_, set): &(_, BTreeSet<String>)| !set.is_empty())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 2_000 }))]

    /// Replies and contents are those of the model, and a replica that gets the log has the same sets.
    #[test]
    fn sets_of_a_model(lines in prop::collection::vec(line(), 1..60), limits in limits()) {
        let (mut f, mut replica, mut model) = (Fixture::new(), Fixture::new(), Model::new());
        f.limits.set = limits;
        for line in &lines {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let before = model.get(&words[1]).cloned().unwrap_or_default();
            let Some(expected) = expected(&mut model, &words) else {
                draw(&mut f, &words, before, &mut model)?;
                continue;
            };
            let got = match f.value(line) {
                holdfast_resp::Value::Int(n) => vec![n.to_string()],
                _ => f.sorted(line),
            };
            prop_assert_eq!(got, expected, "{}", line);
        }
        prop_assert_eq!(&contents(&mut f), &model);
        for line in f.log().split("; ").filter(|line| !line.is_empty()) {
            replica.run(line);
        }
        prop_assert_eq!(&contents(&mut replica), &model);
    }
}

/// SPOP and SRANDMEMBER: what comes must have been there, as often as asked, and SPOP's is gone.
fn draw(
    f: &mut Fixture,
    words: &[String],
    before: BTreeSet<String>,
    model: &mut Model,
) -> Result<(), TestCaseError> {
    let line = words.join(" ");
    let drawn = match f.value(&line) {
        holdfast_resp::Value::Null => vec![],
        holdfast_resp::Value::Bulk(one) => vec![String::from_utf8_lossy(&one).into_owned()],
        holdfast_resp::Value::Array(all) => all
            .into_iter()
            .map(|value| match value {
                holdfast_resp::Value::Bulk(one) => String::from_utf8_lossy(&one).into_owned(),
                other => format!("{other:?}"),
            })
            .collect(),
        other => return Err(TestCaseError::fail(format!("{line}: {other:?}"))),
    };
    let count: i64 = words.get(2).map_or(1, |n| n.parse().unwrap_or(0));
    let distinct: BTreeSet<String> = drawn.iter().cloned().collect();
    prop_assert!(
        distinct.is_subset(&before),
        "{}: {:?} of {:?}",
        line,
        drawn,
        before
    );
    if count < 0 {
        let expected = if before.is_empty() {
            0
        } else {
            count.unsigned_abs()
        };
        prop_assert_eq!(drawn.len() as u64, expected, "{}", line);
        return Ok(());
    }
    prop_assert_eq!(drawn.len(), before.len().min(count as usize), "{}", line);
    prop_assert_eq!(distinct.len(), drawn.len(), "{}", line);
    if words[0] == "SPOP" {
        let left: BTreeSet<String> = before.difference(&distinct).cloned().collect();
        model.remove(&words[1]);
        if !left.is_empty() {
            model.insert(words[1].clone(), left);
        }
    }
    Ok(())
}

#[test]
fn sadd_chooses_the_encoding_by_the_number_of_arguments() {
    let mut f = Fixture::new();
    let line = |key: &str, members: Vec<String>| format!("SADD {key} {}", members.join(" "));
    for (key, members, encoding) in [
        ("i512", ints(0..512).collect(), "intset"),
        ("i513", ints(0..513).collect::<Vec<_>>(), "hashtable"),
        ("l128", words(0..128).collect(), "listpack"),
        ("l129", words(0..129).collect(), "hashtable"),
        ("one", vec!["w".to_owned(); 129], "hashtable"),
        ("mixed", vec!["1".to_owned(), "w".to_owned()], "listpack"),
        ("long", vec!["w".repeat(65)], "hashtable"),
    ] {
        f.run(&line(key, members));
        assert_eq!(f.encoding(key), encoding, "{key}");
    }
}

#[test]
fn stored_results_have_the_encodings_of_redis() {
    let mut f = Fixture::new();
    fill(&mut f, "ints", ints(0..300));
    fill(&mut f, "more", ints(250..600));
    fill(&mut f, "words", words(0..100));
    fill(&mut f, "many", words(0..200).chain(ints(0..300)));
    fill(&mut f, "mixed", words(0..50).chain(ints(0..50)));
    fill(&mut f, "other", words(20..25).chain(ints(0..50)));
    for i in 0..10 {
        fill(&mut f, &format!("part{i}"), words(20 * i..20 * i + 20));
    }
    f.run("SREM part9 w199");
    fill(&mut f, "two", words(0..200));
    for (line, len, encoding) in [
        ("SINTERSTORE d ints more", 50, "intset"),
        ("SINTERSTORE d mixed many", 100, "listpack"),
        ("SINTERSTORE d many mixed ints", 50, "intset"),
        ("SINTERSTORE d many ints", 300, "intset"),
        ("SINTERSTORE d many two", 200, "hashtable"),
        ("SINTERSTORE d other words", 5, "listpack"),
        ("SUNIONSTORE d ints", 300, "intset"),
        ("SUNIONSTORE d ints more", 600, "hashtable"),
        ("SUNIONSTORE d words ints", 400, "hashtable"),
        ("SUNIONSTORE d mixed other", 100, "listpack"),
        ("SDIFFSTORE d ints more", 250, "intset"),
        ("SDIFFSTORE d mixed words", 50, "intset"),
        ("SDIFFSTORE d many ints", 200, "hashtable"),
        ("SDIFFSTORE d two part0 part1 part2 part3 part4", 100, "hashtable"),
        ("SDIFFSTORE d two words", 100, "listpack"),
        (
            "SDIFFSTORE d two part0 part1 part2 part3 part4 part5 part6 part7 part8 part9",
            1,
            "hashtable",
        ),
    ] {
        assert_eq!(f.run(line), format!(":{len}"), "{line}");
        assert_eq!(f.encoding("d"), encoding, "{line}");
    }
}

#[test]
fn what_stays_after_spop_is_repacked_if_it_is_little() {
    for (members, pop, encoding) in [
        (ints(0..600).collect::<Vec<_>>(), 100, "hashtable"),
        (ints(0..600).collect(), 590, "listpack"),
        (words(0..200).collect(), 190, "listpack"),
        (words(0..2_000).collect(), 1_800, "hashtable"),
        (ints(0..100).collect(), 90, "intset"),
        (words(0..100).chain(["1".to_owned()]).collect(), 100, "listpack"),
    ] {
        let mut f = Fixture::new();
        let len = members.len();
        fill(&mut f, "s", members);
        f.run("PEXPIREAT s 2000000");
        f.log();
        f.run(&format!("SPOP s {pop}"));
        assert_eq!(f.encoding("s"), encoding, "{pop} of {len}");
        assert_eq!(f.run("SCARD s"), format!(":{}", len - pop));
        assert_eq!(f.run("PEXPIRETIME s"), ":2000000");
    }
}

#[test]
fn spop_is_logged_in_batches() {
    let mut f = Fixture::new();
    fill(&mut f, "s", words(0..5_000));
    f.log();
    f.run("SPOP s 2500");
    assert_eq!(f.dirty, 2_500);
    let log = f.log();
    let batches: Vec<usize> = log.split("; ").map(|line| line.split(' ').count() - 2).collect();
    assert_eq!(batches, [1_024, 1_024, 452]);
    assert!(log.split("; ").all(|line| line.starts_with("SREM s w")));
    assert_eq!(f.events().matches("spop s").count(), 1);
}

#[test]
fn a_reply_of_repeated_draws_is_bounded() {
    let mut f = Fixture::new();
    f.run("SADD s a");
    let refused = "-ERR value is out of range";
    assert_eq!(f.run("SRANDMEMBER s -9223372036854775807"), refused);
    f.limits.max_string = 70;
    assert_eq!(f.run("SRANDMEMBER s -11"), refused);
    assert_eq!(f.run("SRANDMEMBER s -10"), "*10".to_owned() + &" $1 a".repeat(10));
    f.run("SADD s2 aaaaaaaaaaaaaaaaaaaa");
    assert_eq!(f.run("SRANDMEMBER s2 -3"), refused);
}

#[test]
fn sscan_of_a_table_sees_what_stays() {
    let mut f = Fixture::new();
    fill(&mut f, "s", words(0..3_000));
    let (mut cursor, mut seen, mut calls) = ("0".to_owned(), BTreeSet::new(), 0);
    loop {
        let reply = f.run(&format!("SSCAN s {cursor} COUNT 50 MATCH w1*"));
        let words: Vec<&str> = reply.split(' ').filter(|w| !w.starts_with(['$', '*'])).collect();
        seen.extend(words[1..].iter().map(|w| (*w).to_owned()));
        words[0].clone_into(&mut cursor);
        calls += 1;
        // Members come and go while the scan is under way.
        f.run(&format!("SADD s new{calls}"));
        f.run(&format!("SREM s w2{calls}"));
        if cursor == "0" {
            break;
        }
    }
    let expected: BTreeSet<String> = words(0..3_000).filter(|w| w.starts_with("w1")).collect();
    assert_eq!(seen, expected);
    assert!((30..300).contains(&calls), "{calls} calls");
}

#[test]
fn draws_are_fair() {
    let mut f = Fixture::new();
    for (key, members) in [
        ("i", ints(0..8).collect::<Vec<_>>()),
        ("l", words(0..8).collect()),
    ] {
        fill(&mut f, key, members);
        f.run(&format!("SUNIONSTORE t{key} {key}"));
    }
    for (key, line) in [
        ("i", "SRANDMEMBER i"),
        ("l", "SRANDMEMBER l 1"),
        ("l", "SRANDMEMBER l -1"),
    ] {
        let mut counts = BTreeMap::new();
        for _ in 0..8_000 {
            *counts.entry(f.run(line)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 8, "{key}");
        assert!(counts.values().all(|n| (800..1_200).contains(n)), "{counts:?}");
    }
}

#[test]
fn keys_that_have_expired_are_empty_sets() {
    let mut f = Fixture::new();
    for line in ["SADD a 1 2", "SADD b 2 3", "PEXPIREAT a 2000000"] {
        f.run(line);
    }
    f.now_ms = 2_000_000;
    f.log();
    f.check(&[
        ("SUNION a b a", "*2 $1 2 $1 3"),
        ("SINTER b a", "*0"),
        ("SDIFF b a", "*2 $1 2 $1 3"),
    ]);
    assert_eq!(f.log(), "DEL a");
}

#[test]
fn replies_in_resp3() {
    Fixture::resp3().check(&[
        ("SADD i 2 1", ":2"),
        ("SMEMBERS i", "~2 $1 1 $1 2"),
        ("SMEMBERS missing", "~0"),
        ("SPOP i 0", "~0"),
        ("SPOP missing 3", "~0"),
        ("SPOP missing", "_"),
        ("SRANDMEMBER missing", "_"),
        ("SRANDMEMBER missing 2", "*0"),
        ("SRANDMEMBER i 5", "*2 $1 1 $1 2"),
        ("SINTER i i", "~2 $1 1 $1 2"),
        ("SINTER i missing", "~0"),
        ("SUNION i", "~2 $1 1 $1 2"),
        ("SDIFF i", "~2 $1 1 $1 2"),
        ("SDIFF i i", "~0"),
        ("SISMEMBER i 1", ":1"),
        ("SMISMEMBER i 1 x", "*2 :1 :0"),
        ("SSCAN i 0", "*2 $1 0 *2 $1 1 $1 2"),
        ("SPOP i 5", "~2 $1 1 $1 2"),
    ]);
}
