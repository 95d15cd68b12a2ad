"""The worker in a test: it does what is due and returns; nobody sleeps.

The database's clock wakes jobs, the injected clock decides; so runs whose time is near by the injected clock are first
given their jobs, as is done every ten seconds, and those whose time has come are made due in the database.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from sqlalchemy import text

from b24app import jobs
from b24app.services import Services
from b24app.store.queue import BEGIN, ENSURE, STEP

DUE = "status = 'todo' and (scheduled_at is null or scheduled_at <= greatest(now(), :now))"
WAKE = text(f"update procrastinate_jobs set scheduled_at = null where {DUE}")
LEFT = text(f"select count(*) from procrastinate_jobs where {DUE}")
NEXT = text(
    f"select id, task_name, args from procrastinate_jobs where {DUE} and task_name = any(:tasks) "
    "order by priority desc, id limit 1"
)
IS_DUE = text(
    "select exists (select from procrastinate_jobs where status = 'todo' and coalesce(scheduled_at, now()) <= now())"
)
DONE = text("delete from procrastinate_jobs where id = :id")
ROUNDS, MOST_JOBS = 30, 500


def is_due(services: Services) -> bool:
    """Whether a job waits for a worker, by the database's clock."""
    with services.store.begin() as db:
        return bool(db.scalar(IS_DUE))


def work(services: Services) -> None:
    """What is due by the database's clock, once: a job that comes of another may be left."""
    services.schedule.enqueue_near()
    with ThreadPoolExecutor(1) as own:  # the browser's driver keeps a loop running in this thread
        own.submit(lambda: asyncio.run(jobs.work(services, wait=False))).result()


def work_until_idle(services: Services) -> None:
    """Everything that is due by the injected clock, and what comes of it."""
    for _ in range(ROUNDS):
        services.schedule.enqueue_near()
        with services.store.begin() as db:
            db.execute(WAKE, {"now": services.clock()})
        work(services)
        with services.store.begin() as db:
            if not db.scalar(LEFT, {"now": services.clock()}):
                return
    raise AssertionError("jobs come back without end")


def pump(services: Services, done: Callable[[str, str], None] = lambda task, run: None, most: int = MOST_JOBS) -> None:
    """As `work_until_idle`, without starting an engine: due jobs one after the other, in the engine's own order.

    done  told of each job that was done: its task and the run
    most  so many jobs, then the worker goes away; all, unless told
    """
    verbs = {
        BEGIN: services.schedule.begin,
        STEP: services.executor.run_batch,
        ENSURE: services.executor.ensure_finished,
    }
    services.schedule.enqueue_near()
    for _ in range(most):
        with services.store.begin() as db:
            job = db.execute(NEXT, {"now": services.clock(), "tasks": list(verbs)}).one_or_none()
        if job is None:
            return
        verbs[job.task_name](UUID(job.args["run"]))
        with services.store.begin() as db:
            db.execute(DONE, {"id": job.id})
        done(job.task_name, job.args["run"])
    if most == MOST_JOBS:
        raise AssertionError("jobs come back without end")
