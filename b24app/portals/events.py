"""Events of Bitrix24 are claims, too: what proves them, and what they change.

At the door an event is proven and written into the inbox, nothing more: by the secret the portal shares with us
(`application_token`), or, where it brings another one, by its own access token, which the authorization server vouches
for. What it changes the worker does, again until it is done, and there the secret is not enough for what harms: each
employee can read it in their own frame. A removal is confirmed by `app.info` (threat 27b), a payment is a reason to ask
the portal, a new secret needs an administrator. Events come late, twice, out of order or never: each is carried out
once, and not when it is older than the present installation.
Source: event docs and the rest module's source; events are sent once and never again.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from b24app.bitrix.forms import TOKEN, EventPost
from b24app.clock import Clock
from b24app.deadline import within
from b24app.domain import read_id
from b24app.errors import (
    AuthorizationUnavailable,
    Blocked,
    ForbiddenAddress,
    Forged,
    KeyMissing,
    OperatorError,
    PaymentRequired,
    PortalError,
    Problem,
)
from b24app.portals.bindings import INSTALL, PAYMENT, UNINSTALL, UPDATE, USER_READY
from b24app.portals.inbox import Inbox, Later, Received
from b24app.portals.installs import Grant, Installs, matches_application_token
from b24app.portals.rate_limit import network_of
from b24app.portals.removal import Removal
from b24app.portals.status import PortalStatus, Presence
from b24app.portals.verification import TokenClaim, Verification, Verifier
from b24app.runs.waiting import WaitingRuns
from b24app.store.counts import FALSE_REMOVALS, count
from b24app.store.db import HELD, Store, repeated
from b24app.store.models import Portal
from b24app.store.one_time import is_marked
from b24app.tokens.system_user import SystemPair, SystemUser

log = structlog.get_logger()

YES = ("1", "y", "true")
KEPT_VALUES = ("CLEAN", "PAYMENT_EXPIRED", "VERSION")
AGAIN = tuple(timedelta(minutes=each) for each in (1, 5, 15, 60))  # a removal that is not true is asked about again
DECIDED_AFTER = timedelta(hours=24)  # a removal nobody can be asked about
LOOK_AGAIN = timedelta(minutes=30)  # meanwhile: somebody with a living token may have come
PARKED = timedelta(days=7)  # the system user's tokens wait so long for their installation
PARKED_PAUSE = timedelta(minutes=10)
DOOR_SECONDS = 0.9
SHAPE = re.compile(TOKEN)


class InstallEvents:
    """Takes proven events in, and carries them out."""

    def __init__(
        self, store: Store, verifier: Verifier, inbox: Inbox, installs: Installs, removal: Removal,
        status: PortalStatus, waiting: WaitingRuns, system_user: SystemUser, clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._verifier = verifier
        self._inbox = inbox
        self._installs = installs
        self._removal = removal
        self._status = status
        self._waiting = waiting
        self._system_user = system_user
        self._clock = clock
        self.door_seconds = DOOR_SECONDS
        self._works: dict[str, Callable[[Received], Later | None]] = {
            INSTALL: self._install, UPDATE: self._update, UNINSTALL: self._uninstall, PAYMENT: self._payment,
            USER_READY: self._user_ready,
        }  # fmt: skip

    # --- at the door -----------------------------------------------------------------------------------------------

    def receive(self, post: EventPost, address: str) -> None:
        """Write a proven event down, once. Raises Forged for one that proves nothing; then nothing was changed.

        It is answered at once whatever hangs, so the authorization server has little time to vouch for a new secret.
        """
        with within(self.door_seconds):
            self._receive(post, address)

    def _receive(self, post: EventPost, address: str) -> None:
        if self._was_received(post):
            return
        if post.event == USER_READY:
            self._inbox.put(self._proven_user_ready(post, address))
        elif self._has_secret(post):
            if post.event in self._works:
                self._inbox.put(_received(post), merge=True)
        elif post.event in (INSTALL, UPDATE) and post.auth.access_token and post.auth.application_token:
            self._prove(_claim(post, address), post)
            self._inbox.put(replace(_received(post), secret=_tokens_of(post)))
        else:
            raise _refused(post)

    def _was_received(self, post: EventPost) -> bool:
        with self._store.begin() as db:
            return is_marked(db, post.digest)

    def _has_secret(self, post: EventPost) -> bool:
        """It brings the portal's own secret, and the app is installed there as far as we know."""
        with self._store.begin() as db:
            portal = db.get(Portal, post.auth.member_id)
        token = post.auth.application_token
        return portal is not None and portal.is_open and token is not None and matches_application_token(portal, token)

    def _prove(self, claim: TokenClaim, post: EventPost) -> Verification:
        try:
            return self._verifier.prove(claim)
        except (Forged, AuthorizationUnavailable, ForbiddenAddress):
            raise _refused(post) from None

    def _proven_user_ready(self, post: EventPost, address: str) -> Received:
        """The system user's tokens prove themselves by `app.info`, before and after the installation is known. Where
        the authorization server is silent and the portal's secret is right, the worker asks later.
        """
        said = post.values
        access, refresh = said.get("access_token", ""), said.get("refresh_token", "")
        user_id = read_id(said.get("user_id"))
        if not (SHAPE.fullmatch(access) and SHAPE.fullmatch(refresh)) or user_id is None:
            raise _refused(post)
        server = said.get("server_endpoint") or post.auth.server_endpoint
        claim = TokenClaim(access, post.auth.member_id, None, server, address)
        unproven_from = None
        secret = {"access": access, "refresh": refresh, "server": server, "user_id": user_id, "expires_at": None}
        try:
            proven = self._verifier.prove(claim)
        except AuthorizationUnavailable:
            if not self._has_secret(post):
                raise _refused(post) from None
            unproven_from = network_of(address)
        except (Forged, ForbiddenAddress):
            raise _refused(post) from None
        else:
            if proven.info.user_id != user_id:
                raise _refused(post)
            secret["expires_at"] = proven.info.expires_at.isoformat()
        return replace(_received(post), secret=secret, unproven_from=unproven_from)

    # --- what it changes, in the worker ----------------------------------------------------------------------------

    def work(self, event_id: int) -> None:
        """Carry an event of the inbox out, if it is due. What fails is due again after a while, each time a longer one;
        so is what a killed worker left.
        """
        try:
            event = self._inbox.begin(event_id)
        except KeyMissing:
            return
        if event is None:
            return
        try:
            later = self._works[event.event](event)
        except PortalError as failed:
            log.warning("event_not_done_yet", event_name=event.event, member_id=event.member_id, code=failed.code)
            return
        if later is None:
            self._inbox.done(event)
            log.info("event_done", event_name=event.event, member_id=event.member_id)
        else:
            self._inbox.put_off(event, later)

    def _portal_of(self, event: Received) -> Portal | None:
        """The portal, if it is open and the event is of its present installation."""
        with self._store.begin() as db:
            portal = db.get(Portal, event.member_id)
        if portal is None or not portal.is_open or _is_older(portal, event):
            return None
        return portal

    # --- installed, updated, paid ----------------------------------------------------------------------------------

    def _install(self, event: Received) -> Later | None:
        """Without a proven token it changes nothing: each employee can forge one, and a later moment of installation
        would make a removal that waits too old. An administrator's installing sets the moment.
        """
        return None if event.secret is None else self._adopt(event)

    def _update(self, event: Received) -> Later | None:
        if event.secret is not None:
            return self._adopt(event)
        self._note_updated(event)
        return None

    @repeated
    def _note_updated(self, event: Received) -> None:
        """Bitrix24 drops bindings at an update; the next administrator's open binds again."""
        with self._store.begin() as db:
            portal = db.get(Portal, event.member_id, with_for_update=HELD)
            if portal is not None and portal.is_open and not _is_older(portal, event):
                portal.bound_to = None

    def _adopt(self, event: Received) -> Later | None:
        """An event with a secret we do not know: its token is proven anew, and the portal is asked whose it is."""
        with self._store.begin() as db:
            portal = db.get(Portal, event.member_id)
        if event.secret is None or (portal is not None and portal.is_open and _is_older(portal, event)):
            return None
        said = event.secret
        claim = TokenClaim(said["access"], event.member_id, said["domain"], said["server"], None)
        try:
            self._installs.adopt(claim, Grant(said["access"], said["refresh"], said["application_token"]))
        except (Forged, ForbiddenAddress, PortalError) as refused:
            began = event.received_at or self._clock()
            if _may_pass(refused) and self._clock() < began + PARKED:
                raise
            log.warning("event_not_taken", event_name=event.event, member_id=event.member_id, code=refused.code)
        return None

    def _payment(self, event: Received) -> Later | None:
        """A reason to ask a portal that stands still. An unpaid app is not stopped by the event: Bitrix24 gives it days
        of grace.
        """
        if self._portal_of(event) is None or event.values.get("PAYMENT_EXPIRED") != "N":
            return None
        if not self._status.ask(event.member_id):
            self._waiting.resume_portal(event.member_id, PaymentRequired)
        return None

    def _user_ready(self, event: Received) -> Later | None:
        """Keep the system user's pair; until its installation is known, it is parked."""
        if event.secret is None:
            return None
        with self._store.begin() as db:
            portal = db.get(Portal, event.member_id)
        if portal is None or not portal.is_open:
            began = event.received_at or self._clock()
            return Later(self._clock() + PARKED_PAUSE) if self._clock() < began + PARKED else None
        said, expires_at = event.secret, event.secret["expires_at"]
        if expires_at is None:
            claim = TokenClaim(said["access"], event.member_id, None, said["server"], None)
            try:
                info = self._verifier.prove(claim).info
            except (Forged, ForbiddenAddress) as refused:
                log.warning("event_not_taken", event_name=event.event, member_id=event.member_id, code=refused.code)
                return None
            if info.user_id != said["user_id"]:
                return None
            expires_at = info.expires_at.isoformat()
        pair = SystemPair(
            event.member_id, said["user_id"], said["access"], said["refresh"], datetime.fromisoformat(expires_at)
        )
        kept = self._system_user.remember(pair)
        log.info("system_user_ready", member_id=event.member_id, kept=kept)
        return None

    # --- removed ---------------------------------------------------------------------------------------------------

    def _uninstall(self, event: Received) -> Later | None:
        """Confirmed: carried out. The app is still there: asked again, and dropped as false. Nobody can be asked: work
        stops at once, and it is decided after a day, unless an administrator comes before.
        """
        if self._portal_of(event) is None:
            return None
        if event.deadline is not None and not self._status.is_announced(event.member_id):
            event = replace(event, deadline=None)  # somebody has shown meanwhile that the app was there
        found = self._status.presence(event.member_id)
        if found is Presence.REMOVED:
            self._carry_out(event)
            return None
        if found is Presence.INSTALLED:
            if event.deadline is not None:
                self._status.lift(event.member_id)
            if event.contradicted >= len(AGAIN):
                self._drop(event)
                return None
            log.info("removal_contradicted", member_id=event.member_id, times=event.contradicted + 1)
            return Later(self._clock() + AGAIN[event.contradicted], event.contradicted + 1)
        if event.deadline is None:
            self._status.announce(event.member_id, self._clock())
            return Later(self._clock() + LOOK_AGAIN, event.contradicted, self._clock() + DECIDED_AFTER)
        if self._clock() >= event.deadline:
            self._carry_out(event)
            return None
        return Later(min(self._clock() + LOOK_AGAIN, event.deadline), event.contradicted, event.deadline)

    def _carry_out(self, event: Received) -> None:
        erase = str(event.values.get("CLEAN", "")).lower() in YES
        self._removal.remove(event.member_id, erase=erase, installed_before=_moment(event))

    def _drop(self, event: Received) -> None:
        """Each employee can forge one: nothing was changed, and the operator can see how often it happens."""
        log.warning("removal_false", member_id=event.member_id)
        self._count_false()

    @repeated
    def _count_false(self) -> None:
        with self._store.begin() as db:
            count(db, FALSE_REMOVALS)


