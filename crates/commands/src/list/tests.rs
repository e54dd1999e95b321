//! The commands of lists: replies, events and what is propagated. The expected replies are those of redis-server 7.0.15.

use std::collections::VecDeque;

use holdfast_storage::types::list::ListLimits;
use proptest::prelude::*;

use crate::testing::Fixture;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const SYNTAX: &str = "-ERR syntax error";

/// A list `l` of a to e, and a string `s`; nothing in the log.
fn fixture() -> Fixture {
    let mut f = Fixture::new();
    f.check(&[("RPUSH l a b c d e", ":5"), ("SET s v", "+OK")]);
    f.log();
    f.events();
    f
}

#[test]
fn pushes() {
    let mut f = fixture();
    f.check(&[
        ("LPUSH new 1 2 3", ":3"),
        ("LRANGE new 0 -1", "*3 $1 3 $1 2 $1 1"),
        ("RPUSHX new 4", ":4"),
        ("LPUSHX new 5 6", ":6"),
        ("LPUSHX none 1", ":0"),
        ("RPUSHX none 1", ":0"),
        ("EXISTS none", ":0"),
        ("RPUSH s 1", WRONG_TYPE),
        ("LPUSHX s 1", WRONG_TYPE),
        ("RPUSH l", "-ERR wrong number of arguments for 'rpush' command"),
    ]);
    assert_eq!(f.log(), "LPUSH new 1 2 3; RPUSHX new 4; LPUSHX new 5 6");
    assert_eq!(f.events(), "lpush new; rpush new; lpush new");
}

#[test]
fn an_element_may_be_anything() {
    let mut f = Fixture::new();
    let big = vec![b'x'; 100_000];
    assert_eq!(
        f.run_argv(&[b"RPUSH", b"l", b"", b"\r\n\0\xff", b"007", b"-0", &big]),
        ":5"
    );
    f.check(&[
        ("LINDEX l 0", "$0"),
        ("LINDEX l 1", "$4  \\x00\\xff"),
        ("LINDEX l 2", "$3 007"),
        ("LINDEX l 3", "$2 -0"),
    ]);
    assert_eq!(f.run("RPOP l").len(), "$100000 ".len() + big.len());
}

#[test]
fn pops() {
    let mut f = fixture();
    f.check(&[
        ("LPOP l", "$1 a"),
        ("RPOP l", "$1 e"),
        ("LPOP l 0", "*0"),
        ("RPOP l 2", "*2 $1 d $1 c"),
        ("LPOP l 99", "*1 $1 b"),
        ("EXISTS l", ":0"),
        ("LPOP l", "$-1"),
        ("LPOP l 0", "*-1"),
        ("RPOP l 9", "*-1"),
        ("LPOP l x", "-ERR value is out of range, must be positive"),
        ("LPOP l -1", "-ERR value is out of range, must be positive"),
        ("LPOP s 0", WRONG_TYPE),
        ("LPOP s", WRONG_TYPE),
        ("LPOP l 1 2", "-ERR wrong number of arguments for 'lpop' command"),
    ]);
    assert_eq!(f.log(), "LPOP l; RPOP l; RPOP l 2; LPOP l 99");
    assert_eq!(f.events(), "lpop l; rpop l; rpop l; lpop l; del l");
    let mut f = Fixture::resp3();
    f.check(&[("LPOP l", "_"), ("LPOP l 1", "_")]);
}

