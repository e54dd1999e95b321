//! Replies and errors of the family, recorded from redis-server 7.0.15.

use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::set::{Set, SetLimits};

use crate::testing::Fixture;

#[test]
fn adding() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZADD z 1 a 2 b", ":2"),
        ("ZADD z CH 1 a 3 b 4 c", ":2"),
        ("ZADD z NX 9 a 5 d", ":1"),
        ("ZADD z XX 9 a 5 e", ":0"),
        ("ZADD z GT CH 1 a", ":0"),
        ("ZADD z LT CH 1 a", ":1"),
        ("ZADD z NX INCR 1 a", "$-1"),
        ("ZADD z XX INCR 1 missing", "$-1"),
        ("ZADD z INCR 0.5 a", "$3 1.5"),
        ("ZADD z GT INCR -1 a", "$-1"),
        ("ZADD z LT INCR -1 a", "$3 0.5"),
        ("ZINCRBY z 2 a", "$3 2.5"),
        ("ZINCRBY z inf i", "$3 inf"),
        ("ZINCRBY z -inf i", "-ERR resulting score is not a number (NaN)"),
        ("ZADD z -0 m", ":1"),
        ("ZSCORE z m", "$1 0"),
        ("ZADD missing XX 1 a", ":0"),
        ("ZADD missing XX INCR 1 a", "$-1"),
        (
            "ZADD z NX XX 1 a",
            "-ERR XX and NX options at the same time are not compatible",
        ),
        (
            "ZADD z GT LT 1 a",
            "-ERR GT, LT, and/or NX options at the same time are not compatible",
        ),
        (
            "ZADD z NX GT 1 a",
            "-ERR GT, LT, and/or NX options at the same time are not compatible",
        ),
        (
            "ZADD z INCR 1 a 2 b",
            "-ERR INCR option supports a single increment-element pair",
        ),
        ("ZADD z 1 a 2", "-ERR syntax error"),
        ("ZADD z NX CH", "-ERR syntax error"),
        ("ZADD z x a", "-ERR value is not a valid float"),
        ("ZADD z nan a", "-ERR value is not a valid float"),
        ("ZADD z 1 a x b", "-ERR value is not a valid float"),
        ("ZSCORE z a", "$3 2.5"),
        ("ZINCRBY z nan a", "-ERR value is not a valid float"),
        ("EXISTS missing", ":0"),
        ("SET s v", "+OK"),
        ("ZADD s x a", "-ERR value is not a valid float"),
        (
            "ZADD s 1 a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZADD s XX 1 a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZINCRBY s 1 a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]);
}

#[test]
fn looking() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZADD z 1 a 2 b 2 c 3.5 d", ":4"),
        ("ZCARD z", ":4"),
        ("ZCARD missing", ":0"),
        ("ZSCORE z d", "$3 3.5"),
        ("ZSCORE z x", "$-1"),
        ("ZSCORE missing x", "$-1"),
        ("ZMSCORE z a x d", "*3 $1 1 $-1 $3 3.5"),
        ("ZMSCORE missing a b", "*2 $-1 $-1"),
        ("ZRANK z c", ":2"),
        ("ZREVRANK z c", ":1"),
        ("ZRANK z x", "$-1"),
        ("ZRANK missing x", "$-1"),
        ("ZCOUNT z -inf +inf", ":4"),
        ("ZCOUNT z (1 2", ":2"),
        ("ZCOUNT z 2 (2", ":0"),
        ("ZCOUNT z 5 1", ":0"),
        ("ZCOUNT missing 0 1", ":0"),
        ("ZCOUNT z a 1", "-ERR min or max is not a float"),
        ("ZCOUNT z 1 nan", "-ERR min or max is not a float"),
        ("ZADD l 0 a 0 b 0 c 0 d", ":4"),
        ("ZLEXCOUNT l - +", ":4"),
        ("ZLEXCOUNT l [b (d", ":2"),
        ("ZLEXCOUNT l + -", ":0"),
        ("ZLEXCOUNT l b [c", "-ERR min or max not valid string range item"),
        ("SET s v", "+OK"),
        (
            "ZCARD s",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZSCORE s a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZMSCORE s a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZRANK s a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZCOUNT s 0 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("ZCOUNT s x 1", "-ERR min or max is not a float"),
        (
            "ZLEXCOUNT s - +",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]);
}

