"""RQ: jobs, their results, one that depends on another, one that fails, one that is due later."""

import sys
from datetime import timedelta

import redis
from rq import Queue, SimpleWorker
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry

import jobs

connection = redis.Redis(port=int(sys.argv[1]))
connection.flushall()
queue = Queue(connection=connection)

first = queue.enqueue(jobs.add, 2, 3)
second = queue.enqueue(jobs.add, 4, 5, depends_on=first)
broken = queue.enqueue(jobs.fail)
later = queue.enqueue_in(timedelta(hours=1), jobs.add, 1, 1)
assert second.get_status() == JobStatus.DEFERRED
assert queue.count == 2

SimpleWorker([queue], connection=connection).work(burst=True, logging_level="WARNING")

assert Job.fetch(first.id, connection=connection).return_value() == 5
assert Job.fetch(second.id, connection=connection).return_value() == 9
assert set(FinishedJobRegistry(queue=queue).get_job_ids()) == {first.id, second.id}
assert FailedJobRegistry(queue=queue).get_job_ids() == [broken.id]
assert "as it should" in Job.fetch(broken.id, connection=connection).latest_result().exc_string
assert ScheduledJobRegistry(queue=queue).get_job_ids() == [later.id]
assert queue.count == 0
