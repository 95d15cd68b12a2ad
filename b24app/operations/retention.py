"""What goes by age, so that no history grows without end: ended runs, people nobody needs any more, dead tokens, and
the log of requests (contract, "Retention").

Everything goes in small portions, each a transaction of its own that passes over rows somebody holds: nobody waits for
it, it may stop at any moment, and it may run in several workers. The log goes by its index of time, in portions, too;
that costs the same for each row however long the log is, and needs no tables of days that somebody has to make.
"""

import math
import time
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, delete, func, or_, select, tuple_
from sqlalchemy.orm import aliased

from b24app.clock import Clock, utcnow
from b24app.domain import OPEN_STATES
from b24app.store.db import Store, repeated
from b24app.store.models import ApiCall, Base, Run, SystemToken, User, UserToken

RUNS, PEOPLE, TOKENS, CALLS = 25, 100, 500, 2_000  # of one portion; a run may have 5,000 pages
DEAD_AFTER = timedelta(days=200)  # a refresh token lives for 180
LONGEST_SECONDS = 600.0  # of one look, so that a worker is free again; the next one goes on


@dataclass(frozen=True)
class Due:
    """How many of each go."""

    runs: int
    people: int
    tokens: int
    calls: int


class Retention:
    """Each verb is safe to do twice and from several workers."""

    def __init__(self, store: Store, history_months: int, api_log_days: int, clock: Clock = utcnow) -> None:
        self._store = store
        self._history_months = history_months
        self._api_log_days = api_log_days
        self._clock = clock

    @property
    def kept_since(self) -> datetime:
        """Runs that ended before this moment go."""
        return months_before(self._clock(), self._history_months)

    def due(self) -> Due:
        """What would go now. People whose last run is among those that go are not counted yet."""
        with self._store.begin() as db:
            numbers = [db.scalar(select(func.count()).select_from(each.subquery())) or 0 for each in self._queries()]
        return Due(*numbers)

    def carry_out(self, seconds: float = LONGEST_SECONDS) -> Due:
        """Let go what is due, for so long at most; how much went."""
        until = time.monotonic() + seconds
        return Due(*(_until_none(step, until) for step in (self._runs, self._people, self._tokens, self._calls)))

    def forget_calls(self) -> int:
        """Let all of the log go that is due; how many calls."""
        return _until_none(self._calls, math.inf)

    def _queries(self) -> Iterator[Select[*tuple[Any, ...]]]:
        yield self._old_runs()
        yield self._idle_people()
        yield self._dead_tokens()
        yield self._old_calls()

    # --- what goes ---------------------------------------------------------------------------------------------------

    def _old_runs(self) -> Select[*tuple[Any, ...]]:
        """Ended long ago. Of a window both halves go when both have."""
        other = aliased(Run)
        recent = or_(other.state.in_(OPEN_STATES), other.finished_at >= self.kept_since)
        halves = (other.id == Run.returns_run, other.returns_run == Run.id)
        alone = [~select(other.id).where(half, recent).exists() for half in halves]
        return select(Run.id).where(Run.finished_at < self.kept_since, *alone).order_by(Run.finished_at)

    def _idle_people(self) -> Select[*tuple[Any, ...]]:
        """In no run, and not seen since; of whom that is not known, only those without a token, which says more."""
        token = and_(UserToken.member_id == User.member_id, UserToken.user_id == User.user_id)
        unseen = and_(User.opened_at.is_(None), ~select(UserToken.user_id).where(token).exists())
        roles = (Run.created_by, Run.acting_as, Run.decided_by, Run.cancelled_by)
        runs = [select(Run.id).where(Run.member_id == User.member_id, role == User.user_id) for role in roles]
        absent = or_(User.opened_at < self.kept_since, unseen)
        return select(User.member_id, User.user_id).where(absent, *(~run.exists() for run in runs))

    def _dead_tokens(self) -> Select[*tuple[Any, ...]]:
        """Whose pair is older than any that can be renewed."""
        old = UserToken.obtained_at < self._clock() - DEAD_AFTER
        return select(UserToken.member_id, UserToken.user_id).where(old)

    def _old_calls(self) -> Select[*tuple[Any, ...]]:
        old = ApiCall.at < self._clock() - timedelta(days=self._api_log_days)
        return select(ApiCall.id).where(old).order_by(ApiCall.at)

    # --- a portion of each -------------------------------------------------------------------------------------------

    @repeated
    def _runs(self) -> int:
        with self._store.begin() as db:
            some = list(db.scalars(_free(self._old_runs(), Run, RUNS)))
            db.execute(delete(Run).where(Run.id.in_(some)))
            return len(some)

    @repeated
    def _people(self) -> int:
        with self._store.begin() as db:
            some = db.execute(_free(self._idle_people(), User, PEOPLE)).all()
            if some:
                db.execute(delete(User).where(tuple_(User.member_id, User.user_id).in_(some)))
            return len(some)

    @repeated
    def _tokens(self) -> int:
        with self._store.begin() as db:
            some = db.execute(_free(self._dead_tokens(), UserToken, TOKENS)).all()
            if some:
                db.execute(delete(UserToken).where(tuple_(UserToken.member_id, UserToken.user_id).in_(some)))
            db.execute(delete(SystemToken).where(SystemToken.obtained_at < self._clock() - DEAD_AFTER))
            return len(some)

    @repeated
    def _calls(self) -> int:
        with self._store.begin() as db:
            some = list(db.scalars(_free(self._old_calls(), ApiCall, CALLS)))
            db.execute(delete(ApiCall).where(ApiCall.id.in_(some)))
            return len(some)


def months_before(moment: datetime, months: int) -> datetime:
    """The same day and time so many months ago; the last day of a month that is shorter."""
    count = moment.year * 12 + moment.month - 1 - months
    year, month = count // 12, count % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))


def _free(query: Select[*tuple[Any, ...]], table: type[Base], most: int) -> Select[Any]:
    """Some of those rows that nobody holds, held from here on."""
    return query.limit(most).with_for_update(of=table, skip_locked=True, key_share=True)


def _until_none(step: Callable[[], int], until: float) -> int:
    """Portion after portion until there is none, or the time is over; how much went."""
    gone = 0
    while found := step():
        gone += found
        if time.monotonic() > until:
            break
    return gone
