//! Fields that expire: the examples of the documentation, effects, errors, and a model with a clock.

use std::collections::BTreeMap;

use holdfast_storage::types::hash::HashLimits;
use proptest::prelude::*;

use crate::testing::Fixture;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn the_examples_of_the_documentation() {
    let mut f = Fixture::new();
    f.check(&[
        ("HEXPIRE no-key 20 NX FIELDS 2 field1 field2", "*2 :-2 :-2"),
        ("HSET mykey field1 hello field2 world", ":2"),
        ("HEXPIRE mykey 10 FIELDS 3 field1 field2 field3", "*3 :1 :1 :-2"),
        ("HTTL mykey FIELDS 3 field1 field2 field3", "*3 :10 :10 :-2"),
        ("HPTTL mykey FIELDS 1 field1", "*1 :10000"),
        ("HEXPIRETIME mykey FIELDS 1 field1", "*1 :1010"),
        ("HPEXPIRETIME mykey FIELDS 1 field1", "*1 :1010000"),
        ("HPERSIST mykey FIELDS 3 field1 field1 none", "*3 :1 :-1 :-2"),
        ("HTTL mykey FIELDS 2 field1 field2", "*2 :-1 :10"),
        ("DEL mykey", ":1"),
        ("HSETEX mykey EXAT 1010 FIELDS 2 field1 Hello field2 World", ":1"),
        ("HTTL mykey FIELDS 2 field1 field2", "*2 :10 :10"),
        ("HSETEX mykey FNX EX 60 FIELDS 2 field1 Hello field2 World", ":0"),
        (
            "HSETEX mykey FXX EX 60 KEEPTTL FIELDS 2 field1 hello field2 world",
            "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
        ),
        (
            "HSETEX mykey FXX KEEPTTL FIELDS 2 field1 hello field2 world",
            ":1",
        ),
        ("HTTL mykey FIELDS 2 field1 field2", "*2 :10 :10"),
        ("HGETEX mykey PERSIST FIELDS 1 field1", "*1 $5 hello"),
        ("HGETEX mykey PX 1500 FIELDS 2 field2 none", "*2 $5 world $-1"),
        ("HTTL mykey FIELDS 2 field1 field2", "*2 :-1 :2"),
        ("HGETDEL mykey FIELDS 2 field2 field4", "*2 $5 world $-1"),
        ("HGETDEL mykey FIELDS 1 field1", "*1 $5 hello"),
        ("EXISTS mykey", ":0"),
        ("HGETDEL mykey FIELDS 1 field1", "*1 $-1"),
        ("HGETEX mykey EX 1 FIELDS 1 field1", "*1 $-1"),
        ("HTTL mykey FIELDS 1 field1", "*1 :-2"),
        ("HPERSIST mykey FIELDS 1 field1", "*1 :-2"),
        ("HSETEX myhash EX 0 FIELDS 1 f1 v1", ":1"),
        ("EXISTS myhash", ":0"),
        ("HSETEX myhash FXX FIELDS 1 f1 v1", ":0"),
        ("EXISTS myhash", ":0"),
    ]);
}

#[test]
fn conditions() {
    let mut f = Fixture::new();
    f.check(&[
        ("HSET h a 1 b 2", ":2"),
        ("HEXPIRE h 100 XX FIELDS 2 a b", "*2 :0 :0"),
        ("HEXPIRE h 100 GT FIELDS 2 a b", "*2 :0 :0"),
        ("HEXPIRE h 100 lt FIELDS 1 a", "*1 :1"),
        ("HEXPIRE h 50 NX FIELDS 2 a b", "*2 :0 :1"),
        ("HEXPIRE h 70 GT FIELDS 2 a b", "*2 :0 :1"),
        ("HEXPIRE h 70 LT FIELDS 2 a b", "*2 :1 :0"),
        ("HEXPIRE h 0 XX FIELDS 2 a a", "*2 :2 :-2"),
        ("HPEXPIREAT h 1 FIELDS 1 b", "*1 :2"),
        ("EXISTS h", ":0"),
    ]);
}

