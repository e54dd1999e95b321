"""Dramatiq: messages, results, retries, delays; its broker is one big Lua script."""

import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

PORT = int(sys.argv[1])
broker = RedisBroker(host="127.0.0.1", port=PORT)
broker.add_middleware(Results(backend=RedisBackend(host="127.0.0.1", port=PORT)))
dramatiq.set_broker(broker)
broker.flush_all()
failures = []


@dramatiq.actor(store_results=True)
def add(a, b):
    return a + b


@dramatiq.actor(store_results=True, min_backoff=10, max_backoff=20, max_retries=3)
def fails_twice():
    if len(failures) < 2:
        failures.append(True)
        raise ValueError("as it should")
    return len(failures)


worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=100)
worker.start()
try:
    messages = [add.send(n, n) for n in range(50)]
    assert [message.get_result(block=True, timeout=20_000) for message in messages] == [2 * n for n in range(50)]
    assert fails_twice.send().get_result(block=True, timeout=20_000) == 2
    assert add.send_with_options(args=(1, 2), delay=200).get_result(block=True, timeout=20_000) == 3
    broker.join("default", timeout=20_000)
finally:
    worker.stop()
