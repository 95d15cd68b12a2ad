"""A worker that looks for its next job and is told of one meanwhile."""

import asyncio
from typing import Any

import procrastinate
from procrastinate.testing import InMemoryConnector

from b24app.store.job_manager import AttentiveJobManager


class Meanwhile(InMemoryConnector):
    """Queues jobs just after a look at the queue, before the one who looked has its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.queue_now: list[procrastinate.tasks.Task[..., Any, Any]] = []
        self.looks = 0

    async def fetch_job_one(self, *args: Any, **more: Any) -> dict[str, Any]:
        self.looks += 1
        found: dict[str, Any] = await super().fetch_job_one(*args, **more)
        while self.queue_now:
            await self.queue_now.pop().defer_async()
        return found


def looked(*, job_meanwhile: bool) -> tuple[bool, int]:
    """Whether a look found a job, and how often the queue was asked."""

    async def look() -> tuple[bool, int]:
        connector = Meanwhile()
        engine = procrastinate.App(connector=connector)
        manager = engine.job_manager = AttentiveJobManager(connector)

        @engine.task
        def anything() -> None: ...

        async def told(**_: Any) -> None: ...

        async with engine.open_async():
            await manager.listen_for_jobs(on_notification=told)
            worker = await manager.register_worker()
            connector.queue_now = [anything] if job_meanwhile else []
            found = await manager.fetch_job(None, worker)
        return found is not None, connector.looks

    return asyncio.run(look())


def test_a_job_that_was_told_of_during_the_look_is_found_at_once():
    assert looked(job_meanwhile=True) == (True, 2)


def test_where_nothing_was_told_the_queue_is_asked_once():
    assert looked(job_meanwhile=False) == (False, 1)
