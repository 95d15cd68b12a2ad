"""What we sign ourselves: session tokens and OAuth states. HS256 and nothing else, newest key first, any key accepted.

Each use has an audience of its own, so that a signature made for one is worth nothing in another.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey
from joserfc.jwt import JWTClaimsRegistry

from b24app.clock import Clock

ISSUER = "sundown"
LEEWAY_SECONDS = 10
ID_BYTES = 12  # enough that no two are alike; a token is in each opening of the page


class BadSignature(Exception):
    """Not signed by us, for something else, or over."""


class Signer:
    """Makes and reads signed claims of one audience."""

    def __init__(self, keys: Sequence[str], audience: str, clock: Clock) -> None:
        made: list[Any] = [
            OctKey.import_key(key, {"kid": hashlib.sha256(key.encode()).hexdigest()[:12]}) for key in keys
        ]
        self._keys = KeySet(made)
        self._newest = made[0]
        self._audience = audience
        self._clock = clock

    def sign(self, claims: Mapping[str, object], ends: int) -> str:
        """A token with these claims and an id of its own, good until `ends` (unix seconds)."""
        payload = {"iss": ISSUER, "aud": self._audience, "exp": ends, "jti": secrets.token_urlsafe(ID_BYTES), **claims}
        return jwt.encode({"alg": "HS256", "kid": self._newest.kid}, payload, self._newest, algorithms=["HS256"])

    def read(self, token: str) -> dict[str, Any]:
        """The claims of a genuine, living token. Raises BadSignature for anything else."""
        now = int(self._clock().timestamp())
        registry = JWTClaimsRegistry(
            now=lambda: now, leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": self._audience},
            exp={"essential": True}, jti={"essential": True},
        )  # fmt: skip
        try:
            claims = jwt.decode(token, self._keys, algorithms=["HS256"]).claims
            registry.validate(claims)
        except (JoseError, ValueError, TypeError):
            raise BadSignature() from None
        return claims
