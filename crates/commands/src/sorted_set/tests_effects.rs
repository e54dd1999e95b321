//! What the family propagates and tells, waiting, randomness, and sets beyond the listpack.

use crate::testing::Fixture;

/// Line, log, events, changes.
type Effect<'a> = (&'a str, &'a str, &'a str, u64);

fn check_effects(f: &mut Fixture, table: &[Effect<'_>]) {
    for (line, log, events, dirty) in table {
        f.run(line);
        assert_eq!(
            (f.log().as_str(), f.events().as_str(), f.dirty),
            (*log, *events, *dirty),
            "{line}"
        );
    }
}

#[test]
fn effects() {
    let mut f = Fixture::new();
    check_effects(
        &mut f,
        &[
            ("ZADD z 1 a 2 b 3 c", "ZADD z 1 a 2 b 3 c", "zadd z", 3),
            ("ZADD z 1 a", "", "", 0),
            ("ZADD z NX 9 a", "", "", 0),
            ("ZADD z XX 9 x", "", "", 0),
            ("ZADD z INCR 1 a", "ZADD z INCR 1 a", "zincr z", 1),
            ("ZINCRBY z -1 a", "ZINCRBY z -1 a", "zincr z", 1),
            ("ZADD i inf a", "ZADD i inf a", "zadd i", 1),
            ("ZINCRBY i -inf a", "", "", 0),
            ("ZREM z a x", "ZREM z a x", "zrem z", 1),
            ("ZREM z x", "", "", 0),
            (
                "ZREMRANGEBYRANK z 0 0",
                "ZREMRANGEBYRANK z 0 0",
                "zremrangebyrank z",
                1,
            ),
            ("ZREMRANGEBYLEX z [x [y", "", "", 0),
            (
                "ZREMRANGEBYSCORE z 0 9",
                "ZREMRANGEBYSCORE z 0 9",
                "zremrangebyscore z; del z",
                1,
            ),
            (
                "ZADD z 1 a 2 b 3 c 4 d 5 e",
                "ZADD z 1 a 2 b 3 c 4 d 5 e",
                "zadd z",
                5,
            ),
            ("ZPOPMIN z 0", "", "", 0),
            ("ZPOPMAX z", "ZPOPMAX z", "zpopmax z", 1),
            ("BZPOPMIN x z 0", "ZPOPMIN z", "zpopmin z", 1),
            ("ZMPOP 2 x z MAX", "ZPOPMAX z 1", "zpopmax z", 1),
            ("BZMPOP 0 1 z MIN COUNT 9", "ZPOPMIN z 2", "zpopmin z; del z", 2),
            ("ZADD z 1 a 2 b", "ZADD z 1 a 2 b", "zadd z", 2),
            ("ZRANGESTORE d z 0 -1", "ZRANGESTORE d z 0 -1", "zrangestore d", 1),
            ("ZUNIONSTORE d 1 z", "ZUNIONSTORE d 1 z", "zunionstore d", 1),
            ("ZINTERSTORE d 1 z", "ZINTERSTORE d 1 z", "zinterstore d", 1),
            ("ZDIFFSTORE d 1 z", "ZDIFFSTORE d 1 z", "zdiffstore d", 1),
            ("ZDIFFSTORE d 2 z z", "ZDIFFSTORE d 2 z z", "del d", 1),
            ("ZDIFFSTORE d 2 z z", "", "", 0),
        ],
    );
}

#[test]
fn waiting() {
    let mut f = Fixture::new();
    f.check(&[
        ("BZPOPMIN a b 0", "(waits for a b, for ever, NullArray)"),
        ("BZPOPMAX a 0.0001", "(waits for a, 1 ms, NullArray)"),
        ("BZMPOP 2 2 a b MAX", "(waits for a b, 2000 ms, NullArray)"),
    ]);
    f.may_block = false;
    f.check(&[("BZPOPMIN a b 0", "*-1"), ("BZMPOP 2 1 a MAX", "*-1")]);
}

#[test]
fn draws() {
    let mut f = Fixture::new();
    f.run("ZADD z 1 a 2 b 3 c");
    assert_eq!(f.sorted("ZRANDMEMBER z 3"), ["a", "b", "c"]);
    assert_eq!(f.sorted("ZRANDMEMBER z 99"), ["a", "b", "c"]);
    assert_eq!(f.sorted("ZRANDMEMBER z 2").len(), 2);
    assert_eq!(f.sorted("ZRANDMEMBER z -50").len(), 50);
    assert_eq!(f.run("ZRANDMEMBER z -9000000000"), "-ERR value is out of range");
}

/// Facts that the random comparison with redis-server found.
#[test]
fn oddities() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZINCRBY z NX 19", "-ERR syntax error"),
        ("ZADD z 1e17 a -0 b", ":2"),
        ("ZSCAN z 0", "*2 $1 0 *4 $1 b $1 0 $1 a $18 100000000000000000"),
        ("ZSCORE z a", "$5 1e+17"),
    ]);
    f.limits.zset.max_listpack_entries = 1;
    f.check(&[
        ("ZUNIONSTORE d 1 z WEIGHTS -0", ":2"),
        ("ZSCAN d 0", "*2 $1 0 *4 $1 a $2 -0 $1 b $2 -0"),
    ]);
}

#[test]
fn large_sets() {
    let mut f = Fixture::new();
    for i in 0..1000 {
        f.run(&format!("ZADD z {} m{i}", i % 10));
    }
    assert_eq!(f.encoding("z"), "skiplist");
    f.check(&[
        ("ZCARD z", ":1000"),
        ("ZCOUNT z 3 (5", ":200"),
        ("ZRANGE z (8 +inf BYSCORE LIMIT 99 5", "*1 $4 m999"),
        ("ZPOPMAX z", "*2 $4 m999 $1 9"),
        ("ZRANGESTORE d z 0 99", ":100"),
        ("ZREMRANGEBYRANK z 0 -11", ":989"),
    ]);
    assert_eq!(f.encoding("d"), "listpack");
    let (mut cursor, mut seen) = ("0".to_owned(), Vec::new());
    for i in 0..1000 {
        f.run(&format!("ZADD s 1 m{i}"));
    }
    loop {
        let holdfast_resp::Value::Array(parts) = f.value(&format!("ZSCAN s {cursor} COUNT 50")) else {
            panic!("two parts");
        };
        let [
            holdfast_resp::Value::Bulk(next),
            holdfast_resp::Value::Array(members),
        ] = &parts[..]
        else {
            panic!("a cursor and members");
        };
        seen.extend(members.iter().step_by(2).map(ToString::to_string));
        cursor = next.escape_ascii().to_string();
        if cursor == "0" {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 1000);
}
