"""What is left when the app is removed from a portal: nothing, or its history without people.

At once, in one transaction: sessions and work end, names and proofs are gone. Right after it tokens, people and the log
of calls: not in the same transaction, because a renewal may hold a token's row over its request, and nobody waits for
that while he holds the portal. What takes longer, because it is much, a job does in portions. Each verb is safe to do
twice, and what a killed worker left is found by the marks on the portal (`forget_due`).
"""

import math
import time
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, or_, select, text, update
from sqlalchemy.orm import Session

from b24app.clock import Clock
from b24app.domain import OPEN_STATES, ItemState, RunState
from b24app.errors import AppRemoved, RecordedProblem
from b24app.runs.states import NOBODY, lock_runs
from b24app.store.db import HELD, Store, repeated
from b24app.store.models import ApiCall, Notice, Portal, Run, RunItem, SystemToken, User, UserToken, VerifiedToken
from b24app.store.queue import Queue, delete_jobs, portals_with_jobs

log = structlog.get_logger()

HISTORY_KEPT = timedelta(days=365)
MANY = 100
PORTION = 25  # runs at once, of up to 5,000 pages each
WITHOUT_PEOPLE = text(
    "update run_items set before = before - 'modified_by', after = after - 'modified_by', "
    "expected = expected - 'modified_by' where run_id = any(:runs)"
)
UNSAID = {"cancelled_by": None, "cancelled_name": None}