#[test]
fn removing() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", ":6"),
        ("ZREM z x", ":0"),
        ("ZREM z a a x", ":1"),
        ("ZREMRANGEBYRANK z 0 0", ":1"),
        ("ZREMRANGEBYRANK z 9 10", ":0"),
        ("ZREMRANGEBYSCORE z (3 4", ":1"),
        ("ZREMRANGEBYSCORE z 100 200", ":0"),
        ("ZREMRANGEBYLEX z [x +", ":0"),
        ("ZRANGE z 0 -1", "*3 $1 c $1 e $1 f"),
        ("ZREMRANGEBYLEX z - +", ":3"),
        ("EXISTS z", ":0"),
        ("ZREM z a", ":0"),
        ("ZREMRANGEBYRANK z 0 -1", ":0"),
        (
            "ZREMRANGEBYRANK z a 1",
            "-ERR value is not an integer or out of range",
        ),
        (
            "ZREMRANGEBYRANK z 0 b",
            "-ERR value is not an integer or out of range",
        ),
        ("ZREMRANGEBYSCORE z a 1", "-ERR min or max is not a float"),
        (
            "ZREMRANGEBYLEX z a +",
            "-ERR min or max not valid string range item",
        ),
        ("SET s v", "+OK"),
        (
            "ZREM s a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZREMRANGEBYRANK s x 1",
            "-ERR value is not an integer or out of range",
        ),
        (
            "ZREMRANGEBYRANK s 0 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZREMRANGEBYSCORE s 0 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZREMRANGEBYLEX s - +",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]);
}

