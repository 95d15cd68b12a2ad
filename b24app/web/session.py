"""Our own session token: a JWT in page memory, no cookie, because cookies in a foreign frame are not to be had.

HS256 and nothing else; it names portal, user and the epochs of both, so that an uninstall or a dismissed user ends it
at once. One hour, renewed by the header `Session-Token`, and after twelve hours the app must be opened again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from flask import Response, g, request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey
from joserfc.jwt import JWTClaimsRegistry

from b24app.clock import Clock
from b24app.errors import SessionExpired
from b24app.installs import Opening
from b24app.services import Services
from b24app.store.models import Portal, User
from b24app.terms import Actor, UserRef

ISSUER = "sundown"
LIFE, RENEW_AFTER, HARD_END = timedelta(hours=1), timedelta(minutes=10), timedelta(hours=12)
LEEWAY_SECONDS = 10


@dataclass(frozen=True)
class Claims:
    """What a session token says, once it is proven."""

    user: UserRef
    portal_epoch: int
    user_epoch: int
    opened: int  # unix seconds of the frame's opening
    issued: int


class SessionTokens:
    """Makes and reads session tokens; signs with the newest key, accepts any."""

    def __init__(self, keys: Sequence[str], audience: str, clock: Clock) -> None:
        made: list[Any] = [
            OctKey.import_key(key, {"kid": hashlib.sha256(key.encode()).hexdigest()[:12]}) for key in keys
        ]
        self._keys = KeySet(made)
        self._newest = made[0]
        self._audience = audience
        self._clock = clock

    def opened(self, opening: Opening) -> str:
        """The first token of a frame."""
        now = int(self._clock().timestamp())
        return self._signed(Claims(opening.user, opening.portal_epoch, opening.user_epoch, now, now))

    def renewed(self, claims: Claims) -> str | None:
        """A fresh token when this one has been used for a while; None when there is no need yet."""
        now = int(self._clock().timestamp())
        if now - claims.issued < RENEW_AFTER.total_seconds():
            return None
        return self._signed(Claims(claims.user, claims.portal_epoch, claims.user_epoch, claims.opened, now))

    def _signed(self, claims: Claims) -> str:
        ends = min(claims.issued + LIFE.total_seconds(), claims.opened + HARD_END.total_seconds())
        payload = {
            "iss": ISSUER, "aud": self._audience, "sub": str(claims.user.user_id), "member_id": claims.user.member_id,
            "pe": claims.portal_epoch, "ue": claims.user_epoch, "opened": claims.opened,
            "iat": claims.issued, "exp": int(ends), "jti": uuid4().hex,
        }  # fmt: skip
        return jwt.encode({"alg": "HS256", "kid": self._newest.kid}, payload, self._newest, algorithms=["HS256"])

    def read(self, token: str) -> Claims:
        """The claims of a genuine, living token. Raises SessionExpired for anything else."""
        now = int(self._clock().timestamp())
        registry = JWTClaimsRegistry(
            now=lambda: now, leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": self._audience},
            exp={"essential": True}, sub={"essential": True}, jti={"essential": True},
        )  # fmt: skip
        try:
            payload = jwt.decode(token, self._keys, algorithms=["HS256"]).claims
            registry.validate(payload)
            user = UserRef(str(payload["member_id"]), int(payload["sub"]))
            return Claims(user, int(payload["pe"]), int(payload["ue"]), int(payload["opened"]), int(payload["iat"]))
        except (JoseError, ValueError, KeyError, TypeError):
            raise SessionExpired() from None


def require_session(services: Services, tokens: SessionTokens) -> None:
    """Set `g.actor` from the bearer token, or raise SessionExpired. Runs before each view of people."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise SessionExpired()
    g.claims = tokens.read(token.strip())
    g.actor = load_actor(services, g.claims)


def load_actor(services: Services, claims: Claims) -> Actor:
    """Who the claims mean, if portal and user still stand as they did. Raises SessionExpired."""
    with services.store.begin() as db:
        portal = db.get(Portal, claims.user.member_id)
        user = db.get(User, (claims.user.member_id, claims.user.user_id))
    if portal is None or user is None or not portal.is_open:
        raise SessionExpired()
    if (portal.epoch, user.epoch) != (claims.portal_epoch, claims.user_epoch):
        raise SessionExpired()
    return Actor(
        member_id=portal.member_id, user_id=user.user_id, name=user.name, language=user.language, theme=user.theme,
        zone=user.zone, domain=portal.domain, pages_version=portal.pages_version,
    )  # fmt: skip


def hand_out_fresh_token(tokens: SessionTokens, answer: Response) -> Response:
    """Put a fresh token on an answer when the one that came has been used for a while."""
    claims: Claims | None = g.get("claims")
    fresh = tokens.renewed(claims) if claims and answer.status_code < 400 else None
    if fresh:
        answer.headers["Session-Token"] = fresh
    return answer
