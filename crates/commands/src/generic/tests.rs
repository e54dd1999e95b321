//! Keys and databases: replies (those of redis-server 7.0.15), events and what is propagated.

use std::collections::BTreeSet;

use holdfast_resp::Value;
use holdfast_storage::data::OnExpired;

use crate::testing::Fixture;

const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const SYNTAX: &str = "-ERR syntax error";

/// A string `k`, a list `l`; nothing in the log. It is 1000000 ms past the epoch.
fn fixture() -> Fixture {
    let mut f = Fixture::new();
    f.check(&[("SET k v", "+OK"), ("RPUSH l a", ":1")]);
    f.log();
    f.events();
    f
}

#[test]
fn deletion_and_existence() {
    let mut f = fixture();
    f.check(&[
        ("EXISTS k k none l", ":3"),
        ("TOUCH k none", ":1"),
        ("TYPE k", "+string"),
        ("TYPE l", "+list"),
        ("TYPE none", "+none"),
        ("DEL k none k", ":1"),
        ("UNLINK l none", ":1"),
        ("DEL none", ":0"),
        ("DEL", "-ERR wrong number of arguments for 'del' command"),
    ]);
    assert_eq!(f.log(), "DEL k none k; UNLINK l none");
    assert_eq!(f.events(), "del k; del l");
}

#[test]
fn look_ups_are_counted() {
    let mut f = fixture();
    f.effects.clear();
    for line in ["EXISTS k none", "TYPE k", "TYPE none", "TTL none", "TOUCH k none"] {
        f.run(line);
    }
    assert_eq!((f.effects.hits, f.effects.misses), (3, 4));
}

#[test]
fn expiries_are_set() {
    let mut f = fixture();
    f.check(&[
        ("TTL k", ":-1"),
        ("PTTL none", ":-2"),
        ("EXPIRE k 10", ":1"),
        ("TTL k", ":10"),
        ("PEXPIRE k 1499", ":1"),
        ("TTL k", ":1"),
        ("PEXPIRE k 1500", ":1"),
        ("TTL k", ":2"),
        ("PTTL k", ":1500"),
        ("EXPIRETIME k", ":1002"),
        ("PEXPIRETIME k", ":1001500"),
        ("EXPIREAT k 2000", ":1"),
        ("PEXPIREAT k 9223372036854775807", ":1"),
        ("PEXPIRETIME k", ":9223372036854775807"),
        ("EXPIRETIME k", ":9223372036854776"),
        ("PERSIST k", ":1"),
        ("PERSIST k", ":0"),
        ("PERSIST none", ":0"),
        ("EXPIRE none 1", ":0"),
    ]);
    assert_eq!(
        f.log(),
        "PEXPIREAT k 1010000; PEXPIREAT k 1001499; PEXPIREAT k 1001500; PEXPIREAT k 2000000; \
         PEXPIREAT k 9223372036854775807; PERSIST k"
    );
    assert_eq!(
        f.events(),
        "expire k; expire k; expire k; expire k; expire k; persist k"
    );
}

#[test]
fn a_time_that_is_over_deletes() {
    for line in [
        "EXPIRE k 0",
        "EXPIRE k -1",
        "PEXPIREAT k 1000000",
        "EXPIREAT k -5",
        "PEXPIRE k -9223372036854775808",
    ] {
        let mut f = fixture();
        f.check(&[(line, ":1"), ("EXISTS k", ":0")]);
        assert_eq!((f.log(), f.events()), ("DEL k".into(), "del k".into()), "{line}");
    }
    let mut f = fixture();
    f.check(&[("PEXPIRE k 5", ":1"), ("EXISTS k", ":1")]);
    f.now_ms += 5;
    f.check(&[
        ("TTL k", ":-2"),
        ("RENAME k x", "-ERR no such key"),
        ("PERSIST k", ":0"),
    ]);
    assert_eq!(f.log(), "PEXPIREAT k 1000005; DEL k");
    assert_eq!(f.events(), "expire k; expired k");
}

