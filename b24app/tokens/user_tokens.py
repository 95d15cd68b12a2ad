"""User tokens: remember the newest pair, call Bitrix24 as that user, renew when it says so.

The one decision this module lives by: a pair is renewed only under a lock on its row, and only after a second look.
Whoever comes later (another thread, process or machine) finds the new pair and uses it. A killed process frees the
lock with its connection; a frozen one loses it after 12 s, and when it thaws its pair is kept all the same if nobody
has a newer one. Bitrix24 asks apps not to renew ahead of need, so a pair is renewed when Bitrix24 calls it expired,
or when its time has passed and a call is due (OAuth docs, auto-renewal); the only other case is `keep_alive`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit

import structlog
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from b24app.bitrix.address import plain_host, same_host
from b24app.bitrix.oauth import AuthorizationServers, TokenPair
from b24app.bitrix.places import Places
from b24app.bitrix.rest import Answer, Command, Rest
from b24app.clock import Clock
from b24app.domain import UserRef
from b24app.errors import (
    AppNotAllowed,
    Blocked,
    ExpiredToken,
    InvalidToken,
    KeyMissing,
    NotGenuine,
    NotInstalled,
    OperatorError,
    PaymentRequired,
    PortalError,
    PortalMoved,
    SignInAgain,
    Unavailable,
    UserGone,
    error_for,
)
from b24app.request_log import acting
from b24app.store.db import Store, hurry
from b24app.store.models import Portal, User, UserToken, VerifiedToken
from b24app.store.vault import CannotOpen, Place, Vault, fingerprint
from b24app.tokens.single_flight import SingleFlight

log = structlog.get_logger()
T = TypeVar("T")
Verdict = TokenPair | PortalError  # what the authorization server made of a refresh token, for good
USER_CHANGED = "authorization_error"  # the pair now belongs to somebody else, e.g. Bitrix24's system user
BUSY = "renewal_busy"
RENEWALS_AT_ONCE = 4  # each holds a connection while it asks; half of a process's pool stays for everybody else
PATIENCE_SECONDS = 30.0
RENEWALS, WAIT_TOGETHER = "renewals", 1000  # those who wait for one renewal need no places of their own


@dataclass(frozen=True)
class Credentials:
    """What one call needs: where to, and with which token."""

    endpoint: str
    server: str
    token: str = field(repr=False)
    expires_at: datetime


class Tokens:
    """Calls Bitrix24 on behalf of a user and keeps that user's pair alive."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        rest: Rest,
        oauth: AuthorizationServers,
        clock: Clock,
        places: Places | None = None,
    ) -> None:
        self._store = store
        self._places = places or Places()
        self._vault = vault
        self._rest = rest
        self._oauth = oauth
        self._clock = clock
        self._renewals: SingleFlight[tuple[UserRef, str], Credentials] = SingleFlight(
            RENEWALS_AT_ONCE, PATIENCE_SECONDS
        )

    # --- calling ---------------------------------------------------------------------------------------------------

    def call(
        self, user: UserRef, method: str, params: Mapping[str, object] | None = None, timeout: float = 30
    ) -> Answer:
        """One REST call as `user`. Raises a PortalError."""
        return self._as(user, lambda access: self._rest.call(access.endpoint, access.token, method, params, timeout))

    def batch(
        self, user: UserRef, commands: Mapping[str, Command], *, timeout: float = 55
    ) -> dict[str, Answer | PortalError]:
        """Up to 50 commands in one request; a command's failure is its value, a failure of the call is raised."""
        return self._as(user, lambda access: self._rest.batch(access.endpoint, access.token, commands, timeout=timeout))

    def _as(self, user: UserRef, ask: Callable[[Credentials], T]) -> T:
        try:
            with acting(user):
                return self._with_renewal(user, ask)
        except PortalError as error:
            self._heed(user, error)
            raise

    def _with_renewal(self, user: UserRef, ask: Callable[[Credentials], T]) -> T:
        access = self.load(user)
        if access.expires_at <= self._clock():
            access = self.renew(user, spent=access.token)
        try:
            return self._with_move(user, access, ask)
        except (ExpiredToken, InvalidToken) as refused:
            if isinstance(refused, SignInAgain):
                raise
            access = self.renew(user, spent=access.token)
            return self._with_move(user, access, ask)

    def _with_move(self, user: UserRef, access: Credentials, ask: Callable[[Credentials], T]) -> T:
        """Ask; after a 302 ask the authorization server where the portal lives, and only then once more."""
        try:
            return ask(access)
        except PortalMoved as moved:
            try:
                now = self._oauth.app_info(access.server, access.token)
            except (NotGenuine, Unavailable):
                raise moved from None
            if now.member_id != user.member_id or not same_host(now.client_endpoint, moved.host):
                raise
            self._portal_moved(user.member_id, now.domain, now.client_endpoint)
            return ask(Credentials(now.client_endpoint, access.server, access.token, access.expires_at))

    def _portal_moved(self, member_id: str, domain: str, endpoint: str) -> None:
        log.info("portal_moved", member_id=member_id, domain=domain)
        with self._store.begin() as db:
            db.execute(
                update(Portal).where(Portal.member_id == member_id).values(domain=domain, client_endpoint=endpoint)
            )

    def _heed(self, user: UserRef, error: PortalError) -> None:
        """Some refusals end more than the call: the user's sessions, or the portal's work."""
        if isinstance(error, UserGone | AppNotAllowed):
            self.end_sessions(user)
        if isinstance(error, NotInstalled | PaymentRequired | Blocked):
            with self._store.begin() as db:
                db.execute(
                    update(Portal)
                    .where(Portal.member_id == user.member_id, Portal.suspended_code.is_(None))
                    .values(suspended_code=error.code)
                )

    def end_sessions(self, user: UserRef) -> None:
        """Every session token of this user stops working at once, and what was proven of them is to be proven anew."""
        with self._store.begin() as db:
            db.execute(
                delete(VerifiedToken).where(
                    VerifiedToken.member_id == user.member_id, VerifiedToken.user_id == user.user_id
                )
            )
            db.execute(
                update(User)
                .where(User.member_id == user.member_id, User.user_id == user.user_id)
                .values(epoch=User.epoch + 1)
            )

    # --- remembering -----------------------------------------------------------------------------------------------

    def load(self, user: UserRef) -> Credentials:
        """The stored access of `user`; SignInAgain when there is none."""
        with self._store.begin() as db:
            row = db.get(UserToken, (user.member_id, user.user_id))
            portal = db.get(Portal, user.member_id)
        if row is None or portal is None:
            raise SignInAgain()
        return self._opened(row, portal)

    def remember(self, db: Session, user: UserRef, access: str, refresh: str, expires_at: datetime) -> bool:
        """Store a pair a frame or code exchange brought; an older pair than the stored living one is left aside.

        Runs in the caller's transaction; the user's row must exist. True when it was stored.
        """
        row = db.get(UserToken, (user.member_id, user.user_id), with_for_update=True)
        if row is not None and row.expires_at > expires_at and self._lives(row):
            return False
        sealed = self._sealed(user, access, refresh, expires_at)
        if row is None:
            db.add(UserToken(member_id=user.member_id, user_id=user.user_id, **sealed))
        else:
            _set(row, sealed)
        db.flush()
        return True

    def _lives(self, row: UserToken) -> bool:
        """Whether the pair can still be renewed, as far as we know."""
        try:
            return row.dead_code is None and bool(self._unsealed(row, "refresh"))
        except KeyMissing:
            return False

    def _sealed(self, user: UserRef, access: str, refresh: str, expires_at: datetime) -> dict[str, object]:
        return {
            "access": self._vault.seal(access, place(user, "access")),
            "refresh": self._vault.seal(refresh, place(user, "refresh")),
            "access_sha256": fingerprint(access),
            "expires_at": expires_at,
            "obtained_at": self._clock(),
            "dead_code": None,
        }

    def _opened(self, row: UserToken, portal: Portal) -> Credentials:
        return Credentials(portal.client_endpoint, portal.oauth_server, self._unsealed(row, "access"), row.expires_at)

    def _unsealed(self, row: UserToken, column: str) -> str:
        user = UserRef(row.member_id, row.user_id)
        try:
            return self._vault.open(getattr(row, column), place(user, column))
        except CannotOpen as closed:
            log.critical("token_cannot_be_opened", member_id=user.member_id, user_id=user.user_id, reason=str(closed),
                         remedy="put the key back into TOKEN_KEYS; `flask b24 doctor` counts them")  # fmt: skip
            raise KeyMissing(method="oauth.token") from None

    # --- renewing --------------------------------------------------------------------------------------------------

    def renew(self, user: UserRef, spent: str) -> Credentials:
        """A pair that is not `spent`: somebody else's newer one, or one renewed now. Raises a PortalError.

        One thread of a process waits on the row, its other threads wait on that one without a connection. After a
        lost answer the same refresh token is tried once more: the authorization server may not have seen it.
        """
        try:
            with self._places.hold(RENEWALS, at_once=WAIT_TOGETHER):
                return self._renewals.run((user, fingerprint(spent)), lambda: self._renew_or_again(user, spent))
        except TimeoutError as late:
            raise _busy(user) from late
        except Unavailable as lost:
            lost.maybe_done = False  # the call it was for was never carried out
            raise

    def keep_alive(self, user: UserRef) -> None:
        """Renew a pair that grows old though no call is due. Raises a PortalError, heeded as that of a call."""
        try:
            self.renew(user, spent=self.load(user).token)
        except PortalError as error:
            self._heed(user, error)
            raise

    def _renew_or_again(self, user: UserRef, spent: str) -> Credentials:
        try:
            return self._renew_under_lock(user, spent)
        except Unavailable as lost:
            if not lost.maybe_done:
                raise
            return self._renew_under_lock(user, spent)

    def _renew_under_lock(self, user: UserRef, spent: str) -> Credentials:
        verdict: Verdict | None = None
        try:
            with self._store.begin() as db:
                row, portal = self._locked(db, user)
                if row.access_sha256 != fingerprint(spent):
                    return self._opened(row, portal)
                if row.dead_code is not None:
                    raise error_for(row.dead_code, 401)
                verdict = self._exchange(user, row, portal)
                self._write(row, verdict)
        except DBAPIError as taken:  # the row was held for too long: by somebody else, or by us
            if verdict is None:
                raise _busy(user, look_again=taken.connection_invalidated) from taken
            return self._write_late(user, spent, verdict)
        return self._followed(user, portal, verdict)

    def _locked(self, db: Session, user: UserRef) -> tuple[UserToken, Portal]:
        """The pair's row, held until the transaction ends. The portal's row is only read: opening locks it first."""
        hurry(db)
        row = db.get(UserToken, (user.member_id, user.user_id), with_for_update=True)
        portal = db.get(Portal, user.member_id)
        if row is None or portal is None:
            raise SignInAgain()
        return row, portal

    def _exchange(self, user: UserRef, row: UserToken, portal: Portal) -> Verdict:
        """Ask for a new pair. A final refusal is returned, to be written down; what time or people mend is raised."""
        refresh = self._unsealed(row, "refresh")
        try:
            pair = self._oauth.refresh(self._oauth.choose(portal.oauth_server), refresh)
        except (SignInAgain, UserGone) as refused:
            return refused
        except OperatorError as ours:
            log.critical("client_credentials_refused", code=ours.code, server=portal.oauth_server,
                         remedy="correct B24_CLIENT_ID and B24_CLIENT_SECRET; no token or run was harmed")  # fmt: skip
            raise
        return pair if belongs_to(pair, user) else UserGone(USER_CHANGED, method="oauth.token")

    def _write(self, row: UserToken, verdict: Verdict) -> None:
        user = UserRef(row.member_id, row.user_id)
        if isinstance(verdict, PortalError):
            row.dead_code = verdict.code
            log.warning("token_cannot_be_renewed", member_id=user.member_id, user_id=user.user_id, code=verdict.code)
        else:
            _set(row, self._sealed(user, verdict.access, verdict.refresh, verdict.expires_at))
            log.info("token_renewed", member_id=user.member_id, user_id=user.user_id)

    def _write_late(self, user: UserRef, spent: str, verdict: Verdict) -> Credentials:
        """Our lock was lost while we asked (this process was frozen, or the database restarted). Others may have been
        refused meanwhile because we had spent the token: our pair still counts, unless there is a newer one.
        """
        log.warning("token_row_lost", member_id=user.member_id, user_id=user.user_id)
        with self._store.begin() as db:
            row, portal = self._locked(db, user)
            if row.access_sha256 == fingerprint(spent):
                self._write(row, verdict)
            elif row.dead_code is None:
                return self._opened(row, portal)
        return self._followed(user, portal, verdict)

    def _followed(self, user: UserRef, portal: Portal, verdict: Verdict) -> Credentials:
        """The verdict as an outcome, after the commit: what was written stays written."""
        if isinstance(verdict, PortalError):
            raise verdict
        endpoint = verdict.client_endpoint or portal.client_endpoint
        if endpoint != portal.client_endpoint:
            self._portal_moved(user.member_id, plain_host(urlsplit(endpoint).netloc), endpoint)
        return Credentials(endpoint, portal.oauth_server, verdict.access, verdict.expires_at)


def _busy(user: UserRef, *, look_again: bool = False) -> Unavailable:
    log.warning("token_row_busy", member_id=user.member_id, user_id=user.user_id)
    busy = Unavailable(BUSY, method="oauth.token")
    busy.maybe_done = look_again
    return busy


def belongs_to(pair: TokenPair, user: UserRef) -> bool:
    """A refresh token is proven only now: it must lead to the same portal and, where named, the same user."""
    return pair.member_id == user.member_id and pair.user_id in (None, user.user_id)


def place(user: UserRef, column: str) -> Place:
    """Where a token of `user` lives, for the vault."""
    return Place("user_tokens", f"{user.member_id}/{user.user_id}", column)


def _set(row: UserToken, values: dict[str, object]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
