"""Why a portal's work stopped, when it is asked again, and who can say whether the app is still there.

A stop is written by `tokens/stops` once it is confirmed. The worker asks stopped portals again, after a minute, then
less and less often; the first good answer lifts the stop and lets the runs go on that waited for it, so no person has
to open the app. A portal that has said for 30 days that the app is not installed was left without our hearing of it: it
is closed as if removed. Whether the app is still installed is asked of the authorization server with access tokens that
were proven when they were stored; what it says of a refresh token decides nothing.
"""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from sqlalchemy import and_, or_, select

from b24app.bitrix.oauth import AuthorizationServers
from b24app.clock import Clock
from b24app.domain import UserRef
from b24app.errors import (
    AppNotAllowed,
    AuthorizationUnavailable,
    Blocked,
    ExpiredToken,
    NotGenuine,
    NotInstalled,
    OperatorError,
    PaymentRequired,
    PortalError,
    SignInAgain,
    Unavailable,
    UserGone,
)
from b24app.portals.bindings import UNINSTALL
from b24app.portals.removal import Removal
from b24app.runs.waiting import WaitingRuns
from b24app.store.db import HELD, Store, repeated
from b24app.store.models import InboxEvent, Portal, User, UserToken
from b24app.tokens.stops import STOPPING, says_not_installed
from b24app.tokens.user_tokens import Tokens

log = structlog.get_logger()

# Ours: a removal that nobody can be asked about. While it waits in the inbox, only that and an open end it.
ANNOUNCED = "removal_announced"
RENEWAL = "oauth.token"
PAUSES = tuple(timedelta(minutes=each) for each in (2, 5, 15, 30, 60, 120, 240, 360))  # behind stops.FIRST_PAUSE
GONE_AFTER = timedelta(days=30)
NOBODY_LEFT = (ExpiredToken, SignInAgain, UserGone, AppNotAllowed)  # this person's token is of no use
PORTALS_AT_ONCE, PEOPLE_ASKED, MOST_WITNESSES, SECONDS = 20, 5, 100, 10
LATELY, MOST_REMEMBERED = timedelta(seconds=30), 1000


class Presence(StrEnum):
    """Whether the app is on a portal, as the authorization server says to tokens that were proven."""

    INSTALLED = "installed"
    REMOVED = "removed"
    UNKNOWN = "unknown"  # there is no token left to ask with


