//! The crate `redis`.

use redis::{Commands, RedisResult, Script, Value, streams::StreamRangeReply};

fn main() -> RedisResult<()> {
    let port = std::env::args().nth(1).expect("usage: PORT");
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let mut c = client.get_connection()?;
    let binary = b"a\0\r\nb".to_vec();

    let _: () = c.set("k", &binary)?;
    assert_eq!(c.get::<_, Vec<u8>>("k")?, binary);

    let mut pipe = redis::pipe();
    for _ in 0..100 {
        pipe.incr("n", 1);
    }
    let replies: Vec<i64> = pipe.query(&mut c)?;
    assert_eq!(replies, (1..=100).collect::<Vec<i64>>());

    let _: () = c.hset_multiple("h", &[("f", "1"), ("g", "2")])?;
    let hash: std::collections::BTreeMap<String, String> = c.hgetall("h")?;
    assert_eq!((hash["f"].as_str(), hash["g"].as_str()), ("1", "2"));

    assert_eq!(c.rpush::<_, _, i64>("l", &["a", "b", "c"])?, 3);
    assert_eq!(c.lrange::<_, Vec<String>>("l", 1, -1)?, ["b", "c"]);

    assert_eq!(c.zadd_multiple::<_, _, _, i64>("z", &[(2.5, "b"), (1.0, "a")])?, 2);
    let range: Vec<(String, f64)> = c.zrange_withscores("z", 0, -1)?;
    assert_eq!(range, [("a".to_owned(), 1.0), ("b".to_owned(), 2.5)]);

    let mut subscribed = client.get_connection()?;
    let mut subscriber = subscribed.as_pubsub();
    subscriber.subscribe("news")?;
    assert_eq!(c.publish::<_, _, i64>("news", "hello")?, 1);
    assert_eq!(subscriber.get_message()?.get_payload::<String>()?, "hello");

    let script = Script::new("return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}");
    let result: (String, String, i64) = script.key("k").arg("x").invoke(&mut c)?;
    assert_eq!(result, ("k".into(), "x".into(), 101));

    let id: String = c.xadd("s", "*", &[("f", "v")])?;
    let entries: StreamRangeReply = c.xrange_all("s")?;
    assert_eq!(entries.ids.len(), 1);
    assert_eq!(entries.ids[0].id, id);

    let done: (i64, String) = redis::pipe().atomic().incr("n", 1).get("n").query(&mut c)?;
    assert_eq!(done, (102, "102".into()));

    let error = c.lpush::<_, _, Value>("k", "x").expect_err("a string is no list");
    assert_eq!(error.code(), Some("WRONGTYPE"));
    Ok(())
}
