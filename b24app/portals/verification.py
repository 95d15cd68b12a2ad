"""Is it true what a post says? Nothing posted is believed: an authorization server the operator trusts is asked.

A post names an access token, a portal and a server. The server named only chooses among the trusted ones; `app.info`
tells of which app, portal and user the token is, and all that is stored later comes from that answer. One question for
frames, events and sign-ins, so that there is one place to get it right. What was refused is remembered for a minute,
and questions that prove nothing are limited, because anybody may post anything.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from b24app.bitrix.address import Addresses, same_host
from b24app.bitrix.oauth import AppInfo, AuthorizationServers
from b24app.clock import Clock
from b24app.errors import Forged
from b24app.portals.rate_limit import RateLimiter
from b24app.store.vault import fingerprint

log = structlog.get_logger()
REFUSAL_LASTS = timedelta(minutes=1)
MOST_REFUSALS = 500


@dataclass(frozen=True)
class TokenClaim:
    """What somebody says: this access token is of our app, on this portal.

    domain  the portal's host as posted, None where nothing was said of it
    server  SERVER_ENDPOINT, server_endpoint or server_domain as posted
    address whose post it was; None where a trusted server gave us the token itself
    """

    access_token: str = field(repr=False)
    member_id: str
    domain: str | None
    server: str | None
    address: str | None


@dataclass(frozen=True)
class Verification:
    """What the authorization server `server` vouches for."""

    server: str
    info: AppInfo


class Verifier:
    """Asks the authorization servers who somebody is."""

    def __init__(
        self, client_id: str, oauth: AuthorizationServers, addresses: Addresses, rate_limiter: RateLimiter, clock: Clock
    ) -> None:
        self._client_id = client_id
        self._oauth = oauth
        self._addresses = addresses
        self._rate_limiter = rate_limiter
        self._refusals = _Refusals(clock)

    def prove(self, claim: TokenClaim) -> Verification:
        """The truth about a claim: one request, none for one refused a moment ago. Raises Forged (or NotGenuine),
        AuthorizationUnavailable (or TooManyAttempts), ForbiddenAddress.
        """
        server = self._oauth.choose(claim.server)
        self._refusals.check(server, claim)
        try:
            with self._rate_limiter.charge(claim.address, claim.member_id):
                info = self._asked(server, claim)
        except Forged as refused:
            self._refusals.remember(server, claim, refused)
            raise
        self._addresses.check_endpoint(info.client_endpoint)
        return Verification(server, info)

    def _asked(self, server: str, claim: TokenClaim) -> AppInfo:
        info = self._oauth.app_info(server, claim.access_token)
        reason = self._contradiction(claim, info)
        if reason:
            log.warning("claim_refused", reason=reason, member_id=claim.member_id)
            raise Forged(reason)
        return info

    def _contradiction(self, claim: TokenClaim, info: AppInfo) -> str | None:
        if info.client_id != self._client_id:
            return "token_of_another_app"
        if info.member_id != claim.member_id:
            return "token_of_another_portal"
        if claim.domain is not None and not same_host(info.domain, claim.domain):
            return "another_domain"
        return None


class _Refusals:
    """Claims refused lately, so that the same junk is not asked about again; the oldest are forgotten first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._refused: OrderedDict[str, tuple[type[Forged], str, datetime]] = OrderedDict()

    def check(self, server: str, claim: TokenClaim) -> None:
        """Raise what was raised for this claim within the last minute."""
        with self._guard:
            kind, code, ends = self._refused.get(_mark(server, claim), (Forged, "", self._clock()))
            if ends > self._clock():
                raise kind(code, method="app.info")

    def remember(self, server: str, claim: TokenClaim, refused: Forged) -> None:
        """Keep a refusal for a minute."""
        with self._guard:
            self._refused[_mark(server, claim)] = (type(refused), refused.code, self._clock() + REFUSAL_LASTS)
            while len(self._refused) > MOST_REFUSALS:
                self._refused.popitem(last=False)


def _mark(server: str, claim: TokenClaim) -> str:
    return fingerprint("\n".join((server, claim.member_id, claim.domain or "", claim.access_token)))
