"""Keep refresh tokens from dying of old age: a person who set a page to come down next year must not be asked in.

A refresh token lives 180 days (OAuth docs), and Bitrix24 may block an app that renews ahead of need. So only what nears
its end is renewed, between day 140 and day 160. On which of these days is written in the token itself: its hash is as
good as a die, so the tokens of a big portal, got on one day, do not fall due on one day.

A token that was tried is left alone for a while, whatever came of it, and an authorization server that is unwell is
passed over: neither keeps the others waiting.
"""

from collections.abc import Collection
from datetime import timedelta

import structlog
from sqlalchemy import Integer, Interval, cast, func, or_, select
from sqlalchemy.dialects.postgresql import BIT

from b24app.clock import Clock
from b24app.domain import UserRef
from b24app.errors import OperatorError, PortalError
from b24app.store.db import Store
from b24app.store.models import Portal, UserToken
from b24app.tokens.user_tokens import Tokens

log = structlog.get_logger()
EARLIEST, SPREAD = timedelta(days=140), timedelta(days=20)
AGAIN_AFTER = timedelta(hours=1)
MOST_AT_ONCE = 50  # a tick, so that a worker is never busy with this for long
DIE = 16**4


class KeepAlive:
    """Renews what grows old; safe to do twice and from several workers."""

    def __init__(self, store: Store, tokens: Tokens, clock: Clock) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock

    def renew_ageing(self) -> int:
        """Renew some of the tokens that are due; how many were. Where a server or our settings are unwell there, its
        other tokens wait for another time.
        """
        renewed = 0
        unwell: set[str] = set()
        for _ in range(MOST_AT_ONCE):
            due = self._take(unwell)
            if due is None:
                break
            user, server = due
            try:
                self._tokens.keep_alive(user)
                renewed += 1
            except PortalError as refused:
                log.warning("token_not_kept_alive", member_id=user.member_id, user_id=user.user_id, code=refused.code)
                if refused.transient or isinstance(refused, OperatorError):
                    unwell.add(server)
        return renewed

    def _take(self, unwell: Collection[str]) -> tuple[UserRef, str] | None:
        """The oldest of those whose day has come, where the app is installed and allowed to work, with the server that
        renews it; noted as tried.
        """
        now = self._clock()
        die = cast(cast(func.concat("x", func.left(UserToken.access_sha256, 4)), BIT(16)), Integer)
        seconds = EARLIEST.total_seconds() + SPREAD.total_seconds() * die / DIE
        due_at = UserToken.obtained_at + func.make_interval(0, 0, 0, 0, 0, 0, seconds, type_=Interval)
        query = (
            select(UserToken, Portal.oauth_server)
            .join(Portal, Portal.member_id == UserToken.member_id)
            .where(UserToken.obtained_at < now - EARLIEST, due_at <= now)
            .where(UserToken.dead_code.is_(None), Portal.uninstalled_at.is_(None), Portal.suspended_code.is_(None))
            .where(or_(UserToken.tried_at.is_(None), UserToken.tried_at < now - AGAIN_AFTER))
            .where(Portal.oauth_server.not_in(unwell))
            .order_by(UserToken.obtained_at)
            .limit(1)
            .with_for_update(of=UserToken, key_share=True, skip_locked=True)
        )
        with self._store.begin() as db:
            found = db.execute(query).one_or_none()
            if found is None:
                return None
            token, server = found
            token.tried_at = now
            return UserRef(token.member_id, token.user_id), server
