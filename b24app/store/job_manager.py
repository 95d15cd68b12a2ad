"""How a worker looks for its next job, without forgetting what it was told meanwhile.

The end of a batch tells workers twice within milliseconds: the next batch was queued, and its portal's turn is free.
The engine forgets after each look what it was told until then, so whatever comes during a look that finds nothing
would be found by the next one only, a second later: one batch in six, when measured. So such a look is repeated.
"""

from collections.abc import Iterable
from typing import Any

from procrastinate.jobs import Job
from procrastinate.manager import JobManager


class AttentiveJobManager(JobManager):
    """The engine's job manager; what is told during a look counts."""

    told = 0  # how many times since the start

    async def listen_for_jobs(self, *, on_notification: Any, queues: Iterable[str] | None = None) -> None:
        """As the engine's, and each notification is counted."""

        async def counted(**notification: Any) -> None:
            self.told += 1
            await on_notification(**notification)

        await super().listen_for_jobs(on_notification=counted, queues=queues)

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """The next job, marked as at work; None when there was none and nothing was told since the last look."""
        while True:
            before = self.told
            job = await super().fetch_job(queues, worker_id)
            if job is not None or self.told == before:
                return job
