"""redis-py."""

import sys

import redis


def check(holds, what):
    if not holds:
        sys.exit(f"wrong: {what}")


for protocol in (2, 3):
    c = redis.Redis(port=int(sys.argv[1]), protocol=protocol)
    c.flushall()
    binary = b"a\0\r\nb"

    check(c.set("k", binary), "SET")
    check(c.get("k") == binary, "GET")

    pipe = c.pipeline(transaction=False)
    for _ in range(100):
        pipe.incr("n")
    check(pipe.execute() == list(range(1, 101)), "pipeline")

    check(c.hset("h", mapping={"f": "1", "g": "2"}) == 2, "HSET")
    check(c.hgetall("h") == {b"f": b"1", b"g": b"2"}, "HGETALL")

    check(c.rpush("l", "a", "b", "c") == 3, "RPUSH")
    check(c.lrange("l", 1, -1) == [b"b", b"c"], "LRANGE")

    check(c.zadd("z", {"b": 2.5, "a": 1}) == 2, "ZADD")
    check([tuple(pair) for pair in c.zrange("z", 0, -1, withscores=True)] == [(b"a", 1.0), (b"b", 2.5)], "ZRANGE")

    subscriber = c.pubsub(ignore_subscribe_messages=False)
    subscriber.subscribe("news")
    check(subscriber.get_message(timeout=5)["type"] == "subscribe", "SUBSCRIBE")
    check(c.publish("news", "hello") == 1, "PUBLISH")
    check(subscriber.get_message(timeout=5)["data"] == b"hello", "message")

    script = c.register_script("return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}")
    check(script(keys=["k"], args=["x"]) == [b"k", b"x", 101], "EVALSHA")

    id = c.xadd("s", {"f": "v"})
    check(c.xrange("s") == [(id, {b"f": b"v"})], "XRANGE")

    with c.pipeline() as transaction:
        check(transaction.incr("n").get("n").execute() == [102, b"102"], "EXEC")

    try:
        c.lpush("k", "x")
        check(False, "error")
    except redis.ResponseError as error:
        check(str(error).startswith("WRONGTYPE"), "error")