#[test]
fn lmpop_pops_from_the_first_key_that_has_elements() {
    let mut f = fixture();
    let numkeys = "-ERR numkeys should be greater than 0";
    let count = "-ERR count should be greater than 0";
    f.check(&[
        ("LMPOP 2 none l LEFT", "*2 $1 l *1 $1 a"),
        ("LMPOP 1 l RIGHT COUNT 3", "*2 $1 l *3 $1 e $1 d $1 c"),
        ("LMPOP 1 l LEFT COUNT 9", "*2 $1 l *1 $1 b"),
        ("LMPOP 2 none l LEFT", "*-1"),
        ("LMPOP 2 none s LEFT", WRONG_TYPE),
        ("LMPOP 0 l LEFT", numkeys),
        ("LMPOP x l LEFT", numkeys),
        ("LMPOP 2 l LEFT", SYNTAX),
        ("LMPOP 9223372036854775807 l LEFT", SYNTAX),
        ("LMPOP 1 l UP", SYNTAX),
        ("LMPOP 1 l LEFT COUNT 0", count),
        ("LMPOP 1 l LEFT COUNT x", count),
        ("LMPOP 1 l LEFT COUNT", SYNTAX),
        ("LMPOP 1 l LEFT COUNT 1 COUNT 1", SYNTAX),
    ]);
    assert_eq!(f.log(), "LPOP l 1; RPOP l 3; LPOP l 1");
    assert_eq!(f.events(), "lpop l; rpop l; lpop l; del l");
}

#[test]
fn blocking_pops_wait_for_their_keys() {
    let mut f = fixture();
    f.check(&[
        ("BLPOP none l 0", "*2 $1 l $1 a"),
        ("BRPOP none l 0", "*2 $1 l $1 e"),
        ("BLMPOP 0 2 none l LEFT COUNT 2", "*2 $1 l *2 $1 b $1 c"),
        ("BLPOP x y 1.5", "(waits for x y, 1500 ms, NullArray)"),
        ("BRPOP x 0", "(waits for x, for ever, NullArray)"),
        ("BLMPOP 0.0001 2 x y LEFT", "(waits for x y, 1 ms, NullArray)"),
        ("BLPOP none s 0", WRONG_TYPE),
        ("BLPOP s x", "-ERR timeout is not a float or out of range"),
        ("BLPOP s -1", "-ERR timeout is negative"),
        ("BLMPOP x 0 l LEFT", "-ERR numkeys should be greater than 0"),
        ("BLMPOP x 1 l UP", SYNTAX),
        ("BLMPOP x 1 l LEFT", "-ERR timeout is not a float or out of range"),
    ]);
    assert_eq!(f.log(), "LPOP l; RPOP l; LPOP l 2");
    f.may_block = false;
    f.check(&[("BLPOP x 0", "*-1"), ("BLMPOP 0 1 x LEFT", "*-1")]);
}

#[test]
fn elements_move_between_lists() {
    let mut f = fixture();
    f.check(&[
        ("LMOVE l d LEFT RIGHT", "$1 a"),
        ("RPOPLPUSH l d", "$1 e"),
        ("LRANGE d 0 -1", "*2 $1 e $1 a"),
        ("LMOVE l l LEFT RIGHT", "$1 b"),
        ("LRANGE l 0 -1", "*3 $1 c $1 d $1 b"),
    ]);
    assert_eq!(f.dirty, 0);
    assert_eq!(
        f.log(),
        "LMOVE l d LEFT RIGHT; RPOPLPUSH l d; LMOVE l l LEFT RIGHT"
    );
    assert_eq!(f.events(), "rpush d; lpop l; lpush d; rpop l; rpush l; lpop l");
    f.check(&[
        ("RPUSH one x", ":1"),
        ("LMOVE one one LEFT LEFT", "$1 x"),
        ("LMOVE one d LEFT LEFT", "$1 x"),
        ("EXISTS one", ":0"),
        ("LMOVE one d LEFT LEFT", "$-1"),
        ("LMOVE none s LEFT LEFT", "$-1"),
        ("LMOVE l s LEFT LEFT", WRONG_TYPE),
        ("LMOVE s l LEFT LEFT", WRONG_TYPE),
        ("LMOVE l d UP LEFT", SYNTAX),
        (
            "LMOVE l d LEFT",
            "-ERR wrong number of arguments for 'lmove' command",
        ),
        ("LLEN l", ":3"),
    ]);
    assert_eq!(
        f.events(),
        "rpush one; lpush one; lpop one; lpush d; lpop one; del one"
    );
}

