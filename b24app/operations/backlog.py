"""What lies undone over all portals, as the figures and the doctor tell it. No portal and no person is named."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b24app.domain import RunState
from b24app.store.models import InboxEvent, Portal, Run

LATE = timedelta(minutes=2)  # a worker begins a run within seconds


@dataclass(frozen=True)
class Backlog:
    """What waits, for a person, a portal or a worker."""

    waiting_runs: int  # need a person, or a cause to end
    doubtful_runs: int  # set for a time, and would not go if it were now
    late_runs: int  # their time came, and nobody began
    stopped_portals: Mapping[str, int]  # by cause
    inbox_events: int  # proven, answered with 200, and not worked off
    oldest_event_at: datetime | None

    @classmethod
    def of(cls, db: Session, now: datetime) -> "Backlog":
        """As it stands."""
        runs = select(func.count()).select_from(Run)
        not_begun = Run.state.in_((RunState.SCHEDULED, RunState.QUEUED))
        causes = (
            select(Portal.suspended_code, func.count())
            .where(Portal.uninstalled_at.is_(None), Portal.suspended_code.is_not(None))
            .group_by(Portal.suspended_code)
        )
        events, oldest = db.execute(select(func.count(), func.min(InboxEvent.received_at))).one()
        return cls(
            waiting_runs=db.scalar(runs.where(Run.state == RunState.WAITING)) or 0,
            doubtful_runs=db.scalar(runs.where(Run.state == RunState.SCHEDULED, Run.doubt.is_not(None))) or 0,
            late_runs=db.scalar(runs.where(not_begun, Run.at < now - LATE)) or 0,
            stopped_portals={code: number for code, number in db.execute(causes) if code},
            inbox_events=events,
            oldest_event_at=oldest,
        )
