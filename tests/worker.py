"""The worker in a test: it does what is due and returns; nobody sleeps.

The database's clock wakes jobs, the injected clock decides; so jobs whose time has come by the injected clock are first
made due in the database.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from b24app import jobs
from b24app.services import Services

DUE = "status = 'todo' and (scheduled_at is null or scheduled_at <= greatest(now(), :now))"
WAKE = text(f"update procrastinate_jobs set scheduled_at = null where {DUE}")
LEFT = text(f"select count(*) from procrastinate_jobs where {DUE}")
ROUNDS = 30


def work(services: Services) -> None:
    """What is due by the database's clock, once: a job that comes of another may be left."""
    with ThreadPoolExecutor(1) as own:  # the browser's driver keeps a loop running in this thread
        own.submit(lambda: asyncio.run(jobs.work(services, wait=False))).result()


def work_until_idle(services: Services) -> None:
    """Everything that is due by the injected clock, and what comes of it."""
    for _ in range(ROUNDS):
        with services.store.begin() as db:
            db.execute(WAKE, {"now": services.clock()})
        work(services)
        with services.store.begin() as db:
            if not db.scalar(LEFT, {"now": services.clock()}):
                return
    raise AssertionError("jobs come back without end")
