"""Drives a server through redis-py the way an application does. Exits with a message at the first surprise.

Usage: smoke.py PORT
"""

import asyncio
import sys
import threading

import redis
import redis.asyncio


def plain(value):
    """Tuples as lists: redis-py gives one with RESP2 and the other with RESP3."""
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def expect(what, got, wanted):
    """Stops unless `got` is `wanted`."""
    if plain(got) != plain(wanted):
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


def raises(what, error, action):
    """Stops unless `action` raises `error`."""
    try:
        action()
    except error:
        return
    sys.exit(f"{what}: no {error.__name__}")


def core_types(r):
    """One round through the types that every application uses."""
    r.flushall()
    expect("set", r.set("k", "v", ex=100), True)
    expect("get", r.get("k"), "v")
    expect("ttl", 0 < r.ttl("k") <= 100, True)
    expect("incr", [r.incr("n"), r.incrby("n", 5), r.decr("n")], [1, 6, 5])
    expect("incrbyfloat", r.incrbyfloat("f", 1.5), 1.5)
    expect("mset", r.mset({"a": 1, "b": 2}), True)
    expect("mget", r.mget("a", "b", "none"), ["1", "2", None])
    expect("rpush", r.rpush("l", *range(200)), 200)
    expect("lrange", r.lrange("l", 0, 2), ["0", "1", "2"])
    expect("lpos", r.lpos("l", "7"), 7)
    expect("blpop", r.blpop(["none", "l"], timeout=1), ("l", "0"))
    expect("hset", r.hset("h", mapping={"f": 1, "g": "two"}), 2)
    expect("hgetall", r.hgetall("h"), {"f": "1", "g": "two"})
    expect("sadd", r.sadd("s", 1, 2, 3, "x"), 4)
    expect("smembers", r.smembers("s"), {"1", "2", "3", "x"})
    expect("zadd", r.zadd("z", {"a": 1, "b": 2.5, "c": 3}), 3)
    expect("zrange", r.zrange("z", 0, -1, withscores=True), [("a", 1.0), ("b", 2.5), ("c", 3.0)])
    expect("zrangebyscore", r.zrangebyscore("z", "(1", "+inf"), ["b", "c"])
    expect("setbit", [r.setbit("bits", 7, 1), r.bitcount("bits")], [0, 1])
    expect("bitfield", r.bitfield("bf").set("u8", 0, 255).incrby("u8", 0, 1).execute(), [0, 0])
    expect("pfadd", [r.pfadd("hll", *range(1000)), 950 < r.pfcount("hll") < 1050], [1, True])
    expect("geoadd", r.geoadd("geo", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")), 2)
    expect("geodist", r.geodist("geo", "Palermo", "Catania", "km"), 166.2742)
    expect("geosearch", r.geosearch("geo", longitude=15, latitude=37, radius=200, unit="km", sort="ASC"), ["Catania", "Palermo"])
    expect("scan_iter", len(set(r.scan_iter(count=3))), r.dbsize())
    expect("sort", r.sort("l", desc=True, start=0, num=2), ["199", "198"])
    expect("type", [r.type("z"), r.type("none")], ["zset", "none"])
    expect("rename", [r.rename("a", "a2"), r.exists("a", "a2")], [True, 1])
    raises("wrong type", redis.ResponseError, lambda: r.lpush("k", 1))
    raises("no integer", redis.ResponseError, lambda: r.incr("h"))


def transactions(r):
    """Pipelines with and without MULTI, and WATCH."""
    with r.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"p:{number}", number)
        expect("pipeline", pipe.execute(), [True] * 1000)
    with r.pipeline() as pipe:
        expect("multi", pipe.set("m", 1).incr("m").get("m").execute(), [True, 2, "2"])
    with r.pipeline() as pipe:
        pipe.watch("m")
        r.set("m", "changed")
        pipe.multi()
        pipe.get("m")
        raises("watch", redis.WatchError, pipe.execute)
    expect("transaction", r.transaction(lambda pipe: pipe.multi() or pipe.get("m"), "m"), ["changed"])


def publish_subscribe(r):
    """Channels and patterns."""
    listener = r.pubsub()
    listener.subscribe("news")
    listener.psubscribe("n*")
    kinds = [listener.get_message(timeout=5)["type"] for _ in range(2)]
    expect("subscribe", kinds, ["subscribe", "psubscribe"])
    expect("publish", r.publish("news", "hello"), 2)
    got = sorted(listener.get_message(timeout=5)["type"] for _ in range(2))
    expect("messages", got, ["message", "pmessage"])
    expect("numsub", r.pubsub_numsub("news"), [("news", 1)])
    listener.close()


def blocking(port):
    """A blocked client is woken by another."""
    taken = []
    consumer = redis.Redis(port=port, decode_responses=True)
    thread = threading.Thread(target=lambda: taken.append(consumer.blpop("jobs", timeout=20)))
    thread.start()
    redis.Redis(port=port).rpush("jobs", "work")
    thread.join()
    expect("blpop", taken, [("jobs", "work")])


def server_commands(r):
    """What monitoring and frameworks ask for."""
    expect("ping", r.ping(), True)
    expect("echo", r.echo("x"), "x")
    expect("info", r.info("server")["redis_version"][:2], "7.")
    expect("keyspace", r.info("keyspace")["db0"]["keys"], r.dbsize())
    expect("config", r.config_get("maxmemory"), {"maxmemory": "0"})
    expect("client", r.client_setname("smoke") and r.client_getname(), "smoke")
    expect("client list", "smoke" in [client["name"] for client in r.client_list()], True)
    expect("command", r.command_count() > 150 and "get" in r.command(), True)
    expect("object", r.object("encoding", "n"), "int")
    expect("memory", r.memory_usage("k") > 0, True)
    expect("time", r.time()[0] > 1_600_000_000, True)


async def asynchronous(port):
    """The asynchronous client, many tasks at once."""
    r = redis.asyncio.Redis(port=port, decode_responses=True)
    await r.delete("async")
    await asyncio.gather(*(r.incr("async") for _ in range(200)))
    expect("asyncio", await r.get("async"), "200")
    await r.aclose()


def main(port):
    """Everything, with RESP2 and with RESP3."""
    for protocol in (2, 3):
        r = redis.Redis(port=port, protocol=protocol, decode_responses=True)
        core_types(r)
        transactions(r)
        publish_subscribe(r)
        server_commands(r)
        r.close()
    blocking(port)
    asyncio.run(asynchronous(port))
    print("ok")


if __name__ == "__main__":
    main(int(sys.argv[1]))
