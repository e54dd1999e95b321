use crate::testing::Fixture;

#[test]
fn sadd_and_srem_count_what_changed() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("SADD s a b a", ":2"),
        ("SADD s b", ":0"),
        ("SADD s c d", ":2"),
        (
            "SADD t a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SADD s", "-ERR wrong number of arguments for 'sadd' command"),
        ("SREM s a zz a", ":1"),
        ("SREM s zz", ":0"),
        ("SREM missing a", ":0"),
        (
            "SREM t a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SREM s", "-ERR wrong number of arguments for 'srem' command"),
        ("SCARD s", ":3"),
        ("SREM s b c d e", ":3"),
        ("EXISTS s", ":0"),
    ]);
}

#[test]
fn look_ups_of_members() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("SADD s a 1", ":2"),
        ("SISMEMBER s a", ":1"),
        ("SISMEMBER s 1", ":1"),
        ("SISMEMBER s 01", ":0"),
        ("SISMEMBER s zz", ":0"),
        ("SISMEMBER missing a", ":0"),
        (
            "SISMEMBER t a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SMISMEMBER s a zz 1", "*3 :1 :0 :1"),
        ("SMISMEMBER missing a b", "*2 :0 :0"),
        (
            "SMISMEMBER t a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SCARD s", ":2"),
        ("SCARD missing", ":0"),
        (
            "SCARD t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SMEMBERS missing", "*0"),
        (
            "SMEMBERS t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SADD i 3 1 2", ":3"),
        ("SMEMBERS i", "*3 $1 1 $1 2 $1 3"),
    ]);
}

#[test]
fn smove_looks_at_both_types_first() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("SADD s a b", ":2"),
        ("SMOVE missing t a", ":0"),
        (
            "SMOVE s t a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "SMOVE s t zz",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "SMOVE t s a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "SMOVE t t a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SMOVE s s a", ":1"),
        ("SMOVE s s zz", ":0"),
        ("SMOVE s d zz", ":0"),
        ("EXISTS d", ":0"),
        ("SMOVE s d a", ":1"),
        ("SMOVE s d b", ":1"),
        ("EXISTS s", ":0"),
        ("SADD s a", ":1"),
        ("SMOVE s d a", ":1"),
        ("EXISTS s", ":0"),
        ("SCARD d", ":2"),
    ]);
}

#[test]
fn spop_arguments() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("SADD s 1 2 3", ":3"),
        ("SPOP s abc", "-ERR value is out of range, must be positive"),
        ("SPOP s -1", "-ERR value is out of range, must be positive"),
        ("SPOP missing -1", "-ERR value is out of range, must be positive"),
        ("SPOP t abc", "-ERR value is out of range, must be positive"),
        (
            "SPOP t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "SPOP t 0",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SPOP s 1 2", "-ERR syntax error"),
        ("SPOP missing", "$-1"),
        ("SPOP missing 5", "*0"),
        ("SPOP s 0", "*0"),
        ("SPOP s 9223372036854775807", "*3 $1 1 $1 2 $1 3"),
        ("EXISTS s", ":0"),
        ("SADD s a", ":1"),
        ("SPOP s", "$1 a"),
        ("EXISTS s", ":0"),
    ]);
}

#[test]
fn srandmember_arguments() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("SADD s 1 2 3", ":3"),
        (
            "SRANDMEMBER s abc",
            "-ERR value is not an integer or out of range",
        ),
        (
            "SRANDMEMBER s -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
        ("SRANDMEMBER missing -9223372036854775807", "*0"),
        ("SRANDMEMBER missing", "$-1"),
        (
            "SRANDMEMBER t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SRANDMEMBER t x", "-ERR value is not an integer or out of range"),
        (
            "SRANDMEMBER t 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SRANDMEMBER s 1 2", "-ERR syntax error"),
        ("SRANDMEMBER s 0", "*0"),
        ("SRANDMEMBER s 9223372036854775807", "*3 $1 1 $1 2 $1 3"),
        ("SRANDMEMBER s 3", "*3 $1 1 $1 2 $1 3"),
        ("SADD one a", ":1"),
        ("SRANDMEMBER one -3", "*3 $1 a $1 a $1 a"),
        ("SRANDMEMBER one", "$1 a"),
        ("SRANDMEMBER one 1", "*1 $1 a"),
    ]);
}

#[test]
fn sinter_takes_types_first_and_keeps_the_order_of_the_smallest() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("SADD a 1 2 3 4", ":4"),
        ("SADD b 4 3 9", ":3"),
        ("SADD c 3 4 5 6 7", ":5"),
        ("SINTER a b", "*2 $1 3 $1 4"),
        ("SINTER a b c", "*2 $1 3 $1 4"),
        ("SINTER a a", "*4 $1 1 $1 2 $1 3 $1 4"),
        ("SINTER a missing", "*0"),
        (
            "SINTER missing t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "SINTER t missing",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SINTERCARD 2 a b", ":2"),
        ("SINTERCARD 2 a b limit 1", ":1"),
        ("SINTERCARD 2 a b limit 0", ":2"),
        ("SINTERCARD 2 a b LIMIT 1 limit 5", ":2"),
        ("SINTERCARD 2 a missing", ":0"),
        (
            "SINTERCARD 2 missing t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SINTERCARD 0 a", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD x a", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD -1 a", "-ERR numkeys should be greater than 0"),
        (
            "SINTERCARD 3 a b",
            "-ERR Number of keys can't be greater than number of args",
        ),
        (
            "SINTERCARD 9223372036854775807 a",
            "-ERR Number of keys can't be greater than number of args",
        ),
        ("SINTERCARD 1 a limit", "-ERR syntax error"),
        ("SINTERCARD 1 a limit -1", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 1 t limit x", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 1 a b", "-ERR syntax error"),
        ("SINTERSTORE d a b", ":2"),
        ("SMEMBERS d", "*2 $1 3 $1 4"),
        ("SINTERSTORE a a b", ":2"),
        ("SMEMBERS a", "*2 $1 3 $1 4"),
        (
            "SINTERSTORE d a t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SINTERSTORE t a missing", ":0"),
        ("EXISTS t", ":0"),
        ("SINTERSTORE t a missing", ":0"),
    ]);
}

