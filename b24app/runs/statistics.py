"""The history at a glance: who gave orders, and what came of them week by week.

Weeks begin on Monday in the asker's zone. Counted is what was really changed, by the day a run ended. An ended run
keeps how many of its pages came to what (`tally`), so years of history are not read page by page; the few that are not
counted yet are.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from sqlalchemy import ColumnElement, DateTime, Integer, Select, func, select, type_coerce, union_all
from sqlalchemy.dialects.postgresql import JSONB, array

from b24app.clock import Clock
from b24app.domain import Action, Actor, ItemState
from b24app.store.db import Store, repeated
from b24app.store.models import Run, RunItem, User

WEEKS = 8
MOST_PEOPLE = 200
MANY = 500  # runs counted in one transaction


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
        """Everybody whose orders are in the history, by name. Whoever gave one is known as long as it is kept."""
        ordered = select(Run.id).where(Run.member_id == User.member_id, Run.created_by == User.user_id)
        known = select(User.user_id, User.name).where(User.member_id == actor.member_id, ordered.exists())
        with self._store.begin() as db:
            found = [Person(user_id, name) for user_id, name in db.execute(known.limit(MOST_PEOPLE))]
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
        recent = (Run.member_id == actor.member_id, Run.finished_at >= instants[0])
        counted = select(week, *_sums()).where(*recent, Run.tally.is_not(None))
        of_items = select(week, *_numbers()).join(RunItem, RunItem.run_id == Run.id)
        uncounted = of_items.where(*recent, Run.finished_at.is_not(None), Run.tally.is_(None))
        sums: Counter[tuple[int, int]] = Counter()
        both = union_all(counted.group_by("week"), uncounted.group_by("week"))
        with self._store.begin() as db:
            for number, *sizes in db.execute(both):
                sums.update({(number, which): size for which, size in enumerate(sizes)})
        weeks = [Week(start, *(sums[number, which] for which in range(3))) for number, start in enumerate(starts, 1)]
        return weeks if sum(each.total > 0 for each in weeks) > 1 else []

    def count(self) -> int:
        """Count the items of ended runs that are not counted yet; how many runs."""
        counted = 0
        while found := self._count_some():
            counted += found
        return counted

    @repeated
    def _count_some(self) -> int:
        """Not those with a request still under way: what came of it is written later."""
        under_way = select(RunItem.position).where(RunItem.run_id == Run.id, RunItem.state == ItemState.RUNNING)
        ended = (Run.finished_at.is_not(None), Run.tally.is_(None), ~under_way.exists())
        some = select(Run).where(*ended).limit(MANY).with_for_update(skip_locked=True, key_share=True)
        with self._store.begin() as db:
            runs = db.scalars(some).all()
            tallies: dict[object, dict[str, int]] = {run.id: {} for run in runs}
            for run_id, state, number in db.execute(_by_state().where(RunItem.run_id.in_(tallies))):
                tallies[run_id][state.value] = number
            for run in runs:
                run.tally = tallies[run.id]
        return len(runs)


def _by_state() -> Select[object, ItemState, int]:
    return select(RunItem.run_id, RunItem.state, func.count()).group_by(RunItem.run_id, RunItem.state)


def _numbers() -> tuple[ColumnElement[int], ...]:
    """How many pages each action changed, and how many failed, from the items."""
    done, failed = (RunItem.state == state for state in (ItemState.SUCCEEDED, ItemState.FAILED))
    by_action = [func.count().filter(done, Run.action == action) for action in (Action.UNPUBLISH, Action.PUBLISH)]
    return *by_action, func.count().filter(failed)


def _sums() -> tuple[ColumnElement[int], ...]:
    """The same from what was counted."""
    done, failed = (func.coalesce(_tallied(state), 0) for state in (ItemState.SUCCEEDED, ItemState.FAILED))
    by_action = [func.sum(done).filter(Run.action == action) for action in (Action.UNPUBLISH, Action.PUBLISH)]
    return *(func.coalesce(each, 0) for each in by_action), func.sum(failed)


def _tallied(state: ItemState) -> ColumnElement[int]:
    counted: ColumnElement[int] = type_coerce(Run.tally, JSONB)[state.value].astext.cast(Integer)
    return counted
