"""What is done by the clock: say that a worker lives, forget what has served its time, find runs nobody works on."""

import structlog
from sqlalchemy import delete, select

from b24app.clock import Clock
from b24app.domain import FINAL_STATES, ItemState, RunState
from b24app.runs.items import CHANGES_KEPT
from b24app.runs.notice_rows import forget_told
from b24app.store import heartbeat
from b24app.store.db import Store, repeated
from b24app.store.models import PageChange, Run, RunItem, VerifiedToken
from b24app.store.one_time import forget_expired
from b24app.store.queue import ENSURE, STEP, Queue, with_jobs

log = structlog.get_logger()


class Housekeeping:
    """Each is safe to do twice and from several workers."""

    def __init__(self, store: Store, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock

    def beat(self, worker: str = heartbeat.WORKER) -> None:
        """Write down that this worker is at work now."""
        heartbeat.beat(self._store, self._clock(), worker)

    def leave(self, worker: str) -> None:
        """This worker ends as it was told to."""
        heartbeat.leave(self._store, self._clock(), worker)

    @repeated
    def purge(self) -> None:
        """Forget proofs, states and notices whose time is over, and what lists of pages no longer follow."""
        now = self._clock()
        with self._store.begin() as db:
            db.execute(delete(VerifiedToken).where(VerifiedToken.expires_at < now))
            db.execute(delete(PageChange).where(PageChange.at < now - CHANGES_KEPT))
            forget_expired(db, now)
            forget_told(db, now)

    @repeated
    def requeue_lost_runs(self) -> int:
        """Give a job to every run that should be moving and has none; how many there were.

        A step records its results and asks for the next one in one transaction, so this finds only what a killed
        worker left, after the engine has ended that worker's job.
        """
        with self._store.begin() as db:
            in_flight = select(RunItem.run_id).where(RunItem.state == ItemState.RUNNING).distinct()
            stopped = Run.id.in_(db.scalars(in_flight).all()) & Run.state.in_(FINAL_STATES)
            moving = Run.state.in_((RunState.QUEUED, RunState.RUNNING))
            runs: list[Run] = []
            for which in (moving, stopped):  # as one condition they would be looked for in all runs there ever were
                runs += db.scalars(select(Run).where(which).with_for_update(skip_locked=True, key_share=True))
            living = with_jobs(db, [run.id for run in runs], (STEP, ENSURE))
            lost = [run for run in runs if run.id not in living]
            for run in lost:
                self._queue.step(db, run.id, run.member_id)
                log.warning("lost_run_requeued", run=str(run.id))
        return len(lost)