#[test]
fn expiries_may_depend_on_the_one_before() {
    // For ever, then 100 seconds: which of the conditions lets the new expiry in?
    let cases = [
        ("NX", 100, true, false),
        ("XX", 100, false, true),
        ("GT", 101, false, true),
        ("GT", 100, false, false),
        ("LT", 99, true, true),
        ("LT", 100, true, false),
        ("XX GT", 101, false, true),
        ("XX LT", 99, false, true),
        ("xx lt", 100, false, false),
        ("XX XX", 1, false, true),
        ("GT", -1, false, false),
    ];
    for (words, seconds, when_for_ever, when_100) in cases {
        let line = format!("EXPIRE k {seconds} {words}");
        assert_eq!(
            fixture().run(&line),
            format!(":{}", u8::from(when_for_ever)),
            "{line}"
        );
        let mut f = fixture();
        f.run("EXPIRE k 100");
        assert_eq!(f.run(&line), format!(":{}", u8::from(when_100)), "{line}");
    }
    let nx = "-ERR NX and XX, GT or LT options at the same time are not compatible";
    fixture().check(&[
        ("EXPIRE k x FOO", "-ERR Unsupported option FOO"),
        ("EXPIRE k x NX GT", nx),
        ("EXPIRE k 1 NX XX", nx),
        (
            "EXPIRE k x GT LT",
            "-ERR GT and LT options at the same time are not compatible",
        ),
        ("EXPIRE none x", NOT_INTEGER),
        (
            "EXPIRE none 9223372036854775807",
            "-ERR invalid expire time in 'expire' command",
        ),
        (
            "EXPIRE k 9223372036854775",
            "-ERR invalid expire time in 'expire' command",
        ),
        (
            "EXPIRE k -9223372036854775808",
            "-ERR invalid expire time in 'expire' command",
        ),
        (
            "PEXPIRE k 9223372036854775807",
            "-ERR invalid expire time in 'pexpire' command",
        ),
        (
            "EXPIREAT k 9223372036854776",
            "-ERR invalid expire time in 'expireat' command",
        ),
    ]);
}

#[test]
fn names_change() {
    let mut f = fixture();
    f.check(&[
        ("EXPIRE k 10", ":1"),
        ("RENAME k k2", "+OK"),
        ("TTL k2", ":10"),
        ("EXISTS k", ":0"),
        ("RENAME k2 l", "+OK"),
        ("TYPE l", "+string"),
        ("RENAME l l", "+OK"),
        ("RENAMENX l l", ":0"),
        ("SET k v", "+OK"),
        ("RENAMENX l k", ":0"),
        ("RENAMENX l n", ":1"),
        ("TTL n", ":10"),
        ("RENAME none none", "-ERR no such key"),
        ("RENAMENX none k", "-ERR no such key"),
    ]);
    assert_eq!(
        f.log(),
        "PEXPIREAT k 1010000; RENAME k k2; RENAME k2 l; SET k v; RENAMENX l n"
    );
    assert_eq!(
        f.events(),
        "expire k; rename_from k; rename_to k2; rename_from k2; rename_to l; set k; rename_from l; rename_to n"
    );
    f.run("RENAME n m");
    assert_eq!(f.dirty, 1);
}

#[test]
fn keys_move_between_databases() {
    let mut f = fixture();
    let same = "-ERR source and destination objects are the same";
    f.check(&[
        ("EXPIRE k 10", ":1"),
        ("MOVE k 1", ":1"),
        ("MOVE k 1", ":0"),
        ("SET k w", "+OK"),
        ("MOVE k 1", ":0"),
        ("MOVE none 0", same),
        ("MOVE k 4", "-ERR DB index is out of range"),
        ("MOVE k -1", "-ERR DB index is out of range"),
        ("MOVE k x", NOT_INTEGER),
        (
            "MOVE k 99999999999",
            "-ERR value is out of range, value must between -2147483648 and 2147483647",
        ),
    ]);
    assert_eq!(f.log(), "PEXPIREAT k 1010000; MOVE k 1; SET k w");
    assert_eq!(f.events(), "expire k; move_from k; move_to k; set k");
    f.db = 1;
    f.check(&[("TTL k", ":10"), ("GET k", "$1 v")]);
}

#[test]
fn values_are_copied() {
    let mut f = fixture();
    let same = "-ERR source and destination objects are the same";
    f.check(&[
        ("EXPIRE k 10", ":1"),
        ("COPY k c", ":1"),
        ("TTL c", ":10"),
        ("COPY l c", ":0"),
        ("COPY l c REPLACE", ":1"),
        ("TTL c", ":-1"),
        ("RPUSH c b", ":2"),
        ("LRANGE l 0 -1", "*1 $1 a"),
        ("COPY l l DB 1", ":1"),
        ("COPY l l db 1 DB 2 replace", ":1"),
        ("COPY none none", same),
        ("COPY none x", ":0"),
        ("COPY k k DB 0", same),
        ("COPY k x DB 4", "-ERR DB index is out of range"),
        ("COPY k x DB y", NOT_INTEGER),
        ("COPY k x DB", SYNTAX),
        ("COPY k x FOO", SYNTAX),
    ]);
    assert_eq!(
        f.log(),
        "PEXPIREAT k 1010000; COPY k c; COPY l c REPLACE; RPUSH c b; COPY l l DB 1; COPY l l db 1 DB 2 replace"
    );
    assert_eq!(
        f.events(),
        "expire k; copy_to c; copy_to c; rpush c; copy_to l; copy_to l"
    );
    for make in ["SADD x 1 a", "HSET x f v", "ZADD x 1 a", "SADD x 1 2"] {
        let mut f = Fixture::new();
        f.run(make);
        f.check(&[("COPY x y", ":1")]);
        assert_eq!(f.encoding("x"), f.encoding("y"), "{make}");
        assert_eq!(f.run("TYPE x"), f.run("TYPE y"));
    }
}

