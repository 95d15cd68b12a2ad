"""What is left when the app is removed from a portal: nothing, or its history without people.

At once, in the transaction of the event: work and sessions end, tokens, people and the log of calls are gone. What
takes longer, because it is much, a job does; the hourly purge does it where the job was lost.
"""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, or_, select, text, update
from sqlalchemy.orm import Session

from b24app.clock import Clock
from b24app.domain import OPEN_STATES, ItemState, RunState
from b24app.errors import AppRemoved, RecordedProblem
from b24app.store.db import Store
from b24app.store.models import ApiCall, Portal, Run, RunItem, User, VerifiedToken
from b24app.store.queue import Queue, delete_jobs

log = structlog.get_logger()

NOBODY = 0  # the user id of a history without people
HISTORY_KEPT = timedelta(days=365)
MANY = 100
WITHOUT_PEOPLE = text(
    "update run_items set before = before - 'modified_by', after = after - 'modified_by', "
    "expected = expected - 'modified_by' "
    "from runs where runs.id = run_items.run_id and runs.member_id = :portal and runs.created_by = :nobody"
)


class Removal:
    """Ends an installation and forgets what is not to be kept. Each verb is safe to do twice."""

    def __init__(self, store: Store, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock

    def close(self, db: Session, portal: Portal, *, erase: bool) -> None:
        """The app was removed. The caller holds the portal's open runs and then its row (`lock_runs`), in this order,
        as everybody does who changes both.
        """
        now = self._clock()
        portal.uninstalled_at, portal.to_be_erased = now, erase
        portal.epoch += 1
        portal.application_token_sha256 = portal.bound_to = portal.suspended_code = portal.paused_until = None
        _stop_runs(db, portal.member_id, now)
        _forget_people(db, portal.member_id)
        self._queue.forget(db, portal.member_id)
        log.warning("app_removed", member_id=portal.member_id, erase=erase)

    def forget(self, member_id: str) -> None:
        """All of a portal that was removed with its data; else what of its pages' states names a person."""
        with self._store.begin() as db:
            portal = db.get(Portal, member_id, with_for_update=True)
            if portal is None:
                return
            if portal.to_be_erased:
                erase(db, portal)
            else:
                db.execute(WITHOUT_PEOPLE, {"portal": member_id, "nobody": NOBODY})

    def forget_due(self) -> int:
        """Erase what a lost job left, and the history of portals that were left a year ago; how many portals."""
        past = Portal.uninstalled_at < self._clock() - HISTORY_KEPT
        with self._store.begin() as db:
            due = select(Portal).where(or_(Portal.to_be_erased, past)).limit(MANY)
            portals = list(db.scalars(due.with_for_update(skip_locked=True)))
            for portal in portals:
                erase(db, portal)
        return len(portals)


def erase(db: Session, portal: Portal) -> None:
    """Nothing of the portal is left: people, tokens, proofs, runs, calls and waiting jobs go with it."""
    runs = db.scalars(select(Run.id).where(Run.member_id == portal.member_id)).all()
    delete_jobs(db, portal.member_id, runs)
    db.execute(delete(Portal).where(Portal.member_id == portal.member_id))
    log.warning("portal_erased", member_id=portal.member_id)


def _stop_runs(db: Session, member_id: str, now: datetime) -> None:
    """A batch that is on its way writes what it did; while a run waits there is none."""
    moving = (Run.member_id == member_id, Run.state.in_(OPEN_STATES))
    idle = select(Run.id).where(*moving, Run.state == RunState.WAITING)
    left = or_(RunItem.state == ItemState.PENDING, RunItem.run_id.in_(idle) & (RunItem.state == ItemState.RUNNING))
    stopped = update(RunItem).where(RunItem.run_id.in_(select(Run.id).where(*moving)), left)
    db.execute(stopped.values(state=ItemState.CANCELLED), execution_options={"synchronize_session": False})
    why = RecordedProblem.of(AppRemoved)
    ended = update(Run).where(*moving).values(state=RunState.CANCELLED, finished_at=now, problem=why)
    db.execute(ended, execution_options={"synchronize_session": False})


def _forget_people(db: Session, member_id: str) -> None:
    """Names, user ids and whatever acts or is proven for them; tokens go with their users."""
    for table in (VerifiedToken, ApiCall, User):
        db.execute(delete(table).where(table.member_id == member_id))
    nameless = {"created_by": NOBODY, "created_name": "", "acting_as": NOBODY, "acting_name": "", "seen_by": []}
    keyless = {"idempotency_key": None, "order_sha256": None, "decided_by": None}
    db.execute(
        update(Run).where(Run.member_id == member_id).values(**nameless, **keyless),
        execution_options={"synchronize_session": False},
    )