#[test]
fn what_is_propagated_and_told() {
    let mut f = Fixture::new();
    f.check_effects(&[
        ("HSET h a 1 b 2 c 3", "=", "hset h", 3),
        (
            "HEXPIRE h 10 FIELDS 3 a b none",
            "HPEXPIREAT h 1010000 FIELDS 2 a b",
            "hexpire h",
            2,
        ),
        ("HEXPIRE h 10 XX FIELDS 1 c", "", "", 0),
        (
            "HPERSIST h FIELDS 2 a c",
            "HPERSIST h FIELDS 1 a",
            "hpersist h",
            1,
        ),
        ("HINCRBY h b 1", "=", "hincrby h", 1),
        (
            "HINCRBYFLOAT h b 1",
            "HSETEX h KEEPTTL FIELDS 1 b 4",
            "hincrbyfloat h",
            1,
        ),
        ("HTTL h FIELDS 1 b", "", "", 0),
        ("HEXPIRE h 0 FIELDS 1 b", "HDEL h b", "hdel h", 1),
        (
            "HSETEX h EX 5 FIELDS 1 d 4",
            "HSETEX h PXAT 1005000 FIELDS 1 d 4",
            "hset h; hexpire h",
            1,
        ),
        ("HSETEX h FNX FIELDS 1 e 5", "HSET h e 5", "hset h", 1),
        ("HGETEX h FIELDS 1 e", "", "", 0),
        (
            "HGETEX h PX 7 FIELDS 1 e",
            "HPEXPIREAT h 1000007 FIELDS 1 e",
            "hexpire h",
            1,
        ),
        (
            "HGETEX h PERSIST FIELDS 2 e a",
            "HPERSIST h FIELDS 1 e",
            "hpersist h",
            1,
        ),
        ("HGETEX h EXAT 1 FIELDS 1 e", "HDEL h e", "hdel h", 1),
        ("HSET h d 5", "=", "hset h", 1),
        ("HTTL h FIELDS 1 d", "", "", 0),
        ("HGETDEL h FIELDS 4 a c d x", "HDEL h a c d", "hdel h; del h", 3),
    ]);
}

#[test]
fn fields_go_when_somebody_looks() {
    let mut f = Fixture::new();
    f.run("HSET h a 1 b 2 c 3");
    f.run("HPEXPIRE h 10 FIELDS 1 a");
    f.run("HPEXPIRE h 20 FIELDS 2 b c");
    f.log();
    f.events();
    f.now_ms += 9;
    assert_eq!(f.run("HLEN h"), ":3");
    f.now_ms += 1;
    assert_eq!(f.run("HGETALL h"), "*4 $1 b $1 2 $1 c $1 3");
    assert_eq!((f.log(), f.events()), ("HDEL h a".into(), "hexpired h".into()));
    assert_eq!(f.effects.expired_fields, 1);
    f.now_ms += 10;
    assert_eq!(f.run("TYPE h"), "+none");
    assert_eq!(
        (f.log(), f.events()),
        ("DEL h".into(), "hexpired h; del h".into())
    );
    assert!(!f.keyspace.has_timed_hashes());
    // A write that meets what is due works on what is left.
    f.run("HSETEX h PX 5 FIELDS 1 a 1");
    f.run("HSET h b 1");
    f.log();
    f.now_ms += 5;
    assert_eq!(f.run("HINCRBY h a 7"), ":7");
    assert_eq!(f.log(), "HDEL h a; HINCRBY h a 7");
    assert_eq!(f.run("HTTL h FIELDS 1 a"), "*1 :-1");
}

#[test]
fn many_fields_that_end_at_once_go_in_steps() {
    let mut f = Fixture::new();
    for i in 0..3_000 {
        f.run(&format!("HSETEX h PX 10 FIELDS 1 f{i} v"));
    }
    f.run("HSET h stays 1");
    f.log();
    f.now_ms += 10;
    f.check(&[
        ("HLEN h", ":1"),
        ("HGET h f2999", "$-1"),
        ("HRANDFIELD h 5", "*1 $5 stays"),
        ("HSCAN h 0 COUNT 10000", "*2 $1 0 *2 $5 stays $1 1"),
    ]);
    assert_eq!(f.log().matches("HDEL").count(), 3);
    assert_eq!(f.effects.expired_fields, 3_000);
    for i in 0..3_000 {
        f.run(&format!("HSETEX h PX 10 FIELDS 1 f{i} v"));
    }
    f.log();
    f.now_ms += 10;
    // Who writes meets no field that is over.
    assert_eq!(f.run("HINCRBY h f2999 1"), ":1");
    assert_eq!(
        f.log().split("; ").map(|c| c.split(' ').count()).sum::<usize>(),
        3_000 + 3 * 2 + 4
    );
    assert_eq!(f.run("HLEN h"), ":2");
}

