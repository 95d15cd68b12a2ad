"""Jobs in the same database and the same transaction as what they are about (Procrastinate).

A job says only "look at run 7"; the run's row decides what happens. Jobs that work for a portal carry the portal as
their lock, so they take turns; a job set for a person's date never carries one, because it would hold up the portal's
other jobs until then.
"""

from datetime import datetime
from functools import cached_property
from uuid import UUID

import procrastinate
from sqlalchemy import text
from sqlalchemy.orm import Session

BEGIN, STEP, ENSURE, FORGET = "begin_run", "step_run", "ensure_run", "forget_portal"
NO_BEGIN = text(
    "delete from procrastinate_jobs where status = 'todo' and task_name = 'begin_run' and args->>'run' = :run"
)


class Queue:
    """Defers jobs inside the caller's transaction."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _app(self) -> procrastinate.App:
        return procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=self._url))

    def begin(self, db: Session, run: UUID, at: datetime | None = None) -> None:
        """Look at the run at its time, or as soon as a worker is free."""
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

    def _defer(self, db: Session, task: str, run: UUID, *, lock: str | None = None, at: datetime | None = None) -> None:
        raw = db.connection().connection.driver_connection
        self._app.configure_task(
            task,
            allow_unknown=True,
            lock=lock,
            schedule_at=at,
            connection=raw,
        ).defer(run=str(run))
