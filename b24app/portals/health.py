"""How the app stands on one portal, for its administrators; and putting right what can be put right from here.

Looking changes nothing: what Bitrix24 knows is asked live and in one request, the rest is ours. Bitrix24 lists bound
events but no entry in the page settings (landing docs: bind and unbind only), so of that we tell what was bound last;
`repair` binds everything again and thereby finds out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select

from b24app.bitrix.rest import Command, result_of
from b24app.clock import Clock
from b24app.config import Config
from b24app.domain import APP_SCOPE, NOTICE_SCOPE, Actor
from b24app.errors import (
    Blocked,
    ConfirmNeeded,
    InsufficientScope,
    NotAllowed,
    NotInstalled,
    PaymentRequired,
    PortalClosed,
    PortalError,
    RestRefused,
    Unavailable,
)
from b24app.portals.bindings import EVENTS, listed_events
from b24app.portals.installs import Installs
from b24app.portals.status import clear
from b24app.request_log import RequestLog, Usage
from b24app.runs.notice_rows import NoticeCounts, counted_lately
from b24app.runs.throttle import used
from b24app.runs.waiting import WaitingRuns
from b24app.store.db import HELD, Store, repeated
from b24app.store.heartbeat import is_late, last_beat
from b24app.store.models import MethodThrottle, Portal, UserToken
from b24app.tokens.user_tokens import Tokens

log = structlog.get_logger()
REFRESH_LIFE = timedelta(days=180)  # OAuth docs
# Causes that are over once Bitrix24 answered the app on this portal
OF_THE_PORTAL = (NotInstalled, PaymentRequired, RestRefused, ConfirmNeeded, PortalClosed, Blocked)


@dataclass(frozen=True)
class Operating:
    """How much of the portal's time one method took in the last ten minutes; `limit` where the portal showed one."""

    method: str
    seconds: float
    limit: float | None


@dataclass(frozen=True)
class Health:
    """One look. `events` tells for each event whether the portal will send it to this app's address."""

    portal: Portal
    token: UserToken
    scopes: tuple[str, ...]
    events: Mapping[str, bool]
    placement: bool
    worker_seen: datetime | None
    worker_late: bool
    paused_until: datetime | None
    usage: Usage
    operating: tuple[Operating, ...]
    notices: NoticeCounts

    @property
    def has_scope(self) -> bool:
        """The portal grants what the app needs."""
        return APP_SCOPE in self.scopes

    @property
    def tells_people(self) -> bool:
        """The portal lets the app tell people what became of their runs; nothing else depends on it."""
        return NOTICE_SCOPE in self.scopes

    @property
    def is_bound(self) -> bool:
        """Everything the portal should call is bound."""
        return self.placement and all(self.events.values())

    @property
    def renewable_until(self) -> datetime:
        """When the pair dies of old age if nothing renews it."""
        return self.token.obtained_at + REFRESH_LIFE


@dataclass(frozen=True)
class Repair:
    """What a repair did.

    bound      event or placement → True: bound now, False: it was bound already; the refusal where it was refused
    cleared    Bitrix24's word for why work had stopped; None when it had not
    resumed    waiting runs that go on
    """

    bound: Mapping[str, bool | PortalError]
    cleared: str | None
    resumed: int


class PortalHealth:
    """Looks and repairs."""

    def __init__(
        self, config: Config, store: Store, tokens: Tokens, installs: Installs, waiting: WaitingRuns,
        request_log: RequestLog, clock: Clock,
    ) -> None:  # fmt: skip
        self._config = config
        self._store = store
        self._tokens = tokens
        self._installs = installs
        self._waiting = waiting
        self._request_log = request_log
        self._clock = clock

    def look(self, actor: Actor) -> Health:
        """Everything at once. Raises NotAllowed for whoever is no administrator, and a PortalError."""
        asked = {"admin": Command("user.admin"), "scope": Command("scope"), "events": Command("event.get")}
        answers = {name: result_of(answer) for name, answer in self._tokens.batch(actor.user, asked).items()}
        if answers["admin"] is not True:
            raise NotAllowed()
        seen, now = last_beat(self._store), self._clock()
        with self._store.begin() as db:
            portal = db.get_one(Portal, actor.member_id)
            throttles = db.scalars(
                select(MethodThrottle)
                .where(MethodThrottle.member_id == actor.member_id)
                .order_by(MethodThrottle.method)
            ).all()
            token = db.get_one(UserToken, (actor.member_id, actor.user_id))
            notices = counted_lately(db, actor.member_id, now)
        return Health(
            portal=portal,
            token=token,
            scopes=_words(answers["scope"]),
            events=self._bound(answers["events"]),
            placement=portal.bound_to == self._config.app_url,
            worker_seen=seen,
            worker_late=is_late(seen, now),
            paused_until=portal.paused_until if portal.paused_until and portal.paused_until > now else None,
            usage=self._request_log.usage(actor),
            operating=tuple(Operating(each.method, used(each, now), each.operating_limit) for each in throttles),
            notices=notices,
        )

    def repair(self, actor: Actor) -> Repair:
        """Bind everything again, forget what had stopped work and is over, let waiting runs go on.

        Raises NotAllowed for whoever is no administrator, and a PortalError when Bitrix24 refuses the app as such.
        """
        now = self.look(actor)
        made = self._installs.bind(actor.user)
        cleared = self._clear(actor)
        causes = (*OF_THE_PORTAL, InsufficientScope) if now.has_scope else OF_THE_PORTAL
        resumed = sum(self._waiting.resume_portal(actor.member_id, cause) for cause in causes)
        log.info("repaired", member_id=actor.member_id, user_id=actor.user_id, cleared=cleared, resumed=resumed)
        return Repair(made, now.portal.suspended_code or cleared, resumed)

    @repeated
    def _clear(self, actor: Actor) -> str | None:
        """Bitrix24 has just answered, so the portal is not suspended; lists every process kept are read anew."""
        with self._store.begin() as db:
            portal = db.get(Portal, actor.member_id, with_for_update=HELD, populate_existing=True)
            if portal is None:  # it was removed a moment ago
                raise Unavailable("portal_changed")
            cleared = portal.suspended_code
            clear(portal)
            portal.pages_version += 1
        return cleared

    def _bound(self, rows: object) -> dict[str, bool]:
        shown = listed_events(self._config.app_url, rows)
        return {event: event in shown for event in EVENTS}


def _words(granted: object) -> tuple[str, ...]:
    """`scope` answers with a list; PHP makes an object of one with gaps."""
    said = list(granted.values()) if isinstance(granted, dict) else granted
    return tuple(str(word) for word in said) if isinstance(said, list) else ()