#[test]
fn times_follow_the_hash() {
    let mut f = Fixture::new();
    f.run("HSETEX h PX 10 FIELDS 1 a 1");
    f.run("HSET h b 1");
    f.check(&[
        ("COPY h copy", ":1"),
        ("RENAME h h2", "+OK"),
        ("MOVE h2 1", ":1"),
        ("HPTTL copy FIELDS 2 a b", "*2 :10 :-1"),
        ("OBJECT ENCODING copy", "$10 listpackex"),
    ]);
    f.now_ms += 10;
    f.check(&[("HKEYS copy", "*1 $1 b"), ("OBJECT ENCODING copy", "$8 listpack")]);
    f.db = 1;
    f.check(&[("HKEYS h2", "*1 $1 b")]);
    f.db = 0;
    f.run("HSETEX h PX 10 FIELDS 1 a 1");
    f.check(&[("SET h x", "+OK"), ("FLUSHALL", "+OK")]);
    assert!(!f.keyspace.has_timed_hashes());
    f.run("HSETEX h PX 10 FIELDS 1 a 1");
    assert!(f.keyspace.has_timed_hashes());
    f.run("FLUSHDB");
    assert!(!f.keyspace.has_timed_hashes());
}

#[test]
fn a_hash_without_pause_hides_and_does_not_remove() {
    use holdfast_storage::data::OnExpired;
    use holdfast_storage::types::hash::Hash;
    let mut f = Fixture::new();
    f.run("HSETEX h PX 10 FIELDS 1 a 1");
    f.run("HSET h b 1");
    f.log();
    f.now_ms += 10;
    let mut len = |how| {
        f.with_data(|d| {
            d.on_expired = how;
            d.read::<Hash>(b"h").expect("a hash").map(Hash::len)
        })
    };
    assert_eq!(len(OnExpired::Hide), Some(1));
    assert_eq!(len(OnExpired::Ignore), Some(2));
    assert_eq!(len(OnExpired::Hide), Some(1));
    assert!(f.effects.field_removals.is_empty());
    assert_eq!(f.run("HLEN h"), ":1");
    f.run("HDEL h b");
    f.run("HSETEX h PX 10 FIELDS 1 a 1");
    f.now_ms += 10;
    let hidden = f.with_data(|d| {
        d.on_expired = OnExpired::Hide;
        d.exists(b"h")
    });
    assert!(!hidden);
}

#[test]
fn errors_in_order() {
    let mut f = Fixture::new();
    let missing = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    let greater = "-ERR Parameter `numFields` should be greater than 0";
    let positive = "-ERR Number of fields must be a positive integer";
    let matching = "-ERR The `numfields` parameter must match the number of arguments";
    let negative = "-ERR invalid expire time, must be >= 0";
    f.check(&[
        ("SET text v", "+OK"),
        ("HSET h f v g w", ":2"),
        ("HEXPIRE text x FIELDS 1 f", WRONG_TYPE),
        (
            "HEXPIRE h x FIELDS 1 f",
            "-ERR value is not an integer or out of range",
        ),
        ("HEXPIRE h 1 NOPE 1 f", missing),
        ("HEXPIRE h 1 NX NOPE 1 f", missing),
        ("HEXPIRE h 1 NX XX FIELDS 1 f", missing),
        ("HEXPIRE h -1 FIELDS 0 f", greater),
        ("HEXPIRE h 1 FIELDS x f", greater),
        ("HEXPIRE h 1 FIELDS 2 f", matching),
        ("HEXPIRE h 1 FIELDS 1 f g", matching),
        ("HEXPIRE h -1 FIELDS 1 f", negative),
        (
            "HEXPIRE h 9223372036854775807 FIELDS 1 f",
            "-ERR invalid expire time in 'hexpire' command",
        ),
        (
            "HPEXPIREAT h 70368744177664 FIELDS 1 f",
            "-ERR invalid expire time in 'hpexpireat' command",
        ),
        ("HPEXPIREAT h 70368744177663 FIELDS 1 f", "*1 :1"),
        ("HPEXPIRETIME h FIELDS 1 f", "*1 :70368744177663"),
        ("HTTL text FIELDS 1 f", WRONG_TYPE),
        ("HTTL h FIELD 1 f", missing),
        ("HTTL h FIELDS 0 f", positive),
        ("HPERSIST h FIELDS 2 f", matching),
        ("HPERSIST text FIELDS 1 f", WRONG_TYPE),
        ("HGETDEL h FIELDS 9 f", matching),
        ("HGETDEL text FIELDS 1 f", WRONG_TYPE),
        ("HGETEX text FIELDS 1 f", WRONG_TYPE),
        ("HSETEX text FIELDS 1 f v", WRONG_TYPE),
        ("HGETEX h FIELDS 0 f", "-ERR invalid number of fields"),
        (
            "HGETEX h EX 100 PERSIST FIELDS 1 f",
            "-ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
        ),
        ("HGETEX h EX -5 FIELDS 1 f", negative),
        ("HGETEX h KEEPTTL FIELDS 1 f", "-ERR unknown argument: KEEPTTL"),
        ("HGETEX h FIELDS 2 f", "-ERR wrong number of arguments"),
        ("HGETEX h FIELDS 1 f PERSIST", "*1 $1 v"),
        ("HSETEX h FIELDS 1 f v v2", "-ERR unknown argument: v2"),
        ("HSETEX h FIELDS 2 f v g", "-ERR wrong number of arguments"),
        (
            "HSETEX h FNX FXX FIELDS 1 f v",
            "-ERR Only one of FXX or FNX arguments can be specified",
        ),
        (
            "HSETEX h FIELDS 9223372036854775807 f v",
            "-ERR wrong number of arguments",
        ),
        (
            "HSETEX h PX 9223372036854775807 FIELDS 1 f v",
            "-ERR invalid expire time in 'hsetex' command",
        ),
        (
            "HTTL h FIELDS 1",
            "-ERR wrong number of arguments for 'httl' command",
        ),
    ]);
}

