"""Jobs in the same database and the same transaction as what they are about (Procrastinate).

A job says only "look at run 7"; the run's row decides what happens. Jobs that work for a portal carry the portal as
their lock, so they take turns; a job set for a person's date never carries one, because it would hold up the portal's
other jobs until then. A date that is far has no job at all: every worker looks through all that wait each second, so
the run keeps its date and gets its job when it is near (`Schedule.enqueue_near`).
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

import procrastinate
from sqlalchemy import ColumnElement, text
from sqlalchemy.orm import Session

from b24app.clock import Clock

BEGIN, STEP, ENSURE, FORGET = "begin_run", "step_run", "ensure_run", "forget_portal"
WORK_EVENT = "work_event"
NEAR = timedelta(minutes=15)  # many times the pause between two looks for what is near
SEND_NOTICES = "send_notices"
WITH_JOBS = text(
    "select args->>'run' from procrastinate_jobs "
    "where status in ('todo', 'doing') and task_name = any(:tasks) and args->>'run' = any(:runs)"
)
JOBS_OF = text(
    "delete from procrastinate_jobs where status <> 'doing' "
    "and (lock = :portal or args->>'portal' = :portal or args->>'run' = any(:runs))"
)
WITH_WORK = text(
    "select args->>cast(:name as text) from procrastinate_jobs "
    "where status in ('todo', 'doing') and task_name = :task and args->>cast(:name as text) = any(:wanted)"
)
BY_STATUS = text("select status::text, count(*) from procrastinate_jobs group by status")
HAS_NO_BEGIN = text(
    "not exists (select from procrastinate_jobs j where j.args->>'run' = cast(runs.id as text)"
    " and j.status in ('todo', 'doing') and j.task_name = 'begin_run')"
)
NO_BEGIN = text(
    "delete from procrastinate_jobs where status = 'todo' and task_name = 'begin_run' and args->>'run' = :run"
)


class Queue:
    """Defers jobs inside the caller's transaction."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock

    @cached_property
    def _app(self) -> procrastinate.App:
        return procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=self._url))

    def begin(self, db: Session, run: UUID, at: datetime | None = None) -> None:
        """Look at the run at its time, or as soon as a worker is free. A far time gets its job when it is near."""
        if at is None or at < self._clock() + NEAR:
            self.begin_near(db, run, at)

    def begin_near(self, db: Session, run: UUID, at: datetime | None) -> None:
        """As `begin`, of a time that is known to be near."""
        self._defer(db, BEGIN, run, at=at)

    def begin_instead(self, db: Session, run: UUID, at: datetime) -> None:
        """As `begin`, in place of the job for the time before: that one would look like work still to come."""
        db.execute(NO_BEGIN, {"run": str(run)})
        self.begin(db, run, at)

    def step(self, db: Session, run: UUID, member_id: str, at: datetime | None = None) -> None:
        """Do one batch of the run, in the portal's turn, not before `at`."""
        self._defer(db, STEP, run, lock=member_id, at=at)

    def ensure(self, db: Session, run: UUID, at: datetime) -> None:
        """See at `at` that a run a web process took on was really ended."""
        self._defer(db, ENSURE, run, at=at)

    def forget(self, db: Session, member_id: str) -> None:
        """Delete what is not to be kept of a portal from which the app was removed."""
        raw = db.connection().connection.driver_connection
        self._app.configure_task(FORGET, allow_unknown=True, connection=raw).defer(portal=member_id)

    def work_event(self, db: Session, event: int, member_id: str) -> None:
        """Work an event of the inbox off, in the turn of the portal's events."""
        raw = db.connection().connection.driver_connection
        lock = f"events {member_id}"  # not scheduled ever: a job of a later time would hold up all with this lock
        self._app.configure_task(WORK_EVENT, allow_unknown=True, lock=lock, connection=raw).defer(event=event)

    def send_notices(self, db: Session, member_id: str) -> None:
        """Tell people of a portal what is due, in the turn of the portal's notices, which holds up no run."""
        raw = db.connection().connection.driver_connection
        lock = f"notices {member_id}"  # not scheduled ever, as with events
        self._app.configure_task(SEND_NOTICES, allow_unknown=True, lock=lock, connection=raw).defer(portal=member_id)

    def _defer(self, db: Session, task: str, run: UUID, *, lock: str | None = None, at: datetime | None = None) -> None:
        raw = db.connection().connection.driver_connection
        self._app.configure_task(
            task,
            allow_unknown=True,
            lock=lock,
            schedule_at=at,
            connection=raw,
        ).defer(run=str(run))


def without_begin() -> ColumnElement[bool]:
    """In SQL, of the table of runs: no job waits, or is being done, to begin the run."""
    return HAS_NO_BEGIN  # type: ignore[return-value]  # a text is a condition, too


def with_jobs(db: Session, runs: Collection[UUID], tasks: Sequence[str] = (BEGIN, STEP, ENSURE)) -> set[UUID]:
    """Which of these runs have a job of these tasks that waits or is being done."""
    if not runs:
        return set()
    rows = db.scalars(WITH_JOBS, {"runs": [str(run) for run in runs], "tasks": list(tasks)})
    return {UUID(run) for run in rows}


def events_with_jobs(db: Session, events: Collection[int]) -> set[int]:
    """Which of these events of the inbox have a job that waits or is being done."""
    wanted = {"name": "event", "task": WORK_EVENT, "wanted": [str(event) for event in events]}
    return {int(event) for event in db.scalars(WITH_WORK, wanted)} if events else set()


def portals_with_jobs(db: Session, portals: Collection[str], task: str = FORGET) -> set[str]:
    """Which of these portals have a job of this task that waits or is being done; unless told, one to forget them."""
    wanted = {"name": "portal", "task": task, "wanted": list(portals)}
    return set(db.scalars(WITH_WORK, wanted)) if portals else set()


def delete_jobs(db: Session, member_id: str, runs: Collection[UUID]) -> None:
    """The jobs of a portal and of these runs, but for one that is being done."""
    db.execute(JOBS_OF, {"portal": member_id, "runs": [str(run) for run in runs]})


def jobs_by_status(db: Session) -> dict[str, int]:
    """How many jobs there are in each state of the engine's."""
    return dict(db.execute(BY_STATUS).all())
