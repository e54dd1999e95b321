use crate::testing::Fixture;

#[test]
fn hset_and_its_kin_count_what_is_new() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("HSET h a 1 b 2 a 3", ":2"),
        ("HSET h a 1", ":0"),
        ("HSET h a 1 c 2", ":1"),
        ("HSET h a", "-ERR wrong number of arguments for 'hset' command"),
        (
            "HSET h a 1 b",
            "-ERR wrong number of arguments for 'hset' command",
        ),
        (
            "HSET t a 1 b",
            "-ERR wrong number of arguments for 'hset' command",
        ),
        (
            "HSET t a 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HMSET h a 5 d 1", "+OK"),
        ("HMSET h a", "-ERR wrong number of arguments for 'hmset' command"),
        (
            "HMSET h a 5 d",
            "-ERR wrong number of arguments for 'hmset' command",
        ),
        (
            "HMSET t a 5",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HSETNX h a 9", ":0"),
        ("HSETNX h e 9", ":1"),
        ("HSETNX new e 9", ":1"),
        (
            "HSETNX t a 9",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HGET h a", "$1 5"),
        ("HGET h e", "$1 9"),
        ("HDEL h a a zz", ":1"),
        ("HDEL h zz", ":0"),
        ("HDEL missing a", ":0"),
        (
            "HDEL t a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HLEN h", ":4"),
        ("HDEL h b c d e f", ":4"),
        ("EXISTS h", ":0"),
    ]);
}

#[test]
fn look_ups_of_fields() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("HSET h a 1 b xyz 7 12", ":3"),
        ("HGET h zz", "$-1"),
        ("HGET h 7", "$2 12"),
        ("HGET missing a", "$-1"),
        (
            "HGET t a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HMGET h a zz b", "*3 $1 1 $-1 $3 xyz"),
        ("HMGET missing a b", "*2 $-1 $-1"),
        (
            "HMGET t a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HLEN h", ":3"),
        ("HLEN missing", ":0"),
        (
            "HLEN t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HEXISTS h b", ":1"),
        ("HEXISTS h zz", ":0"),
        ("HEXISTS missing b", ":0"),
        (
            "HEXISTS t b",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HSTRLEN h b", ":3"),
        ("HSTRLEN h 7", ":2"),
        ("HSTRLEN h zz", ":0"),
        ("HSTRLEN missing b", ":0"),
        (
            "HSTRLEN t b",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HGETALL h", "*6 $1 a $1 1 $1 b $3 xyz $1 7 $2 12"),
        ("HGETALL missing", "*0"),
        (
            "HGETALL t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HKEYS h", "*3 $1 a $1 b $1 7"),
        ("HKEYS missing", "*0"),
        (
            "HKEYS t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HVALS h", "*3 $1 1 $3 xyz $2 12"),
        ("HVALS missing", "*0"),
        (
            "HVALS t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]);
}

#[test]
fn hincrby_at_its_edges() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        (
            "HSET h n 5 max 9223372036854775807 s abc e \"\" sp \" 1\" f 1.5",
            ":6",
        ),
        ("HINCRBY h n 3", ":8"),
        ("HINCRBY h n -10", ":-2"),
        ("HINCRBY h new 7", ":7"),
        ("HINCRBY fresh n -9223372036854775808", ":-9223372036854775808"),
        ("HINCRBY fresh n -1", "-ERR increment or decrement would overflow"),
        ("HINCRBY h max 1", "-ERR increment or decrement would overflow"),
        ("HINCRBY h max -1", ":9223372036854775806"),
        ("HINCRBY h s 1", "-ERR hash value is not an integer"),
        ("HINCRBY h e 1", "-ERR hash value is not an integer"),
        ("HINCRBY h sp 1", "-ERR hash value is not an integer"),
        ("HINCRBY h f 1", "-ERR hash value is not an integer"),
        ("HINCRBY h n x", "-ERR value is not an integer or out of range"),
        (
            "HINCRBY h n 9223372036854775808",
            "-ERR value is not an integer or out of range",
        ),
        ("HINCRBY t n x", "-ERR value is not an integer or out of range"),
        (
            "HINCRBY t n 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "HINCRBY h n",
            "-ERR wrong number of arguments for 'hincrby' command",
        ),
        ("HGET h max", "$19 9223372036854775806"),
    ]);
}

