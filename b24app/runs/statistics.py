"""The history at a glance: who gave orders, and what came of them week by week.

Weeks begin on Monday in the asker's zone. Counted is what was really changed, by the day a run ended.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from sqlalchemy import ColumnElement, DateTime, func, select
from sqlalchemy.dialects.postgresql import array, distinct_on

from b24app.clock import Clock
from b24app.domain import Action, Actor, ItemState
from b24app.store.db import Store
from b24app.store.models import Run, RunItem

WEEKS = 8
MOST_PEOPLE = 200


@dataclass(frozen=True)
class Week:
    """What happened to pages in one week; `start` is its Monday."""

    start: date
    unpublished: int = 0
    published: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All pages that something was tried with."""
        return self.unpublished + self.published + self.failed


@dataclass(frozen=True)
class Person:
    """Somebody who gave an order on this portal."""

    user_id: int
    name: str


class Statistics:
    """Asks across all runs of one portal."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def people(self, actor: Actor) -> list[Person]:
        """Everybody who ever gave an order here, by name; the newest name of each."""
        newest = (
            select(Run.created_by, Run.created_name)
            .where(Run.member_id == actor.member_id)
            .ext(distinct_on(Run.created_by))
            .order_by(Run.created_by, Run.created_at.desc())
            .limit(MOST_PEOPLE)
        )
        with self._store.begin() as db:
            found = [Person(user_id, name) for user_id, name in db.execute(newest)]
        return sorted(found, key=lambda person: person.name.casefold())

    def weeks(self, actor: Actor, zone: tzinfo) -> list[Week]:
        """The last weeks, the oldest first, this one last; empty where a comparison would be one bar, or none."""
        today = self._clock().astimezone(zone).date()
        monday = today - timedelta(days=today.weekday())
        first = monday - timedelta(weeks=WEEKS - 1)
        starts = [first + timedelta(weeks=number) for number in range(WEEKS)]
        instants = [datetime.combine(start, time(), zone) for start in starts]
        # Which week is counted off here and not by the database, whose list of zones may be another.
        week = func.width_bucket(Run.finished_at, array(instants, type_=DateTime(timezone=True))).label("week")
        query = (
            select(week, _number(Action.UNPUBLISH), _number(Action.PUBLISH), _number(None))
            .join(RunItem, RunItem.run_id == Run.id)
            .where(Run.member_id == actor.member_id, Run.finished_at >= instants[0])
            .group_by("week")
        )
        with self._store.begin() as db:
            found = {starts[row[0] - 1]: Week(starts[row[0] - 1], *row[1:]) for row in db.execute(query)}
        if sum(week.total > 0 for week in found.values()) < 2:
            return []
        return [found.get(start, Week(start)) for start in starts]


def _number(action: Action | None) -> ColumnElement[int]:
    """How many pages an action changed; without one, how many failed."""
    if action is None:
        return func.count().filter(RunItem.state == ItemState.FAILED)
    return func.count().filter(RunItem.state == ItemState.SUCCEEDED, Run.action == action)
