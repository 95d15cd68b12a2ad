"""Our own session token: a JWT in page memory, no cookie, because cookies in a foreign frame are not to be had.

HS256 and nothing else; it names portal, user and the epochs of both, so that an uninstall or a dismissed user ends it
at once. One hour, renewed by the header `Session-Token`, and after twelve hours the app must be opened again. It also
names the language it was opened in: a person may have two tabs in two languages.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from flask import Response, g

from b24app.clock import Clock
from b24app.domain import UserRef
from b24app.errors import SessionExpired
from b24app.portals.installs import Opening
from b24app.signing import BadSignature, Signer
from b24app.web.compression import leave_as_it_is

LIFE, RENEW_AFTER, HARD_END = timedelta(hours=1), timedelta(minutes=10), timedelta(hours=12)


@dataclass(frozen=True)
class Claims:
    """What a session token says, once it is proven."""

    user: UserRef
    portal_epoch: int
    user_epoch: int
    opened: int  # unix seconds of the frame's opening
    issued: int
    lang: str | None = None  # in which it was opened; None: whichever the person had the app open in last


class SessionTokens:
    """Makes and reads session tokens."""

    def __init__(self, keys: Sequence[str], audience: str, clock: Clock) -> None:
        self._signer = Signer(keys, audience, clock)
        self._clock = clock

    def opened(self, opening: Opening, lang: str | None) -> str:
        """The first token of a frame."""
        now = int(self._clock().timestamp())
        return self._signed(Claims(opening.user, opening.portal_epoch, opening.user_epoch, now, now, lang))

    def renewed(self, claims: Claims) -> str | None:
        """A fresh token when this one has been used for a while; None when there is no need yet."""
        now = int(self._clock().timestamp())
        if now - claims.issued < RENEW_AFTER.total_seconds():
            return None
        return self._signed(replace(claims, issued=now))

    def _signed(self, claims: Claims) -> str:
        ends = min(claims.issued + LIFE.total_seconds(), claims.opened + HARD_END.total_seconds())
        payload = {
            "sub": str(claims.user.user_id), "member_id": claims.user.member_id, "pe": claims.portal_epoch,
            "ue": claims.user_epoch, "opened": claims.opened, "iat": claims.issued,
        }  # fmt: skip
        if claims.lang:
            payload["lang"] = claims.lang
        return self._signer.sign(payload, int(ends))

    def read(self, token: str) -> Claims:
        """The claims of a genuine, living token. Raises SessionExpired for anything else."""
        try:
            payload = self._signer.read(token)
            user = UserRef(str(payload["member_id"]), int(payload["sub"]))
            epochs, times = (int(payload["pe"]), int(payload["ue"])), (int(payload["opened"]), int(payload["iat"]))
            return Claims(user, *epochs, *times, lang=payload.get("lang"))
        except (BadSignature, ValueError, KeyError, TypeError):
            raise SessionExpired() from None


def token_in_body(tokens: SessionTokens, opening: Opening, lang: str | None) -> str:
    """The first token of a frame, for the body of the answer to this request, which is not packed then."""
    leave_as_it_is()
    return tokens.opened(opening, lang)


def hand_out_fresh_token(tokens: SessionTokens, answer: Response) -> Response:
    """Put a fresh token on an answer when the one that came has been used for a while; on none that a browser keeps."""
    claims: Claims | None = None if answer.cache_control.max_age else g.get("claims")
    fresh = tokens.renewed(claims) if claims and answer.status_code < 400 else None
    if fresh:
        answer.headers["Session-Token"] = fresh
    return answer