#[test]
fn whole_databases() {
    let mut f = fixture();
    f.check(&[
        ("DBSIZE", ":2"),
        ("SWAPDB 0 1", "+OK"),
        ("DBSIZE", ":0"),
        ("RANDOMKEY", "$-1"),
        ("SWAPDB 1 0", "+OK"),
        ("COPY k k DB 2", ":1"),
        ("FLUSHDB", "+OK"),
        ("FLUSHDB ASYNC", "+OK"),
        ("DBSIZE", ":0"),
        ("FLUSHALL sync", "+OK"),
        ("FLUSHALL FOO", SYNTAX),
        ("FLUSHALL ASYNC SYNC", SYNTAX),
        ("SWAPDB 2 2", "+OK"),
        ("SWAPDB a b", "-ERR invalid first DB index"),
        ("SWAPDB 99999999999 1", "-ERR invalid first DB index"),
        ("SWAPDB 1 b", "-ERR invalid second DB index"),
        ("SWAPDB 4 1", "-ERR DB index is out of range"),
        ("SWAPDB -1 1", "-ERR DB index is out of range"),
    ]);
    assert_eq!(
        f.log(),
        "SWAPDB 0 1; SWAPDB 1 0; COPY k k DB 2; FLUSHDB; FLUSHDB ASYNC; FLUSHALL sync; SWAPDB 2 2"
    );
    assert_eq!(f.events(), "copy_to k");
    f.db = 2;
    f.check(&[("DBSIZE", ":0")]);
}

#[test]
fn names_are_listed() {
    let mut f = Fixture::new();
    f.check(&[
        ("KEYS *", "*0"),
        ("SET one 1", "+OK"),
        ("SET two 2", "+OK"),
        ("SET three 3", "+OK"),
        ("SET four 4", "+OK"),
    ]);
    assert_eq!(f.sorted("KEYS *"), ["four", "one", "three", "two"]);
    assert_eq!(f.sorted("KEYS t*"), ["three", "two"]);
    assert_eq!(f.sorted("KEYS [^t]??"), ["one"]);
    assert_eq!(f.sorted("KEYS one"), ["one"]);
    f.run("PEXPIRE one 5");
    f.now_ms += 5;
    assert_eq!(f.sorted("KEYS *"), ["four", "three", "two"]);
    let drawn: BTreeSet<String> = (0..200).map(|_| f.run("RANDOMKEY")).collect();
    assert_eq!(
        drawn.into_iter().collect::<Vec<_>>(),
        ["$3 two", "$4 four", "$5 three"]
    );
}

/// Walks with SCAN to its end; at most `most` calls.
fn scan(f: &mut Fixture, words: &str, most: usize) -> Vec<String> {
    let (mut cursor, mut names) = ("0".to_owned(), Vec::new());
    for _ in 0..most {
        let Value::Array(mut reply) = f.value(&format!("SCAN {cursor} {words}")) else {
            panic!("SCAN answers an array");
        };
        let (Some(Value::Array(keys)), Some(Value::Bulk(next))) = (reply.pop(), reply.pop()) else {
            panic!("a cursor and keys");
        };
        for key in keys {
            let Value::Bulk(name) = key else { panic!("a name") };
            names.push(String::from_utf8(name.to_vec()).expect("text"));
        }
        cursor = String::from_utf8(next.to_vec()).expect("digits");
        if cursor == "0" {
            return names;
        }
    }
    panic!("SCAN does not end");
}