#[test]
fn ranges() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZADD z 1 a 2 b 3 c 4 d", ":4"),
        ("ZRANGE z 0 -1", "*4 $1 a $1 b $1 c $1 d"),
        ("ZRANGE z 1 2 WITHSCORES", "*4 $1 b $1 2 $1 c $1 3"),
        ("ZRANGE z 0 1 REV", "*2 $1 d $1 c"),
        (
            "ZRANGE z -100 100 REV WITHSCORES",
            "*8 $1 d $1 4 $1 c $1 3 $1 b $1 2 $1 a $1 1",
        ),
        ("ZRANGE z 3 1", "*0"),
        ("ZRANGE z (1 3 BYSCORE", "*2 $1 b $1 c"),
        ("ZRANGE z 3 (1 BYSCORE REV LIMIT 0 1 WITHSCORES", "*2 $1 c $1 3"),
        ("ZRANGE z 0 10 BYSCORE LIMIT 1 -1", "*3 $1 b $1 c $1 d"),
        ("ZRANGE z 0 10 BYSCORE LIMIT -1 2", "*0"),
        (
            "ZRANGE z 0 10 BYSCORE LIMIT 2 9223372036854775807",
            "*2 $1 c $1 d",
        ),
        ("ZRANGE z 0 10 BYSCORE LIMIT 9 1", "*0"),
        ("ZRANGE z [b (d BYLEX", "*2 $1 b $1 c"),
        ("ZRANGE z + [c BYLEX REV", "*2 $1 d $1 c"),
        ("ZRANGE z 0 1 LIMIT 0 -1", "*2 $1 a $1 b"),
        (
            "ZRANGE z 0 1 LIMIT 0 1",
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ),
        (
            "ZRANGE z - + BYLEX WITHSCORES",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ),
        ("ZRANGE z 0 1 REV REV", "-ERR syntax error"),
        ("ZRANGE z 0 1 BYLEX BYSCORE", "-ERR syntax error"),
        ("ZRANGE z 0 1 LIMIT 0", "-ERR syntax error"),
        (
            "ZRANGE z 0 1 BYSCORE LIMIT a 1",
            "-ERR value is not an integer or out of range",
        ),
        ("ZRANGE z a 1", "-ERR value is not an integer or out of range"),
        ("ZRANGE z a 1 BYSCORE", "-ERR min or max is not a float"),
        (
            "ZRANGE z a 1 BYLEX",
            "-ERR min or max not valid string range item",
        ),
        ("ZRANGE missing 0 -1", "*0"),
        ("ZREVRANGE z 0 1 WITHSCORES", "*4 $1 d $1 4 $1 c $1 3"),
        ("ZREVRANGE z 0 1 REV", "-ERR syntax error"),
        ("ZRANGEBYSCORE z -inf (3 WITHSCORES LIMIT 1 1", "*2 $1 b $1 2"),
        ("ZRANGEBYSCORE z 1 2 BYLEX", "-ERR syntax error"),
        ("ZREVRANGEBYSCORE z +inf 3", "*2 $1 d $1 c"),
        ("ZREVRANGEBYSCORE z 1 4", "*0"),
        ("ZREVRANGEBYSCORE z 4 1 LIMIT 1 2", "*2 $1 c $1 b"),
        ("ZRANGEBYLEX z - (c LIMIT 1 5", "*1 $1 b"),
        (
            "ZRANGEBYLEX z - (c WITHSCORES",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ),
        ("ZREVRANGEBYLEX z (c -", "*2 $1 b $1 a"),
        ("ZRANGESTORE d z 1 2", ":2"),
        ("ZRANGE d 0 -1 WITHSCORES", "*4 $1 b $1 2 $1 c $1 3"),
        ("ZRANGESTORE d z 4 2 BYSCORE REV LIMIT 0 2", ":2"),
        ("ZRANGE d 0 -1 WITHSCORES", "*4 $1 c $1 3 $1 d $1 4"),
        ("ZRANGESTORE d z 0 1 WITHSCORES", "-ERR syntax error"),
        ("ZRANGESTORE d missing 0 1", ":0"),
        ("EXISTS d", ":0"),
        ("ZRANGESTORE z z 0 0", ":1"),
        ("ZRANGE z 0 -1", "*1 $1 a"),
        ("SET s v", "+OK"),
        ("ZRANGE s a b", "-ERR value is not an integer or out of range"),
        (
            "ZRANGE s 0 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZRANGESTORE d s 0 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("ZRANGESTORE s z 0 -1", ":1"),
        ("TYPE s", "+zset"),
    ]);
}

#[test]
fn popping() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", ":6"),
        ("ZPOPMIN z", "*2 $1 a $1 1"),
        ("ZPOPMAX z", "*2 $1 f $1 6"),
        ("ZPOPMIN z 0", "*0"),
        ("ZPOPMAX z 2", "*4 $1 e $1 5 $1 d $1 4"),
        ("ZPOPMIN z 9", "*4 $1 b $1 2 $1 c $1 3"),
        ("ZPOPMIN z", "*0"),
        ("EXISTS z", ":0"),
        ("ZPOPMIN z -1", "-ERR value is out of range, must be positive"),
        ("ZPOPMIN z x", "-ERR value is out of range, must be positive"),
        ("ZPOPMIN z 1 2", "-ERR syntax error"),
        ("ZADD z 1 a 2 b 3 c 4 d", ":4"),
        ("ZMPOP 2 missing z MIN", "*2 $1 z *1 *2 $1 a $1 1"),
        ("ZMPOP 1 z MAX COUNT 2", "*2 $1 z *2 *2 $1 d $1 4 *2 $1 c $1 3"),
        ("ZMPOP 1 missing MIN", "*-1"),
        ("ZMPOP 0 z MIN", "-ERR numkeys should be greater than 0"),
        ("ZMPOP x z MIN", "-ERR numkeys should be greater than 0"),
        ("ZMPOP 1 z", "-ERR wrong number of arguments for 'zmpop' command"),
        ("ZMPOP 2 z MIN", "-ERR syntax error"),
        ("ZMPOP 1 z MIDDLE", "-ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT 0", "-ERR count should be greater than 0"),
        ("ZMPOP 1 z MIN COUNT x", "-ERR count should be greater than 0"),
        ("ZMPOP 1 z MIN COUNT 1 COUNT 1", "-ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT", "-ERR syntax error"),
        ("ZMPOP 9223372036854775807 z MIN", "-ERR syntax error"),
        ("ZADD z 1 a 2 b", ":1"),
        ("BZPOPMIN missing z 0", "*3 $1 z $1 a $1 1"),
        ("BZPOPMAX z 0", "*3 $1 z $1 b $1 2"),
        ("BZPOPMAX z x", "-ERR timeout is not a float or out of range"),
        ("BZPOPMAX z -1", "-ERR timeout is negative"),
        ("BZMPOP x 1 z MIDDLE", "-ERR syntax error"),
        ("BZMPOP x 1 z MIN", "-ERR timeout is not a float or out of range"),
        ("ZADD z 1 a 2 b", ":2"),
        (
            "BZMPOP 0 1 z MIN COUNT 10",
            "*2 $1 z *2 *2 $1 a $1 1 *2 $1 b $1 2",
        ),
        ("SET s v", "+OK"),
        (
            "ZPOPMIN s",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZPOPMIN s 0",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZMPOP 2 z s MIN",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "BZPOPMIN z s 0",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "BZMPOP 0 1 s MIN",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]);
}

