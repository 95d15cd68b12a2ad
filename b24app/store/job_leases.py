"""What a worker holds in the job table, kept true while the database comes and goes.

A job whose end could not be written, because the database was away just then, looks like work of a living worker for
ever, and would hold its portal's lock as long. And the engine stops its heartbeat while it waits for the last batches
after SIGTERM, so that a colleague would take them for a dead worker's. So each worker compares what it holds with what
it does, and keeps its own heart beating until it is through.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import procrastinate
import structlog
from procrastinate.exceptions import ConnectorException
from procrastinate.job_context import JobContext
from procrastinate.jobs import Status
from procrastinate.worker import Worker

log = structlog.get_logger()


class JobLeases:
    """Of one worker, from its registration to its end."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._at_work: set[int | None] = set()
        self._suspects: set[int | None] = set()

    async def note(self, call_next: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
        """Stand around each job (a middleware of the engine) and know that it is being done."""
        self._worker = worker
        self._at_work.add(context.job.id)
        try:
            return await call_next()
        finally:
            self._at_work.discard(context.job.id)

    async def keep(self, engine: procrastinate.App, seconds: float) -> None:
        """Look every so many seconds, until cancelled; a database that is away is asked again."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self._look(engine)
            except ConnectorException as away:
                log.warning("holdings_not_looked_at", reason=type(away).__name__)

    async def _look(self, engine: procrastinate.App) -> None:
        """End what is held but not done, if it was so at the last look too: by now its end would have been written."""
        number = self._worker.worker_id if self._worker else None
        if number is None:
            return
        await engine.job_manager.update_heartbeat(number)
        held = await engine.job_manager.list_jobs_async(status=Status.DOING.value, worker_id=number)
        idle = {job.id: job for job in held if job.id not in self._at_work}
        for each in idle.keys() & self._suspects:
            log.warning("job_without_work_ended", job=each, task=idle[each].task_name)
            await engine.job_manager.finish_job(idle[each], status=Status.FAILED, delete_job=True)
        self._suspects = set(idle) - self._suspects
