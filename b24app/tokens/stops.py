"""Whether a portal's refusal stops all of its work: only when it is confirmed.

A stop touches everybody on a portal, so one answer is not enough for it, and no person's word is. What counts is the
portal's own answer to an access token that was proven, confirmed at once: "not installed" by `app.info` of the
authorization server with that very token, "not paid" and "on hold" by the portal itself, asked again. What is said of a
refresh token stops nothing: nobody has proven whose it is (threats 27 and 28). A refusal that is not confirmed is
passing trouble, to be tried again.
"""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update

from b24app.bitrix.oauth import AuthorizationServers
from b24app.bitrix.rest import Rest
from b24app.clock import Clock
from b24app.errors import REMEDIES, Blocked, NotGenuine, NotInstalled, PaymentRequired, PortalError
from b24app.store.db import Store, repeated
from b24app.store.models import Portal
from b24app.tokens.credentials import Credentials

log = structlog.get_logger()
STOPPING = (NotInstalled, PaymentRequired, Blocked)  # end all work of a portal, once they are confirmed
FIRST_PAUSE = timedelta(minutes=1)  # until a stopped portal is asked again for the first time
DOUBT_LASTS = timedelta(seconds=30)  # in which a portal whose refusal was not confirmed is not asked about again
MOST_DOUBTS = 1000
SECONDS = 10


class Stops:
    """Confirms refusals, and writes down the stops."""

    def __init__(self, store: Store, rest: Rest, oauth: AuthorizationServers, clock: Clock) -> None:
        self._store = store
        self._rest = rest
        self._oauth = oauth
        self._clock = clock
        self._guard = threading.Lock()
        self._doubts: OrderedDict[str, datetime] = OrderedDict()

    def judge(self, member_id: str, access: Credentials, said: PortalError) -> None:
        """The portal said this to a proven token: stop its work, or mark the refusal as passing."""
        if self._is_stopped(member_id):
            return
        if self._is_confirmed(member_id, access, said):
            self._stop(member_id, access.portal_epoch, said)
            return
        said.transient = True
        log.warning("portal_refusal_not_confirmed", member_id=member_id, code=said.code)

    def hinted(self, member_id: str, access: Credentials) -> bool:
        """A renewal was told that the app is not installed. That proves nothing, but the access token of the pair was
        proven once: true when the portal and the authorization server both say the same to it, and work has stopped;
        where it has stopped before, when the portal says so to it.
        """
        try:
            self._rest.call(access.endpoint, access.token, "app.info", timeout=SECONDS)
        except NotInstalled as said:
            self.judge(member_id, access, said)
            return not said.transient
        except PortalError as refused:  # a stopped portal that cannot be heard leaves the pair as it is
            return refused.transient and self._is_stopped(member_id)
        return False

    def _is_stopped(self, member_id: str) -> bool:
        with self._store.begin() as db:
            return db.scalar(select(Portal.suspended_code).where(Portal.member_id == member_id)) is not None

    def _is_confirmed(self, member_id: str, access: Credentials, said: PortalError) -> bool:
        if self._is_doubted(member_id):
            return False
        confirmed = self._removed(access) if isinstance(said, NotInstalled) else self._said_again(access, said)
        if not confirmed:
            self._doubt(member_id)
        return confirmed

    def _removed(self, access: Credentials) -> bool:
        try:
            self._oauth.app_info(self._oauth.choose(access.server), access.token)
        except NotGenuine as refused:
            return says_not_installed(refused.code)
        except PortalError:
            return False
        return False

    def _said_again(self, access: Credentials, said: PortalError) -> bool:
        try:
            self._rest.call(access.endpoint, access.token, "app.info", timeout=SECONDS)
        except PortalError as again:
            return type(again) is type(said)
        return False

    @repeated
    def _stop(self, member_id: str, epoch: int, said: PortalError) -> None:
        """Of this installation only: an answer to a call of before a reinstall stops nothing."""
        now = self._clock()
        why = {"suspended_code": said.code, "suspended_at": now, "asked_times": 0, "ask_again_at": now + FIRST_PAUSE}
        running = (Portal.suspended_code.is_(None), Portal.uninstalled_at.is_(None), Portal.epoch == epoch)
        with self._store.begin() as db:
            stop = update(Portal).where(Portal.member_id == member_id, *running).values(why)
            if db.scalar(stop.returning(Portal.member_id)):
                log.warning("portal_stopped", member_id=member_id, code=said.code)

    def _is_doubted(self, member_id: str) -> bool:
        with self._guard:
            return self._doubts.get(member_id, self._clock()) > self._clock()

    def _doubt(self, member_id: str) -> None:
        with self._guard:
            self._doubts[member_id] = self._clock() + DOUBT_LASTS
            self._doubts.move_to_end(member_id)
            while len(self._doubts) > MOST_DOUBTS:
                self._doubts.popitem(last=False)


def says_not_installed(code: str | None) -> bool:
    """One of the codes that mean: the app is not on this portal. Anything unknown does not."""
    return REMEDIES.get((code or "").upper()) is NotInstalled