#[test]
fn popping_in_resp3() {
    let mut f = Fixture::resp3();
    f.check(&[
        ("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", ":6"),
        ("ZPOPMIN z", "*2 $1 a ,1"),
        ("ZPOPMAX z 2", "*2 *2 $1 f ,6 *2 $1 e ,5"),
        ("ZMPOP 1 z MIN COUNT 2", "*2 $1 z *2 *2 $1 b ,2 *2 $1 c ,3"),
        ("ZMPOP 1 missing MIN", "_"),
        ("BZPOPMIN z 0", "*3 $1 z $1 d ,4"),
    ]);
}

#[test]
fn combining() {
    let mut f = Fixture::new();
    f.with_data(|data| {
        let mut set = data.edit_or_create::<Set>(b"s").unwrap();
        for member in [b"x", b"w"] {
            set.insert(member, &SetLimits::default());
        }
        set.finish(Event(Class::Set, "sadd"), 2);
    });
    f.check(&[
        ("ZADD a 1 x 2 y 3 z", ":3"),
        ("ZADD b 10 y 20 z 30 w", ":3"),
        ("SET t v", "+OK"),
        ("ZUNION 2 a b", "*4 $1 x $1 y $1 z $1 w"),
        (
            "ZUNION 2 a b WITHSCORES",
            "*8 $1 x $1 1 $1 y $2 12 $1 z $2 23 $1 w $2 30",
        ),
        (
            "ZUNION 2 a b WEIGHTS 2 -1 AGGREGATE MIN WITHSCORES",
            "*8 $1 w $3 -30 $1 z $3 -20 $1 y $3 -10 $1 x $1 2",
        ),
        (
            "ZUNION 2 a s WITHSCORES AGGREGATE MAX",
            "*8 $1 w $1 1 $1 x $1 1 $1 y $1 2 $1 z $1 3",
        ),
        (
            "ZUNION 3 a b missing WITHSCORES",
            "*8 $1 x $1 1 $1 y $2 12 $1 z $2 23 $1 w $2 30",
        ),
        ("ZUNION 1 missing", "*0"),
        ("ZINTER 2 a b WITHSCORES", "*4 $1 y $2 12 $1 z $2 23"),
        ("ZINTER 2 a b WEIGHTS 1 0.5 WITHSCORES", "*4 $1 y $1 7 $1 z $2 13"),
        (
            "ZINTER 2 a b WITHSCORES AGGREGATE MAX",
            "*4 $1 y $2 10 $1 z $2 20",
        ),
        ("ZINTER 2 a s WEIGHTS 1 5 WITHSCORES", "*2 $1 x $1 6"),
        ("ZINTER 2 a a WITHSCORES", "*6 $1 x $1 2 $1 y $1 4 $1 z $1 6"),
        ("ZINTER 2 a missing", "*0"),
        ("ZINTER 1 s WITHSCORES", "*4 $1 w $1 1 $1 x $1 1"),
        ("ZDIFF 2 a b WITHSCORES", "*2 $1 x $1 1"),
        ("ZDIFF 2 s a", "*1 $1 w"),
        ("ZDIFF 2 a a", "*0"),
        ("ZDIFF 2 missing a", "*0"),
        ("ZDIFF 1 a", "*3 $1 x $1 y $1 z"),
        ("ZINTERCARD 2 a b", ":2"),
        ("ZINTERCARD 2 a b LIMIT 1", ":1"),
        ("ZINTERCARD 2 a b LIMIT 0", ":2"),
        ("ZINTERCARD 2 a missing", ":0"),
        ("ZUNIONSTORE d 2 a b", ":4"),
        (
            "ZRANGE d 0 -1 WITHSCORES",
            "*8 $1 x $1 1 $1 y $2 12 $1 z $2 23 $1 w $2 30",
        ),
        ("ZINTERSTORE d 2 a b AGGREGATE SUM", ":2"),
        ("ZRANGE d 0 -1 WITHSCORES", "*4 $1 y $2 12 $1 z $2 23"),
        ("ZDIFFSTORE d 2 a b", ":1"),
        ("ZRANGE d 0 -1 WITHSCORES", "*2 $1 x $1 1"),
        ("ZDIFFSTORE d 2 a a", ":0"),
        ("EXISTS d", ":0"),
        ("ZUNIONSTORE a 1 a WEIGHTS 2", ":3"),
        ("ZRANGE a 0 -1 WITHSCORES", "*6 $1 x $1 2 $1 y $1 4 $1 z $1 6"),
        ("ZADD i inf x", ":1"),
        ("ZADD j -inf x", ":1"),
        ("ZUNION 2 i j WITHSCORES", "*2 $1 x $1 0"),
        ("ZINTER 2 i j WITHSCORES", "*2 $1 x $1 0"),
        ("ZUNION 1 i WEIGHTS 0 WITHSCORES", "*2 $1 x $1 0"),
        ("ZUNION x a", "-ERR value is not an integer or out of range"),
        (
            "ZUNION 0 a",
            "-ERR at least 1 input key is needed for 'zunion' command",
        ),
        (
            "ZDIFFSTORE d 0 a",
            "-ERR at least 1 input key is needed for 'zdiffstore' command",
        ),
        (
            "ZINTERCARD -1 a",
            "-ERR at least 1 input key is needed for 'zintercard' command",
        ),
        ("ZUNION 2 a", "-ERR syntax error"),
        (
            "ZUNION 1 t FOO",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("ZUNION 1 a WEIGHTS", "-ERR syntax error"),
        ("ZUNION 1 a WEIGHTS x", "-ERR weight value is not a float"),
        ("ZUNION 1 a WEIGHTS nan", "-ERR weight value is not a float"),
        ("ZUNION 1 a AGGREGATE", "-ERR syntax error"),
        ("ZUNION 1 a AGGREGATE AVG", "-ERR syntax error"),
        ("ZUNION 1 a LIMIT 1", "-ERR syntax error"),
        ("ZUNIONSTORE d 1 a WITHSCORES", "-ERR syntax error"),
        ("ZDIFF 1 a WEIGHTS 1", "-ERR syntax error"),
        ("ZDIFF 1 a AGGREGATE MIN", "-ERR syntax error"),
        ("ZINTERCARD 1 a WITHSCORES", "-ERR syntax error"),
        ("ZINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative"),
        ("ZINTERCARD 1 a LIMIT x", "-ERR LIMIT can't be negative"),
        ("ZINTERCARD 1 a LIMIT", "-ERR syntax error"),
        (
            "ZUNIONSTORE d 1 t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZINTER 2 missing t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZDIFF 2 missing t",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]);
}

#[test]
fn drawing() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZADD z 1 a", ":1"),
        ("ZRANDMEMBER z", "$1 a"),
        ("ZRANDMEMBER missing", "$-1"),
        ("ZRANDMEMBER z 0", "*0"),
        ("ZRANDMEMBER z 5", "*1 $1 a"),
        ("ZRANDMEMBER z -3 WITHSCORES", "*6 $1 a $1 1 $1 a $1 1 $1 a $1 1"),
        ("ZRANDMEMBER z 9223372036854775807", "*1 $1 a"),
        (
            "ZRANDMEMBER z 9223372036854775807 WITHSCORES",
            "-ERR value is out of range",
        ),
        (
            "ZRANDMEMBER z -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
        ("ZRANDMEMBER z x", "-ERR value is not an integer or out of range"),
        ("ZRANDMEMBER z 1 FOO", "-ERR syntax error"),
        ("ZRANDMEMBER z 1 WITHSCORES 2", "-ERR syntax error"),
        ("ZRANDMEMBER missing 1", "*0"),
        ("ZRANDMEMBER missing -1", "*0"),
        ("SET s v", "+OK"),
        (
            "ZRANDMEMBER s",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "ZRANDMEMBER s 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("ZRANDMEMBER s x", "-ERR value is not an integer or out of range"),
    ]);
}

#[test]
fn scanning() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZADD z 1 a 2.5 b 3 ab 100000000000000000000 x inf y", ":5"),
        (
            "ZSCAN z 0",
            "*2 $1 0 *10 $1 a $1 1 $1 b $3 2.5 $2 ab $1 3 $1 x $5 1e+20 $1 y $3 inf",
        ),
        ("ZSCAN z 0 MATCH a* COUNT 1", "*2 $1 0 *4 $1 a $1 1 $2 ab $1 3"),
        (
            "ZSCAN z 0 MATCH *",
            "*2 $1 0 *10 $1 a $1 1 $1 b $3 2.5 $2 ab $1 3 $1 x $5 1e+20 $1 y $3 inf",
        ),
        ("ZSCAN missing 0 FOO", "*2 $1 0 *0"),
        ("ZSCAN z x", "-ERR invalid cursor"),
        ("ZSCAN z 0 COUNT 0", "-ERR syntax error"),
        (
            "ZSCAN z 0 COUNT x",
            "-ERR value is not an integer or out of range",
        ),
        ("ZSCAN z 0 MATCH", "-ERR syntax error"),
        ("ZSCAN z 0 TYPE zset", "-ERR syntax error"),
        ("SET s v", "+OK"),
        (
            "ZSCAN s 0 FOO",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("ZSCAN s x", "-ERR invalid cursor"),
    ]);
}

