//! SORT: replies of redis-server 7.0.15, what is stored and what is told.

use crate::testing::Fixture;

const NOT_DOUBLE: &str = "-ERR One or more scores can't be converted into double";
const SYNTAX: &str = "-ERR syntax error";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";

fn list(words: &str) -> Fixture {
    let mut f = Fixture::new();
    f.run(&format!("RPUSH l {words}"));
    f.log();
    f.events();
    f
}

#[test]
fn numbers_are_compared_as_numbers() {
    let mut f = list("3 1 2 1.5 -inf 10");
    f.check(&[
        ("SORT l", "*6 $4 -inf $1 1 $3 1.5 $1 2 $1 3 $2 10"),
        ("SORT l DESC LIMIT 1 2", "*2 $1 3 $1 2"),
        ("SORT_RO l DESC LIMIT 0 1", "*1 $2 10"),
        ("SORT l ALPHA LIMIT 0 3", "*3 $4 -inf $1 1 $3 1.5"),
        ("SORT none", "*0"),
        ("SET s v", "+OK"),
        (
            "SORT s",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]);
    list("02 2 01 1 2").check(&[("SORT l", "*5 $2 01 $1 1 $2 02 $1 2 $1 2")]);
    list("inf 0x10 -inf 1e-300").check(&[("SORT l", "*4 $4 -inf $6 1e-300 $4 0x10 $3 inf")]);
    list("\" 2\" \"\" 1").check(&[("SORT l", "*3 $0  $1 1 $2  2")]);
    list("\"12\\x00abc\" 5").check(&[("SORT l", "*2 $1 5 $6 12\\x00abc")]);
    for bad in ["a", "nan", "\"3 \"", "1e400", "1e-400", "\" \"", "1x"] {
        list(&format!("1 {bad}")).check(&[
            ("SORT l", NOT_DOUBLE),
            ("SORT l STORE d", NOT_DOUBLE),
            ("EXISTS d", ":0"),
        ]);
    }
}

#[test]
fn limits() {
    let mut f = list("a b c d e");
    f.check(&[
        ("SORT l ALPHA LIMIT -1 2", "*2 $1 a $1 b"),
        ("SORT l ALPHA LIMIT 3 -1", "*2 $1 d $1 e"),
        ("SORT l ALPHA LIMIT 5 2", "*0"),
        ("SORT l ALPHA LIMIT 1 0", "*0"),
        ("SORT l ALPHA LIMIT 9223372036854775807 9223372036854775807", "*0"),
        ("SORT l ALPHA LIMIT 4 9223372036854775807", "*1 $1 e"),
        ("SORT l ALPHA LIMIT 0 9 LIMIT 0 1", "*1 $1 a"),
        ("SORT l LIMIT 1", SYNTAX),
        ("SORT none LIMIT x 1", NOT_INTEGER),
        ("SORT none LIMIT 1 x", NOT_INTEGER),
        ("SORT none FOO", SYNTAX),
        ("SORT none BY", SYNTAX),
        ("SORT none GET", SYNTAX),
        ("SORT none STORE", SYNTAX),
        ("SORT_RO none STORE d", SYNTAX),
    ]);
}

#[test]
fn weights_and_results_come_from_other_keys() {
    let mut f = list("3 1 2 10");
    f.check(&[
        ("SET w3 30", "+OK"),
        ("SET w1 99", "+OK"),
        ("SET w2 20", "+OK"),
        ("SORT l BY w*", "*4 $2 10 $1 2 $1 3 $1 1"),
        (
            "SORT l BY w* DESC LIMIT 0 2 GET w* GET #",
            "*4 $2 99 $1 1 $2 30 $1 3",
        ),
        ("SET w10 x", "+OK"),
        ("SORT l BY w*", NOT_DOUBLE),
        ("SORT l BY w* ALPHA", "*4 $1 2 $1 3 $1 1 $2 10"),
        ("SORT l BY w* ALPHA DESC LIMIT 1 2", "*2 $1 1 $1 3"),
        (
            "SORT l BY w_* GET # GET w_*",
            "*8 $1 1 $-1 $2 10 $-1 $1 2 $-1 $1 3 $-1",
        ),
        ("SORT l GET nostar LIMIT 0 1", "*1 $-1"),
        ("SORT l GET w*-> LIMIT 0 1", "*1 $-1"),
    ]);
    let mut f = list("a b");
    f.check(&[
        ("HSET h_a f 7 n 1", ":2"),
        ("HSET h_b f 5", ":1"),
        ("SORT l BY h_*->f GET #", "*2 $1 b $1 a"),
        (
            "SORT l BY nosort GET h_*->n GET h_* GET h_*->",
            "*6 $1 1 $-1 $-1 $-1 $-1 $-1",
        ),
        ("SET k->f 5", "+OK"),
        ("SORT l BY nosort GET k->f", "*2 $-1 $-1"),
    ]);
}

#[test]
fn a_weight_without_a_star_keeps_the_order() {
    let mut f = list("b a d c e");
    f.check(&[
        ("SORT l BY nosort", "*5 $1 b $1 a $1 d $1 c $1 e"),
        ("SORT l BY nosort DESC LIMIT 1 2", "*2 $1 c $1 d"),
        ("SORT l BY nosort BY w*", "*5 $1 b $1 a $1 d $1 c $1 e"),
        ("ZADD z 3 a 1 b 2 c", ":3"),
        ("SORT z BY nosort", "*3 $1 b $1 c $1 a"),
        ("SORT z BY nosort DESC", "*3 $1 a $1 c $1 b"),
        ("SORT z BY nosort DESC LIMIT 1 1", "*1 $1 c"),
        ("SORT z BY nosort LIMIT 1 5", "*2 $1 c $1 a"),
        ("SORT z ALPHA", "*3 $1 a $1 b $1 c"),
        ("SADD s c b a", ":3"),
        ("SORT s BY nosort DESC LIMIT 1 2 STORE d", ":2"),
        ("LRANGE d 0 -1", "*2 $1 b $1 a"),
    ]);
}

#[test]
fn results_are_stored() {
    let mut f = list("c a b");
    f.check(&[
        ("SORT l ALPHA STORE d", ":3"),
        ("LRANGE d 0 -1", "*3 $1 a $1 b $1 c"),
        ("TTL d", ":-1"),
        ("SET w_a x", "+OK"),
        ("SORT l ALPHA GET w_* GET # STORE d", ":6"),
        ("LRANGE d 0 -1", "*6 $1 x $1 a $0  $1 b $0  $1 c"),
        ("SORT l ALPHA STORE l", ":3"),
        ("LRANGE l 0 -1", "*3 $1 a $1 b $1 c"),
        ("SORT none STORE l", ":0"),
        ("EXISTS l", ":0"),
        ("SORT none STORE l", ":0"),
    ]);
    assert_eq!(
        f.log(),
        "SORT l ALPHA STORE d; SET w_a x; SORT l ALPHA GET w_* GET # STORE d; SORT l ALPHA STORE l; SORT none STORE l"
    );
    assert_eq!(
        f.events(),
        "sortstore d; set w_a; sortstore d; sortstore l; del l"
    );
}

#[test]
fn a_large_result_is_cut_without_sorting_it_all() {
    let mut f = Fixture::new();
    for n in 0..2000 {
        f.run(&format!("RPUSH l {}", n * 7919 % 2000));
    }
    f.check(&[
        ("SORT l LIMIT 10 3", "*3 $2 10 $2 11 $2 12"),
        ("SORT l DESC LIMIT 0 2", "*2 $4 1999 $4 1998"),
        ("SORT l LIMIT 1999 5", "*1 $4 1999"),
    ]);
}
