"""What is done by the clock: say that a worker lives, forget what may not be kept, find runs nobody works on."""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import delete, exists, select, text
from sqlalchemy.dialects.postgresql import insert

from b24app.clock import Clock
from b24app.store.db import Store
from b24app.store.models import ApiCall, Proof, Run, RunItem, Spent, WorkerSeen
from b24app.store.queue import Queue
from b24app.terms import FINAL_STATES, ItemState, RunState

log = structlog.get_logger()
WORKER = "worker"
WORKER_LATE = timedelta(minutes=2)
LIVING_JOBS = text(
    "select args->>'run' from procrastinate_jobs "
    "where status in ('todo', 'doing') and task_name in ('step_run', 'ensure_run')"
)


@dataclass(frozen=True)
class Chores:
    """Each is safe to do twice and from several workers."""

    store: Store
    queue: Queue
    clock: Clock
    api_log_days: int

    def say_alive(self) -> None:
        """Write down that a worker is at work now."""
        row = {"name": WORKER, "at": self.clock()}
        with self.store.begin() as db:
            db.execute(insert(WorkerSeen).values(row).on_conflict_do_update(index_elements=["name"], set_=row))

    def purge(self) -> None:
        """Forget calls older than the operator keeps them, and proofs and states whose time is over."""
        now = self.clock()
        with self.store.begin() as db:
            db.execute(delete(ApiCall).where(ApiCall.at < now - timedelta(days=self.api_log_days)))
            db.execute(delete(Proof).where(Proof.expires_at < now))
            db.execute(delete(Spent).where(Spent.expires_at < now))

    def revive(self) -> int:
        """Give a job to every run that should be moving and has none; how many there were.

        A step records its results and asks for the next one in one transaction, so this finds only what a killed
        worker left, after the engine has ended that worker's job.
        """
        with self.store.begin() as db:
            in_flight = exists().where(RunItem.run_id == Run.id, RunItem.state == ItemState.RUNNING)
            stopped = select(Run.id).where(Run.state.in_(FINAL_STATES), in_flight)
            moving = select(Run).where(Run.state.in_((RunState.QUEUED, RunState.RUNNING)) | Run.id.in_(stopped))
            runs = list(db.scalars(moving.with_for_update(skip_locked=True)))
            living = set(db.scalars(LIVING_JOBS)) if runs else set()
            lost = [run for run in runs if str(run.id) not in living]
            for run in lost:
                self.queue.step(db, run.id, run.member_id)
                log.warning("run_revived", run=str(run.id))
        return len(lost)
