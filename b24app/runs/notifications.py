"""What happened since: what ran, what failed, what waits and what may have to, told to each person until they say so.

Kept on the server, because the frame keeps nothing. An ended run is news to the one who ordered it and the one it ran
as, unless they saw it end. What waits is news to everybody who could go on with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from uuid import UUID

from sqlalchemy import or_

from b24app.clock import Clock
from b24app.domain import Actor, RunState
from b24app.permissions import Permissions
from b24app.runs.queries import RunQueries, RunView
from b24app.store.db import HELD, Store, repeated
from b24app.store.models import Run, User

OLDEST = timedelta(days=30)
MOST, MANY = 20, 200


@dataclass(frozen=True)
class Unseen:
    """What one person has not said to know yet, as of one moment; the newest first."""

    as_of: datetime
    ended: Sequence[RunView]
    waiting: Sequence[RunView]
    doubtful: Sequence[RunView]

    def __bool__(self) -> bool:
        return bool(self.ended or self.waiting or self.doubtful)


class Notifications:
    """Finds it, and remembers what was seen."""

    def __init__(self, store: Store, runs: RunQueries, permissions: Permissions, clock: Clock) -> None:
        self._store = store
        self._runs = runs
        self._permissions = permissions
        self._clock = clock

    def since_seen(self, actor: Actor) -> Unseen:
        """What this person has not said to know yet. Asks Bitrix24 only when something of somebody else waits."""
        now = self._clock()
        since = self._seen_at(actor) or now - OLDEST
        mine = or_(Run.created_by == actor.user_id, Run.acting_as == actor.user_id)
        untold = ~Run.seen_by.contains([actor.user_id])
        ended = self._runs.matching(actor, Run.finished_at > since, mine, untold, most=MOST)
        waiting = self._runs.matching(actor, Run.state == RunState.WAITING, Run.waiting_since > since, most=MOST)
        planned = self._runs.matching(actor, Run.state == RunState.SCHEDULED, Run.doubt.is_not(None), most=MANY)
        doubtful = [view for view in planned if _doubted_at(view.run) > since][:MOST]
        concerning = self._concerning(actor, [*waiting, *doubtful])
        return Unseen(
            now,
            ended,
            [view for view in waiting if view.run.id in concerning],
            [view for view in doubtful if view.run.id in concerning],
        )

    def _concerning(self, actor: Actor, views: Iterable[RunView]) -> frozenset[UUID]:
        """Runs of the person's own, and those they could take over: about all of them one question is asked."""
        mine = {view.run.id for view in views if actor.user_id in (view.run.created_by, view.run.acting_as)}
        others = {view.run.id: view.run.kind for view in views if view.run.id not in mine}
        sites = self._runs.sites_of_each(actor, others)
        places = {run_id: {(kind, site) for site in sites[run_id]} for run_id, kind in others.items()}
        allowed = self._permissions.publishable(actor, chain.from_iterable(places.values()))
        return frozenset(mine | {run_id for run_id, needed in places.items() if needed and needed <= allowed})

    def _seen_at(self, actor: Actor) -> datetime | None:
        with self._store.begin() as db:
            return db.get_one(User, (actor.member_id, actor.user_id)).seen_at

    @repeated
    def seen(self, actor: Actor, up_to: datetime) -> None:
        """Remember that the person knows what happened up to that moment; never moves back, never into the future."""
        moment = min(up_to, self._clock())
        with self._store.begin() as db:
            user = db.get_one(User, (actor.member_id, actor.user_id), with_for_update=HELD)
            user.seen_at = max(user.seen_at or moment, moment)


def _doubted_at(run: Run) -> datetime:
    return run.doubt.since if run.doubt and run.doubt.since else run.created_at
