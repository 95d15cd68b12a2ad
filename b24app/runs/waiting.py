"""Runs that wait, and what lets them go on: their person is back, the portal's cause has ended, a colleague takes over.

A wrong client secret or a missing key in a deploy must cost nobody a page that was to come down: what ends the cause is
a restart with other settings, which nobody in a portal can see. So a worker asks now and then, and only while runs wait
for such a cause: the authorization server whether it accepts us, the vault whether it opens.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from b24app.bitrix.oauth import AuthorizationServers
from b24app.clock import Clock
from b24app.domain import Actor, RunState, UserRef
from b24app.errors import KeyMissing, NotPossibleNow, OperatorError, PortalError
from b24app.runs import occasions
from b24app.runs.lateness import waits_for_a_decision
from b24app.runs.states import hand_over, lock_runs, may_change_hands, pair, run_of
from b24app.store.db import Store, repeated
from b24app.store.models import Portal, Run
from b24app.store.queue import Queue
from b24app.tokens.stops import STOPPING
from b24app.tokens.user_tokens import Tokens

log = structlog.get_logger()
ASKED_OFTEN = timedelta(hours=1)  # from the beginning of the wait; after that the look ahead asks each hour
ASKED_AT_ONCE, SECONDS = 20, 10


class WaitingRuns:
    """Lets waiting runs go on. Each verb is safe to do twice."""

    def __init__(self, store: Store, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock

    @repeated
    def resume_for(self, user: UserRef) -> None:
        """The person is back with a living token: what waited for them goes on."""
        with self._store.begin() as db:
            portal = db.get(Portal, user.member_id, with_for_update={"read": True})
            if portal is None or not portal.is_open:
                return
            mine = (Run.member_id == user.member_id, Run.acting_as == user.user_id)
            if lock_runs(db, user.member_id, (RunState.WAITING,)):
                # in the order of their times, so that the last one wins
                query = select(Run).where(*mine, Run.state == RunState.WAITING).order_by(Run.at, Run.created_at)
                waiting = db.scalars(query).all()
                self._resume(db, [run for run in waiting if not waits_for_a_decision(run)])
                if portal.suspended_code is None:
                    for cause in STOPPING:
                        self._resume_waiting(db, user.member_id, cause)
            doubtful = update(Run).where(*mine, Run.state == RunState.SCHEDULED, Run.doubt.is_not(None))
            db.execute(doubtful.values(checked_at=None))  # the cause may be gone: the next look ahead asks again

    @repeated
    def resume_portal(self, member_id: str, cause: type[PortalError]) -> int:
        """What a portal's runs waited for has come: those that waited for just this go on; how many."""
        with self._store.begin() as db:
            return self.resume_in(db, member_id, (cause,))

    def resume_in(self, db: Session, member_id: str, causes: Sequence[type[PortalError]]) -> int:
        """As `resume_portal`, for several causes, in the caller's transaction."""
        lock_runs(db, member_id, (RunState.WAITING,))
        return sum(self._resume_waiting(db, member_id, cause) for cause in causes)

    def _resume_waiting(self, db: Session, member_id: str, cause: type[PortalError]) -> int:
        waiting = (Run.member_id == member_id, Run.state == RunState.WAITING)
        runs = db.scalars(select(Run).where(*waiting, Run.stopped_by(cause))).all()
        self._resume(db, runs)
        return len(runs)

    @repeated
    def take_over(self, actor: Actor, run_id: UUID) -> None:
        """The run that waits, or will have to, goes on with the actor's own rights. Raises NotFound, NotPossibleNow."""
        with self._store.begin() as db:
            halves = pair(db, run_of(db, actor, run_id).id)
            if not may_change_hands(halves.run, actor.user_id):
                raise NotPossibleNow()
            before, now = {run.id: run.acting_as for run in halves.open}, self._clock()
            hand_over(halves, actor, now)
            for run in halves.open:
                if run.acting_as != before[run.id]:
                    occasions.changed_hands(db, run, before[run.id], now)
            if halves.run.state is RunState.WAITING:
                self._resume(db, [halves.run])

    def _resume(self, db: Session, waiting: Iterable[Run]) -> None:
        for run in waiting:
            run.state, run.tries, run.problem, run.started_at = RunState.QUEUED, 0, None, None
            self._queue.step(db, run.id, run.member_id)


class Recovery:
    """Safe to do twice and from several workers: a run that still has to wait waits again."""

    def __init__(
        self, store: Store, oauth: AuthorizationServers, tokens: Tokens, waiting: WaitingRuns, clock: Clock
    ) -> None:
        self._store = store
        self._oauth = oauth
        self._tokens = tokens
        self._waiting = waiting
        self._clock = clock

    def resume(self) -> int:
        """Let runs go on whose cause has ended; how many."""
        resumed = self._resume_after(OperatorError, self._accepted()) + self._resume_after(KeyMissing, self._opening())
        return resumed + sum(self._resume_after(cause, self._answering(cause)) for cause in STOPPING)

    def _resume_after(self, cause: type[PortalError], portals: Iterable[str]) -> int:
        resumed = sum(self._waiting.resume_portal(member_id, cause) for member_id in portals)
        if resumed:
            log.info("runs_resumed", cause=cause.key, runs=resumed)
        return resumed

    def _accepted(self) -> list[str]:
        """Portals with runs that wait for right credentials, if their authorization server accepts ours now."""
        query = select(Portal.member_id, Portal.oauth_server).join(Run, Run.member_id == Portal.member_id)
        with self._store.begin() as db:
            portals = dict(db.execute(query.where(_waits_for(OperatorError)).distinct()).all())
        servers = {server for server in portals.values() if self._accepts_us(server)}
        return [member_id for member_id, server in portals.items() if server in servers]

    def _accepts_us(self, server: str) -> bool:
        try:
            self._oauth.check_credentials(self._oauth.choose(server))
        except PortalError:
            return False
        return True

    def _opening(self) -> list[str]:
        """Portals with runs that wait for a key, where the token of at least one of their actors opens now."""
        query = select(Run.member_id, Run.acting_as).where(_waits_for(KeyMissing)).distinct()
        with self._store.begin() as db:
            actors = [UserRef(member_id, user_id) for member_id, user_id in db.execute(query)]
        return sorted({actor.member_id for actor in actors if self._opens(actor)})

    def _answering(self, cause: type[PortalError]) -> list[str]:
        """Portals that do not stand still, with runs that were refused as if they did, where an actor is answered now:
        the refusal was never confirmed, or it was one of a renewal.
        """
        recent = Run.waiting_since > self._clock() - ASKED_OFTEN
        working = (Portal.suspended_code.is_(None), Portal.uninstalled_at.is_(None))
        query = select(Run.member_id, Run.acting_as).join(Portal, Portal.member_id == Run.member_id).distinct()
        with self._store.begin() as db:
            rows = db.execute(query.where(_waits_for(cause), recent, *working).limit(ASKED_AT_ONCE))
            actors = [UserRef(member_id, user_id) for member_id, user_id in rows]
        return sorted({actor.member_id for actor in actors if self._is_answered(actor)})

    def _is_answered(self, actor: UserRef) -> bool:
        try:
            self._tokens.call(actor, "app.info", timeout=SECONDS)
        except PortalError:
            return False
        return True

    def _opens(self, actor: UserRef) -> bool:
        try:
            self._tokens.load(actor)
        except PortalError:
            return False
        return True


def _waits_for(cause: type[PortalError]) -> ColumnElement[bool]:
    return and_(Run.state == RunState.WAITING, Run.stopped_by(cause))