#[test]
fn a_scan_finds_every_key_that_stays() {
    let mut f = Fixture::new();
    assert!(scan(&mut f, "", 1).is_empty());
    for i in 0..1000 {
        f.run(&format!("SET k{i} v"));
    }
    for words in [
        "",
        "COUNT 1",
        "COUNT 100000",
        "MATCH *",
        "TYPE string",
        "type STRING count 7",
    ] {
        let names = scan(&mut f, words, 5000);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 1000, "{words}");
    }
    assert_eq!(scan(&mut f, "COUNT 100000", 1).len(), 1000);
    assert_eq!(scan(&mut f, "MATCH k99*", 5000).len(), 11);
    assert!(scan(&mut f, "TYPE list", 5000).is_empty());
    assert!(scan(&mut f, "TYPE nonsense", 5000).is_empty());
    // Growing and shrinking meanwhile loses nothing.
    let mut seen = BTreeSet::new();
    let mut cursor = "0".to_owned();
    for step in 0.. {
        let Value::Array(reply) = f.value(&format!("SCAN {cursor} COUNT 5")) else {
            panic!("SCAN answers an array");
        };
        let [Value::Bulk(next), Value::Array(keys)] = &reply[..] else {
            panic!("a cursor and keys");
        };
        seen.extend(keys.iter().map(ToString::to_string));
        cursor = String::from_utf8(next.to_vec()).expect("digits");
        for i in 0..20 {
            let n = 1000 + (step * 20 + i) % 3000;
            f.run(&if step % 300 < 150 {
                format!("SET k{n} v")
            } else {
                format!("DEL k{n}")
            });
        }
        if cursor == "0" {
            break;
        }
    }
    assert!((0..1000).all(|i| seen.contains(&format!("\"k{i}\""))));
}

#[test]
fn keys_whose_time_is_over_are_not_scanned() {
    let mut f = Fixture::new();
    f.check(&[("SET a 1", "+OK"), ("SET b 2", "+OK"), ("PEXPIRE a 5", ":1")]);
    f.now_ms += 5;
    assert_eq!(scan(&mut f, "", 10), ["b"]);
    f.check(&[("DBSIZE", ":2"), ("EXISTS a", ":0"), ("DBSIZE", ":1")]);
}

#[test]
fn cursors_and_options_of_scan() {
    let bad = "-ERR invalid cursor";
    Fixture::new().check(&[
        ("SCAN -1", "*2 $1 0 *0"),
        ("SCAN +0", "*2 $1 0 *0"),
        ("SCAN \"\"", "*2 $1 0 *0"),
        (
            "SCAN 18446744073709551615 COUNT 9223372036854775807",
            "*2 $1 0 *0",
        ),
        ("SCAN 18446744073709551616", bad),
        ("SCAN x", bad),
        ("SCAN \" 0\"", bad),
        ("SCAN 0x", bad),
        ("SCAN +", bad),
        ("SCAN 0 COUNT 0", SYNTAX),
        ("SCAN 0 COUNT -1", SYNTAX),
        ("SCAN 0 COUNT x", NOT_INTEGER),
        ("SCAN 0 COUNT", SYNTAX),
        ("SCAN 0 FOO bar", SYNTAX),
        ("SCAN 0 MATCH a MATCH b", "*2 $1 0 *0"),
    ]);
}

#[test]
fn the_inner_form_of_values() {
    let mut f = fixture();
    let no_lfu = "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                  switching between policies at runtime LRU and LFU data will take some time to adjust.";
    let lfu = "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
               between policies at runtime LRU and LFU data will take some time to adjust.";
    f.now_ms += 2500;
    f.check(&[
        ("OBJECT ENCODING k", "$6 embstr"),
        ("OBJECT ENCODING l", "$8 listpack"),
        ("OBJECT ENCODING none", "$-1"),
        ("OBJECT IDLETIME k", ":2"),
        ("TOUCH k", ":1"),
        ("object idletime k", ":0"),
        ("OBJECT IDLETIME none", "$-1"),
        ("OBJECT FREQ k", no_lfu),
        ("OBJECT FREQ none", "$-1"),
        ("OBJECT REFCOUNT k", ":1"),
        ("OBJECT REFCOUNT none", "$-1"),
        ("SET n 9999", "+OK"),
        ("OBJECT REFCOUNT n", ":2147483647"),
        ("SET n 10000", "+OK"),
        ("OBJECT REFCOUNT n", ":1"),
        ("OBJECT", "-ERR wrong number of arguments for 'object' command"),
        ("OBJECT foo", "-ERR unknown subcommand 'foo'. Try OBJECT HELP."),
        (
            "OBJECT ENCODING",
            "-ERR wrong number of arguments for 'object|encoding' command",
        ),
    ]);
    assert!(f.run("OBJECT HELP").starts_with("*11 +OBJECT <subcommand>"));
    f.limits.lfu = true;
    f.check(&[("OBJECT IDLETIME k", lfu)]);
    assert!(f.run("OBJECT FREQ k").starts_with(':'));
}

#[test]
fn a_replica_keeps_keys_whose_time_is_over() {
    let mut f = fixture();
    f.run("PEXPIRE k 5");
    f.now_ms += 10;
    f.with_data(|data| {
        data.on_expired = OnExpired::Ignore;
        assert!(data.exists(b"k"));
        data.on_expired = OnExpired::Hide;
        assert!(!data.exists(b"k"));
    });
    f.check(&[("DBSIZE", ":2")]);
}
