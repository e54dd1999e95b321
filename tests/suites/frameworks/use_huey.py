"""Huey: tasks, a schedule, a lock, with a consumer in threads; queues by lists and by priority."""

import sys

from huey import PriorityRedisHuey, RedisHuey

PORT = int(sys.argv[1])
for kind in (RedisHuey, PriorityRedisHuey):
    huey = kind(f"test-{kind.__name__}", host="127.0.0.1", port=PORT)
    huey.flush()

    @huey.task()
    def add(a, b):
        return a + b

    @huey.task()
    def locked():
        with huey.lock_task("only-one"):
            return "had it"

    consumer = huey.create_consumer(workers=2, periodic=False, initial_delay=0.01, max_delay=0.05, scheduler_interval=1)
    consumer.start()
    try:
        waiting = [add(n, 1) for n in range(20)]
        assert [result.get(blocking=True, timeout=20) for result in waiting] == list(range(1, 21))
        assert locked().get(blocking=True, timeout=20) == "had it"
        assert add.schedule((5, 5), delay=1).get(blocking=True, timeout=20) == 10
    finally:
        consumer.stop(graceful=True)
    assert huey.pending_count() == 0