#[test]
fn one_moved_element_is_one_change() {
    let mut f = fixture();
    f.run("LMOVE l d LEFT RIGHT");
    assert_eq!(f.dirty, 1);
    f.run("LMOVE l l LEFT RIGHT");
    assert_eq!(f.dirty, 1);
}

#[test]
fn blocking_moves_wait_for_their_source() {
    let mut f = fixture();
    f.check(&[
        ("BLMOVE l d LEFT RIGHT 0", "$1 a"),
        ("BRPOPLPUSH l d 0", "$1 e"),
        (
            "BLMOVE none s LEFT RIGHT 2",
            "(waits for none, 2000 ms, NullArray)",
        ),
        ("BRPOPLPUSH none d 0", "(waits for none, for ever, NullArray)"),
        ("BLMOVE l d UP RIGHT x", SYNTAX),
        (
            "BLMOVE l d LEFT RIGHT x",
            "-ERR timeout is not a float or out of range",
        ),
        ("BRPOPLPUSH l s -1", "-ERR timeout is negative"),
        ("BLMOVE l s LEFT RIGHT 0", WRONG_TYPE),
    ]);
    assert_eq!(f.log(), "LMOVE l d LEFT RIGHT; RPOPLPUSH l d");
    f.may_block = false;
    f.check(&[("BLMOVE x d LEFT LEFT 0", "$-1"), ("BRPOPLPUSH x d 0", "$-1")]);
}

#[test]
fn elements_by_index() {
    let mut f = fixture();
    f.check(&[
        ("LLEN l", ":5"),
        ("LLEN none", ":0"),
        ("LLEN s", WRONG_TYPE),
        ("LINDEX l -1", "$1 e"),
        ("LINDEX l 5", "$-1"),
        ("LINDEX l -6", "$-1"),
        ("LINDEX l -9223372036854775808", "$-1"),
        ("LINDEX l x", NOT_INTEGER),
        ("LINDEX none x", "$-1"),
        ("LINDEX s x", WRONG_TYPE),
        ("LSET l 1 B", "+OK"),
        ("LSET l -1 E", "+OK"),
        ("LSET l 5 x", "-ERR index out of range"),
        ("LSET l -6 x", "-ERR index out of range"),
        ("LSET l x x", NOT_INTEGER),
        ("LSET none x x", "-ERR no such key"),
        ("LSET s 0 x", WRONG_TYPE),
        ("LRANGE l 0 -1", "*5 $1 a $1 B $1 c $1 d $1 E"),
    ]);
    assert_eq!(f.log(), "LSET l 1 B; LSET l -1 E");
    assert_eq!(f.events(), "lset l; lset l");
}

#[test]
fn ranges() {
    let mut f = fixture();
    f.check(&[
        ("LRANGE l 1 2", "*2 $1 b $1 c"),
        ("LRANGE l -2 99", "*2 $1 d $1 e"),
        ("LRANGE l 3 1", "*0"),
        ("LRANGE l 9 10", "*0"),
        ("LRANGE none 0 -1", "*0"),
        ("LRANGE s 0 -1", WRONG_TYPE),
        ("LRANGE s 0 x", NOT_INTEGER),
        (
            "LRANGE l -9223372036854775808 9223372036854775807",
            "*5 $1 a $1 b $1 c $1 d $1 e",
        ),
        ("LTRIM l 0 -1", "+OK"),
        ("LTRIM l 1 -2", "+OK"),
        ("LRANGE l 0 -1", "*3 $1 b $1 c $1 d"),
        ("LTRIM l 5 1", "+OK"),
        ("EXISTS l", ":0"),
        ("LTRIM l 0 1", "+OK"),
        ("LTRIM l x 1", NOT_INTEGER),
        ("LTRIM s 0 1", WRONG_TYPE),
    ]);
    assert_eq!(f.log(), "LTRIM l 1 -2; LTRIM l 5 1");
    assert_eq!(f.events(), "ltrim l; ltrim l; ltrim l; del l");
}