#[test]
fn scores_in_resp3() {
    let mut f = Fixture::resp3();
    f.check(&[
        ("ZADD z 1 a 2.5 b", ":2"),
        ("ZRANGE z 0 -1 WITHSCORES", "*2 *2 $1 a ,1 *2 $1 b ,2.5"),
        ("ZRANGEBYSCORE z 0 1 WITHSCORES", "*1 *2 $1 a ,1"),
        ("ZSCORE z b", ",2.5"),
        ("ZMSCORE z a x", "*2 ,1 _"),
        ("ZADD z INCR 1 a", ",2"),
        ("ZADD z NX INCR 1 a", "_"),
        ("ZRANK z x", "_"),
        ("ZUNION 1 z WITHSCORES", "*2 *2 $1 a ,2 *2 $1 b ,2.5"),
        ("ZSCAN z 0", "*2 $1 0 *4 $1 a $1 2 $1 b $3 2.5"),
    ]);
}

#[test]
fn ranks_with_scores() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZADD z 1 a 2.5 b", ":2"),
        ("ZRANK z b WITHSCORE", "*2 :1 $3 2.5"),
        ("ZREVRANK z b withscore", "*2 :0 $3 2.5"),
        ("ZRANK z x WITHSCORE", "*-1"),
        ("ZRANK missing x WITHSCORE", "*-1"),
        ("ZRANK z b FOO", "-ERR syntax error"),
        (
            "ZRANK z b WITHSCORE x",
            "-ERR wrong number of arguments for 'zrank' command",
        ),
        (
            "ZREVRANK z b WITHSCORE x",
            "-ERR wrong number of arguments for 'zrevrank' command",
        ),
    ]);
}