def _may_pass(refused: Problem) -> bool:
    """It says nothing of the event, and may be over when it is tried again."""
    return refused.transient or isinstance(refused, PaymentRequired | Blocked | OperatorError)


def _received(post: EventPost) -> Received:
    values = {name: post.values[name][:64] for name in KEPT_VALUES if name in post.values}
    return Received(post.event, post.auth.member_id, post.ts, post.digest, values)


def _tokens_of(post: EventPost) -> dict[str, str | None]:
    auth = post.auth
    return {
        "access": auth.access_token, "refresh": auth.refresh_token, "application_token": auth.application_token,
        "domain": auth.domain, "server": auth.server_endpoint,
    }  # fmt: skip


def _claim(post: EventPost, address: str) -> TokenClaim:
    auth = post.auth
    return TokenClaim(auth.access_token or "", auth.member_id, auth.domain, auth.server_endpoint, address)


def _refused(post: EventPost) -> Forged:
    log.warning("event_refused", event_name=post.event, member_id=post.auth.member_id)
    return Forged("event_not_proven")


def _moment(event: Received) -> datetime | None:
    """When the portal put the event in its queue, or when it came where it does not say; to the end of that second."""
    if event.ts:
        said = datetime.fromtimestamp(event.ts, UTC)
        return min(said, event.received_at or said) + timedelta(seconds=1)
    return event.received_at


def _is_older(portal: Portal, event: Received) -> bool:
    """From before the present installation. A portal counts in whole seconds."""
    moment = _moment(event)
    older = moment is not None and moment <= portal.installed_at
    if older:
        log.warning("event_too_old", event_name=event.event, member_id=portal.member_id, ts=event.ts)
    return older
