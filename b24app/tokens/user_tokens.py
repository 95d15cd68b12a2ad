"""User tokens: remember the newest pair, call Bitrix24 as that user, renew when it says so.

The one decision this module lives by: a pair is renewed only under a lock on its row, and only after a second look.
Whoever comes later (another thread, process or machine) finds the new pair and uses it. A killed process frees the
lock with its connection; a frozen one loses it after 12 s, and when it thaws its pair is kept all the same if nobody
has a newer one. Bitrix24 asks apps not to renew ahead of need, so a pair is renewed when Bitrix24 calls it expired,
or when its time has passed and a call is due (OAuth docs, auto-renewal); the only other case is `keep_alive`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from b24app.bitrix.address import plain_host, same_host
from b24app.bitrix.oauth import AuthorizationServers
from b24app.bitrix.places import Places
from b24app.bitrix.rest import Answer, Command, Rest
from b24app.clock import Clock
from b24app.domain import UserRef
from b24app.errors import (
    AppNotAllowed,
    ExpiredToken,
    InvalidToken,
    KeyMissing,
    NotGenuine,
    NotInstalled,
    PortalError,
    PortalMoved,
    SignInAgain,
    Unavailable,
    UserGone,
    error_for,
)
from b24app.request_log import acting
from b24app.store.db import HELD, Store, hurry, repeated
from b24app.store.models import Portal, User, UserToken, VerifiedToken
from b24app.store.vault import CannotOpen, Place, Vault, fingerprint
from b24app.tokens.credentials import Credentials
from b24app.tokens.exchange import Verdict, exchange
from b24app.tokens.late_pairs import UNWRITTEN, LatePairs
from b24app.tokens.single_flight import SingleFlight
from b24app.tokens.stops import STOPPING, Stops

log = structlog.get_logger()
T = TypeVar("T")
BUSY = "renewal_busy"
RENEWALS_AT_ONCE = 4  # each holds a connection while it asks; half of a process's pool stays for everybody else
PATIENCE_SECONDS = 30.0
RENEWALS, WAIT_TOGETHER = "renewals", 1000  # those who wait for one renewal need no places of their own


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
        self._stops = Stops(store, rest, oauth, clock)
        self._renewals: SingleFlight[tuple[UserRef, str], Credentials] = SingleFlight(
            RENEWALS_AT_ONCE, PATIENCE_SECONDS
        )
        self._late = LatePairs(self._written_late)

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

    def is_administrator(self, endpoint: str, access_token: str, *, strict: bool = False) -> bool:
        """What the portal says now of the owner of a proven token that is not stored; False when it says nothing.

        strict  raise the PortalError instead, where it says nothing
        Not in the log of requests, which is of people the app knows.
        """
        try:
            return self._rest.call(endpoint, access_token, "user.admin", timeout=10).result is True
        except PortalError as refused:
            log.warning("administrator_unknown", code=refused.code)
            if strict:
                raise
            return False

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
            return self._judged(user, access, ask)
        except (ExpiredToken, InvalidToken) as refused:
            if isinstance(refused, SignInAgain):
                raise
            access = self.renew(user, spent=access.token)
            return self._judged(user, access, ask)

    def _judged(self, user: UserRef, access: Credentials, ask: Callable[[Credentials], T]) -> T:
        """Ask; what the portal answers to this token may stop its work, what a renewal is told never does."""
        try:
            return self._with_move(user, access, ask)
        except STOPPING as said:
            self._stops.judge(user.member_id, access, said)
            raise

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
            return ask(replace(access, endpoint=now.client_endpoint))

    @repeated
    def _portal_moved(self, member_id: str, domain: str, endpoint: str) -> None:
        log.info("portal_moved", member_id=member_id, domain=domain)
        with self._store.begin() as db:
            db.execute(
                update(Portal).where(Portal.member_id == member_id).values(domain=domain, client_endpoint=endpoint)
            )

    def _heed(self, user: UserRef, error: PortalError) -> None:
        """Some refusals end more than the call: all of the user's sessions."""
        if isinstance(error, UserGone | AppNotAllowed):
            self.end_sessions(user, error.code)

    @repeated
    def end_sessions(self, user: UserRef, code: str) -> None:
        """Every session token of this user stops working at once, and what was proven of them is to be proven anew.

        code  what Bitrix24 said of them: their next opening asks whether it still says so
        """
        with self._store.begin() as db:
            db.execute(
                delete(VerifiedToken).where(
                    VerifiedToken.member_id == user.member_id, VerifiedToken.user_id == user.user_id
                )
            )
            db.execute(
                update(User)
                .where(User.member_id == user.member_id, User.user_id == user.user_id)
                .values(epoch=User.epoch + 1, refused_code=code)
            )

    # --- remembering -----------------------------------------------------------------------------------------------

    def load(self, user: UserRef) -> Credentials:
        """The stored access of `user`; SignInAgain when there is none."""
        both = select(UserToken, Portal).join(Portal, Portal.member_id == UserToken.member_id)
        mine = both.where(UserToken.member_id == user.member_id, UserToken.user_id == user.user_id)
        with self._store.begin() as db:
            found = db.execute(mine).one_or_none()
        if found is None:
            raise SignInAgain()
        return self._opened(*found)

    def remember(self, db: Session, user: UserRef, access: str, refresh: str, expires_at: datetime) -> bool:
        """Store a pair a frame or code exchange brought; an older pair than the stored living one is left aside.

        Runs in the caller's transaction; the user's row must exist. True when it was stored.
        """
        row = db.get(UserToken, (user.member_id, user.user_id), with_for_update=HELD)
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
        access = self._unsealed(row, "access")
        return Credentials(portal.client_endpoint, portal.oauth_server, access, row.expires_at, portal.epoch)

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
        verdict: Verdict | None = self._late.of(user, spent)
        if verdict is not None:
            return self._write_late(user, spent, self.load(user), verdict)
        try:
            with self._store.begin() as db:
                row, portal = self._locked(db, user)
                if row.access_sha256 != fingerprint(spent):
                    return self._opened(row, portal)
                if row.dead_code is not None:
                    raise _dead(row.dead_code)
                stored = self._opened(row, portal)
                verdict = exchange(self._oauth, portal.oauth_server, self._unsealed(row, "refresh"), user)
                self._write(row, verdict)
        except UNWRITTEN as taken:  # the row or the pool was held for too long: by others, or by us
            if verdict is None:
                lost = isinstance(taken, DBAPIError) and taken.connection_invalidated
                raise _busy(user, look_again=lost) from taken
            return self._write_late(user, spent, stored, verdict)
        return self._followed(user, stored, verdict)

    def _locked(self, db: Session, user: UserRef) -> tuple[UserToken, Portal]:
        """The pair's row, held until the transaction ends. The portal's row is only read: opening locks it first."""
        hurry(db)
        row = db.get(UserToken, (user.member_id, user.user_id), with_for_update=HELD)
        portal = db.get(Portal, user.member_id)
        if row is None or portal is None:
            raise SignInAgain()
        return row, portal

    def _write(self, row: UserToken, verdict: Verdict) -> None:
        user = UserRef(row.member_id, row.user_id)
        if isinstance(verdict, NotInstalled):
            return  # `_followed` looks first whether the portal is the cause
        if isinstance(verdict, PortalError):
            row.dead_code = verdict.code
            log.warning("token_cannot_be_renewed", member_id=user.member_id, user_id=user.user_id, code=verdict.code)
            return
        old = self._unsealed(row, "refresh")
        if verdict.refresh in (None, old):  # Bitrix24 gives a new one each time (OAuth docs)
            log.warning("renewal_without_refresh_token", member_id=user.member_id, user_id=user.user_id)
        _set(row, self._sealed(user, verdict.access, verdict.refresh or old, verdict.expires_at))
        log.info("token_renewed", member_id=user.member_id, user_id=user.user_id)

    def _write_late(self, user: UserRef, spent: str, stored: Credentials, verdict: Verdict) -> Credentials:
        """Our lock was lost while we asked (this process was frozen, or the database restarted). A pair that cannot be
        written now either is good all the same, and is written as soon as it can be.
        """
        log.warning("token_row_lost", member_id=user.member_id, user_id=user.user_id)
        try:
            return self._written_late(user, spent, verdict)
        except UNWRITTEN as taken:
            if isinstance(verdict, PortalError):  # whoever asks next is told the same
                raise _busy(user) from taken
            self._late.keep(user, spent, verdict)
            return replace(stored, token=verdict.access, expires_at=verdict.expires_at)

    def _written_late(self, user: UserRef, spent: str, verdict: Verdict) -> Credentials:
        """Others may have been refused meanwhile because we had spent the token: our pair still counts, unless there is
        a newer one.
        """
        with self._store.begin() as db:
            row, portal = self._locked(db, user)
            stored = self._opened(row, portal)
            if row.access_sha256 == fingerprint(spent):
                self._write(row, verdict)
            elif row.dead_code is None:
                return stored
        return self._followed(user, stored, verdict)

    def _followed(self, user: UserRef, stored: Credentials, verdict: Verdict) -> Credentials:
        """The verdict as an outcome, after the commit: what was written stays written."""
        if isinstance(verdict, NotInstalled):
            raise self._not_installed(user, stored, verdict)
        if isinstance(verdict, PortalError):
            raise verdict
        endpoint = verdict.client_endpoint or stored.endpoint
        if endpoint != stored.endpoint:
            self._portal_moved(user.member_id, plain_host(urlsplit(endpoint).netloc), endpoint)
        return replace(stored, endpoint=endpoint, token=verdict.access, expires_at=verdict.expires_at)

    def _not_installed(self, user: UserRef, stored: Credentials, told: NotInstalled) -> PortalError:
        """A renewal was refused because the app is not installed, wherever the refresh token is from. Where the portal
        itself says so to the proven access token, its work has stopped and the pair may live again after it; else
        the refusal is of this pair alone, which is dead.
        """
        if self._stops.hinted(user.member_id, stored):
            return told
        self._condemn(user, stored.token, told.code)
        return _dead(told.code)

    @repeated
    def _condemn(self, user: UserRef, spent: str, code: str) -> None:
        mine = (UserToken.member_id == user.member_id, UserToken.user_id == user.user_id)
        with self._store.begin() as db:
            db.execute(
                update(UserToken).where(*mine, UserToken.access_sha256 == fingerprint(spent)).values(dead_code=code)
            )
        log.warning("token_cannot_be_renewed", member_id=user.member_id, user_id=user.user_id, code=code)


def _dead(code: str) -> PortalError:
    """Why a pair cannot be renewed, as an error of its person: a new opening brings a new pair."""
    error = error_for(code, 401, method="oauth.token")
    return SignInAgain(code, method="oauth.token") if isinstance(error, NotInstalled) else error


def _busy(user: UserRef, *, look_again: bool = False) -> Unavailable:
    log.warning("token_row_busy", member_id=user.member_id, user_id=user.user_id)
    busy = Unavailable(BUSY, method="oauth.token")
    busy.maybe_done = look_again
    return busy


def place(user: UserRef, column: str) -> Place:
    """Where a token of `user` lives, for the vault."""
    return Place("user_tokens", f"{user.member_id}/{user.user_id}", column)


def _set(row: UserToken, values: dict[str, object]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