#[test]
fn hincrbyfloat_at_its_edges() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("HSET h n 5 s abc e \"\" sp \" 1\" inf inf", ":5"),
        ("HINCRBYFLOAT h n 0.1", "$3 5.1"),
        ("HINCRBYFLOAT h n 0.2", "$3 5.3"),
        ("HINCRBYFLOAT h n -5.3", "$1 0"),
        ("HINCRBYFLOAT h new 1.50", "$3 1.5"),
        ("HINCRBYFLOAT fresh n 3e2", "$3 300"),
        ("HINCRBYFLOAT h z -0", "$1 0"),
        ("HINCRBYFLOAT h s 1", "-ERR hash value is not a float"),
        ("HINCRBYFLOAT h e 1", "-ERR hash value is not a float"),
        ("HINCRBYFLOAT h sp 1", "-ERR hash value is not a float"),
        (
            "HINCRBYFLOAT h inf 1",
            "-ERR increment would produce NaN or Infinity",
        ),
        ("HINCRBYFLOAT h n x", "-ERR value is not a valid float"),
        ("HINCRBYFLOAT h n inf", "-ERR value is NaN or Infinity"),
        ("HINCRBYFLOAT h n -inf", "-ERR value is NaN or Infinity"),
        ("HINCRBYFLOAT h n nan", "-ERR value is not a valid float"),
        ("HINCRBYFLOAT t n inf", "-ERR value is NaN or Infinity"),
        ("HINCRBYFLOAT h n \" 1\"", "-ERR value is not a valid float"),
        ("HINCRBYFLOAT h n \"\"", "-ERR value is not a valid float"),
        ("HINCRBYFLOAT h n 1e5000", "-ERR value is not a valid float"),
        ("HINCRBYFLOAT t n x", "-ERR value is not a valid float"),
        (
            "HINCRBYFLOAT t n 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HGET h new", "$3 1.5"),
    ]);
}

#[test]
fn hrandfield_arguments() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("HSET h a 1 b 2", ":2"),
        ("HRANDFIELD missing", "$-1"),
        ("HRANDFIELD missing 3", "*0"),
        ("HRANDFIELD missing 3 withvalues", "*0"),
        ("HRANDFIELD missing -9223372036854775807", "*0"),
        ("HRANDFIELD missing -4611686018427387903 withvalues", "*0"),
        ("HRANDFIELD h x", "-ERR value is not an integer or out of range"),
        ("HRANDFIELD h 1 x", "-ERR syntax error"),
        ("HRANDFIELD h 1 withvalues x", "-ERR syntax error"),
        ("HRANDFIELD h 0", "*0"),
        ("HRANDFIELD h 0 WITHVALUES", "*0"),
        ("HRANDFIELD h 2", "*2 $1 a $1 b"),
        ("HRANDFIELD h 9223372036854775807", "*2 $1 a $1 b"),
        ("HRANDFIELD h 5 withvalues", "*4 $1 a $1 1 $1 b $1 2"),
        (
            "HRANDFIELD t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HRANDFIELD t x", "-ERR value is not an integer or out of range"),
        ("HRANDFIELD t 1 x", "-ERR syntax error"),
        (
            "HRANDFIELD t 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "HRANDFIELD h -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
        (
            "HRANDFIELD h -9223372036854775807 withvalues",
            "-ERR value is out of range",
        ),
        (
            "HRANDFIELD missing -4611686018427387904 withvalues",
            "-ERR value is out of range",
        ),
        (
            "HRANDFIELD missing 4611686018427387904 withvalues",
            "-ERR value is out of range",
        ),
        ("HSET one f v", ":1"),
        ("HRANDFIELD one", "$1 f"),
        ("HRANDFIELD one -2", "*2 $1 f $1 f"),
        ("HRANDFIELD one -2 withvalues", "*4 $1 f $1 v $1 f $1 v"),
        ("HRANDFIELD one 1 withvalues", "*2 $1 f $1 v"),
    ]);
}

#[test]
fn hscan_of_a_packed_hash_is_done_at_once() {
    Fixture::new().check(&[
        ("SET t x", "+OK"),
        ("HSET h a 1 bb 2", ":2"),
        ("HSCAN h 0", "*2 $1 0 *4 $1 a $1 1 $2 bb $1 2"),
        ("HSCAN h 9 count 1", "*2 $1 0 *4 $1 a $1 1 $2 bb $1 2"),
        ("HSCAN h 0 match b*", "*2 $1 0 *2 $2 bb $1 2"),
        ("HSCAN missing 0", "*2 $1 0 *0"),
        ("HSCAN missing x", "-ERR invalid cursor"),
        ("HSCAN missing 0 foo", "*2 $1 0 *0"),
        (
            "HSCAN t 0 foo",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("HSCAN h 0 novalues", "-ERR syntax error"),
        ("HSCAN h 0 count 0", "-ERR syntax error"),
    ]);
}
#[test]
fn effects_of_hash_commands() {
    Fixture::new().check_effects(&[
        ("HSET h a 1 b 2", "=", "hset h", 2),
        ("HSET h a 1", "=", "hset h", 1),
        ("HMSET h a 1", "=", "hset h", 1),
        ("HSETNX h a 2", "", "", 0),
        ("HSETNX h c 2", "=", "hset h", 1),
        ("HINCRBY h a 5", "=", "hincrby h", 1),
        ("HINCRBY h a 0", "=", "hincrby h", 1),
        ("HINCRBY h n x", "", "", 0),
        ("HINCRBYFLOAT h a 0.5", "HSET h a 6.5", "hincrbyfloat h", 1),
        ("HINCRBYFLOAT h a 0", "HSET h a 6.5", "hincrbyfloat h", 1),
        ("HINCRBYFLOAT h a x", "", "", 0),
        ("HDEL h zz", "", "", 0),
        ("HDEL h a b", "=", "hdel h", 2),
        ("HDEL h c", "=", "hdel h; del h", 1),
        ("HINCRBY h a 1", "=", "hincrby h", 1),
        ("HINCRBYFLOAT f a 1", "HSET f a 1", "hincrbyfloat f", 1),
        ("HRANDFIELD h", "", "", 0),
    ]);
}