#[test]
fn a_result_with_a_long_member_keeps_the_sign_of_zero() {
    let mut f = Fixture::new();
    let long = "x".repeat(65);
    f.check(&[
        (format!("ZADD z 3 {long} -0 a").as_str(), ":2"),
        ("ZUNIONSTORE d 1 z WEIGHTS 2", ":2"),
        ("ZSCORE d a", "$2 -0"),
        ("OBJECT ENCODING d", "$8 skiplist"),
        ("ZUNIONSTORE small 1 z", ":2"),
        (format!("ZREM z {long}").as_str(), ":1"),
        ("ZUNIONSTORE small 1 z", ":1"),
        ("ZSCORE small a", "$1 0"),
        ("OBJECT ENCODING small", "$8 listpack"),
    ]);
}

#[test]
fn zscan_shows_whole_scores_up_to_half_of_the_integers() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZADD z 4611686018427387904 m", ":1"),
        ("ZSCAN z 0", "*2 $1 0 *2 $1 m $19 4611686018427387904"),
        ("ZADD z 4611686018427389000 m", ":0"),
        ("ZSCAN z 0", "*2 $1 0 *2 $1 m $22 4.6116860184273889e+18"),
    ]);
}

#[test]
fn a_stored_range_keeps_the_sign_of_zero_where_redis_does() {
    let mut f = Fixture::new();
    let long = "x".repeat(65);
    f.check(&[
        (format!("ZADD z 3 {long} -0 a").as_str(), ":2"),
        ("ZSCORE z a", "$2 -0"),
        ("ZRANGESTORE d z -inf +inf BYSCORE", ":2"),
        ("ZSCORE d a", "$1 0"),
        ("ZRANGESTORE d z +inf -inf BYSCORE REV", ":2"),
        ("ZSCORE d a", "$2 -0"),
        ("ZRANGESTORE d z 0 -1", ":2"),
        ("ZSCORE d a", "$1 0"),
        ("ZRANGESTORE d z 0 -1 REV", ":2"),
        ("ZSCORE d a", "$2 -0"),
    ]);
}

