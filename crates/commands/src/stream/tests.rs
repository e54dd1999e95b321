//! What the transcripts cannot show: effects, and what only servers newer than the oracle have.

use crate::testing::Fixture;

/// 1-0 to 4-0; the group g has given 1-0 and 2-0 to c, and 3-0 to d.
fn read_by_a_group() -> Fixture {
    let mut f = Fixture::new();
    for i in 1..=4 {
        f.run(&format!("XADD s {i}-0 f {i}"));
    }
    f.run("XGROUP CREATE s g 0");
    f.run("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
    f.run("XREADGROUP GROUP g d COUNT 1 STREAMS s >");
    f.log();
    f.events();
    f
}

#[test]
fn what_is_added_and_trimmed_is_logged_as_it_came_out() {
    let mut f = Fixture::new();
    f.limits.stream.node_max_entries = 2;
    f.check_effects(&[
        ("XADD s 1-1 a b", "=", "xadd s", 1),
        ("XADD s 1-* a b", "XADD s 1-2 a b", "xadd s", 1),
        ("XADD s * a b", "XADD s 1000000-0 a b", "xadd s", 1),
        (
            "XADD s NOMKSTREAM MAXLEN ~ 2 * a b",
            "XADD s NOMKSTREAM MAXLEN = 2 1000000-1 a b",
            "xadd s; xtrim s",
            1,
        ),
        (
            "XADD s MINID ~ 1000000-5 LIMIT 10 2000000 a b",
            "XADD s MINID = 2000000-0 2000000-0 a b",
            "xadd s; xtrim s",
            1,
        ),
        (
            "XADD s MAXLEN 1 * a b",
            "XADD s MAXLEN 1 2000000-1 a b",
            "xadd s; xtrim s",
            1,
        ),
        ("XADD n NOMKSTREAM * a b", "", "", 0),
        ("XADD s 1 a b", "", "", 0),
        ("XTRIM s MAXLEN ~ 1", "", "", 0),
        ("XTRIM s MAXLEN 0", "=", "xtrim s", 1),
        ("XADD s 3000000 a b", "=", "xadd s", 1),
        ("XADD s 3000001 a b", "=", "xadd s", 1),
        ("XADD s 3000002 a b", "=", "xadd s", 1),
        ("XTRIM s MAXLEN ~ 1 LIMIT 9", "XTRIM s MAXLEN = 1", "xtrim s", 2),
        ("XDEL s 3000002-0 3000002-0 9-9", "=", "xdel s", 1),
        ("XDEL s 3000002-0", "", "", 0),
        ("XSETID s 4000000-0", "=", "xsetid s", 1),
    ]);
}

#[test]
fn what_groups_are_given_is_logged_as_claims() {
    let mut f = Fixture::new();
    f.run("XADD s 1-0 f v");
    f.run("XADD s 2-0 f v");
    f.log();
    f.events();
    f.check_effects(&[
        ("XGROUP CREATE s g 0", "=", "xgroup-create s", 1),
        (
            "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
            "XCLAIM s g c 0 1-0 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-0; XGROUP SETID s g 1-0 ENTRIESREAD 1",
            "xgroup-createconsumer s",
            2,
        ),
        ("XREADGROUP GROUP g c STREAMS s 0", "", "", 0),
        (
            "XREADGROUP GROUP g d NOACK STREAMS s >",
            "XGROUP CREATECONSUMER s g d; XGROUP SETID s g 2-0 ENTRIESREAD 2",
            "xgroup-createconsumer s",
            2,
        ),
        (
            "XREADGROUP GROUP g e STREAMS s >",
            "XGROUP CREATECONSUMER s g e",
            "xgroup-createconsumer s",
            1,
        ),
        ("XREADGROUP GROUP g e STREAMS s >", "", "", 0),
        (
            "XCLAIM s g e 0 1-0",
            "XCLAIM s g e 0 1-0 TIME 1000000 RETRYCOUNT 3 FORCE JUSTID LASTID 2-0",
            "",
            1,
        ),
        ("XCLAIM s g e 1 1-0", "", "", 0),
        (
            "XCLAIM s g e 1 1-0 LASTID 5-0",
            "XGROUP SETID s g 5-0 ENTRIESREAD 2",
            "",
            1,
        ),
        (
            "XAUTOCLAIM s g f 0 0 JUSTID",
            "XCLAIM s g f 0 1-0 TIME 1000000 RETRYCOUNT 3 FORCE JUSTID LASTID 5-0",
            "xgroup-createconsumer s",
            2,
        ),
        ("XDEL s 1-0", "=", "xdel s", 1),
        (
            "XAUTOCLAIM s g f 0 0",
            "XCLAIM s g f 0 1-0 TIME 1000000 RETRYCOUNT 3 FORCE JUSTID LASTID 5-0",
            "",
            1,
        ),
        ("XACK s g 1-0", "", "", 0),
        ("XGROUP SETID s g 0", "=", "xgroup-setid s", 1),
        ("XGROUP CREATECONSUMER s g x", "=", "xgroup-createconsumer s", 1),
        ("XGROUP DELCONSUMER s g x", "=", "xgroup-delconsumer s", 1),
        ("XGROUP DELCONSUMER s g x", "", "", 0),
        ("XGROUP DESTROY s g", "=", "xgroup-destroy s", 1),
        ("XGROUP CREATE n g $ MKSTREAM", "=", "xgroup-create n", 1),
    ]);
}

/// Whoever applies the log comes to the same.
#[test]
fn the_log_leads_to_the_same_groups() {
    let (mut f, mut copy) = (Fixture::new(), Fixture::new());
    f.limits.stream.node_max_entries = 3;
    copy.limits.stream.node_max_entries = 3;
    let lines = [
        "XGROUP CREATE s g $ MKSTREAM",
        "XADD s * f v",
        "XADD s MAXLEN ~ 5 * f v",
        "XREADGROUP GROUP g a COUNT 1 STREAMS s >",
        "XADD s * f v",
        "XREADGROUP GROUP g b NOACK COUNT 1 STREAMS s >",
        "XREADGROUP GROUP g c STREAMS s >",
        "XREADGROUP GROUP g lazy STREAMS s >",
        "XDEL s 1000014-0",
        "XCLAIM s g b 0 1000014-0 1000035-0",
        "XADD s MAXLEN ~ 2 * f v",
        "XREADGROUP GROUP g a STREAMS s >",
        "XAUTOCLAIM s g z 0 0 COUNT 1",
        "XNACK s g FAIL IDS 1 1000035-0",
        "XREADGROUP GROUP g q CLAIM 0 STREAMS s >",
        "XACKDEL s g DELREF IDS 1 1000035-0",
        "XADD s IDMPAUTO p * f v",
    ];
    for line in lines {
        f.now_ms += 7;
        f.run(line);
        for logged in f.log().split("; ").filter(|line| !line.is_empty()) {
            copy.run(logged);
        }
    }
    for question in ["XRANGE s - +", "XINFO GROUPS s", "XPENDING s g", "XINFO STREAM s"] {
        assert_eq!(f.run(question), copy.run(question), "{question}");
    }
}

#[test]
fn deletion_minds_the_groups() {
    let mut f = read_by_a_group();
    f.check(&[
        ("XDELEX s ACKED IDS 2 1-0 9-9", "*2 :2 :-1"),
        ("XDELEX s IDS 1 1-0", "*1 :1"),
        ("XDELEX s IDS 1 1-0", "*1 :-1"),
        ("XDELEX s IDS 1 1-0 DELREF", "*1 :-1"),
        ("XPENDING s g", "*4 :2 $3 2-0 $3 3-0 *2 *2 $1 c $1 1 *2 $1 d $1 1"),
        ("XDELEX s DELREF IDS 1 2-0", "*1 :1"),
        ("XACKDEL s g ACKED IDS 2 3-0 3-0", "*2 :1 :-1"),
        ("XDELEX s ACKED IDS 1 4-0", "*1 :2"),
        ("XPENDING s g", "*4 :0 $-1 $-1 *-1"),
        ("XLEN s", ":1"),
        ("XGROUP DESTROY s g", ":1"),
        ("XDELEX s ACKED IDS 1 4-0", "*1 :2"),
        ("XDELEX none KEEPREF IDS 2 1 2", "*2 :-1 :-1"),
        ("XACKDEL s none IDS 1 4-0", "*1 :-1"),
        ("XDELEX s KEEPREF DELREF IDS 1 1", "-ERR syntax error"),
        (
            "XDELEX s KEEPREF IDS 0 1",
            "-ERR Number of IDs must be a positive integer",
        ),
        (
            "XDELEX s KEEPREF IDS 2 1",
            "-ERR The `numids` parameter must match the number of arguments",
        ),
        ("XDELEX s KEEPREF IDS 1 1 2", "-ERR syntax error"),
        (
            "XDELEX s KEEPREF IDS 1 x",
            "-ERR Invalid stream ID specified as stream command argument",
        ),
    ]);
}

#[test]
fn trimming_minds_the_groups() {
    let mut f = read_by_a_group();
    f.run("XACK s g 1-0");
    f.check(&[
        ("XTRIM s MAXLEN 0 ACKED", ":1"),
        ("XLEN s", ":3"),
        ("XADD s ACKED MAXLEN = 1 5-0 f 5", "$3 5-0"),
        ("XLEN s", ":4"),
        ("XTRIM s DELREF MAXLEN 2", ":2"),
        ("XPENDING s g", "*4 :0 $-1 $-1 *-1"),
        ("XTRIM s KEEPREF DELREF MAXLEN 2", "-ERR syntax error"),
    ]);
}

#[test]
fn entries_are_given_back() {
    let mut f = read_by_a_group();
    f.now_ms += 10;
    f.check(&[
        ("XNACK s g FAIL IDS 1 1-0", ":1"),
        ("XNACK s g SILENT IDS 1 2-0", ":1"),
        (
            "XPENDING s g - + 10",
            "*3 *4 $3 1-0 $0  :-1 :1 *4 $3 2-0 $0  :-1 :0 *4 $3 3-0 $1 d :10 :1",
        ),
        ("XNACK s g FATAL IDS 2 1-0 4-0", ":1"),
        ("XNACK s g FAIL IDS 1 4-0 FORCE RETRYCOUNT 7", ":1"),
        (
            "XPENDING s g - + 10",
            "*4 *4 $3 1-0 $0  :-1 :9223372036854775807 *4 $3 2-0 $0  :-1 :0 *4 $3 3-0 $1 d :10 :1 *4 $3 4-0 $0  :-1 :7",
        ),
        // Nobody's entries may be taken however short the time.
        ("XAUTOCLAIM s g e 999999 0 JUSTID", "*3 $3 0-0 *3 $3 1-0 $3 2-0 $3 4-0 *0"),
        ("XNACK s g OTHER IDS 1 1-0", "-ERR syntax error"),
        ("XNACK s x FAIL IDS 1 1-0", "-NOGROUP No such key 's' or consumer group 'x'"),
        ("XNACK n g FAIL IDS 1 1-0", "-NOGROUP No such key 'n' or consumer group 'g'"),
    ]);
}

#[test]
fn reading_claims_what_was_left_lying() {
    let mut f = read_by_a_group();
    f.now_ms += 100;
    f.run("XCLAIM s g c 0 1-0 JUSTID");
    f.now_ms += 50;
    f.check(&[
        (
            "XREADGROUP GROUP g e CLAIM 100 COUNT 2 STREAMS s >",
            "*1 *2 $1 s *2 *4 $3 2-0 *2 $1 f $1 2 :150 :1 *4 $3 3-0 *2 $1 f $1 3 :150 :1",
        ),
        (
            "XREADGROUP GROUP g e CLAIM 50 STREAMS s >",
            "*1 *2 $1 s *2 *4 $3 1-0 *2 $1 f $1 1 :50 :1 *4 $3 4-0 *2 $1 f $1 4 :0 :0",
        ),
        ("XREADGROUP GROUP g e CLAIM 50 STREAMS s >", "*-1"),
        (
            "XREADGROUP GROUP g e CLAIM -1 STREAMS s >",
            "-ERR value is out of range, must be positive",
        ),
        ("XREAD CLAIM 5 STREAMS s 0", "-ERR syntax error"),
    ]);
}

#[test]
fn the_whole_reply_may_be_limited() {
    let mut f = read_by_a_group();
    f.run("XADD t 1-0 f v");
    f.run("XGROUP CREATE t g 0");
    let one = |id: &str, value: &str| format!("*2 $3 {id} *2 $1 f $1 {value}");
    let first = one("1-0", "1");
    let two = format!("*1 *2 $1 s *2 {first} {}", one("2-0", "2"));
    assert_eq!(f.run("XREAD MAXCOUNT 2 STREAMS s t 0 0"), two);
    assert_eq!(
        f.run("XREAD COUNT 1 MAXCOUNT 2 STREAMS s t 0 0"),
        format!("*2 *2 $1 s *1 {first} *2 $1 t *1 {}", one("1-0", "v"))
    );
    assert_eq!(
        f.run("XREAD MAXSIZE 1 STREAMS s t 0 0"),
        format!("*1 *2 $1 s *1 {first}")
    );
    assert_eq!(f.run("XREAD MAXSIZE 60 STREAMS s t 0 0"), two);
    assert_eq!(f.run("XREADGROUP GROUP g c MAXCOUNT 2 STREAMS s t 0 >"), two);
    assert_eq!(
        f.run("XREADGROUP GROUP g c MAXSIZE 1 STREAMS t s > >"),
        format!("*1 *2 $1 t *1 {}", one("1-0", "v"))
    );
    f.check(&[
        (
            "XREAD MAXCOUNT 0 STREAMS s 0",
            "-ERR value is out of range, must be positive",
        ),
        (
            "XREAD COUNT 3 MAXCOUNT 2 STREAMS s 0",
            "-ERR MAXCOUNT must be greater than or equal to COUNT",
        ),
    ]);
}

#[test]
fn a_message_that_comes_again_is_added_once() {
    let mut f = Fixture::new();
    f.check(&[
        ("XADD s IDMP p m * f v", "$9 1000000-0"),
        ("XADD s IDMP p m * f other", "$9 1000000-0"),
        ("XADD s IDMP q m * f v", "$9 1000000-1"),
        ("XADD s IDMPAUTO p * f v", "$9 1000000-2"),
        ("XADD s IDMPAUTO p * f v", "$9 1000000-2"),
        ("XADD s IDMPAUTO p * f w", "$9 1000000-3"),
        ("XADD s IDMP p m 5-5 f v", "-ERR syntax error"),
        (
            "XADD s IDMP p * f v",
            "-ERR Invalid stream ID specified as stream command argument",
        ),
        ("XCFGSET s IDMP-DURATION 10", "+OK"),
        ("XADD s IDMP p m * f v", "$9 1000000-4"),
        ("XCFGSET s", "-ERR syntax error"),
        ("XCFGSET s IDMP-DURATION 0", "-ERR invalid duration"),
        ("XCFGSET s IDMP-MAXSIZE 10001", "-ERR invalid maxsize"),
        ("XCFGSET n IDMP-MAXSIZE 1", "-ERR no such key"),
        ("XIDMPRECORD s p m 1000000-4", "+OK"),
        (
            "XIDMPRECORD s p m 1000000-3",
            "-ERR the message was added under another ID",
        ),
        ("XIDMPRECORD s p n 1-1", "-ERR no such entry in the stream"),
    ]);
    f.now_ms += 10_001;
    assert_eq!(f.run("XADD s IDMP p m * f v"), "$9 1010001-0");
    f.log();
    f.events();
    f.check_effects(&[
        (
            "XADD s IDMP p k * f v",
            "XADD s 1010001-1 f v; XIDMPRECORD s p k 1010001-1",
            "xadd s",
            1,
        ),
        ("XADD s IDMP p k * f v", "", "", 0),
    ]);
    assert!(f.run("XINFO STREAM s").contains("$15 iids-duplicates :3"));
}

#[test]
fn what_is_waited_for() {
    let mut f = Fixture::new();
    f.run("XADD s 5-1 f v");
    f.run("XGROUP CREATE s g 0");
    f.check(&[
        (
            "XREAD BLOCK 100 STREAMS s n $ 0",
            "(waits for s n, 100 ms, NullArray)",
        ),
        ("XREAD BLOCK 0 STREAMS n +", "(waits for n, for ever, NullArray)"),
        ("XREAD STREAMS s +", "*1 *2 $1 s *1 *2 $3 5-1 *2 $1 f $1 v"),
        (
            "XREAD BLOCK 9223372036854775807 STREAMS s $",
            "-ERR timeout is out of range",
        ),
    ]);
    f.run("XREADGROUP GROUP g c STREAMS s >");
    f.check(&[(
        "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
        "(waits for s, for ever, NullArray)",
    )]);
    f.may_block = false;
    f.check(&[
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "*-1"),
        ("XREAD BLOCK 0 STREAMS s $", "*-1"),
    ]);
}

#[test]
fn what_waits_is_asked_again_with_what_was_found_out() {
    use crate::testing::Ran;
    let mut f = Fixture::new();
    f.run("XADD s 5-1 f v");
    let argv: [&[u8]; 7] = [b"XREAD", b"BLOCK", b"0", b"STREAMS", b"s", b"n", b"$"];
    let argv = [&argv[..], &[b"$"]].concat();
    let Ran::Waits(wait) = f.execute(&argv) else {
        panic!("there is nothing to read")
    };
    assert_eq!(
        wait.resolved,
        [(6, Box::from(&b"5-1"[..])), (7, Box::from(&b"0-0"[..]))]
    );
}
