"""What the portal tells of the app itself: installed, updated, paid for, removed.

Events come once, late, twice or never, so each is safe to repeat and none is needed: frames and error codes heal what
was lost. The application token proves an event; where it is missing or differs, only an access token that the
authorization server vouches for does. A removal is marked at once, in one transaction, and what is to be forgotten is
deleted after the answer.
Source: events docs; threats.md, rows 5 to 8.
"""

import hmac
from datetime import datetime

import structlog
from sqlalchemy import delete, exists, literal, select, update
from sqlalchemy.orm import Session

from b24app.bitrix.forms import EventPost
from b24app.clock import Clock
from b24app.errors import Forged, NotInstalled, PaymentRequired
from b24app.installs import Installs
from b24app.perform import Perform
from b24app.store.db import Store
from b24app.store.models import ApiCall, Portal, Proof, Run, RunItem, User, UserToken
from b24app.store.queue import Queue
from b24app.store.vault import fingerprint
from b24app.terms import ItemState, RunState

log = structlog.get_logger()
INSTALLED, UPDATED, REMOVED, PAID = "ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT"
YES = ("1", "Y", "true")
OPEN_RUNS = [state for state in RunState if not state.is_final]


class Lifecycle:
    """Hears events and forgets portals."""

    def __init__(self, store: Store, installs: Installs, perform: Perform, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._installs = installs
        self._perform = perform
        self._queue = queue
        self._clock = clock

    def hear(self, event: EventPost) -> None:
        """Do what a proven event says. Raises Forged (or NotGenuine) and changes nothing for any other;
        AuthorizationUnavailable when its access token cannot be looked at.
        """
        known = self._is_proven(event)
        log.info("event", event_name=event.event, member_id=event.auth.member_id, proven=known, ts=event.ts)
        if event.event in (INSTALLED, UPDATED):
            if known:
                self._bindings_are_gone(event)
            else:
                self._installs.hear(event)
        elif not known:
            raise Forged("event_without_proof")
        elif event.event == REMOVED:
            self._remove(event)
        elif event.event == PAID:
            self._paid(event)

    def _is_proven(self, event: EventPost) -> bool:
        said = event.auth.application_token
        with self._store.begin() as db:
            portal = db.get(Portal, event.auth.member_id)
        kept = portal.application_token_sha256 if portal else None
        return hmac.compare_digest(kept or "", fingerprint(said or "")) and bool(kept and said)

    def _bindings_are_gone(self, event: EventPost) -> None:
        """Bitrix24 wipes an app's handlers when it is installed or updated: the next administrator's open binds."""
        with self._store.begin() as db:
            portal = db.get(Portal, event.auth.member_id, with_for_update=True)
            if portal is not None and event.at > portal.installed_at:
                portal.bound_to = None

    def _paid(self, event: EventPost) -> None:
        """A payment opens what its lack had closed; a lack of it is met, and said, at the next call."""
        if event.values.get("PAYMENT_EXPIRED", "N") in YES:
            return
        with self._store.begin() as db:
            portal = db.get(Portal, event.auth.member_id, with_for_update=True)
            if portal is not None and portal.suspended_code == PaymentRequired.code:
                portal.suspended_code = None
            self._perform.resume_portal(db, event.auth.member_id, PaymentRequired)

    # --- removal ---------------------------------------------------------------------------------------------------

    def _remove(self, event: EventPost) -> None:
        """Sessions and work end here and now; data goes after the answer."""
        clean = event.values.get("CLEAN") in YES
        with self._store.begin() as db:
            portal = db.get(Portal, event.auth.member_id, with_for_update=True)
            if portal is None or not portal.is_open or _is_of_an_earlier_install(event, portal):
                return
            now = self._clock()
            portal.uninstalled_at, portal.bound_to, portal.epoch = now, None, portal.epoch + 1
            db.execute(delete(Proof).where(Proof.member_id == portal.member_id))
            db.execute(delete(UserToken).where(UserToken.member_id == portal.member_id))
            _stop_runs(db, portal.member_id, now)
            self._queue.forget(db, portal.member_id, now, clean=clean)
            log.info("removed", member_id=portal.member_id, clean=clean)

    def forget(self, member_id: str, removed_at: datetime, *, clean: bool) -> None:
        """Delete everything of a removed portal, or what in its history tells of people. Repeatable.

        The portal may have been installed anew meanwhile: then only what is older than the removal goes.
        """
        with self._store.begin() as db:
            portal = db.get(Portal, member_id, with_for_update=True)
            if portal is None:
                return
            old_runs = (Run.member_id == member_id, Run.created_at <= removed_at)
            db.execute(delete(ApiCall).where(ApiCall.member_id == member_id, ApiCall.at <= removed_at))
            if clean:
                db.execute(delete(Run).where(*old_runs))
            else:
                _forget_people(db, old_runs)
            if portal.uninstalled_at == removed_at:
                db.execute(delete(Portal if clean else User).where((Portal if clean else User).member_id == member_id))
            else:
                has_token = exists().where(
                    UserToken.member_id == User.member_id, UserToken.user_id == User.user_id
                )  # fmt: skip
                db.execute(delete(User).where(User.member_id == member_id, ~has_token))


def _is_of_an_earlier_install(event: EventPost, portal: Portal) -> bool:
    """Late: it was put in the queue before the app was installed as it is now. Whole seconds, as `ts` counts them."""
    return bool(event.ts) and event.ts < int(portal.installed_at.timestamp())


def _stop_runs(db: Session, member_id: str, now: datetime) -> None:
    """Everything still open is cancelled, with the reason."""
    problem = {"code": NotInstalled.code, "class": NotInstalled.__name__, "method": None}
    stopped = (
        update(Run)
        .where(Run.member_id == member_id, Run.state.in_(OPEN_RUNS))
        .values(state=RunState.CANCELLED, finished_at=now, problem=problem)
        .returning(Run.id)
    )
    ids = list(db.scalars(stopped))
    left = (ItemState.PENDING, ItemState.RUNNING)
    db.execute(
        update(RunItem)
        .where(RunItem.run_id.in_(ids), RunItem.state.in_(left))
        .values(state=ItemState.CANCELLED)
    )  # fmt: skip


def _forget_people(db: Session, old_runs: tuple[object, ...]) -> None:
    """History stays: which pages, when, how it went. Who did it does not."""
    ids = select(Run.id).where(*old_runs)  # type: ignore[arg-type]
    states = {name: getattr(RunItem, name).op("-")(literal("modified_by")) for name in ("before", "after", "expected")}
    db.execute(update(RunItem).where(RunItem.run_id.in_(ids)).values(states))
    db.execute(
        update(Run)
        .where(*old_runs)  # type: ignore[arg-type]
        .values(created_by=0, created_name="", acting_as=0, acting_name="", idempotency_key=None, told_to=[])
    )