class Removal:
    """Ends an installation and forgets what is not to be kept."""

    def __init__(self, store: Store, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock

    def remove(self, member_id: str, *, erase: bool, installed_before: datetime | None = None) -> bool:
        """The app was removed: close the portal and forget its people; False when there is nothing to close.

        installed_before  only an installation that began before this moment
        """
        closed = self._close_if_open(member_id, erase, installed_before)
        if closed:
            self.forget_people(member_id)
        return closed

    @repeated
    def _close_if_open(self, member_id: str, erase: bool, installed_before: datetime | None) -> bool:
        with self._store.begin() as db:
            portal = db.get(Portal, member_id, with_for_update=HELD, populate_existing=True)
            if portal is None or not portal.is_open:
                return False
            if installed_before is not None and portal.installed_at > installed_before:
                return False
            self.close(db, portal, erase=erase)
            return True

    def close(self, db: Session, portal: Portal, *, erase: bool) -> None:
        """End the installation. The caller holds the portal's row, and then forgets its people or leaves it to the job:
        in this order, as everybody does who changes a portal and its runs.
        """
        now = self._clock()
        lock_runs(db, portal.member_id)
        portal.uninstalled_at, portal.to_be_erased, portal.to_be_forgotten = now, erase, True
        portal.epoch += 1
        portal.application_token_sha256 = portal.bound_to = portal.paused_until = None
        portal.suspended_code = portal.suspended_at = portal.ask_again_at = None
        _stop_runs(db, portal.member_id, now)
        _forget_names(db, portal.member_id)
        self._queue.forget(db, portal.member_id)
        log.warning("app_removed", member_id=portal.member_id, erase=erase)

    # --- what may take longer ------------------------------------------------------------------------------------

    @repeated
    def forget_people(self, member_id: str) -> None:
        """People and tokens of a portal that is closed. May wait for a renewal under way, and holds nothing meanwhile
        that anybody else needs; whoever is stored by a reinstall later is not among them.
        """
        closed = select(Portal.member_id).where(Portal.member_id == member_id, Portal.uninstalled_at.is_not(None))
        with self._store.begin() as db:
            for table in (SystemToken, UserToken, User, ApiCall):  # calls last: who logs one holds its person's row
                db.execute(delete(table).where(table.member_id.in_(closed)))

    def forget(self, member_id: str) -> None:
        """All of a portal that was removed with its data; else what names a person there."""
        self.forget_people(member_id)
        if self._is_to_be_erased(member_id):
            self.erase(member_id)
            return
        after = None
        while (after := self._forget_portion(member_id, after)) is not None:
            pass

    def _is_to_be_erased(self, member_id: str) -> bool:
        with self._store.begin() as db:
            return bool(db.scalar(select(Portal.to_be_erased).where(Portal.member_id == member_id)))

    @repeated
    def _forget_portion(self, member_id: str, after: object) -> object:
        """Take people out of the pages' states of some nameless runs; the last of them, None when all are done."""
        nameless = select(Run.id).where(Run.member_id == member_id, Run.created_by == NOBODY)
        rest = nameless if after is None else nameless.where(Run.id > after)
        with self._store.begin() as db:
            runs = db.scalars(rest.order_by(Run.id).limit(PORTION)).all()
            if runs:
                db.execute(WITHOUT_PEOPLE, {"runs": list(runs)})
                left = Run.id.in_(runs) & Run.cancelled_by.is_not(None)  # by code before 0016
                db.execute(update(Run).where(left).values(UNSAID))
                return runs[-1]
            db.execute(update(Portal).where(Portal.member_id == member_id).values(to_be_forgotten=False))
            return None

    def erase(self, member_id: str, seconds: float = math.inf) -> bool:
        """Nothing of a portal that is marked for it is left: runs in portions, and then all the rest with it.

        False when it was more than could be done in so many seconds; the job does the rest.
        """
        until = time.monotonic() + seconds
        while self._erase_portion(member_id):
            if time.monotonic() > until:
                return False
        return True

    @repeated
    def _erase_portion(self, member_id: str) -> bool:
        """True while there is more."""
        with self._store.begin() as db:
            portal = db.get(Portal, member_id, with_for_update=HELD, populate_existing=True)
            if portal is None or portal.is_open or not portal.to_be_erased:
                return False
            runs = db.scalars(select(Run.id).where(Run.member_id == member_id).limit(PORTION)).all()
            if not runs:
                delete_portal(db, member_id)
                return False
            delete_jobs(db, member_id, runs)
            db.execute(delete(Run).where(Run.id.in_(runs)))
            return True

    def forget_due(self) -> int:
        """Do what a lost job left, and erase the history of portals that were left a year ago; how many portals."""
        due = self._due()
        for member_id in due:
            self.forget(member_id)
        return len(due)

    @repeated
    def _due(self) -> list[str]:
        past = Portal.uninstalled_at < self._clock() - HISTORY_KEPT
        marked = or_(Portal.to_be_erased, Portal.to_be_forgotten)
        with self._store.begin() as db:
            db.execute(update(Portal).where(past, ~Portal.to_be_erased).values(to_be_erased=True))
            portals = db.scalars(select(Portal.member_id).where(marked).limit(MANY)).all()
            busy = portals_with_jobs(db, portals)
        return [member_id for member_id in portals if member_id not in busy]


def delete_portal(db: Session, member_id: str) -> None:
    """The portal and all that hangs on it, in the caller's transaction: people, tokens, proofs, runs, calls, jobs."""
    runs = db.scalars(select(Run.id).where(Run.member_id == member_id)).all()
    delete_jobs(db, member_id, runs)
    db.execute(delete(Portal).where(Portal.member_id == member_id))
    log.warning("portal_erased", member_id=member_id)


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


def _forget_names(db: Session, member_id: str) -> None:
    """Names and user ids in the history, and what is proven for people."""
    db.execute(delete(VerifiedToken).where(VerifiedToken.member_id == member_id))
    db.execute(delete(Notice).where(Notice.member_id == member_id))
    nameless = {"created_by": NOBODY, "created_name": "", "acting_as": NOBODY, "acting_name": "", "seen_by": []}
    keyless = {"idempotency_key": None, "order_sha256": None, "decided_by": None}
    db.execute(
        update(Run).where(Run.member_id == member_id).values(**nameless, **keyless, **UNSAID),
        execution_options={"synchronize_session": False},
    )
