"""How a worker looks for its next job, without forgetting what it was told meanwhile.

The end of a batch tells workers twice within milliseconds: the next batch was queued, and its portal's turn is free.
The engine forgets after each look what it was told until then, so whatever comes during a look that finds nothing
would be found by the next one only, a second later: one batch in six, when measured. So such a look is repeated, a
few times at most, since the engine hears that it is to stop only between its looks.
"""

from collections.abc import Iterable
from typing import Any

from procrastinate.jobs import Job
from procrastinate.manager import JobManager

MOST_LOOKS = 3


class AttentiveJobManager(JobManager):
    """The engine's job manager; what is told during a look counts."""

    told = 0  # of so many jobs since the start

    async def listen_for_jobs(self, *, on_notification: Any, queues: Iterable[str] | None = None) -> None:
        """As the engine's, and each job told of is counted."""

        async def counted(**notification: Any) -> None:
            self.told += notification["notification"]["type"] == "job_inserted"
            await on_notification(**notification)

        await super().listen_for_jobs(on_notification=counted, queues=queues)

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """The next job, marked as at work; None when there was none and nothing was told during the look."""
        for _ in range(MOST_LOOKS):
            before = self.told
            job = await super().fetch_job(queues, worker_id)
            if job is not None or self.told == before:
                return job
        return None
