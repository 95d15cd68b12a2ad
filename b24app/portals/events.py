"""Events of Bitrix24 are claims, too: what proves them, and what they change.

An event is proven by the secret the portal shares with us (`application_token`). A new or changed secret is taken only
with an access token that the authorization server vouches for; a removal brings none, so the secret alone proves it.
Events come late, twice, out of order or never: each is carried out once, and not when it is older than the present
installation. Source: event docs and the rest module's source; events are sent once and never again.
"""

from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from b24app.bitrix.forms import EventPost
from b24app.clock import Clock
from b24app.domain import UserRef
from b24app.errors import AuthorizationUnavailable, ForbiddenAddress, Forged, PaymentRequired
from b24app.portals.installs import Grant, Installs, matches_application_token
from b24app.portals.removal import Removal
from b24app.portals.verification import TokenClaim, Verifier
from b24app.runs.states import lock_runs
from b24app.runs.waiting import WaitingRuns
from b24app.store.db import Store
from b24app.store.models import Portal
from b24app.store.one_time import is_marked, mark_once

log = structlog.get_logger()

INSTALL, UPDATE, UNINSTALL, PAYMENT = "ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT"
YES = ("1", "y", "true")
REMEMBERED = timedelta(days=1)  # an identical post after that is older than any installation it could harm


class InstallEvents:
    """Carries proven events out."""

    def __init__(
        self, store: Store, verifier: Verifier, installs: Installs, removal: Removal, waiting: WaitingRuns, clock: Clock
    ) -> None:
        self._store = store
        self._proving = verifier
        self._installs = installs
        self._removal = removal
        self._waiting = waiting
        self._clock = clock

    def receive(self, post: EventPost, address: str) -> None:
        """Do what an event says, once. Raises Forged for one that proves nothing; then nothing was changed."""
        if self._was_carried_out(post):
            return
        if self._is_vouched_for(post):
            self._apply(post)
        elif post.event in (INSTALL, UPDATE) and post.auth.access_token and post.auth.application_token:
            self._adopt_secret(post, post.auth.access_token, post.auth.application_token, address)
        else:
            log.warning("event_refused", event_name=post.event, member_id=post.auth.member_id)
            raise Forged("event_not_proven")

    # --- proof -----------------------------------------------------------------------------------------------------

    def _was_carried_out(self, post: EventPost) -> bool:
        with self._store.begin() as db:
            return is_marked(db, post.digest)

    def _is_vouched_for(self, post: EventPost) -> bool:
        with self._store.begin() as db:
            portal = db.get(Portal, post.auth.member_id)
        return portal is not None and _has_secret(portal, post)

    # --- what it changes -------------------------------------------------------------------------------------------

    def _apply(self, post: EventPost) -> None:
        with self._store.begin() as db:
            lock_runs(db, post.auth.member_id)
            portal = db.get(Portal, post.auth.member_id, with_for_update=True, populate_existing=True)
            if not self._is_first(db, post) or portal is None or not _has_secret(portal, post):
                return  # carried out by another delivery while we waited for the row
            if _is_older(portal, post):
                return
            log.info("event", event_name=post.event, member_id=portal.member_id)
            if post.event == UNINSTALL:
                self._removal.close(db, portal, erase=post.values.get("CLEAN", "").lower() in YES)
            elif post.event == UPDATE:
                portal.bound_to = None  # Bitrix24 drops bindings at an update; the next open tells what is new
            elif post.event == INSTALL and post.ts:
                said = min(datetime.fromtimestamp(post.ts, UTC), self._clock())
                portal.installed_at = max(portal.installed_at, said)
        if post.event == PAYMENT and post.values.get("PAYMENT_EXPIRED") == "N":
            self._paid(post.auth.member_id)

    def _is_first(self, db: Session, post: EventPost) -> bool:
        """Mark the event as carried out; False when another delivery of it was."""
        return mark_once(db, post.digest, self._clock() + REMEMBERED)

    def _paid(self, member_id: str) -> None:
        """The cause of a stop has ended. An unpaid app is not stopped by the event: Bitrix24 gives it days of grace."""
        with self._store.begin() as db:
            portal = db.get(Portal, member_id, with_for_update=True)
            if portal is not None and (portal.suspended_code or "").upper() == PaymentRequired.code:
                portal.suspended_code = None
        self._waiting.resume_portal(member_id, PaymentRequired)

    def _adopt_secret(self, post: EventPost, access: str, secret: str, address: str) -> None:
        """An event with a secret we do not know: the access token in it must prove portal and app."""
        who = post.auth
        try:
            proven = self._proving.prove(TokenClaim(access, who.member_id, who.domain, who.server_endpoint, address))
        except (AuthorizationUnavailable, ForbiddenAddress):
            log.warning("event_not_verifiable", event_name=post.event, member_id=who.member_id)
            raise Forged("event_not_proven") from None
        if self._is_stale(post):
            return
        opening = self._installs.remember(proven, Grant(access, who.refresh_token, secret))
        if not self._is_kept(opening.user, secret):
            raise Forged("event_not_proven")
        with self._store.begin() as db:
            self._is_first(db, post)

    def _is_stale(self, post: EventPost) -> bool:
        with self._store.begin() as db:
            portal = db.get(Portal, post.auth.member_id)
        return portal is not None and portal.is_open and _is_older(portal, post)

    def _is_kept(self, user: UserRef, secret: str) -> bool:
        with self._store.begin() as db:
            return matches_application_token(db.get_one(Portal, user.member_id), secret)


def _has_secret(portal: Portal, post: EventPost) -> bool:
    """The portal's own secret, and the app is installed there as far as we know."""
    token = post.auth.application_token
    return portal.is_open and token is not None and matches_application_token(portal, token)


def _is_older(portal: Portal, post: EventPost) -> bool:
    """From before the present installation. A portal counts in whole seconds; an event that says no time is new."""
    older = 0 < post.ts < int(portal.installed_at.timestamp())
    if older:
        log.warning("event_too_old", event_name=post.event, member_id=portal.member_id, ts=post.ts)
    return older
