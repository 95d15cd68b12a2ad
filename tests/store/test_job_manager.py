"""A worker that looks for its next job and is told of one meanwhile."""

import asyncio
from typing import Any

import procrastinate
from procrastinate.testing import InMemoryConnector

from b24app.jobs import tasks
from b24app.services import Services
from b24app.store.job_manager import MOST_LOOKS, AttentiveJobManager


class Meanwhile(InMemoryConnector):
    """Queues a job just after each look at the queue, before the one who looked has its answer."""

    def __init__(self, job: dict[str, Any] | None) -> None:
        super().__init__()
        self.looks = 0
        self._job = job

    async def fetch_job_one(self, *args: Any, **more: Any) -> dict[str, Any]:
        self.looks += 1
        found: dict[str, Any] = await super().fetch_job_one(*args, **more)
        if self._job is not None:
            await procrastinate.App(connector=self).configure_task("any", **self._job).defer_async()
        return found


def looked(job: dict[str, Any] | None) -> tuple[bool, int]:
    """Whether a look found a job, and how often the queue was asked; `job` is what is queued meanwhile."""

    async def look() -> tuple[bool, int]:
        connector = Meanwhile(job)
        engine = procrastinate.App(connector=connector)
        manager = engine.job_manager = AttentiveJobManager(connector)

        async def told(**_: Any) -> None: ...

        async with engine.open_async():
            await manager.listen_for_jobs(on_notification=told)
            found = await manager.fetch_job(None, await manager.register_worker())
        return found is not None, connector.looks

    return asyncio.run(look())


def test_a_job_that_was_told_of_during_the_look_is_found_at_once():
    assert looked({}) == (True, 2)


def test_where_nothing_was_told_the_queue_is_asked_once():
    assert looked(None) == (False, 1)


def test_a_worker_told_without_end_of_what_it_cannot_do_comes_to_an_end():
    assert looked({"schedule_in": {"hours": 1}}) == (False, MOST_LOOKS)


def test_the_app_looks_for_its_jobs_so(services: Services):
    assert isinstance(tasks(services).job_manager, AttentiveJobManager)