#[test]
fn sunion_and_sdiff() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("SADD a 1 2 3 4", ":4"),
        ("SADD b 4 3 9", ":3"),
        ("SUNION a b missing", "*5 $1 1 $1 2 $1 3 $1 4 $1 9"),
        ("SUNION missing", "*0"),
        ("SUNION a", "*4 $1 1 $1 2 $1 3 $1 4"),
        ("SUNION a a", "*4 $1 1 $1 2 $1 3 $1 4"),
        (
            "SUNION a t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "SUNION missing t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SUNIONSTORE d a b", ":5"),
        ("SMEMBERS d", "*5 $1 1 $1 2 $1 3 $1 4 $1 9"),
        ("SUNIONSTORE a a b", ":5"),
        ("SCARD a", ":5"),
        ("SUNIONSTORE t missing", ":0"),
        ("EXISTS t", ":0"),
        ("SET t x", "+OK"),
        (
            "SUNIONSTORE d a t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SDIFF a b", "*2 $1 1 $1 2"),
        ("SDIFF a", "*5 $1 1 $1 2 $1 3 $1 4 $1 9"),
        ("SDIFF a a", "*0"),
        ("SDIFF a b a", "*0"),
        ("SDIFF missing a", "*0"),
        ("SDIFF a missing", "*5 $1 1 $1 2 $1 3 $1 4 $1 9"),
        (
            "SDIFF missing t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "SDIFF a t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SDIFFSTORE d a b missing", ":2"),
        ("SMEMBERS d", "*2 $1 1 $1 2"),
        ("SDIFFSTORE a b a", ":0"),
        ("EXISTS a", ":0"),
        (
            "SDIFFSTORE d a t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SDIFFSTORE t missing d", ":0"),
        ("EXISTS t", ":0"),
    ]);
}

#[test]
fn sscan_of_a_packed_set_is_done_at_once() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("SADD s 1 2 33", ":3"),
        ("SSCAN s 0", "*2 $1 0 *3 $1 1 $1 2 $2 33"),
        ("SSCAN s 7 COUNT 1", "*2 $1 0 *3 $1 1 $1 2 $2 33"),
        ("SSCAN s 0 match 3* count 2", "*2 $1 0 *1 $2 33"),
        ("SSCAN s 0 MATCH *", "*2 $1 0 *3 $1 1 $1 2 $2 33"),
        ("SSCAN missing 0", "*2 $1 0 *0"),
        ("SSCAN missing abc", "-ERR invalid cursor"),
        ("SSCAN missing 0 foo", "*2 $1 0 *0"),
        (
            "SSCAN t 0 foo",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SSCAN t abc", "-ERR invalid cursor"),
        ("SSCAN s 0 foo", "-ERR syntax error"),
        ("SSCAN s 0 count", "-ERR syntax error"),
        ("SSCAN s 0 count 0", "-ERR syntax error"),
        (
            "SSCAN s 0 count abc",
            "-ERR value is not an integer or out of range",
        ),
        ("SSCAN s 18446744073709551616", "-ERR invalid cursor"),
        ("SSCAN s 18446744073709551615", "*2 $1 0 *3 $1 1 $1 2 $2 33"),
    ]);
}
#[test]
fn effects_of_set_commands() {
    Fixture::new().check_effects(&[
        ("SADD s a b", "=", "sadd s", 2),
        ("SADD s a", "", "", 0),
        ("SADD s a c", "=", "sadd s", 1),
        ("SREM s zz", "", "", 0),
        ("SREM s a b", "=", "srem s", 2),
        ("SREM s c", "=", "srem s; del s", 1),
        ("SADD s a b", "=", "sadd s", 2),
        ("SMOVE s s a", "", "", 0),
        ("SMOVE s d zz", "", "", 0),
        ("SMOVE s d a", "=", "srem s; sadd d", 2),
        ("SADD s a", "=", "sadd s", 1),
        ("SMOVE s d a", "=", "srem s", 1),
        ("SMOVE s d b", "=", "srem s; del s; sadd d", 2),
        ("SADD one x", "=", "sadd one", 1),
        ("SPOP one", "SREM one x", "spop one; del one", 1),
        ("SADD one x", "=", "sadd one", 1),
        ("SPOP one 5", "DEL one", "spop one; del one", 1),
        ("SPOP one 5", "", "", 0),
        ("SADD many a b c", "=", "sadd many", 3),
        ("SPOP many 3", "DEL many", "spop many; del many", 3),
        ("SPOP d 0", "", "", 0),
        ("SINTERSTORE z d d", "=", "sinterstore z", 1),
        ("SINTERSTORE z d nokey", "=", "del z", 1),
        ("SINTERSTORE z d nokey", "", "", 0),
        ("SUNIONSTORE z d d", "=", "sunionstore z", 1),
        ("SUNIONSTORE z no", "=", "del z", 1),
        ("SDIFFSTORE z d", "=", "sdiffstore z", 1),
        ("SDIFFSTORE z d d", "=", "del z", 1),
        ("SDIFFSTORE z d d", "", "", 0),
        ("SRANDMEMBER d", "", "", 0),
        ("SSCAN d 0", "", "", 0),
        ("SUNIONSTORE d d", "=", "sunionstore d", 1),
    ]);
}
