"""The app's own system user on a portal (ONAPPUSERREADY): its tokens, kept apart, for notices and nothing else.

Bitrix24 makes one when the app is installed. It is nobody in the portal, so acting as it would go round the rights of
whoever asks, and the portal would name the app as author. That is why these tokens live in a table of their own, no
`UserRef` leads to them, and `call` knows the methods of notices only (threat 36).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import and_, or_, select
from sqlalchemy.dialects.postgresql import insert

from b24app.bitrix.oauth import AuthorizationServers
from b24app.bitrix.rest import Answer, Rest
from b24app.clock import Clock
from b24app.domain import UserRef
from b24app.errors import ExpiredToken, InvalidToken, KeyMissing, PortalError, SignInAgain
from b24app.request_log import acting
from b24app.store.db import HELD, Store, repeated
from b24app.store.models import Portal, SystemToken, User
from b24app.store.vault import CannotOpen, Place, Vault, fingerprint
from b24app.tokens.exchange import exchange

log = structlog.get_logger()
NOTICE_METHODS = frozenset({"im.notify.system.add", "im.notify.delete"})
SECONDS = 10


@dataclass(frozen=True)
class SystemPair:
    """The system user's pair as an event brought it, proven by `app.info`."""

    member_id: str
    user_id: int
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class _SystemToken:
    user: UserRef
    endpoint: str
    access: str = field(repr=False)
    expires_at: datetime


class SystemUser:
    """Keeps the pair, and calls the methods of notices with it."""

    def __init__(self, store: Store, vault: Vault, rest: Rest, oauth: AuthorizationServers, clock: Clock) -> None:
        self._store = store
        self._vault = vault
        self._rest = rest
        self._oauth = oauth
        self._clock = clock

    @repeated
    def remember(self, pair: SystemPair) -> bool:
        """Keep the pair of a portal that is known and open; an older one than the stored is left aside.

        False when it was not kept; never for somebody who is known as a person of the portal, nor for another user than
        the one whose pair lives.
        """
        with self._store.begin() as db:
            portal = db.get(Portal, pair.member_id)
            if portal is None or not portal.is_open or db.get(User, (pair.member_id, pair.user_id)) is not None:
                return False
            row = {
                "member_id": pair.member_id, "user_id": pair.user_id, "access_sha256": fingerprint(pair.access),
                "access": self._vault.seal(pair.access, place(pair.member_id, "access")),
                "refresh": self._vault.seal(pair.refresh, place(pair.member_id, "refresh")),
                "expires_at": pair.expires_at, "obtained_at": self._clock(), "dead_code": None,
            }  # fmt: skip
            kept = insert(SystemToken).values(row)
            newer = SystemToken.expires_at <= kept.excluded.expires_at
            same = or_(SystemToken.user_id == pair.user_id, SystemToken.dead_code.is_not(None))
            kept = kept.on_conflict_do_update(index_elements=["member_id"], set_=row, where=and_(newer, same))
            return db.scalar(kept.returning(SystemToken.member_id)) is not None

    def is_known(self, member_id: str) -> bool:
        """There is a pair that lives, as far as we know."""
        living = (SystemToken.member_id == member_id, SystemToken.dead_code.is_(None))
        with self._store.begin() as db:
            return db.scalar(select(SystemToken.member_id).where(*living)) is not None

    def call(self, member_id: str, method: str, params: Mapping[str, object]) -> Answer:
        """One call for a notice. Raises ValueError for any other method, and a PortalError."""
        if method not in NOTICE_METHODS:
            raise ValueError(f"the system user's token is not for {method}")
        token = self._load(member_id)
        if token.expires_at <= self._clock():
            token = self._renewed(member_id, token.access)
        try:
            return self._ask(token, method, params)
        except (ExpiredToken, InvalidToken) as refused:
            if isinstance(refused, SignInAgain):
                raise
            return self._ask(self._renewed(member_id, token.access), method, params)

    def _ask(self, token: _SystemToken, method: str, params: Mapping[str, object]) -> Answer:
        with acting(token.user):
            return self._rest.call(token.endpoint, token.access, method, params, SECONDS)

    def _load(self, member_id: str) -> _SystemToken:
        with self._store.begin() as db:
            row, portal = db.get(SystemToken, member_id), db.get(Portal, member_id)
        if row is None or portal is None or not portal.is_open:
            raise SignInAgain()
        return self._opened(row, portal)

    def _renewed(self, member_id: str, spent: str) -> _SystemToken:
        """A pair that is not `spent`, renewed under a lock on its own row; a final refusal is written down."""
        with self._store.begin() as db:
            row = db.get(SystemToken, member_id, with_for_update=HELD)
            portal = db.get(Portal, member_id)
            if row is None or portal is None or row.dead_code is not None:
                raise SignInAgain()
            if row.access_sha256 != fingerprint(spent):
                return self._opened(row, portal)
            user, refresh = UserRef(member_id, row.user_id), self._unsealed(row, "refresh")
            verdict = exchange(self._oauth, portal.oauth_server, refresh, user)
            if isinstance(verdict, PortalError):
                row.dead_code = verdict.code
            else:
                row.access = self._vault.seal(verdict.access, place(member_id, "access"))
                row.refresh = self._vault.seal(verdict.refresh or refresh, place(member_id, "refresh"))
                row.access_sha256, row.expires_at = fingerprint(verdict.access), verdict.expires_at
                row.obtained_at = self._clock()
        if isinstance(verdict, PortalError):
            log.warning("system_token_cannot_be_renewed", member_id=member_id, code=verdict.code)
            raise verdict
        return self._opened(row, portal)

    def _opened(self, row: SystemToken, portal: Portal) -> _SystemToken:
        user, access = UserRef(row.member_id, row.user_id), self._unsealed(row, "access")
        return _SystemToken(user, portal.client_endpoint, access, row.expires_at)

    def _unsealed(self, row: SystemToken, column: str) -> str:
        try:
            return self._vault.open(getattr(row, column), place(row.member_id, column))
        except CannotOpen as closed:
            log.critical("system_token_cannot_be_opened", member_id=row.member_id, reason=str(closed))
            raise KeyMissing(method="oauth.token") from None


def place(member_id: str, column: str) -> Place:
    """Where the system user's tokens live, for the vault."""
    return Place("system_tokens", member_id, column)
