"""Celery over kombu: a worker in a process of its own, single tasks, a group, a chain, a chord, an error, a retry."""

import subprocess
import sys

from celery import Celery, chain, chord, group

PORT = sys.argv[1] if sys.argv[0].endswith("use_celery.py") else None


def make(port):
    app = Celery("use_celery", broker=f"redis://127.0.0.1:{port}/1", backend=f"redis://127.0.0.1:{port}/2")
    app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
    return app


def worker_port():
    import os

    return os.environ["CELERY_REDIS_PORT"]


app = make(PORT or worker_port())


@app.task(name="add")
def add(a, b):
    return a + b


@app.task(name="total")
def total(numbers):
    return sum(numbers)


@app.task(name="fail")
def fail():
    raise ValueError("as it should")


@app.task(name="retried", bind=True, max_retries=2)
def retried(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return self.request.retries


def main():
    import os

    environment = {**os.environ, "CELERY_REDIS_PORT": PORT}
    command = ["-m", "celery", "-A", "use_celery", "worker", "--pool=threads", "--concurrency=4", "--loglevel=WARNING"]
    worker = subprocess.Popen([sys.executable, *command], env=environment)
    try:
        assert add.delay(2, 3).get(timeout=60) == 5
        assert group(add.s(n, n) for n in range(10))().get(timeout=30) == [2 * n for n in range(10)]
        assert chain(add.s(1, 2), add.s(3))().get(timeout=30) == 6
        assert chord((add.s(n, 1) for n in range(5)), total.s())().get(timeout=30) == 15
        assert retried.delay().get(timeout=30) == 2
        try:
            fail.delay().get(timeout=30)
            raise AssertionError("no error")
        except ValueError as error:
            assert str(error) == "as it should"
        assert app.control.ping(timeout=5), "the worker does not answer"
    finally:
        worker.terminate()
        worker.wait(timeout=30)


if __name__ == "__main__":
    main()