/// Redis 8.8.
#[test]
fn counting_the_sets_that_have_a_member() {
    let mut f = Fixture::new();
    f.check(&[
        ("ZADD s1 1 foo 1 bar", ":2"),
        ("ZADD s2 2 foo 2 bar", ":2"),
        ("ZADD s3 3 foo", ":1"),
        ("SADD s4 bar", ":1"),
        ("ZUNIONSTORE out 3 s1 s2 s3 AGGREGATE COUNT", ":2"),
        ("ZRANGE out 0 -1 WITHSCORES", "*4 $3 bar $1 2 $3 foo $1 3"),
        (
            "ZUNION 3 s1 s2 s4 WEIGHTS 2 3 4 AGGREGATE count WITHSCORES",
            "*4 $3 foo $1 5 $3 bar $1 9",
        ),
        ("ZINTER 2 s1 s3 AGGREGATE COUNT WITHSCORES", "*2 $3 foo $1 2"),
        ("ZINTERSTORE out 3 s1 s2 s3 WEIGHTS 1 2 3 AGGREGATE COUNT", ":1"),
        ("ZSCORE out foo", "$1 6"),
        (
            "ZUNION 1 s2 AGGREGATE COUNT WITHSCORES",
            "*4 $3 bar $1 1 $3 foo $1 1",
        ),
        ("ZDIFF 1 s1 AGGREGATE COUNT", "-ERR syntax error"),
    ]);
}