#[test]
fn insertion_and_removal_of_elements() {
    let mut f = fixture();
    f.check(&[
        ("LINSERT l BEFORE a 0", ":6"),
        ("LINSERT l after e f", ":7"),
        ("LINSERT l AFTER none x", ":-1"),
        ("LINSERT none AFTER a x", ":0"),
        ("LINSERT s BEFORE a x", WRONG_TYPE),
        ("LINSERT s FOO a x", SYNTAX),
        ("RPUSH l a b a", ":10"),
        ("LREM l -1 a", ":1"),
        ("LREM l 1 b", ":1"),
        ("LREM l 0 a", ":2"),
        ("LREM l 0 none", ":0"),
        ("LREM l x a", NOT_INTEGER),
        ("LREM none 0 a", ":0"),
        ("LREM s 0 a", WRONG_TYPE),
        ("LRANGE l 0 -1", "*6 $1 0 $1 c $1 d $1 e $1 f $1 b"),
        ("LREM l -9223372036854775808 b", ":1"),
    ]);
    assert_eq!(
        f.log(),
        "LINSERT l BEFORE a 0; LINSERT l after e f; RPUSH l a b a; LREM l -1 a; LREM l 1 b; LREM l 0 a; \
         LREM l -9223372036854775808 b"
    );
    f.events();
    f.check(&[
        ("RPUSH one x", ":1"),
        ("LREM one 0 x", ":1"),
        ("EXISTS one", ":0"),
    ]);
    assert_eq!(f.events(), "rpush one; lrem one; del one");
}

#[test]
fn lpos_searches_from_either_end() {
    let mut f = fixture();
    f.check(&[
        ("RPUSH l a b a", ":8"),
        ("LPOS l a", ":0"),
        ("LPOS l a RANK 2", ":5"),
        ("LPOS l a RANK -1", ":7"),
        ("LPOS l a RANK 4", "$-1"),
        ("LPOS l a COUNT 0", "*3 :0 :5 :7"),
        ("LPOS l a COUNT 2 RANK -1", "*2 :7 :5"),
        ("LPOS l a COUNT 0 RANK 2", "*2 :5 :7"),
        ("LPOS l a COUNT 0 MAXLEN 6", "*2 :0 :5"),
        ("LPOS l a RANK -1 COUNT 0 MAXLEN 1", "*1 :7"),
        ("LPOS l b MAXLEN 1", "$-1"),
        ("LPOS l none COUNT 1", "*0"),
        ("LPOS none a", "$-1"),
        ("LPOS none a COUNT 1", "*0"),
        ("LPOS l a RANK -9223372036854775808", ":7"),
        ("LPOS l a RANK -9223372036854775807", "$-1"),
        ("LPOS l a RANK 9223372036854775807", "$-1"),
        (
            "LPOS s a RANK 0",
            "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative \
             to start from the end of the list",
        ),
        ("LPOS l a RANK x", NOT_INTEGER),
        ("LPOS l a COUNT -1", "-ERR COUNT can't be negative"),
        ("LPOS l a MAXLEN x", "-ERR MAXLEN can't be negative"),
        ("LPOS l a RANK", SYNTAX),
        ("LPOS l a FOO 1", SYNTAX),
        ("LPOS s a", WRONG_TYPE),
    ]);
}

/// One step of the comparison with a deque.
#[derive(Clone, Debug)]
enum Step {
    Push(bool, Vec<u8>),
    Pop(bool, usize),
    Rotate(bool, bool),
    Set(i64, u8),
    Insert(bool, u8, u8),
    Remove(i64, u8),
    Trim(i64, i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = -12i64..12;
    let step = prop_oneof![
        4 => (any::<bool>(), prop::collection::vec(0..9u8, 1..6)).prop_map(|(l, v)| Step::Push(l, v)),
        2 => (any::<bool>(), 0usize..5).prop_map(|(l, n)| Step::Pop(l, n)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(a, b)| Step::Rotate(a, b)),
        1 => (index.clone(), 0..9u8).prop_map(|(i, v)| Step::Set(i, v)),
        1 => (any::<bool>(), 0..9u8, 0..9u8).prop_map(|(b, p, v)| Step::Insert(b, p, v)),
        1 => (-3i64..4, 0..9u8).prop_map(|(n, v)| Step::Remove(n, v)),
        1 => (index.clone(), index).prop_map(|(a, b)| Step::Trim(a, b)),
    ];
    prop::collection::vec(step, 1..60)
}

const fn side(left: bool) -> &'static str {
    if left { "LEFT" } else { "RIGHT" }
}