// ---- a model with a clock ----

type Model = BTreeMap<String, (String, Option<i64>)>;

#[derive(Clone, Debug)]
enum Step {
    Pass(i64),
    Run(String),
}

fn step() -> impl Strategy<Value = Step> {
    let field = || (0u8..8).prop_map(|i| format!("f{i}"));
    let fields = || prop::collection::vec(field(), 1..4);
    let list = |fields: Vec<String>| format!("FIELDS {} {}", fields.len(), fields.join(" "));
    let ttl = || -1i64..30;
    prop_oneof![
        4 => (0i64..12).prop_map(Step::Pass),
        3 => (field(), 0i64..9).prop_map(|(f, v)| Step::Run(format!("HSET h {f} {v}"))),
        1 => field().prop_map(|f| Step::Run(format!("HDEL h {f}"))),
        2 => (field(), 1i64..5).prop_map(|(f, n)| Step::Run(format!("HINCRBY h {f} {n}"))),
        1 => (field(), 1i64..5).prop_map(|(f, n)| Step::Run(format!("HINCRBYFLOAT h {f} {n}"))),
        4 => (ttl(), prop::sample::select(vec!["", "NX ", "XX ", "GT ", "LT "]), fields())
            .prop_map(move |(ms, when, all)| Step::Run(format!("HPEXPIRE h {} {when}{}", ms.max(0), list(all)))),
        1 => fields().prop_map(move |all| Step::Run(format!("HPERSIST h {}", list(all)))),
        2 => fields().prop_map(move |all| Step::Run(format!("HPTTL h {}", list(all)))),
        1 => fields().prop_map(move |all| Step::Run(format!("HGETDEL h {}", list(all)))),
        1 => (ttl(), field()).prop_map(move |(ms, f)| Step::Run(format!("HGETEX h PX {} FIELDS 1 {f}", ms.max(0)))),
        2 => (ttl(), field(), prop::sample::select(vec!["", "FNX ", "FXX "])).prop_map(|(ms, f, when)| {
            let times = if ms < 0 { "KEEPTTL".to_owned() } else { format!("PX {ms}") };
            Step::Run(format!("HSETEX h {when}{times} FIELDS 1 {f} 5"))
        }),
        1 => Just(Step::Run("HLEN h".into())),
    ]
}

fn array(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    format!("*{} {}", items.len(), items.join(" "))
}

