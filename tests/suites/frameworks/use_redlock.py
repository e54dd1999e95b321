"""Redlock over three databases that stand for three servers, and redis-py's own lock."""

import sys
import threading

import redis
from redlock import Redlock

port = int(sys.argv[1])
servers = [{"host": "127.0.0.1", "port": port, "db": db} for db in (4, 5, 6)]
for server in servers:
    redis.Redis(**server).flushdb()

mine, theirs = Redlock(servers), Redlock(servers, retry_count=1)
lock = mine.lock("resource", 10_000)
assert lock and lock.validity > 5_000
assert not theirs.lock("resource", 1_000)
mine.unlock(lock)
again = theirs.lock("resource", 1_000)
assert again
theirs.unlock(again)

# Each thread counts under the lock: none may get lost.
client = redis.Redis(port=port)
client.set("count", 0)


def count():
    for _ in range(25):
        with client.lock("counter", timeout=30, sleep=0.001):
            client.set("count", int(client.get("count")) + 1)


threads = [threading.Thread(target=count) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert client.get("count") == b"200"
lock = client.lock("extended", timeout=10)
assert lock.acquire() and lock.extend(50) and client.pttl("extended") > 20_000 and lock.reacquire()
lock.release()