class Lately:
    """What was done for a portal in the last half minute by this process: a flood of events leads to few questions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._until: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    def was(self, done: str, member_id: str) -> bool:
        """It was done just now."""
        with self._guard:
            return self._until.get((done, member_id), self._clock()) > self._clock()

    def note(self, done: str, member_id: str) -> None:
        """It is done now."""
        with self._guard:
            self._until[done, member_id] = self._clock() + LATELY
            self._until.move_to_end((done, member_id))
            while len(self._until) > MOST_REMEMBERED:
                self._until.popitem(last=False)


class PortalStatus:
    """Asks stopped portals, and about portals. Safe to do twice and from several workers."""

    def __init__(
        self, store: Store, oauth: AuthorizationServers, tokens: Tokens, waiting: WaitingRuns, removal: Removal,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._oauth = oauth
        self._tokens = tokens
        self._waiting = waiting
        self._removal = removal
        self._clock = clock
        self._lately = Lately(clock)

    # --- stopped portals -------------------------------------------------------------------------------------------

    def ask_stopped(self) -> int:
        """Ask the stopped portals whose turn it is; how many go on."""
        mine = (InboxEvent.member_id == Portal.member_id, InboxEvent.event == UNINSTALL)
        waits = select(InboxEvent.id).where(*mine).exists()
        lost = and_(Portal.suspended_code == ANNOUNCED, Portal.ask_again_at.is_(None), ~waits)
        due = and_(Portal.ask_again_at <= self._clock(), or_(Portal.suspended_code != ANNOUNCED, ~waits))
        stopped = (Portal.suspended_code.is_not(None), Portal.uninstalled_at.is_(None), or_(due, lost))
        turn = select(Portal.member_id).where(*stopped).order_by(Portal.ask_again_at).limit(PORTALS_AT_ONCE)
        with self._store.begin() as db:
            portals = db.scalars(turn).all()
        return sum(self._ask_one(member_id) for member_id in portals)

    def _ask_one(self, member_id: str) -> bool:
        """As `ask`; that one portal cannot be asked about now keeps no other waiting."""
        try:
            return self.ask(member_id)
        except PortalError as unheard:
            log.warning("portal_not_asked", member_id=member_id, code=unheard.code)
            return False

    def ask(self, member_id: str) -> bool:
        """Ask one stopped portal now, unless it was asked a moment ago; True when its work goes on."""
        if self._lately.was("asked", member_id):
            return False
        self._lately.note("asked", member_id)
        self._put_off(member_id)
        said = self._said(member_id)
        if said is None:
            return self.lift(member_id)
        if isinstance(said, PaymentRequired | Blocked):
            self._note(member_id, said)
        elif isinstance(said, (NotInstalled, *NOBODY_LEFT)):
            self._close_if_gone(member_id, said)
        return False

    @repeated
    def _put_off(self, member_id: str) -> None:
        """When it is asked next, written before it is asked: a worker that is killed meanwhile asks no faster."""
        with self._store.begin() as db:
            portal = db.get(Portal, member_id, with_for_update=HELD, populate_existing=True)
            if portal is not None and portal.suspended_code is not None:
                portal.asked_times += 1
                portal.ask_again_at = self._clock() + PAUSES[min(portal.asked_times, len(PAUSES)) - 1]

    def _said(self, member_id: str) -> PortalError | None:
        """What the portal answers the first person whose token lives; None for a good answer. What a renewal is told
        is passed over: nobody has proven whose refresh token it is (threat 28).
        """
        said: PortalError = SignInAgain()
        answers = 0
        for user in self._people(member_id, MOST_WITNESSES):
            try:
                self._tokens.call(user, "app.info", timeout=SECONDS)
            except PortalError as refused:
                if refused.method == RENEWAL and not isinstance(refused, Unavailable):
                    if isinstance(refused, NotInstalled):
                        said = refused  # only a reason to ask the authorization server
                    continue
                said = refused
                answers += 1
                if refused.transient or isinstance(refused, NotInstalled | PaymentRequired | Blocked):
                    return refused
                if answers == PEOPLE_ASKED:
                    return said
            else:
                return None
        return said

    def _people(self, member_id: str, most: int) -> list[UserRef]:
        """Whose tokens live, as far as we know: the freshest first, and last those whom Bitrix24 refused."""
        mine = (UserToken.member_id == member_id, UserToken.dead_code.is_(None))
        person = and_(User.member_id == UserToken.member_id, User.user_id == UserToken.user_id)
        order = (User.refused_code.is_not(None), UserToken.expires_at.desc())
        query = select(UserToken.user_id).outerjoin(User, person).where(*mine).order_by(*order).limit(most)
        with self._store.begin() as db:
            return [UserRef(member_id, user_id) for user_id in db.scalars(query)]

    @repeated
    def _note(self, member_id: str, said: PortalError) -> None:
        """The portal still stands still, perhaps for another reason by now."""
        kept = (None, said.code) if isinstance(said, NotInstalled) else (None, ANNOUNCED, said.code)
        with self._store.begin() as db:
            portal = db.get(Portal, member_id, with_for_update=HELD, populate_existing=True)
            if portal is not None and portal.suspended_code not in kept:
                portal.suspended_code, portal.suspended_at = said.code, self._clock()

    @repeated
    def lift(self, member_id: str) -> bool:
        """The portal works again: its waiting runs go on."""
        with self._store.begin() as db:
            portal = db.get(Portal, member_id, with_for_update=HELD, populate_existing=True)
            if portal is None or portal.suspended_code is None:
                return False
            log.warning("portal_resumed", member_id=member_id, code=portal.suspended_code)
            clear(portal)
            self._waiting.resume_in(db, member_id, STOPPING)
        return True

    def _close_if_gone(self, member_id: str, said: PortalError) -> None:
        """Close what has been gone for long. A portal that stood still for another reason and was removed meanwhile is
        noted as such, once the authorization server confirms it.
        """
        with self._store.begin() as db:
            portal = db.get(Portal, member_id)
        if portal is None or portal.suspended_at is None:
            return
        if portal.suspended_code == ANNOUNCED or not says_not_installed(portal.suspended_code):
            is_known = isinstance(said, NotInstalled) and says_not_installed(said.code)
            if is_known and self.presence(member_id) is Presence.REMOVED:
                self._note(member_id, said)
            return
        if portal.suspended_at > self._clock() - GONE_AFTER:
            return
        if self.presence(member_id) is not Presence.INSTALLED:
            log.warning("portal_gone", member_id=member_id, since=portal.suspended_at.isoformat())
            self._removal.remove(member_id, erase=False, installed_before=portal.suspended_at)

    # --- is the app still there ------------------------------------------------------------------------------------

    def presence(self, member_id: str) -> Presence:
        """Whether the app is on the portal. Raises AuthorizationUnavailable when nobody can say at the moment.

        It is unknown only when no living token is left; that the app is there is remembered for a moment.
        """
        if self._lately.was("installed", member_id):
            return Presence.INSTALLED
        silent: PortalError | None = None
        people = self._people(member_id, MOST_WITNESSES)
        for user in people:
            try:
                found = self._seen_by(user)
            except NOBODY_LEFT:
                continue
            except PortalError as unheard:  # an unpaid app or a setting of ours, too, is no word on the app's removal
                unheeded = unheard.transient or isinstance(unheard, PaymentRequired | Blocked | OperatorError)
                if unheeded or unheard.method != RENEWAL:
                    silent = unheard
            else:
                if found is Presence.INSTALLED:
                    self._lately.note("installed", member_id)
                if found is not Presence.UNKNOWN:
                    return found
        if silent is not None or len(people) == MOST_WITNESSES:
            raise AuthorizationUnavailable(silent.code if silent else None) from silent
        return Presence.UNKNOWN

    def _seen_by(self, user: UserRef) -> Presence:
        """As `app.info` answers this person's token, renewed where it is over. Raises a PortalError."""
        access = self._tokens.load(user)
        found = self._vouched(access.server, access.token)
        if found is Presence.UNKNOWN:
            access = self._tokens.renew(user, spent=access.token)
            found = self._vouched(access.server, access.token)
        return found

    def _vouched(self, server: str, token: str) -> Presence:
        try:
            self._oauth.app_info(self._oauth.choose(server), token)
        except NotGenuine as refused:
            return Presence.REMOVED if says_not_installed(refused.code) else Presence.UNKNOWN
        return Presence.INSTALLED

    @repeated
    def announce(self, member_id: str, now: datetime) -> None:
        """A removal was announced and nobody can be asked: work stops and sessions end until it is decided."""
        with self._store.begin() as db:
            portal = db.get(Portal, member_id, with_for_update=HELD, populate_existing=True)
            if portal is not None and portal.is_open and portal.suspended_code != ANNOUNCED:
                portal.suspended_code, portal.suspended_at, portal.ask_again_at = ANNOUNCED, now, None
                portal.epoch += 1
                log.warning("portal_stopped", member_id=member_id, code=ANNOUNCED)

    def is_announced(self, member_id: str) -> bool:
        """Its work stopped because a removal was announced, and nothing has ended that yet."""
        with self._store.begin() as db:
            return db.scalar(select(Portal.suspended_code).where(Portal.member_id == member_id)) == ANNOUNCED


def clear(portal: Portal) -> None:
    """No stop any more; in the caller's transaction."""
    portal.suspended_code = portal.suspended_at = portal.ask_again_at = None
    portal.asked_times = 0