/// The reply of a line by the definition of its command.
fn expected(model: &mut Model, line: &str, now: i64) -> String {
    model.retain(|_, (_, at)| at.is_none_or(|at| at > now));
    let words: Vec<&str> = line.split(' ').collect();
    let after_fields = || {
        let at = words
            .iter()
            .position(|word| *word == "FIELDS")
            .expect("generated");
        words[at + 2..].iter().map(|word| (*word).to_owned())
    };
    let bulk = |value: Option<&String>| value.map_or("$-1".to_owned(), |v| format!("${} {v}", v.len()));
    match words[0] {
        "HSET" => {
            let new = model.insert(words[2].into(), (words[3].into(), None)).is_none();
            format!(":{}", u8::from(new))
        }
        "HDEL" => format!(":{}", u8::from(model.remove(words[2]).is_some())),
        "HINCRBY" | "HINCRBYFLOAT" => {
            let entry = model.entry(words[2].into()).or_insert(("0".into(), None));
            let sum = entry.0.parse::<i64>().expect("a number") + words[3].parse::<i64>().expect("generated");
            entry.0 = sum.to_string();
            if words[0] == "HINCRBY" {
                format!(":{sum}")
            } else {
                bulk(Some(&entry.0))
            }
        }
        "HPEXPIRE" => {
            let at = now + words[2].parse::<i64>().expect("generated");
            array(after_fields().map(|f| {
                let Some((_, current)) = model.get_mut(&f) else {
                    return ":-2".into();
                };
                let met = match words[3] {
                    "NX" => current.is_none(),
                    "XX" => current.is_some(),
                    "GT" => current.is_some_and(|c| at > c),
                    "LT" => current.is_none_or(|c| at < c),
                    _always => true,
                };
                if !met {
                    return ":0".into();
                }
                *current = Some(at);
                if at <= now {
                    model.remove(&f);
                    return ":2".into();
                }
                ":1".into()
            }))
        }
        "HPERSIST" => array(after_fields().map(|f| match model.get_mut(&f) {
            None => ":-2".into(),
            Some((_, at)) => if at.take().is_some() { ":1" } else { ":-1" }.into(),
        })),
        "HPTTL" => array(after_fields().map(|f| match model.get(&f) {
            None => ":-2".into(),
            Some((_, None)) => ":-1".into(),
            Some((_, Some(at))) => format!(":{}", at - now),
        })),
        "HGETDEL" => array(after_fields().map(|f| bulk(model.remove(&f).map(|(v, _)| v).as_ref()))),
        "HGETEX" => {
            let at = now + words[3].parse::<i64>().expect("generated");
            array(after_fields().map(|f| {
                let value = model.get_mut(&f).map(|(v, old)| {
                    *old = Some(at);
                    v.clone()
                });
                if at <= now {
                    model.remove(&f);
                }
                bulk(value.as_ref())
            }))
        }
        "HSETEX" => {
            let field = after_fields().next().expect("generated");
            let there = model.contains_key(&field);
            if words[2] == "FNX" && there || words[2] == "FXX" && !there {
                return ":0".into();
            }
            let px = words.iter().position(|word| *word == "PX");
            let at = match px {
                Some(i) => Some(now + words[i + 1].parse::<i64>().expect("generated")),
                None => model.get(&field).and_then(|(_, at)| *at),
            };
            model.insert(field, ("5".into(), at));
            ":1".into()
        }
        "HLEN" => format!(":{}", model.len()),
        other => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 3_000 }))]

    /// Replies are those of the model; a replica that gets the log, and never expires anything itself, has the same
    /// hash; the keyspace knows of the hash as long as its fields expire.
    #[test]
    fn fields_expire_as_in_a_model(
        steps in prop::collection::vec(step(), 1..80),
        entries in prop::sample::select(vec![0usize, 4, 512]),
    ) {
        let (mut f, mut replica, mut model) = (Fixture::new(), Fixture::new(), Model::new());
        f.limits.hash = HashLimits { max_listpack_entries: entries, ..HashLimits::default() };
        for step in &steps {
            match step {
                Step::Pass(ms) => f.now_ms += ms,
                Step::Run(line) => {
                    let expected = expected(&mut model, line, f.now_ms);
                    prop_assert_eq!(f.run(line), expected, "{}", line);
                }
            }
        }
        let now = f.now_ms;
        expected(&mut model, "HLEN h", now);
        let got = f.value("HGETALL h");
        prop_assert_eq!(
            f.keyspace.has_timed_hashes(),
            model.values().any(|(_, at)| at.is_some())
        );
        let log = f.log();
        for line in log.split("; ").filter(|line| !line.is_empty()) {
            replica.run(line);
        }
        let names = "f0 f1 f2 f3 f4 f5 f6 f7";
        for line in [format!("HMGET h {names}"), format!("HPEXPIRETIME h FIELDS 8 {names}"), "EXISTS h".into()] {
            prop_assert_eq!(f.run(&line), replica.run(&line), "{}; log: {}", line, log);
        }
        prop_assert_eq!(f.run("HLEN h"), format!(":{}", model.len()), "{:?}", got);
    }
}