/// The command of a step, and what it does to the model.
fn apply(step: &Step, model: &mut VecDeque<u8>) -> String {
    let at = |len: usize, i: i64| if i < 0 { i + len as i64 } else { i };
    match step {
        Step::Push(left, values) => {
            for v in values {
                if *left {
                    model.push_front(*v)
                } else {
                    model.push_back(*v)
                }
            }
            let words: Vec<_> = values.iter().map(u8::to_string).collect();
            format!("{} l {}", if *left { "LPUSH" } else { "RPUSH" }, words.join(" "))
        }
        Step::Pop(left, n) => {
            for _ in 0..*n {
                if *left {
                    model.pop_front()
                } else {
                    model.pop_back()
                };
            }
            format!("{} l {n}", if *left { "LPOP" } else { "RPOP" })
        }
        Step::Rotate(from, to) => {
            if let Some(v) = if *from {
                model.pop_front()
            } else {
                model.pop_back()
            } {
                if *to {
                    model.push_front(v)
                } else {
                    model.push_back(v)
                }
            }
            format!("LMOVE l l {} {}", side(*from), side(*to))
        }
        Step::Set(i, v) => {
            if let Some(slot) = usize::try_from(at(model.len(), *i))
                .ok()
                .and_then(|i| model.get_mut(i))
            {
                *slot = *v;
            }
            format!("LSET l {i} {v}")
        }
        Step::Insert(before, pivot, v) => {
            if let Some(i) = model.iter().position(|x| x == pivot) {
                model.insert(i + usize::from(!before), *v);
            }
            format!(
                "LINSERT l {} {pivot} {v}",
                if *before { "BEFORE" } else { "AFTER" }
            )
        }
        Step::Remove(n, v) => {
            let mut left = if *n == 0 {
                usize::MAX
            } else {
                n.unsigned_abs() as usize
            };
            let mut keep = |x: &u8| {
                let gone = x == v && left > 0;
                left -= usize::from(gone);
                !gone
            };
            if *n >= 0 {
                model.retain(&mut keep);
            } else {
                let kept: Vec<u8> = model.iter().rev().copied().filter(|x| keep(x)).collect();
                *model = kept.into_iter().rev().collect();
            }
            format!("LREM l {n} {v}")
        }
        Step::Trim(a, b) => {
            let (start, stop) = (at(model.len(), *a).max(0), at(model.len(), *b));
            *model = model
                .iter()
                .enumerate()
                .filter(|(i, _)| (start..=stop).contains(&(*i as i64)))
                .map(|(_, v)| *v)
                .collect();
            format!("LTRIM l {a} {b}")
        }
    }
}

proptest! {
    /// Whatever the size of the nodes, a list behaves as a deque, and its log makes the same list again.
    #[test]
    fn a_list_is_a_deque(steps in steps(), max_listpack_size in prop_oneof![Just(-2), 1..6i32]) {
        let mut f = Fixture::new();
        f.limits.list = ListLimits { max_listpack_size };
        let mut copy = Fixture::new();
        let mut model = VecDeque::new();
        for step in &steps {
            let command = apply(step, &mut model);
            f.run(&command);
            let words: String = model.iter().map(|v| format!(" $1 {v}")).collect();
            let expected = format!("*{}{words}", model.len());
            prop_assert_eq!(f.run("LRANGE l 0 -1"), expected, "{}", command);
            prop_assert_eq!(f.run("EXISTS l"), format!(":{}", usize::from(!model.is_empty())));
            for logged in f.log().split("; ").filter(|l| !l.is_empty()) {
                copy.run(logged);
            }
        }
        prop_assert_eq!(f.run("LRANGE l 0 -1"), copy.run("LRANGE l 0 -1"));
    }
}
